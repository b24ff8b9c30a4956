// SPDX-License-Identifier: MPL-2.0
/*
 * size.c - how large the bookkeeping is: log, clocks, tombstones, and our own
 * tables, with their indexes.
 *
 * Nothing is counted that is long to count.  Of each b-tree the first pages are
 * looked at, in the order in which dbstat gives them, depth first: a small tree is
 * all of them, and exact; of a large one they are one way from the root down to the
 * leaves, and the product of how many children each level's pages have tells how
 * many leaves there are.  SQLite keeps trees balanced, so that this is right to
 * some parts in a hundred where rows came in order, and to a third where not.
 */
#include <string.h>

#include "store/sql.h"
#include "store/store_private.h"

enum {
	PAGES_MAX = 32,         /* looked at, of one tree */
	TREES_MAX = 512,        /* more than that: nothing is said */
	LEVELS_MAX = 20         /* of any tree of SQLite's */
};

/* What was seen of one tree. */
struct tree {
	struct {                /* by distance from the root */
		uint64_t pages, cells;
	} level[LEVELS_MAX];
	int leaves;             /* level of the leaves; -1: not reached */
	uint64_t pages, overflow;
	uint64_t page_size;
};

/* "/" is the root, "/000/" its first child, "/000/000+000001" an overflow page. */
static int
level_of(const char *path)
{
	int n = -1;

	for (; path != NULL && *path != '\0'; path++)
		n += *path == '/';
	return n < 0 || n >= LEVELS_MAX ? LEVELS_MAX - 1 : n;
}

static void
add_page(struct tree *t, sqlite3_stmt *stmt)
{
	const char *type = (const char *)sqlite3_column_text(stmt, 1);
	int level = level_of((const char *)sqlite3_column_text(stmt, 0));

	t->pages++;
	t->page_size = (uint64_t)sqlite3_column_int64(stmt, 3);
	if (type == NULL || strcmp(type, "overflow") == 0) {
		t->overflow++;
		return;
	}
	t->level[level].pages++;
	t->level[level].cells += (uint64_t)sqlite3_column_int64(stmt, 2);
	if (strcmp(type, "leaf") == 0)
		t->leaves = level;
}

/* Entries and bytes of the tree, of which only the beginning was seen. */
static void
guess(const struct tree *t, uint64_t *entries, uint64_t *bytes)
{
	double pages = 1, all = 0, rows = 0, cells;
	int i;

	for (i = 0; i <= t->leaves && t->level[i].pages > 0; i++) {
		cells = (double)t->level[i].cells / (double)t->level[i].pages;
		all += pages;
		rows += pages * cells;
		pages *= cells + 1;
	}
	if (t->leaves >= 0 && t->level[t->leaves].pages > 0)
		all *= 1 + (double)t->overflow /
		    (double)(t->pages - t->overflow);
	*entries = (uint64_t)rows;
	*bytes = (uint64_t)all * t->page_size;
}

/* One b-tree; *exact only ever becomes false. */
static int
measure(sqlite3 *db, const char *name, uint64_t *entries, uint64_t *bytes,
    bool *exact, struct err *err)
{
	struct tree t = { .leaves = -1 };
	sqlite3_stmt *stmt;
	bool row = true;
	int i, rc;

	*entries = *bytes = 0;
	rc = sql_open(db, &stmt, err, "SELECT path, pagetype, ncell, pgsize "
	    "FROM dbstat WHERE name = ?1", "t", name);
	while (rc == 0 && row && t.pages < PAGES_MAX) {
		rc = sql_next(stmt, &row, err);
		if (rc == 0 && row)
			add_page(&t, stmt);
	}
	sqlite3_finalize(stmt);
	if (row) {
		guess(&t, entries, bytes);
		*exact = false;
		return rc;
	}
	for (i = 0; i < LEVELS_MAX; i++)
		*entries += t.level[i].cells;
	*bytes = t.pages * t.page_size;
	return rc;
}

static bool
is_dead_table(const char *name)
{
	static const char end[] = "__crsql_dead";
	size_t n = strlen(name);

	return n >= sizeof end && strcmp(name + n - (sizeof end - 1), end) == 0;
}

int
store_size(struct store *s, struct store_size *out, struct err *err)
{
	uint64_t entries, bytes;
	sqlite3_stmt *stmt;
	const char *name;
	bool row = true;
	int trees = 0, rc;

	memset(out, 0, sizeof *out);
	out->exact = true;
	if (sqlite3_compileoption_used("ENABLE_DBSTAT_VTAB") == 0)
		return 0;
	rc = sql_open(s->db, &stmt, err, "SELECT name FROM sqlite_schema WHERE "
	    "rootpage > 0 AND (tbl_name LIKE 'ddcp\\_%' ESCAPE '\\' OR "
	    "tbl_name LIKE 'crsql\\_%' ESCAPE '\\' OR "
	    "tbl_name LIKE '%\\_\\_crsql\\_%' ESCAPE '\\')", "");
	while (rc == 0 && row && trees <= TREES_MAX) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		name = (const char *)sqlite3_column_text(stmt, 0);
		rc = name != NULL ? measure(s->db, name, &entries, &bytes,
		    &out->exact, err) : err_nomem(err);
		out->bytes += bytes;
		if (rc == 0 && is_dead_table(name))
			out->tombstones += entries;
		trees++;
	}
	sqlite3_finalize(stmt);
	out->known = rc == 0 && trees <= TREES_MAX;
	return rc;
}
