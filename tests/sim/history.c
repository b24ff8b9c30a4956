// SPDX-License-Identifier: MPL-2.0
#include "history.h"

#include <stdio.h>
#include <string.h>

const char *const history_tables[HISTORY_NTABLES] = {
	"words", "numbers", "pairs", "marks"
};

const char *const history_create[HISTORY_NTABLES] = {
	"CREATE TABLE words(id TEXT PRIMARY KEY, a, b INTEGER DEFAULT 7, c TEXT)",
	"CREATE TABLE numbers(id INTEGER PRIMARY KEY, x, y REAL)",
	("CREATE TABLE pairs(p INTEGER NOT NULL, q TEXT NOT NULL, r BLOB, s,"
	" PRIMARY KEY(p, q))"),
	"CREATE TABLE marks(id BLOB PRIMARY KEY)"
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
	case 2: snprintf(out, 32, "%u,'%c'", n / 3, 'a' + n % 3); break;
	default: snprintf(out, 32, "x'a%x'", n); break;
	}
	return out;
}

static const char *const key_columns[HISTORY_NTABLES] = {
	"id", "id", "(p,q)", "id"
};

static const char *
column(struct rng *rng, const struct table *t)
{
	static const char *const all[HISTORY_NTABLES][3] = {
		{ "a", "b", "c" }, { "x", "y", "y" }, { "r", "s", "s" },
		{ "id", "id", "id" }
	};
	uint32_t n = rng_below(rng, t->number == 0 && t->shape.widened ? 4 : 3);

	if (n == 3)
		return "e";
	if (n == 2 && t->number == 0 && t->shape.renamed)
		return "d";
	return all[t->number][n];
}

static const char *
where(struct rng *rng, int t, char out[80])
{
	char k[32];

	if (rng_chance(rng, 12))
		snprintf(out, 80, "1");
	else if (t == 2)
		snprintf(out, 80, "(p,q)=(%s)", key(rng, t, k));
	else
		snprintf(out, 80, "id=%s", key(rng, t, k));
	return out;
}

static void
insert(struct rng *rng, const struct table *t, char *sql)
{
	static const char *const verbs[] = { "INSERT INTO", "INSERT INTO",
		"INSERT INTO", "REPLACE INTO", "INSERT OR IGNORE INTO",
		"INSERT OR FAIL INTO" };
	const char *verb = verbs[rng_below(rng, 6)];
	const char *col = column(rng, t);
	char k[32], v[32];

	if (t->number == 3)
		snprintf(sql, STATEMENT_MAX, "%s marks(id) VALUES(%s)", verb,
		    key(rng, t->number, k));
	else
		snprintf(sql, STATEMENT_MAX, "%s %s(%s,%s) VALUES(%s,%s)", verb,
		    history_tables[t->number], t->number == 2 ? "p,q" : "id", col,
		    key(rng, t->number, k), value(rng, v));
}

static void
upsert(struct rng *rng, const struct table *t, char *sql)
{
	const char *col = column(rng, t);
	char k[32], v[32];

	if (t->number == 3) {
		insert(rng, t, sql);
		return;
	}
	snprintf(sql, STATEMENT_MAX, "INSERT INTO %s(%s,%s) VALUES(%s,%s) "
	    "ON CONFLICT DO UPDATE SET %s=excluded.%s",
	    history_tables[t->number], t->number == 2 ? "p,q" : "id", col,
	    key(rng, t->number, k), value(rng, v), col, col);
}

static void
update(struct rng *rng, const struct table *t, char *sql)
{
	static const char *const verbs[] = { "UPDATE", "UPDATE",
		"UPDATE OR REPLACE", "UPDATE OR IGNORE" };
	const char *verb = verbs[rng_below(rng, 4)];
	char w[80], v[32], k[32];

	if (t->number == 3 || rng_chance(rng, 15))
		snprintf(sql, STATEMENT_MAX, "%s %s SET %s=(%s) WHERE %s", verb,
		    history_tables[t->number], key_columns[t->number],
		    key(rng, t->number, k), where(rng, t->number, w));
	else
		snprintf(sql, STATEMENT_MAX, "%s %s SET %s=%s WHERE %s", verb,
		    history_tables[t->number], column(rng, t), value(rng, v),
		    where(rng, t->number, w));
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
		    history_tables[t->number], where(rng, t->number, w));
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
