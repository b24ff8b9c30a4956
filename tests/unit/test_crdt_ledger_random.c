// SPDX-License-Identifier: MPL-2.0
/*
 * test_crdt_ledger_random.c - histories of three or four databases that write the
 * same few rows and pull from each other in any order.  Beside them a naive model
 * keeps for each transaction what its author had seen (R18), and who set what: the
 * ledger of each database holds exactly the conflicts that the model meets.
 * LEDGER_SEEDS of them, from LEDGER_FROM on.
 */
#include "crdt_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MEMBERS = 4, KEYS = 4, COLUMNS = 2, ROW = -1, DEFAULT = -1, VALUES = 3,
       VERSIONS = 4000, CONFLICTS = 4000, STEPS = 60 };

static const char *const schemas[] = {
	"CREATE TABLE t(id TEXT PRIMARY KEY, a, b)",
	"CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)",
	"CREATE TABLE t(id TEXT PRIMARY KEY, a, b) WITHOUT ROWID",
};

struct origin {
	int site;
	int64_t sver;
};

struct fact {                   /* of a row in one database */
	bool there;
	struct origin by;
	int64_t when;           /* a count of this database's */
};

struct row {
	int64_t cl;
	struct fact life;       /* its sentinel, or tombstone */
	struct cell {
		struct fact fact;
		int64_t version;
		int value;
	} cell[COLUMNS];
};

struct conflict {
	int key, column;
	struct origin winner, loser;
	int kept, lost;         /* of a column: the values */
};

struct member {
	struct node n;
	struct row row[KEYS];
	int64_t has[MEMBERS];           /* by site: held without gap */
	int64_t (*seen)[MEMBERS];       /* by own version: has, then */
	int64_t count;
	struct conflict *conflict;
	int nconflict;
};

struct world {
	struct member m[MEMBERS];
	int count;
	uint64_t s;
};

static uint32_t
below(struct world *w, uint32_t n)
{
	w->s ^= w->s << 13;
	w->s ^= w->s >> 7;
	w->s ^= w->s << 17;
	return (uint32_t)(w->s >> 33) % n;
}

/* -- the model --------------------------------------------------------------------- */

static bool
had_seen(const struct world *w, struct origin a, struct origin b)
{
	return a.site == b.site || w->m[a.site].seen[a.sver][b.site] >= b.sver;
}

static bool
concurrent(const struct world *w, struct origin a, struct origin b)
{
	return !had_seen(w, a, b) && !had_seen(w, b, a);
}

static bool
same(struct origin a, struct origin b)
{
	return a.site == b.site && a.sver == b.sver;
}

static void
add(struct world *w, struct member *m, int key, int column,
    struct origin winner, struct origin loser, int kept, int lost)
{
	struct conflict *c;
	int i;

	if (!concurrent(w, winner, loser))
		return;
	for (i = 0; i < m->nconflict; i++) {
		c = &m->conflict[i];
		if (c->key == key && c->column == column &&
		    same(c->winner, winner) && same(c->loser, loser))
			return;
	}
	assert_true(m->nconflict < CONFLICTS);
	m->conflict[m->nconflict++] = (struct conflict){ key, column, winner,
		loser, kept, lost };
}

/* What comes ends what is here: the newest of what its author had not seen. */
static void
ended(struct world *w, struct member *m, int key, struct origin by)
{
	struct row *r = &m->row[key];
	const struct fact *f = NULL, *newest = NULL;
	int i;

	for (i = -1; i < COLUMNS; i++) {
		if (r->cl % 2 == 0 && i >= 0)
			break;
		f = i < 0 ? &r->life : &r->cell[i].fact;
		if (f->there && concurrent(w, by, f->by) &&
		    (newest == NULL || f->when > newest->when))
			newest = f;
	}
	if (newest != NULL)
		add(w, m, key, ROW, by, newest->by, 0, 0);
}

