// SPDX-License-Identifier: MPL-2.0
/* page_write.c - writing a page (reading: page.c); the format is in page.h. */
#include <stdlib.h>
#include <string.h>

#include "crdt/columns.h"
#include "crdt/page.h"

enum { HEAD_LEN = 4 + CURSOR_LEN + 3 * 10 };

void
page_writer_init(struct page_writer *w, size_t max)
{
	memset(w, 0, sizeof *w);
	buf_init(&w->body, max);
	buf_init(&w->tables, max);
	buf_init(&w->sites, max);
	buf_init(&w->horizons, max);
}

void
page_writer_clear(struct page_writer *w)
{
	buf_clear(&w->body);
	buf_clear(&w->tables);
	buf_clear(&w->sites);
	buf_clear(&w->horizons);
	sqlite3_free(w->horizon_of);
	sqlite3_free(w->table_id);
	sqlite3_free(w->ordinal);
	memset(w, 0, sizeof *w);
}

size_t
page_size(const struct page_writer *w)
{
	return HEAD_LEN + w->horizons.len + w->tables.len + w->sites.len +
	    w->body.len;
}

/* Makes room for one more element in steps of 16. */
static int
grow(void **array, int n, size_t size)
{
	void *p;

	if (n % 16 != 0)
		return SQLITE_OK;
	p = sqlite3_realloc64(*array, ((size_t)n + 16) * size);
	if (p == NULL)
		return SQLITE_NOMEM;
	*array = p;
	return SQLITE_OK;
}

static void
put_text(struct buf *b, const char *text)
{
	size_t len = strlen(text);

	buf_add_varint(b, len);
	buf_add(b, text, len);
}

int
page_put_site(struct engine *e, struct page_writer *w, int64_t ordinal,
    int *out)
{
	uint8_t id[SITE_ID_LEN], key[SITE_KEY_LEN], incarnation[INCARNATION_LEN];
	void *array = w->ordinal;
	bool has_key = false;
	int i, rc;

	for (i = w->nsite - 1; i >= 0; i--) {
		if (w->ordinal[i] == ordinal) {
			*out = i;
			return SQLITE_OK;
		}
	}
	if (w->nsite >= PAGE_MAX_SITES)
		return engine_fail(e, SQLITE_TOOBIG, "a page can name %d sites",
		    PAGE_MAX_SITES);
	rc = site_by_ordinal(e, ordinal, id, key, incarnation, &has_key);
	if (rc == SQLITE_OK)
		rc = grow(&array, w->nsite, sizeof *w->ordinal);
	w->ordinal = array;
	if (rc != SQLITE_OK)
		return rc;
	buf_add(&w->sites, id, sizeof id);
	buf_add_u8(&w->sites, has_key);
	if (has_key) {
		buf_add(&w->sites, key, sizeof key);
		buf_add(&w->sites, incarnation, sizeof incarnation);
	}
	*out = w->nsite;
	w->ordinal[w->nsite++] = ordinal;
	return SQLITE_OK;
}

/* Names that columns had; of very many the newest. */
static void
put_old_names(struct page_writer *w, const struct table *t)
{
	int i, n = 0;

	for (i = 0; i < t->nold; i++)
		n += columns_is_old(t, i);
	n = n < OLD_NAMES_MAX ? n : OLD_NAMES_MAX;
	buf_add_varint(&w->tables, (uint64_t)n);
	for (i = t->nold - 1; n > 0; i--) {
		if (!columns_is_old(t, i))
			continue;
		buf_add_varint(&w->tables, (uint64_t)table_column_by_cid(t,
		    t->old[i].cid));
		put_text(&w->tables, t->old[i].name);
		n--;
	}
}

static bool
equal_entries(const struct horizon_entry *a, const struct horizon_entry *b, int n)
{
	int i;

	for (i = 0; i < n && a[i].version == b[i].version &&
	    memcmp(a[i].id, b[i].id, SITE_ID_LEN) == 0; i++)
		;
	return i == n;
}

