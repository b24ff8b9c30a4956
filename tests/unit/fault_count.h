// SPDX-License-Identifier: MPL-2.0
/*
 * fault_count.h - which of the operations fails that can: they are counted, from
 * fault_arm() on, whoever makes them (vfs_fail.h, fault_calls.c).
 */
#ifndef TESTS_FAULT_COUNT_H
#define TESTS_FAULT_COUNT_H

#include <stdbool.h>

enum fault_kind {
	FAULT_MEMORY = 1,       /* allocations */
	FAULT_ACCESS = 2,       /* whatever is done with files */
	FAULT_SPACE = 4,        /* what needs space on the disk */
	FAULT_LOCK = 8          /* another one has the lock */
};

/* From now on what is of that kind fails after `at` others, and, if all, what
 * follows; none if at < 0. */
void fault_arm(enum fault_kind kind, long at, bool all);

/* Ends that; true if one failed. */
bool fault_disarm(void);

/* How many there were since fault_arm(). */
long fault_count(void);

/* For who makes an operation of one of these kinds: true if it has to fail. */
bool fault_is_due(unsigned kinds);

/* What is failing. */
enum fault_kind fault_armed(void);

#endif