/* NULL < 0 < 1 ... as DEFAULT is -1. */
static void
merge_cell(struct world *w, struct member *m, int key, int i,
    const struct cell *come, int64_t when)
{
	struct cell *here = &m->row[key].cell[i];
	bool wins = !here->fact.there || come->version > here->version ||
	    (come->version == here->version && come->value > here->value);

	if (here->fact.there && come->value != here->value)
		add(w, m, key, i, wins ? come->fact.by : here->fact.by, wins ?
		    here->fact.by : come->fact.by, wins ? come->value :
		    here->value, wins ? here->value : come->value);
	if (wins) {
		*here = *come;
		here->fact.when = when;
	}
}

static void
forget_cells(struct row *r)
{
	int i;

	for (i = 0; i < COLUMNS; i++)
		r->cell[i] = (struct cell){ .value = DEFAULT };
}

/* What one transaction left in a row of `from`. */
static void
merge_row(struct world *w, struct member *m, int key, const struct row *from,
    struct origin by)
{
	struct row *r = &m->row[key];
	int64_t when = ++m->count;
	bool higher = from->cl > r->cl, lives = from->cl % 2 != 0;
	int i;

	if (from->cl < r->cl) {
		if (r->cl % 2 != 0 || lives)
			if (r->life.there)
				add(w, m, key, ROW, r->life.by, by, 0, 0);
		return;
	}
	if (higher && r->cl > 0 && (lives || r->cl % 2 != 0))
		ended(w, m, key, by);
	if (!lives) {
		if (higher || (r->cl == from->cl && by.site > r->life.by.site))
			r->life = (struct fact){ true, by, when };
		r->cl = from->cl;
		forget_cells(r);
		return;
	}
	if (higher) {
		forget_cells(r);
		if (r->cl != 0 || from->cl > 1)
			r->life = (struct fact){ true, by, when };
	}
	r->cl = from->cl;
	for (i = 0; i < COLUMNS; i++)
		if (from->cell[i].fact.there && same(from->cell[i].fact.by, by))
			merge_cell(w, m, key, i, &from->cell[i], when);
}

static const struct fact *
fact_of(const struct row *r, int i)
{
	return i < 0 ? &r->life : &r->cell[i].fact;
}

/* Each origin's part of a row, in the order of `from`'s log. */
static void
pull_row(struct world *w, struct member *to, const struct member *from, int key,
    const int64_t *had)
{
	const struct row *r = &from->row[key];
	int64_t last = -1;
	const struct fact *f, *next;
	int i;

	do {
		next = NULL;
		for (i = -1; i < COLUMNS; i++) {
			f = fact_of(r, i);
			if (f->there && f->when > last &&
			    (next == NULL || f->when < next->when))
				next = f;
		}
		if (next != NULL) {
			last = next->when;
			if (next->by.sver > had[next->by.site])
				merge_row(w, to, key, r, next->by);
		}
	} while (next != NULL);
}

static void
model_pull(struct world *w, struct member *to, const struct member *from)
{
	int64_t had[MEMBERS];
	int k;

	memcpy(had, to->has, sizeof had);
	for (k = 0; k < KEYS; k++)
		pull_row(w, to, from, k, had);
	for (k = 0; k < w->count; k++)
		if (from->has[k] > to->has[k])
			to->has[k] = from->has[k];
}

/* -- what they do ------------------------------------------------------------------ */

static void
one_write(struct world *w, struct member *m, int key, sqlite3_str *sql)
{
	struct row *r = &m->row[key];
	struct fact f = { true, { m->n.index, 0 }, m->count };
	int i, value, what = (int)below(w, 8);

	if (r->cl % 2 == 0) {
		sqlite3_str_appendf(sql, "INSERT INTO t VALUES(%d", key);
		r->life = r->cl > 0 ? f : (struct fact){ .there = false };
		r->cl++;
		for (i = 0; i < COLUMNS; i++) {
			value = (int)below(w, VALUES);
			sqlite3_str_appendf(sql, ", %d", value);
			r->cell[i] = (struct cell){ f, 1, value };
		}
		sqlite3_str_appendall(sql, "); ");
	} else if (what == 0) {
		sqlite3_str_appendf(sql, "DELETE FROM t WHERE id = %d; ", key);
		r->cl++;
		r->life = f;
		forget_cells(r);
	} else {
		i = (int)below(w, COLUMNS);
		value = (int)below(w, VALUES);
		if (value == r->cell[i].value)
			return;
		sqlite3_str_appendf(sql, "UPDATE t SET %c = %d WHERE id = %d; ",
		    'a' + i, value, key);
		r->cell[i] = (struct cell){ f, r->cell[i].version + 1, value };
	}
}

