// SPDX-License-Identifier: MPL-2.0
/*
 * heard.c - what a peer says it holds of our own changes, in HELLO and NOTIFY:
 * by it `status` knows how far ahead we are.  It is no acknowledgement of what
 * we passed on of others.
 */
#include <string.h>

#include "store/sql.h"
#include "store/store_private.h"

static void
put_version(uint64_t version, uint8_t out[static 8])
{
	int i;

	for (i = 0; i < 8; i++)
		out[i] = (uint8_t)(version >> (56 - 8 * i));
}

void
store_heard(struct store *s, int64_t remote, const struct store_entry *entry,
    size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (memcmp(entry[i].site, s->site, STORE_SITE_LEN) != 0)
			continue;
		if (s->heard.remote != remote)
			heard_write(s);
		s->heard.remote = remote;
		memcpy(s->heard.holds, entry[i].site, STORE_SITE_LEN);
		put_version(entry[i].version, s->heard.holds + STORE_SITE_LEN);
	}
	heard_write(s);
}

/* It rises within one site, and is no reason to wait for the write lock. */
void
heard_write(struct store *s)
{
	int64_t less;
	int rc;

	if (s->heard.remote == 0 || s->readonly ||
	    !sqlite3_get_autocommit(s->db))
		return;
	sqlite3_busy_timeout(s->db, 0);
	rc = sql_int(s->db, &less, NULL, "SELECT count(*) FROM ddcp_remote "
	    "WHERE id = ?1 AND (holds IS NULL OR holds < ?2 OR "
	    "substr(holds, 1, 16) <> substr(?2, 1, 16))", "ib", s->heard.remote,
	    s->heard.holds, sizeof s->heard.holds);
	if (rc == 0 && less > 0)
		rc = sql_do(s->db, NULL, "UPDATE ddcp_remote SET holds = ?2 "
		    "WHERE id = ?1", "ib", s->heard.remote, s->heard.holds,
		    sizeof s->heard.holds);
	sqlite3_busy_timeout(s->db, s->busy_ms);
	if (rc == 0)
		s->heard.remote = 0;
}
