// SPDX-License-Identifier: MPL-2.0
/*
 * history.c - log, show and blame: what the engine's tables crsql_transactions,
 * crsql_transaction_tables and crsql_history tell.  What plain programs wrote is
 * taken in first, where that is possible now; else nothing is written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/author.h"
#include "store/history.h"
#include "store/rows.h"
#include "store/sql.h"
#include "store/store_private.h"

enum { LOG_CHUNK = 64 };        /* transactions in memory */

/* What the log of one call needs. */
struct history {
	struct store *s;
	struct authors authors;
	const char *table;      /* by its own name, or NULL */
	bool by_author;
	sqlite3_stmt *tally;    /* kept for one chunk */
	struct err *err;
};

struct store_value
history_value(sqlite3_stmt *stmt, int i)
{
	struct store_value v = { .type = STORE_NULL };

	switch (sqlite3_column_type(stmt, i)) {
	case SQLITE_INTEGER:
		v.type = STORE_INTEGER;
		v.integer = sqlite3_column_int64(stmt, i);
		return v;
	case SQLITE_FLOAT:
		v.type = STORE_REAL;
		v.real = sqlite3_column_double(stmt, i);
		return v;
	case SQLITE_TEXT:
		v.type = STORE_TEXT;
		v.data = sqlite3_column_text(stmt, i);
		break;
	case SQLITE_BLOB:
		v.type = STORE_BLOB;
		v.data = sqlite3_column_blob(stmt, i);
		break;
	default:
		return v;
	}
	/* no data: an empty blob, or no memory, which the next step says */
	v.size = v.data != NULL ? (size_t)sqlite3_column_bytes(stmt, i) : 0;
	v.data = v.data != NULL ? v.data : "";
	return v;
}

int
history_bind(sqlite3_stmt *stmt, int i, const struct store_value *v)
{
	switch (v->type) {
	case STORE_INTEGER:
		return sqlite3_bind_int64(stmt, i, v->integer);
	case STORE_REAL:
		return sqlite3_bind_double(stmt, i, v->real);
	case STORE_TEXT:
		return sqlite3_bind_text64(stmt, i, v->data, v->size,
		    SQLITE_STATIC, SQLITE_UTF8);
	case STORE_BLOB:
		return sqlite3_bind_blob64(stmt, i, v->data, v->size,
		    SQLITE_STATIC);
	default:
		return sqlite3_bind_null(stmt, i);
	}
}

int
history_table(struct store *s, const char *name, char **out, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int rc;

	*out = NULL;
	rc = sql_has_table(s->db, "crsql_tbl", &row, err);
	if (rc == 0 && row)
		rc = sql_open(s->db, &stmt, err, "SELECT name FROM crsql_tbl WHERE "
		    "name = ?1 COLLATE NOCASE", "t", name);
	if (rc == 0 && row)
		rc = sql_next(stmt, &row, err);
	if (rc == 0 && row) {
		*out = strdup((const char *)sqlite3_column_text(stmt, 0));
		if (*out == NULL)
			rc = err_nomem(err);
	}
	sqlite3_finalize(stmt);
	if (rc == 0 && *out == NULL)
		rc = err_set(err, E_NOTFOUND, "\"ddcp track\" lists those that are",
		    "there is no replicated table %s", name);
	return rc;
}

/* -- transactions ---------------------------------------------------------------- */

struct chunk {
	struct store_transaction *t;    /* LOG_CHUNK of them */
	size_t n;
	uint64_t before;        /* the next one begins below this */
	bool end;               /* there is none */
};

static void
clear_transaction(struct store_transaction *t)
{
	size_t i;

	for (i = 0; i < t->ntally; i++)
		free(t->tally[i].table);
	free(t->tally);
	memset(t, 0, sizeof *t);
}

