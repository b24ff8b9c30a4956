// SPDX-License-Identifier: MPL-2.0
/* journal_sql.c - the text of the triggers that write to the journal; see journal.h.
 * They are made, compared and dropped by triggers.c. */
#include "crdt/journal.h"

#include <string.h>

#include "crdt/capture.h"
#include "crdt/lookaside.h"
#include "crdt/mask.h"
#include "crdt/unique.h"

SQLITE_EXTENSION_INIT3

static const char *const suffixes[JOURNAL_NTRIGGERS] = {
	[JOURNAL_BEFORE_TRIGGER] = "btrig",
	[JOURNAL_INSERT_TRIGGER] = "itrig",
	[JOURNAL_UPDATE_TRIGGER] = "utrig",
	[JOURNAL_DELETE_TRIGGER] = "dtrig",
	[JOURNAL_HINT_TRIGGER] = "htrig",
	[JOURNAL_KEY_TRIGGER] = "ktrig",
	[JOURNAL_NULL_TRIGGER] = "ntrig",
	[JOURNAL_NULL_UPDATE_TRIGGER] = "mtrig",
	[JOURNAL_COLUMNS_TRIGGER] = "ctrig",
};

const char *
journal_trigger_suffix(int i)
{
	return suffixes[i];
}

/* FROM t.  A table called new or old is not to be taken for the row that is
 * written. */
static void
from_table(sqlite3_str *s, const struct table *t)
{
	bool taken = sqlite3_stricmp(t->name, "new") == 0 ||
	    sqlite3_stricmp(t->name, "old") == 0;

	sqlite3_str_appendf(s, "FROM \"%w\"%s WHERE ", t->name,
	    taken ? " AS crsql_row" : "");
}

/* "id" = new."id" AND ... or with IS NOT, joined by OR. */
static void
pk_terms(sqlite3_str *s, const struct table *t, const char *left,
    const char *op, const char *right, const char *joint, const char *tail)
{
	int i;

	for (i = 0; i < t->npk; i++)
		sqlite3_str_appendf(s, "%s%s\"%w\" %s %s\"%w\"%s",
		    i ? joint : "", left, t->pk[i].name, op, right,
		    t->pk[i].name, tail);
}

/* , pk, pk2 ... as columns of the journal.  A table without rowids has nothing
 * but these. */
static void
pk_names(sqlite3_str *s, const struct table *t)
{
	int i;

	if (t->integer_key)
		return;
	sqlite3_str_appendall(s, ", pk");
	for (i = 1; i < t->npk; i++)
		sqlite3_str_appendf(s, ", pk%d", i + 1);
}

static void
pk_values(sqlite3_str *s, const struct table *t, const char *prefix)
{
	int i;

	if (t->integer_key)
		return;
	for (i = 0; i < t->npk; i++)
		sqlite3_str_appendf(s, ", %s\"%w\"", prefix, t->pk[i].name);
}

/* Whether they work is told by functions that are others with the extension: see
 * capture.c.  Those behind a row ask printf(), too, which looks for the hook; earlier
 * builds know char() alone. */
static void
begin(sqlite3_str *s, const struct table *t, int i, const char *event)
{
	sqlite3_str_appendf(s, "CREATE TRIGGER \"%w__crsql_%s\" %s ON \"%w\" "
	    "WHEN %schar()=''", t->name, suffixes[i], event, t->name,
	    i == 0 || i == 4 ? "" : "printf() IS NULL AND ");
}

/* A hint for each row that the new key or rowid would replace, or that is in
 * the way by a unique index. */
