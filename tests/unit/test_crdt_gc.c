// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_gc.c - crsql_gc: what is forgotten, what stays, and each way in which
 * a deleted row could come back.  Random histories with it end like those without
 * (GC_HISTORIES of each kind).
 */
#include "crdt_nodes.h"
#include "how_many.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rd.h"
#include "rng.h"

enum { A, B, C, HORIZON = 18433, DONE = 1 };

static const char *const schema =
    "CREATE TABLE t(id PRIMARY KEY NOT NULL, a, b);"
    "SELECT crsql_as_crr('t');";

static const char *const changes = "SELECT \"table\", pk, cid, val, col_version, "
    "cl FROM crsql_changes ORDER BY \"table\", pk, cid";

static const uint8_t nothing[NODE_CURSOR];
static const struct mishap whole = { .max_bytes = 100000, .may_lose = true };
static const struct mishap refused = { .max_bytes = 100000, .may_lose = true,
	.may_refuse = true };

/* Who has not forgotten what the reader has reads from him first. */
static void
pull(struct node *to, struct node *from)
{
	if (node_pull(to, from, &refused))
		return;
	assert_true(node_pull(from, to, &whole));
	assert_true(node_pull(to, from, &whole));
}

/* Everybody gets everything. */
static void
settle(struct node *n, int count)
{
	int round, i;

	for (round = 0; round < count; round++)
		for (i = 0; i < count; i++)
			pull(&n[i], &n[(i + 1) % count]);
}

/* -- horizons ---------------------------------------------------------------- */

/* What all of them have. */
static struct vector
minimum(struct node *n, int count)
{
	struct vector v;
	int64_t has;
	int i, k;

	for (i = 0; i < count; i++)
		node_raise_own(&n[i]);
	v = n[0].has;
	for (k = 0; k < v.n; k++) {
		for (i = 1; i < count; i++) {
			has = vector_get(&n[i].has, v.entry[k].site);
			if (has < v.entry[k].version)
				v.entry[k].version = has;
		}
	}
	return v;
}

static char *
as_sql(const struct vector *v)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	struct buf b;
	size_t i;
	int k;

	buf_init(&b, 1 << 20);
	buf_add_varint(&b, (uint64_t)v->n);
	for (k = 0; k < v->n; k++) {
		buf_add(&b, v->entry[k].site, NODE_SITE);
		buf_add_varint(&b, (uint64_t)v->entry[k].version);
	}
	sqlite3_str_appendall(s, "x'");
	for (i = 0; i < b.len; i++)
		sqlite3_str_appendf(s, "%02x", b.data[i]);
	sqlite3_str_appendall(s, "'");
	buf_clear(&b);
	return sqlite3_str_finish(s);
}

static void
gc(struct node *n, const struct vector *v)
{
	char *sql = as_sql(v);

	node_exec(n, "SELECT crsql_gc(%s)", sql);
	sqlite3_free(sql);
	node_expect(n, "", "SELECT * FROM crsql_check");
}

/* Everybody forgets what all have. */
static void
gc_all(struct node *n, int count)
{
	struct vector v = minimum(n, count);
	int i;

	for (i = 0; i < count; i++)
		gc(&n[i], &v);
}

/* -- refusals ---------------------------------------------------------------- */

/* All that the engine keeps, and the data. */
static char *
all_of(struct node *n)
{
	return node_rows(n, "SELECT 'd', id, a, b, NULL, NULL FROM t UNION ALL "
	    "SELECT * FROM (SELECT 'l', dbv, pos, key, n, sver FROM crsql_log "
	    "ORDER BY dbv, pos) UNION ALL SELECT 't', pk, m, 0, 0, 0 FROM "
	    "t__crsql_dead UNION ALL SELECT 'm', key, m, 0, 0, 0 FROM "
	    "t__crsql_meta UNION ALL SELECT 'h', site, version, 0, 0, 0 FROM "
	    "crsql_horizon");
}

/* The first page for a reader of that cursor and vector. */
static int
page_for(struct node *to, struct node *from, const uint8_t *cursor,
    const struct vector *v, uint8_t **page, int *len)
{
	struct buf plan;
	int rc;

	node_plan(to, cursor, v, &plan);
	rc = node_export(from, &plan, NULL, 100000, page, len);
	buf_clear(&plan);
	return rc;
}

static void
assert_refused(struct node *n, int rc)
{
	assert_int_equal(rc & 0xFF, SQLITE_ERROR);
	assert_int_equal(sqlite3_extended_errcode(n->db), HORIZON);
	assert_non_null(strstr(sqlite3_errmsg(n->db), "behind the horizon"));
}

/* By the one who is asked, if the plan tells, or else by him who takes. */
static void
reading_is_refused(struct node *to, struct node *from)
{
	char *before = all_of(to), *after;
	int64_t won;
	uint8_t *page;
	int len, rc;

	node_raise_own(to);
	rc = page_for(to, from, to->cursor[from->index], &to->has, &page, &len);
	if (rc == SQLITE_OK)
		assert_refused(to, node_import(to, page, len, &won));
	else
		assert_refused(from, rc);
	after = all_of(to);
	assert_string_equal(before, after);
	sqlite3_free(before);
	sqlite3_free(after);
	sqlite3_free(page);
}

