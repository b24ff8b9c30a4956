// SPDX-License-Identifier: MPL-2.0
/*
 * vfs_fail.h - a VFS over the ordinary one, "failing", in which accesses fail when
 * fault_count.h says so: reading, writing, syncing, opening; what needs space; or
 * locks, which another one has.
 */
#ifndef TESTS_VFS_FAIL_H
#define TESTS_VFS_FAIL_H

#include <stdbool.h>

void vfs_fail_register(bool by_default);

#endif
