// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_alters.c - random histories in which every database changes its
 * schema when it likes: once all have the same again, all have the same rows
 * and clocks, and nothing is parked.  SEEDS=N for more.
 */
#include "crdt_group.h"
#include "how_many.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rng.h"

enum { COUNT = 3 };
static struct group group = { .count = COUNT, .sql =
	"CREATE TABLE r(id TEXT PRIMARY KEY, x, y, "
	"z DEFAULT 'dz'); SELECT crsql_as_crr('r')" };

#define FACTS "SELECT \"table\", pk, cid, val, col_version, cl FROM " \
	"crsql_changes ORDER BY 1, 2, 3"
#define PARKED "SELECT count(*) FROM crsql_parked"

static void
agree(int a, int b)
{
	nodes_agree(&n[a], &n[b], "SELECT * FROM r ORDER BY id");
	nodes_agree(&n[a], &n[b], FACTS);
	node_expect(&n[a], "0\n", PARKED);
	node_expect(&n[b], "0\n", PARKED);
}

/* What each database calls x and y now, and whether it has added d and e. */
struct shape {
	int x, y;
	bool d, e;
};

static const char *const x_names[] = { "x", "x1", "x2" };
static const char *const y_names[] = { "y", "y1", "y2" };

#define RENAME "ALTER TABLE r RENAME COLUMN %s TO %s"

static void
reshape(int i, struct shape *s, const struct shape *to)
{
	if (s->x != to->x)
		node_exec(&n[i], RENAME, x_names[s->x], x_names[to->x]);
	if (s->y != to->y)
		node_exec(&n[i], RENAME, y_names[s->y], y_names[to->y]);
	if (to->d && !s->d)
		node_exec(&n[i], "ALTER TABLE r ADD COLUMN d DEFAULT 7");
	if (to->e && !s->e)
		node_exec(&n[i], "ALTER TABLE r ADD COLUMN e");
	*s = *to;
}

static void
alter_something(int i, struct shape *s, struct rng *r)
{
	struct shape to = *s;

	switch (below(r, 4)) {
	case 0: to.x = (int)below(r, 3); break;
	case 1: to.y = (int)below(r, 3); break;
	case 2: to.d = true; break;
	default: to.e = s->d; break;    /* in one order everywhere */
	}
	reshape(i, s, &to);
}

static void
write_something(int i, const struct shape *s, struct rng *r)
{
	const char *column[] = { x_names[s->x], y_names[s->y], "z",
		s->d ? "d" : "z", s->e ? "e" : "z" };
	const char *c = column[below(r, 5)];
	unsigned id = below(r, 6), v = below(r, 9);

	switch (below(r, 6)) {
	case 0:
		node_exec(&n[i], "INSERT OR IGNORE INTO r(id, %s) VALUES('%u', "
		    "%u)", c, id, v);
		break;
	case 1:
		node_exec(&n[i], "DELETE FROM r WHERE id = '%u'", id);
		break;
	case 2:
		node_exec(&n[i], "REPLACE INTO r(id, %s) VALUES('%u', %u)", c,
		    id, v);
		break;
	default:
		node_exec(&n[i], "UPDATE r SET %s = nullif(%u, 0) WHERE id = "
		    "'%u'", c, v, id);
		break;
	}
}

/* One random history; at its end all have the shape of the first, and all that
 * anybody added. */
static void
history(uint64_t seed)
{
	struct rng r = { seed * 0x9E3779B97F4A7C15u + 1 };
	struct shape s[COUNT] = { { 0, 0, false, false } }, to;
	struct mishap cut = { .max_bytes = 60, .cut_after = 2 };
	bool in_tx;
	int i, j, k;

	print_message("# seed %llu\n", (unsigned long long)seed);
	if (seed % 2)
		node_exec(&n[B], "SELECT crsql_config_set('plain-writers', 0)");
	for (k = 0; k < 60; k++) {
		i = (int)below(&r, COUNT);
		j = (int)below(&r, COUNT);
		in_tx = below(&r, 4) == 0;
		if (in_tx)
			node_exec(&n[i], "BEGIN");
		if (below(&r, 6) == 0)
			alter_something(i, &s[i], &r);
		write_something(i, &s[i], &r);
		if (in_tx && below(&r, 2))
			alter_something(i, &s[i], &r);
		if (in_tx)
			node_exec(&n[i], "COMMIT");
		if (i != j && below(&r, 3) == 0)
			node_pull(&n[j], &n[i], below(&r, 2) ? &plain : &cut);
	}
	to = s[A];
	for (i = 0; i < COUNT; i++) {
		to.d |= s[i].d;
		to.e |= s[i].e;
	}
	for (i = 0; i < COUNT; i++)
		reshape(i, &s[i], &to);
	for (k = 0; k < 4; k++) {
		for (i = 0; i < COUNT; i++) {
			write_something(i, &s[i], &r);
			pull((i + 1) % COUNT, i);
		}
	}
	for (k = 0; k < 2; k++)
		for (i = 0; i < COUNT; i++)
			pull((i + 1) % COUNT, i);
	agree(A, B);
	agree(A, C);
}

static void
histories_with_alters_converge(void **state)
{
	int i, count = how_many("SEEDS", 60);

	for (i = 1; i <= count; i++) {
		group_open(&group);
		history((uint64_t)i);
		group_close();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(histories_with_alters_converge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