/* A page of all there is, which may not be taken; what was forgotten goes ahead. */
static void
taking_is_refused(struct node *to, struct node *from)
{
	char *before, *after;
	struct buf plan;
	uint8_t *page, position[NODE_CURSOR];
	int64_t won;
	int len;

	node_plan(to, nothing, NULL, &plan);
	assert_int_equal(node_export(from, &plan, NULL, 100000, &page, &len), 0);
	if (!(page_flags_of(page) & DONE)) {
		memcpy(position, page + 4, NODE_CURSOR);
		node_import(to, page, len, &won);
		sqlite3_free(page);
		assert_int_equal(node_export(from, &plan, position, 100000,
		    &page, &len), SQLITE_OK);
	}
	buf_clear(&plan);
	before = all_of(to);
	assert_refused(to, node_import(to, page, len, &won));
	after = all_of(to);
	assert_string_equal(before, after);
	node_expect(to, "", "SELECT * FROM crsql_check");
	sqlite3_free(before);
	sqlite3_free(after);
	sqlite3_free(page);
}

/* Three databases that hold rows 1 to 4 of A's; B deletes row 1. */
static void
open_with_delete(struct node n[3])
{
	nodes_open(n, 3, schema);
	node_exec(&n[A], "INSERT INTO t VALUES(1, 'a', 0), (2, 'b', 0), "
	    "(3, 'c', 0), (4, 'd', 0)");
	settle(n, 3);
	node_exec(&n[B], "DELETE FROM t WHERE id = 1");
}

/* -- what goes, what stays --------------------------------------------------- */

static void
r20_gc_forgets_what_everybody_has(void **state)
{
	struct node n[3], fresh;
	char *before, *after;
	int i;

	nodes_open(n, 2, schema);
	node_exec(&n[A], "INSERT INTO t SELECT value, 'a', 'b' FROM (WITH "
	    "RECURSIVE s(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s "
	    "LIMIT 40) SELECT value FROM s)");
	for (i = 1; i <= 20; i++) {
		node_exec(&n[A], "INSERT INTO t VALUES('s%d', 1, 1)", i);
		node_exec(&n[A], "UPDATE t SET a = 'x' WHERE id = %d", i + 20);
		node_exec(&n[A], "DELETE FROM t WHERE id IN (%d, 's%d')", i, i);
	}
	settle(n, 2);
	before = node_rows(&n[B], "SELECT * FROM crsql_changes WHERE cl %% 2 = 1");
	node_expect(&n[B], "40\n", "SELECT count(*) FROM t__crsql_dead");
	gc_all(n, 2);
	/* at A the run of those that are left, the twenty that were updated, and
	 * the newest headers; B got a row of the log for each */
	for (i = 0; i < 2; i++) {
		node_expect(&n[i], "0\n", "SELECT count(*) FROM t__crsql_dead");
		node_expect(&n[i], i == A ? "21|2\n" : "40|2\n", "SELECT count(*) FILTER (WHERE n > 0 "
		    "OR n IS NULL), count(*) FILTER (WHERE n <= 0) FROM "
		    "crsql_log");
		node_expect(&n[i], "'ok'\n", "PRAGMA integrity_check");
	}
	after = node_rows(&n[B], "SELECT * FROM crsql_changes WHERE cl %% 2 = 1");
	assert_string_equal(before, after);
	/* what told of the horizon is newer than the header before */
	node_expect(&n[A], "1\n", "SELECT crsql_gc(NULL)");
	node_expect(&n[A], "0\n", "SELECT crsql_gc(NULL)");
	node_open(&fresh, C, NULL);
	node_exec(&fresh, "%s", schema);
	pull(&fresh, &n[A]);
	nodes_agree(&fresh, &n[B], changes);
	node_close(&fresh);
	sqlite3_free(before);
	sqlite3_free(after);
	nodes_close(n, 2);
}

static void
r20_gc_keeps_what_is_not_everywhere(void **state)
{
	struct node n[3];
	struct vector v;

	open_with_delete(n);
	pull(&n[A], &n[B]);
	v = minimum(n, 3);
	gc(&n[A], &v);
	/* C has not heard of the delete */
	node_expect(&n[A], "1\n", "SELECT count(*) FROM t__crsql_dead");
	pull(&n[C], &n[A]);
	node_expect(&n[C], "2\n3\n4\n", "SELECT id FROM t ORDER BY id");
	v = minimum(n, 3);
	gc(&n[A], &v);
	node_expect(&n[A], "0\n", "SELECT count(*) FROM t__crsql_dead");
	nodes_close(n, 3);
}

/* Rows that are told by nothing but their being there, as they had no column when
 * they were written, or another rowid then. */
static void
r20_rows_older_than_their_columns_stay(void **state)
{
	static const char tag[] = "CREATE TABLE tag(name TEXT PRIMARY KEY NOT NULL); "
	    "SELECT crsql_as_crr('tag')";
	static const char note[] = "ALTER TABLE tag ADD COLUMN note";
	struct node n[3], late;

	open_with_delete(n);
	nodes_exec(n, 3, tag);
	node_exec(&n[A], "INSERT INTO tag VALUES('a'), ('b'), ('c')");
	nodes_exec(n, 3, note);
	node_exec(&n[A], "UPDATE tag SET rowid = 100 WHERE name = 'b'");
	settle(n, 3);
	gc_all(n, 3);
	node_expect(&n[A], "", "SELECT * FROM crsql_check");
	node_open(&late, 3, NULL);
	node_exec(&late, "%s; %s; %s", schema, tag, note);
	pull(&late, &n[A]);
	node_expect(&late, "'a'\n'b'\n'c'\n", "SELECT name FROM tag ORDER BY 1");
	node_close(&late);
	nodes_close(n, 3);
}

