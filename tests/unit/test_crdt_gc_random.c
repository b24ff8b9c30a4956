// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_gc_random.c - histories of three or four databases with two tables, in
 * which things are forgotten: beside each database stands its twin, which forgets
 * nothing and is told the same.  GC_SEEDS of each kind, from GC_FROM on.
 */
#include "crdt_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rng.h"

enum { TABLES = 2, KEYS = 5, MEMBERS = 4, STAMPS = 600, HORIZON = 18433,
       DONE = 1, ENDS_INSIDE = 8 };

static const char *const names[TABLES] = { "t", "u" };

static const char *const schema =
    "CREATE TABLE t(id PRIMARY KEY NOT NULL, a, b); SELECT crsql_as_crr('t');"
    "CREATE TABLE u(id INTEGER PRIMARY KEY NOT NULL, a, b); "
    "SELECT crsql_as_crr('u');";

static const char *const rows = "SELECT 't', * FROM t UNION ALL SELECT 'u', * FROM u "
    "ORDER BY 1, 2";

struct member {
	struct node n;
	struct vector has[TABLES];
	uint8_t cursor[MEMBERS][TABLES][NODE_CURSOR];   /* by peer */
	struct vector said[MEMBERS][TABLES];    /* what each peer's plan said */
	bool asked[MEMBERS];                    /* ... of both tables */
};

struct world {
	struct member m[MEMBERS];
	struct member twin[MEMBERS];
	bool twins;             /* there are some */
	int count;
	int members;            /* who count: the first of them */
	struct rng r;
	unsigned keys;          /* rows are few, so that they meet */
	unsigned stamps;        /* given so far: values of column b */
	bool over[STAMPS];      /* a delete took it away */
	int refusals;
};

/* -- a database ---------------------------------------------------------------- */

/* Twins have the same name, so that they decide alike. */
static void
member_open(struct member *m, int index)
{
	memset(m, 0, sizeof *m);
	node_open(&m->n, index, NULL);
	node_exec(&m->n, "SELECT crsql_identity(x'%032d', x'%064d', x'%016d')",
	    index + 1, index + 1, 0);
	node_exec(&m->n, "%s", schema);
}

/* Its own newest version, in both vectors. */
static void
raise_own(struct member *m)
{
	int k;

	node_raise_own(&m->n);
	for (k = 0; k < TABLES; k++)
		vector_raise(&m->has[k], m->n.has.entry[0].site,
		    m->n.has.entry[0].version);
}

static void
put_vector(struct buf *b, const struct vector *v)
{
	int i;

	buf_add_varint(b, (uint64_t)v->n);
	for (i = 0; i < v->n; i++) {
		buf_add(b, v->entry[i].site, NODE_SITE);
		buf_add_varint(b, (uint64_t)v->entry[i].version);
	}
}

/* Each table is a group of its own. */
static void
make_plan(struct member *to, int peer, int tables, struct buf *plan)
{
	int k;

	buf_init(plan, 1 << 16);
	buf_add_varint(plan, tables == 3 ? 2 : 1);
	for (k = 0; k < TABLES; k++) {
		if (!(tables & 1 << k))
			continue;
		buf_add_varint(plan, 1);
		buf_add_varint(plan, 1);
		buf_add(plan, names[k], 1);
		buf_add(plan, to->cursor[peer][k], NODE_CURSOR);
		put_vector(plan, &to->has[k]);
	}
}

enum pulled { PULLED, CUT, NOT_TOLD, NOT_TAKEN };

static void
assert_horizon(struct node *n)
{
	if (sqlite3_extended_errcode(n->db) != HORIZON)
		fail_msg("node %d: %s", n->index, sqlite3_errmsg(n->db));
}

/* One page, in a transaction that lasts as long as one of the sender's. */
static bool
take(struct member *to, const uint8_t *page, int len)
{
	int64_t changes;

	if (sqlite3_get_autocommit(to->n.db))
		node_exec(&to->n, "BEGIN IMMEDIATE");
	if (node_import(&to->n, page, len, &changes) != SQLITE_OK) {
		assert_horizon(&to->n);
		node_exec(&to->n, "ROLLBACK");
		return false;
	}
	if (!(page_flags_of(page) & ENDS_INSIDE))
		node_exec(&to->n, "COMMIT");
	return true;
}

