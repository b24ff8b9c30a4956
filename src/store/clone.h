// SPDX-License-Identifier: MPL-2.0
/* clone.h - the mark of a database that is being cloned; see clone.c. */
#ifndef STORE_CLONE_H
#define STORE_CLONE_H

#include <sqlite3.h>

#include "store/store.h"

/* It is one, of that origin, until store_clone_finish. */
int clone_mark(sqlite3 *db, const uint8_t origin[static KEY_LEN],
    struct err *err);
int clone_origin(sqlite3 *db, uint8_t origin[static KEY_LEN], bool *half,
    struct err *err);

/* E_FATAL if it is one. */
int clone_refuse_half(sqlite3 *db, const char *db_file, struct err *err);

/* E_EXISTS if db is something else than empty, or a half-made clone of that
 * origin. */
int clone_may_begin(sqlite3 *db, const char *db_file, bool initialised,
    const uint8_t wanted[static KEY_LEN], struct err *err);

#endif