/* Never the entry of a current fact: whoever is new gets all of it. */
static void
r20_a_newcomer_gets_everything(void **state)
{
	struct mishap cut = { .max_bytes = 1, .cut_after = 2 };
	struct node n[3], late;

	open_with_delete(n);
	settle(n, 3);
	node_exec(&n[A], "UPDATE t SET b = 5 WHERE id = 2");
	node_exec(&n[C], "INSERT INTO t VALUES(1, 'again', 1)");
	node_exec(&n[C], "DELETE FROM t WHERE id = 3");
	settle(n, 3);
	gc_all(n, 3);
	node_open(&late, 3, NULL);
	node_exec(&late, "%s", schema);
	node_exec(&late, "INSERT INTO t VALUES(9, 'own', 9)");
	/* cut, and gone on with: it is one who reads since */
	assert_false(node_pull(&late, &n[B], &cut));
	node_exec(&n[A], "DELETE FROM t WHERE id = 4");
	settle(n, 3);
	pull(&late, &n[B]);
	node_expect(&late, "1|'again'|1\n2|'b'|5\n9|'own'|9\n",
	    "SELECT * FROM t ORDER BY id");
	pull(&n[B], &late);
	nodes_agree(&n[B], &late, changes);
	node_expect(&late, "", "SELECT * FROM crsql_check");
	node_close(&late);
	nodes_close(n, 3);
}

static void
the_horizon_only_rises(void **state)
{
	struct vector low, high;
	struct node n[3];

	open_with_delete(n);
	low = minimum(n, 3);
	settle(n, 3);
	high = minimum(n, 3);
	gc(&n[A], &high);
	gc(&n[A], &low);
	node_expect(&n[A], "2\n", "SELECT count(*) FROM crsql_horizon");
	node_expect(&n[A], "1\n2\n", "SELECT version FROM crsql_horizon ORDER BY 1");
	node_expect(&n[A], "0\n", "SELECT crsql_gc(crsql_horizon('t'))");
	node_expect(&n[A], "1\n2\n", "SELECT version FROM crsql_horizon ORDER BY 1");
	nodes_close(n, 3);
}

static void
a_bad_horizon_changes_nothing(void **state)
{
	struct node n[3];
	struct vector v;
	char *before, *after, *sql;

	open_with_delete(n);
	settle(n, 3);
	before = all_of(&n[A]);
	assert_int_equal(node_try(&n[A], "SELECT crsql_gc('x')"), SQLITE_ERROR);
	assert_int_equal(node_try(&n[A], "SELECT crsql_gc(x'0100')"),
	    SQLITE_ERROR);
	assert_int_equal(node_try(&n[A], "SELECT crsql_gc(x'ffffff7f')"),
	    SQLITE_ERROR);
	v = minimum(n, 3);
	vector_raise(&v, n[A].site, 99);
	sql = as_sql(&v);
	assert_int_not_equal(node_try(&n[A], "SELECT crsql_gc(%s)", sql),
	    SQLITE_OK);
	assert_string_equal(sqlite3_errmsg(n[A].db), "the horizon names version "
	    "99 of this database, which has none above 2");
	after = all_of(&n[A]);
	assert_string_equal(before, after);
	sqlite3_free(after);
	sqlite3_free(sql);
	/* taken back with the transaction, and with a savepoint */
	v = minimum(n, 3);
	node_exec(&n[A], "BEGIN");
	gc(&n[A], &v);
	node_exec(&n[A], "ROLLBACK; BEGIN; SAVEPOINT s");
	gc(&n[A], &v);
	node_exec(&n[A], "ROLLBACK TO s");
	node_expect(&n[A], "00\n", "SELECT crsql_horizon('t')");
	node_exec(&n[A], "COMMIT");
	after = all_of(&n[A]);
	assert_string_equal(before, after);
	sqlite3_free(before);
	sqlite3_free(after);
	nodes_close(n, 3);
}

/* -- ways in which a row could come back ------------------------------------- */

/* A laggard has the row and not the delete. */
static void
r20_who_is_behind_is_refused_both_ways(void **state)
{
	struct node n[3], late;

	open_with_delete(n);
	node_open(&late, 3, NULL);
	node_exec(&late, "%s", schema);
	pull(&late, &n[A]);
	settle(n, 3);
	gc_all(n, 3);
	reading_is_refused(&late, &n[B]);
	reading_is_refused(&late, &n[A]);       /* whose cursor it has */
	taking_is_refused(&n[B], &late);
	taking_is_refused(&n[C], &late);
	node_expect(&n[B], "2\n3\n4\n", "SELECT id FROM t ORDER BY id");
	node_close(&late);
	nodes_close(n, 3);
}

/* What is behind the cursor of an older log is not proven by it: the delete was
 * told at a place that is before the head. */
