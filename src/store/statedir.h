// SPDX-License-Identifier: MPL-2.0
/*
 * statedir.h - the state directory: where it is, that it is private, small
 * files in it (R30).  What the files mean is the business of identity.c,
 * note.c and inbox_open.c.
 */
#ifndef STORE_STATEDIR_H
#define STORE_STATEDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* The real path of a database file that may not exist yet (its directory
 * must: E_NOTFOUND).  Freed by the caller. */
int statedir_real_path(const char *db_file, char **out, struct err *err);

/* Where the state directory is: what was asked for, else .ddcp/<file name>
 * beside the real database.  Freed by the caller. */
int statedir_path(const char *real_db_file, const char *asked, char **out,
    struct err *err);

/* Opens it, *fd = -1 if it is not there.  With create it is made, mode 0700,
 * with a .gitignore.  E_FATAL if it is a link, belongs to somebody else or
 * others may enter it. */
int statedir_open(const char *path, bool create, int *fd, struct err *err);

/* Opens a directory that must be private in the same way, made if missing. */
int statedir_private(const char *path, int *fd, struct err *err);

/* The bytes of a file of at most max; *len = 0 and no error if it is not
 * there.  The file must be a plain one of ours with mode 0600 or less. */
int statedir_read(int dir, const char *name, uint8_t *out, size_t max,
    size_t *len, struct err *err);

/* E_FATAL if a file of that name is there, and is a link, belongs to somebody
 * else, or is open to others.  It is not opened: closing a descriptor drops
 * the locks that SQLite has on the same file. */
int statedir_look(int dir, const char *name, struct err *err);

/* Puts a file there, durably, in place of an older one. */
int statedir_write(int dir, const char *name, const uint8_t *data,
    size_t len, struct err *err);

/* Removes the files that ddcp puts there, the key only if asked, and the
 * directory if it is empty then. */
void statedir_remove(const char *path, int dir, bool key_too);

#endif
