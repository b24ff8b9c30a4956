// SPDX-License-Identifier: MPL-2.0
#include "store/inbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rd.h"
#include "store/spool.h"
#include "store/sql.h"
#include "store/store_private.h"

enum { INBOX_NUMBER = 2 };

static const char file_name[] = "inbox.db";

struct inbox {
	sqlite3 *db;
	sqlite3_stmt *add;
	struct spool spool;
};

static const char tables[] =
    "BEGIN;"
    "CREATE TABLE run(id INTEGER PRIMARY KEY, remote BLOB NOT NULL,"
    " database BLOB NOT NULL, own BLOB NOT NULL, asked BLOB NOT NULL,"
    " ended BLOB);"
    "CREATE INDEX run_remote ON run(remote);"
    "CREATE TABLE page(run INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " inside INTEGER NOT NULL, transactions INTEGER NOT NULL,"
    " rows INTEGER NOT NULL, bytes INTEGER NOT NULL, upto INTEGER NOT NULL,"
    " hash BLOB NOT NULL, PRIMARY KEY(run, seq)) WITHOUT ROWID;"
    "CREATE INDEX page_upto ON page(upto);"
    "CREATE TABLE part(remote BLOB PRIMARY KEY, hash BLOB NOT NULL,"
    " total INTEGER NOT NULL, raw INTEGER NOT NULL,"
    " zipped INTEGER NOT NULL, have INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE piece(id INTEGER PRIMARY KEY, remote BLOB NOT NULL,"
    " at INTEGER NOT NULL, data BLOB NOT NULL);"
    "CREATE UNIQUE INDEX piece_at ON piece(remote, at);"
    "PRAGMA user_version = 2;"
    "COMMIT;";

/* -- opening ---------------------------------------------------------------- */

/* Made by ourselves first, so that it is private from the start.  One that is
 * there can be read where nothing can be written. */
static int
make_private(struct store *s, struct err *err)
{
	int fd = openat(s->dir, file_name, O_RDWR | O_CREAT | O_NOFOLLOW |
	    O_CLOEXEC, 0600);

	if (fd < 0 && (errno == EROFS || errno == EACCES))
		fd = openat(s->dir, file_name, O_RDONLY | O_NOFOLLOW |
		    O_CLOEXEC);
	if (fd < 0)
		return err_set(err, E_FATAL, "check the permissions of the "
		    "state directory", "can't open the inbox: %s",
		    strerror(errno));
	close(fd);
	return 0;
}

static int
open_file(struct store *s, sqlite3 **db, struct err *err)
{
	int64_t number = 0;
	char *path;
	int rc;

	*db = NULL;
	rc = make_private(s, err);
	if (rc != 0)
		return rc;
	if (asprintf(&path, "%s/%s", s->state_dir, file_name) < 0)
		return err_nomem(err);
	rc = store_connect(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW,
	    s->busy_ms, db, err);
	free(path);
	if (rc == 0)
		rc = sql_do(*db, err, "PRAGMA journal_mode = WAL", "");
	if (rc == 0)
		rc = sql_do(*db, err, "PRAGMA synchronous = NORMAL", "");
	if (rc == 0)
		rc = sql_do(*db, err, "PRAGMA cache_size = -2048", "");
	if (rc == 0)
		rc = sql_int(*db, &number, err, "PRAGMA user_version", "");
	if (rc == 0 && number == 0) {
		rc = sqlite3_exec(*db, tables, NULL, NULL, NULL);
		rc = rc == SQLITE_OK ? 0 : sql_fail(*db, rc, err);
	} else if (rc == 0 && number != INBOX_NUMBER) {
		rc = err_set(err, E_FATAL, NULL, "the inbox has format %d",
		    (int)number);
	}
	return rc;
}

/* Whether it is no inbox of ours at all; one that can't be opened for want of
 * space or of permission may be one. */
static bool
is_useless(struct store *s)
{
	sqlite3_stmt *stmt = NULL;
	sqlite3 *db = NULL;
	bool useless = false;
	char *path;
	int rc;

	if (asprintf(&path, "%s/%s", s->state_dir, file_name) < 0)
		return false;
	rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_NOFOLLOW, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt,
		    NULL);
	if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		useless = sqlite3_column_int(stmt, 0) != 0 &&
		    sqlite3_column_int(stmt, 0) != INBOX_NUMBER;
	else
		useless = (rc & 0xFF) == SQLITE_NOTADB ||
		    (rc & 0xFF) == SQLITE_CORRUPT;
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	free(path);
	return useless;
}

/* Nothing in it can't be fetched again. */
static void
remove_file(struct store *s)
{
	unlinkat(s->dir, "inbox.db", 0);
	unlinkat(s->dir, "inbox.db-wal", 0);
	unlinkat(s->dir, "inbox.db-shm", 0);
	spool_remove(s->dir);
}

int
inbox_open(struct store *s, struct err *err)
{
	struct inbox *i;
	int rc;

	if (s->inbox != NULL)
		return 0;
	i = calloc(1, sizeof *i);
	if (i == NULL)
		return err_nomem(err);
	spool_init(&i->spool, s->dir);
	rc = open_file(s, &i->db, err);
	if (rc == E_FATAL && is_useless(s)) {
		sqlite3_close(i->db);
		i->db = NULL;
		remove_file(s);
		rc = open_file(s, &i->db, err);
	}
	if (rc != 0) {
		inbox_close(i);
		return rc;
	}
	s->inbox = i;
	return 0;
}

void
inbox_close(struct inbox *i)
{
	if (i == NULL)
		return;
	sqlite3_finalize(i->add);
	sqlite3_close(i->db);
	spool_clear(&i->spool);
	free(i);
}

int
inbox_open_if_there(struct store *s, bool *there, struct err *err)
{
	*there = s->inbox != NULL ||
	    faccessat(s->dir, file_name, F_OK, 0) == 0;
	return *there ? inbox_open(s, err) : 0;
}

sqlite3 *
inbox_handle(struct store *s)
{
	return s->inbox->db;
}

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

/* Ends a transaction that removes pages.  Their space goes when they are gone for
 * sure; others, who may add pages, have to wait for it. */
static int
end_removal(struct inbox *i, int rc, struct err *err)
{
	int64_t at = 0;

	rc = sql_end(i->db, rc, err);
	if (rc == 0 && sql_begin(i->db, NULL) == 0) {
		if (spool_end(i, &at, NULL) == 0)
			spool_cut(&i->spool, at);
		sql_rollback(i->db);
	}
	return rc;
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
	/* Gives the space back to the disk, if it can be done now. */
	if (rc == 0)
		sql_do(s->inbox->db, NULL, "VACUUM", "");
	return rc;
}