static void
a_cursor_from_before_is_none(void **state)
{
	struct node n[2], late;
	struct vector v;

	nodes_open(n, 2, schema);
	node_exec(&n[A], "INSERT INTO t VALUES(1, 1, 1)");
	node_open(&late, 2, NULL);
	node_exec(&late, "%s", schema);
	pull(&late, &n[A]);
	node_exec(&n[A], "DELETE FROM t WHERE id = 1");
	node_exec(&n[A], "INSERT INTO t VALUES(2, 2, 2)");
	settle(n, 2);
	gc_all(n, 2);
	reading_is_refused(&late, &n[A]);
	/* and one who knows of the delete goes on from a place before it */
	v = n[B].has;
	memcpy(n[B].cursor[A], late.cursor[A], NODE_CURSOR);
	pull(&n[B], &n[A]);
	nodes_agree(&n[A], &n[B], changes);
	assert_true(vector_get(&v, n[A].site) > 0);
	node_close(&late);
	nodes_close(n, 2);
}

/* Also where the cursor stands in the transaction that deleted, and at its end,
 * which went with the tombstone, and is the head. */
static void
a_cursor_inside_the_delete_is_none(void **state)
{
	uint8_t *page, head[NODE_CURSOR];
	struct node n[2], late;
	struct vector v;
	struct buf plan;
	int len;

	nodes_open(n, 2, schema);
	node_exec(&n[A], "INSERT INTO t VALUES(1, 1, 1)");
	settle(n, 2);
	node_exec(&n[A], "BEGIN; INSERT INTO t VALUES(2, 2, 2); DELETE FROM t "
	    "WHERE id = 1; COMMIT");
	node_open(&late, 2, NULL);
	node_exec(&late, "%s", schema);
	v = n[A].has;
	v.n = 0;
	vector_raise(&v, n[A].site, 1);
	node_plan(&late, nothing, &v, &plan);
	assert_int_equal(node_export(&n[A], &plan, NULL, 1, &page, &len), 0);
	assert_int_equal(page_flags_of(page), 8);
	memcpy(late.cursor[A], page + 4, NODE_CURSOR);
	settle(n, 2);
	memcpy(head, n[B].cursor[A], NODE_CURSOR);
	v = minimum(n, 2);
	gc(&n[B], &v);
	/* taken over, and not told of */
	pull(&n[A], &n[B]);
	reading_is_refused(&late, &n[A]);
	node_expect(&n[A], "1\n", "SELECT substr(hdr, -8) = substr("
	    "crsql_head(), -8) FROM crsql_log ORDER BY dbv DESC LIMIT 1");
	memcpy(late.cursor[A], head, NODE_CURSOR);
	pull(&late, &n[A]);
	node_expect(&late, "", "SELECT id FROM t");
	sqlite3_free(page);
	buf_clear(&plan);
	node_close(&late);
	nodes_close(n, 2);
}

/* Half a copy of who had not forgotten yet is not new to who has. */
static void
half_a_copy_is_not_new(void **state)
{
	struct mishap cut = { .max_bytes = 1, .cut_after = 1 };
	struct node n[2], late;

	nodes_open(n, 2, schema);
	node_exec(&n[A], "INSERT INTO t VALUES(1, 1, 1)");
	node_exec(&n[A], "INSERT INTO t VALUES(2, 2, 2)");
	settle(n, 2);
	node_open(&late, 2, NULL);
	node_exec(&late, "%s", schema);
	assert_false(node_pull(&late, &n[A], &cut));
	node_exec(&n[A], "DELETE FROM t WHERE id = 1");
	settle(n, 2);
	gc_all(n, 2);
	taking_is_refused(&late, &n[B]);
	reading_is_refused(&late, &n[A]);
	node_close(&late);
	nodes_close(n, 2);
}

/* A new life wins against tombstones of who has not forgotten yet, and against
 * what he tells. */
static void
r20_a_row_made_again_lives(void **state)
{
	struct node n[3];
	struct vector v;

	open_with_delete(n);
	settle(n, 3);
	v = minimum(n, 3);
	gc(&n[A], &v);
	node_exec(&n[A], "INSERT INTO t VALUES(1, 'new', 1)");
	/* C tells its tombstone, from the beginning and to who asks for all */
	memset(n[A].cursor[C], 0, NODE_CURSOR);
	v = n[A].has;
	n[A].has.n = 0;
	assert_true(node_pull(&n[A], &n[C], &whole));
	n[A].has = v;
	node_expect(&n[A], "'new'|1\n", "SELECT a, b FROM t WHERE id = 1");
	pull(&n[C], &n[A]);
	node_expect(&n[C], "'new'|1\n", "SELECT a, b FROM t WHERE id = 1");
	node_expect(&n[C], "0\n", "SELECT count(*) FROM t__crsql_dead");
	settle(n, 3);
	nodes_agree(&n[A], &n[B], changes);
	nodes_agree(&n[A], &n[C], changes);
	/* and dies of a delete that is new */
	node_exec(&n[C], "DELETE FROM t WHERE id = 1");
	settle(n, 3);
	nodes_agree(&n[A], &n[C], changes);
	node_expect(&n[A], "2\n3\n4\n", "SELECT id FROM t ORDER BY id");
	node_expect(&n[A], "", "SELECT * FROM crsql_check");
	nodes_close(n, 3);
}

