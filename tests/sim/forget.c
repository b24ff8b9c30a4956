// SPDX-License-Identifier: MPL-2.0
/*
 * forget.c - crsql_gc with what all databases have by then, as somebody calls it who
 * has asked all of them, and crsql_repair, which has nothing to do in a database that
 * is well.
 */
#include "acts.h"

#include <stdio.h>
#include <stdlib.h>

#include "model.h"
#include "pages.h"
#include "cells.h"

bool
repair_act(struct acts *a, struct site *s)
{
	cells_read(a->db, "before", s->app, s->schema.shape);
	world_sql(s, s->app, "SELECT crsql_repair()");
	cells_read(a->db, "now", s->app, s->schema.shape);
	if (cells_differ(a->db, s->name, "SELECT tbl, pk, cid, quote(val) FROM before",
	    "SELECT tbl, pk, cid, quote(val) FROM now") > 0)
		acts_wrong(a, s, "crsql_repair changed rows");
	acts_wrote(a, s);
	return true;
}

/* What each site holds of each other in each table, and of itself. */
static void
read_vectors(struct acts *a)
{
	static const char held[] = "SELECT v.site, min(v.version), count(*) = (SELECT "
	    "count(*) FROM ddcp_table), ?1 FROM ddcp_table t JOIN ddcp_vector v ON "
	    "v.id = t.vector WHERE v.site <> crsql_site_id() GROUP BY v.site UNION ALL "
	    "SELECT crsql_site_id(), crsql_db_version(), 1, ?1";
	int i;

	cells_exec(a->db, "DELETE FROM vector");
	for (i = 0; i < a->w->nsites; i++)
		if (cells_copy(a->db, a->w->site[i].app, held, i, "INSERT INTO vector "
		    "SELECT ?1, ?2 * ?3 + 0 * ?4") != SQLITE_OK)
			abort();
}

static void
put_varint(sqlite3_str *s, uint64_t n)
{
	for (; n > 127; n >>= 7)
		sqlite3_str_appendf(s, "%02x", (int)(n & 127) | 128);
	sqlite3_str_appendf(s, "%02x", (int)n);
}

/* A vector as SQL; query gives its sites and versions. */
static char *
vector_text(struct acts *a, const char *query)
{
	sqlite3_str *entries = sqlite3_str_new(NULL), *s = sqlite3_str_new(NULL);
	sqlite3_stmt *stmt;
	uint64_t n = 0;
	char *text;

	cells_must(a->db, sqlite3_prepare_v2(a->db, query, -1, &stmt, NULL));
	for (; sqlite3_step(stmt) == SQLITE_ROW; n++) {
		sqlite3_str_appendf(entries, "%s", sqlite3_column_text(stmt, 0));
		put_varint(entries, (uint64_t)sqlite3_column_int64(stmt, 1));
	}
	sqlite3_finalize(stmt);
	text = sqlite3_str_finish(entries);
	sqlite3_str_appendall(s, "x'");
	put_varint(s, n);
	sqlite3_str_appendf(s, "%s'", text != NULL ? text : "");
	sqlite3_free(text);
	return sqlite3_str_finish(s);
}

/* Some of the sites forget, with one pair. */
bool
gc_act(struct acts *a, struct site *s)
{
	char *least, *most;
	int i;

	if (!a->forgets)
		return false;
	read_vectors(a);
	cells_exec(a->db, "CREATE TEMP VIEW IF NOT EXISTS least AS SELECT hex(site) AS "
	    "site, min(version) AS version FROM vector GROUP BY site HAVING count(*) "
	    "= %d AND min(version) > 0", a->w->nsites);
	least = vector_text(a, "SELECT site, version FROM least");
	most = vector_text(a, "SELECT hex(site), max(version) FROM vector GROUP BY "
	    "site HAVING max(version) > 0");
	if (model_forget(a->m, a->db, "SELECT site, version FROM least") !=
	    SQLITE_OK)
		abort();
	for (i = 0; i < a->w->nsites; i++)
		if (i == s->number || rng_chance(&a->rng, 50))
			world_sql(&a->w->site[i], a->w->site[i].app,
			    "SELECT crsql_gc(%s, %s)", least, most);
	for (i = 0; i < a->w->nsites; i++)
		acts_wrote(a, &a->w->site[i]);
	sqlite3_free(least);
	sqlite3_free(most);
	return true;
}
