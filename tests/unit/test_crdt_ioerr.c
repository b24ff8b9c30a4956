// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_ioerr.c - each access to the files fails in turn, alone and with all
 * that follow: reading, writing, syncing, opening, with a rollback journal and
 * with a WAL; or the disk is full; or another one has the lock that is asked for.
 * See crdt_faults.h.
 */
#include "crdt_faults.h"

#include "fault_count.h"
#include "vfs_fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* What fails of an access. */
static enum fault_kind failing = FAULT_ACCESS;

/* -- what crdt_faults.h asks for ------------------------------------------------------- */

static char work[NODE_FILE];

static void
arm(long at, bool all)
{
	fault_arm(failing, at, all);
}

static bool
excuses(int rc)
{
	switch (rc & 0xFF) {
	case SQLITE_CORRUPT:    /* of a statement that what failed in the midst of it,
	                         * in the hook, had rolled back */
	case SQLITE_IOERR:
	case SQLITE_FULL:
	case SQLITE_CANTOPEN:
	case SQLITE_ABORT:
		return failing != FAULT_LOCK;
	case SQLITE_BUSY:
	case SQLITE_PROTOCOL:
	case SQLITE_ERROR:      /* of a fold at a commit, which must not go on */
		return failing == FAULT_LOCK;
	default:
		return false;
	}
}

static void
remove_files(void)
{
	char other[NODE_FILE + 16];
	static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };
	size_t i;

	for (i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		snprintf(other, sizeof other, "%s%s", work, suffixes[i]);
		unlink(other);
	}
}

static void
open_work(struct node *n, const void *image, size_t len)
{
	FILE *f;

	remove_files();
	f = fopen(work, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(image, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	memset(n, 0, sizeof *n);
	assert_int_equal(sqlite3_open_v2(work, &n->db, SQLITE_OPEN_READWRITE,
	    "failing"), SQLITE_OK);
	/* a small cache reads and spills */
	node_exec(n, "PRAGMA cache_size = 10");
}

static void
close_work(struct node *n)
{
	assert_int_equal(sqlite3_close(n->db), SQLITE_OK);
	remove_files();
}

/* test_crdt_ioerr ioerr|full|busy delete|wal: what fails, and the journal mode. */
int
main(int argc, char **argv)
{
	struct fault fault = { .open = open_work, .close = close_work, .arm = arm,
		.disarm = fault_disarm, .excuses = excuses,
		.begin = "PRAGMA journal_mode = delete", .least = 10 };
	int bad;

	assert_int_equal(argc, 3);
	if (strcmp(argv[1], "full") == 0) {
		failing = FAULT_SPACE;
	} else if (strcmp(argv[1], "busy") == 0) {
		failing = FAULT_LOCK;
		fault.locks_out = true;
		fault.least = 2;
	}
	if (strcmp(argv[2], "wal") == 0)
		fault.begin = "PRAGMA journal_mode = wal";
	vfs_fail_register(false);
	node_file(work);
	bad = faults_run(argv[1], &fault);
	remove_files();
	return bad;
}
