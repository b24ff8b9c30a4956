// SPDX-License-Identifier: MPL-2.0
/*
 * write.c - what replication costs the programs that write: the same
 * statements on a plain table, on a replicated one with the extension loaded
 * (with plain-writers 0: "off", and as it is preset), and on a replicated one
 * without it (the journal), in one run, alternating.  Prints medians and their
 * ratio to plain.
 *
 *   write [--rows N] [--runs R] [--dir DIR]
 */
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crdt/crdt.h"

enum { RUNS_MAX = 25 };

struct shape {
	const char *name;
	const char *create;
	const char *insert;     /* ?1 = number of the row */
	const char *update_one; /* ?1 = number, ?2 = round */
	const char *update_all;
	const char *delete_one;
	int part;               /* rows = N / part */
};

#define UUID "printf('%016x-%08x', ?1 * 2654435761 % 4294967296, ?1)"

static const struct shape shapes[] = {
	{ "uuid", "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, name TEXT, "
	    "email TEXT, age INTEGER, score REAL, created TEXT, body TEXT)",
	    "INSERT INTO t VALUES(" UUID ", 'name ' || ?1, ?1 || '@example.org', "
	    "?1 % 90, ?1 * 0.5, '2026-01-01', 'some longer text for row ' || ?1)",
	    "UPDATE t SET name = 'changed ' || ?2 WHERE id = " UUID,
	    "UPDATE t SET age = age + 1", "DELETE FROM t WHERE id = " UUID, 1 },
	{ "int", "CREATE TABLE t(id INTEGER PRIMARY KEY NOT NULL, a INTEGER, "
	    "b INTEGER)", "INSERT INTO t VALUES(?1, ?1 * 7, ?1 % 13)",
	    "UPDATE t SET a = ?2 WHERE id = ?1", "UPDATE t SET a = a + 1",
	    "DELETE FROM t WHERE id = ?1", 1 },
	{ "wide", "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, c1, c2, c3, c4, c5, "
	    "c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, c20)",
	    "INSERT INTO t VALUES(" UUID ", ?1, ?1, ?1, ?1, ?1, ?1, ?1, ?1, ?1, ?1, "
	    "?1, ?1, ?1, ?1, ?1, ?1, ?1, ?1, ?1, ?1)",
	    "UPDATE t SET c7 = ?2 WHERE id = " UUID, "UPDATE t SET c7 = c7 + 1",
	    "DELETE FROM t WHERE id = " UUID, 4 },
};

enum mode { PLAIN, OFF, PRESET, JOURNAL, NMODES };

struct bench {
	int rows, runs;
	const char *dir;
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
check(sqlite3 *db, int rc, const char *what)
{
	if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW)
		return;
	fprintf(stderr, "error: %s: %s\n", what, sqlite3_errmsg(db));
	exit(1);
}

static void
exec(sqlite3 *db, const char *sql)
{
	check(db, sqlite3_exec(db, sql, NULL, NULL, NULL), sql);
}

static void
load(sqlite3 *db)
{
	char *why = NULL;

	if (crdt_load(db, &why) != SQLITE_OK) {
		fprintf(stderr, "error: the extension: %s\n", why ? why : "");
		exit(1);
	}
}

static sqlite3 *
open_db(const char *file)
{
	sqlite3 *db;

	check(NULL, sqlite3_open(file, &db), file);
	exec(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL");
	return db;
}

static sqlite3 *
fresh_db(const struct bench *b, const struct shape *shape, enum mode mode)
{
	char file[512];
	sqlite3 *db;

	snprintf(file, sizeof file, "%s/bench.db", b->dir);
	unlink(file);
	snprintf(file, sizeof file, "%s/bench.db-wal", b->dir);
	unlink(file);
	snprintf(file, sizeof file, "%s/bench.db", b->dir);
	db = open_db(file);
	exec(db, shape->create);
	if (mode == PLAIN)
		return db;
	load(db);
	exec(db, "SELECT crsql_as_crr('t')");
	if (mode == OFF)
		exec(db, "SELECT crsql_config_set('plain-writers', 0)");
	if (mode == JOURNAL) {
		sqlite3_close(db);
		db = open_db(file);
	}
	return db;
}

/* Runs sql for each row, in order or scattered, `per` of them a transaction
 * (0: all in one). */
static void
each_row(sqlite3 *db, const char *sql, int rows, int per, bool scattered)
{
	sqlite3_stmt *stmt;
	int64_t i, k;

	check(db, sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), sql);
	if (per != 1)
		exec(db, "BEGIN");
	for (i = 0; i < rows; i++) {
		k = scattered ? (i * 7919) % rows : i;
		sqlite3_bind_int64(stmt, 1, k + 1);
		if (sqlite3_bind_parameter_count(stmt) > 1)
			sqlite3_bind_int64(stmt, 2, i);
		check(db, sqlite3_step(stmt), sql);
		sqlite3_reset(stmt);
	}
	sqlite3_finalize(stmt);
	if (per != 1)
		exec(db, "COMMIT");
}

