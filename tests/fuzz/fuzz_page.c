// SPDX-License-Identifier: MPL-2.0
/*
 * fuzz_page.c - imports bytes as a page into a database with a few rows.  The
 * first byte chooses: even, the bytes are a page as they are; odd, they are
 * the transactions of a page whose head is right, so that the fuzzer need not
 * find names and counts first.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SQLITE_CORE 1
#include <sqlite3.h>

#include "base/buf.h"
#include "crdt/crdt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static sqlite3 *db;

static void
run(const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		abort();
}

static void
open_db(void)
{
	char *why = NULL;

	if (sqlite3_open(":memory:", &db) != SQLITE_OK ||
	    crdt_load(db, &why) != SQLITE_OK)
		abort();
	sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 1 << 20);
	run("CREATE TABLE t(id TEXT PRIMARY KEY, a, b INTEGER CHECK(b <> 3));"
	    "CREATE TABLE n(k INTEGER PRIMARY KEY NOT NULL, v REAL);"
	    "SELECT crsql_as_crr('t'); SELECT crsql_as_crr('n');"
	    "INSERT INTO t VALUES('a', 1, 2), ('b', x'00', NULL);"
	    "INSERT INTO n VALUES(1, 1.5), (7, 2);"
	    "DELETE FROM t WHERE id = 'b'; UPDATE n SET v = 3 WHERE k = 1");
}

static void
put_text(struct buf *b, const char *text)
{
	buf_add_varint(b, strlen(text));
	buf_add(b, text, strlen(text));
}

/* The head of a page of both tables and two sites; one column is not
 * here, one has another name. */
static void
add_head(struct buf *b, size_t body)
{
	static const uint8_t zero[64];
	size_t i;

	buf_add(b, "DP\1\1", 4);
	buf_add(b, zero, 40);
	buf_add_varint(b, 3);
	put_text(b, "t");
	buf_add_varint(b, 1);
	buf_add_varint(b, 3);
	put_text(b, "a");
	put_text(b, "b");
	put_text(b, "new");
	buf_add_varint(b, 0);
	put_text(b, "n");
	buf_add_varint(b, 1);
	buf_add_varint(b, 1);
	put_text(b, "w");
	buf_add_varint(b, 1);
	buf_add_varint(b, 0);
	put_text(b, "v");
	put_text(b, "none");
	buf_add_varint(b, 2);
	buf_add_varint(b, 0);
	buf_add_varint(b, 0);
	buf_add_varint(b, 2);
	for (i = 0; i < 2; i++) {
		buf_add(b, zero, 15);
		buf_add_u8(b, (uint8_t)(i + 1));
		buf_add_u8(b, (uint8_t)i);
		if (i == 1)
			buf_add(b, zero, 40);
	}
	buf_add_varint(b, body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	sqlite3_stmt *stmt;
	struct buf page;

	if (len == 0)
		return 0;
	if (db == NULL)
		open_db();
	buf_init(&page, 1 << 24);
	if (data[0] & 1)
		add_head(&page, len - 1);
	buf_add(&page, data + 1, len - 1);
	run("BEGIN");
	if (sqlite3_prepare_v2(db, "SELECT crsql_import(?)", -1, &stmt, NULL)
	    != SQLITE_OK)
		abort();
	sqlite3_bind_blob(stmt, 1, page.data, (int)page.len, SQLITE_STATIC);
	sqlite3_step(stmt);
	sqlite3_finalize(stmt);
	if (sqlite3_prepare_v2(db, "SELECT count(*) FROM "
	    "crsql_page_transactions(?)", -1, &stmt, NULL) != SQLITE_OK)
		abort();
	sqlite3_bind_blob(stmt, 1, page.data, (int)page.len, SQLITE_STATIC);
	sqlite3_step(stmt);
	sqlite3_finalize(stmt);
	/* whatever came of it can be read and told on */
	run("SELECT count(*), max(val) FROM crsql_changes;"
	    "SELECT crsql_unpark(); SELECT count(reason) FROM crsql_parked;"
	    "ROLLBACK");
	buf_clear(&page);
	return 0;
}
