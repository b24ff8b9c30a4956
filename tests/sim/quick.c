// SPDX-License-Identifier: MPL-2.0
#include "quick.h"

#include <dlfcn.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REPLACES __attribute__((visibility("default")))

enum { BUCKETS = 4096 };

struct kept {
	sqlite3 *db;
	sqlite3_stmt *stmt;
	const char *sql;        /* the statement's own */
	bool idle;
	struct kept *next;
};

static struct kept *bucket[BUCKETS];
static bool on;

void
quick_on(bool yes)
{
	on = yes;
}

static void *
real(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	if (f == NULL)
		abort();
	return f;
}

static struct kept **
bucket_of(const char *sql)
{
	uint32_t h = 2166136261u;

	for (; *sql != '\0'; sql++)
		h = (h ^ (uint8_t)*sql) * 16777619u;
	return &bucket[h % BUCKETS];
}

/* Not those that act when they are prepared, as some PRAGMAs do, nor those of
 * the schema. */
static bool
worth_keeping(const char *sql)
{
	static const char *const verbs[] = { "SELECT", "INSERT", "UPDATE",
		"DELETE", "WITH" };
	size_t i;

	for (i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strncmp(sql, verbs[i], strlen(verbs[i])) == 0)
			return true;
	return false;
}

static bool
take(sqlite3 *db, const char *sql, sqlite3_stmt **out)
{
	struct kept *k;

	for (k = *bucket_of(sql); k != NULL; k = k->next) {
		if (!k->idle || k->db != db || strcmp(k->sql, sql) != 0)
			continue;
		k->idle = false;
		*out = k->stmt;
		return true;
	}
	return false;
}

static void
keep(sqlite3 *db, const char *sql, sqlite3_stmt *stmt)
{
	struct kept **at, *k;

	/* Of several statements in one text it is the first only. */
	if (stmt == NULL || sqlite3_sql(stmt) == NULL ||
	    strcmp(sqlite3_sql(stmt), sql) != 0)
		return;
	k = malloc(sizeof *k);
	if (k == NULL)
		return;
	at = bucket_of(sql);
	*k = (struct kept){ db, stmt, sqlite3_sql(stmt), false, *at };
	*at = k;
}

static int
prepare(sqlite3 *db, const char *sql, int n, unsigned flags,
    sqlite3_stmt **out, const char **tail)
{
	static int (*f)(sqlite3 *, const char *, int, unsigned,
	    sqlite3_stmt **, const char **);
	/* sqlite3_exec() asks for the tail, and ends its statements past us */
	bool wanted = on && n < 0 && tail == NULL && sql != NULL &&
	    worth_keeping(sql);
	int rc;

	if (f == NULL)
		*(void **)&f = real("sqlite3_prepare_v3");
	if (wanted && take(db, sql, out))
		return SQLITE_OK;
	rc = f(db, sql, n, flags, out, tail);
	if (rc == SQLITE_OK && wanted)
		keep(db, sql, *out);
	return rc;
}

REPLACES int
sqlite3_prepare_v2(sqlite3 *db, const char *sql, int n, sqlite3_stmt **out,
    const char **tail)
{
	return prepare(db, sql, n, 0, out, tail);
}

REPLACES int
sqlite3_prepare_v3(sqlite3 *db, const char *sql, int n, unsigned flags,
    sqlite3_stmt **out, const char **tail)
{
	return prepare(db, sql, n, flags, out, tail);
}

static int
end(sqlite3_stmt *stmt)
{
	static int (*f)(sqlite3_stmt *);

	if (f == NULL)
		*(void **)&f = real("sqlite3_finalize");
	return f(stmt);
}

REPLACES int
sqlite3_finalize(sqlite3_stmt *stmt)
{
	struct kept *k = NULL;
	int rc;

	if (on && stmt != NULL && sqlite3_sql(stmt) != NULL)
		for (k = *bucket_of(sqlite3_sql(stmt)); k != NULL; k = k->next)
			if (k->stmt == stmt)
				break;
	if (k == NULL)
		return end(stmt);
	rc = sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	k->idle = true;
	return rc;
}

static void
drop(sqlite3 *db)
{
	struct kept **at, *k;
	int i;

	for (i = 0; i < BUCKETS && db != NULL; i++)
		for (at = &bucket[i]; (k = *at) != NULL;) {
			if (k->db != db) {
				at = &k->next;
				continue;
			}
			*at = k->next;
			if (k->idle)
				end(k->stmt);
			free(k);
		}
}

static int
shut(sqlite3 *db, const char *name)
{
	int (*f)(sqlite3 *);
	bool was = on;
	int rc;

	*(void **)&f = real(name);
	/* Who cleans up at the end has no next. */
	on = false;
	drop(db);
	rc = f(db);
	on = was;
	return rc;
}

REPLACES int
sqlite3_close(sqlite3 *db)
{
	return shut(db, "sqlite3_close");
}

REPLACES int
sqlite3_close_v2(sqlite3 *db)
{
	return shut(db, "sqlite3_close_v2");
}