static void
hint(sqlite3_str *s, const struct table *t, bool update, const char *unique)
{
	const char *rowid = t->rowid;

	sqlite3_str_appendf(s, " BEGIN INSERT INTO crsql_j(w%s",
	    t->aside ? "" : ", key");
	pk_names(s, t);
	sqlite3_str_appendf(s, ") SELECT %d", 8 * t->id + JOURNAL_HINT);
	if (!t->aside)
		sqlite3_str_appendf(s, ", %s", rowid);
	pk_values(s, t, "");
	sqlite3_str_appendall(s, " ");
	from_table(s, t);
	sqlite3_str_appendall(s, "(");
	pk_terms(s, t, "", "=", "new.", " AND ", "");
	if (!lookaside_names_pk(t))
		sqlite3_str_appendf(s, " OR %s = new.%s", rowid, rowid);
	sqlite3_str_appendf(s, "%s%s)", *unique ? " OR " : "", unique);
	if (update && t->aside) {
		sqlite3_str_appendall(s, " AND NOT (");
		pk_terms(s, t, "", "=", "old.", " AND ", "");
		sqlite3_str_appendall(s, ")");
	} else if (update) {
		sqlite3_str_appendf(s, " AND %s <> old.%s", rowid, rowid);
	}
	sqlite3_str_appendall(s, "; END");
}

static void
before_insert(sqlite3_str *s, const struct table *t, const char *unique)
{
	sqlite3_str_appendall(s, " AND (EXISTS(SELECT 1 ");
	from_table(s, t);
	pk_terms(s, t, "", "=", "new.", " AND ", "");
	sqlite3_str_appendall(s, ")");
	if (!lookaside_names_pk(t)) {
		sqlite3_str_appendf(s, " OR (new.%s <> -1 AND EXISTS(SELECT 1 ",
		    t->rowid);
		from_table(s, t);
		sqlite3_str_appendf(s, "%s = new.%s))", t->rowid, t->rowid);
	}
	if (*unique) {
		sqlite3_str_appendall(s, " OR EXISTS(SELECT 1 ");
		from_table(s, t);
		sqlite3_str_appendf(s, "%s)", unique);
	}
	sqlite3_str_appendall(s, ")");
	hint(s, t, false, unique);
}

/* With a unique index any column may be one that matters. */
static void
before_update(sqlite3_str *s, const struct table *t, const char *event,
    const char *unique)
{
	begin(s, t, JOURNAL_HINT_TRIGGER, *unique ? "BEFORE UPDATE" : event);
	hint(s, t, true, unique);
}

/* INSERT INTO crsql_j(...) of the row old or new, for an event without look-up. */
static void
record(sqlite3_str *s, const struct table *t, enum journal_op op,
    const char *row)
{
	bool pk = op == JOURNAL_DELETE || t->aside ||
	    (op == JOURNAL_INSERT && table_is_named(t));

	sqlite3_str_appendf(s, " BEGIN INSERT INTO crsql_j(w%s%s",
	    t->aside ? "" : ", key", op == JOURNAL_UPDATE ? ", mask" : "");
	if (pk)
		pk_names(s, t);
	sqlite3_str_appendf(s, ") VALUES(%d", 8 * t->id + (int)op);
	if (!t->aside)
		sqlite3_str_appendf(s, ", %s%s", row, t->rowid);
	if (op == JOURNAL_UPDATE) {
		sqlite3_str_appendall(s, ", ");
		mask_sql(s, t);
	}
	if (pk)
		pk_values(s, t, row);
	sqlite3_str_appendall(s, "); END");
}

static void
after_update(sqlite3_str *s, const struct table *t)
{
	/* what changes the key, or the rowid, is told by another trigger */
	if (!t->aside)
		sqlite3_str_appendf(s, " AND old.%s = new.%s", t->rowid, t->rowid);
	if (!t->integer_key) {
		sqlite3_str_appendall(s, " AND ");
		pk_terms(s, t, "old.", "IS", "new.", " AND ", " COLLATE BINARY");
	}
	record(s, t, JOURNAL_UPDATE, "new.");
}

static void
pk_changed(sqlite3_str *s, const struct table *t)
{
	sqlite3_str_appendall(s, "(");
	pk_terms(s, t, "old.", "IS NOT", "new.", " OR ", " COLLATE BINARY");
	sqlite3_str_appendall(s, ")");
}

