// SPDX-License-Identifier: MPL-2.0
/* engine_undo.c - steps that are done wholly or not at all, whatever fails, memory
 * first of all. */
#include "crdt/engine.h"

#include <string.h>

#include "crdt/capture.h"

SQLITE_EXTENSION_INIT3

/* Where memory is missing nothing can be parsed.  While any statement runs none can
 * begin either, or after an interrupt; but VACUUM counts as one that writes, so that
 * SQLite rolls all back as it fails to.  (Else it does nothing in a transaction.) */
static int
prepare_undo(struct engine *e, struct undo *u)
{
	sqlite3_stmt *all[2];
	int rc = engine_prepare_text(e, &all[0], "ROLLBACK");

	if (rc != SQLITE_OK)
		return rc;
	rc = engine_prepare_text(e, &all[1], "VACUUM");
	if (rc != SQLITE_OK) {
		sqlite3_finalize(all[0]);
		return rc;
	}
	sqlite3_finalize(u->all[0]);
	sqlite3_finalize(u->all[1]);
	memcpy(u->all, all, sizeof all);
	return rc;
}

/* The caller must not go on as if its transaction were there. */
static int
finish_undo(struct engine *e)
{
	sqlite3_exec(e->db, "ROLLBACK", NULL, NULL, NULL);
	return e->half_of_more ? engine_fail(e, SQLITE_ABORT, "what failed before could "
	    "not be undone alone: the transaction is rolled back") : SQLITE_OK;
}

int
engine_savepoint(struct engine *e, const char *name, struct undo *u)
{
	int rc = e->half_done && e->undo == NULL ? finish_undo(e) : SQLITE_OK;

	if (rc != SQLITE_OK)
		return rc;
	*u = (struct undo){ .name = name, .outer = e->undo,
		.alone = sqlite3_get_autocommit(e->db) != 0 };
	e->undo = u;
	rc = prepare_undo(e, u);
	if (rc == SQLITE_OK)
		rc = engine_exec(e, "SAVEPOINT %s", name);
	if (rc != SQLITE_OK)
		engine_end_undo(e, u);
	return rc;
}

void
engine_end_undo(struct engine *e, struct undo *u)
{
	e->undo = u->outer;
	sqlite3_finalize(u->all[0]);
	sqlite3_finalize(u->all[1]);
}

/* A RELEASE that fails to commit rolls back, but leaves a transaction open. */
int
engine_release(struct engine *e, struct undo *u)
{
	int rc = u->alone ? engine_exec(e, "COMMIT") :
	    engine_exec(e, "RELEASE %s", u->name);

	if (rc == SQLITE_OK)
		engine_end_undo(e, u);
	return rc;
}

int
engine_renew_undo(struct engine *e)
{
	struct undo *u;
	int rc = SQLITE_OK;

	for (u = e->undo; u != NULL && rc == SQLITE_OK; u = u->outer)
		rc = prepare_undo(e, u);
	return rc;
}

/* Whether all that was begun is the engine's own. */
static bool
is_alone(const struct undo *u)
{
	while (u->outer != NULL)
		u = u->outer;
	return u->alone;
}

static int
undo_part(struct engine *e, const struct undo *u)
{
	char *sql = sqlite3_mprintf("ROLLBACK TO %s; RELEASE %s", u->name, u->name);
	int rc = sql ? sqlite3_exec(e->db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;

	sqlite3_free(sql);
	return rc;
}

int
engine_undo(struct engine *e, struct undo *u)
{
	int i, rc = u->alone ? SQLITE_ABORT : undo_part(e, u);

	for (i = 0; i < 2 && rc != SQLITE_OK; i++)
		if (!sqlite3_get_autocommit(e->db))
			sqlite3_step(u->all[i]);
	/* a change of the schema ended them; after an interrupt so much is parsed */
	if (rc != SQLITE_OK && !sqlite3_get_autocommit(e->db))
		sqlite3_exec(e->db, "VACUUM;", NULL, NULL, NULL);
	e->half_of_more = !is_alone(u);
	engine_end_undo(e, u);
	if (rc != SQLITE_OK && !sqlite3_get_autocommit(e->db) && e->capture != NULL)
		capture_refuse_commit(e);
	/* a schema that is rolled back ends what is prepared */
	engine_renew_undo(e);
	return rc;
}

/* By these SQLite itself rolls whole transactions back: who gets one looks. */
static bool
may_have_ended_all(int rc)
{
	switch (rc & 0xFF) {
	case SQLITE_NOMEM:
	case SQLITE_IOERR:
	case SQLITE_FULL:
	case SQLITE_INTERRUPT:
	case SQLITE_ABORT:
		return true;
	default:
		return false;
	}
}

int
engine_atomically(struct engine *e, int (*f)(struct engine *, const void *),
    const void *arg)
{
	struct undo u;
	char *why;
	int undone, rc = engine_savepoint(e, "crsql_step", &u);

	if (rc != SQLITE_OK)
		return rc;
	rc = f(e, arg);
	if (rc == SQLITE_OK)
		rc = engine_release(e, &u);
	if (rc == SQLITE_OK)
		return rc;
	why = sqlite3_mprintf("%s", engine_error(e));
	undone = engine_undo(e, &u);
	if (undone != SQLITE_OK && e->half_of_more && !may_have_ended_all(rc))
		rc = engine_fail(e, SQLITE_ABORT, "%s; that could not be undone alone: the "
		    "transaction is rolled back", why ? why : "");
	else
		engine_fail(e, rc, "%s", why ? why : "");
	sqlite3_free(why);
	return rc;
}
