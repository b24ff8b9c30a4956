// SPDX-License-Identifier: MPL-2.0
/* status.c - where this database stands, by itself and towards each remote.
 * Looking changes nothing, not even by a fold (R8). */
#include <string.h>
#include <sys/stat.h>

#include "base/rd.h"
#include "store/held.h"
#include "store/inbox.h"
#include "store/merge.h"
#include "store/past.h"
#include "store/sql.h"
#include "store/store_private.h"

enum { COUNT_MAX = 10000 };     /* rows of the log, for one remote */

static int
read_status(struct store *s, struct store_status *out, struct err *err)
{
	struct held h;
	int64_t n;
	int rc;

	rc = sql_int(s->db, &n, err, "SELECT crsql_db_version()", "");
	out->version = (uint64_t)n;
	if (rc == 0)
		rc = sql_int(s->db, &n, err, "SELECT crsql_pending()", "");
	out->pending = (uint64_t)n;
	if (rc == 0)
		rc = merge_parked(s->db, &out->parked, err);
	if (rc == 0)
		rc = store_conflict_count(s, &out->conflicts, err);
	if (rc != 0)
		return rc;
	rc = held_load(s->db, &h, err);
	out->tables = h.ntables;
	held_clear(&h);
	return rc;
}

int
store_status(struct store *s, struct store_status *out, struct err *err)
{
	struct stat st;
	int rc;

	memset(out, 0, sizeof *out);
	store_only_look(s, true);
	rc = read_status(s, out, err);
	store_only_look(s, false);
	if (stat(s->db_file, &st) == 0)
		out->file_bytes = (uint64_t)st.st_size;
	return rc;
}

int
store_parked_each(struct store *s, int (*each)(void *self, const char *table,
    const char *reason, uint64_t n), void *self, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	const char *reason;
	bool row = true;
	int rc;

	store_only_look(s, true);
	rc = sql_open(s->db, &stmt, err, "SELECT \"table\", reason, count(*) "
	    "FROM crsql_parked GROUP BY 1, 2 ORDER BY 1, 3 DESC", "");
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		reason = (const char *)sqlite3_column_text(stmt, 1);
		rc = each(self, (const char *)sqlite3_column_text(stmt, 0),
		    reason != NULL ? reason : "",
		    (uint64_t)sqlite3_column_int64(stmt, 2));
	}
	sqlite3_finalize(stmt);
	store_only_look(s, false);
	return rc;
}

/* -- towards a remote ------------------------------------------------------------ */

/* How far the peer got with us, by what it said. */
struct reached {
	uint8_t acked[STORE_CURSOR_LEN];        /* merged, in our log */
	uint8_t holds[HOLDS_LEN];               /* of our own changes */
};

static int
read_remote(struct store *s, int64_t id, struct store_remote_status *out,
    struct reached *reached, struct err *err)
{
	sqlite3_stmt *stmt;
	char name[STORE_NAME_MAX] = "";
	bool row = false;
	int rc;

	rc = sql_open(s->db, &stmt, err, "SELECT name, pulled, acked, holds FROM "
	    "ddcp_remote WHERE id = ?1", "i", id);
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	if (row) {
		sql_column_text(stmt, 0, name, sizeof name);
		out->ever_pulled = sqlite3_column_int(stmt, 1) != 0;
		sql_column(stmt, 2, reached->acked, STORE_CURSOR_LEN);
		sql_column(stmt, 3, reached->holds, HOLDS_LEN);
	}
	sqlite3_finalize(stmt);
	return rc == 0 ? store_remote_by_name(s, name, &out->remote, err) : rc;
}

static int64_t
number_at(const uint8_t *bytes)
{
	struct rd r;

	rd_init(&r, bytes, 8);
	return (int64_t)rd_u64(&r);
}

/* What we changed behind the place that the peer has reached.  No more than
 * COUNT_MAX rows of the log are looked at: who is that far behind need not know
 * how far. */
static int
count_ahead(struct store *s, const struct reached *reached,
    struct store_remote_status *out, struct err *err)
{
	uint8_t head[STORE_CURSOR_LEN];
	sqlite3_stmt *stmt = NULL;
	int64_t held, from = 0;
	bool found, any, row = false;
	int rc;

	rc = sql_bytes(s->db, head, sizeof head, &found, err,
	    "SELECT crsql_head()", "");
	if (rc == 0)
		rc = sql_has_table(s->db, "crsql_log", &any, err);
	if (rc != 0 || !any)
		return rc;
	if (memcmp(head, reached->acked, 8) == 0)
		from = number_at(reached->acked + 8);
	held = number_at(reached->holds + STORE_SITE_LEN);
	if (memcmp(s->site, reached->holds, STORE_SITE_LEN) == 0 && held > from)
		from = held;
	rc = sql_open(s->db, &stmt, err, "SELECT count(*), sum(pos = 0 AND site "
	    "IS NULL), sum(CASE WHEN site IS NOT NULL OR n = 0 THEN 0 WHEN "
	    "n > 0 THEN n ELSE 1 END) FROM (SELECT pos, n, site FROM crsql_log "
	    "WHERE dbv > ?1 LIMIT ?2)", "ii", from, (int64_t)COUNT_MAX);
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	if (rc == 0 && row) {
		out->ahead_more = sqlite3_column_int64(stmt, 0) == COUNT_MAX;
		out->ahead = (uint64_t)sqlite3_column_int64(stmt, 1);
		out->ahead_rows = (uint64_t)sqlite3_column_int64(stmt, 2);
	}
	sqlite3_finalize(stmt);
	return rc;
}

int
store_remote_status(struct store *s, int64_t remote,
    struct store_remote_status *out, struct err *err)
{
	struct reached reached = { 0 };
	int rc;

	memset(out, 0, sizeof *out);
	store_only_look(s, true);
	rc = read_remote(s, remote, out, &reached, err);
	if (rc == 0)
		rc = count_ahead(s, &reached, out, err);
	store_only_look(s, false);
	if (rc == 0)
		rc = inbox_held(s, out->remote.key, &out->held_transactions,
		    &out->held_rows, err);
	/* Of what is not fetched nothing is known here. */
	out->behind = out->held_transactions;
	out->behind_rows = out->held_rows;
	out->behind_known = out->ever_pulled || out->behind > 0;
	return rc;
}
