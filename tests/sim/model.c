// SPDX-License-Identifier: MPL-2.0
#include "model.h"

#include <stdio.h>
#include <stdlib.h>

#include "cells.h"

struct model {
	sqlite3 *db;
	bool doubted, forgets;
};

/* Later lives win; a dead row is its sentinel; in the last life of a row the
 * highest version of a cell wins, then the greater value by type and bytes.
 * `change` is everything that was ever made, `sure` what can't be lost, which
 * is the same unless something was.  `have` and `held` are what is found at
 * a site, `first_...` what was found at the first. */
static const char schema[] =
    "CREATE TABLE change(tbl, pk, cid, val, ver, cl, site, sver);"
    "CREATE TABLE sure(tbl, pk, cid, val, ver, cl, site, sver);"
    "CREATE TABLE everywhere(site, version);"
    "CREATE TABLE have(tbl, pk, cid, val, ver, cl, site, sver);"
    "CREATE TABLE held(tbl, pk, cid, val);"
    "CREATE TABLE first_have(tbl, pk, cid, val, ver, cl, site, sver);"
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
    "cid = 'd' THEN 'c' ELSE cid END, val, col_version, cl, site_id, " \
    "sver " \
    "FROM crsql_changes "

struct model *
model_new(void)
{
	struct model *m = calloc(1, sizeof *m);

	if (m == NULL)
		abort();
	cells_must(NULL, sqlite3_open(":memory:", &m->db));
	cells_exec(m->db, "%s", schema);
	return m;
}

void
model_free(struct model *m)
{
	if (m != NULL)
		sqlite3_close(m->db);
	free(m);
}

int
model_take(struct model *m, sqlite3 *site, int64_t after)
{
	static const char query[] = CHANGES "WHERE db_version > ?1 AND "
	    "site_id = crsql_site_id()";
	int rc;

	rc = cells_copy(m->db, site, query, after,
	    "INSERT INTO change VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
	return rc != SQLITE_OK ? rc : cells_copy(m->db, site, query, after,
	    "INSERT INTO sure VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
}

int
model_doubt(struct model *m, const char *table)
{
	char *sql = sqlite3_mprintf("DELETE FROM sure WHERE %Q IN (tbl, '')",
	    table != NULL ? table : "");

	m->doubted = true;
	cells_exec(m->db, "%s", sql);
	sqlite3_free(sql);
	return SQLITE_OK;
}

int
model_witness(struct model *m, sqlite3 *site, const char *table)
{
	char *query = sqlite3_mprintf(CHANGES "WHERE ?1 = 0 AND "
	    "%Q IN (\"table\", '')", table != NULL ? table : "");
	int rc = cells_copy(m->db, site, query, 0,
	    "INSERT INTO sure VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");

	sqlite3_free(query);
	return rc;
}

static int
read_site(struct model *m, sqlite3 *site, struct history_shape shape)
{
	int rc;

	cells_exec(m->db, "DELETE FROM have");
	rc = cells_copy(m->db, site, CHANGES "WHERE ?1 = 0", 0,
	    "INSERT INTO have VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
	return rc == SQLITE_OK ? cells_read(m->db, "held", site, shape) : rc;
}

int
model_forget(struct model *m, sqlite3 *from, const char *vector)
{
	int rc;

	m->forgets = true;
	cells_exec(m->db, "DELETE FROM everywhere");
	rc = cells_copy(m->db, from, vector, 0, "INSERT INTO everywhere VALUES(?1, "
	    "?2)");
	cells_exec(m->db, "DELETE FROM sure WHERE cl <= (SELECT max(d.cl) FROM sure d "
	    "JOIN everywhere e ON hex(d.site) = e.site AND d.sver <= e.version WHERE "
	    "d.tbl = sure.tbl AND d.pk = sure.pk AND d.cl %% 2 = 0)");
	return rc;
}

/* The cells with a clock are in the tables, no row is alive that is dead, none
 * dead that is alive, the clocks are those of the model, and each change has
 * one of its authors. */
static int
exactly(struct model *m, const char *name)
{
	int n;

	n = cells_differ(m->db, name,
	    "SELECT tbl, hex(pk), cid, quote(val) FROM state WHERE cl % 2 = 1 "
	    "AND (cid <> '-1' OR tbl = 'marks')",
	    "SELECT tbl, hex(pk), cid, quote(val) FROM held WHERE (tbl, pk, cid) IN "
	    "(SELECT tbl, pk, cid FROM state WHERE cl % 2 = 1)");
	n += cells_differ(m->db, name,
	    "SELECT DISTINCT tbl, hex(pk) FROM life WHERE cl % 2 = 1",
	    "SELECT DISTINCT tbl, hex(pk) FROM held");
	n += cells_differ(m->db, name, m->forgets ?
	    "SELECT tbl, hex(pk), cid, quote(val), ver, cl FROM state WHERE cl % 2 = "
	    "1" : "SELECT tbl, hex(pk), cid, quote(val), ver, cl FROM state",
	    m->forgets ?
	    "SELECT tbl, hex(pk), cid, quote(val), ver, cl FROM have WHERE cl % 2 = 1"
	    : "SELECT tbl, hex(pk), cid, quote(val), ver, cl FROM have");
	n += cells_differ(m->db, name,
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

	n = cells_differ(m->db, name,
	    "SELECT tbl, hex(pk), cid, quote(val), ver, cl FROM have",
	    "SELECT h.tbl, hex(h.pk), h.cid, quote(h.val), h.ver, h.cl FROM have h "
	    "JOIN change c ON (c.tbl, c.pk, c.cid, c.ver, c.cl) = "
	    "(h.tbl, h.pk, h.cid, h.ver, h.cl) AND c.val IS h.val");
	cells_exec(m->db, "SAVEPOINT more; INSERT INTO sure SELECT * FROM have");
	n += cells_differ(m->db, name,
	    "SELECT tbl, hex(pk), cid, quote(val), ver, cl FROM state",
	    "SELECT tbl, hex(pk), cid, quote(val), ver, cl FROM have");
	cells_exec(m->db, "ROLLBACK TO more; RELEASE more");
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
		cells_exec(m->db, "DELETE FROM first_have; DELETE FROM first_held; "
		    "INSERT INTO first_have SELECT * FROM have; "
		    "INSERT INTO first_held SELECT * FROM held");
	n = cells_differ(m->db, name,
	    "SELECT tbl, hex(pk), cid, quote(val) FROM first_held",
	    "SELECT tbl, hex(pk), cid, quote(val) FROM held");
	n += cells_differ(m->db, name, m->forgets ?
	    "SELECT tbl, hex(pk), cid, quote(val), ver, cl FROM first_have WHERE cl % "
	    "2 = 1" :
	    "SELECT tbl, hex(pk), cid, quote(val), ver, cl FROM first_have",
	    m->forgets ?
	    "SELECT tbl, hex(pk), cid, quote(val), ver, cl FROM have WHERE cl % 2 = 1"
	    : "SELECT tbl, hex(pk), cid, quote(val), ver, cl FROM have");
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
	return (int)cells_int(m->db, "SELECT count(*) FROM (SELECT 1 FROM change "
	    "WHERE cid <> '-1' GROUP BY tbl, pk, cid, ver, cl HAVING "
	    "count(DISTINCT site) > 1 AND count(DISTINCT quote(val)) > 1)");
}
