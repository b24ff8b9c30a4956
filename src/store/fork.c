// SPDX-License-Identifier: MPL-2.0
/*
 * fork.c - copies, old backups and power cuts: noticing that this file is not
 * the one that sent what was sent, and going on as a new incarnation (R14,
 * R16).
 */
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "store/again.h"
#include "store/held.h"
#include "store/note.h"
#include "store/schema.h"
#include "store/sql.h"
#include "store/store_private.h"
#include "store/vector.h"

enum {
	FORK_PAUSE_MS = 86400000,       /* one a day and remote */
	NEAR = 1000,            /* log rows searched for an own transaction */
	ANYWHERE = -1
};

struct head {
	uint8_t cursor[STORE_CURSOR_LEN];
	uint64_t dbv;
	const uint8_t *token;   /* in cursor */
};

static int
read_head(sqlite3 *db, struct head *h, struct err *err)
{
	struct rd r;
	bool found;
	int rc;

	rc = sql_bytes(db, h->cursor, sizeof h->cursor, &found, err,
	    "SELECT crsql_head()", "");
	rd_init(&r, h->cursor + 8, 8);
	h->dbv = rd_u64(&r);
	h->token = h->cursor + STORE_CURSOR_LEN - STORE_TOKEN_LEN;
	return rc;
}

static int
log_exists(sqlite3 *db, bool *exists, struct err *err)
{
	int64_t n;
	int rc = sql_int(db, &n, err, "SELECT count(*) FROM sqlite_schema "
	    "WHERE type = 'table' AND name = 'crsql_log'", "");

	*exists = n > 0;
	return rc;
}

/* What a cursor says of dbv: the last bytes of its header. */
static int
token_at(sqlite3 *db, uint64_t dbv, uint8_t token[static STORE_TOKEN_LEN],
    bool *found, struct err *err)
{
	return sql_bytes(db, token, STORE_TOKEN_LEN, found, err,
	    "SELECT substr(hdr, -8) FROM crsql_log WHERE dbv = ?1 AND pos = 0",
	    "i", (int64_t)dbv);
}

/* The first db_version that the current incarnation may have made. */
static int
first_own(sqlite3 *db, int64_t *out, struct err *err)
{
	int64_t n;
	int rc;

	*out = 1;
	rc = sql_int(db, &n, err, "SELECT count(*) FROM sqlite_schema "
	    "WHERE type = 'table' AND name = 'crsql_me'", "");
	if (rc == 0 && n > 0)
		rc = sql_int(db, out, err, "SELECT max(1, "
		    "coalesce(max(first_dbv), 1)) FROM crsql_me", "");
	return rc;
}

/* -- own tokens -------------------------------------------------------------- */

/* The newest own transaction at or before dbv, if one is so near. */
static int
own_before(sqlite3 *db, int64_t dbv, int64_t first, int64_t near,
    struct store_entry *e, bool *found, struct err *err)
{
	sqlite3_stmt *stmt;
	int rc;

