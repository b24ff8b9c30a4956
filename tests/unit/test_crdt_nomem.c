// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_nomem.c - each allocation that the engine and SQLite make fails in
 * turn, alone and with all that follow; see crdt_faults.h.
 */
#include "crdt_faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static sqlite3_mem_methods memory;      /* SQLite's own */
static long left = -1;                  /* until one fails; < 0: none does */
static bool for_good;                   /* and all that follow */
static bool failed;

static bool
fails(void)
{
	if (left < 0 || left-- > 0)
		return false;
	failed = true;
	if (for_good)
		left = 0;
	return true;
}

static void *
failing_malloc(int n)
{
	return fails() ? NULL : memory.xMalloc(n);
}

static void *
failing_realloc(void *p, int n)
{
	return fails() ? NULL : memory.xRealloc(p, n);
}

static void
arm(long at, bool all)
{
	left = at;
	for_good = all;
	failed = false;
}

static bool
disarm(void)
{
	left = -1;
	return failed;
}

/* SQLite's word is "abort" where a statement of ours within another one had all
 * rolled back. */
static bool
excuses(int rc)
{
	return rc == SQLITE_NOMEM || rc == SQLITE_IOERR_NOMEM ||
	    rc == SQLITE_ABORT;
}

static void
open_in_memory(struct node *n, const void *image, size_t len)
{
	unsigned char *bytes = sqlite3_malloc64(len);

	memset(n, 0, sizeof *n);
	assert_non_null(bytes);
	memcpy(bytes, image, len);
	assert_int_equal(sqlite3_open(":memory:", &n->db), SQLITE_OK);
	assert_int_equal(sqlite3_deserialize(n->db, "main", bytes,
	    (sqlite3_int64)len, (sqlite3_int64)len,
	    SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE),
	    SQLITE_OK);
}

static void
close_it(struct node *n)
{
	assert_int_equal(sqlite3_close(n->db), SQLITE_OK);
}

int
main(void)
{
	static const struct fault fault = { .open = open_in_memory,
		.close = close_it, .arm = arm, .disarm = disarm, .excuses = excuses,
		.begin = "", .least = 10 };
	sqlite3_mem_methods mine;

	/* every small piece goes through it too */
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), 0);
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory), 0);
	mine = memory;
	mine.xMalloc = failing_malloc;
	mine.xRealloc = failing_realloc;
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &mine), 0);
	return faults_run("nomem", &fault);
}