static int
add_tally(struct store_transaction *t, sqlite3_stmt *stmt, struct err *err)
{
	const char *table = (const char *)sqlite3_column_text(stmt, 0);
	struct store_tally *p = realloc(t->tally, (t->ntally + 1) * sizeof *p);

	if (p == NULL)
		return err_nomem(err);
	t->tally = p;
	p = &t->tally[t->ntally];
	*p = (struct store_tally){ .table = table != NULL ? strdup(table) : NULL,
		.inserted = (uint64_t)sqlite3_column_int64(stmt, 1),
		.changed = (uint64_t)sqlite3_column_int64(stmt, 2),
		.deleted = (uint64_t)sqlite3_column_int64(stmt, 3),
		.parked = (uint64_t)sqlite3_column_int64(stmt, 4) };
	if (p->table == NULL)
		return err_nomem(err);
	t->ntally++;
	return 0;
}

#define TALLY "SELECT \"table\", inserted, changed, deleted, parked FROM " \
	"crsql_transaction_tables WHERE db_version = ?1"

/* What it did to each table, or to the one that is asked for. */
static int
read_tally(struct history *h, struct store_transaction *t)
{
	bool row = true;
	int rc = 0;

	if (h->tally == NULL)
		rc = sql_open(h->s->db, &h->tally, h->err, h->table == NULL ?
		    TALLY " ORDER BY \"table\"" : TALLY " AND \"table\" = ?2", "");
	if (rc != 0)
		return rc;
	sqlite3_bind_int64(h->tally, 1, (int64_t)t->db_version);
	if (h->table != NULL)
		sqlite3_bind_text(h->tally, 2, h->table, -1, SQLITE_STATIC);
	while (rc == 0 && row) {
		rc = sql_next(h->tally, &row, h->err);
		if (rc == 0 && row)
			rc = add_tally(t, h->tally, h->err);
	}
	sqlite3_reset(h->tally);
	return rc;
}

static void
end_chunk(struct history *h)
{
	sqlite3_finalize(h->tally);
	h->tally = NULL;
	store_only_look(h->s, false);
}

/* The header that stmt stands at: *wanted tells whether it is to be given. */
static int
read_transaction(struct history *h, sqlite3_stmt *stmt,
    struct store_transaction *t, bool *wanted)
{
	uint8_t site[STORE_SITE_LEN];
	int rc = 0;

	memset(t, 0, sizeof *t);
	t->db_version = (uint64_t)sqlite3_column_int64(stmt, 0);
	sql_column(stmt, 1, site, sizeof site);
	t->version = (uint64_t)sqlite3_column_int64(stmt, 2);
	t->time_ms = sqlite3_column_int64(stmt, 3);
	sql_column(stmt, 4, t->token, sizeof t->token);
	*wanted = !h->by_author || authors_chosen(&h->authors, site);
	if (*wanted)
		rc = authors_get(h->s, &h->authors, site, &t->author, h->err);
	if (rc == 0 && *wanted)
		rc = read_tally(h, t);
	*wanted = *wanted && (h->table == NULL || t->ntally > 0);
	if (rc != 0 || !*wanted)
		clear_transaction(t);
	return rc;
}

#define HEADERS "SELECT db_version, site_id, site_version, time, token FROM " \
	"crsql_transactions "

static int
read_chunk(struct history *h, struct chunk *c, size_t max)
{
	sqlite3_stmt *stmt;
	bool row = true, wanted;
	int rc;

	rc = sql_open(h->s->db, &stmt, h->err, HEADERS
	    "WHERE db_version < ?1 ORDER BY db_version DESC", "i",
	    (int64_t)c->before);
	while (rc == 0 && row && c->n < max) {
		rc = sql_next(stmt, &row, h->err);
		if (rc != 0 || !row)
			break;
		c->before = (uint64_t)sqlite3_column_int64(stmt, 0);
		rc = read_transaction(h, stmt, &c->t[c->n], &wanted);
		c->n += rc == 0 && wanted;
	}
	c->end = !row;
	sqlite3_finalize(stmt);
	return rc;
}

