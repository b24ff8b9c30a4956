// SPDX-License-Identifier: MPL-2.0
/*
 * pageinfo.c - what a page says of itself, without applying it:
 * crsql_page_end(), crsql_page_flags(), and the table-valued functions
 * crsql_page_sites, crsql_page_transactions and crsql_page_keys.
 *
 *     SELECT version, rows FROM crsql_page_transactions(?);
 */
#include <string.h>

#include "crdt/page.h"
#include "crdt/vtab.h"

enum { FIXED_HEAD = 4 + CURSOR_LEN };

/* The bytes of a page that has its fixed head, or NULL with an error set. */
static const uint8_t *
fixed_head(sqlite3_context *ctx, sqlite3_value *page)
{
	const uint8_t *data = sqlite3_value_blob(page);

	if (sqlite3_value_bytes(page) < FIXED_HEAD || data[0] != 'D' ||
	    data[1] != 'P' || data[2] != PAGE_VERSION) {
		sqlite3_result_error(ctx, "this is not a page", -1);
		return NULL;
	}
	return data;
}

static void
page_end_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	const uint8_t *data = fixed_head(ctx, argv[0]);

	if (data != NULL)
		sqlite3_result_blob(ctx, data + 4, CURSOR_LEN,
		    SQLITE_TRANSIENT);
}

static void
page_flags_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	const uint8_t *data = fixed_head(ctx, argv[0]);

	if (data != NULL)
		sqlite3_result_int(ctx, data[3]);
}

/* -- the tables ------------------------------------------------------------------ */

struct info_cursor;
struct info;

struct kind {
	const char *schema;
	int ncol;               /* the hidden column `page` is behind them */
	int (*list)(struct info_cursor *c, struct page *page,
	    struct engine *e);
	void (*column)(sqlite3_context *ctx, const struct info *p, int i);
};

struct info_table {
	struct vtab base;
	const struct kind *kind;
};

struct info {
	uint8_t site[SITE_ID_LEN];
	bool has_key;
	uint8_t key[SITE_KEY_LEN];
	uint8_t incarnation[INCARNATION_LEN];
	int64_t version;
	uint8_t header[HEADER_LEN];
	uint32_t rows;
	uint32_t bytes;
	uint8_t flags;
	const char *table;      /* views of the page */
	int ntable;
	const uint8_t *pk;
	int npk;
};

struct info_cursor {
	sqlite3_vtab_cursor base;
	sqlite3_value *page;    /* what the rows are views of */
	struct info *info;
	int n;
	int row;
};

/* The modules share the methods; each has its own engine and kind. */
struct info_aux {
	struct engine *e;
	const struct kind *kind;
};

static int
info_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
    sqlite3_vtab **out, char **error)
{
	const struct info_aux *a = aux;
	int rc = vtab_connect(db, a->e, a->kind->schema,
	    sizeof(struct info_table), out);

	if (rc == SQLITE_OK)
		((struct info_table *)*out)->kind = a->kind;
	return rc;
}

static int
info_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
	int hidden = ((struct info_table *)vtab)->kind->ncol;
	int i;

	for (i = 0; i < info->nConstraint; i++) {
		if (info->aConstraint[i].iColumn != hidden ||
		    info->aConstraint[i].op != SQLITE_INDEX_CONSTRAINT_EQ ||
		    !info->aConstraint[i].usable)
			continue;
		info->aConstraintUsage[i].argvIndex = 1;
		info->aConstraintUsage[i].omit = 1;
		info->estimatedCost = 10;
		return SQLITE_OK;
	}
	return SQLITE_CONSTRAINT;
}

static int
info_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
	return vtab_open(sizeof(struct info_cursor), out);
}

static int
info_close(sqlite3_vtab_cursor *cursor)
{
	struct info_cursor *c = (struct info_cursor *)cursor;

	sqlite3_value_free(c->page);
	sqlite3_free(c->info);
	sqlite3_free(c);
	return SQLITE_OK;
}

