// SPDX-License-Identifier: MPL-2.0
/*
 * other.c - tables that a peer replicates and we don't.  They are not asked for
 * (R12), but named at the end of each pull, so that nobody believes to have
 * all.
 */
#include <stdlib.h>
#include <string.h>

#include "store/held.h"
#include "store/sql.h"
#include "store/store_private.h"
#include "wire/limits.h"

_Static_assert((int)STORE_OTHERS_MAX == (int)WIRE_OTHERS_MAX, "all fit");

int
other_find(const struct held *h, bool (*asked)(void *self, const char *name),
    void *self, struct store_end *end, struct err *err)
{
	size_t i;

	end->other = calloc(STORE_OTHERS_MAX, sizeof *end->other);
	if (end->other == NULL)
		return err_nomem(err);
	for (i = 0; i < h->ntables && end->nothers < STORE_OTHERS_MAX; i++) {
		if (asked(self, h->table[i].name) ||
		    strlen(h->table[i].name) > WIRE_NAME_MAX)
			continue;
		end->other[end->nothers] = strdup(h->table[i].name);
		if (end->other[end->nothers] == NULL)
			return err_nomem(err);
		end->nothers++;
	}
	return 0;
}

/* True if what stands in the database is what end names. */
static bool
is_noted(struct store *s, int64_t remote, const struct store_end *end)
{
	int64_t n, there = 0;
	size_t i;

	if (sql_int(s->db, &n, NULL, "SELECT count(*) FROM ddcp_other WHERE "
	    "remote = ?1", "i", remote) != 0 || (uint64_t)n != end->nothers)
		return false;
	for (i = 0; i < end->nothers; i++)
		if (sql_int(s->db, &there, NULL, "SELECT count(*) FROM ddcp_other "
		    "WHERE remote = ?1 AND name = ?2", "it", remote,
		    end->other[i]) != 0 || there == 0)
			return false;
	return true;
}

static int
write_names(struct store *s, int64_t remote, const struct store_end *end)
{
	size_t i;
	int rc;

	rc = sql_do(s->db, NULL, "DELETE FROM ddcp_other WHERE remote = ?1", "i",
	    remote);
	for (i = 0; i < end->nothers && rc == 0; i++)
		rc = sql_do(s->db, NULL, "INSERT OR IGNORE INTO ddcp_other "
		    "VALUES(?1, ?2)", "it", remote, end->other[i]);
	return rc;
}

void
other_note(struct store *s, int64_t remote, const struct store_end *end)
{
	if (s->readonly || is_noted(s, remote, end))
		return;
	sqlite3_busy_timeout(s->db, 0);
	if (sql_begin(s->db, NULL) == 0)
		sql_end(s->db, write_names(s, remote, end), NULL);
	sqlite3_busy_timeout(s->db, s->busy_ms);
}

static int
read_names(struct store *s, const struct held *here, int64_t remote,
    int (*each)(void *self, const char *table), void *self, struct err *err)
{
	sqlite3_stmt *stmt;
	const char *name;
	bool row = true;
	int rc;

	rc = sql_open(s->db, &stmt, err, "SELECT name FROM ddcp_other "
	    "WHERE remote = ?1 ORDER BY name COLLATE NOCASE", "i", remote);
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		name = (const char *)sqlite3_column_text(stmt, 0);
		/* One that was made here since then comes with the next pull. */
		if (name != NULL && held_find(here, name) == NULL)
			rc = each(self, name);
	}
	sqlite3_finalize(stmt);
	return rc;
}

int
store_other_each(struct store *s, int64_t remote, int (*each)(void *self,
    const char *table), void *self, struct err *err)
{
	struct held here;
	int rc;

	store_only_look(s, true);
	rc = held_load(s->db, &here, err);
	if (rc == 0)
		rc = read_names(s, &here, remote, each, self, err);
	held_clear(&here);
	store_only_look(s, false);
	return rc;
}