static enum pulled
take_pages(struct member *to, struct member *from, const struct buf *plan,
    int max_bytes, int cut_after, uint8_t position[NODE_CURSOR])
{
	enum pulled is = CUT;
	uint8_t *page;
	int len, pages;

	for (pages = 0; is == CUT && (cut_after == 0 || pages < cut_after);
	    pages++) {
		if (node_export(&from->n, plan, pages > 0 ? position : NULL,
		    max_bytes, &page, &len) != SQLITE_OK) {
			assert_horizon(&from->n);
			is = NOT_TOLD;
			continue;
		}
		if (!take(to, page, len))
			is = NOT_TAKEN;
		else if (page_flags_of(page) & DONE)
			is = PULLED;
		memcpy(position, page + 4, NODE_CURSOR);
		sqlite3_free(page);
	}
	if (!sqlite3_get_autocommit(to->n.db))
		node_exec(&to->n, "ROLLBACK");
	return is;
}

static enum pulled
member_pull(struct member *to, struct member *from, int tables, int max_bytes,
    int cut_after)
{
	uint8_t position[NODE_CURSOR];
	struct buf plan;
	enum pulled is;
	int i, k;

	raise_own(to);
	raise_own(from);
	make_plan(to, from->n.index, tables, &plan);
	for (k = 0; k < TABLES; k++)
		if (tables & 1 << k)
			from->said[to->n.index][k] = to->has[k];
	from->asked[to->n.index] |= tables == 3;
	node_exec(&from->n, "BEGIN");
	is = take_pages(to, from, &plan, max_bytes, cut_after, position);
	node_exec(&from->n, "COMMIT");
	for (k = 0; k < TABLES && is == PULLED; k++) {
		if (!(tables & 1 << k))
			continue;
		memcpy(to->cursor[from->n.index][k], position, NODE_CURSOR);
		for (i = 0; i < from->has[k].n; i++)
			vector_raise(&to->has[k], from->has[k].entry[i].site,
			    from->has[k].entry[i].version);
	}
	buf_clear(&plan);
	return is;
}

/* -- what they do ------------------------------------------------------------------ */

static void
open_world(struct world *w, uint64_t seed, bool twins)
{
	int i;

	memset(w, 0, sizeof *w);
	w->r.s = seed * 0x9E3779B97F4A7C15u + 1;
	w->count = 3 + (int)below(&w->r, MEMBERS - 2);
	w->members = twins ? w->count : w->count - 1;
	w->keys = 1 + below(&w->r, KEYS);
	w->twins = twins;
	for (i = 0; i < w->count; i++) {
		member_open(&w->m[i], i);
		if (twins)
			member_open(&w->twin[i], i);
	}
}

static void
close_world(struct world *w)
{
	int i;

	for (i = 0; i < w->count; i++) {
		node_expect(&w->m[i].n, "", "SELECT * FROM crsql_check");
		node_close(&w->m[i].n);
		if (w->twins)
			node_close(&w->twin[i].n);
	}
}

static void
both(struct world *w, int i, const char *sql)
{
	int rc = node_try(&w->m[i].n, "%s", sql);

	if (w->twins)
		assert_int_equal(node_try(&w->twin[i].n, "%s", sql), rc);
}

static unsigned
stamp_of(struct node *n, int table, unsigned id)
{
	sqlite3_stmt *stmt;
	unsigned stamp = 0;
	char sql[64];

	snprintf(sql, sizeof sql, "SELECT b FROM %s WHERE id = ?1", names[table]);
	sqlite3_prepare_v2(n->db, sql, -1, &stmt, NULL);
	sqlite3_bind_int(stmt, 1, (int)id);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		stamp = (unsigned)sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return stamp;
}

/* owners: a key is inserted by one database only.  Two who make a row again at once,
 * of whom only one has forgotten, differ in causal length from their twins. */
