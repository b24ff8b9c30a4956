// SPDX-License-Identifier: MPL-2.0
#include "events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "model.h"
#include "world.h"

/* -- helpers ------------------------------------------------------------------- */

/* A program of the site, with or without the extension. */
static sqlite3 *
program(struct site *s, struct rng *rng)
{
	return rng_chance(rng, 40) ? s->plain : s->app;
}

/* Some changes of a site may be lost: those that no database holds. */
static void
doubt(struct world *w, struct model *m, const char *table)
{
	int i;

	model_doubt(m, table);
	for (i = 0; i < w->nsites; i++)
		if (model_witness(m, w->site[i].app, table) != SQLITE_OK)
			abort();
}

static void
write_some(struct site *s, sqlite3 *db, int table, struct rng *rng)
{
	uint32_t n = 1 + rng_below(rng, 3);

	while (n-- > 0)
		if (history_statement(db, s->schema.shape, table, rng) !=
		    SQLITE_OK)
			abort();
}

static void
look(struct site *s, struct model *m)
{
	world_take(s, m);
	world_wrote(s);
	world_take(s, m);
}

/* -- a table loses its log -------------------------------------------------- */

static bool
untrack(struct site *s, struct rng *rng, struct model *m)
{
	int t = (int)rng_below(rng, HISTORY_NTABLES);
	const char *name = history_tables[t].name;
	uint32_t how = rng_below(rng, 3);

	if (s->schema.untracked[t]) {
		world_track(s, t, true);
	} else if (how == 0) {
		world_sql(s, s->app, "BEGIN IMMEDIATE; "
		    "SELECT crsql_as_table('%s')", name);
		write_some(s, s->app, t, rng);
		world_sql(s, s->app, "SELECT crsql_as_crr('%s'); COMMIT", name);
	} else {
		world_track(s, t, false);
		if (how == 1) {
			write_some(s, program(s, rng), t, rng);
			world_track(s, t, true);
		}
	}
	doubt(s->world, m, name);
	look(s, m);
	return true;
}

/* DROP and CREATE of the same name. */
static bool
replace(struct site *s, struct rng *rng, struct model *m)
{
	int t = (int)rng_below(rng, HISTORY_NTABLES);
	const char *name = history_tables[t].name;
	bool at_once = rng_chance(rng, 70);
	sqlite3 *db = program(s, rng);

	if (t == 0)
		s->schema.shape = (struct history_shape){ false, false };
	if (at_once)
		world_sql(s, db, "BEGIN IMMEDIATE");
	world_sql(s, db, "DROP TABLE %s", name);
	if (!at_once)
		world_wrote(s);
	world_sql(s, db, "%s", history_tables[t].create);
	write_some(s, db, t, rng);
	if (at_once)
		world_sql(s, db, "COMMIT");
	world_wrote(s);
	world_track(s, t, true);
	doubt(s->world, m, name);
	look(s, m);
	return true;
}

/* -- another schema ----------------------------------------------------------- */

static void
rename_column(struct site *s, sqlite3 *db)
{
	bool *renamed = &s->schema.shape.renamed;

	/* SQLite would look for the column in the schema it knows: refresh. */
	world_sql(s, db, "SELECT 1 FROM words; ALTER TABLE words RENAME COLUMN %s",
	    *renamed ? "d TO c" : "c TO d");
	*renamed = !*renamed;
}

static bool
rename_it(struct site *s, struct rng *rng, struct model *m)
{
	rename_column(s, program(s, rng));
	look(s, m);
	return true;
}

static void
add_column(struct site *s, sqlite3 *db)
{
	world_sql(s, db, "ALTER TABLE words ADD COLUMN e INTEGER DEFAULT 5");
	s->schema.shape.widened = true;
}

static bool
add(struct site *s, struct rng *rng, struct model *m)
{
	if (s->schema.shape.widened)
		return false;
	add_column(s, program(s, rng));
	look(s, m);
	return true;
}

/* -- the file is written anew -------------------------------------------------- */

static bool
vacuum(struct site *s, struct rng *rng, struct model *m)
{
	world_sql(s, program(s, rng), "VACUUM");
	look(s, m);
	return true;
}

/* -- copies, power cuts -------------------------------------------------------- */

