// SPDX-License-Identifier: MPL-2.0
#include "store/split.h"

#include <stdlib.h>
#include <string.h>

#include "store/sql.h"
#include "store/store_private.h"
#include "store/vector.h"

enum { LOG_ROWS_MAX = 100000 };     /* looked through, from the newest on */

static int
add(struct split *s, const struct split_site *site, struct err *err)
{
	struct split_site *list = realloc(s->site, (s->n + 1) * sizeof *list);

	if (list == NULL)
		return err_nomem(err);
	s->site = list;
	s->site[s->n++] = *site;
	return 0;
}

int
split_add(struct split *s, const uint8_t site[static STORE_SITE_LEN],
    struct err *err)
{
	struct split_site e = { .came = 0 };

	memcpy(e.id, site, sizeof e.id);
	return split_has(s, site) ? 0 : add(s, &e, err);
}

void
split_drop(const struct split *s, struct store_vector *v)
{
	struct store_entry none = { .version = 0 };
	size_t i;

	for (i = 0; i < s->n; i++) {
		memcpy(none.site, s->site[i].id, STORE_SITE_LEN);
		vector_set(v, &none, NULL);     /* removing never fails */
	}
}

int
split_load(sqlite3 *db, struct split *s, struct err *err)
{
	struct split_site site;
	sqlite3_stmt *stmt;
	bool row = true;
	int rc;

	memset(s, 0, sizeof *s);
	rc = sql_open(db, &stmt, err, "SELECT site, came FROM ddcp_split", "");
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		site.came = (uint64_t)sqlite3_column_int64(stmt, 1);
		if (sql_column(stmt, 0, site.id, sizeof site.id))
			rc = add(s, &site, err);
	}
	sqlite3_finalize(stmt);
	return rc;
}

void
split_clear(struct split *s)
{
	free(s->site);
	memset(s, 0, sizeof *s);
}

bool
split_has(const struct split *s, const uint8_t site[static STORE_SITE_LEN])
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (memcmp(s->site[i].id, site, STORE_SITE_LEN) == 0)
			return true;
	return false;
}

int
split_note(sqlite3 *db, const uint8_t site[static STORE_SITE_LEN],
    struct err *err)
{
	static const char *const all[] = { "DELETE FROM ddcp_cursor_table",
		"DELETE FROM ddcp_cursor" };
	size_t i;
	int rc;

	rc = sql_do(db, err, "INSERT OR IGNORE INTO ddcp_split VALUES(?1, 0)",
	    "b", site, (size_t)STORE_SITE_LEN);
	if (rc == 0)
		rc = sql_do(db, err, "DELETE FROM ddcp_vector WHERE site = ?1",
		    "b", site, (size_t)STORE_SITE_LEN);
	for (i = 0; i < sizeof all / sizeof *all && rc == 0; i++)
		rc = sql_do(db, err, all[i], "");
	return rc;
}

void
split_keep(struct store *s, const struct split *found, size_t from)
{
	size_t i;
	int rc = 0;

	if (from >= found->n || s->readonly || sql_begin(s->db, NULL) != 0)
		return;
	for (i = from; i < found->n && rc == 0; i++)
		rc = split_note(s->db, found->site[i].id, NULL);
	if (sql_end(s->db, rc, NULL) == 0)
		s->merges++;
}

int
split_came(sqlite3 *db, const uint8_t site[static STORE_SITE_LEN],
    struct err *err)
{
	return sql_do(db, err, "UPDATE ddcp_split SET came = came + 1 WHERE "
	    "site = ?1", "b", site, (size_t)STORE_SITE_LEN);
}

/* -- finding them ----------------------------------------------------------- */

/* A transaction of another's site that may be in the log. */
struct look {
	int64_t ordinal, version;
	const struct store_entry *e;
};

static int
by_origin(const void *a, const void *b)
{
	const struct look *x = a, *y = b;

	if (x->ordinal != y->ordinal)
		return x->ordinal < y->ordinal ? -1 : 1;
	return (x->version > y->version) - (x->version < y->version);
}

