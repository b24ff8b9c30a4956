// SPDX-License-Identifier: MPL-2.0
/*
 * serve.c - a pull that a peer makes: pages of one snapshot, then END, on a
 * connection of their own that never writes.
 */
#include <stdlib.h>
#include <string.h>

#include "store/again.h"
#include "store/durable.h"
#include "store/held.h"
#include "store/split.h"
#include "store/sql.h"
#include "store/store_private.h"
#include "store/vector.h"

enum { PLAN_MAX = 64 << 20, LOOKS_MAX = 5 };

struct serving_group {
	char **table;
	size_t ntables;
	struct store_vector asked;      /* what the reader has */
	struct store_vector denied;     /* of that: what proves nothing */
};

struct store_reading {
	struct store *s;
	sqlite3 *db;
	int64_t remote;
	struct serving_group *group;
	size_t ngroups;
	struct split split;     /* sites with two pasts, known and found */
	struct buf plan;        /* for crsql_export */
	sqlite3_stmt *export;
	bool begun;             /* a page was given: position is its end */
	uint8_t position[STORE_CURSOR_LEN];
	bool snapshot;          /* open */
	bool last;              /* the last page was given */
	bool looks;             /* for a digest: nothing is written */
	uint64_t transactions, rows;    /* in the pages so far */
};

/* -- what was asked ---------------------------------------------------------- */

/* An entry of the own site whose token is not that of our transaction of that
 * version is of another history: it covers nothing here (R15). */
static int
check_own(struct store_reading *r, const struct store_entry *own,
    struct store_entry *e, struct err *err)
{
	uint8_t token[STORE_TOKEN_LEN];
	bool found = true;
	int rc = 0;

	memcpy(token, own->token, sizeof token);
	if (e->version > own->version) {
		e->version = 0;         /* not ours any more */
		found = false;
	} else if (e->version < own->version) {
		rc = sql_bytes(r->db, token, sizeof token, &found, err,
		    "SELECT crsql_token(?1, ?2)", "bi", e->site,
		    (size_t)STORE_SITE_LEN, (int64_t)e->version);
	}
	if (rc == 0 && found && memcmp(token, e->token, sizeof token) != 0)
		e->version = 0;
	return rc;
}

/* Makes an entry cover nothing where it proves nothing. */
static int
check_entry(struct store_reading *r, const struct store_entry *own,
    struct serving_group *mine, struct store_entry *e, struct err *err)
{
	struct store_entry denied = *e;

	if (memcmp(own->site, e->site, STORE_SITE_LEN) == 0)
		return check_own(r, own, e, err);
	if (!split_has(&r->split, e->site))
		return 0;
	split_answer(&denied);
	e->version = 0;
	return vector_set(&mine->denied, &denied, err);
}

static int
encode_group(struct store_reading *r, const struct store_group *g,
    const struct store_entry *own, struct serving_group *mine, struct err *err)
{
	struct buf *b = &r->plan;
	struct store_entry e;
	size_t i, n = mine->asked.n;
	int rc = 0;

	buf_add_varint(b, g->ntables);
	for (i = 0; i < g->ntables; i++) {
		buf_add_varint(b, strlen(g->table[i]));
		buf_add(b, g->table[i], strlen(g->table[i]));
	}
	buf_add(b, g->cursor, STORE_CURSOR_LEN);
	buf_add_varint(b, n);
	for (i = 0; i < n && rc == 0; i++) {
		e = mine->asked.entry[i];
		rc = check_entry(r, own, mine, &e, err);
		buf_add(b, e.site, STORE_SITE_LEN);
		buf_add_varint(b, e.version);
	}
	return rc;
}

static int
copy_tables(const struct store_group *g, struct serving_group *mine,
    struct err *err)
{
	mine->table = calloc(g->ntables + 1, sizeof *mine->table);
	if (mine->table == NULL)
		return err_nomem(err);
	for (; mine->ntables < g->ntables; mine->ntables++) {
		mine->table[mine->ntables] = strdup(g->table[mine->ntables]);
		if (mine->table[mine->ntables] == NULL)
			return err_nomem(err);
	}
	return 0;
}