static void
write_something(struct world *w, int i, bool owners)
{
	unsigned id = below(&w->r, w->keys), what = below(&w->r, 6);
	int table = (int)below(&w->r, TABLES);
	char sql[128];

	if (what < 2) {
		if (owners && (int)id % w->count != i)
			return;
		w->stamps += w->stamps < STAMPS - 1;
		snprintf(sql, sizeof sql, "INSERT INTO %s VALUES(%u, 'v%u', %u)",
		    names[table], id, below(&w->r, 9), w->stamps);
	} else if (what < 4) {
		snprintf(sql, sizeof sql, "UPDATE %s SET a = 'w%u' WHERE id = %u",
		    names[table], below(&w->r, 9), id);
	} else {
		/* of one who is left behind nobody else may hear */
		if (i < w->members)
			w->over[stamp_of(&w->m[i].n, table, id)] = true;
		snprintf(sql, sizeof sql, "DELETE FROM %s WHERE id = %u",
		    names[table], id);
	}
	both(w, i, sql);
}

/* Its twin does the same. */
static enum pulled
pull(struct world *w, int to, int from, int tables)
{
	enum pulled is = member_pull(&w->m[to], &w->m[from], tables, 100000, 0);

	if (w->twins && is == PULLED)
		assert_int_equal(member_pull(&w->twin[to], &w->twin[from], tables,
		    100000, 0), PULLED);
	return is;
}

/* Who has everything is heard, at the latest when he has read from here. */
static void
must_pull(struct world *w, int to, int from, int tables)
{
	enum pulled is = pull(w, to, from, tables);

	if (is == NOT_TAKEN) {
		w->refusals++;
		assert_int_equal(pull(w, from, to, tables), PULLED);
		is = pull(w, to, from, tables);
	}
	assert_int_equal(is, PULLED);
}

static void
settle(struct world *w, int count)
{
	int round, i;

	for (round = 0; round < count; round++)
		for (i = 0; i < count; i++)
			must_pull(w, i, (i + 1) % count, 3);
}

/* -- forgetting ---------------------------------------------------------------------- */

/* What a database knows that all of count have, and anybody has. */
static bool
acknowledged(struct world *w, int i, int count, struct vector *least,
    struct vector *most)
{
	struct member *m = &w->m[i];
	const struct vector *v;
	int64_t low, has;
	int p, k, e;

	raise_own(m);
	least->n = most->n = 0;
	for (p = 0; p < count; p++) {
		if (p != i && !m->asked[p])
			return false;
		for (k = 0; k < TABLES; k++) {
			v = p == i ? &m->has[k] : &m->said[p][k];
			for (e = 0; e < v->n; e++)
				vector_raise(most, v->entry[e].site,
				    v->entry[e].version);
		}
	}
	for (e = 0; e < most->n; e++) {
		low = most->entry[e].version;
		for (p = 0; p < count; p++)
			for (k = 0; k < TABLES; k++) {
				v = p == i ? &m->has[k] : &m->said[p][k];
				has = vector_get(v, most->entry[e].site);
				low = has < low ? has : low;
			}
		vector_raise(least, most->entry[e].site, low);
	}
	return true;
}

static char *
as_sql(const struct vector *v)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	struct buf b;
	size_t i;

	buf_init(&b, 1 << 16);
	put_vector(&b, v);
	sqlite3_str_appendall(s, "x'");
	for (i = 0; i < b.len; i++)
		sqlite3_str_appendf(s, "%02x", b.data[i]);
	sqlite3_str_appendall(s, "'");
	buf_clear(&b);
	return sqlite3_str_finish(s);
}

/* settled: as what all have and what anybody has; else the former alone. */
static void
forget(struct world *w, int i, int count, bool settled)
{
	struct vector least, most;
	char *low, *high;

	if (!acknowledged(w, i, count, &least, &most))
		return;
	low = as_sql(&least);
	high = as_sql(&most);
	if (settled)
		node_exec(&w->m[i].n, "SELECT crsql_gc(%s, %s)", low, high);
	else
		node_exec(&w->m[i].n, "SELECT crsql_gc(%s)", low);
	sqlite3_free(low);
	sqlite3_free(high);
	node_expect(&w->m[i].n, "", "SELECT * FROM crsql_check");
}

static int
number(const char *name, int preset)
{
	const char *s = getenv(name);

	return s != NULL ? atoi(s) : preset;
}

/* -- with twins ----------------------------------------------------------------------- */