/* Old cells of a life that is over must not get into a new one. */
static void
old_cells_stay_out_of_a_new_life(void **state)
{
	struct node n[3], late;

	nodes_open(n, 3, schema);
	node_exec(&n[A], "INSERT INTO t VALUES(1, 'a', 0)");
	node_exec(&n[A], "UPDATE t SET a = 'z', b = 99");
	settle(n, 3);
	node_open(&late, 3, NULL);
	node_exec(&late, "%s", schema);
	pull(&late, &n[A]);
	node_exec(&n[B], "DELETE FROM t");
	settle(n, 3);
	gc_all(n, 3);
	node_exec(&n[A], "INSERT INTO t VALUES(1, 'new', 1)");
	settle(n, 3);
	taking_is_refused(&n[B], &late);
	node_expect(&n[B], "1|'new'|1\n", "SELECT * FROM t");
	node_close(&late);
	nodes_close(n, 3);
}

static int
change(struct node *n, const struct node *site, const char *id, const char *cid,
    const char *val, int version, int sver, int cl)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	char *hex;
	int i, rc;

	for (i = 0; i < NODE_SITE; i++)
		sqlite3_str_appendf(s, "%02x", site->site[i]);
	hex = sqlite3_str_finish(s);
	rc = node_try(n, "INSERT INTO crsql_changes(\"table\", pk, cid, val, "
	    "col_version, db_version, site_id, cl, seq, sver) VALUES('t', "
	    "crsql_pack_columns(%s), %Q, %s, %d, 1, x'%s', %d, 0, %d)", id, cid,
	    val, version, hex, cl, sver);
	sqlite3_free(hex);
	return rc;
}

static void
r20_crsql_changes_brings_nothing_back(void **state)
{
	struct node n[3];
	char *before, *after;

	open_with_delete(n);
	settle(n, 3);
	gc_all(n, 3);
	before = all_of(&n[C]);
	/* the old insert, its own and others', of a version and of none */
	assert_refused(&n[C], change(&n[C], &n[A], "1", "a", "'a'", 1, 1, 1));
	assert_refused(&n[A], change(&n[A], &n[A], "1", "a", "'a'", 1, 1, 1));
	assert_refused(&n[C], change(&n[C], &n[A], "1", "a", "'a'", 1, 0, 1));
	assert_refused(&n[C], change(&n[C], &n[A], "1", "a", "'a'", 1, 1, 3));
	/* what is held wins nothing, and a delete that is over is none */
	assert_int_equal(change(&n[C], &n[A], "2", "a", "'b'", 1, 1, 1), 0);
	assert_int_equal(change(&n[C], &n[B], "1", "-1", "NULL", 2, 2, 2), 0);
	after = all_of(&n[C]);
	assert_string_equal(before, after);
	/* what came later is taken */
	assert_int_equal(change(&n[C], &n[A], "1", "a", "'new'", 1, 9, 1), 0);
	node_expect(&n[C], "1|'new'|NULL\n", "SELECT * FROM t WHERE id = 1");
	assert_int_equal(change(&n[C], &n[B], "1", "-1", "NULL", 2, 2, 2), 0);
	node_expect(&n[C], "1\n", "SELECT count(*) FROM t WHERE id = 1");
	node_expect(&n[C], "", "SELECT * FROM crsql_check");
	sqlite3_free(before);
	sqlite3_free(after);
	nodes_close(n, 3);
}

/* A parked insert of a life that a tombstone ended goes with it. */
static void
what_is_parked_does_not_come_back(void **state)
{
	struct node n[2];

	nodes_open(n, 2, schema);
	node_exec(&n[B], "CREATE UNIQUE INDEX u ON t(a)");
	node_exec(&n[B], "INSERT INTO t VALUES('own', 'taken', 0)");
	node_exec(&n[A], "INSERT INTO t VALUES(1, 'taken', 0), (2, 'taken', 0)");
	pull(&n[B], &n[A]);
	node_expect(&n[B], "2\n", "SELECT count(*) FROM crsql_parked");
	/* a delete by this way does not try again what is parked */
	assert_int_equal(change(&n[B], &n[A], "1", "-1", "NULL", 2, 2, 2), 0);
	node_exec(&n[A], "DELETE FROM t WHERE id = 1");
	node_expect(&n[B], "2\n", "SELECT count(*) FROM crsql_parked");
	vector_raise(&n[B].has, n[A].site, 2);
	vector_raise(&n[A].has, n[B].site, 1);
	gc_all(n, 2);
	node_exec(&n[B], "DELETE FROM t WHERE id = 'own'; SELECT crsql_unpark()");
	/* the other one is no less current than before */
	node_expect(&n[B], "2|'taken'|0\n", "SELECT * FROM t");
	node_expect(&n[B], "0\n", "SELECT count(*) FROM crsql_parked");
	nodes_close(n, 2);
}

