// SPDX-License-Identifier: MPL-2.0
/* inbox.c - see inbox.h: runs and their pages; the files are inbox_open.c's. */
#include "store/inbox.h"

#include <string.h>

#include "base/rd.h"
#include "store/inbox_open.h"
#include "store/sql.h"
#include "store/store_private.h"

/* -- runs ------------------------------------------------------------------------ */

void
run_clear(struct run *r)
{
	asked_clear(&r->asked);
	store_end_clear(&r->end);
	memset(r, 0, sizeof *r);
}

int
inbox_begin(struct store *s, const uint8_t key[static KEY_LEN],
    const struct asked *asked, int64_t *run, struct err *err)
{
	uint8_t own[OWN_LEN];
	struct buf b;
	bool found;
	int rc;

	*run = 0;
	rc = inbox_open(s, err);
	if (rc == 0)
		rc = sql_bytes(s->db, own, sizeof own, &found, err,
		    "SELECT crsql_own()", "");
	if (rc != 0)
		return rc;
	rc = asked_encode(asked, &b, err);
	if (rc == 0)
		rc = sql_do(s->inbox->db, err, "INSERT INTO run(remote, "
		    "database, own, asked) VALUES(?1, ?2, ?3, ?4)", "bbbb", key,
		    (size_t)KEY_LEN, s->id.database, sizeof s->id.database, own,
		    sizeof own, b.data, b.len);
	if (rc == 0)
		*run = sqlite3_last_insert_rowid(s->inbox->db);
	buf_clear(&b);
	return rc;
}

/* Behind all pages that wait, of any run. */
static int
spool_end(struct inbox *i, int64_t *at, struct err *err)
{
	return sql_int(i->db, at, err,
	    "SELECT coalesce(max(upto), 0) FROM page", "");
}

static int
insert_page(struct store *s, int64_t run, const uint8_t *page, size_t len,
    const struct arrival *a, struct err *err)
{
	uint8_t hash[SPOOL_HASH_LEN];
	struct inbox *i = s->inbox;
	int64_t at = 0;
	bool row;
	int rc;

	rc = spool_end(i, &at, err);
	if (rc == 0)
		rc = spool_write(&i->spool, at, page, len, hash, err);
	if (rc == 0 && i->add == NULL)
		rc = sql_open(i->db, &i->add, err, "INSERT INTO page VALUES(?1, "
		    "coalesce((SELECT max(seq) FROM page WHERE run = ?1), 0) + 1, "
		    "?2, ?3, ?4, ?5, ?6, ?7)", "");
	if (rc != 0)
		return rc;
	sqlite3_bind_int64(i->add, 1, run);
	sqlite3_bind_int(i->add, 2, a->ends_inside);
	sqlite3_bind_int64(i->add, 3, (int64_t)a->transactions);
	sqlite3_bind_int64(i->add, 4, (int64_t)a->rows);
	sqlite3_bind_int64(i->add, 5, (int64_t)len);
	sqlite3_bind_int64(i->add, 6, at + (int64_t)len);
	sqlite3_bind_blob(i->add, 7, hash, sizeof hash, SQLITE_STATIC);
	rc = sql_next(i->add, &row, err);
	sqlite3_reset(i->add);
	sqlite3_clear_bindings(i->add);
	return rc;
}

static int
write_place(struct store *s, int64_t run, const struct asked *asked,
    struct err *err)
{
	struct buf b;
	int rc = asked_encode(asked, &b, err);

	if (rc == 0)
		rc = sql_do(s->inbox->db, err, "UPDATE run SET asked = ?2 "
		    "WHERE id = ?1", "ib", run, b.data, b.len);
	/* `ddcp cleanup` while the pull goes on: what came before is gone */
	if (rc == 0 && sqlite3_changes(s->inbox->db) == 0)
		rc = err_set(err, E_INTEGRITY, "pull again", "the inbox was "
		    "emptied during the pull");
	buf_clear(&b);
	return rc;
}

int
inbox_add(struct store *s, int64_t run, const uint8_t *page, size_t len,
    const struct arrival *a, const struct asked *asked, struct err *err)
{
	int rc = inbox_open(s, err);

	if (rc == 0)
		rc = sql_begin(s->inbox->db, err);
	if (rc != 0)
		return rc;
	rc = insert_page(s, run, page, len, a, err);
	if (rc == 0)
		rc = write_place(s, run, asked, err);
	return sql_end(s->inbox->db, rc, err);
}

