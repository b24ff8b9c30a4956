// SPDX-License-Identifier: MPL-2.0
/*
 * resolve.c - a conflict is settled: what won stays, or what lost, or another
 * value, is written, as any change of ours; and it counts as reviewed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/ticks.h"
#include "store/config.h"
#include "store/history.h"
#include "store/ledger.h"
#include "store/sql.h"
#include "store/store_private.h"

enum { FORGET_EACH_MS = 3600000 };      /* it is looked whether some may go */

/* A statement as it grows, and the values for its parameters. */
struct write {
	sqlite3_str *sql;
	const struct store_value **value;
	size_t n;
};

static void
add_value(struct write *w, const char *format, const char *column,
    const struct store_value *v)
{
	w->value[w->n++] = v;
	sqlite3_str_appendf(w->sql, format, column, (int)w->n);
}

static void
add_where(struct write *w, const struct store_conflict *c)
{
	size_t i;

	for (i = 0; i < c->nkey; i++)
		add_value(w, i == 0 ? " WHERE \"%w\" IS ?%d" : " AND \"%w\" IS ?%d",
		    c->key[i].column, &c->key[i].value);
}

static int
begin_write(struct write *w, const struct store_conflict *c, struct err *err)
{
	w->n = 0;
	w->value = calloc(2 * c->nkey + 2 * c->nlost + 2, sizeof *w->value);
	w->sql = sqlite3_str_new(NULL);
	return w->value != NULL ? 0 : err_nomem(err);
}

/* Why a row can't be written, in SQLite's words. */
static int
refused(sqlite3 *db, int rc, struct err *err)
{
	if ((rc & 0xFF) != SQLITE_CONSTRAINT && (rc & 0xFF) != SQLITE_MISMATCH)
		return sql_fail(db, rc, err);
	return err_set(err, E_REFUSED, "write it yourself with \"ddcp shell\", and "
	    "settle the conflict with --winner", "the table does not take what lost: "
	    "%s", sqlite3_errmsg(db));
}

/* Ends w; *changed tells how many rows it wrote. */
static int
run(struct store *s, struct write *w, int rc, int *changed, struct err *err)
{
	char *sql = sqlite3_str_finish(w->sql);
	sqlite3_stmt *stmt = NULL;
	size_t i;

	if (rc == 0 && sql == NULL)
		rc = err_nomem(err);
	if (rc == 0)
		rc = sql_open(s->db, &stmt, err, sql, "");
	for (i = 0; i < w->n && rc == 0; i++)
		if (history_bind(stmt, (int)i + 1, w->value[i]) != SQLITE_OK)
			rc = sql_fail(s->db, sqlite3_errcode(s->db), err);
	if (rc == 0 && sqlite3_step(stmt) != SQLITE_DONE)
		rc = refused(s->db, sqlite3_extended_errcode(s->db), err);
	*changed = rc == 0 ? sqlite3_changes(s->db) : 0;
	sqlite3_finalize(stmt);
	sqlite3_free(sql);
	free(w->value);
	return rc;
}

/* UPDATE of the columns that lost, or of one to a value that is given. */
static int
update(struct store *s, const struct store_conflict *c,
    const struct store_value *given, int *changed, struct err *err)
{
	struct write w;
	size_t i;
	int rc = begin_write(&w, c, err);

	sqlite3_str_appendf(w.sql, "UPDATE main.\"%w\" SET ", c->table);
	for (i = 0; i < c->nlost && rc == 0; i++)
		add_value(&w, i == 0 ? "\"%w\" = ?%d" : ", \"%w\" = ?%d",
		    c->lost[i].column, given != NULL ? given : &c->lost[i].loser);
	if (rc == 0)
		add_where(&w, c);
	return run(s, &w, rc, changed, err);
}

static int
insert(struct store *s, const struct store_conflict *c, struct err *err)
{
	struct write w;
	size_t i;
	int changed, rc = begin_write(&w, c, err);

	sqlite3_str_appendf(w.sql, "INSERT INTO main.\"%w\"(", c->table);
	for (i = 0; i < c->nkey; i++)
		sqlite3_str_appendf(w.sql, i == 0 ? "\"%w\"" : ", \"%w\"",
		    c->key[i].column);
	for (i = 0; i < c->nlost; i++)
		sqlite3_str_appendf(w.sql, ", \"%w\"", c->lost[i].column);
	sqlite3_str_appendall(w.sql, ") VALUES(");
	for (i = 0; i < c->nkey && rc == 0; i++)
		add_value(&w, i == 0 ? "%.0s?%d" : "%.0s, ?%d", "",
		    &c->key[i].value);
	for (i = 0; i < c->nlost && rc == 0; i++)
		add_value(&w, "%.0s, ?%d", "", &c->lost[i].loser);
	sqlite3_str_appendall(w.sql, ")");
	return run(s, &w, rc, &changed, err);
}

static int
delete(struct store *s, const struct store_conflict *c, struct err *err)
{
	struct write w;
	int changed, rc = begin_write(&w, c, err);

	sqlite3_str_appendf(w.sql, "DELETE FROM main.\"%w\"", c->table);
	if (rc == 0)
		add_where(&w, c);
	return run(s, &w, rc, &changed, err);
}

