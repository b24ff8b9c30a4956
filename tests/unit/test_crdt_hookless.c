// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_hookless.c - an SQLite without the preupdate hook: what is written there
 * is noted by triggers, or refused.  The linker puts a function of ours before the
 * engine's own that looks for the hook.
 */
#include "crdt_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "crdt/crdt.h"

#define SENTENCE "this SQLite has no preupdate hook, by which writes are noted where " \
	"plain-writers is 0: let another one say SELECT crsql_config_set('capture', " \
	"'journal')"

struct preupdate;
const struct preupdate *__real_preupdate_find(void);
const struct preupdate *__wrap_preupdate_find(void);

static bool hookless;
static struct node n;
static char path[NODE_FILE];

const struct preupdate *
__wrap_preupdate_find(void)
{
	return hookless ? NULL : __real_preupdate_find();
}

/* Made where there is a hook. */
static int
make(void **state)
{
	node_file(path);
	hookless = false;
	node_open(&n, 0, path);
	node_exec(&n, "CREATE TABLE t(id INTEGER PRIMARY KEY, a); "
	    "SELECT crsql_as_crr('t')");
	return 0;
}

static int
drop(void **state)
{
	node_close(&n);
	unlink(path);
	return 0;
}

static void
open_without(void)
{
	node_close(&n);
	hookless = true;
	node_open(&n, 0, path);
}

#define TOLD "SELECT cid, val, col_version FROM crsql_changes"

static void
triggers_note_writes(void **state)
{
	open_without();
	node_exec(&n, "INSERT INTO t VALUES(1, 1)");
	node_expect(&n, "'a'|1|1\n", TOLD);
}

static void
plain_writers_stay(void **state)
{
	open_without();
	assert_int_equal(node_try(&n, "SELECT crsql_config_set('plain-writers', 0)"),
	    SQLITE_ERROR);
	assert_string_equal(sqlite3_errmsg(n.db), SENTENCE);
	node_expect(&n, "1\n", "SELECT crsql_config_get('plain-writers')");
	node_exec(&n, "SELECT crsql_config_set('capture', 'journal'), "
	    "crsql_config_set('plain-writers', 0); INSERT INTO t VALUES(1, 1)");
	node_expect(&n, "'a'|1|1\n", TOLD);
	assert_int_equal(node_try(&n, "SELECT crsql_config_set('capture', 0)"),
	    SQLITE_ERROR);
	node_exec(&n, "UPDATE t SET a = 2");
	node_expect(&n, "'a'|2|2\n", TOLD);
}

static void
no_writers_at_all(void **state)
{
	char *why = NULL;
	sqlite3 *db;

	node_exec(&n, "SELECT crsql_config_set('plain-writers', 0)");
	hookless = true;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_not_equal(crdt_load(db, &why), SQLITE_OK);
	assert_non_null(why);
	assert_non_null(strstr(why, SENTENCE));
	sqlite3_free(why);
	sqlite3_close(db);
	node_exec(&n, "SELECT crsql_config_set('capture', 'journal')");
	open_without();
	node_exec(&n, "INSERT INTO t VALUES(1, 1)");
	node_expect(&n, "'a'|1|1\n", TOLD);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)
	const struct CMUnitTest tests[] = {
		TEST(triggers_note_writes),
		TEST(plain_writers_stay),
		TEST(no_writers_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
