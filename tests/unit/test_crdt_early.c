// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_early.c - a user's trigger that is younger than ours runs before them:
 * it gives a new row another rowid, or another key, before ours tells that it came.  Programs that load nothing write A, whose peer must have the same.
 */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct group group = { .count = 3, .file = true };

static const char *const keys[] = { "id TEXT PRIMARY KEY NOT NULL, x, y)",
	"id INTEGER PRIMARY KEY NOT NULL, x, y)",
	"id PRIMARY KEY NOT NULL, x, y) WITHOUT ROWID",
	"id TEXT PRIMARY KEY NOT NULL, x, y, rowid, oid, _rowid_)" };
enum { KEYS = sizeof keys / sizeof *keys };

/* What a trigger does to the new row. */
static const char *const deeds[] = {
	"UPDATE t SET rowid = new.rowid + 1000 WHERE id = new.id AND new.rowid < 1000",
	"UPDATE t SET rowid = new.rowid + 1000, y = 'moved' WHERE id = new.id AND "
	    "new.rowid < 1000",
	"UPDATE OR REPLACE t SET id = new.id + 5000 WHERE id = new.id AND new.id + 0 < 5000",
	"UPDATE OR REPLACE t SET id = 5000 + new.id % 2, y = 'k' WHERE id = new.id AND "
	    "new.id + 0 < 5000",
	"UPDATE t SET y = 'early' WHERE id = new.id; UPDATE OR REPLACE t SET id = new.id + 5000 "
	    "WHERE id = new.id AND new.id + 0 < 5000",
};
enum { DEEDS = sizeof deeds / sizeof *deeds, ON_ROWID = 2 };

static const char *const writes[] = {
	"INSERT INTO t(id, x) VALUES(1, 1), (2, 2), (3, 3); INSERT OR REPLACE INTO t(id, x) "
	    "VALUES(4, 4)",
	"REPLACE INTO t(id, x) VALUES(2, 22), (7, 7); REPLACE INTO t(id, x) "
	    "VALUES(5002, 1), (5003, 1)",
	"INSERT OR IGNORE INTO t(id, x) VALUES(2, 'i'), (9, 9); UPDATE t SET x = 'u' "
	    "WHERE id % 3 = 0; DELETE FROM t WHERE id % 5002 = 2; INSERT OR REPLACE INTO t(id, x) "
	    "VALUES(2, 'again')",
	"DELETE FROM t WHERE id = 3; REPLACE INTO t(id, x) VALUES(3, 'again'); REPLACE "
	    "INTO t(id, x) VALUES(3, 'once more'), (4, 'x')",
};
enum { WRITES = sizeof writes / sizeof *writes };

/* A names how often the journal is folded between: each time, or at the end. */
static void
try_with(size_t k, size_t d, bool each)
{
	char *sql = sqlite3_mprintf("CREATE TABLE t(%s; SELECT crsql_as_crr('t')",
	    keys[k]);
	char *trigger = sqlite3_mprintf("CREATE TRIGGER young AFTER INSERT ON t BEGIN "
	    "%s; END", deeds[d]);
	size_t w;

	nodes_exec(n, 3, sql);
	plainly(trigger);
	for (w = 0; w < WRITES; w++) {
		plainly(writes[w]);
		if (!each && w + 1 < WRITES)
			continue;
		node_exec(&n[A], "SELECT crsql_fold()");
		pull(B, A);
		nodes_agree(&n[A], &n[B], "SELECT id, x, y FROM t ORDER BY id, x");
		node_well(&n[A]);
	}
	pull(C, A);
	nodes_agree(&n[A], &n[C], "SELECT id, x, y FROM t ORDER BY id, x");
	nodes_agree(&n[B], &n[C], "SELECT pk, cid, val, col_version, cl FROM "
	    "crsql_changes ORDER BY 1, 2");
	sqlite3_free(sql);
	sqlite3_free(trigger);
}

static void
the_new_row_is_told(void **state)
{
	size_t k, d, i;

	(void)state;
	for (k = 0; k < KEYS; k++)
		for (d = 0; d < DEEDS; d++)
			for (i = 0; i < 2; i++) {
				/* there is no rowid, or it is the key */
				if (d < ON_ROWID && k > 0)
					continue;
				print_message("# %s: %s\n", keys[k], deeds[d]);
				group_open(&group);
				try_with(k, d, i == 0);
				group_close();
			}
}

/* A row moves away and is deleted, another gets its rowid, and leaves it by a REPLACE
 * of a program with the extension, in one fold: a REPLACE takes a key, too. */
static void
a_rowid_used_again_is_left_by_a_replace(void **state)
{
	int i;

	(void)state;
	group_open(&group);
	nodes_exec(n, 3, "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, x); "
	    "SELECT crsql_as_crr('t')");
	for (i = 0; i < 3; i++) {
		node_exec(&n[A], "INSERT INTO t VALUES('a', 1)");
		node_exec(&n[A], "DELETE FROM t");
	}
	pull(B, A);
	plainly("INSERT INTO t VALUES('a', 2); UPDATE t SET rowid = 50; DELETE FROM t; "
	    "INSERT INTO t VALUES('b', 1), ('c', 1)");
	node_exec(&n[A], "REPLACE INTO t VALUES('b', 2)");
	node_expect(&n[A], "8\n", "SELECT cl FROM crsql_changes WHERE "
	    "pk = crsql_pack_columns('a')");
	node_exec(&n[A], "INSERT INTO t VALUES('a', 3)");
	pull(B, A);
	nodes_agree(&n[A], &n[B], "SELECT id, x FROM t ORDER BY id");
	node_well(&n[A]);
	group_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_new_row_is_told),
		cmocka_unit_test(a_rowid_used_again_is_left_by_a_replace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
