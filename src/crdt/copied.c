// SPDX-License-Identifier: MPL-2.0
/* copied.c - see copied.h. */
#include "crdt/copied.h"

#include "crdt/lookaside.h"
#include "crdt/sample.h"
#include "crdt/storage.h"

SQLITE_EXTENSION_INIT3

int
copied_look(struct engine *e, bool *copied)
{
	int64_t moved = 0;
	int rc = engine_int(e, &moved, "SELECT rowid IS NOT value FROM crsql_master "
	    "WHERE key = 'rowid'");

	*copied = moved != 0;
	return rc;
}

/* True if nothing is to be found: the schema was looked at as it is. */
static int
was_looked_at(struct engine *e, bool *was)
{
	int64_t version = -1;
	int rc = engine_int(e, &version, "SELECT value FROM crsql_master WHERE "
	    "key = 'looked'");

	*was = version == e->tables.schema_version;
	return rc;
}

int
copied_note(struct engine *e)
{
	bool was;
	int rc = was_looked_at(e, &was);

	return rc != SQLITE_OK || was ? rc : engine_exec(e, COPIED_MARK
	    "; INSERT OR REPLACE INTO crsql_master VALUES('looked', %lld)",
	    e->tables.schema_version);
}

/* A row that is elsewhere may be journalled, which is looked at only then. */
static int
has_moved(struct engine *e, struct table *t, bool *moved)
{
	struct compare *pending = NULL;
	struct samples s;
	int rc = sample_look(e, t, NULL, &s);

	if (rc == SQLITE_OK && s.moved > 0) {
		sample_free(&s);
		rc = compare_new(e, true, &pending);
		if (rc == SQLITE_OK)
			rc = sample_look(e, t, pending, &s);
	}
	*moved = rc == SQLITE_OK && s.moved > 0;
	if (rc == SQLITE_OK)
		sample_free(&s);
	compare_free(pending);
	return rc;
}

static int
find_moved(struct engine *e, bool with_lost, bool with_mended,
    struct table **out)
{
	struct table *t;
	bool was, moved = false;
	int i, rc = was_looked_at(e, &was);

	*out = NULL;
	for (i = 0; rc == SQLITE_OK && !was && !moved && i < e->tables.n; i++) {
		t = &e->tables.table[i];
		/* a mended one was looked at, and is as it was */
		if (lookaside_names_pk(t) || (t->mended && !with_mended) ||
		    (t->bare && !with_lost))
			continue;
		rc = has_moved(e, t, &moved);
		if (rc == SQLITE_OK && moved)
			*out = t;
	}
	return rc;
}

int
copied_find_moved(struct engine *e, struct table **out)
{
	return find_moved(e, false, true, out);
}

/* moved is NULL for a copy. */
static int
refuse(struct engine *e, const struct table *moved)
{
	if (moved == NULL)
		return engine_fail(e, SQLITE_ERROR, "this database is a copy made as "
		    "text (.dump), in which rows have other rowids than in the log: "
		    "copy the file, or with VACUUM INTO or .backup, or say SELECT "
		    "crsql_repair() to go on with this one");
	return engine_fail(e, SQLITE_ERROR, "the rows of table %s have other rowids "
	    "than in the log, as if it had been made anew: say SELECT "
	    "crsql_repair() to find again what is known of them", moved->name);
}

static int
check(struct engine *e, bool with_lost)
{
	struct table *moved = NULL;
	bool copied;
	int rc = copied_look(e, &copied);

	if (rc == SQLITE_OK && copied)
		return refuse(e, NULL);
	if (rc == SQLITE_OK)
		rc = find_moved(e, with_lost, false, &moved);
	return rc == SQLITE_OK && moved != NULL ? refuse(e, moved) : rc;
}

int
copied_check(struct engine *e)
{
	return e->repairing ? SQLITE_OK : check(e, false);
}

int
copied_check_reader(struct engine *e)
{
	int rc = SQLITE_OK;

	if (!e->has_storage || e->tables.rows_looked == e->tables.schema_version)
		return rc;
	rc = check(e, true);
	if (rc == SQLITE_OK)
		e->tables.rows_looked = e->tables.schema_version;
	return rc;
}

int
copied_begin_life(struct engine *e)
{
	int64_t head, has_key = 0;
	int rc = tx_head(e, &head);

	if (rc == SQLITE_OK)
		rc = engine_exec(e, "DELETE FROM crsql_master WHERE key = 'rowid'; "
		    COPIED_MARK);
	if (rc == SQLITE_OK)
		rc = engine_int(e, &has_key, "SELECT public_key IS NOT NULL FROM "
		    "crsql_site_id WHERE ordinal = %lld", e->me);
	if (rc != SQLITE_OK)
		return rc;
	return has_key ? engine_exec(e, "INSERT OR REPLACE INTO crsql_master "
	    "VALUES('again.0', %lld)", head) : storage_begin_site(e, head + 1);
}
