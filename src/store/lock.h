// SPDX-License-Identifier: MPL-2.0
/*
 * lock.h - the lock of `serve`: one process per database, whatever name it
 * was opened by.  It is held twice: on a file in the state directory, and on
 * one named by (device, inode) of the database in a directory of the running
 * system (R30).  Never on the database itself: closing a descriptor on it
 * would drop SQLite's locks.
 */
#ifndef STORE_LOCK_H
#define STORE_LOCK_H

#include "base/err.h"

struct lock {
	int state_fd;           /* -1: not held */
	int run_fd;
	char run_path[192];
};

void lock_init(struct lock *l);

/* E_EXISTS if somebody else has it. */
int lock_take(struct lock *l, int state_dir, const char *db_file,
    struct err *err);
void lock_drop(struct lock *l);

#endif
