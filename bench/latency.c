// SPDX-License-Identifier: MPL-2.0
/*
 * latency.c - how soon a commit in one database is visible in another, while
 * `ddcp serve` runs for both: writes to A as a plain program, looks at B until
 * the row is there, N times.  Prints median, 99th percentile and maximum.
 *
 *   bench-latency A.db B.db N       both have table t(id text key, v)
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static sqlite3_stmt *
prepare(const char *file, const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *stmt;

	if (sqlite3_open(file, &db) != SQLITE_OK ||
	    sqlite3_busy_timeout(db, 5000) != SQLITE_OK ||
	    sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) {
		fprintf(stderr, "error: %s: %s\n", file, sqlite3_errmsg(db));
		exit(1);
	}
	return stmt;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Milliseconds from the commit of row i in A until B has it. */
static double
once(sqlite3_stmt *insert, sqlite3_stmt *look, int i)
{
	struct timespec pause = { .tv_nsec = 200000 };
	char id[32];
	double begun;
	int found;

	snprintf(id, sizeof id, "latency-%d", i);
	sqlite3_bind_text(insert, 1, id, -1, SQLITE_TRANSIENT);
	if (sqlite3_step(insert) != SQLITE_DONE) {
		fprintf(stderr, "error: can't write\n");
		exit(1);
	}
	sqlite3_reset(insert);
	begun = now_ms();
	sqlite3_bind_text(look, 1, id, -1, SQLITE_TRANSIENT);
	do {
		found = sqlite3_step(look) == SQLITE_ROW;
		sqlite3_reset(look);
		if (!found)
			nanosleep(&pause, NULL);
		if (now_ms() - begun > 10000) {
			fprintf(stderr, "error: row %d never came\n", i);
			exit(1);
		}
	} while (!found);
	return now_ms() - begun;
}

int
main(int argc, char **argv)
{
	sqlite3_stmt *insert, *look;
	int i, n = argc == 4 ? atoi(argv[3]) : 0;
	double *t;

	if (n < 1) {
		fprintf(stderr, "usage: bench-latency A.db B.db N\n");
		return 129;
	}
	t = calloc((size_t)n, sizeof *t);
	if (t == NULL)
		return 128;
	insert = prepare(argv[1], "INSERT INTO t(id) VALUES(?1)");
	look = prepare(argv[2], "SELECT 1 FROM t WHERE id = ?1");
	for (i = 0; i < n; i++)
		t[i] = once(insert, look, i);
	qsort(t, (size_t)n, sizeof *t, compare);
	printf("commit to visible, %d times: p50 %.1f ms, p99 %.1f ms, max %.1f ms "
	    "(goal 20/100)\n", n, t[n / 2], t[n * 99 / 100], t[n - 1]);
	free(t);
	return 0;
}
