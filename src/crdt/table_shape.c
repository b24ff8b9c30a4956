// SPDX-License-Identifier: MPL-2.0
/* table_shape.c - the columns and the key of a table, as SQLite tells them. */
#include "crdt/engine.h"

#include <string.h>

#include "crdt/capture.h"
#include "crdt/lookaside.h"

SQLITE_EXTENSION_INIT3

enum { VIRTUAL = 2 };   /* pragma_table_xinfo: generated when read */

/* SQLite's rules of affinity (datatype3.html, section 3.1). */
static char
affinity_of(const char *type)
{
	static const struct { const char *like; char affinity; } rules[] = {
		{ "%INT%", 'D' }, { "%CHAR%", 'B' }, { "%CLOB%", 'B' },
		{ "%TEXT%", 'B' }, { "", 'A' }, { "%BLOB%", 'A' },
		{ "ANY", 'A' }, { "%REAL%", 'E' }, { "%FLOA%", 'E' },
		{ "%DOUB%", 'E' }, { "%", 'C' },
	};
	size_t i = 0;

	while (sqlite3_strlike(rules[i].like, type, 0) != 0)
		i++;            /* the last is like all */
	return rules[i].affinity;
}

static int
add_column(struct column **list, int *n, int at, int stored, sqlite3_stmt *stmt)
{
	struct column *c = sqlite3_realloc64(*list,
	    sizeof *c * (uint64_t)(*n > at ? *n + 1 : at + 1));
	int rc = SQLITE_OK;

	if (c == NULL)
		return SQLITE_NOMEM;
	*list = c;
	for (; *n <= at; (*n)++)
		memset(&c[*n], 0, sizeof *c);
	c[at].position = sqlite3_column_int(stmt, 0);
	c[at].stored = stored;
	c[at].affinity = affinity_of(engine_column(stmt, 2, &rc));
	c[at].has_default = sqlite3_column_type(stmt, 6) != SQLITE_NULL &&
	    sqlite3_stricmp(engine_column(stmt, 6, &rc), "NULL") != 0;
	c[at].cid = -1;
	return rc == SQLITE_OK ? engine_copy(stmt, 1, &c[at].name) : rc;
}

static void
choose_position(struct column *c, const struct table *t, bool by_stored)
{
	c->updated = by_stored ? c->stored : c->position;
	/* of a WITHOUT ROWID table only these are counted so */
	if (!t->norowid)
		c->position = c->updated;
}

/* What the hook's functions count by differs where a virtual column stands
 * before others. */
static int
choose_positions(struct engine *e, struct table *t)
{
	bool by_stored = false, differ = false;
	int i, rc = SQLITE_OK;

	for (i = 0; i < t->npk; i++)
		differ |= t->pk[i].position != t->pk[i].stored;
	for (i = 0; i < t->ncol; i++)
		differ |= t->col[i].position != t->col[i].stored;
	if (differ)
		rc = capture_counts_stored(e, &by_stored);
	/* who counts so looks for the type at that number among all columns, and
	 * has an integer there as a REAL, or a REAL as an integer */
	t->mistyped = t->norowid || (differ && by_stored);
	for (i = 0; i < t->npk; i++)
		choose_position(&t->pk[i], t, by_stored);
	for (i = 0; i < t->ncol; i++)
		choose_position(&t->col[i], t, by_stored);
	return rc;
}

/* INTEGER PRIMARY KEY DESC alone has an index: it is no other name of the rowid
 * (lang_createtable.html, section 5). */
static int
is_rowid(struct engine *e, const struct table *t, bool *rowid)
{
	sqlite3_stmt *stmt;
	int rc = engine_cached(e, SLOT_KEY_INDEX, "SELECT 1 FROM "
	    "pragma_index_list(?1, 'main') WHERE origin = 'pk'", &stmt);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, 1, t->name, -1, SQLITE_TRANSIENT);
	if (rc != SQLITE_OK)
		return rc;
	*rowid = sqlite3_step(stmt) != SQLITE_ROW;
	return engine_reset(stmt, rc);
}

int
table_read_shape(struct engine *e, struct table *t)
{
	bool shadowed[3] = { false, false, false };
	const char *name, *type = "";
	bool integer = false;
	sqlite3_stmt *stmt;
	int i, pk, hidden, stored = 0;
	int rc = engine_cached(e, SLOT_SHAPE, "SELECT cid, name, type, pk, hidden, "
	    "\"notnull\", dflt_value FROM pragma_table_xinfo(?1, 'main') WHERE "
	    "hidden <> 1 ORDER BY cid", &stmt);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, 1, t->name, -1, SQLITE_TRANSIENT);
	if (rc != SQLITE_OK)
		return rc;
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		name = engine_column(stmt, 1, &rc);
		for (i = 0; i < 3; i++)
			shadowed[i] |= sqlite3_stricmp(name,
			    lookaside_rowids[i]) == 0;
		hidden = sqlite3_column_int(stmt, 4);
		if (hidden != VIRTUAL)
			stored++;
		if (hidden != 0)
			continue;       /* generated */
		pk = sqlite3_column_int(stmt, 3);
		type = engine_column(stmt, 2, &rc);
		if (pk > 0 && sqlite3_stricmp(type, "INTEGER") == 0)
			integer = true;
		if (pk > 0 && sqlite3_column_int(stmt, 5) == 0)
			t->nullable_key = true;
		if (rc == SQLITE_OK)
			rc = pk > 0 ? add_column(&t->pk, &t->npk, pk - 1,
			    stored - 1, stmt) : add_column(&t->col, &t->ncol,
			    t->ncol, stored - 1, stmt);
	}
	rc = engine_reset(stmt, rc);
	if (rc == SQLITE_OK && t->npk == 1 && integer)
		rc = is_rowid(e, t, &t->integer_key);
	if (t->integer_key)
		t->nullable_key = false;
	if (rc == SQLITE_OK)
		rc = lookaside_shape(e, t, shadowed);
	return rc == SQLITE_OK ? choose_positions(e, t) : rc;
}
