// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_kill.c - the process ends at each write in turn (vfs_kill.h): the file
 * is whole then, all transactions that were acknowledged are there, the one after
 * them wholly or not at all, and peers are told the same.  PLACES in the
 * environment: of 12 writes so many are tried (12).
 */
#include "crdt_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "crdt/crdt.h"
#include "vfs_kill.h"

/* What ASan keeps of freed memory is copied by each fork: this took most of the time. */
const char *__asan_default_options(void) __attribute__((visibility("default")));

const char *
__asan_default_options(void)
{
	return "quarantine_size_mb=4";
}

/* What is done, each step a transaction. */
struct step {
	const char *sql;
	bool plainly;           /* by a connection without the extension */
};

#define BEGUN "CREATE TABLE t(id TEXT PRIMARY KEY, x, y); CREATE TABLE " \
	"i(id INTEGER PRIMARY KEY, x, y); CREATE TABLE w(k TEXT PRIMARY KEY, v) " \
	"WITHOUT ROWID; CREATE TABLE later(id INTEGER PRIMARY KEY, v); SELECT " \
	"crsql_as_crr('t'), crsql_as_crr('i'), crsql_as_crr('w'); INSERT INTO t " \
	"VALUES('a', 1, 1), ('b', 2, 2), ('c', 3, 3); INSERT INTO i VALUES(1, 1, " \
	"1), (2, 2, 2), (5, 5, 5); INSERT INTO w VALUES('a', 1), ('b', 2); DELETE " \
	"FROM t WHERE id = 'b'; INSERT INTO later VALUES(1, 1)"
#define INTO "INSERT INTO crsql_changes(\"table\", pk, cid, val, col_version, " \
	"db_version, site_id, cl, seq) VALUES"
#define OWN "CAST(x'01' || substr(crsql_own(), 1, 16) || " \
	"substr(crsql_own(), 24, 1) AS BLOB)"

static const struct step steps[] = {
	{ "INSERT INTO t WITH n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE "
	    "n < 40) SELECT 'n' || n, n, zeroblob(100) FROM n", false },
	{ "BEGIN; UPDATE t SET x = 7 WHERE id < 'n2'; REPLACE INTO t VALUES('a', 9, "
	    "9); DELETE FROM i WHERE id = 5; UPDATE w SET k = 'z' WHERE k = 'b'; "
	    "SAVEPOINT s; DELETE FROM t; ROLLBACK TO s; COMMIT", false },
	{ "BEGIN; INSERT INTO t VALUES('p', 1, 1); UPDATE i SET x = 4; DELETE FROM t "
	    "WHERE id = 'c'; REPLACE INTO w VALUES('a', 5); COMMIT", true },
	{ "UPDATE t SET y = 1 WHERE id = 'p'", true },
	{ "SELECT crsql_fold()", false },
	{ "BEGIN; " INTO "('t', crsql_pack_columns('a'), 'x', 'new', 5, 1, " S1 ", 1, "
	    "0), ('t', crsql_pack_columns('q'), 'y', 3, 1, 1, " S1 ", 1, 1), ('i', "
	    "crsql_pack_columns(2), '-1', NULL, 2, 2, " S2 ", 2, 0), ('w', "
	    "crsql_pack_columns('n'), 'v', 8, 9, 1, " S2 ", 1, 0); COMMIT", false },
	{ "SELECT crsql_as_crr('later')", false },
	{ "BEGIN; SELECT crsql_begin_alter('t'); ALTER TABLE t DROP COLUMN y; ALTER "
	    "TABLE t ADD COLUMN z DEFAULT 4; UPDATE t SET z = 5 WHERE id = 'a'; SELECT "
	    "crsql_commit_alter('t'); COMMIT", false },
	{ "BEGIN; CREATE TABLE n(id INTEGER PRIMARY KEY, x, y); INSERT INTO n SELECT "
	    "id, x + 1, y FROM i; DROP TABLE i; ALTER TABLE n RENAME TO i; COMMIT",
	    true },
	{ "UPDATE i SET y = 0", false },
	{ "DELETE FROM t WHERE id >= 'n3'", false },
	{ "SELECT crsql_gc(" OWN ")", false },
	{ "UPDATE later SET v = 2", false },
};

enum { NSTEPS = sizeof steps / sizeof *steps };

static char base[NODE_FILE], work[NODE_FILE];
static char *states[NSTEPS + 1];        /* after so many steps */
static char *seen[NSTEPS + 1];          /* the same as a plain program sees it */
static int *acknowledged;               /* steps of the child, shared with it */

static void
each_file(const char *path, void (*f)(const char *from, const char *to),
    const char *to)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };
	char a[NODE_FILE + 10], b[NODE_FILE + 10];
	size_t i;

	for (i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		snprintf(a, sizeof a, "%s%s", path, suffixes[i]);
		snprintf(b, sizeof b, "%s%s", to, suffixes[i]);
		f(a, b);
	}
}

