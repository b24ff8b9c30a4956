// SPDX-License-Identifier: MPL-2.0
/* columns.c - numbers and birthdays of columns; see columns.h. */
#include "crdt/columns.h"

#include <stdlib.h>
#include <string.h>

#include "crdt/alter.h"
#include "crdt/journal.h"
#include "crdt/ledger.h"
#include "crdt/log.h"
#include "crdt/marker.h"
#include "crdt/mask.h"
#include "crdt/meta.h"
#include "crdt/schema.h"

SQLITE_EXTENSION_INIT3

/* A column as crsql_col has it. */
struct noted {
	int cid;
	char *name;
	int64_t born;
	int index;              /* the column it is now; -1: none */
};

struct noted_list {
	struct noted *at;
	int n;
	int next;               /* number never used */
};

void
columns_free(struct column *c, int n)
{
	int i;

	for (i = 0; i < n; i++)
		sqlite3_free(c[i].name);
	sqlite3_free(c);
}

/* -- numbers -------------------------------------------------------------------- */

static int
prepare_noted(struct engine *e, int table, sqlite3_stmt **stmt)
{
	int rc = engine_cached(e, SLOT_COLUMNS, "SELECT cid, name, born FROM "
	    "crsql_col WHERE tbl = ?1 ORDER BY cid", stmt);

	return rc == SQLITE_OK ? sqlite3_bind_int(*stmt, 1, table) : rc;
}

int
columns_print(struct engine *e, int id, uint64_t *print)
{
	sqlite3_stmt *stmt;
	const char *name;
	int64_t n[2];
	int rc = prepare_noted(e, id, &stmt);

	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		n[0] = sqlite3_column_int64(stmt, 0);
		n[1] = sqlite3_column_int64(stmt, 2);
		name = engine_column(stmt, 1, &rc);
		*print = schema_mix(*print, n, sizeof n);
		*print = schema_mix(*print, name, sqlite3_column_bytes(stmt, 1));
	}
	return stmt != NULL ? engine_reset(stmt, rc) : rc;
}

static int
read_noted(struct engine *e, const struct table *t, struct noted_list *l)
{
	sqlite3_stmt *stmt;
	struct noted *p;
	int rc = prepare_noted(e, t->id, &stmt);

	if (rc != SQLITE_OK)
		return rc;
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		l->next = sqlite3_column_int(stmt, 0) + 1;
		if (sqlite3_column_bytes(stmt, 1) == 0)
			continue;       /* gone */
		p = sqlite3_realloc64(l->at, sizeof *p * (uint64_t)(l->n + 1));
		if (p == NULL) {
			rc = SQLITE_NOMEM;
			break;
		}
		l->at = p;
		p += l->n++;
		p->cid = sqlite3_column_int(stmt, 0);
		rc = engine_copy(stmt, 1, &p->name);
		p->born = sqlite3_column_int64(stmt, 2);
		p->index = -1;
	}
	return engine_reset(stmt, rc);
}

/* Column i is the one noted. */
static int
take(struct table *t, int i, struct noted *as)
{
	struct column *c = &t->col[i];

	as->index = i;
	c->cid = as->cid;
	c->born = as->born;
	c->renamed = strcmp(c->name, as->name) != 0;
	return c->renamed ? columns_keep_name(t, as->name, (int)strlen(as->name), as->cid)
	    : SQLITE_OK;
}

/* The text of trigger i of t as it stands there, NULL if it does not. */
static const char *
trigger_text(const struct table *t, int i, const struct schema_table *in)
{
	const struct schema_row *r = schema_own_trigger(in, t->noted,
	    journal_trigger_suffix(i));

	return r != NULL ? r->sql : NULL;
}

/* By the triggers: *told if they name any column. */
static int
take_by_triggers(struct engine *e, struct table *t, struct noted_list *l,
    const struct schema_table *in, bool *told)
{
	const char *sql = trigger_text(t, JOURNAL_UPDATE_TRIGGER, in), *at = NULL;
	int i, j, cid, rc = SQLITE_OK;

	*told = false;
	for (i = 0; sql != NULL && i < t->ncol && rc == SQLITE_OK; i++) {
		rc = mask_sql_cid(e, sql, &at, &t->col[i], &cid);
		for (j = 0; j < l->n && l->at[j].cid != cid; j++)
			;
		if (rc != SQLITE_OK || j == l->n || l->at[j].index >= 0)
			continue;
		*told = true;
		rc = take(t, i, &l->at[j]);
	}
	return rc;
}

/* A column that was dropped leaves its name in the marker, which another one may
 * have got by a renaming: `renamed` ones come first. */
