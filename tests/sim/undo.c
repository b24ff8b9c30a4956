// SPDX-License-Identifier: MPL-2.0
/*
 * undo.c - a merge that is taken back leaves the rows as they were before it, but
 * for what was written since, and says which.
 */
#include "acts.h"

#include <stdio.h>
#include <stdlib.h>

#include "history.h"
#include "model.h"
#include "cells.h"
#include "store/past.h"

struct telling {
	struct acts *a;
	struct site *s;
	const char *into;
};

static int
on_undone(void *self, const struct store_undone *is)
{
	struct telling *t = self;
	char *pk = acts_key(t->s, is->row.key, is->row.nkey);

	cells_exec(t->a->db, "INSERT INTO %s VALUES(%Q, %s, %d, NULL, 0, %d, %Q)",
	    t->into, is->row.table, pk, (int)is->row.kind, (int)is->nleft,
	    is->why);
	sqlite3_free(pk);
	return 0;
}

static bool
undo(struct acts *a, struct site *s, const char *name, bool try)
{
	struct telling telling = { a, s, try ? "tried" : "told" };
	struct store_undo what = { .name = name, .dry_run = try };
	struct store_undo_sum sum;
	struct err err = { .code = 0 };
	int rc;

	cells_exec(a->db, "DELETE FROM %s", telling.into);
	rc = store_undo(s->store, &what, on_undone, &telling, &sum, &err);
	if (rc != 0)
		acts_wrong(a, s, "can't take back %s: %d %s", name != NULL ? name :
		    "the last merge", rc, err.text);
	return rc == 0;
}

/* Somebody writes after the merge. */
static void
write_since(struct acts *a, struct site *s)
{
	int64_t head = world_int(s, "SELECT crsql_db_version()");
	bool committed;

	if (history_transaction(rng_chance(&a->rng, 30) ? s->plain : s->app,
	    s->schema.shape, &a->rng, &committed) != SQLITE_OK)
		abort();
	acts_wrote(a, s);
	if (cells_copy(a->db, s->app, "SELECT \"table\", pk FROM crsql_changes WHERE "
	    "db_version > ?1", head, "INSERT INTO touched VALUES(?1, ?2)") !=
	    SQLITE_OK)
		abort();
}

/* Rows of which something that was merged still stands. */
static void
read_stood(struct acts *a, struct site *s)
{
	int64_t last = cells_int(a->db, "SELECT max(dbv) FROM came");
	char *query = sqlite3_mprintf("SELECT \"table\", pk FROM crsql_changes WHERE "
	    "db_version BETWEEN %lld AND ?1", (long long)cells_int(a->db,
	    "SELECT min(dbv) FROM came"));

	cells_exec(a->db, "DELETE FROM stood");
	if (cells_copy(a->db, s->app, query, last, "INSERT INTO stood VALUES(?1, ?2)")
	    != SQLITE_OK)
		abort();
	sqlite3_free(query);
}

