// SPDX-License-Identifier: MPL-2.0
/* serve.c - see serve.h: the snapshot, and pages of it. */
#include "store/serve.h"

#include <stdlib.h>

#include "store/again.h"
#include "store/durable.h"
#include "store/sql.h"

enum { LOOKS_MAX = 5 };

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
		rc = sql_do(r->db, err, "BEGIN", "");
	if (rc == 0)
		rc = sql_int(r->db, &version, err, "SELECT crsql_db_version()",
		    "");
	if (rc == 0)
		rc = again_is_settled(r->db, settled, err);
	if (!*settled && !sqlite3_get_autocommit(r->db))
		sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
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
	if (r->db != NULL && !sqlite3_get_autocommit(r->db))
		sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
	r->snapshot = false;
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
	int rc = serve_encode_plan(r, p, err);

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
	rc = serve_take_plan(r, p, need_whole, err);
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
	acked_note(s, remote, p->merged);
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

	rc = sql_do(r->db, err, "BEGIN", "");
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
	int rc = serve_take_plan(r, p, &need_whole, err);

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
		sqlite3_close_v2(r->db);
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