/* Without a rowid another pk is a row deleted and one inserted. */
static void
after_rename(sqlite3_str *s, const struct table *t)
{
	int i;

	sqlite3_str_appendall(s, " AND ");
	pk_changed(s, t);
	sqlite3_str_appendall(s, " BEGIN");
	for (i = 0; i < 2; i++) {
		sqlite3_str_appendall(s, " INSERT INTO crsql_j(w");
		pk_names(s, t);
		sqlite3_str_appendf(s, ") VALUES(%d", 8 * t->id +
		    (i == 0 ? JOURNAL_DELETE : JOURNAL_INSERT));
		pk_values(s, t, i == 0 ? "old." : "new.");
		sqlite3_str_appendall(s, ");");
	}
	sqlite3_str_appendall(s, " END");
}

/* One record that says it all. */
static void
rekey(sqlite3_str *s, const struct table *t)
{
	sqlite3_str_appendall(s, " INSERT INTO crsql_j(w, key, mask");
	pk_names(s, t);
	sqlite3_str_appendf(s, ") VALUES(%d", 8 * t->id + JOURNAL_REKEY);
	if (!t->integer_key) {
		sqlite3_str_appendall(s, " + (NOT ");
		pk_changed(s, t);
		sqlite3_str_appendall(s, ")");
	}
	sqlite3_str_appendf(s, ", new.%s, old.%s", t->rowid, t->rowid);
	pk_values(s, t, "old.");
	sqlite3_str_appendall(s, ");");
}

/* A row deleted and one inserted, or one that moved, each with its pk. */
static void
rekey_named(sqlite3_str *s, const struct table *t)
{
	static const struct {
		enum journal_op op;
		const char *keys, *row, *where;
	} part[] = {
		{ JOURNAL_DELETE, "old.%s, NULL", "old.", "" },
		{ JOURNAL_INSERT, "new.%s, NULL", "new.", "" },
		{ JOURNAL_MOVE, "new.%s, old.%s", "old.", "NOT " },
	};
	size_t i;

	for (i = 0; i < sizeof part / sizeof *part; i++) {
		sqlite3_str_appendall(s, " INSERT INTO crsql_j(w, key, mask");
		pk_names(s, t);
		sqlite3_str_appendf(s, ") SELECT %d, ", 8 * t->id + part[i].op);
		sqlite3_str_appendf(s, part[i].keys, t->rowid, t->rowid);
		pk_values(s, t, part[i].row);
		sqlite3_str_appendf(s, " WHERE %s", part[i].where);
		pk_changed(s, t);
		sqlite3_str_appendall(s, ";");
	}
}

/* Another pk or rowid; where the pk stayed, columns may have changed too. */
static void
after_rekey(sqlite3_str *s, const struct table *t)
{
	const char *rowid = t->rowid;

	sqlite3_str_appendf(s, " AND (old.%s <> new.%s OR ", rowid, rowid);
	pk_changed(s, t);
	sqlite3_str_appendall(s, ") BEGIN");
	if (table_is_named(t))
		rekey_named(s, t);
	else
		rekey(s, t);
	if (!t->integer_key) {
		sqlite3_str_appendf(s, " INSERT INTO crsql_j(w, key, mask) SELECT %d, "
		    "new.%s, ", 8 * t->id + JOURNAL_UPDATE, rowid);
		mask_sql(s, t);
		sqlite3_str_appendall(s, " WHERE NOT ");
		pk_changed(s, t);
		sqlite3_str_appendall(s, ";");
	}
	sqlite3_str_appendall(s, " END");
}