/* Gives what was read, with no statement open; frees it in any case. */
static int
give_chunk(struct chunk *c, int rc, int (*each)(void *self,
    const struct store_transaction *t), void *self)
{
	size_t i;

	for (i = 0; i < c->n; i++) {
		if (rc == 0)
			rc = each(self, &c->t[i]);
		clear_transaction(&c->t[i]);
	}
	c->n = 0;
	return rc;
}

static int
log_each(struct history *h, uint64_t limit, int (*each)(void *self,
    const struct store_transaction *t), void *self)
{
	struct chunk c = { .before = INT64_MAX };
	uint64_t given = 0;
	size_t max;
	int rc = 0;

	c.t = calloc(LOG_CHUNK, sizeof *c.t);
	if (c.t == NULL)
		return err_nomem(h->err);
	while (rc == 0 && !c.end && (limit == 0 || given < limit)) {
		max = limit == 0 || limit - given > LOG_CHUNK ? LOG_CHUNK :
		    (size_t)(limit - given);
		store_only_look(h->s, true);
		rc = read_chunk(h, &c, max);
		end_chunk(h);
		given += c.n;
		rc = give_chunk(&c, rc, each, self);
	}
	free(c.t);
	return rc;
}

int
store_log_each(struct store *s, const struct store_log *which,
    int (*each)(void *self, const struct store_transaction *t), void *self,
    struct err *err)
{
	struct history h = { .s = s, .by_author = which->author != NULL,
		.err = err };
	char *table = NULL;
	int rc;

	store_fold(s);
	rc = authors_load(s, &h.authors, err);
	if (rc == 0 && which->author != NULL)
		rc = authors_choose(s, &h.authors, which->author, err);
	if (rc == 0 && which->table != NULL)
		rc = history_table(s, which->table, &table, err);
	h.table = table;
	if (rc == 0)
		rc = log_each(&h, which->limit, each, self);
	free(table);
	authors_clear(&h.authors);
	return rc;
}

/* -- one transaction -------------------------------------------------------------- */

/* "bob@92", "@142": the author, NULL where it is our own number, to be freed. */
static int
parse_name(const char *name, char **author, int64_t *version, struct err *err)
{
	const char *at = strrchr(name, '@');
	char *end = NULL;

	*author = NULL;
	errno = 0;
	*version = at != NULL ? strtoll(at + 1, &end, 10) : 0;
	if (at == NULL || *end != '\0' || errno != 0 || *version <= 0)
		return err_set(err, E_USAGE, "name it as \"ddcp log\" does: "
		    "bob@92, me@17, or @142 for the version 142 of this database",
		    "%s names no transaction", name);
	if (at == name)
		return 0;
	*author = strndup(name, (size_t)(at - name));
	return *author != NULL ? 0 : err_nomem(err);
}

