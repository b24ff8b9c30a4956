// SPDX-License-Identifier: MPL-2.0
/*
 * acked.c - where a reader says it has merged us: kept, but no reason to wait for
 * the write lock.
 */
#include <string.h>

#include "store/sql.h"
#include "store/store_private.h"

void
acked_note(struct store *s, int64_t remote,
    const uint8_t cursor[static STORE_CURSOR_LEN])
{
	static const uint8_t nothing[STORE_CURSOR_LEN];

	if (memcmp(cursor, nothing, sizeof nothing) == 0)
		return;
	acked_write(s);
	s->ack.remote = remote;
	memcpy(s->ack.cursor, cursor, sizeof s->ack.cursor);
	acked_write(s);
}

void
acked_write(struct store *s)
{
	int64_t same;
	int rc;

	if (s->ack.remote == 0 || s->readonly ||
	    !sqlite3_get_autocommit(s->db))
		return;
	sqlite3_busy_timeout(s->db, 0);
	rc = sql_int(s->db, &same, NULL, "SELECT count(*) FROM ddcp_remote "
	    "WHERE id = ?1 AND acked = ?2", "ib", s->ack.remote, s->ack.cursor,
	    sizeof s->ack.cursor);
	if (rc == 0 && same == 0)
		rc = sql_do(s->db, NULL, "UPDATE ddcp_remote SET acked = ?2 "
		    "WHERE id = ?1", "ib", s->ack.remote, s->ack.cursor,
		    sizeof s->ack.cursor);
	sqlite3_busy_timeout(s->db, s->busy_ms);
	if (rc == 0)
		s->ack.remote = 0;
}
