// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_ioerr.c - each access to the files fails in turn, of the database, the
 * inbox and the state directory; or the disk is full; or another one has the lock
 * that is asked for.  See store_faults.h.
 */
#include "store_faults.h"
#include "vfs_fail.h"

/* test_store_ioerr ioerr|full|busy delete|wal: what fails, and the journal mode. */
int
main(int argc, char **argv)
{
	enum fault_kind kind = FAULT_ACCESS;

	assert_int_equal(argc, 3);
	if (strcmp(argv[1], "full") == 0)
		kind = FAULT_SPACE;
	else if (strcmp(argv[1], "busy") == 0)
		kind = FAULT_LOCK;
	vfs_fail_register(true);
	return store_faults_run(argv[1], kind, strcmp(argv[2], "delete") == 0);
}