/* The transactions of that name: one, unless it came in parts. */
static int
find_transactions(struct history *h, int64_t version, struct chunk *c)
{
	sqlite3_stmt *stmt;
	bool row = true, wanted;
	int rc;

	rc = h->by_author ? sql_open(h->s->db, &stmt, h->err, HEADERS
	    "WHERE site_version = ?1 ORDER BY db_version", "i", version) :
	    sql_open(h->s->db, &stmt, h->err, HEADERS "WHERE db_version = ?1", "i",
	    version);
	while (rc == 0 && row && c->n < LOG_CHUNK) {
		rc = sql_next(stmt, &row, h->err);
		if (rc == 0 && row) {
			rc = read_transaction(h, stmt, &c->t[c->n], &wanted);
			c->n += rc == 0 && wanted;
		}
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* How many values are known to be gone: what it set is counted by seqs, so those
 * missing below the highest one there is, or, behind it, rows of its runs. */
static uint64_t
lost_of(const struct store_transaction *t, uint64_t kept, uint64_t all,
    uint64_t rows)
{
	uint64_t counted = 0, by_seq = all > kept ? all - kept : 0;
	size_t i;

	for (i = 0; i < t->ntally; i++)
		counted += t->tally[i].inserted + t->tally[i].changed +
		    t->tally[i].deleted;
	counted = counted > rows ? counted - rows : 0;
	return counted > by_seq ? counted : by_seq;
}

static int
show_rows(struct history *h, const struct store_transaction *t,
    const struct store_show *calls)
{
	struct rows_wanted wanted = { .db_version = t->db_version };
	struct rows rows;
	uint64_t kept = 0, all = 0, n = 0;
	bool more = true;
	size_t i;
	int rc = 0;

	while (rc == 0 && more) {
		rc = rows_read(h->s, &h->authors, &wanted, &rows, h->err);
		for (i = 0; i < rows.n && rc == 0; i++)
			rc = calls->change(calls->self, &rows.change[i]);
		kept += rows.values;
		n += rows.n;
		if (rows.last_seq >= (int64_t)all)
			all = (uint64_t)rows.last_seq + 1;
		more = rows.more;
		rows_clear(&rows);
	}
	return rc == 0 ? calls->end(calls->self, kept, lost_of(t, kept, all, n)) :
	    rc;
}

static int
show(struct history *h, const char *name, int64_t version, struct chunk *c,
    const struct store_show *calls)
{
	size_t i;
	int rc;

	store_only_look(h->s, true);
	rc = find_transactions(h, version, c);
	end_chunk(h);
	if (rc == 0 && c->n == 0)
		rc = err_set(h->err, E_NOTFOUND, "\"ddcp log\" lists those that are; "
		    "old ones are forgotten once everybody has them",
		    "there is no transaction %s here", name);
	for (i = 0; i < c->n && rc == 0; i++) {
		rc = calls->transaction(calls->self, &c->t[i]);
		if (rc == 0)
			rc = show_rows(h, &c->t[i], calls);
	}
	for (i = 0; i < c->n; i++)
		clear_transaction(&c->t[i]);
	return rc;
}

int
store_show(struct store *s, const char *name, const struct store_show *calls,
    struct err *err)
{
	struct history h = { .s = s, .err = err };
	struct chunk c = { .t = calloc(LOG_CHUNK, sizeof *c.t) };
	char *author = NULL;
	int64_t version = 0;
	int rc = c.t != NULL ? parse_name(name, &author, &version, err) :
	    err_nomem(err);

	if (rc == 0) {
		store_fold(s);
		rc = authors_load(s, &h.authors, err);
	}
	h.by_author = author != NULL;
	if (rc == 0 && h.by_author)
		rc = authors_choose(s, &h.authors, author, err);
	if (rc == 0)
		rc = show(&h, name, version, &c, calls);
	authors_clear(&h.authors);
	free(author);
	free(c.t);
	return rc;
}

int
history_find(struct store *s, const char *name, int64_t **out, size_t *n,
    struct err *err)
{
	struct history h = { .s = s, .err = err };
	struct chunk c = { .t = calloc(LOG_CHUNK, sizeof *c.t) };
	char *author = NULL;
	int64_t version = 0;
	size_t i;
	int rc = c.t != NULL ? parse_name(name, &author, &version, err) :
	    err_nomem(err);

	*n = 0;
	*out = calloc(LOG_CHUNK, sizeof **out);
	if (rc == 0 && *out == NULL)
		rc = err_nomem(err);
	if (rc == 0)
		rc = authors_load(s, &h.authors, err);
	h.by_author = author != NULL;
	if (rc == 0 && h.by_author)
		rc = authors_choose(s, &h.authors, author, err);
	if (rc == 0)
		rc = find_transactions(&h, version, &c);
	sqlite3_finalize(h.tally);
	for (i = 0; i < c.n; i++) {
		if (rc == 0)
			(*out)[(*n)++] = (int64_t)c.t[i].db_version;
		clear_transaction(&c.t[i]);
	}
	if (rc == 0 && *n == 0)
		rc = err_set(err, E_NOTFOUND, "\"ddcp log\" lists those that are",
		    "there is no transaction %s here", name);
	authors_clear(&h.authors);
	free(author);
	free(c.t);
	return rc;
}