/* The index of a table's horizon, mostly that of the others; -1: it has none. */
static int
put_horizon(struct page_writer *w, int table)
{
	const struct horizon_entry *entry, *other;
	void *array = w->horizon_of;
	int i, n = horizon_of(w->horizon, table, &entry);

	for (i = 0; i < w->nhorizon && n > 0; i++)
		if (horizon_of(w->horizon, w->horizon_of[i], &other) == n &&
		    equal_entries(entry, other, n))
			return i;
	if (n == 0)
		return -1;
	if (grow(&array, w->nhorizon, sizeof *w->horizon_of) != SQLITE_OK)
		w->rc = SQLITE_NOMEM;
	w->horizon_of = array;
	if (w->rc != SQLITE_OK)
		return -1;
	horizon_encode(entry, n, &w->horizons);
	w->horizon_of[w->nhorizon] = table;
	return w->nhorizon++;
}

int
page_put_table(struct page_writer *w, const struct table *t)
{
	void *array = w->table_id;
	int i;

	for (i = 0; i < w->ntable; i++) {
		if (w->table_id[i] == t->id)
			return i;
	}
	if (grow(&array, w->ntable, sizeof *w->table_id) != SQLITE_OK)
		w->rc = SQLITE_NOMEM;
	w->table_id = array;
	if (w->rc != SQLITE_OK)
		return 0;
	put_text(&w->tables, t->name);
	buf_add_varint(&w->tables, (uint64_t)t->npk);
	buf_add_varint(&w->tables, (uint64_t)t->ncol);
	for (i = 0; i < t->ncol; i++)
		put_text(&w->tables, t->col[i].name);
	put_old_names(w, t);
	if (w->horizon != NULL) {
		i = put_horizon(w, t->id);
		buf_add_varint(&w->tables, i < 0 ? 0 : 1 + 2 * (uint64_t)i +
		    w->unproven[t->id]);
	}
	w->table_id[w->ntable] = t->id;
	return w->ntable++;
}

/* -- transactions ---------------------------------------------------------- */

static void
patch_u32(struct page_writer *w, size_t at, uint64_t v)
{
	int i;

	if (w->body.failed)
		return;
	if (v > UINT32_MAX)
		w->rc = SQLITE_TOOBIG;
	for (i = 0; i < 4; i++)
		w->body.data[at + (size_t)i] = (uint8_t)(v >> 8 * (3 - i));
}

/* The flags can be changed at the end because they stand right before the
 * header, whose place is known. */
void
page_begin_tx(struct page_writer *w, int site, int64_t sver, int flags,
    const uint8_t header[static HEADER_LEN], const struct page_step *step,
    int nstep)
{
	struct buf *b = &w->body;
	int i;

	buf_add_varint(b, (uint64_t)site);
	buf_add_varint(b, (uint64_t)sver);
	w->tx_start = b->len;
	buf_add_u8(b, (uint8_t)flags);
	buf_add(b, header, HEADER_LEN);
	buf_add_varint(b, (uint64_t)nstep);
	w->nstep += nstep;
	for (i = 0; i < nstep; i++) {
		buf_add_varint(b, (uint64_t)step[i].other);
		buf_add_varint(b, (uint64_t)step[i].upto);
		buf_add_varint(b, (uint64_t)step[i].version);
	}
	w->tx_rows = b->len;
	buf_add_u32(b, 0);
	buf_add_u32(b, 0);
	w->tx_nrow = 0;
	w->tx_table = -1;
	w->tx_seq = 0;
}

void
page_end_tx(struct page_writer *w, int add_flags)
{
	if (w->body.failed)
		return;
	w->body.data[w->tx_start] |= (uint8_t)add_flags;
	patch_u32(w, w->tx_rows, w->tx_nrow);
	patch_u32(w, w->tx_rows + 4, w->body.len - w->tx_rows - 8);
}

/* -- rows -------------------------------------------------------------------- */

static void
begin_row(struct page_writer *w, const struct table *t, enum page_kind kind)
{
	if (w->tx_table < 0 || w->table_id[w->tx_table] != t->id) {
		w->tx_table = page_put_table(w, t);
		buf_add_u8(&w->body, PAGE_TABLE);
		buf_add_varint(&w->body, (uint64_t)w->tx_table);
	}
	buf_add_u8(&w->body, (uint8_t)kind);
	w->tx_nrow++;
	w->nrow++;
}