static int64_t
version_of(struct node *n)
{
	sqlite3_stmt *stmt;
	int64_t v;

	assert_int_equal(sqlite3_prepare_v2(n->db, "SELECT crsql_db_version()", -1,
	    &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	v = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return v;
}

/* A transaction: its version is known behind it. */
static void
writes(struct world *w, struct member *m)
{
	sqlite3_str *sql = sqlite3_str_new(NULL);
	int64_t version;
	int k, i, key = (int)below(w, KEYS), n = 1 + (int)below(w, 3);
	char *text;

	m->count++;
	for (k = 0; k < n && key + k < KEYS; k++)
		one_write(w, m, key + k, sql);
	if (sqlite3_str_length(sql) == 0) {
		sqlite3_free(sqlite3_str_finish(sql));
		return;
	}
	text = sqlite3_str_finish(sql);
	node_exec(&m->n, "BEGIN; %sCOMMIT", text);
	sqlite3_free(text);
	version = version_of(&m->n);
	assert_true(version < VERSIONS);
	memcpy(m->seen[version], m->has, sizeof m->has);
	m->has[m->n.index] = version;
	for (k = 0; k < KEYS; k++) {
		for (i = -1; i < COLUMNS; i++) {
			struct fact *f = i < 0 ? &m->row[k].life :
			    &m->row[k].cell[i].fact;

			if (f->there && f->by.site == m->n.index &&
			    f->by.sver == 0)
				f->by.sver = version;
		}
	}
}

static void
saw(struct member *to, const struct member *from)
{
	sqlite3_stmt *stmt;
	int i;

	assert_int_equal(sqlite3_prepare_v2(to->n.db, "SELECT crsql_saw(?, ?)", -1,
	    &stmt, NULL), SQLITE_OK);
	for (i = 0; i < from->n.has.n; i++) {
		sqlite3_bind_blob(stmt, 1, from->n.has.entry[i].site, NODE_SITE,
		    SQLITE_STATIC);
		sqlite3_bind_int64(stmt, 2, from->n.has.entry[i].version);
		assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
		sqlite3_reset(stmt);
	}
	sqlite3_finalize(stmt);
}

static void
pulls(struct world *w, struct member *to, struct member *from)
{
	struct mishap m = { .max_bytes = below(w, 2) ? 100000 : 200,
		.twice = below(w, 3) == 0 };

	assert_true(node_pull(&to->n, &from->n, &m));
	saw(to, from);
	model_pull(w, to, from);
}

/* -- looking ------------------------------------------------------------------------- */

static char *
conflicts_of_model(struct member *m)
{
	sqlite3_str *out = sqlite3_str_new(NULL);
	const struct conflict *c;
	int i;

	for (i = 0; i < m->nconflict; i++) {
		c = &m->conflict[i];
		sqlite3_str_appendf(out, "SELECT '%d', %d, %d, %lld, %d, %lld, "
		    "nullif(%d, -1), nullif(%d, -1)%s",
		    c->key, c->column, c->winner.site, c->winner.sver,
		    c->loser.site, c->loser.sver, c->kept, c->lost, i + 1 < m->nconflict ?
		    " UNION ALL " : "");
	}
	if (m->nconflict == 0)
		sqlite3_str_appendall(out, "SELECT '', 0, 0, 0, 0, 0, 0, 0 WHERE 0");
	return sqlite3_str_finish(out);
}

static void
look(struct member *m)
{
	char *want = conflicts_of_model(m), *got, *model;
	sqlite3_str *values = sqlite3_str_new(NULL);
	const struct row *r;
	int k;

	got = node_rows(&m->n, "SELECT CAST((SELECT cell FROM crsql_unpack_columns "
	    "WHERE package = pk) AS TEXT), cid, (SELECT unicode(substr(hex(site_id), "
	    "32)) - 49 FROM crsql_site_id WHERE ordinal = wsite), wsver, (SELECT "
	    "unicode(substr(hex(site_id), 32)) - 49 FROM crsql_site_id WHERE ordinal "
	    "= lsite), lsver, iif(cid < 0, 0, (SELECT winner FROM crsql_ledger_cell c "
	    "WHERE (c.id, c.cid) = (l.id, l.cid))), iif(cid < 0, 0, (SELECT loser "
	    "FROM crsql_ledger_cell c WHERE (c.id, c.cid) = (l.id, l.cid))) FROM "
	    "crsql_ledger l ORDER BY 1, 2, 3, 4, 5, 6");
	model = node_rows(&m->n, "SELECT * FROM (%s) ORDER BY 1, 2, 3, 4, 5, 6",
	    want);
	if (strcmp(got, model) != 0)
		fail_msg("ledger of %d\n%s--- the model's\n%s", m->n.index, got,
		    model);
	sqlite3_free(want);
	sqlite3_free(got);
	sqlite3_free(model);
	for (k = 0; k < KEYS; k++) {
		r = &m->row[k];
		if (r->cl % 2 == 0)
			continue;
		sqlite3_str_appendf(values, "%d|", k);
		sqlite3_str_appendf(values, r->cell[0].value < 0 ? "NULL|" : "%d|",
		    r->cell[0].value);
		sqlite3_str_appendf(values, r->cell[1].value < 0 ? "NULL\n" :
		    "%d\n", r->cell[1].value);
	}
	want = sqlite3_str_finish(values);
	node_expect(&m->n, want != NULL ? want : "", "SELECT CAST(id AS INTEGER), a, "
	    "b FROM t ORDER BY 1");
	sqlite3_free(want);
}

static void
open_world(struct world *w, uint64_t seed)
{
	struct member *m;
	int i;

	memset(w, 0, sizeof *w);
	w->s = seed * 0x9E3779B97F4A7C15u + 1;
	w->count = 3 + (int)below(w, 2);
	for (i = 0; i < w->count; i++) {
		m = &w->m[i];
		node_open(&m->n, i, NULL);
		node_exec(&m->n, "SELECT crsql_identity(x'%032d', x'%064d', "
		    "x'%016d')", i + 1, i + 1, 0);
		node_exec(&m->n, "%s; SELECT crsql_as_crr('t')",
		    schemas[seed % 3]);
		m->seen = calloc(VERSIONS, sizeof *m->seen);
		m->conflict = calloc(CONFLICTS, sizeof *m->conflict);
		assert_true(m->seen != NULL && m->conflict != NULL);
		forget_cells(&m->row[0]);
	}
}

static void
close_world(struct world *w)
{
	int i;

	for (i = 0; i < w->count; i++) {
		node_well(&w->m[i].n);
		node_close(&w->m[i].n);
		free(w->m[i].seen);
		free(w->m[i].conflict);
	}
}

static void
run_history(uint64_t seed)
{
	struct world w;
	int step, a, b;

	open_world(&w, seed);
	for (step = 0; step < STEPS; step++) {
		a = (int)below(&w, (uint32_t)w.count);
		b = (a + 1 + (int)below(&w, (uint32_t)w.count - 1)) % w.count;
		if (below(&w, 2) == 0) {
			writes(&w, &w.m[a]);
			continue;
		}
		pulls(&w, &w.m[a], &w.m[b]);
		look(&w.m[a]);
	}
	close_world(&w);
}

static uint64_t
number(const char *name, uint64_t preset)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : preset;
}

static void
random_histories(void **state)
{
	uint64_t seed, from = number("LEDGER_FROM", 1);
	uint64_t n = number("LEDGER_SEEDS", 60);

	for (seed = from; seed < from + n; seed++) {
		print_message("# seed %llu\n", (unsigned long long)seed);
		run_history(seed);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