static void
step(struct world *w)
{
	int i = (int)below(&w->r, (uint32_t)w->count);
	int j = (int)below(&w->r, (uint32_t)w->count);
	int tables = 1 + (int)below(&w->r, 3);

	switch (below(&w->r, 8)) {
	case 0:
	case 1:
		write_something(w, i, true);
		break;
	case 2:
		forget(w, i, w->count, true);
		break;
	default:
		if (i != j)
			must_pull(w, i, j, below(&w->r, 4) ? 3 : tables);
		break;
	}
	nodes_agree(&w->m[i].n, &w->twin[i].n, rows);
}

/* Forgetting shows nowhere. */
static void
r20_who_forgets_has_the_rows_of_who_does_not(void **state)
{
	struct world *w = malloc(sizeof *w);
	int from = number("GC_FROM", 1), n = number("GC_SEEDS", 150);
	int i, k, steps, rose = 0;
	char *risen;

	for (i = from; i < from + n; i++) {
		print_message("# seed %d\n", i);
		open_world(w, (uint64_t)i, true);
		for (steps = 80 + (int)below(&w->r, 120); steps > 0; steps--)
			step(w);
		settle(w, w->count);
		for (k = 0; k < w->count; k++) {
			nodes_agree(&w->m[k].n, &w->m[0].n, rows);
			nodes_agree(&w->m[k].n, &w->twin[k].n, rows);
		}
		risen = node_rows(&w->m[0].n, "SELECT 1 FROM crsql_horizon LIMIT 1");
		rose += risen[0] != '\0';
		sqlite3_free(risen);
		close_world(w);
	}
	assert_true(n < 10 || rose > n / 4);
	free(w);
}

/* -- whoever forgets ------------------------------------------------------------------- */

/* The last one is not counted, and stays away or comes back. */
static void
step_anyhow(struct world *w)
{
	int i = (int)below(&w->r, (uint32_t)w->count);
	int j = (int)below(&w->r, (uint32_t)w->count);
	int cut = below(&w->r, 3) == 0 ? 1 + (int)below(&w->r, 3) : 0;
	int tables = below(&w->r, 2) ? 3 : 1 + (int)below(&w->r, 3);

	switch (below(&w->r, 6)) {
	case 0:
	case 1:
		write_something(w, i, false);
		break;
	case 2:
	case 3:
	case 4:
		if (i == j)
			break;
		switch (member_pull(&w->m[i], &w->m[j], tables,
		    1 + (int)below(&w->r, 400), cut)) {
		case NOT_TAKEN:
		case NOT_TOLD:
			w->refusals++;
			break;
		case PULLED:
		case CUT:
			break;
		}
		break;
	case 5:
		forget(w, i, i < w->members ? w->members : w->count,
		    below(&w->r, 2));
		break;
	}
}

/* A life that somebody ended is nowhere. */
static void
check_over(struct world *w, struct node *n)
{
	unsigned id, stamp;
	int table;

	for (table = 0; table < TABLES; table++)
		for (id = 0; id < KEYS; id++) {
			stamp = stamp_of(n, table, id);
			if (stamp > 0 && w->over[stamp])
				fail_msg("node %d: row %u of %s is back with %u",
				    n->index, id, names[table], stamp);
		}
}

/* Some forget what those have who count; one may be left behind by that, goes on
 * writing, and brings nothing back. */
static void
r20_nothing_comes_back_from_who_is_left_behind(void **state)
{
	struct world *w = malloc(sizeof *w);
	int from = number("GC_FROM", 1), n = number("GC_SEEDS", 150);
	int i, k, steps, refusals = 0;

	for (i = from; i < from + n; i++) {
		print_message("# seed %d\n", i);
		open_world(w, (uint64_t)i + 1000000, false);
		settle(w, w->count);
		for (steps = 60 + (int)below(&w->r, 100); steps > 0; steps--)
			step_anyhow(w);
		settle(w, w->members);
		for (k = 0; k < w->members; k++) {
			nodes_agree(&w->m[k].n, &w->m[0].n, rows);
			check_over(w, &w->m[k].n);
		}
		refusals += w->refusals;
		close_world(w);
	}
	assert_true(n < 10 || refusals > 0);
	free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(r20_who_forgets_has_the_rows_of_who_does_not),
		cmocka_unit_test(r20_nothing_comes_back_from_who_is_left_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