static int
take_marked(struct table *t, struct noted_list *l, struct marker m,
    bool renamed)
{
	struct marker_column c;
	int i, j, rc = SQLITE_OK;

	while (rc == SQLITE_OK && marker_next(&m, &c)) {
		for (j = 0; j < l->n && l->at[j].cid != c.cid; j++)
			;
		if (j == l->n || l->at[j].index >= 0 ||
		    marker_is(&c, l->at[j].name) == renamed)
			continue;
		for (i = 0; i < t->ncol && !marker_is(&c, t->col[i].name); i++)
			;
		if (i < t->ncol && t->col[i].cid < 0)
			rc = take(t, i, &l->at[j]);
	}
	return rc;
}

/* By the marker of a table that is being altered: *told if it is there. */
static int
take_by_marker(struct table *t, struct noted_list *l,
    const struct schema_table *in, bool *told)
{
	struct marker m;
	const char *sql = trigger_text(t, JOURNAL_COLUMNS_TRIGGER, in);
	int rc;

	if (sql == NULL || !marker_begin(&m, sql, t->noted))
		return SQLITE_OK;
	*told = true;
	rc = take_marked(t, l, m, true);
	return rc == SQLITE_OK ? take_marked(t, l, m, false) : rc;
}

static int
take_by_name(struct table *t, struct noted_list *l)
{
	int i, j, rc = SQLITE_OK;

	for (j = 0; j < l->n && rc == SQLITE_OK; j++) {
		if (l->at[j].index >= 0)
			continue;
		i = table_column(t, l->at[j].name, (int)strlen(l->at[j].name));
		if (i >= 0 && t->col[i].cid < 0)
			rc = take(t, i, &l->at[j]);
	}
	return rc;
}

/* By place, if none is gone, and those that are known stand where they stood:
 * new ones come behind. */
static int
take_by_place(struct table *t, struct noted_list *l)
{
	int i, rc = SQLITE_OK;

	if (l->n > t->ncol)
		return SQLITE_OK;
	for (i = 0; i < l->n; i++)
		if (l->at[i].index >= 0 ? l->at[i].index != i :
		    t->col[i].cid >= 0)
			return SQLITE_OK;
	for (i = 0; i < l->n && rc == SQLITE_OK; i++)
		if (l->at[i].index < 0)
			rc = take(t, i, &l->at[i]);
	return rc;
}

static int
number_new(struct engine *e, struct table *t, int next)
{
	int i, rc;

	for (i = 0; i < t->ncol; i++) {
		if (t->col[i].cid >= 0)
			continue;
		rc = table_load_hw(e, t);
		if (rc != SQLITE_OK)
			return rc;
		t->col[i].cid = next++;
		t->col[i].born = t->hw;
		t->col[i].unsaved = true;
	}
	return SQLITE_OK;
}

int
columns_read(struct engine *e, struct table *t, const struct schema_table *in)
{
	struct noted_list l = { NULL, 0, 0 };
	bool told = false;
	int i, rc = columns_names_of(e, t);

	if (rc == SQLITE_OK)
		rc = read_noted(e, t, &l);
	if (rc == SQLITE_OK)
		rc = take_by_triggers(e, t, &l, in, &told);
	if (rc == SQLITE_OK && !told)
		rc = take_by_marker(t, &l, in, &told);
	if (rc == SQLITE_OK)
		rc = take_by_name(t, &l);
	if (rc == SQLITE_OK && !told && !alter_is_open(e, t->id))
		rc = take_by_place(t, &l);
	if (rc == SQLITE_OK)
		rc = number_new(e, t, l.next);
	for (i = 0; i < l.n; i++) {
		t->gone = t->gone || l.at[i].index < 0;
		sqlite3_free(l.at[i].name);
	}
	sqlite3_free(l.at);
	return rc;
}

/* The number tells what is the same column: it may have got another name, and may
 * have been written down until a ROLLBACK TO.  Rows inserted since it was found are
 * younger, those that were undone count no more. */
void
columns_keep_births(struct table *t, const struct table *old)
{
	int i, j;

	for (j = 0; j < old->ncol; j++) {
		i = table_column_by_cid(t, old->col[j].cid);
		if (i >= 0 && t->col[i].unsaved && old->col[j].born < t->col[i].born)
			t->col[i].born = old->col[j].born;
	}
}

