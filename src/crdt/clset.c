// SPDX-License-Identifier: MPL-2.0
/*
 * clset.c - CREATE VIRTUAL TABLE x_schema USING clset(columns): makes the table
 * x and makes it a replicated one; DROP TABLE x_schema drops x.  x_schema
 * itself has nothing to read or write.
 *
 * SQLite calls this inside a statement that writes: there is no savepoint, and
 * what that statement did goes with it when it fails.
 */
#include <string.h>

#include "crdt/crr.h"
#include "crdt/vtab.h"

SQLITE_EXTENSION_INIT3

#define SUFFIX "_schema"

enum { SUFFIX_LEN = sizeof SUFFIX - 1 };

struct clset {
	struct vtab vtab;
	char *name;             /* of the table it made */
};

/* The name without its suffix; NULL if it has none, or without memory. */
static char *
table_name(const char *name)
{
	size_t len = strlen(name);

	return len > SUFFIX_LEN &&
	    sqlite3_stricmp(name + len - SUFFIX_LEN, SUFFIX) == 0 ?
	    sqlite3_mprintf("%.*s", (int)(len - SUFFIX_LEN), name) : NULL;
}

static int
connect_to(sqlite3 *db, void *aux, const char *name, sqlite3_vtab **out)
{
	struct clset *c;
	int rc = vtab_connect(db, aux, "CREATE TABLE x(alteration HIDDEN, "
	    "schema HIDDEN)", sizeof *c, out);

	if (rc != SQLITE_OK)
		return rc;
	c = (struct clset *)*out;
	c->name = table_name(name);
	if (c->name != NULL)
		return SQLITE_OK;
	sqlite3_free(c);
	*out = NULL;
	return SQLITE_NOMEM;
}

static int
clset_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
    sqlite3_vtab **out, char **why)
{
	(void)argc;
	(void)why;
	return connect_to(db, aux, argv[2], out);
}

static int
make_table(struct engine *e, const char *name, int n,
    const char *const *columns)
{
	sqlite3_str *s = sqlite3_str_new(e->db);
	char *sql;
	int i, rc;

	sqlite3_str_appendf(s, "CREATE TABLE main.\"%w\"(", name);
	for (i = 0; i < n; i++)
		sqlite3_str_appendf(s, "%s%s", i ? ", " : "", columns[i]);
	sqlite3_str_appendall(s, ")");
	rc = engine_text(s, SQLITE_OK, &sql);
	if (rc == SQLITE_OK)
		rc = engine_exec(e, "%s", sql);
	sqlite3_free(sql);
	return rc == SQLITE_OK ? crr_make_inside(e, name) : rc;
}

static int
clset_create(sqlite3 *db, void *aux, int argc, const char *const *argv,
    sqlite3_vtab **out, char **why)
{
	struct engine *e = aux;
	char *name = table_name(argv[2]);
	int rc = SQLITE_OK;

	if (name == NULL)
		rc = engine_fail(e, SQLITE_ERROR, "%s MUST end with _schema. E.g., "
		    "%s_schema. Two tables will be created: %s_schema for managing "
		    "the CRDT schemas and %s for storing the data.", argv[2],
		    argv[2], argv[2], argv[2]);
	else if (sqlite3_stricmp(argv[1], "main") != 0)
		rc = engine_fail(e, SQLITE_ERROR, "tables of the main database are "
		    "replicated, not those of %s", argv[1]);
	if (rc == SQLITE_OK)
		rc = make_table(e, name, argc - 3, argv + 3);
	if (rc == SQLITE_OK)
		rc = connect_to(db, aux, argv[2], out);
	else
		*why = sqlite3_mprintf("%s", engine_error(e));
	sqlite3_free(name);
	return rc;
}

static int
clset_disconnect(sqlite3_vtab *v)
{
	sqlite3_free(((struct clset *)v)->name);
	return vtab_disconnect(v);
}

/* SQLite takes no sentence from here, and would not free it. */
static int
clset_destroy(sqlite3_vtab *v)
{
	struct engine *e = ((struct vtab *)v)->e;
	const char *name = ((struct clset *)v)->name;
	int rc = crr_unmake_inside(e, name);

	if (rc == SQLITE_OK)
		rc = engine_exec(e, "DROP TABLE IF EXISTS main.\"%w\"", name);
	return rc == SQLITE_OK ? clset_disconnect(v) : rc;
}

/* It has no rows to read, and no cursor: no plan is ever found. */
static int
clset_best_index(sqlite3_vtab *v, sqlite3_index_info *info)
{
	(void)v;
	(void)info;
	return SQLITE_CONSTRAINT;
}

static int
clset_rename(sqlite3_vtab *v, const char *name)
{
	(void)name;
	engine_fail(((struct vtab *)v)->e, SQLITE_ERROR, "a table of clset keeps "
	    "its name: by it the table that it made is known");
	return vtab_fail(v, SQLITE_ERROR);
}

int
clset_register(struct engine *e)
{
	static const sqlite3_module module = {
		.xCreate = clset_create, .xConnect = clset_connect,
		.xBestIndex = clset_best_index,
		.xDisconnect = clset_disconnect, .xDestroy = clset_destroy,
		.xRename = clset_rename,
	};

	return sqlite3_create_module(e->db, "clset", &module, e);
}
