// SPDX-License-Identifier: MPL-2.0
/*
 * fault_calls.h - allocations and files of the code under test itself, beside
 * those of SQLite, can fail too, as fault_count.h says: the program is linked with
 * --wrap for each of them (meson.build).
 */
#ifndef TESTS_FAULT_CALLS_H
#define TESTS_FAULT_CALLS_H

#include <stddef.h>
#include <sys/types.h>

/* Lets SQLite allocate so too; before SQLite is used. */
void fault_calls_sqlite(void);

/* For who wants to know of changes to files, if set. */
struct fault_calls_watch {
	void (*before)(void);   /* before each of them */
	void (*opened)(int fd);
	void (*wrote)(int fd, const void *data, size_t len, off_t at);
	void (*cut)(int fd, off_t size);
	void (*synced)(int fd);
	void (*renamed)(int dir, const char *from, int to_dir, const char *to);
};
extern const struct fault_calls_watch *fault_calls_watch;

/* How many allocations were not freed so far. */
long fault_calls_unfreed(void);

#endif
