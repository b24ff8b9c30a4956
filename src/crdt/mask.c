// SPDX-License-Identifier: MPL-2.0
/* mask.c - see mask.h. */
#include "crdt/mask.h"

#include <string.h>

#include "base/rd.h"

SQLITE_EXTENSION_INIT3

/* -- as bytes --------------------------------------------------------------------- */

void
mask_end(struct mask *m, struct buf *b)
{
	if (m->n == 0)
		return;
	buf_add_zigzag(b, (int64_t)m->first - m->end);
	buf_add_varint(b, (uint64_t)m->n);
	m->end = m->first + m->n;
	m->n = 0;
}

void
mask_add_high(struct mask *m, struct buf *b, int cid)
{
	if (m->n > 0 && cid == m->first + m->n) {
		m->n++;
		return;
	}
	mask_end(m, b);
	m->first = cid;
	m->n = 1;
}

/* The next row of numbers; false at the end, or with r failed. */
static bool
next_row(struct rd *r, int *end, int *first, int *n)
{
	int64_t at;

	if (rd_failed(r) || rd_left(r) == 0)
		return false;
	at = rd_zigzag(r);
	*n = (int)rd_varint(r, INT32_MAX);
	if (at < INT32_MIN || at > INT32_MAX)
		rd_fail(r);
	at += *end;
	if (rd_failed(r) || at < MASK_BITS || *n < 1 || at + *n > INT32_MAX) {
		rd_fail(r);
		return false;
	}
	*first = (int)at;
	*end = (int)at + *n;
	return true;
}

bool
mask_mark(const struct table *t, const uint8_t *high, size_t len, int *mark)
{
	struct rd r;
	int i, end = MASK_BITS, first, n;

	rd_init(&r, high, len);
	while (next_row(&r, &end, &first, &n)) {
		/* columns by index mostly follow one another as their numbers do */
		i = table_column_by_cid(t, first);
		if (i >= 0 && i + n <= t->ncol && t->col[i + n - 1].cid == end - 1)
			while (n > 0 && t->col[i].cid == end - n) {
				mark[i++] = 1;
				n--;
			}
		for (i = 0; i < t->ncol && n > 0; i++)
			if (t->col[i].cid >= first && t->col[i].cid < end)
				mark[i] = 1;
	}
	return rd_done(&r);
}

bool
mask_has(uint64_t bits, const uint8_t *high, size_t len, int cid)
{
	struct rd r;
	int end = MASK_BITS, first, n;

	if (cid < MASK_BITS)
		return bits >> cid & 1;
	rd_init(&r, high, len);
	while (next_row(&r, &end, &first, &n))
		if (cid >= first && cid < end)
			return true;
	return false;
}

/* -- as text ---------------------------------------------------------------------- */

/* A number without sign, up to max. */
static bool
read_number(const char **p, uint64_t max, uint64_t *out)
{
	uint64_t v = 0, digit;
	const char *at = *p;

	for (; *at >= '0' && *at <= '9'; at++) {
		digit = (uint64_t)(*at - '0');
		if (v > (max - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*out = v;
	if (at == *p)
		return false;
	*p = at;
	return true;
}

bool
mask_read_text(struct mask *m, struct buf *b, const char *text)
{
	uint64_t base, bits;

	for (;;) {
		if (!read_number(&text, INT32_MAX - 64, &base) || *text++ != ':' ||
		    !read_number(&text, INT64_MAX, &bits))
			return false;
		for (; bits != 0; bits &= bits - 1)
			mask_add(m, b, (int)base + __builtin_ctzll(bits));
		if (*text == '\0')
			break;
		if (*text++ != ',')
			return false;
	}
	mask_end(m, b);
	return true;
}

/* ((old."a" IS NOT new."a" COLLATE BINARY)<< what the number of the column
 * follows. */
static void
term(sqlite3_str *s, const struct column *c)
{
	sqlite3_str_appendf(s, "((old.\"%w\" IS NOT new.\"%w\" COLLATE BINARY",
	    c->name, c->name);
	/* a change of type only: 1 to 1.0 where nothing converts */
	if (c->affinity == 'A')
		sqlite3_str_appendf(s, " OR typeof(old.\"%w\") <> "
		    "typeof(new.\"%w\")", c->name, c->name);
	sqlite3_str_appendall(s, ")<<");
}

/* The bits of the columns with numbers from base on; the lowest number above
 * them, -1 if there is none. */
static int
bits_sql(sqlite3_str *s, const struct table *t, int base)
{
	int i, n = 0, next = -1;

	for (i = 0; i < t->ncol; i++) {
		if (t->col[i].cid >= base + MASK_BITS &&
		    (next < 0 || t->col[i].cid < next))
			next = t->col[i].cid;
		if (t->col[i].cid < base || t->col[i].cid >= base + MASK_BITS)
			continue;
		sqlite3_str_appendall(s, n++ > 0 ? "|" : "");
		term(s, &t->col[i]);
		if (base == 0)
			sqlite3_str_appendf(s, "%d)", t->col[i].cid);
		else
			sqlite3_str_appendf(s, "(%d-%d))", t->col[i].cid, base);
	}
	if (n == 0)
		sqlite3_str_appendall(s, "0");
	return next;
}

void
mask_sql(sqlite3_str *s, const struct table *t)
{
	/* SQLite's limit of an expression's depth is 1,000: a tree */
	enum { TOGETHER = 32 };
	bool high = false;
	int i, base = 0, n = 0;

	for (i = 0; i < t->ncol; i++)
		high |= t->col[i].cid >= MASK_BITS;
	if (t->lean)
		sqlite3_str_appendall(s, "NULL");
	else if (!high)
		bits_sql(s, t, 0);
	for (; high && !t->lean && base >= 0; n++) {
		sqlite3_str_appendall(s, n == 0 ? "(" : n % TOGETHER == 0 ? ")||("
		    : "||");
		sqlite3_str_appendf(s, "'%s%d:'||(", n > 0 ? "," : "", base);
		base = bits_sql(s, t, base);
		sqlite3_str_appendall(s, ")");
	}
	sqlite3_str_appendall(s, n > 0 ? ")" : "");
}

int
mask_sql_cid(struct engine *e, const char *sql, const char **at,
    const struct column *c, int *cid)
{
	sqlite3_str *s = sqlite3_str_new(e->db);
	const char *p = NULL;
	uint64_t number;
	char *text;
	int rc;

	*cid = -1;
	term(s, c);
	rc = engine_text(s, SQLITE_OK, &text);
	if (rc != SQLITE_OK)
		return rc;
	if (*at != NULL)
		p = strstr(*at, text);
	if (p == NULL)
		p = strstr(sql, text);
	if (p != NULL) {
		*at = p;
		p += strlen(text);
		p += *p == '(';
		if (read_number(&p, INT32_MAX, &number))
			*cid = (int)number;
	}
	sqlite3_free(text);
	return rc;
}
