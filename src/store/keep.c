// SPDX-License-Identifier: MPL-2.0
/* keep.c - see keep.h. */
#include "store/keep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/config.h"
#include "store/past.h"
#include "store/schema.h"
#include "store/sql.h"
#include "store/store_private.h"

enum {
	FORGET_AT_ONCE = 20000, /* notes: a merge is not to wait for them */
	NOTE_MAX = 32
};

#define NEWEST "(SELECT dbv FROM crsql_log ORDER BY dbv DESC LIMIT 1)"

static void
name_note(int64_t remote, char out[static NOTE_MAX])
{
	snprintf(out, NOTE_MAX, "held-%lld", (long long)remote);
}

/* The number of the pull of that remote that is held; 0: none is. */
static int
read_note(struct store *s, const char *note, int64_t *pull, struct err *err)
{
	bool held = false;
	int rc = schema_get(s->db, note, pull, sizeof *pull, &held, err);

	if (rc != 0 || !held)
		*pull = 0;
	return rc;
}

int
keep_next(struct store *s, int64_t remote, struct err *err)
{
	char note[NOTE_MAX];

	name_note(remote, note);
	return read_note(s, note, &s->pull, err);
}

int
keep_held(struct store *s, int64_t remote, struct err *err)
{
	char note[NOTE_MAX];

	name_note(remote, note);
	return s->pull != 0 ? schema_set(s->db, note, &s->pull,
	    sizeof s->pull, err) : 0;
}

int
keep_over(struct store *s, int64_t remote, struct err *err)
{
	char note[NOTE_MAX];
	int64_t pull;
	int rc;

	name_note(remote, note);
	rc = read_note(s, note, &pull, err);
	return rc == 0 && pull != 0 ? schema_forget(s->db, note, err) : rc;
}

int
keep_newest(sqlite3 *db, int64_t *out, struct err *err)
{
	return sql_int(db, out, err, "SELECT " NEWEST, "");
}

int
keep_begin(struct merge *m, struct err *err)
{
	sqlite3 *db = m->s->db;
	bool has = false;
	int rc = sql_has_table(db, "ddcp_merge", &has, err);

	if (rc == 0 && !has)
		rc = sql_do(db, err, "CREATE TABLE ddcp_merge(first INTEGER PRIMARY "
		    "KEY, last INTEGER NOT NULL, time_ms INTEGER NOT NULL, remote "
		    "INTEGER NOT NULL, pull INTEGER NOT NULL, bytes INTEGER NOT "
		    "NULL)", "");
	if (rc == 0)
		rc = sql_do(db, err, "SELECT crsql_keep_before(1)", "");
	if (rc == 0)
		rc = keep_newest(db, &m->head, err);
	return rc;
}

/* -- is it too much? ------------------------------------------------------------- */

/* "ROWS,PERCENT%", or "no". */
static int
read_limit(struct store *s, uint64_t *rows, uint64_t *percent, struct err *err)
{
	char value[64];
	unsigned long long r = 0, p = 0;
	int rc = store_config_get(s, "merge.max-delete", value, sizeof value,
	    err);

	*rows = UINT64_MAX;
	*percent = 0;
	if (rc == 0 && sscanf(value, "%llu,%llu%%", &r, &p) == 2) {
		*rows = r;
		*percent = p;
	}
	return rc;
}

/* Rows that were there and are not, of one table that is a candidate. */
static int
check_table(struct merge *m, const char *table, int64_t first,
    uint64_t rows, uint64_t percent, struct err *err)
{
	int64_t deleted = 0, left = 0;
	char *sql = sqlite3_mprintf("SELECT count(*) FROM \"%w\"", table);
	int rc = sql == NULL ? err_nomem(err) : sql_int(m->s->db, &deleted, err,
	    "SELECT count(DISTINCT pk) FROM crsql_before WHERE db_version >= ?1 AND "
	    "\"table\" = ?2 AND existed AND kind = 'delete'", "it", first, table);

	if (rc == 0 && (uint64_t)deleted > rows)
		rc = sql_int(m->s->db, &left, err, sql, "");
	sqlite3_free(sql);
	if (rc != 0 || (uint64_t)deleted <= rows ||
	    (uint64_t)deleted * 100 <= (uint64_t)(deleted + left) * percent)
		return rc;
	return err_set(err, E_HELD, "\"ddcp diff\" shows what it would do, \"ddcp "
	    "merge --allow-delete\" does it", "held: merging would delete %lld of "
	    "%lld rows of %s", (long long)deleted, (long long)(deleted + left),
	    table);
}

