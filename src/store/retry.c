// SPDX-License-Identifier: MPL-2.0
/*
 * retry.c - parked changes are tried again when the schema has changed (R11):
 * by whom, and whether anything was written with it, does not matter.
 */
#include "store/merge.h"
#include "store/sql.h"
#include "store/store_private.h"

static int
unpark(struct store *s, struct err *err)
{
	int rc = sql_begin(s->db, err);

	if (rc == 0)
		rc = sql_end(s->db, sql_do(s->db, err, "SELECT crsql_unpark()",
		    ""), err);
	if (rc == 0)
		s->merges++;
	return rc;
}

int
retry_look(struct store *s, struct err *err)
{
	uint64_t parked = 0;
	int64_t schema;
	int rc;

	if (s->readonly || !sqlite3_get_autocommit(s->db))
		return 0;
	rc = sql_int(s->db, &schema, err, "PRAGMA schema_version", "");
	if (rc != 0 || schema == s->tried_schema)
		return rc;
	rc = merge_parked(s->db, &parked, err);
	if (rc == 0 && parked > 0)
		rc = unpark(s, err);
	/* Following the schema may itself have made triggers anew. */
	if (rc == 0)
		rc = sql_int(s->db, &schema, err, "PRAGMA schema_version", "");
	if (rc == 0)
		s->tried_schema = schema;
	return rc;
}
