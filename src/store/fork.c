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
#include "store/claims.h"
#include "store/durable.h"
#include "store/held.h"
#include "store/note.h"
#include "store/schema.h"
#include "store/split.h"
#include "store/sql.h"
#include "store/store_private.h"
#include "store/vector.h"

enum { FORK_PAUSE_MS = 86400000 };      /* one a day and remote */

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

/* What a cursor says of dbv: the last bytes of its header. */
static int
token_at(sqlite3 *db, uint64_t dbv, uint8_t token[static STORE_TOKEN_LEN],
    bool *found, struct err *err)
{
	return sql_bytes(db, token, STORE_TOKEN_LEN, found, err,
	    "SELECT substr(hdr, -8) FROM crsql_log WHERE dbv = ?1 AND pos = 0",
	    "i", (int64_t)dbv);
}

/* -- a new incarnation -------------------------------------------------------- */

enum reason {
	BY_AGAIN,               /* a table that lost its log is replicated again */
	BY_NOTE,                /* the file is older than its note */
	BY_CLAIM                /* a peer knows more of us than we do */
};

struct new_life {
	enum reason reason;
	int64_t remote, now_ms; /* BY_CLAIM: whose, and when */
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
	free(take);
	store_vector_clear(&v);
	held_clear(&h);
	return rc;
}

/* Where the file came back with its state directory, nobody knows what else was
 * told under the old name, and to whom: no version of it proves anything. */
static int
leave_old(struct store *s, const struct new_life *l, const struct again *again,
    struct err *err)
{
	int rc = l->reason == BY_CLAIM ? split_note(s->db, l->old.site, err) :
	    hold_old(s, l, again, err);

	return rc != 0 ? rc : sql_do(s->db, err, "INSERT INTO ddcp_own(site, "
	    "incarnation, version, token, lost) VALUES(?1, ?2, ?3, ?4, ?5)",
	    "bbibi", l->old.site, (size_t)STORE_SITE_LEN, l->old_incarnation,
	    (size_t)INCARNATION_LEN, (int64_t)l->old.version, l->old.token,
	    (size_t)STORE_TOKEN_LEN, (int64_t)(l->reason != BY_AGAIN));
}

/* The newest own version that may have been sent. */
static int
newest_sent(struct store *s, int64_t *version, struct err *err)
{
	struct note n;
	bool found;
	int rc = note_read(s->dir, &n, &found, err);

	*version = INT64_MAX;
	if (rc != 0 || !found)
		return rc;
	*version = n.nown > 0 && memcmp(n.site, s->site, sizeof n.site) == 0 ?
	    (int64_t)n.own[0].version : 0;
	return 0;
}

/* Where the old incarnation ends if tables were made again: where the first of
 * them was, but before what nobody has been told yet.  That may be the second
 * life of an old copy, which nobody noticed so far. */
static int
end_before_again(struct store *s, struct new_life *l,
    const struct again *again, int64_t first, uint64_t *common,
    struct err *err)
{
	int64_t bound = again->since, sent = INT64_MAX;
	bool found = false;
	int rc = 0;

	if (l->reason == BY_AGAIN)
		rc = newest_sent(s, &sent, err);
	if (sent < bound)
		bound = sent;
	if (rc == 0)
		rc = claims_newest_own(s->db, first, (uint64_t)bound + 1, &l->old,
		    &found, err);
	*common = found ? l->old.version : 0;
	return rc;
}

/* Where the old incarnation ends: at the common version, or where the first
 * table that was made again was. */
static int
end_old(struct store *s, struct new_life *l, const struct again *again,
    uint64_t *common, struct err *err)
{
	int64_t first;
	bool found;
	int rc;

	rc = claims_first_own(s->db, &first, err);
	if (rc == 0 && again->n > 0 && *common > (uint64_t)again->since)
		rc = end_before_again(s, l, again, first, common, err);
	else if (rc == 0 && *common >= (uint64_t)first)
		rc = sql_bytes(s->db, l->old.token, STORE_TOKEN_LEN, &found,
		    err, "SELECT crsql_token(?1, ?2)", "bi", s->site,
		    (size_t)STORE_SITE_LEN, (int64_t)*common);
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
 * reason and there is no old life to end. */
static int
begin_life(struct store *s, struct new_life *l, uint64_t common, bool *begun,
    struct err *err)
{
	struct again again;
	bool found;
	int rc;

	*begun = l->reason != BY_AGAIN;
	rc = again_load(s->db, &again, err);
	if (rc == 0)
		rc = schema_get(s->db, "incarnation", l->old_incarnation,
		    INCARNATION_LEN, &found, err);
	if (rc == 0 && (*begun || again.n > 0))
		rc = end_old(s, l, &again, &common, err);
	*begun = *begun || l->old.version > 0;
	if (rc == 0 && *begun)
		rc = leave_old(s, l, &again, err);
	if (rc == 0 && *begun)
		rc = start_new(s, l, common, err);
	if (rc == 0 && again.n > 0)
		rc = again_forget(s->db, err);
	if (rc == 0 && l->reason == BY_CLAIM)
		rc = sql_do(s->db, err, "UPDATE ddcp_remote SET fork_ms = ?2 "
		    "WHERE id = ?1", "ii", l->remote, l->now_ms);
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
	store_disconnect(s->spare);
	s->spare = NULL;
}

/* Own changes after common are of the new incarnation. */
static int
fork_now(struct store *s, struct new_life l, uint64_t common, struct err *err)
{
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
		s->forked = s->forked || l.reason != BY_AGAIN;
		s->behind = s->behind && l.reason != BY_CLAIM;
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
	return rc == 0 && !settled ? fork_now(s, (struct new_life){
	    .reason = BY_AGAIN }, UINT64_MAX, err) : rc;
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
	return fork_now(s, (struct new_life){ .reason = BY_CLAIM,
	    .remote = remote, .now_ms = now_ms }, common, err);
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
	rc = sql_has_table(s->db, "crsql_log", &exists, err);
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
		rc = claims_is_here(s->db, &e, &here, err);
		if (rc == 0 && here)
			*common = e.version;
	}
	return rc;
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
		rc = claims_own_tokens(db, 0, UINT64_MAX, own, NOTE_OWN_MAX, &nown, err);
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
	if (s->readonly)
		return 0;
	rc = fork_now(s, (struct new_life){ .reason = BY_NOTE }, common, err);
	/* Else each look before the first word to a peer begins another one. */
	if (rc == 0)
		rc = durable_sync(s, s->db, err);
	return rc == 0 ? fork_write_note(s, s->db, err) : rc;
}
