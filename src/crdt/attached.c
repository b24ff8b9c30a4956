// SPDX-License-Identifier: MPL-2.0
/* attached.c - see attached.h. */
#include "crdt/attached.h"

SQLITE_EXTENSION_INIT3

/* Whether there is a table of clocks is known without a query. */
static bool
may_be_replicated(struct engine *e, const char *schema, const char *name)
{
	char *clocks = sqlite3_mprintf("%s__crsql_meta", name);
	bool there = clocks != NULL && sqlite3_table_column_metadata(e->db,
	    schema, clocks, "m", NULL, NULL, NULL, NULL, NULL) == SQLITE_OK;

	sqlite3_free(clocks);
	return there;
}

bool
attached_refuses(struct engine *e, const char *schema, const char *name)
{
	int64_t there = 0;

	if (sqlite3_stricmp(schema, "temp") == 0 ||
	    !may_be_replicated(e, schema, name))
		return false;
	/* where plain programs may not write there is none */
	return engine_int(e, &there, "SELECT count(*) FROM \"%w\".sqlite_schema "
	    "WHERE type = 'trigger' AND name = '%q__crsql_dtrig'", schema,
	    name) == SQLITE_OK && there > 0;
}
