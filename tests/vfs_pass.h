// SPDX-License-Identifier: MPL-2.0
/*
 * vfs_pass.h - a VFS that hands each call on to the ordinary one, for tests that
 * look at some of them, or let them fail.  They copy vfs_pass_methods, put their
 * own functions into the copy, and begin the struct of a file with struct
 * vfs_pass.
 */
#ifndef TESTS_VFS_PASS_H
#define TESTS_VFS_PASS_H

#include <stddef.h>

/* The tests have SQLite linked in, whatever else they include. */
#ifndef SQLITE_CORE
#define SQLITE_CORE 1
#endif
#include <sqlite3.h>

struct vfs_pass {
	sqlite3_file base;
	sqlite3_file *real;     /* the ordinary VFS's, behind the test's struct */
};

#define VFS_REAL(f) (((struct vfs_pass *)(f))->real)
#define VFS_CALL(f, method, ...) \
	VFS_REAL(f)->pMethods->method(VFS_REAL(f), ##__VA_ARGS__)

/* Version 2: nothing is mapped past us. */
extern const sqlite3_io_methods vfs_pass_methods;

/* Makes vfs a copy of the ordinary one and registers it, as the default if so
 * asked; size is that of a file's struct.  What is to be changed in it may be
 * changed until it is used first.  Returns the ordinary one. */
sqlite3_vfs *vfs_pass_register(sqlite3_vfs *vfs, const char *name, size_t size,
    int by_default);

/* An xOpen: zeroes f, a struct of that size, and opens the real file behind it;
 * methods are those of f. */
int vfs_pass_open(sqlite3_vfs *real, const char *path, sqlite3_file *f,
    size_t size, const sqlite3_io_methods *methods, int flags, int *out_flags);

#endif
