// SPDX-License-Identifier: MPL-2.0
/*
 * fuzz_fract.c - two texts as keys of a list: the arithmetic in C, and that in the
 * triggers' SQL, say the same.  The first byte chooses which of them are open, the
 * second how long the first key is.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SQLITE_CORE 1
#include <sqlite3.h>

#include "crdt/crdt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct text {
	const char *at;         /* NULL: open */
	int len;
};

static sqlite3 *db;
static sqlite3_stmt *function, *row, *behind, *key, *plain;

static void
run(const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		abort();
}

static sqlite3_stmt *
prepare(const char *sql)
{
	sqlite3_stmt *stmt;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		abort();
	return stmt;
}

static void
open_db(void)
{
	char *why = NULL;

	if (sqlite3_open(":memory:", &db) != SQLITE_OK ||
	    crdt_load(db, &why) != SQLITE_OK)
		abort();
	run("CREATE TABLE t(id INTEGER PRIMARY KEY, o TEXT);"
	    "SELECT crsql_fract_as_ordered('t', 'o')");
	function = prepare("SELECT crsql_fract_key_between(?1, ?2)");
	row = prepare("INSERT INTO t VALUES(?1, ?2)");
	behind = prepare("INSERT INTO t_fractindex(id, after_id) VALUES(3, 1)");
	key = prepare("SELECT o FROM t WHERE id = 3");
	/* true of what the triggers take for a neighbour */
	plain = prepare("SELECT ?1 > '' AND CAST(?1 AS INTEGER) NOT IN (-1, 1)");
}

static void
bind(sqlite3_stmt *stmt, int i, struct text t)
{
	if (t.at != NULL)
		sqlite3_bind_text(stmt, i, t.at, t.len, SQLITE_TRANSIENT);
	else
		sqlite3_bind_null(stmt, i);
}

static int
is_neighbour(struct text t)
{
	int is;

	if (t.at == NULL)
		return 1;
	bind(plain, 1, t);
	is = sqlite3_step(plain) == SQLITE_ROW && sqlite3_column_int(plain, 0);
	sqlite3_reset(plain);
	return is;
}

static int
insert(int id, struct text t)
{
	int rc;

	sqlite3_bind_int(row, 1, id);
	bind(row, 2, t);
	rc = sqlite3_step(row);
	sqlite3_reset(row);
	return rc == SQLITE_DONE;
}

static int
less(struct text a, struct text b)
{
	int c = memcmp(a.at, b.at, (size_t)(a.len < b.len ? a.len : b.len));

	return c != 0 ? c < 0 : a.len < b.len;
}

/* Puts row 3 between the two, by the trigger that does so. */
static int
place(struct text a, struct text b)
{
	int rc;

	if (a.at != NULL && b.at != NULL) {
		rc = sqlite3_step(behind);
		sqlite3_reset(behind);
		return rc == SQLITE_DONE;
	}
	return insert(3, (struct text){ a.at != NULL ? "1" : "-1",
	    a.at != NULL ? 1 : 2 });
}

static void
compare(struct text a, struct text b)
{
	int ok, sql;

	bind(function, 1, a);
	bind(function, 2, b);
	ok = sqlite3_step(function) == SQLITE_ROW;
	if ((a.at != NULL && !insert(1, a)) || (b.at != NULL && !insert(2, b)))
		abort();
	sql = place(a, b);
	if (ok != sql)
		abort();
	if (sql && (sqlite3_step(key) != SQLITE_ROW || strcmp(
	    (const char *)sqlite3_column_text(key, 0),
	    (const char *)sqlite3_column_text(function, 0)) != 0))
		abort();
	sqlite3_reset(key);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct text a = { NULL, 0 }, b = { NULL, 0 };
	size_t at;

	if (len < 2)
		return 0;
	if (db == NULL)
		open_db();
	at = data[1] < len - 2 ? data[1] : len - 2;
	if (data[0] & 1)
		a = (struct text){ (const char *)data + 2, (int)at };
	if (data[0] & 2)
		b = (struct text){ (const char *)data + 2 + at,
		    (int)(len - 2 - at) };
	run("BEGIN");
	if (is_neighbour(a) && is_neighbour(b) &&
	    (a.at == NULL || b.at == NULL || less(a, b)))
		compare(a, b);
	sqlite3_reset(function);
	run("ROLLBACK");
	return 0;
}
