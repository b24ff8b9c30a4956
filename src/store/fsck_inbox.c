// SPDX-License-Identifier: MPL-2.0
/* fsck_inbox.c - whether what was fetched and not merged yet can be read. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/fsck.h"
#include "store/spool.h"
#include "store/sql.h"

#define FETCH_AGAIN "\"ddcp cleanup\" empties the inbox; then fetch again"

/* SQLITE_OPEN_READONLY, or _READWRITE for its lock; never mended as inbox_open()
 * would.  *db is NULL on failure. */
static int
open_inbox(struct fsck *f, int flags, sqlite3 **db, struct err *err)
{
	char *path;
	int rc;

	if (asprintf(&path, "%s/inbox.db", f->s->state_dir) < 0)
		return err_nomem(err);
	rc = store_connect(path, flags | SQLITE_OPEN_NOFOLLOW, f->s->busy_ms, db,
	    err);
	free(path);
	return rc;
}

/* Whether its bytes are the reason that it can't be opened. */
static bool
is_no_database(struct fsck *f)
{
	sqlite3 *db = NULL;
	char *path;
	int rc;

	if (asprintf(&path, "%s/inbox.db", f->s->state_dir) < 0)
		return false;
	rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY |
	    SQLITE_OPEN_NOFOLLOW, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "SELECT 1 FROM sqlite_schema", NULL, NULL,
		    NULL) & 0xFF;
	sqlite3_close(db);
	free(path);
	return rc == SQLITE_NOTADB || rc == SQLITE_CORRUPT;
}

/* The page after that place; *upto 0 if there is none. */
struct waiting {
	int64_t run, seq, upto, bytes;
	uint8_t hash[SPOOL_HASH_LEN];
};

static int
next_waiting(sqlite3 *db, struct waiting *w, bool same, bool *row,
    struct err *err)
{
	sqlite3_stmt *stmt;
	int rc;

	rc = sql_open(db, &stmt, err, same ? "SELECT run, seq, upto, bytes, hash "
	    "FROM page WHERE run = ?1 AND seq = ?2" : "SELECT run, seq, upto, "
	    "bytes, hash FROM page WHERE (run, seq) > (?1, ?2) "
	    "ORDER BY run, seq LIMIT 1", "ii", w->run, w->seq);
	if (rc == 0)
		rc = sql_next(stmt, row, err);
	if (rc == 0 && *row) {
		w->run = sqlite3_column_int64(stmt, 0);
		w->seq = sqlite3_column_int64(stmt, 1);
		w->upto = sqlite3_column_int64(stmt, 2);
		w->bytes = sqlite3_column_int64(stmt, 3);
		sql_column(stmt, 4, w->hash, sizeof w->hash);
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* Bytes beyond the file are not there, whatever is said of their number. */
static int
read_waiting(struct spool *sp, const struct waiting *w, struct err *err)
{
	const uint8_t *data;
	int64_t size;
	int rc = spool_size(sp, &size, err);

	if (rc != 0)
		return rc;
	if (w->bytes < 0 || w->upto < w->bytes || w->upto > size)
		return err_set(err, E_INTEGRITY, NULL, "the inbox is damaged");
	return spool_read(sp, w->upto - w->bytes, (size_t)w->bytes, w->hash,
	    &data, err);
}

/* Another process may be taking pages out, and cuts the file behind that.  So what
 * can't be read is looked at again while nobody else can do that. */
static int
look_again(struct fsck *f, sqlite3 *writer, struct spool *sp,
    struct waiting *w, bool *bad, struct err *err)
{
	bool row;
	int rc = sql_begin(writer, err);

	*bad = false;
	if (rc != 0)
		return rc;
	rc = next_waiting(writer, w, true, &row, err);
	if (rc == 0 && row) {
		rc = read_waiting(sp, w, err);
		*bad = rc == E_INTEGRITY;
	}
	if (*bad) {
		err_clear(err);
		rc = 0;
	}
	sql_rollback(writer);
	return rc;
}

static int
count_damaged(struct fsck *f, sqlite3 *db, struct spool *sp, uint64_t *damaged,
    struct err *err)
{
	struct waiting w = { .run = INT64_MIN };
	sqlite3 *writer = NULL;
	bool row = true, bad;
	int rc = 0;

	while (rc == 0) {
		rc = next_waiting(db, &w, false, &row, err);
		if (rc != 0 || !row)
			break;
		f->out->waiting++;
		rc = read_waiting(sp, &w, err);
		if (rc != E_INTEGRITY)
			continue;
		err_clear(err);
		rc = 0;
		bad = true;     /* also where nobody can write */
		if (writer != NULL || open_inbox(f, SQLITE_OPEN_READWRITE, &writer,
		    NULL) == 0)
			rc = look_again(f, writer, sp, &w, &bad, err);
		*damaged += rc == 0 && bad;
	}
	sqlite3_close(writer);
	return rc;
}

static int
check_waiting_pages(struct fsck *f, sqlite3 *db, struct err *err)
{
	uint64_t damaged = 0;
	struct spool sp;
	char text[96];
	int rc;

	spool_init(&sp, f->s->dir);
	rc = count_damaged(f, db, &sp, &damaged, err);
	spool_clear(&sp);
	if (rc != 0 || damaged == 0)
		return rc;
	snprintf(text, sizeof text, "%llu pages that were fetched are damaged",
	    (unsigned long long)damaged);
	return fsck_wrong(f, "inbox", "damaged", text, FETCH_AGAIN);
}

/* One that was just begun has no tables yet. */
static int
check_tables(struct fsck *f, sqlite3 *db, struct err *err)
{
	int64_t number;
	int rc = sql_int(db, &number, err, "PRAGMA user_version", "");

	if (rc == 0)
		rc = fsck_integrity(f, db, NULL, "inbox", FETCH_AGAIN, err);
	return rc == 0 && number != 0 ? check_waiting_pages(f, db, err) : rc;
}

/* Whatever is wrong with it can be fetched again; that it can't be looked at is
 * another thing. */
int
fsck_inbox(struct fsck *f, struct err *err)
{
	sqlite3 *db = NULL;
	struct stat st;
	struct err why;
	bool damaged;
	int rc;

	if (fstatat(f->s->dir, "inbox.db", &st, AT_SYMLINK_NOFOLLOW) != 0)
		return 0;
	rc = open_inbox(f, SQLITE_OPEN_READONLY, &db, err);
	if (rc == 0)
		rc = check_tables(f, db, err);
	damaged = rc == E_INTEGRITY || (rc == E_FATAL && (db != NULL ?
	    fsck_is_damage(db, rc) : is_no_database(f)));
	sqlite3_close(db);
	if (rc != E_INTEGRITY && rc != E_FATAL)
		return rc;
	why = *err;
	err_clear(err);
	return damaged ? fsck_wrong(f, "inbox", "damaged", why.text, FETCH_AGAIN) :
	    fsck_note(f, "inbox", "unread", why.text, why.hint);
}
