// SPDX-License-Identifier: MPL-2.0
/*
 * fsck.c - ddcp fsck: whether this database, alone, agrees with itself: the
 * file, what the engine keeps, what ddcp keeps beside it, the state directory
 * and the inbox (fsck_inbox.c).  It only looks: nothing is folded, made or
 * mended.  Whether others have the same rows is digest.c's question.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/fsck.h"
#include "store/held.h"
#include "store/note.h"
#include "store/sql.h"
#include "store/statedir.h"

enum {
	DAMAGES_MAX = 100,      /* of one file, that are named */
	KEY_SHOWN = 24          /* bytes of a packed key */
};

#define FROM_BACKUP "restore a backup, or clone again"
#define BY_FOLD "ddcp shell \"select crsql_fold()\" does that"

static int
tell(struct fsck *f, const struct store_fault *fault)
{
	if (fault->wrong)
		f->out->faults++;
	return f->each(f->self, fault);
}

int
fsck_wrong(struct fsck *f, const char *part, const char *rule,
    const char *text, const char *hint)
{
	const struct store_fault fault = { .wrong = true, .part = part,
		.rule = rule, .text = text, .hint = hint };

	return tell(f, &fault);
}

int
fsck_note(struct fsck *f, const char *part, const char *rule,
    const char *text, const char *hint)
{
	const struct store_fault fault = { .part = part, .rule = rule,
		.text = text, .hint = hint };

	return tell(f, &fault);
}

/* Damage that reading met is what was looked for; other failures end it. */
static int
take_damage(struct fsck *f, sqlite3 *db, int rc, const char *part,
    struct err *err)
{
	struct err why;

	if (!fsck_is_damage(db, rc))
		return rc;
	why = *err;
	err_clear(err);
	return fsck_wrong(f, part, "damaged", why.text, FROM_BACKUP);
}

/* -- the file ------------------------------------------------------------------ */

bool
fsck_is_damage(sqlite3 *db, int rc)
{
	int code = sqlite3_errcode(db) & 0xFF;

	return rc == E_FATAL && (code == SQLITE_CORRUPT || code == SQLITE_NOTADB);
}

/* True if SQLite could not look, which it says like a damage; a file that is too
 * short is one. */
static bool
is_unread(const char *text, struct err *err)
{
	static const char word[] = "unable to get the page. error code=";
	const char *at = strstr(text, word);
	int code = at != NULL ? atoi(at + sizeof word - 1) : 0;

	if ((code & 0xFF) != SQLITE_IOERR || code == SQLITE_IOERR_SHORT_READ)
		return false;
	err_set(err, E_FATAL, "check the disk", "reading or writing the database "
	    "failed: %s", sqlite3_errstr(code));
	return true;
}

int
fsck_integrity(struct fsck *f, sqlite3 *db, const char *table,
    const char *part, const char *hint, struct err *err)
{
	static const char sql[] = "SELECT integrity_check FROM "
	    "pragma_integrity_check(?1) WHERE integrity_check <> 'ok'";
	sqlite3_stmt *stmt = NULL;
	const char *text;
	bool row = true;
	int rc;

	rc = table != NULL ? sql_open(db, &stmt, err, sql, "t", table) :
	    sql_open(db, &stmt, err, sql, "i", (int64_t)DAMAGES_MAX);
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		text = (const char *)sqlite3_column_text(stmt, 0);
		rc = text == NULL ? err_nomem(err) : is_unread(text, err) ? E_FATAL :
		    fsck_wrong(f, part, "integrity", text, hint);
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* An index may need a function or a collation that only its application's
 * connections have: SQLite looks at nothing then. */
static bool
is_unknown(sqlite3 *db, int rc)
{
	return rc == E_FATAL && (sqlite3_errcode(db) & 0xFF) == SQLITE_ERROR;
}

static int
check_table(struct fsck *f, const char *table, struct err *err)
{
	int rc = fsck_integrity(f, f->s->db, table, "database", FROM_BACKUP, err);
	struct err why;

	if (!is_unknown(f->s->db, rc))
		return rc;
	why = *err;
	err_clear(err);
	return fsck_note(f, table, "application", why.text, "only its application "
	    "can look at its pages: PRAGMA integrity_check there");
}

static int
check_each_table(struct fsck *f, struct err *err)
{
	sqlite3_stmt *stmt;
	bool row = true;
	int rc;

	rc = sql_open(f->s->db, &stmt, err, "SELECT name FROM main.sqlite_schema "
	    "WHERE type = 'table' AND rootpage > 0", "");
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc == 0 && row)
			rc = check_table(f, (const char *)sqlite3_column_text(
			    stmt, 0), err);
	}
	sqlite3_finalize(stmt);
	return rc;
}

static int
check_file(struct fsck *f, struct err *err)
{
	int rc = fsck_integrity(f, f->s->db, NULL, "database", FROM_BACKUP, err);

	if (is_unknown(f->s->db, rc)) {
		err_clear(err);
		rc = check_each_table(f, err);
	}
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
	if (table == NULL)
		table = "engine";
	if (text == NULL)
		rc = err_nomem(err);
	else if (sqlite3_column_int(stmt, 3))
		rc = fsck_note(f, table, "engine", text, BY_FOLD);
	else
		rc = fsck_wrong(f, table, "engine", text, FROM_BACKUP);
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
	    "SELECT \"table\", key, what, mended FROM crsql_check", "");
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
	return fsck_note(f, "journal", "waiting", text, BY_FOLD);
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
		    fsck_wrong(f, r->part, "bookkeeping", text, FROM_BACKUP);
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
		return fsck_wrong(f, "note", "note", "the note of what was sent is "
		    "damaged: until something is sent again an old copy of the "
		    "database would not be noticed", "");
	if (rc == 0 && f->s->unsafe)
		return fsck_wrong(f, "note", "copy", "the database lacks what it has "
		    "sent: it is a copy, or an old state of itself",
		    "whatever writes next goes on under a new site id");
	return rc;
}

static int
check_modes(struct fsck *f, struct err *err)
{
	static const char *const names[] = { "key", "key.next", "note", "lock",
		"inbox.db", "inbox.db-wal", "inbox.db-shm", "inbox.pages", "control" };
	struct err why = { .code = 0 };
	size_t i;
	int rc = 0;

	for (i = 0; i < sizeof names / sizeof *names && rc == 0; i++)
		if (statedir_look(f->s->dir, names[i], &why) != 0)
			rc = fsck_wrong(f, "state directory", "mode", why.text,
			    why.hint);
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
		/* an index may need what only its application has */
		sql = sqlite3_mprintf("SELECT count(*) FROM main.\"%w\" NOT INDEXED",
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
	int rc = sql_begin_reading(f->s->db, err);

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
	sql_rollback(f->s->db);
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
		rc = fsck_inbox(&f, err);
	return rc;
}
