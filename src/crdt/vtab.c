// SPDX-License-Identifier: MPL-2.0
/* vtab.c - see vtab.h. */
#include "crdt/vtab.h"

#include <string.h>

SQLITE_EXTENSION_INIT3

int
vtab_connect(sqlite3 *db, struct engine *e, const char *schema, size_t size,
    sqlite3_vtab **out)
{
	struct vtab *v;
	int rc = sqlite3_declare_vtab(db, schema);

	*out = NULL;
	if (rc != SQLITE_OK)
		return rc;
	v = sqlite3_malloc64(size);
	if (v == NULL)
		return SQLITE_NOMEM;
	memset(v, 0, size);
	v->e = e;
	*out = &v->base;
	return SQLITE_OK;
}

int
vtab_disconnect(sqlite3_vtab *v)
{
	sqlite3_free(v);
	return SQLITE_OK;
}

int
vtab_open(size_t size, sqlite3_vtab_cursor **out)
{
	*out = sqlite3_malloc64(size);
	if (*out == NULL)
		return SQLITE_NOMEM;
	memset(*out, 0, size);
	return SQLITE_OK;
}

int
vtab_fail(sqlite3_vtab *v, int rc)
{
	struct engine *e = ((struct vtab *)v)->e;

	sqlite3_free(v->zErrMsg);
	v->zErrMsg = sqlite3_mprintf("%s", engine_error(e));
	return rc;
}
