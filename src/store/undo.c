// SPDX-License-Identifier: MPL-2.0
/*
 * undo.c - merges taken back: what they wrote over (look.h) is written as changes of
 * our own, where nobody has changed it since.
 */
#include <stdlib.h>
#include <string.h>

#include "store/history.h"
#include "store/keep.h"
#include "store/look.h"
#include "store/sql.h"
#include "store/store_private.h"
#include "store/write.h"

static const char since[] = "it was changed since";
static const char large[] = "what it had is more than 16 MiB, and was not kept";
static const char refused[] = "the table refuses it";

struct undo {
	struct store *s;
	struct look look;
	const char **why;       /* by row, in order: NULL where it was done */
	size_t n, room;
	struct err *err;
};

/* -- which ------------------------------------------------------------------------ */

/* Each transaction of the last merge. */
static int
take_last(struct undo *u, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int64_t low, high = 0;
	bool has = false, row = true;
	int rc = sql_has_table(u->s->db, "ddcp_merge", &has, err);

	if (rc == 0 && has)
		rc = sql_open(u->s->db, &stmt, err, "SELECT first, last FROM "
		    "ddcp_merge WHERE pull = (SELECT pull FROM ddcp_merge ORDER BY first "
		    "DESC LIMIT 1) ORDER BY first", "");
	while (rc == 0 && has && row) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		low = sqlite3_column_int64(stmt, 0);
		high = sqlite3_column_int64(stmt, 1);
		rc = look_notes(&u->look, low, high, err);
		if (rc == 0)
			rc = look_facts(&u->look, low, high, err);
	}
	sqlite3_finalize(stmt);
	if (rc == 0 && high == 0)
		rc = err_set(err, E_NOTFOUND, "merges are kept for undo.keep days: see "
		    "\"ddcp config --list\"", "there is no merge that could be taken "
		    "back");
	return rc;
}

/* What it wrote over must be kept. */
static int
check_kept(struct undo *u, const char *name, int64_t dbv, struct err *err)
{
	int64_t own = 0, kept = 0;
	bool has = false;
	int rc = sql_int(u->s->db, &own, err, "SELECT site IS NULL FROM crsql_log "
	    "WHERE dbv = ?1 AND pos = 0", "i", dbv);

	if (rc == 0 && own)
		return err_set(err, E_NOTFOUND, "what is written here is not noted: "
		    "write it again", "%s was written here, not merged", name);
	if (rc == 0)
		rc = sql_has_table(u->s->db, "ddcp_merge", &has, err);
	if (rc == 0 && has)
		rc = sql_int(u->s->db, &kept, err, "SELECT count(*) FROM ddcp_merge "
		    "WHERE ?1 BETWEEN first AND last", "i", dbv);
	if (rc == 0 && !kept)
		rc = err_set(err, E_NOTFOUND, "it is kept for undo.keep days, and at "
		    "most undo.max-bytes of it: see \"ddcp config --list\"",
		    "what %s wrote over is not kept", name);
	return rc;
}

static int
take_named(struct undo *u, const char *name, struct err *err)
{
	int64_t *dbv = NULL;
	size_t i, n = 0;
	int rc = history_find(u->s, name, &dbv, &n, err);

	for (i = 0; i < n && rc == 0; i++) {
		rc = check_kept(u, name, dbv[i], err);
		if (rc == 0)
			rc = look_notes(&u->look, dbv[i], dbv[i], err);
		if (rc == 0)
			rc = look_facts(&u->look, dbv[i], dbv[i], err);
	}
	free(dbv);
	return rc;
}

/* -- what is to be done to a row ------------------------------------------------------- */

/* Fills in what undoing the row is; false if there is nothing to undo. */
static bool
plan_row(struct undo *u, const struct look_row *row, struct store_undone *out)
{
	const struct look_cell *c;
	size_t i;

	out->row = (struct store_diff_row){ .table = row->table,
		.version = (uint64_t)row->version, .time_ms = row->time_ms };
	out->nleft = 0;
	out->why = row->large ? large : row->stands ? NULL : since;
	if (!row->existed && row->dead)
		return false;
	out->row.kind = !row->existed ? STORE_DELETED : row->dead ?
	    STORE_INSERTED : STORE_CHANGED;
	out->row.cell = rows_take(&u->look.rows, row->ncell *
	    sizeof *out->row.cell + 1);
	for (i = 0; i < row->ncell && out->row.cell != NULL; i++) {
		c = &row->cell[i];
		if (out->row.kind == STORE_CHANGED && c->was && !c->stands)
			out->nleft++;
		if (out->row.kind == STORE_CHANGED ? !c->was || !c->stands :
		    row->existed && !c->was)
			continue;
		out->row.cell[out->row.ncell++] = (struct store_diff_cell){
			.column = c->column, .was_known = c->stands,
			.before = c->after, .after = c->before };
	}
	if (out->why != NULL || out->row.kind != STORE_CHANGED ||
	    out->row.ncell > 0 || out->row.cell == NULL)
		return true;
	/* a new life that changed no value, as of a row without columns */
	if (out->nleft == 0)
		return false;
	out->why = since;
	return true;
}

/* -- doing it ------------------------------------------------------------------------- */

/* *done false: a constraint or a trigger refuses it, and it is as it was. */
static int
write_back(struct undo *u, const struct store_diff_row *r, bool *done,
    struct err *err)
{
	int changed, rc = write_row(u->s->db, r, " OR ABORT", &changed);

