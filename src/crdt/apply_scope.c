// SPDX-License-Identifier: MPL-2.0
/*
 * apply_scope.c - the savepoint around what merges many rows; see apply.h.
 */
#include "crdt/ledger.h"

#include <string.h>

/* Without a transaction of the caller's the outer savepoint is one.  Pending
 * local writes are folded before the inner one, so that taking the merge back
 * leaves them folded. */
int
apply_begin(struct engine *e, bool batch, struct apply_scope *s)
{
	int rc;

	memset(s, 0, sizeof *s);
	if (!batch)
		ledger_rest(e);
	if (sqlite3_get_autocommit(e->db)) {
		rc = engine_savepoint(e, "crsql_merge_all", &s->undo);
		if (rc != SQLITE_OK)
			return rc;
		s->outer = true;
	}
	rc = tx_begin_merge(e);
	if (rc == SQLITE_OK)
		rc = incoming_flush(e);
	if (e->incoming != NULL)        /* another hook may have come since */
		e->incoming->watch.proven = false;
	s->batch = rc == SQLITE_OK && batch;
	if (rc == SQLITE_OK && !s->outer && !batch) {
		rc = engine_savepoint(e, "crsql_merge", &s->undo);
		s->inner = rc == SQLITE_OK;
	}
	s->tx = e->tx;
	return rc;
}

static void
take_back(struct engine *e, struct apply_scope *s)
{
	int rc;

	incoming_drop(e);
	ledger_forget(e);
	rc = engine_undo(e, &s->undo);
	if (rc == SQLITE_OK) {
		e->tx.current = s->tx.current;
		e->tx.current_own = s->tx.current_own;
		e->tx.next_pos = s->tx.next_pos;
		e->tx.seq = s->tx.seq;
	}
	e->tx.rows_impacted = s->tx.rows_impacted;
}

int
apply_end(struct engine *e, struct apply_scope *s, int rc)
{
	if (rc == SQLITE_OK)
		rc = incoming_flush(e);
	if (rc == SQLITE_OK && (s->inner || s->outer))
		rc = engine_release(e, &s->undo);
	if (rc == SQLITE_OK)
		return rc;
	/* The sentence of the first failure stays. */
	if (sqlite3_get_autocommit(e->db)) {
		incoming_drop(e);
		if (s->outer || s->inner)
			engine_end_undo(e, &s->undo);
	} else if (s->outer)
		engine_undo(e, &s->undo);
	else if (s->inner)
		take_back(e, s);
	else if (s->batch && e->incoming != NULL)
		e->incoming->broken = true;
	return rc;
}