/* The vector of a group: whole, or known from before by its hash. */
static int
find_vector(struct store_reading *r, const struct store_group *g,
    struct serving_group *mine, bool *missing, struct err *err)
{
	const struct store_vector *known;
	struct store_vector none = { .n = 0 };
	int rc;

	*missing = false;
	if (g->vector_known) {
		rc = vector_copy(&g->vector, &mine->asked, err);
		if (rc == 0)
			rc = vector_sort(&mine->asked, err);
		return rc != 0 ? rc :
		    known_add(&r->s->known, r->remote, &mine->asked, err);
	}
	vector_rehash(&none);
	if (memcmp(none.hash, g->vector.hash, STORE_HASH_LEN) == 0)
		return 0;
	known = known_find(&r->s->known, r->remote, g->vector.hash);
	*missing = known == NULL;
	return known != NULL ? vector_copy(known, &mine->asked, err) : 0;
}

static int
take_plan(struct store_reading *r, const struct store_plan *p,
    bool *need_whole, struct err *err)
{
	bool missing;
	size_t i;
	int rc = 0;

	r->group = calloc(p->ngroups + 1, sizeof *r->group);
	if (r->group == NULL)
		return err_nomem(err);
	for (i = 0; i < p->ngroups && rc == 0; i++) {
		r->ngroups++;
		rc = copy_tables(&p->group[i], &r->group[i], err);
		if (rc == 0)
			rc = find_vector(r, &p->group[i], &r->group[i],
			    &missing, err);
		if (rc == 0 && missing)
			*need_whole = true;
	}
	return rc;
}

/* Sites with two pasts that the reader's vectors show. */
static int
find_splits(struct store_reading *r, const struct store_entry *own,
    struct err *err)
{
	const struct store_vector **v = calloc(r->ngroups + 1, sizeof *v);
	size_t i, known;
	int rc;

	if (v == NULL)
		return err_nomem(err);
	for (i = 0; i < r->ngroups; i++)
		v[i] = &r->group[i].asked;
	rc = split_load(r->db, &r->split, err);
	known = r->split.n;
	if (rc == 0)
		rc = split_find(r->db, &r->split, v, r->ngroups, own->site,
		    err);
	if (rc == 0 && !r->looks)
		split_keep(r->s, &r->split, known);
	free(v);
	return rc;
}

static int
encode_plan(struct store_reading *r, const struct store_plan *p,
    struct err *err)
{
	struct store_entry own;
	size_t i;
	int rc;

	rc = store_own_entry(r->db, &own, err);
	if (rc == 0)
		rc = find_splits(r, &own, err);
	buf_init(&r->plan, PLAN_MAX);
	buf_add_varint(&r->plan, p->ngroups);
	for (i = 0; i < p->ngroups && rc == 0; i++)
		rc = encode_group(r, &p->group[i], &own, &r->group[i], err);
	if (rc == 0 && r->plan.failed)
		rc = err_nomem(err);
	return rc;
}

/* -- the snapshot -------------------------------------------------------------- */

static int
connect_anew(struct store *s, sqlite3 **out, struct err *err)
{
	int rc;

	rc = store_connect(s->db_file, s->readonly ? SQLITE_OPEN_READONLY :
	    SQLITE_OPEN_READWRITE, s->busy_ms, out, err);
	if (rc == 0)
		rc = store_load_engine(*out, err);
	if (rc == 0)
		rc = sql_do(*out, err, "PRAGMA query_only = 1", "");
	if (rc == 0)
		rc = sql_do(*out, err, "PRAGMA cache_size = -2048", "");
	/* half made it would be kept for the next one */
	if (rc != 0) {
		store_disconnect(*out);
		*out = NULL;
	}
	return rc;
}

static int
connect_reading(struct store *s, sqlite3 **out, struct err *err)
{
	*out = s->spare;
	s->spare = NULL;
	return *out != NULL ? 0 : connect_anew(s, out, err);
}

