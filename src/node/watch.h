// SPDX-License-Identifier: MPL-2.0
/*
 * watch.h - tells when somebody may have committed to a database, by file
 * events: no polling, and no wake-up while nobody writes.
 *
 * What was committed is the store's to find out.
 */
#ifndef NODE_WATCH_H
#define NODE_WATCH_H

#include "base/err.h"

struct uv_loop_s;
struct watch;

/* Watches the database and its WAL (the same path where there is none), which
 * may come and go.  changed is called from the loop, once for all writes that
 * were noticed in one turn of it, and a dozen times more in the four seconds
 * after them. */
int watch_open(struct uv_loop_s *loop, const char *db_file,
    const char *wal_file, void (*changed)(void *owner), void *owner,
    struct watch **out, struct err *err);

/* Calls changed also when a file in that directory comes or goes, or the
 * directory itself. */
int watch_files_of(struct watch *w, const char *directory, struct err *err);

/* Ends it; no callback from now on.  w may be NULL. */
void watch_close(struct watch *w);

/* Makes changed come after ms, and then ever more rarely. */
void watch_again(struct watch *w, unsigned ms);

#endif