/* Tombstones are counted first: there are rarely so many. */
static int
check_deletes(struct merge *m, int64_t first, struct err *err)
{
	uint64_t rows, percent;
	sqlite3_stmt *stmt = NULL;
	bool row = true;
	int rc = m->s->allow_delete ? 0 : read_limit(m->s, &rows, &percent, err);

	if (rc != 0 || m->s->allow_delete || rows == UINT64_MAX)
		return rc;
	rc = sql_open(m->s->db, &stmt, err, "SELECT t.name FROM crsql_log l JOIN "
	    "crsql_tbl t ON t.id = l.tbl WHERE l.dbv >= ?1 AND l.n = -2 GROUP BY "
	    "t.id HAVING count(*) > ?2", "ii", first, (int64_t)rows);
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc == 0 && row)
			rc = check_table(m, (const char *)sqlite3_column_text(stmt, 0),
			    first, rows, percent, err);
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* -- what is kept ----------------------------------------------------------------- */

/* The time before which merges are too old, and how much may be kept. */
static int
read_bounds(struct store *s, int64_t *time_ms, int64_t *bytes, struct err *err)
{
	uint64_t days = 0, most = 0;
	int rc = config_number(s, "undo.keep", &days, err);

	if (rc == 0)
		rc = config_number(s, "undo.max-bytes", &most, err);
	*time_ms = clock_ms() - (int64_t)days * 86400000;
	*bytes = (int64_t)most;
	return rc;
}

struct due {
	bool is;
	int64_t time_ms, bytes;         /* the bounds */
};

/* Whether there is anything to forget.  Asked at each merge: what finds out which has
 * a window over all merges, and takes longer to be parsed than this to run. */
static int
find_due(struct store *s, struct due *out, struct err *err)
{
	int64_t n = 0;
	bool has = false;
	int rc = sql_has_table(s->db, "ddcp_merge", &has, err);

	if (rc == 0 && has)
		rc = read_bounds(s, &out->time_ms, &out->bytes, err);
	if (rc == 0 && has)
		rc = sql_int(s->db, &n, err, "SELECT EXISTS(SELECT 1 FROM ddcp_merge "
		    "WHERE time_ms < ?1) OR (SELECT total(bytes) FROM ddcp_merge) > "
		    "?2 OR EXISTS(SELECT 1 FROM main.crsql_old WHERE dbv < (SELECT "
		    "coalesce(min(first), 9e18) FROM ddcp_merge))", "ii",
		    out->time_ms, out->bytes);
	out->is = n != 0;
	return rc;
}

/* Merges that are too old go, and, the oldest first, those that are too much; their
 * notes a part at a time. */
static int
forget(struct store *s, const struct due *due, struct err *err)
{
	int rc;

	if (!due->is)
		return 0;
	rc = sql_do(s->db, err, "DELETE FROM ddcp_merge WHERE first <= (SELECT "
	    "max(first) FROM (SELECT first, time_ms, sum(bytes) OVER (ORDER BY first "
	    "DESC) AS total FROM ddcp_merge) WHERE time_ms < ?1 OR total > ?2)", "ii",
	    due->time_ms, due->bytes);
	return rc == 0 ? sql_do(s->db, err, "SELECT crsql_forget_before((SELECT "
	    "coalesce(min(first) - 1, " NEWEST ") FROM ddcp_merge), ?1)", "i",
	    (int64_t)FORGET_AT_ONCE) : rc;
}

int
store_forget(struct store *s, bool *more, struct err *err)
{
	struct due due;
	int rc;

	*more = false;
	if (s->readonly)
		return 0;
	rc = find_due(s, &due, err);
	if (rc != 0 || !due.is)
		return rc;
	rc = sql_begin(s->db, err);
	if (rc == 0)
		rc = sql_end(s->db, forget(s, &due, err), err);
	if (rc == 0)
		rc = find_due(s, &due, err);
	*more = rc == 0 && due.is;
	return rc;
}

static int
write_merge(struct merge *m, int64_t last, struct err *err)
{
	sqlite3 *db = m->s->db;
	int64_t bytes = 0;
	int rc = sql_int(db, &bytes, err, "SELECT crsql_keep_before(1)", "");

	if (rc == 0 && m->s->pull == 0)
		rc = sql_int(db, &m->s->pull, err, "SELECT coalesce(max(pull), 0) + 1 "
		    "FROM ddcp_merge", "");
	return rc == 0 ? sql_do(db, err, "INSERT INTO ddcp_merge VALUES(?1, ?2, ?3, "
	    "?4, ?5, ?6)", "iiiiii", m->head + 1, last, clock_ms(), m->remote,
	    m->s->pull, bytes) : rc;
}

int
keep_end(struct merge *m, struct err *err)
{
	int64_t last = 0, first = m->head + 1;
	struct due due;
	int rc = keep_newest(m->s->db, &last, err);

	if (rc != 0 || last <= m->head)
		return rc;
	if (m->s->pull != 0)
		rc = sql_int(m->s->db, &first, err, "SELECT coalesce(min(first), ?2) "
		    "FROM ddcp_merge WHERE pull = ?1", "ii", m->s->pull, first);
	if (rc == 0)
		rc = check_deletes(m, first, err);
	if (rc == 0)
		rc = write_merge(m, last, err);
	if (rc == 0)
		rc = find_due(m->s, &due, err);
	return rc == 0 ? forget(m->s, &due, err) : rc;
}