/* A snapshot in which what is held of our own changes is true of all tables. */
static int
begin_snapshot(struct store_reading *r, bool *settled, struct err *err)
{
	int64_t version;
	int rc;

	*settled = false;
	store_fold(r->s);
	rc = fork_look(r->s, err);
	if (rc == 0)
		rc = sql_begin_reading(r->db, err);
	if (rc == 0)
		rc = sql_int(r->db, &version, err, "SELECT crsql_db_version()",
		    "");
	if (rc == 0)
		rc = again_is_settled(r->db, settled, err);
	if (!*settled)
		sql_rollback(r->db);
	return rc;
}

static int
open_snapshot(struct store_reading *r, struct err *err)
{
	bool settled = false;
	int looks, rc = 0;

	for (looks = 0; rc == 0 && !settled && looks < LOOKS_MAX; looks++)
		rc = begin_snapshot(r, &settled, err);
	if (rc == 0 && !settled && r->s->readonly)
		rc = err_set(err, E_INTEGRITY, "make it writable, or let one who "
		    "can write it use it once", "a table of this database was "
		    "replaced or is replicated again, which must be noted first");
	else if (rc == 0 && !settled)
		rc = err_set(err, E_UNREACHABLE, "try again", "the tables of "
		    "this database are being changed");
	/* What is sent must not be made again after a power cut. */
	if (rc == 0)
		rc = durable_sync(r->s, r->db, err);
	if (rc == 0)
		rc = fork_write_note(r->s, r->db, err);
	r->snapshot = rc == 0;
	return rc;
}

static void
close_snapshot(struct store_reading *r)
{
	if (r->export != NULL) {
		sqlite3_reset(r->export);
		sqlite3_clear_bindings(r->export);
	}
	if (r->db != NULL)
		sql_rollback(r->db);
	r->snapshot = false;
}

/* -- acknowledgements -------------------------------------------------------------- */

/* Where a reader says it has merged us: kept, but no reason to wait for the
 * write lock. */
static void
acknowledge(struct store *s, int64_t remote,
    const uint8_t cursor[STORE_CURSOR_LEN])
{
	static const uint8_t nothing[STORE_CURSOR_LEN];

	if (memcmp(cursor, nothing, sizeof nothing) == 0)
		return;
	store_write_ack(s);
	s->ack.remote = remote;
	memcpy(s->ack.cursor, cursor, sizeof s->ack.cursor);
	store_write_ack(s);
}

void
store_write_ack(struct store *s)
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

/* -- pages ---------------------------------------------------------------------------- */

static int
new_reading(struct store *s, int64_t remote, struct store_reading **out,
    struct err *err)
{
	int rc = store_still_there(s, err);

	*out = NULL;
	if (rc != 0)
		return rc;
	if (s->unsafe)
		return err_set(err, E_INTEGRITY, "make it writable, so that it "
		    "can become a copy of its own", "this database is an older "
		    "copy of what was sent already");
	*out = calloc(1, sizeof **out);
	if (*out == NULL)
		return err_nomem(err);
	(*out)->s = s;
	(*out)->remote = remote;
	return 0;
}

static int
prepare_pages(struct store_reading *r, const struct store_plan *p,
    struct err *err)
{
	int rc = encode_plan(r, p, err);

	return rc != 0 ? rc : sql_open(r->db, &r->export, err,
	    "SELECT crsql_export(?1, ?2, ?3)", "");
}

int
store_serve(struct store *s, int64_t remote, const struct store_plan *p,
    bool *need_whole, struct store_reading **out, struct err *err)
{
	struct store_reading *r;
	int rc;

	*out = NULL;
	*need_whole = false;
	rc = new_reading(s, remote, &r, err);
	if (rc != 0)
		return rc;
	rc = take_plan(r, p, need_whole, err);
	if (rc != 0 || *need_whole) {
		store_serve_close(r);
		return rc;
	}
	rc = connect_reading(s, &r->db, err);
	if (rc == 0)
		rc = open_snapshot(r, err);
	if (rc == 0)
		rc = prepare_pages(r, p, err);
	if (rc != 0) {
		store_serve_close(r);
		return rc;
	}
	acknowledge(s, remote, p->merged);
	*out = r;
	return 0;
}

/* -- for a digest ---------------------------------------------------------------------- */

