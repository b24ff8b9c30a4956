// SPDX-License-Identifier: MPL-2.0
/* status.c - where this database stands, by itself and towards each remote.
 * Looking changes nothing, not even by a fold (R8). */
#include <string.h>
#include <sys/stat.h>

#include "base/rd.h"
#include "store/held.h"
#include "store/inbox.h"
#include "store/merge.h"
#include "store/sql.h"
#include "store/store_private.h"

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

/* -- towards a remote ------------------------------------------------------------ */

static int
read_remote(struct store *s, int64_t id, struct store_remote_status *out,
    uint8_t acked[STORE_CURSOR_LEN], struct err *err)
{
	sqlite3_stmt *stmt;
	char name[STORE_NAME_MAX] = "";
	bool row = false;
	int rc;

	rc = sql_open(s->db, &stmt, err, "SELECT name, pulled, acked FROM "
	    "ddcp_remote WHERE id = ?1", "i", id);
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	if (row) {
		sql_column_text(stmt, 0, name, sizeof name);
		out->ever_pulled = sqlite3_column_int(stmt, 1) != 0;
		sql_column(stmt, 2, acked, STORE_CURSOR_LEN);
	}
	sqlite3_finalize(stmt);
	return rc == 0 ? store_remote_by_name(s, name, &out->remote, err) : rc;
}

/* Own transactions behind the acknowledged place. */
static int
count_ahead(struct store *s, const uint8_t acked[STORE_CURSOR_LEN],
    uint64_t *ahead, struct err *err)
{
	uint8_t head[STORE_CURSOR_LEN];
	struct rd r;
	int64_t n, from = 0;
	bool found;
	int rc;

	rc = sql_bytes(s->db, head, sizeof head, &found, err,
	    "SELECT crsql_head()", "");
	if (rc == 0)
		rc = sql_int(s->db, &n, err, "SELECT count(*) FROM sqlite_schema "
		    "WHERE type = 'table' AND name = 'crsql_log'", "");
	if (rc != 0 || n == 0)
		return rc;
	if (memcmp(head, acked, 8) == 0) {
		rd_init(&r, acked + 8, 8);
		from = (int64_t)rd_u64(&r);
	}
	rc = sql_int(s->db, &n, err, "SELECT count(*) FROM crsql_log WHERE "
	    "dbv > ?1 AND pos = 0 AND site IS NULL", "i", from);
	*ahead = (uint64_t)n;
	return rc;
}

int
store_remote_status(struct store *s, int64_t remote,
    struct store_remote_status *out, struct err *err)
{
	uint8_t acked[STORE_CURSOR_LEN] = { 0 };
	int rc;

	memset(out, 0, sizeof *out);
	store_only_look(s, true);
	rc = read_remote(s, remote, out, acked, err);
	if (rc == 0)
		rc = count_ahead(s, acked, &out->ahead, err);
	store_only_look(s, false);
	if (rc == 0)
		rc = inbox_held(s, out->remote.key, &out->held_transactions,
		    &out->held_rows, err);
	/* Of what is not fetched nothing is known here. */
	out->behind = out->held_transactions;
	out->behind_known = out->ever_pulled || out->behind > 0;
	return rc;
}
