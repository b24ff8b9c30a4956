// SPDX-License-Identifier: MPL-2.0
#include "away.h"

#include "cells.h"
#include "exchange.h"
#include "store/peer.h"

enum { STEP_MS = 1000, STEPS = 120 };

/* Whether all sites but that one reach each other without it. */
static bool
can_do_without(const struct world *w, int away)
{
	bool reached[WORLD_SITES_MAX] = { false };
	int i, j, n = 0, round;

	reached[away == 0 ? 1 : 0] = true;
	for (round = 0; round < w->nsites; round++)
		for (i = 0; i < w->nsites; i++)
			for (j = 0; j < w->nsites && reached[i]; j++)
				if (j != away && w->site[i].linked[j])
					reached[j] = true;
	for (i = 0; i < w->nsites; i++)
		n += reached[i];
	return n == w->nsites - 1;
}

/* Runs the world until all but that one (NULL: all) hold the same rows. */
static bool
settle(struct acts *a, const struct site *but)
{
	int i, step, first = but == &a->w->site[0] ? 1 : 0, n = 1;

	for (step = 0; step < STEPS && n > 0; step++) {
		world_run(a->w, STEP_MS);
		cells_read(a->db, "before", a->w->site[first].app,
		    a->w->site[first].schema.shape);
		for (i = first + 1, n = 0; i < a->w->nsites && n == 0; i++) {
			if (&a->w->site[i] == but)
				continue;
			cells_read(a->db, "now", a->w->site[i].app,
			    a->w->site[i].schema.shape);
			n = cells_differ(a->db, step + 1 < STEPS ? NULL :
			    a->w->site[i].name, "SELECT tbl, hex(pk), cid, "
			    "quote(val) FROM before", "SELECT tbl, hex(pk), cid, "
			    "quote(val) FROM now");
		}
	}
	return n == 0;
}

/* A row that both have is deleted at one, and changed at the other. */
static bool
delete_one(struct acts *a, struct site *s, struct site *away)
{
	if (world_int(s, "SELECT count(*) FROM numbers") == 0)
		world_sql(s, s->app, "INSERT INTO numbers VALUES(77, 1, 1)");
	world_wrote(s);
	if (!settle(a, NULL)) {
		acts_wrong(a, s, "a row does not come to all");
		return false;
	}
	world_offline(away);
	world_sql(s, s->app, "DELETE FROM numbers WHERE id = (SELECT max(id) FROM "
	    "numbers)");
	world_sql(away, away->app, "UPDATE numbers SET x = 'away' WHERE id = (SELECT "
	    "max(id) FROM numbers)");
	return true;
}

/* Its own version as a number of a vector, in hex. */
static char *
own_version(struct site *s)
{
	uint64_t n = (uint64_t)world_int(s, "SELECT crsql_db_version()");
	sqlite3_str *sql = sqlite3_str_new(NULL);

	for (; n > 127; n >>= 7)
		sqlite3_str_appendf(sql, "%02x", (int)(n & 127) | 128);
	sqlite3_str_appendf(sql, "%02x", (int)n);
	return sqlite3_str_finish(sql);
}

/* Each hears from the other that one of them is behind. */
static void
must_refuse(struct acts *a, struct site *s, struct site *away)
{
	struct store_result result;
	struct err err = { .code = 0 };
	int rc = exchange_fetch(away, s, &err);

	if (rc != E_HORIZON)
		acts_wrong(a, away, "was away, and reads from %s: %d %s", s->name, rc,
		    err.text);
	rc = exchange_fetch(s, away, &err);
	if (rc == 0)
		rc = store_merge_inbox(s->store, exchange_remote(s, away), &result,
		    &err);
	if (rc != E_HORIZON)
		acts_wrong(a, s, "takes what comes from %s, who was away: %d %s",
		    away->name, rc, err.text);
	if (world_int(s, "SELECT count(*) FROM numbers WHERE x = 'away'") != 0)
		acts_wrong(a, s, "a row came back");
}

static void
begin_anew(struct site *s)
{
	const char *name;
	int t;

	for (t = 0; t < HISTORY_NTABLES; t++) {
		name = history_tables[t].name;
		world_sql(s, s->app, "BEGIN IMMEDIATE; SELECT crsql_as_table('%s'); "
		    "DELETE FROM %s; SELECT crsql_as_crr('%s'); COMMIT", name, name,
		    name);
	}
}

bool
away_play(struct acts *a)
{
	int n = a->w->nsites, i = (int)rng_below(&a->rng, (uint32_t)n), tries = 0;
	struct site *away, *s;
	char *version;

	for (; tries < n && !can_do_without(a->w, i); tries++)
		i = (i + 1) % n;
	away = &a->w->site[i];
	s = tries < n ? exchange_other(away, &a->rng) : NULL;
	if (s == NULL || !delete_one(a, s, away))
		return false;
	world_wrote(s);
	if (!settle(a, away))
		acts_wrong(a, s, "a row is not gone everywhere");
	version = own_version(s);
	world_sql(s, s->app, "SELECT crsql_gc(CAST(x'01' || crsql_site_id() || x'%s' "
	    "AS BLOB))", version);
	sqlite3_free(version);
	world_wrote(s);
	must_refuse(a, s, away);
	world_online(away);
	world_run(a->w, STEP_MS);
	world_offline(away);
	begin_anew(away);
	world_online(away);
	if (!settle(a, NULL))
		acts_wrong(a, away, "began anew, and does not have what all have");
	if (world_int(away, "SELECT count(*) FROM numbers WHERE x = 'away'") != 0)
		acts_wrong(a, away, "a row came back");
	return true;
}