enum work { INSERT_BULK, INSERT_SINGLE, UPDATE_RANDOM, UPDATE_SINGLE,
	UPDATE_SET, DELETE_RANDOM, DELETE_SET, NWORKS };

static const char *const work_names[] = {
	"insert, one transaction", "insert, a row a transaction",
	"update 1 column, random", "update, a row a transaction",
	"update 1 column of all", "delete, random", "delete all",
};

static double
once(const struct bench *b, const struct shape *shape, enum work work,
    enum mode mode)
{
	int rows = b->rows / shape->part, few = rows / 20;
	sqlite3 *db = fresh_db(b, shape, mode);
	double begun;

	if (work != INSERT_BULK && work != INSERT_SINGLE)
		each_row(db, shape->insert, rows, 0, false);
	begun = now();
	switch (work) {
	case INSERT_BULK: each_row(db, shape->insert, rows, 0, false); break;
	case INSERT_SINGLE: each_row(db, shape->insert, few, 1, false); break;
	case UPDATE_RANDOM: each_row(db, shape->update_one, rows, 0, true); break;
	case UPDATE_SINGLE: each_row(db, shape->update_one, few, 1, true); break;
	case UPDATE_SET: exec(db, shape->update_all); break;
	case DELETE_RANDOM: each_row(db, shape->delete_one, rows, 0, true); break;
	case DELETE_SET: exec(db, "DELETE FROM t WHERE id IS NOT NULL"); break;
	case NWORKS: break;
	}
	begun = now() - begun;
	sqlite3_close(db);
	return begun;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof *v, compare);
	return v[n / 2];
}

static void
measure(const struct bench *b, const struct shape *shape, enum work work)
{
	double t[NMODES][RUNS_MAX], m[NMODES];
	int run, mode;

	for (run = 0; run < b->runs; run++)
		for (mode = 0; mode < NMODES; mode++)
			t[mode][run] = once(b, shape, work, mode);
	for (mode = 0; mode < NMODES; mode++)
		m[mode] = median(t[mode], b->runs);
	printf("%-5s %-28s %8.1f ms %8.2fx %8.2fx %8.2fx\n", shape->name,
	    work_names[work], m[PLAIN] * 1e3, m[OFF] / m[PLAIN],
	    m[PRESET] / m[PLAIN], m[JOURNAL] / m[PLAIN]);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	struct bench b = { .rows = 200000, .runs = 5, .dir = "/tmp" };
	size_t s;
	int i, w;

	for (i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--rows") == 0)
			b.rows = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--runs") == 0)
			b.runs = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--dir") == 0)
			b.dir = argv[i + 1];
	}
	if (b.rows < 20 || b.runs < 1 || b.runs > RUNS_MAX) {
		fprintf(stderr, "usage: write [--rows N] [--runs R] [--dir DIR]\n");
		return 129;
	}
	printf("%d rows, medians of %d, WAL, synchronous=NORMAL, SQLite %s\n",
	    b.rows, b.runs, sqlite3_libversion());
	printf("%-34s %11s %9s %9s %9s\n", "", "plain", "off", "default",
	    "journal");
	for (s = 0; s < sizeof shapes / sizeof *shapes; s++)
		for (w = 0; w < NWORKS; w++)
			measure(&b, &shapes[s], w);
	return 0;
}
