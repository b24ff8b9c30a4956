// SPDX-License-Identifier: MPL-2.0
#include "history.h"

#include <stdio.h>
#include <string.h>

const struct history_table history_tables[HISTORY_NTABLES] = {
	{ .name = "words", .key = "id", .column = { "a", "b", "c" },
	  .create = "CREATE TABLE words(id TEXT PRIMARY KEY, a, b INTEGER DEFAULT 7, "
	  "c TEXT)" },
	{ .name = "numbers", .key = "id", .column = { "x", "y" },
	  .create = "CREATE TABLE numbers(id INTEGER PRIMARY KEY, x, y REAL)" },
	{ .name = "pairs", .key = "p,q", .column = { "r", "s" },
	  .create = "CREATE TABLE pairs(p INTEGER NOT NULL, q TEXT NOT NULL, r BLOB, s,"
	  " PRIMARY KEY(p, q))" },
	{ .name = "marks", .key = "id",
	  .create = "CREATE TABLE marks(id BLOB PRIMARY KEY)" },
	{ .name = "tags", .key = "p,q", .column = { "v" },
	  .create = "CREATE TABLE tags(q TEXT NOT NULL, v, p INTEGER NOT NULL,"
	  " PRIMARY KEY(p, q)) WITHOUT ROWID" }
};

/* A table as it stands now. */
struct table {
	int number;
	struct history_shape shape;
};

enum { STATEMENT_MAX = 400 };

/* A value as SQL; few different ones, so that equal and clashing ones come. */
static const char *
value(struct rng *rng, char out[32])
{
	uint32_t n = rng_below(rng, 9);

	switch (rng_below(rng, 6)) {
	case 0: snprintf(out, 32, "NULL"); break;
	case 1: snprintf(out, 32, "%u.5", n); break;
	case 2: snprintf(out, 32, "x'0%u'", n); break;
	case 3: snprintf(out, 32, "'text %u'", n); break;
	default: snprintf(out, 32, "%d", (int)n - 2); break;
	}
	return out;
}

/* Key columns of table t as SQL values. */
static const char *
key(struct rng *rng, int t, char out[32])
{
	uint32_t n = rng_below(rng, 12);

	switch (t) {
	case 0: snprintf(out, 32, "'w%u'", n); break;
	case 1: snprintf(out, 32, "%u", n + 1); break;
	case 3: snprintf(out, 32, "x'a%x'", n); break;
	default: snprintf(out, 32, "%u,'%c'", n / 3, 'a' + n % 3); break;
	}
	return out;
}

/* One that is no key; NULL where there is none. */
static const char *
column(struct rng *rng, const struct table *t)
{
	const char *const *all = history_tables[t->number].column;
	uint32_t n = 0;

	while (n < HISTORY_NCOLUMNS && all[n] != NULL)
		n++;
	if (n == 0)
		return NULL;
	n = rng_below(rng, t->number == 0 && t->shape.widened ? n + 1 : n);
	if (n == HISTORY_NCOLUMNS)
		return "e";
	if (n == 2 && t->shape.renamed)
		return "d";
	return all[n];
}

static const char *
where(struct rng *rng, int t, char out[80])
{
	char k[32];

	if (rng_chance(rng, 12))
		snprintf(out, 80, "1");
	else
		snprintf(out, 80, "(%s)=(%s)", history_tables[t].key,
		    key(rng, t, k));
	return out;
}

static void
insert(struct rng *rng, const struct table *t, char *sql)
{
	static const char *const verbs[] = { "INSERT INTO", "INSERT INTO",
		"INSERT INTO", "REPLACE INTO", "INSERT OR IGNORE INTO",
		"INSERT OR FAIL INTO" };
	const char *verb = verbs[rng_below(rng, 6)];
	const struct history_table *is = &history_tables[t->number];
	const char *col = column(rng, t);
	char k[32], v[32];

	if (col == NULL)
		snprintf(sql, STATEMENT_MAX, "%s %s(%s) VALUES(%s)", verb,
		    is->name, is->key, key(rng, t->number, k));
	else
		snprintf(sql, STATEMENT_MAX, "%s %s(%s,%s) VALUES(%s,%s)", verb,
		    is->name, is->key, col, key(rng, t->number, k),
		    value(rng, v));
}

