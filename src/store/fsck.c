// SPDX-License-Identifier: MPL-2.0
/*
 * fsck.c - ddcp fsck: whether this database, alone, agrees with itself: the
 * file, what the engine keeps, what ddcp keeps beside it, the state directory
 * and the inbox.  It only looks: nothing is folded, made or mended.  Whether
 * others have the same rows is digest.c's question.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/held.h"
#include "store/note.h"
#include "store/spool.h"
#include "store/sql.h"
#include "store/statedir.h"
#include "store/store_private.h"

enum {
	DAMAGES_MAX = 100,      /* of one file, that are named */
	KEY_SHOWN = 24          /* bytes of a packed key */
};

#define FROM_BACKUP "restore a backup, or clone again"

struct fsck {
	struct store *s;
	int (*each)(void *self, const struct store_fault *f);
	void *self;
	struct store_health *out;
};

static int
tell(struct fsck *f, const struct store_fault *fault)
{
	if (fault->wrong)
		f->out->faults++;
	return f->each(f->self, fault);
}

static int
wrong(struct fsck *f, const char *part, const char *rule, const char *text,
    const char *hint)
{
	const struct store_fault fault = { .wrong = true, .part = part,
		.rule = rule, .text = text, .hint = hint };

	return tell(f, &fault);
}

/* Damage that reading met is what was looked for; other failures end it. */
static int
take_damage(struct fsck *f, sqlite3 *db, int rc, const char *part,
    struct err *err)
{
	int code = sqlite3_errcode(db) & 0xFF;
	struct err why;

	if (rc != E_FATAL || (code != SQLITE_CORRUPT && code != SQLITE_NOTADB))
		return rc;
	why = *err;
	err_clear(err);
	return wrong(f, part, "damaged", why.text, FROM_BACKUP);
}

/* -- the file ------------------------------------------------------------------ */

static int
read_integrity(struct fsck *f, sqlite3 *db, const char *part, const char *hint,
    struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	const char *text;
	bool row = true;
	int rc;

	rc = sql_open(db, &stmt, err, "SELECT integrity_check FROM "
	    "pragma_integrity_check(?1) WHERE integrity_check <> 'ok'", "i",
	    (int64_t)DAMAGES_MAX);
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		text = (const char *)sqlite3_column_text(stmt, 0);
		rc = text == NULL ? err_nomem(err) :
		    wrong(f, part, "integrity", text, hint);
	}
	sqlite3_finalize(stmt);
	return rc;
}

static int
check_file(struct fsck *f, struct err *err)
{
	int rc = read_integrity(f, f->s->db, "database", FROM_BACKUP, err);

	return take_damage(f, f->s->db, rc, "database", err);
}

/* -- what the engine keeps ------------------------------------------------------- */

/* A rowid or number as it is, a packed key by its first bytes. */
static char *
name_key(sqlite3_stmt *stmt, int i)
{
	const uint8_t *data;
	char hex[2 * KEY_SHOWN + 1];
	int n, k;

	if (sqlite3_column_type(stmt, i) == SQLITE_NULL)
		return sqlite3_mprintf("");
	if (sqlite3_column_type(stmt, i) != SQLITE_BLOB)
		return sqlite3_mprintf(" (%s)", sqlite3_column_text(stmt, i));
	data = sqlite3_column_blob(stmt, i);
	n = sqlite3_column_bytes(stmt, i);
	for (k = 0; k < n && k < KEY_SHOWN; k++)
		snprintf(hex + 2 * k, 3, "%02X", data[k]);
	hex[2 * k] = '\0';
	return sqlite3_mprintf(" (key X'%s'%s)", hex, n > k ? "..." : "");
}

static int
tell_engine(struct fsck *f, sqlite3_stmt *stmt, struct err *err)
{
	const char *table = (const char *)sqlite3_column_text(stmt, 0);
	char *key = name_key(stmt, 1), *text = NULL;
	int rc;

	if (key != NULL)
		text = sqlite3_mprintf("%s%s", sqlite3_column_text(stmt, 2),
		    key);
	rc = text == NULL ? err_nomem(err) :
	    wrong(f, table != NULL ? table : "engine", "engine", text,
	    FROM_BACKUP);
	sqlite3_free(key);
	sqlite3_free(text);
	return rc;
}

static int
check_engine(struct fsck *f, struct err *err)
{
	sqlite3_stmt *stmt;
	bool row = true;
	int rc;

	rc = sql_open(f->s->db, &stmt, err,
	    "SELECT \"table\", key, what FROM crsql_check", "");
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc == 0 && row)
			rc = tell_engine(f, stmt, err);
	}
	sqlite3_finalize(stmt);
	return take_damage(f, f->s->db, rc, "engine", err);
}

