// SPDX-License-Identifier: MPL-2.0
#include "store/split.h"

#include <stdlib.h>
#include <string.h>

#include "store/sql.h"
#include "store/store_private.h"
#include "store/vector.h"

enum { LOG_ROWS_MAX = 100000 };     /* looked through for a transaction */

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
	return add(s, &e, err);
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

int
split_differs(sqlite3 *db, const struct store_entry *e, bool *differs,
    struct err *err)
{
	int64_t n;
	bool any;
	int rc;

	*differs = false;
	rc = sql_has_table(db, "crsql_log", &any, err);
	if (rc != 0 || !any)
		return rc;
	rc = sql_int(db, &n, err, "SELECT substr(hdr, 7, 8) <> ?3 FROM (SELECT "
	    "pos, site, sver, hdr FROM crsql_log ORDER BY dbv DESC, pos DESC "
	    "LIMIT ?4) WHERE pos = 0 AND sver = ?2 AND site = (SELECT ordinal "
	    "FROM crsql_site_id WHERE site_id = ?1) LIMIT 1", "bibi", e->site,
	    (size_t)STORE_SITE_LEN, (int64_t)e->version, e->token,
	    (size_t)STORE_TOKEN_LEN, (int64_t)LOG_ROWS_MAX);
	*differs = rc == 0 && n != 0;
	return rc;
}

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
