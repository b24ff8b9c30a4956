// SPDX-License-Identifier: MPL-2.0
/*
 * compare.h - the rows of a table against those that its log knows: which are
 * gone, and which came, with no record of it.  Records that wait for a fold
 * count as known.
 */
#ifndef CRDT_COMPARE_H
#define CRDT_COMPARE_H

#include "crdt/engine.h"

struct compare;

/* Reads what waits for a fold, the journal too if it is wanted. */
int compare_new(struct engine *e, bool journal, struct compare **out);
void compare_free(struct compare *c);

/* True if one of them puts a row to that key or takes it away. */
bool compare_touched(const struct compare *c, const struct table *t,
    int64_t key);

/* True if what is noted updates the row at key. */
bool compare_wrote(const struct compare *c, const struct table *t, int64_t key);

/* *gone if a row of t is gone, or is another one, and no deletion of it is
 * known.  Where the rowid is not the key, the rowid of a row that was deleted
 * looks like one that is gone. */
int compare_gone(struct compare *c, struct table *t, bool *gone);

/* Journals the deletion of each; t has an integer key.  Or with `late` notes it
 * behind what waits for the fold, if no other row came to its key since. */
int compare_tell_gone(struct compare *c, struct table *t, bool late);

/* Notes as new what is not known, and what was deleted and is there again. */
int compare_add_new(struct compare *c, struct table *t);

/* The same where rows are at the rowids they had: then what the log knows is told by
 * these (temp.crsql_old of remap.h, which it makes), also where they are not the key. */
int compare_add_stayed(struct compare *c, struct table *t);

/* *gone by these, of a table whose rowids are not its keys. */
int compare_gone_by_rowid(struct compare *c, struct table *t, bool *gone);

#endif