static void
upsert(struct rng *rng, const struct table *t, char *sql)
{
	const struct history_table *is = &history_tables[t->number];
	const char *col = column(rng, t);
	char k[32], v[32];

	if (col == NULL) {
		insert(rng, t, sql);
		return;
	}
	snprintf(sql, STATEMENT_MAX, "INSERT INTO %s(%s,%s) VALUES(%s,%s) "
	    "ON CONFLICT DO UPDATE SET %s=excluded.%s",
	    is->name, is->key, col, key(rng, t->number, k), value(rng, v), col, col);
}

static void
update(struct rng *rng, const struct table *t, char *sql)
{
	static const char *const verbs[] = { "UPDATE", "UPDATE",
		"UPDATE OR REPLACE", "UPDATE OR IGNORE" };
	const struct history_table *is = &history_tables[t->number];
	const char *verb = verbs[rng_below(rng, 4)];
	const char *col = rng_chance(rng, 15) ? NULL : column(rng, t);
	char w[80], v[32], k[32];

	if (col == NULL)
		snprintf(sql, STATEMENT_MAX, "%s %s SET (%s)=(%s) WHERE %s", verb,
		    is->name, is->key, key(rng, t->number, k),
		    where(rng, t->number, w));
	else
		snprintf(sql, STATEMENT_MAX, "%s %s SET %s=%s WHERE %s", verb,
		    is->name, col, value(rng, v), where(rng, t->number, w));
}

static void
statement(struct rng *rng, const struct table *t, char sql[STATEMENT_MAX])
{
	char w[80];

	switch (rng_below(rng, 10)) {
	case 0: case 1: case 2: case 3: insert(rng, t, sql); break;
	case 4: upsert(rng, t, sql); break;
	case 5: case 6: case 7: update(rng, t, sql); break;
	default:
		snprintf(sql, STATEMENT_MAX, "DELETE FROM %s WHERE %s",
		    history_tables[t->number].name, where(rng, t->number, w));
		break;
	}
}

/* Constraint errors are what programs meet; they end the statement only. */
static int
run(sqlite3 *db, const char *sql)
{
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

	return (rc & 0xFF) == SQLITE_CONSTRAINT || rc == SQLITE_MISMATCH
	    ? SQLITE_OK : rc;
}

int
history_statement(sqlite3 *db, struct history_shape shape, int table,
    struct rng *rng)
{
	struct table t = { table, shape };
	char sql[STATEMENT_MAX];

	statement(rng, &t, sql);
	return run(db, sql);
}

int
history_transaction(sqlite3 *db, struct history_shape shape, struct rng *rng,
    bool *committed)
{
	struct table t = { .shape = shape };
	char sql[STATEMENT_MAX];
	uint32_t i, n = 1 + rng_below(rng, 6);
	bool in_savepoint = false;
	int rc = run(db, "BEGIN IMMEDIATE");

	for (i = 0; i < n && rc == SQLITE_OK; i++) {
		if (!in_savepoint && rng_chance(rng, 15)) {
			rc = run(db, "SAVEPOINT s");
			in_savepoint = true;
		}
		t.number = (int)rng_below(rng, HISTORY_NTABLES);
		statement(rng, &t, sql);
		if (rc == SQLITE_OK)
			rc = run(db, sql);
		if (rc == SQLITE_OK && in_savepoint && rng_chance(rng, 50)) {
			if (rng_chance(rng, 50))
				rc = run(db, "ROLLBACK TO s");
			if (rc == SQLITE_OK)
				rc = run(db, "RELEASE s");
			in_savepoint = false;
		}
	}
	*committed = rc == SQLITE_OK && !rng_chance(rng, 8);
	if (rc == SQLITE_OK)
		rc = run(db, *committed ? "COMMIT" : "ROLLBACK");
	return rc;
}
