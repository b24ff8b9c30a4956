// SPDX-License-Identifier: MPL-2.0
/*
 * want.c - what is here at one moment, and whether a remote has it: by where it
 * said it has merged our log, or by what it holds of each site of whom something
 * stands behind that place.
 */
#include <stdlib.h>
#include <string.h>

#include "base/be64.h"
#include "store/sql.h"
#include "store/store_private.h"
#include "store/vector.h"

struct store_want {
	struct store *s;
	int64_t remote;
	struct log_end end;             /* of our log */
	struct store_entry own;
	struct store_vector others;     /* sites behind the place it had merged */
	bool unversioned;               /* and what no vector tells of */
	struct store_vector told;       /* what it said since */
};

/* How far it got, by what it told before. */
struct reach {
	uint8_t acked[STORE_CURSOR_LEN];
	uint8_t holds[HOLDS_LEN];
};

static int
read_reach(const struct store_want *w, struct reach *out, struct err *err)
{
	const struct store *s = w->s;
	sqlite3_stmt *stmt;
	bool row = false;
	int rc;

	memset(out, 0, sizeof *out);
	rc = sql_open(s->db, &stmt, err, "SELECT acked, holds FROM ddcp_remote "
	    "WHERE id = ?1", "i", w->remote);
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	if (rc == 0 && row) {
		sql_column(stmt, 0, out->acked, sizeof out->acked);
		sql_column(stmt, 1, out->holds, sizeof out->holds);
	}
	sqlite3_finalize(stmt);
	/* newer, and not written down yet */
	if (s->ack.remote == w->remote)
		memcpy(out->acked, s->ack.cursor, sizeof out->acked);
	if (s->heard.remote == w->remote)
		memcpy(out->holds, s->heard.holds, sizeof out->holds);
	return rc;
}

/* The version of our log up to which it has merged. */
static uint64_t
merged(const struct store_want *w, const struct reach *reach)
{
	if (memcmp(reach->acked, w->end.id, sizeof w->end.id) != 0)
		return 0;
	return be64_get(reach->acked + sizeof w->end.id);
}

/* The newest of each other site in our log behind a version; what came from
 * the remote itself it has. */
static int
find_others(struct store_want *w, uint64_t after, struct err *err)
{
	struct store_entry e = { .version = 0 };
	sqlite3_stmt *stmt = NULL;
	bool row = true, any;
	int rc = sql_has_table(w->s->db, "crsql_log", &any, err);

	if (rc == 0 && any)
		rc = sql_open(w->s->db, &stmt, err, "SELECT i.site_id, "
		    "max(l.sver), min(l.sver) FROM crsql_log AS l JOIN "
		    "crsql_site_id AS i ON i.ordinal = l.site WHERE l.dbv > ?1 "
		    "AND l.dbv <= ?2 AND l.pos = 0 AND l.site IS NOT NULL AND "
		    "i.public_key IS NOT (SELECT key FROM ddcp_remote WHERE "
		    "id = ?3) GROUP BY l.site", "iii", (int64_t)after,
		    (int64_t)w->end.dbv, w->remote);
	while (rc == 0 && stmt != NULL && row) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row || !sql_column(stmt, 0, e.site,
		    sizeof e.site))
			continue;
		e.version = (uint64_t)sqlite3_column_int64(stmt, 1);
		w->unversioned |= sqlite3_column_int64(stmt, 2) == 0;
		if (e.version > 0)
			rc = vector_set(&w->others, &e, err);
	}
	sqlite3_finalize(stmt);
	return rc;
}

static int
look(struct store_want *w, struct err *err)
{
	uint8_t head[STORE_CURSOR_LEN];
	struct reach reach;
	bool found;
	int rc;

	rc = sql_bytes(w->s->db, head, sizeof head, &found, err,
	    "SELECT crsql_head()", "");
	if (rc == 0 && found) {
		memcpy(w->end.id, head, sizeof w->end.id);
		w->end.dbv = be64_get(head + sizeof w->end.id);
	}
	if (rc == 0)
		rc = store_own_entry(w->s->db, &w->own, err);
	if (rc == 0)
		rc = read_reach(w, &reach, err);
	return rc == 0 ? find_others(w, merged(w, &reach), err) : rc;
}

int
store_want_new(struct store *s, int64_t remote, struct store_want **out,
    struct err *err)
{
	struct store_want *w = calloc(1, sizeof *w);
	int rc;

	*out = NULL;
	if (w == NULL)
		return err_nomem(err);
	w->s = s;
	w->remote = remote;
	/* what plain programs wrote is here, too */
	store_fold(s);
	store_only_look(s, true);
	rc = look(w, err);
	store_only_look(s, false);
	if (rc != 0) {
		store_want_free(w);
		return rc;
	}
	*out = w;
	return 0;
}

void
store_want_told(struct store_want *w, const struct store_entry *entry,
    size_t n)
{
	static const uint8_t none[STORE_TOKEN_LEN];
	size_t i;

	for (i = 0; i < n; i++)
		if (memcmp(entry[i].token, none, sizeof none) != 0)
			vector_raise(&w->told, &entry[i], NULL, NULL);
}

int
store_want_met(struct store_want *w, bool *met, struct err *err)
{
	struct reach reach;
	uint64_t holds = 0;
	int rc = read_reach(w, &reach, err);

	*met = false;
	if (rc != 0)
		return rc;
	if (memcmp(reach.holds, w->own.site, STORE_SITE_LEN) == 0)
		holds = be64_get(reach.holds + STORE_SITE_LEN);
	*met = merged(w, &reach) >= w->end.dbv ||
	    (!w->unversioned && holds >= w->own.version &&
	    vector_covers(&w->told, &w->others));
	return 0;
}

void
store_want_free(struct store_want *w)
{
	if (w == NULL)
		return;
	store_vector_clear(&w->others);
	store_vector_clear(&w->told);
	free(w);
}