static void
refuse_null(sqlite3_str *s, const struct table *t, int i, const char *event)
{
	int j;

	sqlite3_str_appendf(s, "CREATE TRIGGER \"%w__crsql_%s\" %s ON \"%w\" WHEN ",
	    t->name, suffixes[i], event, t->name);
	for (j = 0; j < t->npk; j++)
		sqlite3_str_appendf(s, "%snew.\"%w\" IS NULL", j ? " OR " : "",
		    t->pk[j].name);
	sqlite3_str_appendall(s, " BEGIN SELECT RAISE(ABORT, 'the key of a "
	    "replicated row may not be NULL'); END");
}

static void
trigger(sqlite3_str *s, const struct table *t, int i, const char *event,
    const char *unique)
{
	switch (i) {
	case JOURNAL_BEFORE_TRIGGER:
		begin(s, t, i, "BEFORE INSERT");
		before_insert(s, t, unique);
		break;
	case JOURNAL_INSERT_TRIGGER:
		begin(s, t, i, "AFTER INSERT");
		record(s, t, JOURNAL_INSERT, "new.");
		break;
	case JOURNAL_UPDATE_TRIGGER:
		begin(s, t, i, "AFTER UPDATE");
		after_update(s, t);
		break;
	case JOURNAL_DELETE_TRIGGER:
		begin(s, t, i, "AFTER DELETE");
		record(s, t, JOURNAL_DELETE, "old.");
		break;
	case JOURNAL_HINT_TRIGGER:
		before_update(s, t, event, unique);
		break;
	case JOURNAL_KEY_TRIGGER:
		begin(s, t, i, event);
		if (t->aside)
			after_rename(s, t);
		else
			after_rekey(s, t);
		break;
	case JOURNAL_NULL_TRIGGER:
		if (t->nullable_key)
			refuse_null(s, t, i, "BEFORE INSERT");
		break;
	default:
		if (t->nullable_key)
			refuse_null(s, t, i, event);
		break;
	}
}

/* Before or after an update of the key. */
static char *
key_event(const struct table *t, int i)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	int j;

	sqlite3_str_appendf(s, "%s UPDATE OF ", i == JOURNAL_KEY_TRIGGER ? "AFTER" :
	    "BEFORE");
	for (j = 0; j < t->npk; j++)
		sqlite3_str_appendf(s, "%s\"%w\"", j ? ", " : "", t->pk[j].name);
	if (i < JOURNAL_NULL_TRIGGER && !t->aside)
		sqlite3_str_appendall(s, ", rowid, oid, _rowid_");
	return sqlite3_str_finish(s);
}

int
journal_trigger_sql(struct engine *e, const struct table *t, int i, char **out)
{
	sqlite3_str *s = sqlite3_str_new(e->db);
	char *event = key_event(t, i), *unique = NULL;
	int rc = event != NULL ? SQLITE_OK : SQLITE_NOMEM;

	if (rc == SQLITE_OK && !t->lean && (i == JOURNAL_BEFORE_TRIGGER ||
	    i == JOURNAL_HINT_TRIGGER))
		rc = unique_condition(e, t, &unique);
	if (rc == SQLITE_OK)
		trigger(s, t, i, event, unique ? unique : "");
	rc = engine_text(s, rc, out);
	sqlite3_free(event);
	sqlite3_free(unique);
	return rc;
}

/* It costs nothing but at an UPDATE of the key. */
int
journal_marker_sql(const struct table *t, int i, char **out)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	int j;

	if (i != JOURNAL_INSERT_TRIGGER)
		return engine_text(s, SQLITE_OK, out);
	sqlite3_str_appendf(s, "CREATE TRIGGER \"%w__crsql_%s\" AFTER UPDATE OF ",
	    t->name, suffixes[i]);
	for (j = 0; j < t->npk; j++)
		sqlite3_str_appendf(s, "%s\"%w\"", j ? ", " : "", t->pk[j].name);
	sqlite3_str_appendf(s, " ON \"%w\" WHEN 0 BEGIN SELECT 1; END", t->name);
	return engine_text(s, SQLITE_OK, out);
}