static void
plain_writes_are_folded_first(void **state)
{
	char path[NODE_FILE];
	struct vector v;
	struct node n[2];

	node_file(path);
	node_open(&n[A], A, path);
	node_open(&n[B], B, NULL);
	nodes_exec(n, 2, schema);
	node_exec(&n[A], "INSERT INTO t VALUES(1, 1, 1), (2, 2, 2)");
	node_exec(&n[A], "DELETE FROM t WHERE id = 1");
	settle(n, 2);
	v = minimum(n, 2);
	node_plainly(path, "INSERT INTO t VALUES(1, 'new', 1); DELETE FROM t WHERE "
	    "id = 2");
	gc(&n[A], &v);
	node_expect(&n[A], "0\n", "SELECT crsql_pending()");
	node_plainly(path, "INSERT INTO t VALUES(2, 'too', 1)");
	pull(&n[B], &n[A]);
	node_expect(&n[B], "1|'new'|1\n2|'too'|1\n", "SELECT * FROM t ORDER BY id");
	nodes_agree(&n[A], &n[B], changes);
	nodes_close(n, 2);
	unlink(path);
}

/* A copy of the file from before goes on as another site of the same key, to
 * which what it wrote after the last common version belongs. */
static void
r20_an_old_copy_brings_nothing_back(void **state)
{
	static const char *const identity = "SELECT crsql_identity(x'%032d', "
	    "x'%064d', x'%016d'%s)";
	char path[NODE_FILE], old[NODE_FILE];
	struct node n[2], copy;

	node_file(path);
	node_file(old);
	unlink(old);
	node_open(&n[A], A, path);
	node_open(&n[B], B, NULL);
	node_exec(&n[A], identity, 1, 7, 0, "");
	nodes_exec(n, 2, schema);
	node_exec(&n[A], "INSERT INTO t VALUES(1, 1, 1)");
	settle(n, 2);
	node_exec(&n[A], "VACUUM INTO %Q", old);
	node_exec(&n[A], "DELETE FROM t");
	settle(n, 2);
	gc_all(n, 2);
	node_exec(&n[A], "INSERT INTO t VALUES(2, 2, 2)");
	pull(&n[B], &n[A]);
	node_open(&copy, 2, old);
	/* nothing common was found: all is of the new life */
	node_exec(&copy, identity, 2, 7, 1, ", 0");
	taking_is_refused(&n[B], &copy);
	taking_is_refused(&n[A], &copy);
	/* it is no newcomer */
	taking_is_refused(&copy, &n[B]);
	node_expect(&n[B], "2|2|2\n", "SELECT * FROM t");
	node_close(&copy);
	nodes_close(n, 2);
	unlink(path);
	unlink(old);
}

/* The file is smaller, or has room again. */
static void
r20_the_file_shrinks(void **state)
{
	struct node n[2];

	nodes_open(n, 2, schema);
	node_exec(&n[A], "INSERT INTO t SELECT 'row ' || value, 1, 1 FROM (WITH "
	    "RECURSIVE s(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s "
	    "LIMIT 2000) SELECT value FROM s)");
	node_exec(&n[A], "DELETE FROM t; VACUUM");
	settle(n, 2);
	node_expect(&n[A], "1\n", "SELECT page_count > 40 FROM "
	    "pragma_page_count");
	gc_all(n, 2);
	node_expect(&n[A], "1\n", "SELECT freelist_count > 20 FROM "
	    "pragma_freelist_count");
	node_exec(&n[A], "VACUUM");
	node_expect(&n[A], "1\n", "SELECT page_count < 30 FROM "
	    "pragma_page_count");
	nodes_close(n, 2);
}

/* Between two pages of a pull things are forgotten. */
static void
gc_between_two_pages(void **state)
{
	uint8_t *first, *second, position[NODE_CURSOR];
	struct node n[2], late;
	struct buf plan;
	int64_t won;
	int len, len2;

	nodes_open(n, 2, schema);
	node_exec(&n[A], "INSERT INTO t VALUES(1, 1, 1)");
	node_exec(&n[A], "INSERT INTO t VALUES(2, 2, 2)");
	settle(n, 2);
	node_open(&late, 2, NULL);
	node_exec(&late, "%s", schema);
	node_plan(&late, nothing, NULL, &plan);
	assert_int_equal(node_export(&n[A], &plan, NULL, 1, &first, &len), 0);
	assert_int_equal(node_import(&late, first, len, &won), SQLITE_OK);
	memcpy(position, first + 4, NODE_CURSOR);
	node_exec(&n[A], "DELETE FROM t WHERE id = 1");
	settle(n, 2);
	gc_all(n, 2);
	assert_int_equal(node_export(&n[A], &plan, position, 1, &second, &len2),
	    SQLITE_OK);
	/* who took the first page may not take this one ... */
	assert_refused(&late, node_import(&late, second, len2, &won));
	node_expect(&late, "1\n", "SELECT id FROM t");
	/* ... but one who took none, and forgot the first, may */
	node_exec(&n[B], "SELECT 1");
	sqlite3_free(first);
	sqlite3_free(second);
	buf_clear(&plan);
	node_close(&late);
	nodes_close(n, 2);
}

/* Of what a site had seen, the newest step below the horizon says all. */
static void
steps_become_one(void **state)
{
	struct node n[3];
	int i;

	nodes_open(n, 2, schema);
	for (i = 1; i <= 4; i++) {
		node_exec(&n[A], "SELECT crsql_saw(%s, %d)", S1, i);
		node_exec(&n[A], "INSERT INTO t VALUES(%d, 1, 1)", i);
	}
	settle(n, 2);
	node_expect(&n[B], "4\n", "SELECT count(*) FROM crsql_seen");
	gc_all(n, 2);
	node_expect(&n[A], "4|4\n", "SELECT sver, upto FROM crsql_seen");
	node_expect(&n[B], "4|4\n", "SELECT sver, upto FROM crsql_seen");
	nodes_close(n, 2);
}