/* The first time a copy is made, the next time it comes back. */
static bool
put_back(struct site *s, struct rng *rng, struct model *m, bool with_state)
{
	bool committed;

	if (!s->has_copy) {
		world_copy(s);
		return false;
	}
	/* One restored twice a day would be refused (R16). */
	s->clock_offset_ms += 90000000;
	world_stop(s);
	world_put_back(s, with_state);
	world_start(s);
	world_taken(s);
	doubt(s->world, m, NULL);
	if (rng_chance(rng, 50) && history_transaction(program(s, rng),
	    s->schema.shape, rng, &committed) != SQLITE_OK)
		abort();
	look(s, m);
	return true;
}

static bool
restore_file(struct site *s, struct rng *rng, struct model *m)
{
	return put_back(s, rng, m, false);
}

static bool
restore_all(struct site *s, struct rng *rng, struct model *m)
{
	return put_back(s, rng, m, true);
}

static bool
power_cut(struct site *s, struct rng *rng, struct model *m)
{
	static const char lives[] = "SELECT count(*) FROM ddcp_own";
	int64_t before = world_int(s, lives);
	unsigned lost = disk_power_cut(s->file, rng);

	if (s->world->verbose)
		printf("# %8llu %s: power cut, %u writes lost\n",
		    (unsigned long long)memnet_now(s->world->memnet), s->name,
		    lost);
	world_stop(s);
	disk_power_back(s->file);
	world_start(s);
	world_taken(s);
	/* Nothing that was sent can be lost (R14), so that none is needed; one
	 * that was begun and not told may be lost. */
	if (world_int(s, lives) > before) {
		fprintf(stderr, "%s: another incarnation after a power cut\n",
		    s->name);
		abort();
	}
	doubt(s->world, m, NULL);
	look(s, m);
	return lost > 0;
}

/* -- the table ----------------------------------------------------------------- */

static const struct kind {
	const char *name;
	/* false: nothing to be counted happened */
	bool (*happen)(struct site *s, struct rng *rng, struct model *m);
} kinds[] = {
	{ "untrack", untrack },
	{ "replace", replace },
	{ "rename", rename_it },
	{ "add", add },
	{ "restore", restore_file },
	{ "restore-state", restore_all },
	{ "power", power_cut },
	{ "vacuum", vacuum },
};
enum { NKINDS = sizeof kinds / sizeof *kinds };

const char *
events_name(int number)
{
	return number < NKINDS ? kinds[number].name : NULL;
}

unsigned
events_parse(const char *list)
{
	unsigned bits = 0;
	size_t len;
	int i;

	for (; *list != '\0'; list += len + (list[len] == ',')) {
		len = strcspn(list, ",");
		for (i = 0; i < NKINDS; i++)
			if (strlen(kinds[i].name) == len &&
			    strncmp(kinds[i].name, list, len) == 0)
				bits |= 1u << i;
	}
	return bits;
}

void
events_draw(struct events *e, struct rng *rng)
{
	int i;

	/* Half of all histories are predicted exactly. */
	if (rng_chance(rng, 50))
		return;
	for (i = 0; i < NKINDS; i++)
		if (rng_chance(rng, 30))
			e->kinds |= 1u << i;
}

void
events_happen(struct events *e, struct world *w, struct rng *rng,
    struct model *m)
{
	struct site *s = &w->site[rng_below(rng, (uint32_t)w->nsites)];
	int i = (int)rng_below(rng, NKINDS);

	if ((e->kinds & 1u << i) == 0 || !rng_chance(rng, 25))
		return;
	if (kinds[i].happen(s, rng, m))
		e->count[i]++;
}

void
events_heal(struct world *w, struct model *m)
{
	bool renamed = w->site[0].schema.shape.renamed, widened = false;
	struct site *s;
	int i, t;

	for (i = 0; i < w->nsites; i++)
		widened |= w->site[i].schema.shape.widened;
	for (i = 0; i < w->nsites; i++) {
		s = &w->site[i];
		if (s->schema.shape.renamed != renamed)
			rename_column(s, s->app);
		if (widened && !s->schema.shape.widened)
			add_column(s, s->app);
		for (t = 0; t < HISTORY_NTABLES; t++)
			if (s->schema.untracked[t])
				world_track(s, t, true);
		look(s, m);
	}
}
