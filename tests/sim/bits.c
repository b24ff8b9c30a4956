// SPDX-License-Identifier: MPL-2.0
/* bits.c - what changes past an engine is found by those who verify. */
#include "bits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/peer.h"
#include "verify.h"

struct bit {
	const char *table;
	char *where;            /* the row */
	char *name;             /* as verify names it */
	char *change, *back;    /* statements */
	uint64_t named, others;
};

static void
on_found(void *self, const struct store_difference *d)
{
	struct bit *bit = self;
	bool is = strcmp(d->table, bit->table) == 0 &&
	    strcmp(d->name, bit->name) == 0;

	bit->named += is;
	bit->others += !is;
}

static sqlite3 *
open_past(struct site *s)
{
	sqlite3 *db;

	if (sqlite3_open(s->file, &db) != SQLITE_OK)
		abort();
	sqlite3_busy_timeout(db, 1000);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	return db;
}

static char *
text_of(sqlite3 *db, char *query)
{
	sqlite3_stmt *stmt;
	char *text = NULL;

	if (sqlite3_prepare_v2(db, query, -1, &stmt, NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW)
		text = sqlite3_mprintf("%s", sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	sqlite3_free(query);
	return text;
}

static void
run(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
		fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
		abort();
	}
}

/* Chooses a row, and what is done to it: a bit of a value is turned, its type
 * changes, or it is gone. */
static bool
choose(sqlite3 *db, struct rng *rng, const struct history_shape *shape,
    struct bit *bit)
{
	static const char turned[] = "CASE typeof(%s) WHEN 'integer' THEN %s + 1 WHEN "
	    "'null' THEN 0 ELSE NULL END";
	const struct history_table *t = &history_tables[rng_below(rng,
	    HISTORY_NTABLES)];
	bool pair = strchr(t->key, ',') != NULL;
	uint32_t n = 0;
	const char *column;
	char *expression, *old;

	while (n < HISTORY_NCOLUMNS && t->column[n] != NULL)
		n++;
	column = n > 0 ? t->column[rng_below(rng, n)] : NULL;
	if (column != NULL && strcmp(column, "c") == 0 && shape->renamed)
		column = "d";
	bit->table = t->name;
	bit->where = text_of(db, sqlite3_mprintf(pair ? "SELECT 'p=' || quote(p) || "
	    "' AND q=' || quote(q) FROM %s ORDER BY p, q LIMIT 1 OFFSET abs(%d) %% "
	    "max(1, (SELECT count(*) FROM %s))" : "SELECT 'id=' || quote(id) FROM %s "
	    "ORDER BY id LIMIT 1 OFFSET abs(%d) %% max(1, (SELECT count(*) FROM %s))",
	    t->name, (int)rng_below(rng, 1000), t->name));
	if (bit->where == NULL)
		return false;
	bit->name = text_of(db, sqlite3_mprintf(pair ? "SELECT quote(p) || ', ' || "
	    "quote(q) FROM %s WHERE %s" : "SELECT quote(id) FROM %s WHERE %s",
	    t->name, bit->where));
	if (column == NULL) {
		bit->change = sqlite3_mprintf("DELETE FROM %s WHERE %s", t->name,
		    bit->where);
		bit->back = sqlite3_mprintf("INSERT INTO %s(%s) VALUES(%s)", t->name,
		    t->key, bit->name);
		return true;
	}
	expression = sqlite3_mprintf(turned, column, column);
	old = text_of(db, sqlite3_mprintf("SELECT quote(%s) FROM %s WHERE %s",
	    column, t->name, bit->where));
	bit->change = sqlite3_mprintf("UPDATE %s SET %s = %s WHERE %s", t->name,
	    column, expression, bit->where);
	bit->back = sqlite3_mprintf("UPDATE %s SET %s = %s WHERE %s", t->name, column,
	    old, bit->where);
	sqlite3_free(expression);
	sqlite3_free(old);
	return true;
}

/* Those who know the site look. */
static uint64_t
look(struct world *w, struct site *s, struct bit *bit, bool changed)
{
	struct store_compared c;
	uint64_t wrong = 0;
	struct site *other;
	int i;

	for (i = 0; i < w->nsites; i++) {
		other = &w->site[i];
		memset(&c, 0, sizeof c);
		bit->named = bit->others = 0;
		if (!s->linked[i] || !verify_with(other, s, false, &c, on_found, bit))
			continue;
		if (bit->named == (changed ? 1 : 0) && bit->others == 0)
			continue;
		printf("# %s verifies %s: %s %s %s, and that row was found %llu times, "
		    "others %llu times\n", other->name, s->name, bit->table,
		    bit->name, changed ? "was changed" : "is as it was",
		    (unsigned long long)bit->named,
		    (unsigned long long)bit->others);
		wrong++;
	}
	return wrong;
}

uint64_t
bits_turn(struct world *w, struct rng *rng, int n, uint64_t *wrong)
{
	uint64_t done = 0;
	struct site *s;
	struct bit bit;
	sqlite3 *db;

	for (; n > 0; n--) {
		s = &w->site[rng_below(rng, (uint32_t)w->nsites)];
		memset(&bit, 0, sizeof bit);
		db = open_past(s);
		if (choose(db, rng, &s->schema.shape, &bit)) {
			run(db, bit.change);
			*wrong += look(w, s, &bit, true);
			run(db, bit.back);
			*wrong += look(w, s, &bit, false);
			done++;
		}
		sqlite3_close(db);
		sqlite3_free(bit.where);
		sqlite3_free(bit.name);
		sqlite3_free(bit.change);
		sqlite3_free(bit.back);
	}
	return done;
}