/* What waits to be taken note of makes untrue what is held of own changes. */
static int
begin_look(struct store_reading *r, struct err *err)
{
	int64_t tables = 0;
	bool settled = false;
	int rc;

	rc = sql_begin_reading(r->db, err);
	if (rc == 0)
		rc = sql_int(r->db, &tables, err,
		    "SELECT crsql_schema_pending()", "");
	if (rc == 0)
		rc = again_is_settled(r->db, &settled, err);
	if (rc == 0 && (tables > 0 || !settled))
		rc = err_set(err, E_UNREACHABLE, "ddcp shell \"select "
		    "crsql_fold()\" takes note of it; then try again",
		    "a table of this database was replaced or renamed");
	r->snapshot = rc == 0;
	return rc;
}

int
serve_look(struct store *s, int64_t remote, struct store_reading **out,
    struct err *err)
{
	struct store_reading *r;
	int rc;

	*out = NULL;
	rc = new_reading(s, remote, &r, err);
	if (rc != 0)
		return rc;
	r->looks = true;
	rc = connect_anew(s, &r->db, err);
	if (rc == 0)
		rc = begin_look(r, err);
	if (rc != 0)
		store_serve_close(r);
	else
		*out = r;
	return rc;
}

int
serve_look_for(struct store_reading *r, const struct store_plan *p,
    struct err *err)
{
	bool need_whole = false;
	int rc = take_plan(r, p, &need_whole, err);

	if (rc == 0 && need_whole)
		rc = err_set(err, E_INTEGRITY, NULL, "a vector is not whole");
	return rc == 0 ? prepare_pages(r, p, err) : rc;
}

sqlite3 *
serve_handle(const struct store_reading *r)
{
	return r->db;
}

/* What the page says: where it ends, and whether it is the last. */
static int
read_page_head(struct store_reading *r, const uint8_t *page, size_t len,
    struct err *err)
{
	sqlite3_stmt *stmt;
	bool row = false;
	int rc;

	rc = sql_open(r->db, &stmt, err, "SELECT crsql_page_flags(?1), "
	    "crsql_page_end(?1), (SELECT sum(rows) FROM "
	    "crsql_page_transactions(?1)), (SELECT sum(ends) FROM "
	    "crsql_page_transactions(?1))", "b", page, len);
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	if (row) {
		r->last = (sqlite3_column_int(stmt, 0) & 1) != 0;
		sql_column(stmt, 1, r->position, sizeof r->position);
		r->begun = true;
		r->rows += (uint64_t)sqlite3_column_int64(stmt, 2);
		r->transactions += (uint64_t)sqlite3_column_int64(stmt, 3);
	}
	sqlite3_finalize(stmt);
	return rc;
}

void
store_serve_counts(const struct store_reading *r, uint64_t *transactions,
    uint64_t *rows)
{
	*transactions = r->transactions;
	*rows = r->rows;
}

int
store_serve_page(struct store_reading *r, size_t max, const uint8_t **page,
    size_t *len, bool *last, struct err *err)
{
	bool row = false;
	int rc = 0;

	*page = NULL;
	*len = 0;
	if (!r->snapshot)
		rc = open_snapshot(r, err);
	if (rc != 0)
		return rc;
	sqlite3_reset(r->export);
	sqlite3_bind_blob64(r->export, 1, r->plan.data, r->plan.len,
	    SQLITE_STATIC);
	if (r->begun)
		sqlite3_bind_blob(r->export, 2, r->position,
		    sizeof r->position, SQLITE_STATIC);
	sqlite3_bind_int64(r->export, 3, (int64_t)max);
	rc = sql_next(r->export, &row, err);
	if (rc != 0)
		return rc;
	*page = sqlite3_column_blob(r->export, 0);
	*len = (size_t)sqlite3_column_bytes(r->export, 0);
	if (!row || *page == NULL)
		return err_set(err, E_FATAL, NULL, "the engine gave no page");
	rc = read_page_head(r, *page, *len, err);
	*last = r->last;
	return rc;
}

void
store_serve_pause(struct store_reading *r)
{
	/* END belongs to the snapshot of the last page. */
	if (!r->last)
		close_snapshot(r);
}