static void
put_seq(struct page_writer *w, int64_t seq)
{
	buf_add_zigzag(&w->body, seq - w->tx_seq);
	w->tx_seq = seq + 1;
}

void
page_put_fresh(struct page_writer *w, const struct table *t, const uint8_t *pk,
    int npk, int64_t seq, const struct val *value)
{
	int i;

	begin_row(w, t, PAGE_FRESH);
	put_seq(w, seq);
	buf_add(&w->body, pk, (size_t)npk);
	for (i = 0; i < t->ncol; i++)
		val_encode(&w->body, &value[i]);
	w->tx_seq = seq + (t->ncol > 0 ? t->ncol : 1);
}

void
page_put_cells(struct page_writer *w, const struct table *t, const uint8_t *pk,
    int npk, int64_t cl, int ncell, const struct page_cell *cell)
{
	int i;

	begin_row(w, t, PAGE_CELLS);
	buf_add_varint(&w->body, (uint64_t)cl);
	buf_add(&w->body, pk, (size_t)npk);
	buf_add_varint(&w->body, (uint64_t)ncell);
	for (i = 0; i < ncell; i++) {
		buf_add_varint(&w->body, (uint64_t)(cell[i].col + 1));
		buf_add_varint(&w->body, (uint64_t)cell[i].version);
		put_seq(w, cell[i].seq);
		if (cell[i].col >= 0)
			val_encode(&w->body, &cell[i].value);
	}
}

void
page_put_dead(struct page_writer *w, const struct table *t, const uint8_t *pk,
    int npk, int64_t cl, int64_t seq)
{
	begin_row(w, t, PAGE_DEAD);
	buf_add_varint(&w->body, (uint64_t)cl);
	put_seq(w, seq);
	buf_add(&w->body, pk, (size_t)npk);
}

void
page_put_parked(struct page_writer *w, const struct table *t,
    const uint8_t *pk, int npk, const uint8_t *bytes, int nbytes)
{
	begin_row(w, t, PAGE_PARKED);
	buf_add(&w->body, pk, (size_t)npk);
	buf_add_varint(&w->body, (uint64_t)nbytes);
	buf_add(&w->body, bytes, (size_t)nbytes);
}

/* -- the end ------------------------------------------------------------------ */

/* The head is made last, when it is known what the page names, and the body
 * moves up for it: a large page must not exist twice. */
int
page_finish(struct page_writer *w, int flags, const struct cursor *end,
    uint8_t **out, size_t *len)
{
	uint8_t cursor[CURSOR_LEN], *room;
	struct buf head;
	int rc = w->rc;

	buf_init(&head, w->body.max);
	buf_add(&head, "DP", 2);
	buf_add_u8(&head, PAGE_VERSION);
	buf_add_u8(&head, (uint8_t)flags);
	cursor_write(end, cursor);
	buf_add(&head, cursor, sizeof cursor);
	if (w->horizon != NULL) {
		buf_add_varint(&head, (uint64_t)w->nhorizon);
		buf_add(&head, w->horizons.data, w->horizons.len);
	}
	buf_add_varint(&head, (uint64_t)w->ntable);
	buf_add(&head, w->tables.data, w->tables.len);
	buf_add_varint(&head, (uint64_t)w->nsite);
	buf_add(&head, w->sites.data, w->sites.len);
	buf_add_varint(&head, w->body.len);
	room = buf_reserve(&w->body, head.len);
	if (rc == SQLITE_OK && (w->tables.failed || w->sites.failed ||
	    w->horizons.failed || head.failed || room == NULL))
		rc = w->body.max - w->body.len < head.len ? SQLITE_TOOBIG :
		    SQLITE_NOMEM;
	if (rc == SQLITE_OK) {
		memmove(w->body.data + head.len, w->body.data, w->body.len);
		memcpy(w->body.data, head.data, head.len);
		w->body.len += head.len;
		*out = buf_take(&w->body, len);
	}
	buf_clear(&head);
	return rc;
}
