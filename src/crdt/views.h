// SPDX-License-Identifier: MPL-2.0
/*
 * views.h - the tables <t>__crsql_clock and <t>__crsql_pks, which programs
 * written for cr-sqlite read: virtual ones here, made of the log and the data.
 *
 * They are eponymous: SQLite looks for a name that is in no schema among its
 * modules, so each replicated table has two modules of that name, and the
 * schema, which plain programs read, has nothing of them.  views.c keeps the
 * modules in step with the list of tables; clock_view.c and pks_view.c are the
 * two kinds.
 *
 * KEYS: a live row's is our own, its rowid.  A deleted row keeps it where it is
 * the primary key; any other has a negative one, made of its primary key.
 */
#ifndef CRDT_VIEWS_H
#define CRDT_VIEWS_H

#include "crdt/engine.h"
#include "crdt/vtab.h"

struct view {               /* what the two modules of a table know */
	struct engine *e;
	int users;              /* modules, and e's list */
	int id;                 /* crsql_tbl.id */
	char *name;             /* of the table */
	char *declared;         /* what pks_view.c declared; NULL: not yet */
};

struct view_vtab {
	struct vtab vtab;
	int id;
	int npk;                /* columns of the key, as declared: __pks only */
};

extern const sqlite3_module clock_view_module;
extern const sqlite3_module pks_view_module;

/* After the list of tables was read: modules for those that are new or have
 * another name or key; those of tables that are gone are taken away.  Never
 * while SQLite connects to one of them. */
int views_follow(struct engine *e);

/* The same for one table, the last of the list, that is new. */
int views_add(struct engine *e, const struct table *t);

/* At the end of the connection. */
void views_free(struct engine *e);

/* The declaration of a table's __pks; NULL without memory. */
char *pks_view_declare(const char *const *pk, int npk);

/* The table of a view, NULL if it is gone. */
struct table *view_table(sqlite3_vtab *v);

/* The key of a deleted row. */
int64_t view_dead_key(const struct table *t, const uint8_t *pk, int npk);

/* -- constraints on integers ---------------------------------------------------- */

struct view_range {
	int64_t lo, hi;
};

/* Takes the constraints on a column for arguments from *n + 1 on; a mask of
 * them, for view_narrow.  SQLite checks each again. */
int view_use(sqlite3_index_info *info, int column, int *n);

/* Narrows r by the values of the constraints in that mask; the next argument. */
sqlite3_value **view_narrow(struct view_range *r, int used,
    sqlite3_value **argv);

#endif