int
columns_preset(struct engine *e, const struct table *t, int i, char **out)
{
	sqlite3_stmt *stmt;
	int rc = engine_prepare(e, &stmt, "SELECT coalesce(dflt_value, 'NULL') FROM "
	    "pragma_table_info(%Q, 'main') WHERE name = %Q", t->name,
	    t->col[i].name);

	*out = NULL;
	if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		rc = engine_copy(stmt, 0, out);
	rc = engine_finalize(stmt, rc);
	return rc == SQLITE_OK && *out == NULL ? SQLITE_NOMEM : rc;
}

/* -- writing down ------------------------------------------------------------------- */

static int
save_column(struct engine *e, const struct table *t, struct column *c)
{
	int rc = SQLITE_OK;

	if (c->unsaved)
		rc = engine_exec(e, "INSERT INTO crsql_col VALUES(%d, %d, %Q, %lld)",
		    t->id, c->cid, c->name, c->born);
	else if (c->renamed)
		rc = engine_exec(e, "INSERT OR REPLACE INTO crsql_was SELECT tbl, "
		    "name, cid FROM crsql_col WHERE tbl = %d AND cid = %d; "
		    "UPDATE crsql_col SET name = %Q WHERE tbl = %d AND cid = %d",
		    t->id, c->cid, c->name, t->id, c->cid);
	e->tables.names_changed = e->tables.names_changed || c->renamed;
	c->came = c->came || c->unsaved;
	c->unsaved = c->renamed = false;
	return rc;
}

/* Columns that are gone keep their number, so that none is used twice. */
static int
save_gone(struct engine *e, struct table *t)
{
	sqlite3_str *s = sqlite3_str_new(e->db);
	int64_t gone = 0;
	char *cids;
	int i, rc;

	for (i = 0; i < t->ncol; i++)
		sqlite3_str_appendf(s, "%s%d", i ? ", " : "", t->col[i].cid);
	rc = engine_text(s, SQLITE_OK, &cids);
	if (rc == SQLITE_OK)
		rc = engine_int(e, &gone, "SELECT EXISTS(SELECT 1 FROM crsql_col "
		    "WHERE tbl = %d AND name <> '' AND cid NOT IN (%s))", t->id, cids);
	if (rc == SQLITE_OK && gone)
		rc = engine_exec(e, "UPDATE crsql_col SET name = '' WHERE tbl = %d "
		    "AND name <> '' AND cid NOT IN (%s)", t->id, cids);
	sqlite3_free(cids);
	if (rc == SQLITE_OK && gone)
		rc = ledger_forget_gone(e, t->id);
	return rc == SQLITE_OK && gone ? meta_forget_gone(e, t) : rc;
}

int
columns_save(struct engine *e, struct table *t)
{
	bool changed = t->gone;
	int i, rc = SQLITE_OK;

	for (i = 0; i < t->ncol; i++)
		changed = changed || t->col[i].unsaved || t->col[i].renamed;
	if (!changed)
		return SQLITE_OK;
	for (i = 0; i < t->ncol && rc == SQLITE_OK; i++)
		rc = save_column(e, t, &t->col[i]);
	if (rc == SQLITE_OK)
		rc = save_gone(e, t);
	/* a name that a column has is no old one; those of a column go with it */
	if (rc == SQLITE_OK)
		rc = engine_exec(e, "DELETE FROM crsql_was WHERE tbl = %d AND "
		    "(name IN (SELECT name FROM crsql_col WHERE tbl = %d) OR cid IN "
		    "(SELECT cid FROM crsql_col WHERE tbl = %d AND name = ''))",
		    t->id, t->id, t->id);
	t->gone = false;
	t->epoch = e->tables.epoch;
	return rc;
}

bool
columns_unsaved(const struct engine *e)
{
	const struct table *t = e->tables.table;
	int i, k;

	for (i = 0; i < e->tables.n; i++)
		for (k = 0; k < t[i].ncol; k++)
			if (t[i].col[k].unsaved || t[i].col[k].renamed)
				return true;
	return false;
}

int
columns_pending(const struct engine *e)
{
	const struct table *t = e->tables.table;
	int i, k, n = 0;

	for (i = 0; i < e->tables.n; i++)
		for (k = 0; k < t[i].ncol; k++)
			n += t[i].col[k].renamed;
	return n;
}

int
columns_tell(struct engine *e)
{
	struct log_row row = { .n = LOG_HEADER, .own = true };
	int rc;

	if (!e->tables.names_changed)
		return SQLITE_OK;
	e->tables.names_changed = false;
	rc = tx_own_dbv(e, &row.dbv);
	/* one that holds something is enough */
	return rc == SQLITE_OK && e->tx.next_pos == 0 ? log_append(e, &row) : rc;
}