	*done = changed > 0;
	if (rc == SQLITE_CONSTRAINT && sqlite3_get_autocommit(u->s->db))
		return err_set(err, E_REFUSED, "drop the trigger, or write it yourself",
		    "nothing was taken back: a trigger of %s rolled it back",
		    r->table);
	return rc == SQLITE_OK || rc == SQLITE_CONSTRAINT || rc == SQLITE_MISMATCH ?
	    0 : sql_fail(u->s->db, rc, err);
}

/* A row that came with the merge goes only where nobody has set anything of it. */
static int
is_untouched(struct undo *u, const struct look_row *row, bool *is,
    struct err *err)
{
	int64_t n = 0;
	int rc = sql_int(u->s->db, &n, err, "SELECT count(*) FROM crsql_history WHERE "
	    "\"table\" = ?1 AND pk = ?2", "tb", row->table, row->pk, row->npk);

	*is = n == (int64_t)row->nfacts;
	return rc;
}

static int
note_why(struct undo *u, const char *why)
{
	const char **grown;

	if (u->n == u->room) {
		grown = realloc(u->why, (u->room + 1024) * sizeof *grown);
		if (grown == NULL)
			return err_nomem(u->err);
		u->why = grown;
		u->room += 1024;
	}
	u->why[u->n++] = why;
	return 0;
}

/* What is not taken back, and why. */
static int
judge_row(struct undo *u, const struct look_row *row, struct store_undone *r)
{
	bool is = true;
	int rc = 0;

	if (r->why == NULL && r->row.kind == STORE_DELETED) {
		rc = is_untouched(u, row, &is, u->err);
		r->why = is ? NULL : since;
	}
	return rc == 0 ? note_why(u, r->why) : rc;
}

static int
undo_row(struct undo *u, const struct look_row *row, struct store_undone *r,
    const char **why)
{
	bool done = true;
	int rc = look_key(&u->look, row, &r->row.key, &r->row.nkey, u->err);

	if (rc == 0)
		rc = write_back(u, &r->row, &done, u->err);
	*why = done ? NULL : refused;
	return rc;
}

/* All rows are judged before one is written: behind a write the engine puts the log
 * together first, once for each question. */
static int
undo_all(struct undo *u, bool judged)
{
	struct look_row row;
	struct store_undone r;
	bool found = true;
	size_t i = 0;
	int rc = 0;

	look_rewind(&u->look);
	while (rc == 0) {
		rc = look_next(&u->look, &row, &found, u->err);
		if (rc != 0 || !found)
			break;
		if (!plan_row(u, &row, &r))
			continue;
		if (r.row.cell == NULL)
			rc = err_nomem(u->err);
		else if (!judged)
			rc = judge_row(u, &row, &r);
		else if (u->why[i++] == NULL)
			rc = undo_row(u, &row, &r, &u->why[i - 1]);
	}
	return rc;
}

/* -- telling ---------------------------------------------------------------------------- */

static int
tell_all(struct undo *u, int (*each)(void *self, const struct store_undone *row),
    void *self, struct store_undo_sum *sum)
{
	struct look_row row;
	struct store_undone r;
	bool found = true;
	size_t i = 0;
	int rc = authors_load(u->s, &u->look.authors, u->err);

	look_rewind(&u->look);
	while (rc == 0) {
		rc = look_next(&u->look, &row, &found, u->err);
		if (rc != 0 || !found)
			break;
		if (!plan_row(u, &row, &r))
			continue;
		if (r.row.cell == NULL) {
			rc = err_nomem(u->err);
			break;
		}
		r.why = u->why[i++];
		sum->left += r.why != NULL;
		sum->partly += r.why == NULL && r.nleft > 0;
		sum->done += r.why == NULL && r.nleft == 0;
		rc = look_key(&u->look, &row, &r.row.key, &r.row.nkey, u->err);
		if (rc == 0 && row.stands)
			rc = authors_get(u->s, &u->look.authors, row.site,
			    &r.row.author, u->err);
		if (rc == 0)
			rc = each(self, &r);
	}
	return rc;
}

/* Who would do it again would take back what was merged before. */
static int
say_that_it_is_done(int rc, struct err *err)
{
	char why[ERR_TEXT_MAX];

	if (rc == 0 || err == NULL || err->code != rc)
		return rc;
	memcpy(why, err->text, sizeof why);
	return err_set(err, E_FATAL, NULL, "it is taken back, but what was can't "
	    "be told: %s", why);
}

int
store_undo(struct store *s, const struct store_undo *what,
    int (*each)(void *self, const struct store_undone *row), void *self,
    struct store_undo_sum *out, struct err *err)
{
	struct undo u = { .s = s, .err = err };
	int rc = store_writable(s, err);

	memset(out, 0, sizeof *out);
	if (rc == 0)
		rc = sql_begin(s->db, err);
	if (rc != 0)
		return rc;
	rc = sql_do(s->db, err, "SELECT crsql_fold()", "");
	if (rc == 0)
		rc = look_begin(&u.look, s, s->db, 0, err);
	if (rc == 0)
		rc = what->name != NULL ? take_named(&u, what->name, err) :
		    take_last(&u, err);
	if (rc == 0)
		rc = undo_all(&u, false);
	if (rc == 0)
		rc = undo_all(&u, true);
	if (rc == 0 && what->dry_run)
		sql_rollback(s->db);
	else
		rc = sql_end(s->db, rc, err);
	if (rc == 0) {
		rc = tell_all(&u, each, self, out);
		if (!what->dry_run)
			rc = say_that_it_is_done(rc, err);
	}
	look_clear(&u.look);
	free(u.why);
	return rc;
}
