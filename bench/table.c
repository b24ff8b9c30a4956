// SPDX-License-Identifier: MPL-2.0
/* table.c - the tables that are written, their rows, and databases with them. */
#include "bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crdt/crdt.h"

const struct shape shapes[NSHAPES] = {
	[UUID] = { "uuid", "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, name TEXT, "
	    "email TEXT, age INTEGER, score REAL, created INTEGER, body TEXT)",
	    false, 6, "ssirIs", { 20, 25, 0, 0, 0, 100 }, "age", 1 },
	[INT] = { "int", "CREATE TABLE t(id INTEGER PRIMARY KEY NOT NULL, a INTEGER, "
	    "b TEXT)", true, 2, "is", { 0, 10 }, "a", 1 },
	[WIDE] = { "wide", "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, c1 INTEGER, "
	    "c2 TEXT, c3 REAL, c4 INTEGER, c5 TEXT, c6 INTEGER, c7 TEXT, c8 REAL, "
	    "c9 INTEGER, c10 TEXT, c11 INTEGER, c12 TEXT, c13 REAL, c14 INTEGER, "
	    "c15 TEXT, c16 INTEGER, c17 TEXT, c18 REAL, c19 INTEGER, c20 TEXT)",
	    false, 20, "isrIsisrIsisrIsisrIs",
	    { 0, 10, 0, 0, 10, 0, 10, 0, 0, 10, 0, 10, 0, 0, 10, 0, 10, 0, 0, 10 },
	    "c1", 4 },
};

/* -- SQLite ------------------------------------------------------------------------ */

void
check(sqlite3 *db, int rc, const char *what)
{
	if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW)
		return;
	fprintf(stderr, "error: %s: %s\n", what, sqlite3_errmsg(db));
	exit(1);
}

void
run_sql(sqlite3 *db, const char *sql)
{
	check(db, sqlite3_exec(db, sql, NULL, NULL, NULL), sql);
}

sqlite3_stmt *
prepare(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt;

	check(db, sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), sql);
	return stmt;
}

void
step(sqlite3 *db, sqlite3_stmt *stmt)
{
	check(db, sqlite3_step(stmt), sqlite3_sql(stmt));
	sqlite3_reset(stmt);
}

int64_t
ask(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = prepare(db, sql);
	int64_t v;

	check(db, sqlite3_step(stmt), sql);
	v = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return v;
}

/* -- rows -------------------------------------------------------------------------- */

static uint64_t
mix(uint64_t v)
{
	v += 0x9E3779B97F4A7C15u;
	v = (v ^ v >> 30) * 0xBF58476D1CE4E5B9u;
	v = (v ^ v >> 27) * 0x94D049BB133111EBu;
	return v ^ v >> 31;
}

enum { POOL_BYTES = 1 << 16, LONGEST = 128 };

/* Texts are pieces of one long text. */
static const char *
pool(void)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz      ETAOIN";
	static char text[POOL_BYTES];
	size_t i;

	for (i = 0; text[0] == '\0' && i < sizeof text; i++)
		text[sizeof text - 1 - i] = letters[mix(i) % (sizeof letters - 1)];
	return text;
}

void
bind_key(const struct job *job, sqlite3_stmt *stmt, int at, int64_t number)
{
	static const char digits[] = "0123456789abcdef";
	static char id[36];
	uint64_t bits = 0;
	int i, n = 0;

	if (job->shape->integer_key) {
		sqlite3_bind_int64(stmt, at, number + 1);
		return;
	}
	for (i = 0; i < 36; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			id[i] = '-';
			continue;
		}
		if (n++ % 16 == 0)
			bits = mix((uint64_t)number * 2 + (n > 1));
		id[i] = digits[bits & 15];
		bits >>= 4;
	}
	sqlite3_bind_text(stmt, at, id, sizeof id, SQLITE_STATIC);
}

void
bind_columns(const struct job *job, sqlite3_stmt *stmt, int at, int64_t seed)
{
	const struct shape *s = job->shape;
	uint64_t v;
	int i;

	for (i = 0; i < s->ncol; i++) {
		v = mix((uint64_t)seed * 131 + (uint64_t)i);
		switch (s->types[i]) {
		case 'i':
			sqlite3_bind_int64(stmt, at + i, (int64_t)(v % 100));
			break;
		case 'I':
			sqlite3_bind_int64(stmt, at + i,
			    1700000000000 + (int64_t)(v % 100000000000u));
			break;
		case 'r':
			sqlite3_bind_double(stmt, at + i, (double)(v % 1000003) / 7);
			break;
		case 's':
			sqlite3_bind_text(stmt, at + i,
			    pool() + v % (POOL_BYTES - LONGEST),
			    s->len[i] - (int)(v >> 60) % 5, SQLITE_STATIC);
			break;
		}
	}
}

sqlite3_stmt *
prepare_insert(const struct job *job, sqlite3 *db, const char *verb,
    const char *more)
{
	char sql[2048];
	int i, n = snprintf(sql, sizeof sql, "%s INTO t VALUES(?", verb);

	for (i = 0; i < job->shape->ncol; i++)
		n += snprintf(sql + n, sizeof sql - (size_t)n, ", ?");
	snprintf(sql + n, sizeof sql - (size_t)n, ")%s", more);
	return prepare(db, sql);
}

