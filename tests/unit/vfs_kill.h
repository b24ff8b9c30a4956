// SPDX-License-Identifier: MPL-2.0
/*
 * vfs_kill.h - a VFS over the ordinary one in which this process ends at a write:
 * as by SIGKILL, so that the file system keeps what was written, or as by a power
 * cut, so that of what was not synced only a part did arrive.
 */
#ifndef TESTS_VFS_KILL_H
#define TESTS_VFS_KILL_H

#include <stdbool.h>

enum { VFS_KILL_DIED = 77 };    /* the process's exit status then */

/* Registers it as "kill".  The process ends at the write, sync, truncation or
 * deletion after `at` others (none: at < 0): before it, or in the midst of it.  If
 * power, writes since the last sync of a file arrived or not, drawn from seed; a
 * file made or deleted stays so. */
void vfs_kill_register(long at, bool power, unsigned seed);

#endif
