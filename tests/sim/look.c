// SPDX-License-Identifier: MPL-2.0
/*
 * look.c - what "diff" says of what was fetched is what the merge behind it does,
 * row by row and cell by cell, and who did it; looking changes nothing.
 */
#include "acts.h"

#include <stdlib.h>

#include "cells.h"
#include "exchange.h"
#include "history.h"
#include "store/past.h"
#include "store/peer.h"

struct telling {
	struct acts *a;
	struct site *s;
};

/* A cell under the name that its column had at first. */
static void
tell_cell(struct telling *t, const char *table, const char *pk,
    const struct store_diff_cell *c)
{
	char *old = acts_quote(&c->before), *new = acts_quote(&c->after);

	cells_exec(t->a->db, "INSERT INTO toldcell VALUES(%Q, %s, iif(%Q = 'words' AND "
	    "%Q = 'd', 'c', %Q), %d, %s, %s)", table, pk, table, c->column,
	    c->column, c->was_known, old, new);
	sqlite3_free(old);
	sqlite3_free(new);
}

static int
on_diff(void *self, const struct store_diff_row *row)
{
	static const char *const kinds[] = { [STORE_INSERTED] = "inserted",
		[STORE_CHANGED] = "changed", [STORE_DELETED] = "deleted" };
	struct telling *t = self;
	char *pk = acts_key(t->s, row->key, row->nkey);
	char site[33];
	size_t i;

	for (i = 0; i < 16; i++)
		sqlite3_snprintf(3, site + 2 * i, "%02x", row->author.site[i]);
	cells_exec(t->a->db, "INSERT INTO told VALUES(%Q, %s, %Q, x'%s', %lld, 0, "
	    "NULL)", row->table, pk, kinds[row->kind], site,
	    (long long)row->version);
	for (i = 0; i < row->ncell; i++)
		tell_cell(t, row->table, pk, &row->cell[i]);
	sqlite3_free(pk);
	return 0;
}

/* -- what it did ------------------------------------------------------------------- */

#define DEFAULT "CASE WHEN (a.tbl, a.cid) = ('words', 'b') THEN '7' WHEN " \
	"(a.tbl, a.cid) = ('words', 'e') THEN '5' ELSE 'NULL' END"

static const struct {
	const char *what, *did, *told;
} checks[] = {
	{ "rows", "SELECT DISTINCT tbl, hex(pk), 'inserted' FROM after WHERE (tbl, pk) "
	  "NOT IN (SELECT tbl, pk FROM before) UNION ALL SELECT DISTINCT tbl, "
	  "hex(pk), 'deleted' FROM before WHERE (tbl, pk) NOT IN (SELECT tbl, pk FROM "
	  "after) UNION ALL SELECT DISTINCT tbl, hex(pk), 'changed' FROM after a JOIN "
	  "before b USING(tbl, pk, cid) WHERE quote(a.val) <> quote(b.val)",
	  "SELECT tbl, hex(pk), kind FROM told" },
	{ "cells", "SELECT tbl, hex(pk), cid, 1, quote(b.val), quote(a.val) FROM after "
	  "a JOIN before b USING(tbl, pk, cid) WHERE quote(a.val) <> quote(b.val)",
	  "SELECT tbl, hex(pk), cid, known, quote(old), quote(new) FROM toldcell JOIN "
	  "told USING(tbl, pk) WHERE kind = 'changed'" },
	{ "new cells", "SELECT tbl, hex(pk), cid, quote(val) FROM after WHERE (tbl, pk) "
	  "NOT IN (SELECT tbl, pk FROM before) AND cid <> '-1'",
	  "SELECT a.tbl, hex(a.pk), a.cid, CASE WHEN c.cid IS NOT NULL THEN "
	  "quote(c.new) ELSE " DEFAULT " END FROM told t JOIN after a USING(tbl, pk) "
	  "LEFT JOIN toldcell c ON (c.tbl, c.pk, c.cid) = (a.tbl, a.pk, a.cid) WHERE "
	  "t.kind = 'inserted' AND a.cid <> '-1'" },
	{ "cells that go", "SELECT tbl, hex(pk), cid, quote(val) FROM before WHERE "
	  "(tbl, pk) NOT IN (SELECT tbl, pk FROM after) AND cid <> '-1'",
	  "SELECT tbl, hex(pk), cid, quote(old) FROM told JOIN toldcell USING(tbl, pk) "
	  "WHERE kind = 'deleted'" },
	{ "authors", "SELECT tbl, hex(pk), hex(site), version FROM (SELECT *, "
	  "row_number() OVER (PARTITION BY tbl, pk ORDER BY dbv DESC, seq DESC) AS n "
	  "FROM came) WHERE n = 1 AND (tbl, pk) IN (SELECT tbl, pk FROM told)",
	  "SELECT tbl, hex(pk), hex(site), version FROM told" },
};