int
inbox_end(struct store *s, int64_t run, const struct asked *asked,
    const struct store_end *end, struct err *err)
{
	struct buf b;
	int rc;

	rc = inbox_encode_end(end, &b, err);
	if (rc == 0)
		rc = write_place(s, run, asked, err);
	if (rc == 0)
		rc = sql_do(s->inbox->db, err,
		    "UPDATE run SET ended = ?2 WHERE id = ?1", "ib", run, b.data,
		    b.len);
	buf_clear(&b);
	return rc;
}

static int
read_run(struct inbox *i, sqlite3_stmt *stmt, struct run *out,
    struct err *err)
{
	uint8_t own[OWN_LEN];
	struct rd r;
	int64_t size;
	int rc;

	out->id = sqlite3_column_int64(stmt, 0);
	sql_column(stmt, 1, out->database, sizeof out->database);
	sql_column(stmt, 2, own, sizeof own);
	rd_init(&r, own, sizeof own);
	rd_copy(&r, STORE_SITE_LEN, out->own.site);
	out->own.version = rd_u64(&r);
	rd_copy(&r, STORE_TOKEN_LEN, out->own.token);
	out->last = sqlite3_column_int64(stmt, 5);
	out->whole = sqlite3_column_int64(stmt, 6);
	rc = asked_decode(sqlite3_column_blob(stmt, 3),
	    (size_t)sqlite3_column_bytes(stmt, 3), &out->asked, err);
	out->ended = sqlite3_column_type(stmt, 4) != SQLITE_NULL;
	if (rc == 0 && out->ended)
		rc = inbox_decode_end(sqlite3_column_blob(stmt, 4),
		    (size_t)sqlite3_column_bytes(stmt, 4), &out->end, err);
	if (rc == 0)
		rc = spool_size(&i->spool, &size, err);
	out->lost = rc == 0 && sqlite3_column_int64(stmt, 7) > size;
	return rc;
}

int
inbox_run(struct store *s, const uint8_t key[static KEY_LEN], int64_t after,
    struct run *out, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool there, row = false;
	int rc;

	memset(out, 0, sizeof *out);
	rc = inbox_open_if_there(s, &there, err);
	if (rc != 0 || !there)
		return rc;
	rc = sql_open(s->inbox->db, &stmt, err, "SELECT id, database, own, "
	    "asked, ended, (SELECT max(seq) FROM page WHERE run = id), "
	    "(SELECT max(seq) FROM page WHERE run = id AND NOT inside), "
	    "(SELECT max(upto) FROM page WHERE run = id) FROM run WHERE remote = ?1 AND id > ?2 ORDER BY id LIMIT 1", "bi",
	    key, (size_t)KEY_LEN, after);
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	if (rc == 0 && row)
		rc = read_run(s->inbox, stmt, out, err);
	sqlite3_finalize(stmt);
	return rc;
}

int
inbox_page(struct store *s, int64_t run, int64_t after, int64_t *seq,
    const uint8_t **page, size_t *len, struct err *err)
{
	uint8_t hash[SPOOL_HASH_LEN];
	sqlite3_stmt *stmt;
	int64_t upto = 0;
	bool row = false;
	int rc;

	*seq = 0;
	rc = sql_open(s->inbox->db, &stmt, err, "SELECT seq, bytes, upto, hash "
	    "FROM page WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT 1", "ii",
	    run, after);
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	if (rc == 0 && row) {
		*seq = sqlite3_column_int64(stmt, 0);
		*len = (size_t)sqlite3_column_int64(stmt, 1);
		upto = sqlite3_column_int64(stmt, 2);
		sql_column(stmt, 3, hash, sizeof hash);
	}
	sqlite3_finalize(stmt);
	if (rc == 0 && row)
		rc = spool_read(&s->inbox->spool, upto - (int64_t)*len, *len,
		    hash, page, err);
	return rc;
}

/* -- removing ----------------------------------------------------------------- */

/* Ends a transaction that removes pages: their space goes before others, who
 * wait for it, can add any. */
static int
end_removal(struct inbox *i, int rc, struct err *err)
{
	int64_t at = 0;

	if (rc == 0)
		rc = spool_end(i, &at, err);
	if (rc == 0)
		spool_cut(&i->spool, at);
	return sql_end(i->db, rc, err);
}