static void
remove_one(const char *path, const char *unused)
{
	(void)unused;
	unlink(path);
}

static void
copy_one(const char *from, const char *to)
{
	FILE *in = fopen(from, "rb"), *out;
	char bytes[4096];
	size_t n;

	if (in == NULL)
		return;
	out = fopen(to, "wb");
	assert_non_null(out);
	while ((n = fread(bytes, 1, sizeof bytes, in)) > 0)
		assert_int_equal(fwrite(bytes, 1, n, out), n);
	fclose(in);
	assert_int_equal(fclose(out), 0);
}

static void
begin_anew(void)
{
	each_file(work, remove_one, work);
	each_file(base, copy_one, work);
}

/* -- the child ------------------------------------------------------------------------- */

static sqlite3 *
open_for_steps(bool plainly)
{
	sqlite3 *db;

	if (sqlite3_open_v2(work, &db, SQLITE_OPEN_READWRITE, "kill") !=
	    SQLITE_OK || (!plainly && crdt_load(db, NULL) != SQLITE_OK) ||
	    sqlite3_exec(db, "PRAGMA synchronous = full; PRAGMA wal_autocheckpoint = "
	    "10; PRAGMA cache_size = 20", NULL, NULL, NULL) != SQLITE_OK)
		_exit(1);
	return db;
}

static void
do_steps(int count)
{
	sqlite3 *db = open_for_steps(false), *plain = open_for_steps(true);
	char *why = NULL;
	int i;

	for (i = 0; i < count; i++) {
		if (sqlite3_exec(steps[i].plainly ? plain : db, steps[i].sql, NULL,
		    NULL, &why) != SQLITE_OK) {
			fprintf(stderr, "%s: %s\n", steps[i].sql, why);
			_exit(1);
		}
		*acknowledged = i + 1;
	}
	sqlite3_close(plain);
	sqlite3_close(db);
	_exit(0);
}

/* Does steps in a process of its own, which ends at a write; true if it did. */
static bool
child_dies(int count, long at, bool power)
{
	int status;
	pid_t pid;

	*acknowledged = 0;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		vfs_kill_register(at, power, (unsigned)at, false);
		do_steps(count);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) != 0)
		assert_int_equal(WEXITSTATUS(status), VFS_KILL_DIED);
	return WEXITSTATUS(status) != 0;
}

/* -- what it left ------------------------------------------------------------------------ */

/* Tables, and what peers are told of them. */
static char *
state_of(struct node *n)
{
	char *changes = node_rows(n, "SELECT \"table\", pk, cid, val, col_version, cl, "
	    "db_version, seq FROM crsql_changes ORDER BY db_version, seq");
	char *t = node_rows(n, "SELECT * FROM t ORDER BY id");
	char *i = node_rows(n, "SELECT * FROM i ORDER BY id");
	char *w = node_rows(n, "SELECT * FROM w ORDER BY k");
	char *later = node_rows(n, "SELECT * FROM later ORDER BY id");
	char *all = sqlite3_mprintf("%s%s%s%s%s", t, i, w, later, changes);

	sqlite3_free(changes);
	sqlite3_free(t);
	sqlite3_free(i);
	sqlite3_free(w);
	sqlite3_free(later);
	return all;
}

static int
add_values(void *out, int n, char **value, char **name)
{
	int i;

	for (i = 0; i < n; i++)
		sqlite3_str_appendf(out, "%s|", value[i] != NULL ? value[i] : "");
	sqlite3_str_appendall(out, "\n");
	return 0;
}

/* What a plain program sees, to be freed with sqlite3_free; a file that is damaged
 * is seen as nothing else is. */
static char *
seen_by_others(void)
{
	static const char *const queries[] = { "PRAGMA integrity_check",
		"SELECT * FROM t ORDER BY id", "SELECT * FROM i ORDER BY id",
		"SELECT * FROM w ORDER BY k", "SELECT * FROM later ORDER BY id" };
	sqlite3_str *out = sqlite3_str_new(NULL);
	sqlite3 *db;
	size_t i;

	assert_int_equal(sqlite3_open(work, &db), SQLITE_OK);
	for (i = 0; i < sizeof queries / sizeof *queries; i++)
		if (sqlite3_exec(db, queries[i], add_values, out, NULL) != SQLITE_OK)
			sqlite3_str_appendall(out, "damaged\n");
	sqlite3_close(db);
	return sqlite3_str_finish(out);
}

static void
is_whole(struct node *n)
{
	node_expect(n, "'ok'\n", "PRAGMA integrity_check");
	node_expect(n, "", "SELECT * FROM crsql_check");
}