/* A delete lost: nothing of the row did. */
static int
was_delete(struct store *s, const struct store_conflict *c, bool *was,
    struct err *err)
{
	int64_t length = 1;
	int rc = sql_int(s->db, &length, err, "SELECT lver FROM crsql_ledger WHERE "
	    "id = ?1", "i", (int64_t)c->id);

	*was = c->nlost == 0 && length % 2 == 0;
	return rc;
}

static int
write_row(struct store *s, const struct store_conflict *c, struct err *err)
{
	bool dead;
	int changed = 0, rc = was_delete(s, c, &dead, err);

	if (rc == 0 && dead)
		return delete(s, c, err);
	if (rc == 0 && c->nlost > 0)
		rc = update(s, c, NULL, &changed, err);
	return rc == 0 && changed == 0 ? insert(s, c, err) : rc;
}

static int
write_cell(struct store *s, const struct store_conflict *c,
    const struct store_value *given, struct err *err)
{
	int changed, rc;

	if (c->nlost == 0)
		return err_set(err, E_NOTFOUND, NULL, "its column is gone");
	rc = update(s, c, given, &changed, err);
	return rc == 0 && changed == 0 ? err_set(err, E_NOTFOUND, "--winner leaves "
	    "it as it is", "the row was deleted meanwhile") : rc;
}

/* -- which side -------------------------------------------------------------------- */

static void
name_author(const struct store_author *a, uint64_t version, char *out,
    size_t max)
{
	if (version > 0)
		snprintf(out, max, "%s@%llu", a->name, (unsigned long long)version);
	else
		snprintf(out, max, "%s", a->name);
}

/* "me" is this database, by all its names. */
static int
find_side(const struct store_conflict *c, enum store_choice choice, bool *loser,
    struct err *err)
{
	bool winner_own = strcmp(c->winner.name, "me") == 0;
	bool loser_own = strcmp(c->loser.name, "me") == 0;
	char winner[STORE_NAME_MAX + 24], lost[STORE_NAME_MAX + 24];

	*loser = choice == STORE_LOSER || choice == STORE_GIVEN;
	if (choice != STORE_OURS && choice != STORE_THEIRS)
		return 0;
	*loser = (choice == STORE_OURS) == loser_own;
	if (winner_own != loser_own)
		return 0;
	name_author(&c->winner, c->winner_version, winner, sizeof winner);
	name_author(&c->loser, c->loser_version, lost, sizeof lost);
	return err_set(err, E_USAGE, "say --winner or --loser", "%s of the two is "
	    "ours: the winner is %s's, the loser %s's",
	    winner_own ? "each" : "none", winner, lost);
}

static int
settle(struct store *s, const struct store_conflict *c,
    enum store_choice choice, const struct store_value *value, struct err *err)
{
	bool loser = false;
	int rc = find_side(c, choice, &loser, err);

	if (rc == 0 && choice == STORE_GIVEN && c->row)
		rc = err_set(err, E_USAGE, "say --winner or --loser, and write other "
		    "values yourself", "a whole row lost, and not one value");
	if (rc == 0 && loser)
		rc = c->row ? write_row(s, c, err) : write_cell(s, c,
		    choice == STORE_GIVEN ? value : NULL, err);
	return rc == 0 ? sql_do(s->db, err, "SELECT crsql_reviewed(?1)", "i",
	    (int64_t)c->id) : rc;
}

int
store_resolve(struct store *s, uint64_t id, enum store_choice choice,
    const struct store_value *value, struct err *err)
{
	struct authors authors = { 0 };
	struct conflict c;
	int rc = store_writable(s, err);

	memset(&c, 0, sizeof c);
	if (rc == 0)
		rc = authors_load(s, &authors, err);
	if (rc == 0)
		rc = sql_begin(s->db, err);
	if (rc == 0) {
		rc = conflict_read(s, &authors, id, &c, err);
		if (rc == 0)
			rc = settle(s, &c.is, choice, value, err);
		rc = sql_end(s->db, rc, err);
	}
	conflict_clear(&c);
	authors_clear(&authors);
	if (rc == 0)
		store_forget_reviewed(s, NULL);
	return rc;
}

int
store_forget_reviewed(struct store *s, struct err *err)
{
	struct timespec now;
	uint64_t days;
	int rc;

	if (s->readonly || (s->forgot_ms != 0 &&
	    ticks_ms() - s->forgot_ms < FORGET_EACH_MS))
		return 0;
	s->forgot_ms = ticks_ms();
	rc = config_number(s, "conflicts.keep-days", &days, err);
	clock_gettime(CLOCK_REALTIME, &now);
	if (rc == 0)
		rc = sql_do(s->db, err, "SELECT crsql_forget_reviewed(?1)", "i",
		    ((int64_t)now.tv_sec - (int64_t)days * 86400) * 1000);
	if (rc != 0)
		s->forgot_ms = 0;       /* the next one tries again */
	return rc;
}

int
store_review_all(struct store *s, uint64_t *n, struct err *err)
{
	int64_t count = 0;
	int rc = store_writable(s, err);

	if (rc == 0)
		rc = sql_int(s->db, &count, err, "SELECT crsql_reviewed()", "");
	if (rc == 0)
		store_forget_reviewed(s, NULL);
	*n = (uint64_t)count;
	return rc;
}
