// SPDX-License-Identifier: MPL-2.0
/* crdt_nodes.c - databases for the engine's tests; see crdt_nodes.h. */
#include "crdt_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "crdt/crdt.h"

static const char *const plan_tables =
    "SELECT name FROM crsql_tbl WHERE name IN "
    "(SELECT name FROM sqlite_schema WHERE type = 'table') ORDER BY id";

void
node_file(char path[static NODE_FILE])
{
	int fd;

	temp_name(path, "ddcp-node");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
}

void
node_plainly(const char *path, const char *sql)
{
	char *message = NULL;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
	sqlite3_close(db);
}

void
node_run(sqlite3 *db, const char *sql)
{
	char *why = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
}

void
node_run_each(sqlite3 *db, const char *query)
{
	sqlite3_stmt *stmt;

	assert_int_equal(sqlite3_prepare_v2(db, query, -1, &stmt, NULL), 0);
	while (sqlite3_step(stmt) == SQLITE_ROW)
		node_run(db, (const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
}

void
node_copy_as_text(const char *from, const char *to)
{
	sqlite3 *db;
	char *sql = sqlite3_mprintf("ATTACH %Q AS old", from);

	unlink(to);
	assert_int_equal(sqlite3_open(to, &db), SQLITE_OK);
	node_run(db, sql);
	sqlite3_free(sql);
	node_run_each(db, "SELECT sql FROM old.sqlite_schema WHERE type = 'table' AND "
	    "name NOT LIKE 'sqlite_%'");
	node_run_each(db, "SELECT printf('INSERT INTO main.\"%w\" SELECT * FROM "
	    "old.\"%w\" ORDER BY %s', name, name, iif(sql LIKE '%WITHOUT ROWID%', "
	    "'1', 'rowid')) FROM old.sqlite_schema WHERE type = 'table' AND name NOT "
	    "LIKE 'sqlite_%'");
	node_run_each(db, "SELECT sql FROM old.sqlite_schema WHERE type <> 'table' AND "
	    "sql IS NOT NULL");
	sqlite3_close(db);
}

void
node_open(struct node *n, int index, const char *path)
{
	char *why = NULL;
	sqlite3_stmt *stmt;

	memset(n, 0, sizeof *n);
	n->index = index;
	assert_int_equal(sqlite3_open(path ? path : ":memory:", &n->db), 0);
	if (crdt_load(n->db, &why) != SQLITE_OK)
		fail_msg("crdt_load: %s", why ? why : "?");
	assert_int_equal(sqlite3_prepare_v2(n->db, "SELECT crsql_site_id()",
	    -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	memcpy(n->site, sqlite3_column_blob(stmt, 0), NODE_SITE);
	sqlite3_finalize(stmt);
}

void
node_close(struct node *n)
{
	node_exec(n, "SELECT crsql_finalize()");
	assert_int_equal(sqlite3_close(n->db), SQLITE_OK);
	n->db = NULL;
}

void
nodes_exec(struct node *n, int count, const char *sql)
{
	int i;

	for (i = 0; i < count; i++)
		node_exec(&n[i], "%s", sql);
}

void
nodes_open(struct node *n, int count, const char *sql)
{
	int i;

	for (i = 0; i < count; i++)
		node_open(&n[i], i, NULL);
	nodes_exec(n, count, sql);
}

void
nodes_close(struct node *n, int count)
{
	int i;

	for (i = 0; i < count; i++)
		node_close(&n[i]);
}

static int
try_va(struct node *n, const char *fmt, va_list ap)
{
	char *sql = sqlite3_vmprintf(fmt, ap);
	int rc = sqlite3_exec(n->db, sql, NULL, NULL, NULL);

	sqlite3_free(sql);
	return rc;
}

int
node_try(struct node *n, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = try_va(n, fmt, ap);
	va_end(ap);
	return rc;
}

void
node_exec(struct node *n, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = try_va(n, fmt, ap);
	va_end(ap);
	if (rc != SQLITE_OK)
		fail_msg("%s: %s", fmt, sqlite3_errmsg(n->db));
}

int
node_change(struct node *n, const char *table, const char *pk,
    const char *cid, const char *val, int version, int dbv, const char *site,
    int cl, int seq)
{
	return node_try(n, "INSERT INTO crsql_changes(\"table\", pk, cid, "
	    "val, col_version, db_version, site_id, cl, seq) VALUES(%Q, "
	    "crsql_pack_columns(%s), %Q, %s, %d, %d, %s, %d, %d)", table, pk,
	    cid, val, version, dbv, site, cl, seq);
}

static char *
rows_of(struct node *n, const char *sql)
{
	sqlite3_str *out = sqlite3_str_new(NULL);
	sqlite3_stmt *stmt = NULL;
	int i, rc;

	rc = sqlite3_prepare_v2(n->db, sql, -1, &stmt, NULL);
	while (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
		for (i = 0; i < sqlite3_column_count(stmt); i++) {
			int type = sqlite3_column_type(stmt, i), k;
			const char *text = type == SQLITE_BLOB ? NULL :
			    (const char *)sqlite3_column_text(stmt, i);

			sqlite3_str_appendf(out, "%s", i > 0 ? "|" : "");
			if (type == SQLITE_NULL)
				sqlite3_str_appendall(out, "NULL");
			else if (type != SQLITE_BLOB)
				sqlite3_str_appendf(out, type == SQLITE_TEXT ?
				    "%Q" : "%s", text);
			else for (k = 0; k < sqlite3_column_bytes(stmt, i); k++)
				sqlite3_str_appendf(out, "%02x",
				    ((const uint8_t *)
				    sqlite3_column_blob(stmt, i))[k]);
		}
		sqlite3_str_appendall(out, "\n");
	}
	if (sqlite3_finalize(stmt) != SQLITE_OK || rc != SQLITE_OK)
		sqlite3_str_appendf(out, "error: %s\n", sqlite3_errmsg(n->db));
	if (sqlite3_str_length(out) == 0) {
		sqlite3_free(sqlite3_str_finish(out));
		return sqlite3_mprintf("");
	}
	return sqlite3_str_finish(out);
}

char *
node_rows(struct node *n, const char *fmt, ...)
{
	va_list ap;
	char *sql, *rows;

	va_start(ap, fmt);
	sql = sqlite3_vmprintf(fmt, ap);
	va_end(ap);
	rows = rows_of(n, sql);
	sqlite3_free(sql);
	return rows;
}

void
node_expect(struct node *n, const char *want, const char *fmt, ...)
{
	va_list ap;
	char *sql, *rows;

	va_start(ap, fmt);
	sql = sqlite3_vmprintf(fmt, ap);
	va_end(ap);
	rows = rows_of(n, sql);
	if (strcmp(rows, want) != 0)
		fail_msg("node %d, %s\n--- got\n%s--- wanted\n%s", n->index,
		    sql, rows, want);
	sqlite3_free(sql);
	sqlite3_free(rows);
}

void
nodes_agree(struct node *a, struct node *b, const char *query)
{
	char *x = rows_of(a, query), *y = rows_of(b, query);

	if (strcmp(x, y) != 0)
		fail_msg("%s\n--- node %d\n%s--- node %d\n%s", query, a->index,
		    x, b->index, y);
	sqlite3_free(x);
	sqlite3_free(y);
}

void
node_well(struct node *n)
{
	node_expect(n, "", "SELECT \"table\", key, what FROM crsql_check");
}

/* -- vectors ---------------------------------------------------------------- */

int64_t
vector_get(const struct vector *v, const uint8_t site[NODE_SITE])
{
	int i;

	for (i = 0; i < v->n; i++) {
		if (memcmp(v->entry[i].site, site, NODE_SITE) == 0)
			return v->entry[i].version;
	}
	return 0;
}

void
vector_raise(struct vector *v, const uint8_t site[NODE_SITE], int64_t version)
{
	int i;

	for (i = 0; i < v->n; i++) {
		if (memcmp(v->entry[i].site, site, NODE_SITE) != 0)
			continue;
		if (version > v->entry[i].version)
			v->entry[i].version = version;
		return;
	}
	assert_true(v->n < NODE_SITES);
	memcpy(v->entry[v->n].site, site, NODE_SITE);
	v->entry[v->n++].version = version;
}

/* The own entry of crsql_own(): 16 bytes site, 8 version, 8 token. */
void
node_raise_own(struct node *n)
{
	sqlite3_stmt *stmt;
	const uint8_t *own;
	int64_t version = 0;
	int i;

	assert_int_equal(sqlite3_prepare_v2(n->db, "SELECT crsql_own()", -1,
	    &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_int_equal(sqlite3_column_bytes(stmt, 0), 32);
	own = sqlite3_column_blob(stmt, 0);
	for (i = 16; i < 24; i++)
		version = version << 8 | own[i];
	vector_raise(&n->has, own, version);
	sqlite3_finalize(stmt);
}

/* -- pages -------------------------------------------------------------------- */

void
node_plan(struct node *reader, const uint8_t cursor[NODE_CURSOR],
    const struct vector *v, struct buf *out)
{
	sqlite3_stmt *stmt;
	struct buf tables;
	int i, n = 0;

	buf_init(&tables, 1 << 20);
	assert_int_equal(sqlite3_prepare_v2(reader->db, plan_tables, -1,
	    &stmt, NULL), SQLITE_OK);
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		buf_add_varint(&tables,
		    (uint64_t)sqlite3_column_bytes(stmt, 0));
		buf_add(&tables, sqlite3_column_text(stmt, 0),
		    (size_t)sqlite3_column_bytes(stmt, 0));
		n++;
	}
	sqlite3_finalize(stmt);
	buf_init(out, 1 << 20);
	buf_add_varint(out, 1);
	buf_add_varint(out, (uint64_t)n);
	buf_add(out, tables.data, tables.len);
	buf_add(out, cursor, NODE_CURSOR);
	buf_add_varint(out, v ? (uint64_t)v->n : 0);
	for (i = 0; v != NULL && i < v->n; i++) {
		buf_add(out, v->entry[i].site, NODE_SITE);
		buf_add_varint(out, (uint64_t)v->entry[i].version);
	}
	buf_clear(&tables);
}

int
node_export(struct node *n, const struct buf *plan, const uint8_t *position,
    int max_bytes, uint8_t **page, int *len)
{
	sqlite3_stmt *stmt;
	int rc;

	*page = NULL;
	*len = 0;
	rc = sqlite3_prepare_v2(n->db, "SELECT crsql_export(?, ?, ?)", -1,
	    &stmt, NULL);
	assert_int_equal(rc, SQLITE_OK);
	sqlite3_bind_blob(stmt, 1, plan->data, (int)plan->len, SQLITE_STATIC);
	if (position != NULL)
		sqlite3_bind_blob(stmt, 2, position, NODE_CURSOR,
		    SQLITE_STATIC);
	sqlite3_bind_int(stmt, 3, max_bytes);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		*len = sqlite3_column_bytes(stmt, 0);
		*page = sqlite3_malloc(*len);
		memcpy(*page, sqlite3_column_blob(stmt, 0), (size_t)*len);
	}
	return sqlite3_finalize(stmt);
}

int
node_import(struct node *n, const void *page, int len, int64_t *changes)
{
	sqlite3_stmt *stmt;

	*changes = 0;
	assert_int_equal(sqlite3_prepare_v2(n->db, "SELECT crsql_import(?)",
	    -1, &stmt, NULL), SQLITE_OK);
	sqlite3_bind_blob(stmt, 1, page, len, SQLITE_STATIC);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		*changes = sqlite3_column_int64(stmt, 0);
	return sqlite3_finalize(stmt);
}

int
page_flags_of(const uint8_t *page)
{
	return page[3];
}

enum { DONE = 1, LOST = 2, BEGINS_INSIDE = 4, ENDS_INSIDE = 8 };

/* Imports a page; transactions that go on stay open.  False if it was refused. */
static bool
take_page(struct node *to, struct node *from, const uint8_t *page, int len,
    const struct mishap *m)
{
	int64_t changes;

	if (sqlite3_get_autocommit(to->db))
		node_exec(to, m->noted ? "BEGIN IMMEDIATE; SELECT "
		    "crsql_keep_before(1)" : "BEGIN IMMEDIATE");
	if (node_import(to, page, len, &changes) != SQLITE_OK) {
		if (!m->may_refuse)
			fail_msg("import: %s", sqlite3_errmsg(to->db));
		return false;
	}
	if (m->twice) {
		assert_int_equal(node_import(to, page, len, &changes), 0);
		assert_int_equal(changes, 0);
	}
	if (page_flags_of(page) & ENDS_INSIDE)
		return true;
	node_exec(to, "COMMIT");
	memcpy(to->cursor[from->index], page + 4, NODE_CURSOR);
	return true;
}

bool
node_pull(struct node *to, struct node *from, const struct mishap *m)
{
	uint8_t position[NODE_CURSOR], *page = NULL;
	const uint8_t *at = NULL;
	struct vector theirs;
	struct buf plan;
	bool done = false, taken = true;
	int i, len, pages = 0;

	node_raise_own(from);
	theirs = from->has;
	node_raise_own(to);
	node_plan(to, to->cursor[from->index], &to->has, &plan);
	node_exec(from, "BEGIN");
	while (!done && taken && (m->cut_after == 0 || pages < m->cut_after)) {
		if (node_export(from, &plan, at, m->max_bytes, &page, &len))
			fail_msg("export: %s", sqlite3_errmsg(from->db));
		assert_true(m->may_lose || !(page_flags_of(page) & LOST));
		taken = take_page(to, from, page, len, m);
		memcpy(position, page + 4, NODE_CURSOR);
		at = position;
		done = taken && page_flags_of(page) & DONE;
		sqlite3_free(page);
		pages++;
	}
	node_exec(from, "COMMIT");
	if (!sqlite3_get_autocommit(to->db))
		node_exec(to, "ROLLBACK");
	for (i = 0; done && i < theirs.n; i++)
		vector_raise(&to->has, theirs.entry[i].site,
		    theirs.entry[i].version);
	buf_clear(&plan);
	return done;
}

void
node_pull_changes(struct node *to, struct node *from, bool full)
{
	sqlite3_stmt *in, *out;
	int i, rc;

	rc = sqlite3_prepare_v2(from->db, "SELECT \"table\", pk, cid, val, "
	    "col_version, db_version, site_id, cl, seq FROM crsql_changes "
	    "WHERE db_version > ?", -1, &out, NULL);
	assert_int_equal(rc, SQLITE_OK);
	sqlite3_bind_int64(out, 1, full ? 0 : from->version[to->index]);
	rc = sqlite3_prepare_v2(to->db, "INSERT INTO crsql_changes(\"table\", "
	    "pk, cid, val, col_version, db_version, site_id, cl, seq) "
	    "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)", -1, &in, NULL);
	assert_int_equal(rc, SQLITE_OK);
	node_exec(to, "BEGIN");
	while (sqlite3_step(out) == SQLITE_ROW) {
		for (i = 0; i < 9; i++)
			sqlite3_bind_value(in, i + 1,
			    sqlite3_column_value(out, i));
		if (sqlite3_column_int64(out, 5) > from->version[to->index])
			from->version[to->index] =
			    sqlite3_column_int64(out, 5);
		sqlite3_step(in);
		rc = sqlite3_reset(in);
		if (rc != SQLITE_OK)
			fail_msg("merge: %s", sqlite3_errmsg(to->db));
	}
	node_exec(to, "COMMIT");
	assert_int_equal(sqlite3_finalize(out), SQLITE_OK);
	sqlite3_finalize(in);
}