static void
compare(struct acts *a, struct site *s, const struct site *from)
{
	size_t i;

	for (i = 0; i < sizeof checks / sizeof *checks; i++)
		if (cells_differ(a->db, s->name, checks[i].did, checks[i].told) > 0)
			acts_wrong(a, s, "diff did not predict the merge of what %s "
			    "had: %s", from->name, checks[i].what);
	if (cells_differ(a->db, s->name, "SELECT tbl, hex(pk), cid, quote(val) FROM "
	    "before", "SELECT tbl, hex(pk), cid, quote(val) FROM still") > 0)
		acts_wrong(a, s, "diff changed something");
}

static int
look(struct acts *a, struct site *s, struct site *from, struct err *err)
{
	struct telling telling = { a, s };
	struct store_diff what = { .remote = rng_chance(&a->rng, 50) ? from->name :
		NULL };
	struct store_diff_sum sum;
	int rc;

	cells_exec(a->db, "DELETE FROM told; DELETE FROM toldcell");
	cells_read(a->db, "before", s->app, s->schema.shape);
	rc = store_diff(s->store, &what, on_diff, &telling, &sum, err);
	if (rc == 0)
		cells_read(a->db, "still", s->app, s->schema.shape);
	return rc;
}

/* What came of it, by the log, stands in `came`. */
static int
merge(struct acts *a, struct site *s, struct site *from, struct err *err)
{
	int64_t head = world_int(s, "SELECT crsql_db_version()");
	struct store_result result;
	int rc = store_merge_inbox(s->store, exchange_remote(s, from), &result,
	    err);

	if (rc != 0)
		return rc;
	if (result.held > 0)
		acts_wrong(a, s, "held: %s", result.why);
	cells_read(a->db, "after", s->app, s->schema.shape);
	cells_exec(a->db, "DELETE FROM came");
	return cells_copy(a->db, s->app, "SELECT \"table\", pk, site_id, sver, "
	    "db_version, seq FROM crsql_changes WHERE db_version > ?1", head,
	    "INSERT INTO came VALUES(?1, ?2, ?3, ?4, ?5, ?6)");
}

/* Others write, and the site itself, which does not hear of it. */
static void
live_apart(struct acts *a, struct site *s)
{
	uint32_t n = 1 + rng_below(&a->rng, 4);
	struct site *who;
	bool committed;

	world_offline(s);
	for (; n > 0; n--) {
		who = rng_chance(&a->rng, 30) ? s : &a->w->site[rng_below(&a->rng,
		    (uint32_t)a->w->nsites)];
		if (history_transaction(rng_chance(&a->rng, 30) ? who->plain :
		    who->app, who->schema.shape, &a->rng, &committed) !=
		    SQLITE_OK)
			abort();
		acts_wrote(a, who);
	}
	world_run(a->w, rng_below(&a->rng, 1000));
}

bool
look_act(struct acts *a, struct site *s)
{
	struct site *from = exchange_other(s, &a->rng);
	struct err err = { .code = 0 };
	bool looked;
	int rc;

	if (from == NULL)
		return false;
	live_apart(a, s);
	rc = exchange_fetch(s, from, &err);
	if (rc == 0)
		rc = look(a, s, from, &err);
	if (rc == 0)
		rc = merge(a, s, from, &err);
	looked = rc == 0;
	if (looked) {
		compare(a, s, from);
		undo_merge(a, s);
	} else if (a->exact && rc != E_HORIZON) {
		acts_wrong(a, s, "can't look at what %s has: %d %s", from->name, rc,
		    err.text);
	}
	world_online(s);
	return looked;
}