/* A peer with all columns that ever were has the same after one pull. */
static void
peer_gets_all(struct node *n)
{
	static const struct mishap all = { .max_bytes = 100000 };
	struct node peer;

	node_open(&peer, 1, NULL);
	node_exec(&peer, "CREATE TABLE t(id TEXT PRIMARY KEY, x, y, z); CREATE TABLE "
	    "i(id INTEGER PRIMARY KEY, x, y); CREATE TABLE w(k TEXT PRIMARY KEY, v) "
	    "WITHOUT ROWID; CREATE TABLE later(id INTEGER PRIMARY KEY, v); SELECT "
	    "crsql_as_crr('t'), crsql_as_crr('i'), crsql_as_crr('w'), "
	    "crsql_as_crr('later')");
	assert_true(node_pull(&peer, n, &all));
	is_whole(&peer);
	nodes_agree(n, &peer, "SELECT \"table\", pk, cid, val, col_version, cl FROM "
	    "crsql_changes ORDER BY 1, 2, 3");
	node_close(&peer);
}

static void
look(long at)
{
	struct node n;
	char *now;
	int done = *acknowledged;

	node_open(&n, 0, work);
	is_whole(&n);
	now = state_of(&n);
	if (strcmp(now, states[done]) != 0 && (done == NSTEPS ||
	    strcmp(now, states[done + 1]) != 0))
		fail_msg("ended at write %ld, after %d steps:\n%s\ninstead of\n%s", at,
		    done, now, states[done]);
	sqlite3_free(now);
	peer_gets_all(&n);
	node_close(&n);
}

/* -- the tests ------------------------------------------------------------------------------ */

static void
make_states(const char *mode)
{
	struct node n;
	int i;

	node_open(&n, 0, base);
	node_exec(&n, BEGUN);
	node_close(&n);
	node_plainly(base, mode);
	for (i = 0; i <= NSTEPS; i++) {
		begin_anew();
		assert_false(child_dies(i, -1, false));
		node_open(&n, 0, work);
		states[i] = state_of(&n);
		node_close(&n);
		seen[i] = seen_by_others();
	}
}

static void
die_everywhere(const char *mode, bool power)
{
	const char *text = getenv("PLACES");
	long places = text != NULL ? atol(text) : 0, at, died = 0;

	make_states(mode);
	for (at = 0;; at += places > 0 && places < 12 ? 12 / places : 1) {
		begin_anew();
		if (!child_dies(NSTEPS, at, power))
			break;
		look(at);
		died++;
	}
	print_message("ended at %ld writes\n", died);
	assert_true(died > 20);
}

/* What these tests are worth: with a disk that does not sync when it says so, what
 * was acknowledged is lost, or the file is damaged, and it is noticed. */
static void
fails_on_a_disk_that_lies(const char *mode)
{
	long at, died = 0, bad = 0;
	char *now;
	int done;

	make_states(mode);
	vfs_kill_lies = true;
	for (at = 0;; at += 13, died++) {
		begin_anew();
		if (!child_dies(NSTEPS, at, true))
			break;
		done = *acknowledged;
		now = seen_by_others();
		bad += strcmp(now, seen[done]) != 0 && (done == NSTEPS ||
		    strcmp(now, seen[done + 1]) != 0);
		sqlite3_free(now);
	}
	vfs_kill_lies = false;
	print_message("%ld of %ld are noticed\n", bad, died);
	assert_true(bad > died / 4);
}

static void
lying_with_a_rollback_journal(void **state)
{
	fails_on_a_disk_that_lies("PRAGMA journal_mode = delete");
}

static void
lying_with_a_wal(void **state)
{
	fails_on_a_disk_that_lies("PRAGMA journal_mode = wal");
}

static void
killed_with_a_rollback_journal(void **state)
{
	die_everywhere("PRAGMA journal_mode = delete", false);
}

static void
killed_with_a_wal(void **state)
{
	die_everywhere("PRAGMA journal_mode = wal", false);
}

static void
power_cut_with_a_rollback_journal(void **state)
{
	die_everywhere("PRAGMA journal_mode = delete", true);
}

static void
power_cut_with_a_wal(void **state)
{
	die_everywhere("PRAGMA journal_mode = wal", true);
}

static int
set_up(void **state)
{
	acknowledged = mmap(NULL, sizeof *acknowledged, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(acknowledged != MAP_FAILED);
	node_file(base);
	node_file(work);
	return 0;
}

static int
tear_down(void **state)
{
	int i;

	for (i = 0; i <= NSTEPS; i++) {
		sqlite3_free(states[i]);
		sqlite3_free(seen[i]);
		states[i] = seen[i] = NULL;
	}
	each_file(base, remove_one, base);
	each_file(work, remove_one, work);
	munmap(acknowledged, sizeof *acknowledged);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(killed_with_a_rollback_journal),
		TEST(killed_with_a_wal),
		TEST(power_cut_with_a_rollback_journal),
		TEST(power_cut_with_a_wal),
		TEST(lying_with_a_rollback_journal),
		TEST(lying_with_a_wal),
	};

	return cmocka_run_group_tests_name("kill", tests, NULL, NULL);
}