/* None of these is to give a row. */
static const struct {
	const char *what, *query;
} checks[] = {
	{ "a row that nobody touched is not what it was", "SELECT * FROM (SELECT tbl, "
	  "pk, cid, quote(val) FROM before EXCEPT SELECT tbl, pk, cid, quote(val) FROM "
	  "now) WHERE (tbl, pk) NOT IN (SELECT * FROM touched)" },
	{ "a row that nobody touched has come", "SELECT * FROM (SELECT tbl, pk, cid, "
	  "quote(val) FROM now EXCEPT SELECT tbl, pk, cid, quote(val) FROM before) "
	  "WHERE (tbl, pk) NOT IN (SELECT * FROM touched)" },
	{ "a cell is neither what it was nor what it became", "SELECT tbl, pk, cid, "
	  "quote(val) FROM now EXCEPT SELECT tbl, pk, cid, quote(val) FROM before "
	  "EXCEPT SELECT tbl, pk, cid, quote(val) FROM later" },
	{ "what nobody merged was changed", "SELECT * FROM (SELECT tbl, pk, cid, "
	  "quote(val) FROM later EXCEPT SELECT tbl, pk, cid, quote(val) FROM now) WHERE "
	  "(tbl, pk) NOT IN (SELECT tbl, pk FROM came)" },
	{ "something was left, and nothing said so", "SELECT tbl, hex(pk), cid, b.val, "
	  "a.val, n.val FROM before b JOIN after a USING(tbl, pk, cid) JOIN now n "
	  "USING(tbl, pk, cid) WHERE quote(a.val) <> quote(b.val) AND quote(n.val) <> "
	  "quote(b.val) AND (tbl, pk) NOT IN (SELECT tbl, pk FROM told WHERE why IS "
	  "NOT NULL OR nleft > 0)" },
	{ "a row is still gone, and nothing said so", "SELECT tbl, pk FROM before WHERE "
	  "(tbl, pk) NOT IN (SELECT tbl, pk FROM after) AND (tbl, pk) NOT IN (SELECT "
	  "tbl, pk FROM now) AND (tbl, pk) NOT IN (SELECT tbl, pk FROM told WHERE why "
	  "IS NOT NULL)" },
	{ "a row is still there, and nothing said so", "SELECT tbl, pk FROM after WHERE "
	  "(tbl, pk) IN (SELECT * FROM stood) AND (tbl, pk) NOT IN (SELECT tbl, pk FROM "
	  "before) AND (tbl, pk) IN (SELECT tbl, "
	  "pk FROM now) AND (tbl, pk) NOT IN (SELECT tbl, pk FROM told WHERE why IS NOT "
	  "NULL)" },
	{ "a row that nobody touched was left", "SELECT tbl, pk, why FROM told WHERE "
	  "(why IS NOT NULL OR nleft > 0) AND (tbl, pk) NOT IN (SELECT * FROM touched)"
	},
};

static void
compare(struct acts *a, struct site *s, const char *name)
{
	char *none;
	size_t i;

	for (i = 0; i < sizeof checks / sizeof *checks; i++) {
		none = sqlite3_mprintf("SELECT * FROM (%s) WHERE 0",
		    checks[i].query);
		if (cells_differ(a->db, s->name, none, checks[i].query) > 0)
			acts_wrong(a, s, "%s taken back: %s", name != NULL ? name :
			    "a merge", checks[i].what);
		sqlite3_free(none);
	}
}

void
undo_merge(struct acts *a, struct site *s)
{
	bool later = rng_chance(&a->rng, 50), tried = rng_chance(&a->rng, 30);
	char name[32], *which = NULL;
	int n;

	if (!rng_chance(&a->rng, 50) || cells_int(a->db, "SELECT count(*) FROM came")
	    == 0)
		return;
	if (cells_int(a->db, "SELECT count(DISTINCT dbv) FROM came") == 1 &&
	    rng_chance(&a->rng, 50)) {
		snprintf(name, sizeof name, "@%lld", (long long)cells_int(a->db,
		    "SELECT max(dbv) FROM came"));
		which = name;
	}
	cells_exec(a->db, "DELETE FROM touched");
	for (n = later ? 1 + (int)rng_below(&a->rng, 3) : 0; n > 0; n--)
		write_since(a, s);
	cells_read(a->db, "later", s->app, s->schema.shape);
	read_stood(a, s);
	if (tried && undo(a, s, which, true)) {
		cells_read(a->db, "now", s->app, s->schema.shape);
		if (cells_differ(a->db, s->name, "SELECT tbl, pk, cid, quote(val) FROM "
		    "later", "SELECT tbl, pk, cid, quote(val) FROM now") > 0)
			acts_wrong(a, s, "undo --dry-run changed something");
	}
	if (!undo(a, s, which, false))
		return;
	acts_wrote(a, s);
	cells_read(a->db, "now", s->app, s->schema.shape);
	compare(a, s, which);
	if (tried && cells_differ(a->db, s->name, "SELECT * FROM tried",
	    "SELECT * FROM told") > 0)
		acts_wrong(a, s, "undo --dry-run did not predict it");
	a->count[later ? ACT_UNDO_LATER : ACT_UNDO]++;
}
