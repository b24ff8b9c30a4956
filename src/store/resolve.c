// SPDX-License-Identifier: MPL-2.0
/*
 * resolve.c - a conflict is settled: what won stays, or what lost, or another
 * value, is written, as any change of ours; and it counts as reviewed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/config.h"
#include "store/ledger.h"
#include "store/sql.h"
#include "store/store_private.h"
#include "store/write.h"

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

/* True if a row of that key stood in the way of one. */
static bool
is_there(sqlite3 *db, int rc)
{
	int code = sqlite3_extended_errcode(db);

	return (rc & 0xFF) == SQLITE_CONSTRAINT && (code ==
	    SQLITE_CONSTRAINT_PRIMARYKEY || code == SQLITE_CONSTRAINT_ROWID);
}

/* Writes what lost, or a value that is given in place of it. */
static int
write_lost(struct store *s, const struct store_conflict *c,
    enum store_change_kind kind, const struct store_value *given, int *changed,
    struct err *err)
{
	struct store_diff_row row = { .kind = kind, .table = c->table,
		.key = c->key, .nkey = c->nkey, .ncell = c->nlost };
	size_t i;
	int rc;

	*changed = 0;
	row.cell = calloc(c->nlost + 1, sizeof *row.cell);
	if (row.cell == NULL)
		return err_nomem(err);
	for (i = 0; i < c->nlost; i++)
		row.cell[i] = (struct store_diff_cell){
			.column = c->lost[i].column,
			.after = given != NULL ? *given : c->lost[i].loser };
	/* all that is wanted of a row that lost no value is that it is there */
	rc = write_row(s->db, &row, c->nlost == 0 ? " OR ABORT" : "", changed);
	free(row.cell);
	if (c->nlost == 0 && kind == STORE_INSERTED && is_there(s->db, rc))
		return 0;
	return rc == SQLITE_OK ? 0 : refused(s->db, rc, err);
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
settle_row(struct store *s, const struct store_conflict *c, struct err *err)
{
	bool dead;
	int changed = 0, rc = was_delete(s, c, &dead, err);

	if (rc == 0 && dead)
		return write_lost(s, c, STORE_DELETED, NULL, &changed, err);
	if (rc == 0 && c->nlost > 0)
		rc = write_lost(s, c, STORE_CHANGED, NULL, &changed, err);
	return rc == 0 && changed == 0 ? write_lost(s, c, STORE_INSERTED, NULL,
	    &changed, err) : rc;
}

static int
settle_cell(struct store *s, const struct store_conflict *c,
    const struct store_value *given, struct err *err)
{
	int changed, rc;

	if (c->nlost == 0)
		return err_set(err, E_NOTFOUND, NULL, "its column is gone");
	rc = write_lost(s, c, STORE_CHANGED, given, &changed, err);
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
		rc = c->row ? settle_row(s, c, err) : settle_cell(s, c,
		    choice == STORE_GIVEN ? value : NULL, err);
	return rc == 0 ? sql_do(s->db, err, "SELECT crsql_reviewed(?1)", "i",
	    (int64_t)c->id) : rc;
}

int
store_resolve(struct store *s, uint64_t id, enum store_choice choice,
    const struct store_value *value, struct err *err)
{
	struct ledger ledger = { .s = s };
	struct conflict c;
	int rc = store_writable(s, err);

	memset(&c, 0, sizeof c);
	if (rc == 0)
		rc = ledger_open(&ledger, s, err);
	if (rc == 0)
		rc = sql_begin(s->db, err);
	if (rc == 0) {
		rc = conflict_read(&ledger, id, &c, err);
		if (rc == 0)
			rc = settle(s, &c.is, choice, value, err);
		rc = sql_end(s->db, rc, err);
	}
	conflict_clear(&c);
	ledger_close(&ledger);
	if (rc == 0)
		store_forget_reviewed(s, NULL);
	return rc;
}

int
store_forget_reviewed(struct store *s, struct err *err)
{
	uint64_t days;
	int rc;

	if (s->readonly)
		return 0;
	rc = config_number(s, "conflicts.keep-days", &days, err);
	return rc != 0 ? rc : sql_do(s->db, err, "SELECT crsql_forget_reviewed(?1)",
	    "i", clock_ms() - (int64_t)days * 86400000);
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
