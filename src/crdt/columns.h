// SPDX-License-Identifier: MPL-2.0
/*
 * columns.h - the columns of a replicated table: their numbers, which stay
 * theirs under any name, their birthdays (R3), and the names they had.
 *
 * Databases know by these names what is one column (match.h): who is behind in
 * a renaming, or ahead, sends it by another name.  A renaming is known by
 * the journal's triggers, whose text SQLite changes with it; without them by
 * the place of the column, where all others stayed at theirs.
 *
 * A name travels without any row: who renames a column, or learns a name, gives
 * a db_version to it that holds nothing, and the last page for a reader who is
 * behind that has the names of all tables it asked for.
 */
#ifndef CRDT_COLUMNS_H
#define CRDT_COLUMNS_H

#include "crdt/table.h"

struct schema_table;

enum {
	COLUMN_UNKNOWN = -2,    /* instead of an index: it is not here */
	OLD_NAMES_MAX = 256     /* of a table, that are sent or learned */
};

/* Numbers, birthdays and old names of t, whose shape was read; in is what the
 * schema says of it, or NULL; only reads.  A column that is not known gets the next
 * number, born now. */
int columns_read(struct engine *e, struct table *t,
    const struct schema_table *in);

/* A fingerprint of what is written down of the columns of table id. */
int columns_print(struct engine *e, int id, uint64_t *print);

/* Reads the old names of t.  The other notes one in memory alone. */
int columns_names_of(struct engine *e, struct table *t);
int columns_keep_name(struct table *t, const char *name, int len, int cid);

/* Reads the old names alone again, of all tables of a list: another connection
 * may have learned some. */
int columns_read_names(struct engine *e, const struct table_list *l);

/* Writes down what columns_read found to be new, renamed or gone. */
int columns_save(struct engine *e, struct table *t);

/* True if columns_read found one, or a name, that is not written down yet. */
bool columns_unsaved(const struct engine *e);

/* How many columns have another name than is written down. */
int columns_pending(const struct engine *e);

/* Before a commit, all being folded: a db_version for names that changed. */
int columns_tell(struct engine *e);

/* Columns that old knew already, though not written down, keep the birthday
 * they had there. */
void columns_keep_births(struct table *t, const struct table *old);

/* The cid of the sentinel is -1.  That of a column of this name, or of this name
 * in double quotes, however many, is its name in one more pair of them: how
 * many there are, 0 for -1 itself, -1 for every other name. */
int columns_quotes(const char *name, int len);

/* True if no two of n names are the same to the byte; sorts them, as they can be
 * very many. */
struct column_name {
	const char *text;
	int len;
};
bool columns_differ(struct column_name *name, int n);

/* True if that is the name of a column of ours, as SQLite compares names: ASCII
 * letters in either case. */
bool columns_same(const char *ours, const char *name, int len);

/* True if t has names of columns to send. */
bool columns_have_old(const struct table *t);

/* The index of a column by its name, else by a name it had; -1. */
int columns_find(const struct table *t, const char *name, int len);

/* True if t->old[i] is of a column that is there, and no column's name now. */
bool columns_is_old(const struct table *t, int i);

/* True if a column has that name, had it, or it is known not to be one of
 * these. */
bool columns_knows(const struct table *t, const char *name, int len);

/* Notes that a column had, or has elsewhere, a name that is not known. */
int columns_add_name(struct engine *e, struct table *t, const char *name,
    int len, int col);

/* Notes that a name a column had is another column's elsewhere. */
int columns_forget_name(struct engine *e, struct table *t, const char *name,
    int len);

/* The DEFAULT of column i as SQL, sqlite3_malloc'ed. */
int columns_preset(struct engine *e, const struct table *t, int i, char **out);

/* Frees columns, and the old names of a table. */
void columns_free(struct column *c, int n);
void columns_free_names(struct table *t);

#endif