	*found = false;
	rc = sql_open(db, &stmt, err, "SELECT dbv, substr(hdr, 7, 8) FROM "
	    "(SELECT dbv, pos, site, hdr FROM crsql_log WHERE dbv <= ?1 AND "
	    "dbv >= ?2 ORDER BY dbv DESC, pos DESC LIMIT ?3) "
	    "WHERE pos = 0 AND site IS NULL AND hdr IS NOT NULL LIMIT 1",
	    "iii", dbv, first, near);
	if (rc == 0)
		rc = sql_next(stmt, found, err);
	if (rc == 0 && *found) {
		e->version = (uint64_t)sqlite3_column_int64(stmt, 0);
		*found = sql_column(stmt, 1, e->token, STORE_TOKEN_LEN);
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* The newest of ours below that bound. */
static int
newest_own(sqlite3 *db, int64_t first, uint64_t before,
    struct store_entry *out, bool *found, struct err *err)
{
	int rc = store_own_entry(db, out, err);

	*found = rc == 0 && out->version >= (uint64_t)first &&
	    out->version < before;
	if (rc != 0 || *found || out->version < before || before == 0)
		return rc;
	return own_before(db, (int64_t)before - 1, first, ANYWHERE, out, found,
	    err);
}

static int
own_tokens(sqlite3 *db, uint64_t after, uint64_t before,
    struct store_entry *out, size_t max, size_t *n, struct err *err)
{
	int64_t newest, first, back;
	bool exists, found;
	int rc;

	*n = 0;
	rc = log_exists(db, &exists, err);
	if (rc == 0 && exists)
		rc = first_own(db, &first, err);
	if (rc != 0 || !exists || after >= INT64_MAX)
		return rc;
	if (first <= (int64_t)after)
		first = (int64_t)after + 1;
	rc = newest_own(db, first, before, &out[0], &found, err);
	if (rc != 0 || !found)
		return rc;
	newest = (int64_t)out[0].version;
	*n = 1;
	for (back = 1; rc == 0 && *n < max && newest - back >= first;
	    back *= 2) {
		struct store_entry *e = &out[*n];

		memcpy(e->site, out[0].site, STORE_SITE_LEN);
		/* one that is far costs a step, no more: who asks for those
		 * between two gets the newest of them, wherever it is */
		rc = own_before(db, newest - back, first, NEAR, e, &found, err);
		if (rc == 0 && found && e->version < out[*n - 1].version)
			(*n)++;
	}
	return rc;
}

int
store_own_tokens(struct store *s, uint64_t after, uint64_t before,
    struct store_entry *out, size_t max, size_t *n, struct err *err)
{
	*n = 0;
	return max == 0 ? 0 :
	    own_tokens(s->db, after, before, out, max, n, err);
}

/* True if that transaction of that site is here with that token. */
static int
is_here(sqlite3 *db, const struct store_entry *e, bool *here, struct err *err)
{
	uint8_t token[STORE_TOKEN_LEN];
	struct store_entry own;
	bool found;
	int rc;

	*here = false;
	rc = store_own_entry(db, &own, err);
	if (rc != 0 || e->version == 0 || e->version > INT64_MAX)
		return rc;
	if (memcmp(own.site, e->site, STORE_SITE_LEN) == 0 &&
	    own.version == e->version) {
		*here = memcmp(own.token, e->token, STORE_TOKEN_LEN) == 0;
		return 0;
	}
	rc = sql_bytes(db, token, sizeof token, &found, err,
	    "SELECT crsql_token(?1, ?2)", "bi", e->site,
	    (size_t)STORE_SITE_LEN, (int64_t)e->version);
	*here = found && memcmp(token, e->token, STORE_TOKEN_LEN) == 0;
	return rc;
}

int
store_common(struct store *s, const struct store_entry *in, size_t n,
    uint64_t *version, struct err *err)
{
	bool here;
	size_t i;
	int rc = 0;

	*version = 0;
	for (i = 0; i < n && rc == 0; i++) {
		if (in[i].version <= *version)
			continue;
		rc = is_here(s->db, &in[i], &here, err);
		if (rc == 0 && here)
			*version = in[i].version;
	}
	return rc;
}

int
store_check_claims(struct store *s, const struct store_entry *claim, size_t n,
    bool *fork, struct err *err)
{
	bool here;
	size_t i;
	int rc = 0;

	*fork = false;
	store_only_look(s, true);
	for (i = 0; i < n && rc == 0 && !*fork; i++) {
		if (memcmp(claim[i].site, s->site, STORE_SITE_LEN) != 0 ||
		    claim[i].version == 0)
			continue;
		rc = is_here(s->db, &claim[i], &here, err);
		*fork = rc == 0 && !here;
	}
	store_only_look(s, false);
	return rc;
}

/* -- a new incarnation -------------------------------------------------------- */

struct new_life {
	uint8_t incarnation[INCARNATION_LEN];
	uint8_t site[STORE_SITE_LEN];
	struct store_entry old;         /* where the old one ends here */
	uint8_t old_incarnation[INCARNATION_LEN];
};

/* The old incarnation becomes a site like others: held up to where it is
 * common, but of no table that lost its log. */
static int
hold_old(struct store *s, const struct new_life *l, const struct again *again,
    struct err *err)
{
	struct store_vector v = { 0 };
	struct held h;
	bool *take = NULL;
	size_t i;
	int rc;

	rc = held_load(s->db, &h, err);
	if (rc == 0)
		rc = held_settle(&h, s->db, err);
	if (rc == 0)
		rc = vector_set(&v, &l->old, err);
	if (rc == 0 && h.ntables > 0 && l->old.version > 0) {
		take = malloc(h.ntables * sizeof *take);
		if (take == NULL)
			rc = err_nomem(err);
		else {
			for (i = 0; i < h.ntables; i++)
				take[i] = !again_has(again, h.table[i].tbl);
			rc = held_join(&h, s->db, take, &v, err);
		}
	}
	if (rc == 0)
		rc = sql_do(s->db, err, "INSERT INTO ddcp_own(site, incarnation, "
		    "version, token) VALUES(?1, ?2, ?3, ?4)", "bbib", l->old.site,
		    (size_t)STORE_SITE_LEN, l->old_incarnation,
		    (size_t)INCARNATION_LEN, (int64_t)l->old.version,
		    l->old.token, (size_t)STORE_TOKEN_LEN);
	free(take);
	store_vector_clear(&v);
	held_clear(&h);
	return rc;
}

/* Where the old incarnation ends: at the common version, or where the first
 * table that was made again was. */
static int
end_old(struct store *s, struct new_life *l, const struct again *again,
    uint64_t *common, struct err *err)
{
	int64_t first;
	bool found = false;
	int rc;

	rc = first_own(s->db, &first, err);
	if (rc == 0 && again->n > 0 && *common > (uint64_t)again->since) {
		rc = newest_own(s->db, first, (uint64_t)again->since + 1,
		    &l->old, &found, err);
		*common = found ? l->old.version : 0;
	} else if (rc == 0 && *common >= (uint64_t)first) {
		rc = sql_bytes(s->db, l->old.token, STORE_TOKEN_LEN, &found,
		    err, "SELECT crsql_token(?1, ?2)", "bi", s->site,
		    (size_t)STORE_SITE_LEN, (int64_t)*common);
	}
	memcpy(l->old.site, s->site, STORE_SITE_LEN);
	l->old.version = *common >= (uint64_t)first ? *common : 0;
	if (l->old.version == 0)
		*common = (uint64_t)first - 1;
	return rc;
}

static int
start_new(struct store *s, struct new_life *l, uint64_t common,
    struct err *err)
{
	struct head head;
	int rc;

	rc = sql_do(s->db, err, "SELECT crsql_identity(?1, ?2, ?3, ?4)",
	    "bbbi", l->site, (size_t)STORE_SITE_LEN, s->id.key,
	    (size_t)KEY_LEN, l->incarnation, (size_t)INCARNATION_LEN,
	    (int64_t)common);
	if (rc == 0)
		rc = schema_set(s->db, "incarnation", l->incarnation,
		    INCARNATION_LEN, err);
	if (rc == 0)
		rc = read_head(s->db, &head, err);
	return rc != 0 ? rc : schema_set(s->db, "log_id", head.cursor, 8, err);
}

/* In the caller's transaction.  *begun is false if tables made again are the
 * only reason (common is UINT64_MAX) and there is no old life to end. */
static int
begin_life(struct store *s, struct new_life *l, uint64_t common, bool *begun,
    struct err *err)
{
	struct again again;
	bool found;
	int rc;

	*begun = common != UINT64_MAX;
	rc = again_load(s->db, &again, err);
	if (rc == 0)
		rc = schema_get(s->db, "incarnation", l->old_incarnation,
		    INCARNATION_LEN, &found, err);
	if (rc == 0 && (*begun || again.n > 0))
		rc = end_old(s, l, &again, &common, err);
	*begun = *begun || l->old.version > 0;
	if (rc == 0 && *begun)
		rc = hold_old(s, l, &again, err);
	if (rc == 0 && *begun)
		rc = start_new(s, l, common, err);
	if (rc == 0 && again.n > 0)
		rc = again_forget(s->db, err);
	again_clear(&again);
	return rc;
}

/* What is said from now on is said by that incarnation. */
static void
become(struct store *s, const uint8_t site[static STORE_SITE_LEN])
{
	memcpy(s->site, site, STORE_SITE_LEN);
	s->merges++;
	/* It knows the old identity. */
	sqlite3_close_v2(s->spare);
	s->spare = NULL;
}

static int
fork_now(struct store *s, uint64_t common, struct err *err)
{
	struct new_life l = { .old.version = 0 };
	bool begun;
	int rc;

	rc = store_writable(s, err);
	if (rc == 0)
		rc = identity_random(l.incarnation, sizeof l.incarnation, err);
	if (rc == 0)
		rc = sql_begin(s->db, err);
	if (rc != 0)
		return rc;
	identity_site(s->id.key, l.incarnation, l.site);
	rc = sql_end(s->db, begin_life(s, &l, common, &begun, err), err);
	if (rc == 0 && begun)
		become(s, l.site);
	if (rc == 0) {
		s->forked = s->forked || common != UINT64_MAX;
		s->behind = false;
	}
	return rc;
}

/* -- the look before anything is told ------------------------------------------ */

/* Another process may have begun a new incarnation. */
static int
follow_identity(struct store *s, struct err *err)
{
	uint8_t incarnation[INCARNATION_LEN], site[STORE_SITE_LEN];
	bool found;
	int rc;

	rc = schema_get(s->db, "incarnation", incarnation, sizeof incarnation,
	    &found, err);
	if (rc != 0 || !found)
		return rc;
	identity_site(s->id.key, incarnation, site);
	if (memcmp(site, s->site, sizeof site) != 0)
		become(s, site);
	return 0;
}

int
fork_look(struct store *s, struct err *err)
{
	int64_t tables;
	bool settled = true;
	int rc;

	rc = follow_identity(s, err);
	if (rc != 0 || s->readonly || !sqlite3_get_autocommit(s->db))
		return rc;
	rc = sql_int(s->db, &tables, err, "SELECT crsql_schema_pending()", "");
	if (rc == 0 && tables > 0)
		rc = sql_do(s->db, err, "SELECT crsql_fold()", "");
	if (rc == 0)
		rc = again_is_settled(s->db, &settled, err);
	return rc == 0 && !settled ? fork_now(s, UINT64_MAX, err) : rc;
}

int
store_fork(struct store *s, int64_t remote, int64_t now_ms, uint64_t common,
    struct err *err)
{
	int64_t last;
	int rc;

	rc = sql_int(s->db, &last, err,
	    "SELECT fork_ms FROM ddcp_remote WHERE id = ?1", "i", remote);
	if (rc != 0)
		return rc;
	if (last != 0 && now_ms >= last && now_ms - last < FORK_PAUSE_MS)
		return err_set(err, E_INTEGRITY, "find out which of you restores "
		    "old copies", "that peer claims for the second time today "
		    "to have changes of this database that are not here");
	rc = fork_now(s, common, err);
	if (rc == 0)
		rc = sql_do(s->db, err, "UPDATE ddcp_remote SET fork_ms = ?2 "
		    "WHERE id = ?1", "ii", remote, now_ms);
	return rc;
}

/* -- the note ------------------------------------------------------------------- */

/* True if the log no longer has the head that was noted: the file is an older
 * copy, perhaps with other transactions since. */
static int
head_is_lost(struct store *s, const struct note *n, bool *lost,
    struct err *err)
{
	uint8_t token[STORE_TOKEN_LEN];
	struct head head;
	bool exists, found = false;
	int rc;

	*lost = false;
	rc = read_head(s->db, &head, err);
	if (rc != 0 || memcmp(head.cursor, n->log_id, 8) != 0 || n->head == 0)
		return rc;
	rc = log_exists(s->db, &exists, err);
	if (rc == 0 && exists)
		rc = token_at(s->db, n->head, token, &found, err);
	if (rc != 0)
		return rc;
	/* A header in the middle may have been swept, the head's never. */
	*lost = found ? memcmp(token, n->head_token, sizeof token) != 0 :
	    head.dbv <= n->head;
	return 0;
}

/* The newest noted own transaction that is here. */
static int
noted_common(struct store *s, const struct note *n, uint64_t *common,
    struct err *err)
{
	struct store_entry e;
	bool here = false;
	unsigned i;
	int rc = 0;

	*common = 0;
	memcpy(e.site, n->site, sizeof e.site);
	for (i = 0; i < n->nown && rc == 0 && !here; i++) {
		e.version = n->own[i].version;
		memcpy(e.token, n->own[i].token, sizeof e.token);
		rc = is_here(s->db, &e, &here, err);
		if (rc == 0 && here)
			*common = e.version;
	}
	return rc;
}

int
fork_check_note(struct store *s, struct err *err)
{
	struct note n;
	uint64_t common = 0;
	bool found, lost = false;
	int64_t past = 0;
	int rc;

	rc = note_read(s->dir, &n, &found, err);
	if (rc != 0 || !found)
		return rc;
	if (memcmp(n.site, s->site, STORE_SITE_LEN) != 0) {
		/* Of an incarnation that is over, or of one that this file
		 * never was. */
		rc = sql_int(s->db, &past, err, "SELECT count(*) FROM ddcp_own "
		    "WHERE site = ?1", "b", n.site, (size_t)STORE_SITE_LEN);
		lost = past == 0;
	} else {
		rc = noted_common(s, &n, &common, err);
		lost = n.nown > 0 && common != n.own[0].version;
		if (rc == 0 && !lost)
			rc = head_is_lost(s, &n, &lost, err);
	}
	if (rc != 0 || !lost)
		return rc;
	/* Reading is harmless; serving is refused. */
	s->unsafe = s->readonly;
	return s->readonly ? 0 : fork_now(s, common, err);
}

static int
make_note(struct store *s, sqlite3 *db, struct note *n, struct err *err)
{
	struct store_entry own[NOTE_OWN_MAX];
	struct head head;
	size_t i, nown;
	int rc;

	memset(n, 0, sizeof *n);
	rc = read_head(db, &head, err);
	if (rc == 0)
		rc = own_tokens(db, 0, UINT64_MAX, own, NOTE_OWN_MAX, &nown, err);
	if (rc != 0)
		return rc;
	memcpy(n->log_id, head.cursor, sizeof n->log_id);
	memcpy(n->site, nown > 0 ? own[0].site : s->site, STORE_SITE_LEN);
	n->head = head.dbv;
	memcpy(n->head_token, head.token, STORE_TOKEN_LEN);
	for (i = 0; i < nown; i++) {
		n->own[i].version = own[i].version;
		memcpy(n->own[i].token, own[i].token, STORE_TOKEN_LEN);
	}
	n->nown = (unsigned)nown;
	return 0;
}

int
fork_write_note(struct store *s, sqlite3 *db, struct err *err)
{
	struct head head;
	struct note n;
	int rc;

	rc = read_head(db, &head, err);
	if (rc != 0 || memcmp(head.cursor, s->noted, sizeof s->noted) == 0)
		return rc;
	rc = make_note(s, db, &n, err);
	if (rc == 0)
		rc = note_write(s->dir, &n, s->readonly ? NULL : err);
	if (rc == 0)
		memcpy(s->noted, head.cursor, sizeof s->noted);
	/* A database that can't be written makes no new versions to confuse. */
	return s->readonly ? 0 : rc;
}
