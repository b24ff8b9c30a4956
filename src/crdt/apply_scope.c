// SPDX-License-Identifier: MPL-2.0
/*
 * apply_scope.c - the savepoint around what merges many rows; see apply.h.
 */
#include "crdt/apply.h"

#include <string.h>

static int
savepoint(struct engine *e, const char *sql)
{
	int rc = sqlite3_exec(e->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? rc : engine_fail(e, rc, "%s",
	    sqlite3_errmsg(e->db));
}

/* Without a transaction of the caller's the outer savepoint is one.  Pending
 * local writes are folded before the inner one, so that taking the merge back
 * leaves them folded. */
int
apply_begin(struct engine *e, bool batch, struct apply_scope *s)
{
	int rc;

	memset(s, 0, sizeof *s);
	if (sqlite3_get_autocommit(e->db)) {
		rc = savepoint(e, "SAVEPOINT crsql_merge_all");
		if (rc != SQLITE_OK)
			return rc;
		s->outer = true;
	}
	rc = tx_begin_merge(e);
	if (rc == SQLITE_OK)
		rc = incoming_flush(e);
	s->batch = rc == SQLITE_OK && batch;
	if (rc == SQLITE_OK && !s->outer && !batch) {
		rc = savepoint(e, "SAVEPOINT crsql_merge");
		s->inner = rc == SQLITE_OK;
	}
	s->tx = e->tx;
	s->rows_impacted = e->rows_impacted;
	return rc;
}

static void
take_back(struct engine *e, struct apply_scope *s)
{
	int rc;

	incoming_drop(e);
	rc = engine_undo(e, "ROLLBACK TO crsql_merge; RELEASE crsql_merge");
	if (rc == SQLITE_OK) {
		e->tx.current = s->tx.current;
		e->tx.current_own = s->tx.current_own;
		e->tx.next_pos = s->tx.next_pos;
		e->tx.seq = s->tx.seq;
	}
	e->rows_impacted = s->rows_impacted;
}

int
apply_end(struct engine *e, struct apply_scope *s, int rc)
{
	if (rc == SQLITE_OK)
		rc = incoming_flush(e);
	if (rc == SQLITE_OK && s->inner)
		rc = savepoint(e, "RELEASE crsql_merge");
	if (rc == SQLITE_OK && s->outer)
		rc = savepoint(e, "RELEASE crsql_merge_all");
	if (rc == SQLITE_OK)
		return rc;
	/* The sentence of the first failure stays. */
	if (sqlite3_get_autocommit(e->db))
		incoming_drop(e);
	else if (s->outer)
		engine_undo(e, "ROLLBACK");
	else if (s->inner)
		take_back(e, s);
	else if (s->batch && e->incoming != NULL)
		e->incoming->broken = true;
	return rc;
}
