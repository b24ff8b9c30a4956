// SPDX-License-Identifier: MPL-2.0
/* crdt_group.c - the databases that a test works on; see crdt_group.h. */
#include "crdt_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

struct node n[GROUP_MAX];
const struct mishap plain = { .max_bytes = 100000 };

static const struct group *opened;
static char file[NODE_FILE];        /* A, if it is one */

void
group_open(const struct group *g)
{
	int i;

	opened = g;
	if (g->file)
		node_file(file);
	for (i = 0; i < g->count; i++)
		node_open(&n[i], i, g->file && i == A ? file : NULL);
	if (g->sql != NULL)
		nodes_exec(n, g->count, g->sql);
}

void
group_close(void)
{
	nodes_close(n, opened->count);
	if (opened->file)
		unlink(file);
}

int
group_set_up(void **state)
{
	group_open(*state);
	return 0;
}

int
group_tear_down(void **state)
{
	group_close();
	return 0;
}

void
plainly(const char *sql)
{
	assert_true(opened->file);
	node_plainly(file, sql);
}

void
pull(int to, int from)
{
	assert_true(node_pull(&n[to], &n[from], &plain));
}

void
meet(const char *query)
{
	pull(B, A);
	pull(A, B);
	pull(B, A);
	nodes_agree(&n[A], &n[B], query);
	nodes_agree(&n[A], &n[B], "SELECT \"table\", pk, cid, val, col_version, cl "
	    "FROM crsql_changes ORDER BY 1, 2, 3");
	node_well(&n[A]);
	node_well(&n[B]);
}