static struct info *
new_info(struct info_cursor *c)
{
	struct info *p;

	if (c->n % 64 == 0) {
		p = sqlite3_realloc64(c->info, ((size_t)c->n + 64) *
		    sizeof *p);
		if (p == NULL)
			return NULL;
		c->info = p;
	}
	p = &c->info[c->n++];
	memset(p, 0, sizeof *p);
	return p;
}

static int
list_sites(struct info_cursor *c, struct page *page, struct engine *e)
{
	struct info *p;
	int i;

	for (i = 0; i < page->nsite; i++) {
		p = new_info(c);
		if (p == NULL)
			return SQLITE_NOMEM;
		memcpy(p->site, page->site[i].id, SITE_ID_LEN);
		p->has_key = page->site[i].key != NULL;
		if (!p->has_key)
			continue;
		memcpy(p->key, page->site[i].key, SITE_KEY_LEN);
		memcpy(p->incarnation, page->site[i].incarnation,
		    INCARNATION_LEN);
	}
	return SQLITE_OK;
}

static int
list_transactions(struct info_cursor *c, struct page *page, struct engine *e)
{
	struct page_tx tx;
	struct info *p;
	int more;

	while ((more = page_read_tx(page, &tx)) > 0) {
		p = new_info(c);
		if (p == NULL)
			return SQLITE_NOMEM;
		memcpy(p->site, page->site[tx.site].id, SITE_ID_LEN);
		p->version = tx.sver;
		memcpy(p->header, tx.header, HEADER_LEN);
		p->rows = tx.nrow;
		p->bytes = tx.length;
		p->flags = tx.flags;
	}
	return more < 0 ? page_malformed(e) : SQLITE_OK;
}

static int
list_rows(struct info_cursor *c, struct page *page, struct page_tx *tx,
    struct engine *e)
{
	const struct page_table *t;
	struct page_row row;
	struct info *p;
	int more;

	while ((more = page_read_row(page, tx, &row)) > 0) {
		p = new_info(c);
		if (p == NULL)
			return SQLITE_NOMEM;
		t = &page->table[row.table];
		p->table = t->name;
		p->ntable = t->nname;
		p->pk = row.pk;
		p->npk = row.npk;
	}
	return more < 0 ? page_malformed(e) : SQLITE_OK;
}

static int
list_keys(struct info_cursor *c, struct page *page, struct engine *e)
{
	struct page_tx tx;
	int more, rc = SQLITE_OK;

	while (rc == SQLITE_OK && (more = page_read_tx(page, &tx)) != 0)
		rc = more < 0 ? page_malformed(e) :
		    list_rows(c, page, &tx, e);
	return rc;
}

static int
info_filter(sqlite3_vtab_cursor *cursor, int num, const char *str, int argc,
    sqlite3_value **argv)
{
	struct info_cursor *c = (struct info_cursor *)cursor;
	struct info_table *t = (struct info_table *)cursor->pVtab;
	struct page page;
	int rc;

	c->n = c->row = 0;
	sqlite3_value_free(c->page);
	c->page = sqlite3_value_dup(argv[0]);
	if (c->page == NULL)
		return SQLITE_NOMEM;
	rc = page_open(t->base.e, sqlite3_value_blob(c->page),
	    (size_t)sqlite3_value_bytes(c->page), &page);
	if (rc == SQLITE_OK)
		rc = t->kind->list(c, &page, t->base.e);
	page_close(&page);
	return rc == SQLITE_OK ? rc : vtab_fail(cursor->pVtab, rc);
}

static int
info_next(sqlite3_vtab_cursor *cursor)
{
	((struct info_cursor *)cursor)->row++;
	return SQLITE_OK;
}

static int
info_eof(sqlite3_vtab_cursor *cursor)
{
	struct info_cursor *c = (struct info_cursor *)cursor;

	return c->row >= c->n;
}

static void
site_column(sqlite3_context *ctx, const struct info *p, int i)
{
	if (i == 0)
		sqlite3_result_blob(ctx, p->site, SITE_ID_LEN,
		    SQLITE_TRANSIENT);
	else if (i == 1 && p->has_key)
		sqlite3_result_blob(ctx, p->key, SITE_KEY_LEN,
		    SQLITE_TRANSIENT);
	else if (i == 2 && p->has_key)
		sqlite3_result_blob(ctx, p->incarnation, INCARNATION_LEN,
		    SQLITE_TRANSIENT);
}

