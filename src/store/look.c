// SPDX-License-Identifier: MPL-2.0
/*
 * look.c - what merging would do (R9): it is done, on a connection of its own, in
 * one transaction that is rolled back once what it did was copied.  Where writers
 * would have to wait for that longer than for a step of a real merge, or nothing
 * can be written, the same is done on a copy of the database.
 */
#include "store/look.h"

#include <stdlib.h>
#include <string.h>

#include "base/ticks.h"
#include "store/fetched.h"
#include "store/history.h"
#include "store/keep.h"
#include "store/sql.h"
#include "store/store_private.h"

struct trial {
	struct store *s;
	const struct store_diff *what;
	sqlite3 *db;
	int64_t started_ms;
	int64_t limit_ms;       /* 0: nobody waits */
	bool late;              /* the limit was passed */
	struct store_diff_sum *sum;
};

/* -- where ------------------------------------------------------------------------ */

static int
copy_database(struct trial *t, struct err *err)
{
	sqlite3 *from = NULL;
	sqlite3_backup *b = NULL;
	int rc = store_connect(t->s->db_file, SQLITE_OPEN_READONLY, t->s->busy_ms,
	    &from, err);

	if (rc == 0)
		rc = store_connect("", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, 0,
		    &t->db, err);
	if (rc == 0) {
		b = sqlite3_backup_init(t->db, "main", from, "main");
		if (b == NULL || sqlite3_backup_step(b, -1) != SQLITE_DONE)
			rc = sql_fail(t->db, sqlite3_errcode(t->db), err);
		sqlite3_backup_finish(b);
	}
	sqlite3_close(from);
	return rc;
}

static int
connect(struct trial *t, bool copy, struct err *err)
{
	int rc = copy ? copy_database(t, err) : store_connect(t->s->db_file,
	    SQLITE_OPEN_READWRITE, t->s->busy_ms, &t->db, err);

	return rc == 0 ? store_load_engine(t->db, err) : rc;
}

/* -- merging ---------------------------------------------------------------------- */

static bool
is_stopped(const struct trial *t)
{
	return t->what->stop != NULL && t->what->stop(t->what->arg);
}

static bool
is_late(struct trial *t)
{
	t->late = t->late || (t->limit_ms != 0 &&
	    ticks_ms() - t->started_ms >= t->limit_ms);
	return t->late;
}

static int
try_pages(struct trial *t, const struct run *r, struct err *err)
{
	int64_t seq = 0, done = 0;
	const uint8_t *page;
	size_t len;
	int rc = 0;

	while (rc == 0 && done < r->whole && !is_late(t)) {
		if (is_stopped(t))
			return err_set(err, E_INTERRUPTED, NULL, "interrupted");
		rc = inbox_page(t->s, r->id, done, &seq, &page, &len, err);
		if (rc != 0 || seq == 0 || seq > r->whole)
			break;
		rc = sql_do(t->db, err, "SELECT crsql_import(?1, 1)", "b", page, len);
		done = seq;
	}
	if (rc == 0 && r->ended && !t->late)
		rc = sql_do(t->db, err, "SELECT crsql_unpark()", "");
	return rc;
}

/* Everything of a remote that would be merged. */
static int
try_remote(struct trial *t, const struct store_remote *remote, struct err *err)
{
	struct run r = { .id = 0 }, before = { .id = 0 };
	uint64_t transactions = 0, rows = 0;
	bool fits = true;
	int rc = inbox_held(t->s, remote->key, &transactions, &rows, err);

	while (rc == 0 && fits) {
		rc = inbox_run(t->s, remote->key, before.id, &r, err);
		if (rc == 0 && r.id != 0)
			rc = fetched_fits(t->s, remote->id, &r, before.id != 0 ?
			    &before.asked : NULL, &fits, err);
		if (rc != 0 || r.id == 0 || !fits)
			break;
		rc = try_pages(t, &r, err);
		run_clear(&before);
		before = r;
		memset(&r, 0, sizeof r);
	}
	run_clear(&r);
	run_clear(&before);
	t->sum->transactions += transactions;
	t->sum->rows += rows;
	return rc;
}

struct all_remotes {
	struct trial *t;
	struct err *err;
};

static int
on_remote(void *self, const struct store_remote *remote)
{
	struct all_remotes *a = self;

	return try_remote(a->t, remote, a->err);
}

static int
try_all(struct trial *t, struct err *err)
{
	struct all_remotes all = { t, err };
	struct store_remote remote;
	int rc;

	if (t->what->remote == NULL)
		return store_remote_each(t->s, on_remote, &all, err);
	rc = store_remote_by_name(t->s, t->what->remote, &remote, err);
	return rc == 0 ? try_remote(t, &remote, err) : rc;
}

/* -- the transaction ------------------------------------------------------------------ */

/* Merges, and copies what that did into l. */
static int
try_and_look(struct trial *t, struct look *l, struct err *err)
{
	uint64_t before = 0, after = 0;
	int64_t head = 0;
	int rc = sql_do(t->db, err, "SELECT crsql_keep_before(1)", "");

	if (rc == 0)
		rc = keep_newest(t->db, &head, err);
	if (rc == 0)
		rc = merge_parked(t->db, &before, err);
	if (rc == 0)
		rc = try_all(t, err);
	if (rc == 0)
		rc = merge_parked(t->db, &after, err);
	t->sum->parked = after > before ? after - before : 0;
	if (rc == 0 && !is_late(t)) {
		rc = look_open(l, t->s, t->db, head + 1, INT64_MAX,
		    t->limit_ms != 0 ? t->started_ms + t->limit_ms : 0, err);
		t->late = t->late || l->late;
	}
	/* those that come with what is merged are known there only */
	return rc == 0 && !t->late ? authors_load_of(t->s, t->db, &l->authors,
	    err) : rc;
}