/* Of a run, or of updates of many rows, it goes when nothing is current. */
static void
superseded_runs_go(void **state)
{
	struct node n[2];

	nodes_open(n, 2, schema);
	node_exec(&n[A], "INSERT INTO t VALUES(1, 1, 1), (2, 2, 2), (3, 3, 3)");
	node_exec(&n[A], "UPDATE t SET a = 'x', b = 'y'");
	node_exec(&n[A], "UPDATE t SET a = 'u'");
	node_exec(&n[A], "UPDATE t SET b = 'v' WHERE id < 3");
	node_exec(&n[A], "UPDATE t SET b = 'w' WHERE id < 3");
	settle(n, 2);
	gc_all(n, 2);
	/* b of row 3 stands in the first update still */
	node_expect(&n[A], "2|3\n3|3\n5|2\n", "SELECT dbv, n FROM crsql_log "
	    "WHERE n > 0");
	node_expect(&n[A], "6\n", "SELECT dbv FROM crsql_log WHERE n = 0");
	pull(&n[B], &n[A]);
	nodes_agree(&n[A], &n[B], changes);
	nodes_close(n, 2);
}

/* -- random histories -------------------------------------------------------- */

enum { KEYS = 6, STAMPS = 400, RANDOM_MAX = 4 };

struct world {
	struct node n[RANDOM_MAX];
	int count;
	struct rng r;
	unsigned stamps;                /* given so far: values of column b */
	bool over[STAMPS];              /* a delete took it away */
	int gcs;
};

/* The stamp that a node shows for a key; 0 if it has none. */
static unsigned
stamp_of(struct node *n, unsigned id)
{
	sqlite3_stmt *stmt;
	unsigned stamp = 0;

	sqlite3_prepare_v2(n->db, "SELECT b FROM t WHERE id = ?1", -1, &stmt,
	    NULL);
	sqlite3_bind_int(stmt, 1, (int)id);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		stamp = (unsigned)sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return stamp;
}

/* owners: a key is inserted by one database only. */
static void
write_something(struct world *w, struct node *n, bool owners)
{
	unsigned id = below(&w->r, KEYS), what = below(&w->r, 6);
	unsigned stamp = stamp_of(n, id);

	if (what < 2 && (!owners || (int)id % w->count == n->index)) {
		w->stamps += w->stamps < STAMPS - 1;
		node_try(n, "INSERT INTO t VALUES(%u, 'v%u', %u)", id,
		    below(&w->r, 9), w->stamps);
	} else if (what < 4) {
		node_exec(n, "UPDATE t SET a = 'w%u' WHERE id = %u",
		    below(&w->r, 9), id);
	} else {
		node_exec(n, "DELETE FROM t WHERE id = %u", id);
		w->over[stamp] = true;
	}
}

static void
open_world(struct world *w, uint64_t seed)
{
	memset(w, 0, sizeof *w);
	w->r.s = seed * 0x9E3779B97F4A7C15u + 1;
	w->count = 2 + (int)below(&w->r, RANDOM_MAX - 1);
	nodes_open(w->n, w->count, schema);
}

/* What all of them had at a moment is settled when all have what was there
 * then: nothing that was made without knowing it is on its way. */
struct settling {
	bool waits;
	struct vector had, there;
};

static void
look_at_settling(struct world *w, struct settling *s)
{
	struct vector now = minimum(w->n, w->count);
	int i, k;

	for (k = 0; s->waits && k < s->there.n; k++)
		if (vector_get(&now, s->there.entry[k].site) <
		    s->there.entry[k].version)
			return;
	if (s->waits) {
		for (i = 0; i < w->count; i++)
			gc(&w->n[i], &s->had);
		w->gcs++;
	}
	s->waits = true;
	s->had = now;
	s->there = now;
	for (i = 0; i < w->count; i++)
		for (k = 0; k < w->n[i].has.n; k++)
			vector_raise(&s->there, w->n[i].has.entry[k].site,
			    w->n[i].has.entry[k].version);
}

/* The same history with and without: the same rows at the end. */
static int
run_settled(struct world *w, uint64_t seed, bool forget)
{
	struct settling s = { .waits = false };
	int i, j, steps;

	open_world(w, seed);
	steps = 20 + (int)below(&w->r, 60);
	while (steps-- > 0) {
		i = (int)below(&w->r, (uint32_t)w->count);
		j = (int)below(&w->r, (uint32_t)w->count);
		if (below(&w->r, 2) > 0)
			write_something(w, &w->n[i], true);
		else if (i != j)
			pull(&w->n[i], &w->n[j]);
		if (forget)
			look_at_settling(w, &s);
	}
	settle(w->n, w->count);
	for (i = 1; i < w->count; i++)
		nodes_agree(&w->n[0], &w->n[i], changes);
	return w->gcs;
}

static int
seeds(void)
{
	return how_many("GC_HISTORIES", 3);
}