static void
transaction_column(sqlite3_context *ctx, const struct info *p, int i)
{
	int64_t time = 0;
	int k;

	switch (i) {
	case 0:
		sqlite3_result_blob(ctx, p->site, SITE_ID_LEN,
		    SQLITE_TRANSIENT);
		break;
	case 1:
		sqlite3_result_int64(ctx, p->version);
		break;
	case 2:
		for (k = 0; k < HEADER_LEN - TOKEN_LEN; k++)
			time = time << 8 | p->header[k];
		sqlite3_result_int64(ctx, time);
		break;
	case 3:
		sqlite3_result_blob(ctx, p->header + HEADER_LEN - TOKEN_LEN,
		    TOKEN_LEN, SQLITE_TRANSIENT);
		break;
	case 4:
		sqlite3_result_int64(ctx, p->rows);
		break;
	case 5:
		sqlite3_result_int64(ctx, p->bytes);
		break;
	case 6:
		sqlite3_result_int(ctx, (p->flags & PAGE_TX_BEGINS) != 0);
		break;
	case 7:
		sqlite3_result_int(ctx, (p->flags & PAGE_TX_ENDS) != 0);
		break;
	}
}

static void
key_column(sqlite3_context *ctx, const struct info *p, int i)
{
	if (i == 0)
		sqlite3_result_text(ctx, p->table, p->ntable,
		    SQLITE_TRANSIENT);
	else
		sqlite3_result_blob(ctx, p->pk, p->npk, SQLITE_TRANSIENT);
}

static const struct kind sites_kind = {
	"CREATE TABLE x(site_id BLOB, key BLOB, incarnation BLOB, "
	"page BLOB hidden)", 3, list_sites, site_column
};

static const struct kind transactions_kind = {
	"CREATE TABLE x(site_id BLOB, version INTEGER, time INTEGER, "
	"token BLOB, rows INTEGER, bytes INTEGER, begins INTEGER, "
	"ends INTEGER, page BLOB hidden)", 8, list_transactions,
	transaction_column
};

static const struct kind keys_kind = {
	"CREATE TABLE x(\"table\" TEXT, pk BLOB, page BLOB hidden)", 2,
	list_keys, key_column
};

static int
info_column(sqlite3_vtab_cursor *cursor, sqlite3_context *ctx, int i)
{
	const struct info_cursor *c = (struct info_cursor *)cursor;
	const struct info_table *t = (struct info_table *)cursor->pVtab;

	if (i < t->kind->ncol)
		t->kind->column(ctx, &c->info[c->row], i);
	return SQLITE_OK;
}

static int
info_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
	*out = ((struct info_cursor *)cursor)->row;
	return SQLITE_OK;
}

static const sqlite3_module info_module = {
	.xConnect = info_connect,
	.xBestIndex = info_best_index,
	.xDisconnect = vtab_disconnect,
	.xOpen = info_open,
	.xClose = info_close,
	.xFilter = info_filter,
	.xNext = info_next,
	.xEof = info_eof,
	.xColumn = info_column,
	.xRowid = info_rowid,
};

static int
register_kind(struct engine *e, const char *name, const struct kind *kind)
{
	struct info_aux *aux = sqlite3_malloc(sizeof *aux);

	if (aux == NULL)
		return SQLITE_NOMEM;
	aux->e = e;
	aux->kind = kind;
	return sqlite3_create_module_v2(e->db, name, &info_module, aux,
	    sqlite3_free);
}

int
pageinfo_register(struct engine *e)
{
	int rc;

	rc = sqlite3_create_function(e->db, "crsql_page_end", 1,
	    SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, page_end_function, NULL,
	    NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_create_function(e->db, "crsql_page_flags", 1,
		    SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL,
		    page_flags_function, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = register_kind(e, "crsql_page_sites", &sites_kind);
	if (rc == SQLITE_OK)
		rc = register_kind(e, "crsql_page_transactions",
		    &transactions_kind);
	if (rc == SQLITE_OK)
		rc = register_kind(e, "crsql_page_keys", &keys_kind);
	return rc;
}