char *
all_columns(const struct shape *shape, const char *form)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	sqlite3_stmt *stmt;
	sqlite3 *db;
	int i;

	check(NULL, sqlite3_open(":memory:", &db), "memory");
	run_sql(db, shape->create);
	stmt = prepare(db, "SELECT * FROM t");
	for (i = 1; i <= shape->ncol; i++) {
		sqlite3_str_appendf(s, "%s%s = ", i > 1 ? ", " : "",
		    sqlite3_column_name(stmt, i));
		sqlite3_str_appendf(s, form, sqlite3_column_name(stmt, i));
	}
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return sqlite3_str_finish(s);
}

void
insert_rows(const struct job *job, sqlite3 *db, int64_t from, int64_t n)
{
	sqlite3_stmt *stmt = prepare_insert(job, db, "INSERT", "");
	int64_t i;

	for (i = from; i < from + n; i++) {
		bind_key(job, stmt, 1, i);
		bind_columns(job, stmt, 2, i);
		step(db, stmt);
	}
	sqlite3_finalize(stmt);
}

void
shuffle(struct job *job)
{
	int64_t i, j, swap;

	job->order = malloc(sizeof *job->order * (size_t)(job->rows + 1));
	if (job->order == NULL)
		exit(1);
	for (i = 0; i < job->rows; i++)
		job->order[i] = i;
	for (i = job->rows - 1; i > 0; i--) {
		j = (int64_t)(mix((uint64_t)i * 7) % (uint64_t)(i + 1));
		swap = job->order[i];
		job->order[i] = job->order[j];
		job->order[j] = swap;
	}
}

/* -- files -------------------------------------------------------------------------- */

static void
path_of(const struct job *job, const char *name, const char *suffix,
    char path[BENCH_PATH_MAX])
{
	snprintf(path, BENCH_PATH_MAX, "%s/%s.db%s", job->dir, name, suffix);
}

static void
remove_file(const struct job *job, const char *name)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	char path[BENCH_PATH_MAX];
	size_t i;

	for (i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		path_of(job, name, suffixes[i], path);
		unlink(path);
	}
}

void
load_engine(const struct job *job, sqlite3 *db)
{
	char *why = NULL;
	int rc;

	if (job->way->mode == OTHER) {
		sqlite3_enable_load_extension(db, 1);
		rc = sqlite3_load_extension(db, job->way->so, NULL, &why);
	} else {
		rc = crdt_load(db, &why);
	}
	if (rc != SQLITE_OK) {
		fprintf(stderr, "error: the extension: %s\n", why ? why : "");
		exit(1);
	}
}

static sqlite3 *
open_bare(const struct job *job, const char *name)
{
	char path[BENCH_PATH_MAX];
	sqlite3 *db;

	path_of(job, name, "", path);
	check(NULL, sqlite3_open(path, &db), path);
	run_sql(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
	return db;
}

sqlite3 *
open_file(const struct job *job, const char *name)
{
	sqlite3 *db = open_bare(job, name);

	if (job->way->mode != PLAIN && job->way->mode != JOURNAL)
		load_engine(job, db);
	return db;
}

/* With the extension, be it a plain program's: it is the one that makes it. */
static sqlite3 *
make(const struct job *job, const char *name)
{
	sqlite3 *db;

	remove_file(job, name);
	db = open_bare(job, name);
	run_sql(db, job->shape->create);
	if (job->way->mode == PLAIN)
		return db;
	load_engine(job, db);
	run_sql(db, "SELECT crsql_as_crr('t')");
	if (job->way->mode == OFF)
		run_sql(db, "SELECT crsql_config_set('plain-writers', 0)");
	return db;
}

void
close_db(const struct job *job, sqlite3 *db)
{
	if (job->way->mode == OTHER)
		run_sql(db, "SELECT crsql_finalize()");
	check(db, sqlite3_close(db), "close");
}

void
close_whole(const struct job *job, sqlite3 *db)
{
	run_sql(db, "PRAGMA wal_checkpoint(TRUNCATE)");
	close_db(job, db);
}

sqlite3 *
open_empty(const struct job *job, const char *name)
{
	sqlite3 *db = make(job, name);

	if (job->way->mode != JOURNAL)
		return db;
	close_db(job, db);
	return open_file(job, name);
}

static void
copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC,
	    0644);
	struct stat st;
	off_t at = 0;

	if (in < 0 || out < 0 || fstat(in, &st) != 0) {
		fprintf(stderr, "error: %s can't be copied\n", from);
		exit(1);
	}
	while (at < st.st_size)
		if (sendfile(out, in, &at, (size_t)(st.st_size - at)) <= 0) {
			fprintf(stderr, "error: %s can't be written\n", to);
			exit(1);
		}
	close(in);
	close(out);
}

static void
fill_file(const struct job *job, const char *name, int64_t rows)
{
	sqlite3 *db = make(job, name);

	run_sql(db, "BEGIN");
	insert_rows(job, db, 0, rows);
	run_sql(db, "COMMIT");
	close_whole(job, db);
}

sqlite3 *
open_filled(const struct job *job, int64_t rows)
{
	char name[128], from[BENCH_PATH_MAX], to[BENCH_PATH_MAX];

	snprintf(name, sizeof name, "%s-%s-%lld", job->shape->name, job->way->name,
	    (long long)rows);
	path_of(job, name, "", from);
	if (access(from, R_OK) != 0)
		fill_file(job, name, rows);
	remove_file(job, "bench");
	path_of(job, "bench", "", to);
	copy_file(from, to);
	return open_file(job, "bench");
}
