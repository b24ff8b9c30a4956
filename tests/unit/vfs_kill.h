// SPDX-License-Identifier: MPL-2.0
/*
 * vfs_kill.h - a VFS over the ordinary one in which this process ends at a write:
 * as by SIGKILL, so that the file system keeps what was written, or as by a power
 * cut, so that of what was not synced only a part did arrive.
 */
#ifndef TESTS_VFS_KILL_H
#define TESTS_VFS_KILL_H

#include <stdbool.h>
#include <stddef.h>

enum { VFS_KILL_DIED = 77 };    /* the process's exit status then */

/* Registers it as "kill".  The process ends at the write, sync, truncation or
 * deletion after `at` others (none: at < 0): before it, or in the midst of it.  If
 * power, writes since the last sync of a file arrived or not, drawn from seed; a
 * file made or deleted stays so. */
void vfs_kill_register(long at, bool power, unsigned seed, bool by_default);

/* How many there were so far. */
long vfs_kill_count(void);

/* The same for files that are not SQLite's: where the process may end, and what is
 * done to a file of that path. */
void vfs_kill_here(void);
void vfs_kill_opened(const char *path);
void vfs_kill_wrote(const char *path, const void *data, size_t len, long at);
void vfs_kill_cut(const char *path, long size);
void vfs_kill_synced(const char *path);
void vfs_kill_renamed(const char *from, const char *to);

/* A disk that says it has synced and has not. */
extern bool vfs_kill_lies;

#endif
