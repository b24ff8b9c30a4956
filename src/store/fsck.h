// SPDX-License-Identifier: MPL-2.0
/* fsck.h - what the files of ddcp fsck share: fsck.c, fsck_inbox.c. */
#ifndef STORE_FSCK_H
#define STORE_FSCK_H

#include <sqlite3.h>

#include "store/store_private.h"

struct fsck {
	struct store *s;
	int (*each)(void *self, const struct store_fault *f);
	void *self;
	struct store_health *out;
};

/* Tells of a fault; of what is none, but worth knowing. */
int fsck_wrong(struct fsck *f, const char *part, const char *rule,
    const char *text, const char *hint);
int fsck_note(struct fsck *f, const char *part, const char *rule,
    const char *text, const char *hint);

/* What PRAGMA integrity_check says of a file, or of one table of it (NULL: all). */
int fsck_integrity(struct fsck *f, sqlite3 *db, const char *table,
    const char *part, const char *hint, struct err *err);

/* True if rc is of the file's bytes, and not of the reading of them. */
bool fsck_is_damage(sqlite3 *db, int rc);

/* The inbox of a store, by a connection that does not mend it. */
int fsck_inbox(struct fsck *f, struct err *err);

#endif
