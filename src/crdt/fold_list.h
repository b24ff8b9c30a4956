// SPDX-License-Identifier: MPL-2.0
/*
 * fold_list.h - the list that a fold works through: the journal's records, its
 * hints resolved, then the captured ones; and where rows leave their keys.
 */
#ifndef CRDT_FOLD_LIST_H
#define CRDT_FOLD_LIST_H

#include "crdt/capture.h"

struct fold_list {
	struct record_list own;         /* journal and captured, if journal */
	const struct record_list *list; /* what to work through ... */
	int from, to;                   /* ... from where to where */
	int *leave;                     /* by record: the next one in which the
	                                   row that it puts at its key leaves it;
	                                   -1: none.  NULL: not needed */
};

int fold_list_make(struct engine *e, bool with_journal,
    struct fold_list *out);
void fold_list_clear(struct fold_list *l);

/* The pk of the row that record i, an INSERT or a RUN of one row, put at its key;
 * in b, which is emptied first.  *found false: the row is gone without a record. */
int fold_list_pk(struct engine *e, const struct fold_list *l, int i,
    struct buf *b, bool *found);

#endif