int
inbox_remove_pages(struct store *s, int64_t run, int64_t seq, struct err *err)
{
	int rc = sql_begin(s->inbox->db, err);

	if (rc != 0)
		return rc;
	rc = sql_do(s->inbox->db, err,
	    "DELETE FROM page WHERE run = ?1 AND seq <= ?2", "ii", run, seq);
	return end_removal(s->inbox, rc, err);
}

static int
remove_run(struct store *s, int64_t run, struct err *err)
{
	int rc;

	rc = sql_do(s->inbox->db, err, "DELETE FROM page WHERE run = ?1", "i",
	    run);
	return rc != 0 ? rc : sql_do(s->inbox->db, err,
	    "DELETE FROM run WHERE id = ?1", "i", run);
}

int
inbox_remove_run(struct store *s, int64_t run, struct err *err)
{
	int rc = sql_begin(s->inbox->db, err);

	return rc != 0 ? rc : end_removal(s->inbox, remove_run(s, run, err),
	    err);
}

static int
forget(struct store *s, const uint8_t key[static KEY_LEN], struct err *err)
{
	static const char *const sql[] = {
		("DELETE FROM page WHERE run IN "
		    "(SELECT id FROM run WHERE remote = ?1)"),
		"DELETE FROM run WHERE remote = ?1",
		"DELETE FROM part WHERE remote = ?1",
		"DELETE FROM piece WHERE remote = ?1" };
	size_t i;
	int rc = 0;

	for (i = 0; i < sizeof sql / sizeof *sql && rc == 0; i++)
		rc = sql_do(s->inbox->db, err, sql[i], "b", key,
		    (size_t)KEY_LEN);
	return rc;
}

int
inbox_forget(struct store *s, const uint8_t key[static KEY_LEN],
    struct err *err)
{
	bool there;
	int rc = inbox_open_if_there(s, &there, err);

	if (rc != 0 || !there)
		return rc;
	rc = sql_begin(s->inbox->db, err);
	return rc != 0 ? rc : end_removal(s->inbox, forget(s, key, err), err);
}

int
inbox_held(struct store *s, const uint8_t key[static KEY_LEN],
    uint64_t *transactions, uint64_t *rows, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool there, row = false;
	int rc;

	*transactions = *rows = 0;
	rc = inbox_open_if_there(s, &there, err);
	if (rc != 0 || !there)
		return rc;
	rc = sql_open(s->inbox->db, &stmt, err, "SELECT sum(transactions), "
	    "sum(rows) FROM page WHERE run IN (SELECT id FROM run WHERE "
	    "remote = ?1)", "b", key, (size_t)KEY_LEN);
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	if (row) {
		*transactions = (uint64_t)sqlite3_column_int64(stmt, 0);
		*rows = (uint64_t)sqlite3_column_int64(stmt, 1);
	}
	sqlite3_finalize(stmt);
	return rc;
}

static int
remove_all(struct store *s, struct err *err)
{
	static const char *const sql[] = { "DELETE FROM page",
		"DELETE FROM run", "DELETE FROM piece", "DELETE FROM part" };
	size_t i;
	int rc = 0;

	for (i = 0; i < sizeof sql / sizeof *sql && rc == 0; i++)
		rc = sql_do(s->inbox->db, err, sql[i], "");
	return rc;
}

int
inbox_count(struct store *s, bool remove, uint64_t *pages, uint64_t *bytes,
    struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool there, row = false;
	int rc;

	*pages = *bytes = 0;
	rc = inbox_open_if_there(s, &there, err);
	if (rc != 0 || !there)
		return rc;
	rc = sql_open(s->inbox->db, &stmt, err, "SELECT "
	    "(SELECT count(*) FROM page) + (SELECT count(*) FROM part), "
	    "coalesce((SELECT sum(bytes) FROM page), 0) + "
	    "coalesce((SELECT sum(have) FROM part), 0)", "");
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	if (row) {
		*pages = (uint64_t)sqlite3_column_int64(stmt, 0);
		*bytes = (uint64_t)sqlite3_column_int64(stmt, 1);
	}
	sqlite3_finalize(stmt);
	if (rc != 0 || !remove)
		return rc;
	rc = sql_begin(s->inbox->db, err);
	if (rc == 0)
		rc = end_removal(s->inbox, remove_all(s, err), err);
	/* Gives the space back to the disk. */
	if (rc == 0)
		rc = sql_do(s->inbox->db, err, "VACUUM", "");
	return rc;
}
