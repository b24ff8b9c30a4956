// SPDX-License-Identifier: MPL-2.0
#include "model.h"

#include <stdio.h>
#include <stdlib.h>

#include "history.h"

struct model {
	sqlite3 *db;
	bool doubted;
};

/* Later lives win; a dead row is its sentinel; in the last life of a row the
 * highest version of a cell wins, then the greater value by type and bytes.
 * `change` is everything that was ever made, `sure` what can't be lost, which
 * is the same unless something was.  `have` and `held` are what is found at
 * a site, `first_...` what was found at the first. */
static const char schema[] =
    "CREATE TABLE change(tbl, pk, cid, val, ver, cl, site);"
    "CREATE TABLE sure(tbl, pk, cid, val, ver, cl, site);"
    "CREATE TABLE have(tbl, pk, cid, val, ver, cl, site);"
    "CREATE TABLE held(tbl, pk, cid, val);"
    "CREATE TABLE first_have(tbl, pk, cid, val, ver, cl, site);"
    "CREATE TABLE first_held(tbl, pk, cid, val);"
    "CREATE VIEW life AS"
    " SELECT tbl, pk, max(cl) AS cl FROM sure GROUP BY tbl, pk;"
    "CREATE VIEW ranked AS SELECT c.*, row_number() OVER ("
    "  PARTITION BY c.tbl, c.pk, c.cid ORDER BY c.ver DESC,"
    "  CASE typeof(c.val) WHEN 'integer' THEN 5 WHEN 'real' THEN 4"
    "   WHEN 'text' THEN 3 WHEN 'blob' THEN 2 ELSE 1 END DESC, c.val DESC)"
    "  AS place FROM sure c JOIN life l USING (tbl, pk, cl);"
    "CREATE VIEW state AS SELECT tbl, pk, cid, val, ver, cl FROM ranked"
    " WHERE place = 1;";

/* What a site tells, under the name that a column had at first. */
#define CHANGES "SELECT \"table\", pk, CASE WHEN \"table\" = 'words' AND " \
    "cid = 'd' THEN 'c' ELSE cid END, val, col_version, cl, site_id " \
    "FROM crsql_changes "

static void
must(sqlite3 *db, int rc)
{
	if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE)
		return;
	fprintf(stderr, "model: %s\n", sqlite3_errmsg(db));
	abort();
}