static void
r20_histories_end_as_without_gc(void **state)
{
	struct world *with = malloc(sizeof *with), *without = malloc(sizeof *with);
	int i, gcs = 0;

	for (i = 1; i <= seeds(); i++) {
		print_message("# seed %d\n", i);
		gcs += run_settled(with, (uint64_t)i, true);
		run_settled(without, (uint64_t)i, false);
		nodes_agree(&with->n[0], &without->n[0],
		    "SELECT * FROM t ORDER BY id");
		nodes_close(with->n, with->count);
		nodes_close(without->n, without->count);
	}
	assert_true(gcs > 0);
	free(with);
	free(without);
}

/* Some of them forget what all have, at random moments, between pulls that are
 * cut. */
static void
step_anyhow(struct world *w)
{
	struct mishap m = { .max_bytes = 1 + (int)below(&w->r, 400),
		.may_lose = true, .may_refuse = true };
	int i = (int)below(&w->r, (uint32_t)w->count);
	int j = (int)below(&w->r, (uint32_t)w->count);
	struct vector v;

	if (below(&w->r, 3) == 0)
		m.cut_after = 1 + (int)below(&w->r, 3);
	switch (below(&w->r, 5)) {
	case 0:
	case 1:
		write_something(w, &w->n[i], false);
		break;
	case 2:
	case 3:
		if (i != j)
			node_pull(&w->n[i], &w->n[j], &m);
		break;
	case 4:
		v = minimum(w->n, w->count);
		gc(&w->n[i], &v);
		w->gcs++;
		break;
	}
}

/* A life that somebody ended is nowhere. */
static void
check_over(struct world *w)
{
	unsigned id, stamp;

	for (id = 0; id < KEYS; id++) {
		stamp = stamp_of(&w->n[0], id);
		if (stamp > 0 && w->over[stamp])
			fail_msg("row %u is back with %u", id, stamp);
	}
}

static void
r20_histories_converge_whoever_forgets(void **state)
{
	struct world *w = malloc(sizeof *w);
	int i, k, steps;

	for (i = 1; i <= seeds(); i++) {
		print_message("# seed %d\n", i);
		open_world(w, (uint64_t)i + 100000);
		steps = 20 + (int)below(&w->r, 80);
		while (steps-- > 0)
			step_anyhow(w);
		settle(w->n, w->count);
		for (k = 0; k < w->count; k++) {
			nodes_agree(&w->n[0], &w->n[k], changes);
			node_expect(&w->n[k], "", "SELECT * FROM crsql_check");
		}
		check_over(w);
		nodes_close(w->n, w->count);
	}
	free(w);
}

/* One who took part for a while and stayed away is refused by all, and nothing
 * is changed by that. */
static void
r20_laggards_are_refused(void **state)
{
	struct world *w = malloc(sizeof *w);
	struct node late;
	int i, k, steps;

	for (i = 1; i <= seeds(); i++) {
		print_message("# seed %d\n", i);
		open_world(w, (uint64_t)i + 200000);
		node_exec(&w->n[0], "INSERT INTO t VALUES('kept', 0, 0)");
		for (steps = 10; steps > 0; steps--)
			step_anyhow(w);
		settle(w->n, w->count);
		node_open(&late, w->count, NULL);
		node_exec(&late, "%s", schema);
		pull(&late, &w->n[0]);
		node_exec(&w->n[0], "DELETE FROM t WHERE id = 'kept'");
		settle(w->n, w->count);
		gc_all(w->n, w->count);
		for (steps = (int)below(&w->r, 20); steps > 0; steps--)
			step_anyhow(w);
		for (k = 0; k < w->count; k++) {
			reading_is_refused(&late, &w->n[k]);
			taking_is_refused(&w->n[k], &late);
		}
		node_close(&late);
		nodes_close(w->n, w->count);
	}
	free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(r20_gc_forgets_what_everybody_has),
		cmocka_unit_test(r20_gc_keeps_what_is_not_everywhere),
		cmocka_unit_test(r20_rows_older_than_their_columns_stay),
		cmocka_unit_test(r20_a_newcomer_gets_everything),
		cmocka_unit_test(the_horizon_only_rises),
		cmocka_unit_test(a_bad_horizon_changes_nothing),
		cmocka_unit_test(r20_who_is_behind_is_refused_both_ways),
		cmocka_unit_test(a_cursor_from_before_is_none),
		cmocka_unit_test(a_cursor_inside_the_delete_is_none),
		cmocka_unit_test(half_a_copy_is_not_new),
		cmocka_unit_test(r20_a_row_made_again_lives),
		cmocka_unit_test(old_cells_stay_out_of_a_new_life),
		cmocka_unit_test(r20_crsql_changes_brings_nothing_back),
		cmocka_unit_test(what_is_parked_does_not_come_back),
		cmocka_unit_test(plain_writes_are_folded_first),
		cmocka_unit_test(r20_an_old_copy_brings_nothing_back),
		cmocka_unit_test(r20_the_file_shrinks),
		cmocka_unit_test(gc_between_two_pages),
		cmocka_unit_test(steps_become_one),
		cmocka_unit_test(superseded_runs_go),
		cmocka_unit_test(r20_histories_end_as_without_gc),
		cmocka_unit_test(r20_histories_converge_whoever_forgets),
		cmocka_unit_test(r20_laggards_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