/* -- END ---------------------------------------------------------------------------------- */

/* What is held of exactly these tables. */
static int
end_group(struct store_reading *r, const struct held *h,
    const struct store_entry *own, const struct serving_group *g,
    struct store_end_group *out, struct err *err)
{
	const struct held_table *t;
	bool any = false;
	size_t i;
	int rc = 0;

	out->complete = true;
	out->absent = calloc(g->ntables + 1, sizeof *out->absent);
	if (out->absent == NULL)
		return err_nomem(err);
	for (i = 0; i < g->ntables && rc == 0; i++) {
		t = held_find(h, g->table[i]);
		if (t == NULL)
			out->absent[out->nabsent++] = i;
		else if (any)
			vector_meet(&out->vector, &h->vector[t->vector].v);
		else
			rc = vector_copy(&h->vector[t->vector].v, &out->vector,
			    err);
		any = any || t != NULL;
	}
	if (rc == 0 && any)
		rc = vector_set(&out->vector, own, err);
	/* The reader hears it, too. */
	split_drop(&r->split, &out->vector);
	for (i = 0; i < g->denied.n && rc == 0 && any; i++)
		rc = vector_set(&out->vector, &g->denied.entry[i], err);
	vector_rehash(&out->vector);
	return rc;
}

/* The reader will have what it had and what it is told now: next time it may
 * name that by its hash. */
static int
remember(struct store_reading *r, const struct serving_group *g,
    const struct store_end_group *end, struct err *err)
{
	struct store_vector v = { .n = 0 };
	int rc;

	rc = vector_copy(&g->asked, &v, err);
	if (rc == 0)
		rc = vector_join(&v, &end->vector, err);
	if (rc == 0)
		rc = known_add(&r->s->known, r->remote, &v, err);
	store_vector_clear(&v);
	return rc;
}

static bool
was_asked(void *self, const char *name)
{
	const struct store_reading *r = self;
	size_t i, k;

	for (i = 0; i < r->ngroups; i++)
		for (k = 0; k < r->group[i].ntables; k++)
			if (sqlite3_stricmp(r->group[i].table[k], name) == 0)
				return true;
	return false;
}

int
store_serve_end(struct store_reading *r, struct store_end *out,
    struct err *err)
{
	struct store_entry own;
	struct held h;
	size_t i;
	int rc;

	memset(out, 0, sizeof *out);
	if (!r->last)
		return err_set(err, E_FATAL, NULL, "the last page was not read");
	memcpy(out->cursor, r->position, sizeof out->cursor);
	out->group = calloc(r->ngroups + 1, sizeof *out->group);
	if (out->group == NULL)
		return err_nomem(err);
	rc = held_load(r->db, &h, err);
	if (rc == 0)
		rc = store_own_entry(r->db, &own, err);
	for (i = 0; i < r->ngroups && rc == 0; i++) {
		out->ngroups++;
		rc = end_group(r, &h, &own, &r->group[i], &out->group[i], err);
		if (rc == 0)
			rc = remember(r, &r->group[i], &out->group[i], err);
	}
	if (rc == 0)
		rc = other_find(&h, was_asked, r, out, err);
	held_clear(&h);
	return rc;
}

void
store_serve_close(struct store_reading *r)
{
	size_t i, k;

	if (r == NULL)
		return;
	close_snapshot(r);
	sqlite3_finalize(r->export);
	/* One connection is kept for the next pull. */
	if (r->db != NULL && r->s->spare == NULL &&
	    sqlite3_get_autocommit(r->db)) {
		sqlite3_db_release_memory(r->db);
		r->s->spare = r->db;
	} else {
		store_disconnect(r->db);
	}
	for (i = 0; i < r->ngroups; i++) {
		for (k = 0; k < r->group[i].ntables; k++)
			free(r->group[i].table[k]);
		free(r->group[i].table);
		store_vector_clear(&r->group[i].asked);
		store_vector_clear(&r->group[i].denied);
	}
	split_clear(&r->split);
	free(r->group);
	buf_clear(&r->plan);
	free(r);
}
