// SPDX-License-Identifier: MPL-2.0
/* page.c - pages of what was changed, as a puller gets them. */
#include "bench.h"

enum { PAGE_BYTES = 1 << 18 };

void
export_behind(struct job *job, const char *cursor)
{
	char *sql = sqlite3_mprintf("SELECT crsql_export(x'01010174%s00', ?, ?)",
	    cursor);
	sqlite3_stmt *page = prepare(job->db, sql);
	sqlite3_stmt *end = prepare(job->db, "SELECT crsql_page_end(?1), "
	    "crsql_page_flags(?1) & 1");
	bool last = false;

	run_sql(job->db, "BEGIN");
	sqlite3_bind_int(page, 2, PAGE_BYTES);
	while (!last) {
		check(job->db, sqlite3_step(page), "export");
		sqlite3_bind_blob(end, 1, sqlite3_column_blob(page, 0),
		    sqlite3_column_bytes(page, 0), SQLITE_STATIC);
		check(job->db, sqlite3_step(end), "page");
		tape_add_blob(job->tape, sqlite3_column_blob(page, 0),
		    sqlite3_column_bytes(page, 0));
		last = sqlite3_column_int(end, 1) != 0;
		sqlite3_reset(page);
		sqlite3_bind_value(page, 1, sqlite3_column_value(end, 0));
		sqlite3_reset(end);
	}
	sqlite3_finalize(page);
	sqlite3_finalize(end);
	run_sql(job->db, "COMMIT");
	sqlite3_free(sql);
}
