// SPDX-License-Identifier: MPL-2.0
/* cursor.c - places in a log as readers keep them (R2); see page.h. */
#include <string.h>

#include "base/be64.h"
#include "crdt/horizon.h"
#include "crdt/log.h"
#include "crdt/page.h"

static const uint64_t sign = (uint64_t)1 << 63;

void
cursor_write(const struct cursor *c, uint8_t out[static CURSOR_LEN])
{
	memcpy(out, c->log_id, LOG_ID_LEN);
	be64_put(out + 8, (uint64_t)c->dbv);
	be64_put(out + 16, (uint64_t)c->pos);
	/* An empty log's cursor is zero but for the log id. */
	be64_put(out + 24, c->dbv == 0 ? 0 : (uint64_t)c->key ^ sign);
	memcpy(out + 32, c->token, TOKEN_LEN);
}

void
cursor_read(const uint8_t in[static CURSOR_LEN], struct cursor *c)
{
	memcpy(c->log_id, in, LOG_ID_LEN);
	c->dbv = (int64_t)be64_get(in + 8);
	c->pos = (int64_t)be64_get(in + 16);
	c->key = c->dbv == 0 ? CURSOR_WHOLE : (int64_t)(be64_get(in + 24) ^ sign);
	memcpy(c->token, in + 32, TOKEN_LEN);
}

int
cursor_compare(const struct cursor *a, const struct cursor *b)
{
	if (a->dbv != b->dbv)
		return a->dbv < b->dbv ? -1 : 1;
	if (a->pos != b->pos)
		return a->pos < b->pos ? -1 : 1;
	return (a->key > b->key) - (a->key < b->key);
}

int
cursor_sign(struct engine *e, struct cursor *c)
{
	const struct horizon *h;
	bool found;
	int rc;

	memcpy(c->log_id, e->log_id, LOG_ID_LEN);
	memset(c->token, 0, sizeof c->token);
	if (c->dbv == 0)
		return SQLITE_OK;
	rc = log_chain(e, c->dbv, &found, c->token);
	if (rc == SQLITE_OK)
		rc = horizon_get(e, &h);
	if (rc == SQLITE_OK)
		horizon_sign(h, c->dbv, c->pos, c->token);
	return rc;
}

int
cursor_head(struct engine *e, struct cursor *c)
{
	const struct horizon *h;
	int64_t dbv = 0, pos = 0;
	int rc = horizon_get(e, &h);

	if (rc == SQLITE_OK && e->has_storage)
		rc = engine_int(e, &dbv, "SELECT dbv FROM crsql_log "
		    "ORDER BY dbv DESC LIMIT 1");
	if (rc == SQLITE_OK && dbv > 0)
		rc = engine_int(e, &pos, "SELECT pos FROM crsql_log WHERE "
		    "dbv = %lld ORDER BY pos DESC LIMIT 1", (long long)dbv);
	/* what stood at its end may have been dropped */
	if (rc == SQLITE_OK && dbv > 0 && dbv == h->dbv && pos < h->pos)
		pos = h->pos;
	*c = (struct cursor){ .dbv = dbv, .pos = pos, .key = CURSOR_WHOLE };
	return rc == SQLITE_OK ? cursor_sign(e, c) : rc;
}
