// SPDX-License-Identifier: MPL-2.0
/*
 * table_mend.c - what follows from changes of the schema, written down at the
 * beginning and the end of a fold.  table_list.c finds out which there are.
 */
#include "crdt/engine.h"

#include <string.h>

#include "crdt/alter.h"
#include "crdt/columns.h"
#include "crdt/copied.h"
#include "crdt/fract.h"
#include "crdt/lost.h"
#include "crdt/resync.h"
#include "crdt/schema.h"
#include "crdt/triggers.h"
#include "crdt/unique.h"

SQLITE_EXTENSION_INIT3

void
table_unmend(struct engine *e)
{
	int i;

	for (i = 0; i < e->tables.n; i++)
		e->tables.table[i].mended = false;
	e->tables.mended = e->tables.looked = e->tables.rows_looked = -1;
	e->tables.half = false;
}

/* True if each table is there, under the name that is noted of it. */
static bool
names_agree(const struct table_list *l)
{
	int i;

	for (i = 0; i < l->n; i++)
		if (strcmp(l->table[i].name, l->table[i].noted) != 0)
			return false;
	return l->n == l->noted;
}

static bool
is_mended(const struct engine *e)
{
	return !e->has_storage || e->tables.mended == e->tables.schema_version;
}

static bool
any_to_mend(const struct table_list *l)
{
	int i;

	for (i = 0; i < l->n && l->table[i].mended; i++)
		;
	return i < l->n;
}

bool
table_any_overtaken(const struct table_list *l)
{
	int i;

	for (i = 0; i < l->n && !l->table[i].overtaken; i++)
		;
	return i < l->n;
}

int
table_follow(struct engine *e)
{
	int rc;

	if (names_agree(&e->tables))
		return SQLITE_OK;
	rc = lost_follow(e);
	e->tables.schema_version = -1;
	return rc == SQLITE_OK ? table_refresh(e) : rc;
}

int
table_save_columns(struct engine *e)
{
	struct table *t;
	int i, rc = SQLITE_OK;

	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++) {
		t = &e->tables.table[i];
		if (!t->mended)
			rc = columns_save(e, t);
	}
	return rc;
}

int
table_mend(struct engine *e)
{
	int rc = table_refresh(e);

	if (rc != SQLITE_OK || is_mended(e))
		return rc;
	rc = copied_check(e);
	if (rc == SQLITE_OK)
		rc = table_follow(e);
	if (rc == SQLITE_OK)
		rc = table_save_columns(e);
	if (rc == SQLITE_OK && any_to_mend(&e->tables))
		rc = resync_tables(e);
	/* those of tables that were dropped and did not come again */
	return rc == SQLITE_OK ? alter_forget_lists(e) : rc;
}

/* Makes the triggers of those that changed. */
static int
make_triggers(struct engine *e)
{
	struct table *t, *one = NULL;
	struct schema s;
	int i, n = 0, rc;

	for (i = 0; i < e->tables.n; i++) {
		t = &e->tables.table[i];
		n += !t->mended;
		if (!t->mended)
			one = t;
	}
	rc = schema_read(e, n == 1 ? one->name : NULL, SCHEMA_TEXTS, &s);
	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++) {
		t = &e->tables.table[i];
		if (!t->mended)
			rc = triggers_make(e, t, &s);
	}
	schema_clear(&s);
	return rc == SQLITE_OK ? unique_note(e) : rc;
}

int
table_mend_triggers(struct engine *e)
{
	struct table *t;
	int i, rc = SQLITE_OK;

	if (is_mended(e)) {
		e->tables.others = false;
		return SQLITE_OK;
	}
	if (any_to_mend(&e->tables))
		rc = make_triggers(e);
	if (rc == SQLITE_OK && e->tables.ordered)
		rc = fract_follow(e);
	if (rc == SQLITE_OK)
		rc = table_refresh(e);
	for (i = 0; i < e->tables.n && rc == SQLITE_OK; i++) {
		t = &e->tables.table[i];
		if (t->mended)
			continue;
		t->mended = true;
		t->epoch = e->tables.epoch;
	}
	if (rc == SQLITE_OK && !e->repairing)
		rc = copied_note(e);
	e->tables.mended = rc == SQLITE_OK ? e->tables.schema_version : -1;
	e->tables.others = e->tables.others && rc != SQLITE_OK;
	return rc;
}
