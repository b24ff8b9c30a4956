// SPDX-License-Identifier: MPL-2.0
/*
 * move.h - a row gets another rowid and stays what it is: nothing to tell
 * others, but log and clocks name rows by key.
 */
#ifndef CRDT_MOVE_H
#define CRDT_MOVE_H

#include "crdt/meta.h"

/* m, the clocks of the row at from, stands for the row at to afterwards, and
 * so does the log.  Writes the clock row of to, removes that of from. */
int move_row(struct engine *e, struct table *t, struct meta *m, int64_t from,
    int64_t to);

#endif