static void
exec(sqlite3 *db, const char *sql)
{
	must(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

struct model *
model_new(void)
{
	struct model *m = calloc(1, sizeof *m);

	if (m == NULL)
		abort();
	must(NULL, sqlite3_open(":memory:", &m->db));
	exec(m->db, schema);
	return m;
}

void
model_free(struct model *m)
{
	if (m != NULL)
		sqlite3_close(m->db);
	free(m);
}

/* Copies the rows of a query on from into a table of the model. */
static int
copy(struct model *m, sqlite3 *from, const char *query, int64_t parameter,
    const char *insert)
{
	sqlite3_stmt *read, *write;
	int i, rc;

	rc = sqlite3_prepare_v2(from, query, -1, &read, NULL);
	if (rc != SQLITE_OK) {
		fprintf(stderr, "%s: %s\n", query, sqlite3_errmsg(from));
		return rc;
	}
	sqlite3_bind_int64(read, 1, parameter);
	must(m->db, sqlite3_prepare_v2(m->db, insert, -1, &write, NULL));
	while ((rc = sqlite3_step(read)) == SQLITE_ROW) {
		for (i = 0; i < sqlite3_column_count(read); i++)
			sqlite3_bind_value(write, i + 1, sqlite3_column_value(read, i));
		must(m->db, sqlite3_step(write));
		sqlite3_reset(write);
	}
	sqlite3_finalize(write);
	sqlite3_finalize(read);
	if (rc != SQLITE_DONE)
		fprintf(stderr, "%s: %s\n", query, sqlite3_errmsg(from));
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int
model_take(struct model *m, sqlite3 *site, int64_t after)
{
	static const char query[] = CHANGES "WHERE db_version > ?1 AND "
	    "site_id = crsql_site_id()";
	int rc;

	rc = copy(m, site, query, after,
	    "INSERT INTO change VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)");
	return rc != SQLITE_OK ? rc : copy(m, site, query, after,
	    "INSERT INTO sure VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)");
}

int
model_doubt(struct model *m, const char *table)
{
	char *sql = sqlite3_mprintf("DELETE FROM sure WHERE %Q IN (tbl, '')",
	    table != NULL ? table : "");

	m->doubted = true;
	exec(m->db, sql);
	sqlite3_free(sql);
	return SQLITE_OK;
}

int
model_witness(struct model *m, sqlite3 *site, const char *table)
{
	char *query = sqlite3_mprintf(CHANGES "WHERE ?1 = 0 AND "
	    "%Q IN (\"table\", '')", table != NULL ? table : "");
	int rc = copy(m, site, query, 0,
	    "INSERT INTO sure VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)");

	sqlite3_free(query);
	return rc;
}

static int
print_difference(void *self, int n, char **text, char **names)
{
	printf("# %s: %s", (const char *)self, text[0]);
	for (n--; n > 0; n--)
		printf(" | %s", text[n] ? text[n] : "NULL");
	putchar('\n');
	return 0;
}

/* Rows of one query that the other has not, both ways. */
static int
differences(struct model *m, const char *name, const char *want,
    const char *have)
{
	char *sql = sqlite3_mprintf("WITH w AS (%s), h AS (%s) "
	    "SELECT 'missing', * FROM (SELECT * FROM w EXCEPT SELECT * FROM h) "
	    "UNION ALL "
	    "SELECT 'too much', * FROM (SELECT * FROM h EXCEPT SELECT * FROM w)",
	    want, have);
	char *count = sqlite3_mprintf("SELECT count(*) FROM (%s)", sql);
	sqlite3_stmt *stmt;
	int n;

	must(m->db, sqlite3_prepare_v2(m->db, count, -1, &stmt, NULL));
	must(m->db, sqlite3_step(stmt));
	n = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	if (n > 0 && name != NULL)
		sqlite3_exec(m->db, sql, print_difference, (void *)(uintptr_t)name,
		    NULL);
	sqlite3_free(count);
	sqlite3_free(sql);
	return n;
}

static int
read_site(struct model *m, sqlite3 *site, struct history_shape shape)
{
	const char *const queries[HISTORY_NTABLES + 1] = {
		shape.renamed ?
		"WITH k AS (SELECT crsql_pack_columns(id) AS pk, * FROM words) "
		"SELECT 'words', pk, 'a', a FROM k UNION ALL "
		"SELECT 'words', pk, 'b', b FROM k UNION ALL "
		"SELECT 'words', pk, 'c', d FROM k" :
		"WITH k AS (SELECT crsql_pack_columns(id) AS pk, * FROM words) "
		"SELECT 'words', pk, 'a', a FROM k UNION ALL "
		"SELECT 'words', pk, 'b', b FROM k UNION ALL "
		"SELECT 'words', pk, 'c', c FROM k",
		"WITH k AS (SELECT crsql_pack_columns(id) AS pk, * FROM numbers) "
		"SELECT 'numbers', pk, 'x', x FROM k UNION ALL "
		"SELECT 'numbers', pk, 'y', y FROM k",
		"WITH k AS (SELECT crsql_pack_columns(p, q) AS pk, * FROM pairs) "
		"SELECT 'pairs', pk, 'r', r FROM k UNION ALL "
		"SELECT 'pairs', pk, 's', s FROM k",
		"SELECT 'marks', crsql_pack_columns(id), '-1', NULL FROM marks",
		"SELECT 'tags', crsql_pack_columns(p, q), 'v', v FROM tags",
		"SELECT 'words', crsql_pack_columns(id), 'e', e FROM words",
	};
	int i, n = HISTORY_NTABLES + (shape.widened ? 1 : 0), rc;

	exec(m->db, "DELETE FROM have; DELETE FROM held");
	rc = copy(m, site, CHANGES "WHERE ?1 = 0", 0,
	    "INSERT INTO have VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)");
	for (i = 0; i < n && rc == SQLITE_OK; i++)
		rc = copy(m, site, queries[i], 0,
		    "INSERT INTO held VALUES(?1, ?2, ?3, ?4)");
	return rc;
}

/* The cells with a clock are in the tables, no row is alive that is dead, none
 * dead that is alive, the clocks are those of the model, and each change has
 * one of its authors. */
static int
exactly(struct model *m, const char *name)
{
	int n;

	n = differences(m, name,
	    "SELECT tbl, hex(pk), cid, quote(val) FROM state WHERE cl % 2 = 1 "
	    "AND (cid <> '-1' OR tbl = 'marks')",
	    "SELECT tbl, hex(pk), cid, quote(val) FROM held WHERE (tbl, pk, cid) IN "
	    "(SELECT tbl, pk, cid FROM state WHERE cl % 2 = 1)");
	n += differences(m, name,
	    "SELECT DISTINCT tbl, hex(pk) FROM life WHERE cl % 2 = 1",
	    "SELECT DISTINCT tbl, hex(pk) FROM held");
	n += differences(m, name,
	    "SELECT tbl, hex(pk), cid, quote(val), ver, cl FROM state",
	    "SELECT tbl, hex(pk), cid, quote(val), ver, cl FROM have");
	n += differences(m, name,
	    "SELECT tbl, hex(pk), cid, hex(site) FROM have",
	    "SELECT h.tbl, hex(h.pk), h.cid, hex(h.site) FROM have h WHERE EXISTS("
	    "SELECT 1 FROM change c WHERE (c.tbl, c.pk, c.cid, c.ver, c.cl, c.site) "
	    "= (h.tbl, h.pk, h.cid, h.ver, h.cl, h.site) AND c.val IS h.val)");
	return n;
}

/* Where something was lost: no cell is one that nobody ever made, and none is
 * less than what was surely somewhere. */
static int
within(struct model *m, const char *name)
{
	int n;

	n = differences(m, name,
	    "SELECT tbl, hex(pk), cid, quote(val), ver, cl FROM have",
	    "SELECT h.tbl, hex(h.pk), h.cid, quote(h.val), h.ver, h.cl FROM have h "
	    "JOIN change c ON (c.tbl, c.pk, c.cid, c.ver, c.cl) = "
	    "(h.tbl, h.pk, h.cid, h.ver, h.cl) AND c.val IS h.val");
	exec(m->db, "SAVEPOINT more; INSERT INTO sure SELECT * FROM have");
	n += differences(m, name,
	    "SELECT tbl, hex(pk), cid, quote(val), ver, cl FROM state",
	    "SELECT tbl, hex(pk), cid, quote(val), ver, cl FROM have");
	exec(m->db, "ROLLBACK TO more; RELEASE more");
	return n;
}

int
model_compare(struct model *m, sqlite3 *site, struct history_shape shape,
    bool first, const char *name)
{
	int n = 0;

	if (read_site(m, site, shape) != SQLITE_OK)
		return 1;
	if (first)
		exec(m->db, "DELETE FROM first_have; DELETE FROM first_held; "
		    "INSERT INTO first_have SELECT * FROM have; "
		    "INSERT INTO first_held SELECT * FROM held");
	n = differences(m, name,
	    "SELECT tbl, hex(pk), cid, quote(val) FROM first_held",
	    "SELECT tbl, hex(pk), cid, quote(val) FROM held");
	n += differences(m, name,
	    "SELECT tbl, hex(pk), cid, quote(val), ver, cl FROM first_have",
	    "SELECT tbl, hex(pk), cid, quote(val), ver, cl FROM have");
	/* The others equal the first. */
	if (n == 0 && m->doubted)
		n = first ? within(m, name) : 0;
	else if (n == 0)
		n = exactly(m, name);
	return n;
}

int
model_conflicts(struct model *m)
{
	sqlite3_stmt *stmt;
	int n;

	must(m->db, sqlite3_prepare_v2(m->db, "SELECT count(*) FROM (SELECT 1 "
	    "FROM change WHERE cid <> '-1' GROUP BY tbl, pk, cid, ver, cl "
	    "HAVING count(DISTINCT site) > 1 AND count(DISTINCT quote(val)) > 1)",
	    -1, &stmt, NULL));
	must(m->db, sqlite3_step(stmt));
	n = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return n;
}