/* What waits is no fault, but while it does the engine compares no rows. */
static int
check_waiting(struct fsck *f, struct err *err)
{
	struct store_fault fault = { .part = "journal", .rule = "waiting",
		.hint = "ddcp shell \"select crsql_fold()\" does that" };
	int64_t n = 0, tables = 0;
	char text[160];
	int rc;

	rc = sql_int(f->s->db, &n, err, "SELECT crsql_pending()", "");
	if (rc == 0)
		rc = sql_int(f->s->db, &tables, err,
		    "SELECT crsql_schema_pending()", "");
	f->out->pending = (uint64_t)n;
	if (rc != 0 || (n == 0 && tables == 0))
		return take_damage(f, f->s->db, rc, "journal", err);
	snprintf(text, sizeof text, "%lld %s not taken into the log yet: rows "
	    "were not compared with it", (long long)(n > 0 ? n : tables),
	    n > 0 ? "writes of plain programs are" : "changed tables are");
	fault.text = text;
	return tell(f, &fault);
}

/* -- what ddcp keeps ---------------------------------------------------------------- */

#define BLOB(column, length) "(typeof(" column ") = 'blob' AND length(" column \
	") = " #length ")"
#define VERSION(column) "(typeof(" column ") = 'integer' AND " column " > 0)"

static const struct rule {
	const char *part, *query;       /* a row, with what it names */
	const char *text;               /* %s is that */
} rules[] = {
	{ "remotes", "SELECT name FROM ddcp_remote WHERE NOT " BLOB("key", 32),
	    "remote %s has no key" },
	{ "vectors", "SELECT id FROM ddcp_vector WHERE NOT (" BLOB("site", 16)
	    " AND " VERSION("version") " AND " BLOB("token", 8) ")",
	    "vector %s has an entry that is none" },
	{ "vectors", "SELECT name FROM ddcp_table AS t WHERE vector <> 0 AND NOT "
	    "EXISTS(SELECT 1 FROM ddcp_vector WHERE id = t.vector)",
	    "table %s has a vector that is not there" },
	{ "cursors", "SELECT id FROM ddcp_cursor WHERE NOT " BLOB("cursor", 40),
	    "cursor %s has another length" },
	{ "cursors", "SELECT name FROM ddcp_cursor_table WHERE cursor NOT IN "
	    "(SELECT id FROM ddcp_cursor)",
	    "table %s has a cursor that is not there" },
	{ "sites", "SELECT hex(site) FROM ddcp_site WHERE NOT (" BLOB("site", 16)
	    " AND " VERSION("version") " AND " BLOB("token", 8) ")",
	    "site %s is noted with what is no version" },
	{ "sites", "SELECT n FROM ddcp_own WHERE NOT (" BLOB("site", 16) " AND "
	    BLOB("incarnation", 8) " AND " BLOB("token", 8) ")",
	    "own incarnation %s is none" },
};

static int
check_rule(struct fsck *f, const struct rule *r, struct err *err)
{
	sqlite3_stmt *stmt;
	bool row = true;
	char *text;
	int rc;

	rc = sql_open(f->s->db, &stmt, err, r->query, "");
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		text = sqlite3_mprintf(r->text, sqlite3_column_text(stmt, 0));
		rc = text == NULL ? err_nomem(err) :
		    wrong(f, r->part, "bookkeeping", text, FROM_BACKUP);
		sqlite3_free(text);
	}
	sqlite3_finalize(stmt);
	return take_damage(f, f->s->db, rc, r->part, err);
}

static int
check_bookkeeping(struct fsck *f, struct err *err)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < sizeof rules / sizeof *rules && rc == 0; i++)
		rc = check_rule(f, &rules[i], err);
	return rc;
}

/* -- the state directory --------------------------------------------------------------- */

static int
check_note(struct fsck *f, struct err *err)
{
	struct note note;
	struct stat st;
	bool found;
	int rc = note_read(f->s->dir, &note, &found, err);

	/* One that is open to others was told of with the files. */
	if (rc == E_FATAL) {
		err_clear(err);
		return 0;
	}
	if (rc == 0 && !found && fstatat(f->s->dir, "note", &st, 0) == 0)
		return wrong(f, "note", "note", "the note of what was sent is "
		    "damaged: until something is sent again an old copy of the "
		    "database would not be noticed", "");
	if (rc == 0 && f->s->unsafe)
		return wrong(f, "note", "copy", "the database lacks what it has "
		    "sent: it is a copy, or an old state of itself",
		    "whatever writes next goes on under a new site id");
	return rc;
}

static int
check_modes(struct fsck *f, struct err *err)
{
	static const char *const names[] = { "key", "note", "lock", "inbox.db",
		"inbox.db-wal", "inbox.db-shm", "inbox.pages", "control" };
	struct err why = { .code = 0 };
	size_t i;
	int rc = 0;

	for (i = 0; i < sizeof names / sizeof *names && rc == 0; i++)
		if (statedir_look(f->s->dir, names[i], &why) != 0)
			rc = wrong(f, "state directory", "mode", why.text,
			    why.hint);
	return rc;
}

