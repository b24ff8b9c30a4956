// SPDX-License-Identifier: MPL-2.0
/* inbox_open.c - the inbox's files: they are made, opened, and made anew where they
 * are damaged; what lies in them is inbox.c's. */
#include "store/inbox_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/inbox.h"
#include "store/sql.h"
#include "store/store_private.h"

enum { INBOX_NUMBER = 2 };

static const char file_name[] = "inbox.db";

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
