// SPDX-License-Identifier: MPL-2.0
#include "history.h"

#include <stdio.h>
#include <string.h>

const char *const history_tables[HISTORY_NTABLES] = {
	"words", "numbers", "pairs", "marks"
};

const char history_schema[] =
    "CREATE TABLE words(id TEXT PRIMARY KEY, a, b INTEGER DEFAULT 7, c TEXT);"
    "CREATE TABLE numbers(id INTEGER PRIMARY KEY, x, y REAL);"
    "CREATE TABLE pairs(p INTEGER NOT NULL, q TEXT NOT NULL, r BLOB, s,"
    " PRIMARY KEY(p, q));"
    "CREATE TABLE marks(id BLOB PRIMARY KEY);";

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
static const char *const columns[HISTORY_NTABLES][3] = {
	{ "a", "b", "c" }, { "x", "y", "y" }, { "r", "s", "s" },
	{ NULL, NULL, NULL }
};

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
insert(struct rng *rng, int t, char *sql)
{
	static const char *const verbs[] = { "INSERT INTO", "INSERT INTO",
		"INSERT INTO", "REPLACE INTO", "INSERT OR IGNORE INTO",
		"INSERT OR FAIL INTO" };
	const char *verb = verbs[rng_below(rng, 6)];
	const char *col = columns[t][rng_below(rng, 3)];
	char k[32], v[32];

	if (t == 3)
		snprintf(sql, STATEMENT_MAX, "%s marks(id) VALUES(%s)", verb,
		    key(rng, t, k));
	else
		snprintf(sql, STATEMENT_MAX, "%s %s(%s,%s) VALUES(%s,%s)", verb,
		    history_tables[t], t == 2 ? "p,q" : "id", col, key(rng, t, k),
		    value(rng, v));
}

static void
upsert(struct rng *rng, int t, char *sql)
{
	const char *col = columns[t][rng_below(rng, 3)];
	char k[32], v[32];

	if (t == 3) {
		insert(rng, t, sql);
		return;
	}
	snprintf(sql, STATEMENT_MAX, "INSERT INTO %s(%s,%s) VALUES(%s,%s) "
	    "ON CONFLICT DO UPDATE SET %s=excluded.%s", history_tables[t],
	    t == 2 ? "p,q" : "id", col, key(rng, t, k), value(rng, v), col, col);
}

static void
update(struct rng *rng, int t, char *sql)
{
	static const char *const verbs[] = { "UPDATE", "UPDATE",
		"UPDATE OR REPLACE", "UPDATE OR IGNORE" };
	const char *verb = verbs[rng_below(rng, 4)];
	char w[80], v[32], k[32];

	if (t == 3 || rng_chance(rng, 15))
		snprintf(sql, STATEMENT_MAX, "%s %s SET %s=(%s) WHERE %s", verb,
		    history_tables[t], key_columns[t], key(rng, t, k),
		    where(rng, t, w));
	else
		snprintf(sql, STATEMENT_MAX, "%s %s SET %s=%s WHERE %s", verb,
		    history_tables[t], columns[t][rng_below(rng, 3)],
		    value(rng, v), where(rng, t, w));
}

static void
statement(struct rng *rng, char sql[STATEMENT_MAX])
{
	int t = (int)rng_below(rng, HISTORY_NTABLES);
	char w[80];

	switch (rng_below(rng, 10)) {
	case 0: case 1: case 2: case 3: insert(rng, t, sql); break;
	case 4: upsert(rng, t, sql); break;
	case 5: case 6: case 7: update(rng, t, sql); break;
	default:
		snprintf(sql, STATEMENT_MAX, "DELETE FROM %s WHERE %s",
		    history_tables[t], where(rng, t, w));
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
history_transaction(sqlite3 *db, struct rng *rng, bool *committed)
{
	char sql[STATEMENT_MAX];
	uint32_t i, n = 1 + rng_below(rng, 6);
	bool in_savepoint = false;
	int rc = run(db, "BEGIN IMMEDIATE");

	for (i = 0; i < n && rc == SQLITE_OK; i++) {
		if (!in_savepoint && rng_chance(rng, 15)) {
			rc = run(db, "SAVEPOINT s");
			in_savepoint = true;
		}
		statement(rng, sql);
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