/* -- the inbox ---------------------------------------------------------------------------- */

#define FETCH_AGAIN "\"ddcp cleanup\" empties the inbox; then fetch again"

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

/* Another process may take pages out meanwhile: only what is still said to be
 * there and can't be read is wrong. */
static int
check_waiting_pages(struct fsck *f, sqlite3 *db, struct err *err)
{
	struct waiting w = { .run = INT64_MIN };
	uint64_t damaged = 0;
	struct spool sp;
	char text[96];
	bool row = true;
	int rc = 0;

	spool_init(&sp, f->s->dir);
	while (rc == 0) {
		rc = next_waiting(db, &w, false, &row, err);
		if (rc != 0 || !row)
			break;
		f->out->waiting++;
		rc = read_waiting(&sp, &w, err);
		if (rc != E_INTEGRITY)
			continue;
		rc = next_waiting(db, &w, true, &row, err);
		if (rc == 0 && row && read_waiting(&sp, &w, err) != 0)
			damaged++;
		err_clear(err);
	}
	spool_clear(&sp);
	if (rc != 0 || damaged == 0)
		return rc;
	snprintf(text, sizeof text, "%llu pages that were fetched are damaged",
	    (unsigned long long)damaged);
	return wrong(f, "inbox", "damaged", text, FETCH_AGAIN);
}

/* By a connection that can't mend it, as inbox_open() would. */
static int
check_inbox(struct fsck *f, struct err *err)
{
	sqlite3 *db = NULL;
	struct stat st;
	char *path;
	int rc;

	if (fstatat(f->s->dir, "inbox.db", &st, AT_SYMLINK_NOFOLLOW) != 0)
		return 0;
	if (asprintf(&path, "%s/inbox.db", f->s->state_dir) < 0)
		return err_nomem(err);
	rc = store_connect(path, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOFOLLOW,
	    f->s->busy_ms, &db, err);
	free(path);
	if (rc == 0)
		rc = read_integrity(f, db, "inbox", FETCH_AGAIN, err);
	if (rc == 0)
		rc = check_waiting_pages(f, db, err);
	sqlite3_close(db);
	/* Whatever is wrong with it, it can be fetched again. */
	if (rc == E_FATAL || rc == E_INTEGRITY) {
		struct err why = *err;

		err_clear(err);
		rc = wrong(f, "inbox", "damaged", why.text, FETCH_AGAIN);
	}
	return rc;
}

/* -- all of it ---------------------------------------------------------------------------- */

static int
count_rows(struct fsck *f, const struct held *h, struct err *err)
{
	int64_t n;
	char *sql;
	size_t i;
	int rc = 0;

	for (i = 0; i < h->ntables && rc == 0; i++) {
		sql = sqlite3_mprintf("SELECT count(*) FROM main.\"%w\"",
		    h->table[i].name);
		if (sql == NULL)
			return err_nomem(err);
		rc = sql_int(f->s->db, &n, err, sql, "");
		sqlite3_free(sql);
		f->out->rows += (uint64_t)n;
	}
	return rc;
}

static int
count(struct fsck *f, struct err *err)
{
	struct held h;
	int64_t n = 0;
	bool any;
	int rc;

	rc = held_load(f->s->db, &h, err);
	f->out->tables = h.ntables;
	if (rc == 0)
		rc = count_rows(f, &h, err);
	if (rc == 0)
		rc = sql_has_table(f->s->db, "crsql_log", &any, err);
	if (rc == 0 && any)
		rc = sql_int(f->s->db, &n, err,
		    "SELECT count(*) FROM crsql_log WHERE pos = 0", "");
	f->out->transactions = (uint64_t)n;
	held_clear(&h);
	return take_damage(f, f->s->db, rc, "database", err);
}

static int
check_database(struct fsck *f, struct err *err)
{
	int rc = sql_do(f->s->db, err, "BEGIN", "");

	if (rc == 0)
		rc = check_file(f, err);
	if (rc == 0)
		rc = check_waiting(f, err);
	if (rc == 0)
		rc = check_engine(f, err);
	if (rc == 0)
		rc = check_bookkeeping(f, err);
	if (rc == 0)
		rc = count(f, err);
	if (!sqlite3_get_autocommit(f->s->db))
		sqlite3_exec(f->s->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

int
store_fsck(struct store *s, int (*each)(void *self,
    const struct store_fault *f), void *self, struct store_health *out,
    struct err *err)
{
	struct fsck f = { s, each, self, out };
	struct err own;
	int rc;

	if (err == NULL)
		err = &own;
	memset(out, 0, sizeof *out);
	store_only_look(s, true);
	rc = check_database(&f, err);
	store_only_look(s, false);
	if (rc == 0)
		rc = check_modes(&f, err);
	if (rc == 0)
		rc = check_note(&f, err);
	if (rc == 0)
		rc = check_inbox(&f, err);
	return rc;
}
