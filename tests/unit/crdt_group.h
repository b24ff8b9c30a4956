// SPDX-License-Identifier: MPL-2.0
/*
 * crdt_group.h - the databases that a test of the engine works on, A, B and
 * perhaps C: opened before each test, closed behind it.  What can be done with
 * any database stands in crdt_nodes.h.
 */
#ifndef TESTS_CRDT_GROUP_H
#define TESTS_CRDT_GROUP_H

#include "crdt_nodes.h"

enum { A, B, C, GROUP_MAX };

struct group {
	int count;              /* A, B ... */
	bool file;              /* A is one, so that programs without the
	                         * extension may write it; the others never */
	const char *sql;        /* run on each; NULL: nothing */
};

/* Those that are open. */
extern struct node n[GROUP_MAX];

/* A pull in which nothing goes wrong. */
extern const struct mishap plain;

/* For a test that opens them itself, or anew. */
void group_open(const struct group *g);

/* Closes them and removes the file. */
void group_close(void);

/* A test of cmocka's that begins with such a group. */
#define GROUP_TEST(f, group) cmocka_unit_test_prestate_setup_teardown((f), \
	group_set_up, group_tear_down, &(group))
int group_set_up(void **state);
int group_tear_down(void **state);

/* Writes A as a program that loads nothing; A is a file. */
void plainly(const char *sql);

/* A pull without mishap; it must come to the end. */
void pull(int to, int from);

/* A and B pull until both have everything: they answer the query alike, have
 * the same changes, and nothing is wrong with either. */
void meet(const char *query);

#endif
