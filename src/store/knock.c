// SPDX-License-Identifier: MPL-2.0
/* knock.c - strangers who called and were refused: table ddcp_knock. */
#include <string.h>

#include "store/sql.h"
#include "store/store_private.h"

enum {
	KNOCKS_MAX = 64,
	KNOCK_WAIT_MS = 100     /* for the write lock: a stranger calls again */
};

static int
write_knock(struct store *s, const uint8_t key[static KEY_LEN],
    const char *place, int64_t now_ms, bool *first, struct err *err)
{
	int64_t before;
	int rc;

	rc = sql_int(s->db, &before, err, "SELECT count(*) FROM ddcp_knock "
	    "WHERE key = ?1", "b", key, (size_t)KEY_LEN);
	if (rc == 0)
		rc = sql_do(s->db, err, "INSERT INTO ddcp_knock VALUES(?1, ?2, "
		    "?3, ?3, 1) ON CONFLICT DO UPDATE SET place = excluded.place, "
		    "last_ms = excluded.last_ms, count = count + 1", "bti", key,
		    (size_t)KEY_LEN, place, now_ms);
	if (rc == 0 && before == 0)
		rc = sql_do(s->db, err, "DELETE FROM ddcp_knock WHERE key IN "
		    "(SELECT key FROM ddcp_knock ORDER BY last_ms DESC, key "
		    "LIMIT -1 OFFSET ?1)", "i", (int64_t)KNOCKS_MAX);
	*first = before == 0;
	return rc;
}

int
store_knock(struct store *s, const uint8_t key[static KEY_LEN],
    const char *place, int64_t now_ms, bool *first, struct err *err)
{
	int rc;

	*first = false;
	rc = store_writable(s, err);
	if (rc != 0)
		return rc;
	sqlite3_busy_timeout(s->db, KNOCK_WAIT_MS);
	rc = sql_begin(s->db, err);
	if (rc == 0)
		rc = sql_end(s->db, write_knock(s, key, place != NULL ?
		    place : "", now_ms, first, err), err);
	sqlite3_busy_timeout(s->db, s->busy_ms);
	return rc;
}

int
store_knock_each(struct store *s,
    int (*each)(void *self, const struct store_knock *k), void *self,
    struct err *err)
{
	struct store_knock list[KNOCKS_MAX];
	sqlite3_stmt *stmt;
	int rc, n = 0, i;
	bool row = true;

	rc = sql_open(s->db, &stmt, err, "SELECT key, first_ms, last_ms, count, "
	    "place FROM ddcp_knock ORDER BY last_ms DESC, key LIMIT ?1", "i",
	    (int64_t)KNOCKS_MAX);
	while (rc == 0 && row && n < KNOCKS_MAX) {
		struct store_knock *k = &list[n];

		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		sql_column(stmt, 0, k->key, sizeof k->key);
		k->first_ms = sqlite3_column_int64(stmt, 1);
		k->last_ms = sqlite3_column_int64(stmt, 2);
		k->count = sqlite3_column_int64(stmt, 3);
		sql_column_text(stmt, 4, k->place, sizeof k->place);
		n++;
	}
	sqlite3_finalize(stmt);
	for (i = 0; i < n && rc == 0; i++)
		rc = each(self, &list[i]);
	return rc;
}

int
store_knock_forget(struct store *s, const uint8_t key[static KEY_LEN],
    struct err *err)
{
	return sql_do(s->db, err, "DELETE FROM ddcp_knock WHERE key = ?1", "b",
	    key, (size_t)KEY_LEN);
}