/* One attempt, in place or on a copy. */
static int
attempt(struct trial *t, bool copy, struct look *l, struct err *err)
{
	int rc;

	memset(l, 0, sizeof *l);
	memset(t->sum, 0, sizeof *t->sum);
	t->late = false;
	t->db = NULL;
	rc = connect(t, copy, err);
	if (rc == 0)
		rc = sql_begin(t->db, err);
	if (rc == 0) {
		t->started_ms = ticks_ms();
		if (copy)
			t->limit_ms = 0;
		rc = try_and_look(t, l, err);
		sqlite3_exec(t->db, "ROLLBACK", NULL, NULL, NULL);
	}
	sqlite3_close(t->db);
	l->db = NULL;
	return rc;
}

static int
find_out(struct trial *t, struct look *l, struct err *err)
{
	struct merge_limits limits;
	bool copy = t->s->readonly;
	int rc = merge_limits(t->s, &limits, err);

	if (rc != 0)
		return rc;
	t->limit_ms = (int64_t)limits.ms;
	if (!copy) {
		rc = attempt(t, false, l, err);
		copy = (rc == 0 && t->late) || rc == E_FATAL;
	}
	if (!copy)
		return rc;
	look_clear(l);
	err_clear(err);
	return attempt(t, true, l, err);
}

/* -- rows ------------------------------------------------------------------------------- */

/* A chosen table by its own name, as rows have it. */
static int
choose_tables(struct store *s, const struct store_diff *what, char ***out,
    struct err *err)
{
	size_t i;
	int rc = 0;

	*out = calloc(what->ntables + 1, sizeof **out);
	if (*out == NULL)
		return err_nomem(err);
	for (i = 0; i < what->ntables && rc == 0; i++)
		rc = history_table(s, what->table[i], &(*out)[i], err);
	return rc;
}

static bool
is_chosen(char *const *table, const char *name)
{
	size_t i;

	for (i = 0; table[i] != NULL; i++)
		if (strcmp(table[i], name) == 0)
			return true;
	return i == 0;
}

static bool
is_same(const struct store_value *a, const struct store_value *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case STORE_INTEGER:
		return a->integer == b->integer;
	case STORE_REAL:
		return a->real == b->real;
	case STORE_TEXT:
	case STORE_BLOB:
		return a->size == b->size &&
		    memcmp(a->data, b->data, a->size) == 0;
	default:
		return true;
	}
}

/* Cells that make a difference; false where there is none: what was not here is
 * deleted, what was set is what it was. */
static bool
differs(struct look *l, const struct look_row *row, struct store_diff_row *out)
{
	const struct look_cell *c;
	size_t i;

	if (row->dead && !row->existed)
		return false;
	out->kind = row->dead ? STORE_DELETED : row->existed ? STORE_CHANGED :
	    STORE_INSERTED;
	out->cell = rows_take(&l->rows, row->ncell * sizeof *out->cell + 1);
	for (i = 0; i < row->ncell && out->cell != NULL; i++) {
		c = &row->cell[i];
		if (out->kind == STORE_CHANGED && c->was &&
		    is_same(&c->before, &c->after))
			continue;
		if (out->kind == STORE_INSERTED && !c->stands)
			continue;
		out->cell[out->ncell++] = (struct store_diff_cell){
			.column = c->column, .before = c->before,
			.after = c->after,
			.was_known = c->was && out->kind != STORE_INSERTED };
	}
	return out->kind != STORE_CHANGED || out->ncell > 0;
}

static int
give_row(struct look *l, const struct look_row *row,
    int (*each)(void *self, const struct store_diff_row *row), void *self,
    struct err *err)
{
	struct store_diff_row out = { .table = row->table,
		.version = (uint64_t)row->version, .time_ms = row->time_ms };
	int rc;

	if (!differs(l, row, &out))
		return 0;
	if (out.cell == NULL)
		return err_nomem(err);
	rc = look_key(l, row, &out.key, &out.nkey, err);
	if (rc == 0)
		rc = authors_get(l->s, &l->authors, row->site, &out.author, err);
	return rc == 0 ? each(self, &out) : rc;
}

int
store_diff(struct store *s, const struct store_diff *what,
    int (*each)(void *self, const struct store_diff_row *row), void *self,
    struct store_diff_sum *out, struct err *err)
{
	struct trial t = { .s = s, .what = what, .sum = out };
	struct look_row row;
	struct look l = { .s = NULL };
	char **table = NULL;
	bool found = true, there = false;
	size_t i;
	int rc;

	memset(out, 0, sizeof *out);
	store_fold(s);
	rc = choose_tables(s, what, &table, err);
	if (rc == 0)
		rc = inbox_open_if_there(s, &there, err);
	if (rc == 0 && there)
		rc = find_out(&t, &l, err);
	while (rc == 0 && there && found) {
		rc = look_next(&l, &row, &found, err);
		if (rc == 0 && is_stopped(&t))
			rc = err_set(err, E_INTERRUPTED, NULL, "interrupted");
		if (rc == 0 && found && is_chosen(table, row.table))
			rc = give_row(&l, &row, each, self, err);
	}
	look_clear(&l);
	for (i = 0; table != NULL && table[i] != NULL; i++)
		free(table[i]);
	free(table);
	return rc;
}