/* What is known here of that site: its newest transaction, 0 if none. */
static int
newest_of(sqlite3 *db, const struct store_entry *e, struct look *look,
    uint8_t token[STORE_TOKEN_LEN], int64_t *version, struct err *err)
{
	sqlite3_stmt *stmt;
	bool row;
	int rc;

	*version = 0;
	rc = sql_open(db, &stmt, err, "SELECT version, token, (SELECT ordinal "
	    "FROM crsql_site_id WHERE site_id = ?1) FROM ddcp_site WHERE "
	    "site = ?1", "b", e->site, (size_t)STORE_SITE_LEN);
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	if (rc == 0 && row) {
		*version = sqlite3_column_int64(stmt, 0);
		if (!sql_column(stmt, 1, token, STORE_TOKEN_LEN))
			memcpy(token, e->token, STORE_TOKEN_LEN);
		*look = (struct look){ sqlite3_column_int64(stmt, 2),
			(int64_t)e->version, e };
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* One walk back through the log for all of them: there is no index. */
static int
walk(sqlite3 *db, struct split *s, struct look *look, size_t n,
    struct err *err)
{
	uint8_t token[STORE_TOKEN_LEN];
	struct look key, *found;
	sqlite3_stmt *stmt;
	bool row = true;
	int rc;

	qsort(look, n, sizeof *look, by_origin);
	rc = sql_open(db, &stmt, err, "SELECT site, sver, substr(hdr, 7, 8) "
	    "FROM (SELECT pos, site, sver, hdr FROM crsql_log ORDER BY dbv "
	    "DESC, pos DESC LIMIT ?1) WHERE pos = 0 AND site IS NOT NULL", "i",
	    (int64_t)LOG_ROWS_MAX);
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		key.ordinal = sqlite3_column_int64(stmt, 0);
		key.version = sqlite3_column_int64(stmt, 1);
		found = bsearch(&key, look, n, sizeof *look, by_origin);
		if (found != NULL && sql_column(stmt, 2, token, sizeof token) &&
		    memcmp(token, found->e->token, sizeof token) != 0)
			rc = split_add(s, found->e->site, err);
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* Adds the entry's site if its newest transaction here says that it is split;
 * older ones are left in look[*n], to be looked for. */
static int
find_newest(sqlite3 *db, struct split *s, const struct store_entry *e,
    struct look *look, size_t *n, struct err *err)
{
	uint8_t token[STORE_TOKEN_LEN];
	int64_t newest;
	int rc;

	rc = newest_of(db, e, &look[*n], token, &newest, err);
	if (rc != 0 || newest < (int64_t)e->version || newest == 0)
		return rc;
	if (newest > (int64_t)e->version)
		(*n)++;
	else if (memcmp(token, e->token, sizeof token) != 0)
		rc = split_add(s, e->site, err);
	return rc;
}

int
split_find(sqlite3 *db, struct split *s, const struct store_vector *const v[],
    size_t nv, const uint8_t own[static STORE_SITE_LEN], struct err *err)
{
	struct look *look;
	size_t i, k, n = 0;
	bool any;
	int rc;

	for (i = 0; i < nv; i++)
		n += v[i]->n;
	look = calloc(n + 1, sizeof *look);
	rc = look == NULL ? err_nomem(err) : 0;
	n = 0;
	for (i = 0; i < nv; i++) {
		for (k = 0; k < v[i]->n && rc == 0; k++) {
			const struct store_entry *e = &v[i]->entry[k];

			if (memcmp(e->site, own, STORE_SITE_LEN) != 0 &&
			    !split_has(s, e->site))
				rc = find_newest(db, s, e, look, &n, err);
		}
	}
	if (rc == 0)
		rc = sql_has_table(db, "crsql_log", &any, err);
	if (rc == 0 && n > 0 && any)
		rc = walk(db, s, look, n, err);
	free(look);
	return rc;
}

/* -- telling of them ---------------------------------------------------------- */

void
split_answer(struct store_entry *e)
{
	memset(e->token, 0, sizeof e->token);
}

bool
split_told(const struct store_entry *e)
{
	static const uint8_t none[STORE_TOKEN_LEN];

	return memcmp(e->token, none, sizeof none) == 0;
}
