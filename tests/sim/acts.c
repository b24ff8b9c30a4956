// SPDX-License-Identifier: MPL-2.0
#include "acts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "model.h"
#include "cells.h"
#include "store/past.h"

static const struct act {
	const char *name;
	uint32_t permille;      /* of the actions of a history */
	bool (*act)(struct acts *a, struct site *s);    /* NULL: part of another */
} acts[] = {
	[ACT_LOOK] = { "merges predicted", 30, look_act },
	[ACT_UNDO] = { "taken back", 0, NULL },
	[ACT_UNDO_LATER] = { "taken back later", 0, NULL },
	[ACT_RESOLVE] = { "resolved", 15, resolve_act },
	[ACT_REPAIR] = { "repairs", 5, repair_act },
	[ACT_GC] = { "forgotten", 60, gc_act },
	[ACT_EQUAL] = { "verified equal", 0, NULL },
	[ACT_AWAY] = { "away meanwhile", 0, NULL },
};
enum { NACTS = sizeof acts / sizeof *acts };

const char *
acts_name(int number)
{
	return number < NACTS ? acts[number].name : NULL;
}

static const char schema[] =
    "CREATE TABLE before(tbl, pk, cid, val, PRIMARY KEY(tbl, pk, cid));"
    "CREATE TABLE still(tbl, pk, cid, val, PRIMARY KEY(tbl, pk, cid));"
    "CREATE TABLE after(tbl, pk, cid, val, PRIMARY KEY(tbl, pk, cid));"
    "CREATE TABLE later(tbl, pk, cid, val, PRIMARY KEY(tbl, pk, cid));"
    "CREATE TABLE now(tbl, pk, cid, val, PRIMARY KEY(tbl, pk, cid));"
    "CREATE TABLE came(tbl, pk, site, version, dbv, seq);"
    "CREATE TABLE touched(tbl, pk);"
    "CREATE TABLE stood(tbl, pk);"
    "CREATE TABLE told(tbl, pk, kind, site, version, nleft, why);"
    "CREATE TABLE toldcell(tbl, pk, cid, known, old, new);"
    "CREATE TABLE tried(tbl, pk, kind, site, version, nleft, why);"
    "CREATE TABLE vector(site, version);";

void
acts_begin(struct acts *a, struct world *w, struct model *m, uint64_t seed)
{
	a->w = w;
	a->m = m;
	a->rng.state = seed ^ 0xAC75;
	a->forgets = a->exact && rng_chance(&a->rng, 20);
	cells_must(NULL, sqlite3_open(":memory:", &a->db));
	cells_exec(a->db, "%s", schema);
	if (a->exact && !a->forgets)
		a->conflicts = conflicts_new(w);
}

void
acts_end(struct acts *a)
{
	conflicts_free(a->conflicts);
	sqlite3_close(a->db);
}

void
acts_happen(struct acts *a)
{
	int i = (int)rng_below(&a->rng, NACTS);
	uint32_t site = rng_below(&a->rng, (uint32_t)a->w->nsites);
	uint32_t dice = rng_below(&a->rng, 1000);

	if (dice < NACTS * acts[i].permille &&
	    acts[i].act(a, &a->w->site[site]))
		a->count[i]++;
}

void
acts_wrote(struct acts *a, struct site *s)
{
	if (a->conflicts != NULL)
		conflicts_wrote(a->conflicts, s);
	world_take(s, a->m);
	if (s->hub != NULL)
		world_wrote(s);
}

void
acts_wrong(struct acts *a, const struct site *s, const char *fmt, ...)
{
	va_list ap;

	a->wrong++;
	printf("# %s: ", s->name);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

char *
acts_quote(const struct store_value *v)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	size_t i;

	switch (v->type) {
	case STORE_INTEGER:
		sqlite3_str_appendf(s, "%lld", (long long)v->integer);
		break;
	case STORE_REAL:
		sqlite3_str_appendf(s, "%!.15g", v->real);
		break;
	case STORE_TEXT:
		sqlite3_str_appendf(s, "'%.*q'", (int)v->size,
		    (const char *)v->data);
		break;
	case STORE_BLOB:
		sqlite3_str_appendall(s, "x'");
		for (i = 0; i < v->size; i++)
			sqlite3_str_appendf(s, "%02X",
			    ((const uint8_t *)v->data)[i]);
		sqlite3_str_appendall(s, "'");
		break;
	default:
		sqlite3_str_appendall(s, "NULL");
		break;
	}
	return sqlite3_str_finish(s);
}

char *
acts_key(struct site *s, const struct store_cell *key, size_t n)
{
	sqlite3_str *sql = sqlite3_str_new(NULL);
	sqlite3_stmt *stmt;
	char *text, *quoted;
	size_t i;

	sqlite3_str_appendall(sql, "SELECT quote(crsql_pack_columns(");
	for (i = 0; i < n; i++) {
		quoted = acts_quote(&key[i].value);
		sqlite3_str_appendf(sql, i > 0 ? ", %s" : "%s", quoted);
		sqlite3_free(quoted);
	}
	sqlite3_str_appendall(sql, "))");
	text = sqlite3_str_finish(sql);
	cells_must(s->app, sqlite3_prepare_v2(s->app, text, -1, &stmt, NULL));
	cells_must(s->app, sqlite3_step(stmt));
	quoted = sqlite3_mprintf("%s", sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	sqlite3_free(text);
	return quoted;
}
