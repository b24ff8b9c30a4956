// SPDX-License-Identifier: MPL-2.0
/*
 * shape.h - how tables are declared, as data: what travels instead of SQL (R26),
 * and what is made of it.  shape.c has the bytes (doc/PROTOCOL.md 3.6), describe.c
 * reads what is here, make.c makes it.
 *
 * A shape says what a table must have for rows to fit: columns with type, NOT NULL,
 * collation and a default that is a value, the key, STRICT, WITHOUT ROWID, and
 * plain indexes.  What else a table has is only named (shape_left): it is SQL, and
 * somebody else's.
 */
#ifndef STORE_SHAPE_H
#define STORE_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
	SHAPE_FORMAT = 1,
	SHAPE_TABLES_MAX = 10000,
	SHAPE_COLUMNS_MAX = 2000,       /* of a table */
	SHAPE_ALL_COLUMNS_MAX = 262144, /* of all, of indexes too */
	SHAPE_INDEXES_MAX = 1000,       /* of a table */
	SHAPE_PARTS_MAX = 128,          /* columns of an index */
	SHAPE_LEFT_MAX = 1024,
	SHAPE_NAME_MAX = 2048,
	SHAPE_TYPE_MAX = 256,
	SHAPE_VALUE_MAX = 65536         /* bytes of a default */
};

enum shape_kind {       /* of a default */
	SHAPE_NONE, SHAPE_INTEGER, SHAPE_REAL, SHAPE_TEXT, SHAPE_BLOB,
	SHAPE_NULL, SHAPE_TIME, SHAPE_DATE, SHAPE_TIMESTAMP,
	SHAPE_KINDS
};

enum shape_collation {
	SHAPE_BINARY, SHAPE_NOCASE, SHAPE_RTRIM, SHAPE_COLLATIONS
};

struct shape_value {
	enum shape_kind kind;
	int64_t integer;
	double real;
	char *data;             /* TEXT, BLOB: owned, a NUL behind it */
	size_t len;
};

struct shape_column {
	char *name, *type;      /* "" for none */
	bool not_null;
	enum shape_collation collation;
	struct shape_value value;
};

struct shape_part {
	size_t column;          /* of the table */
	bool descends;
	enum shape_collation collation;
};

struct shape_index {
	char *name;
	struct shape_part *part;
	size_t nparts;
};

struct shape_table {
	char *name;
	bool strict, without_rowid;
	bool no_alias;          /* its key is INTEGER and not the rowid */
	struct shape_column *column;
	size_t ncolumns;
	size_t *key;            /* columns, in the order of the key */
	size_t nkey;
	struct shape_index *index;
	size_t nindexes;
};

/* What does not travel. */
enum shape_left_kind {
	SHAPE_LEFT_GENERATED,   /* name: of the column */
	SHAPE_LEFT_DEFAULT,     /* same: an expression, or too long */
	SHAPE_LEFT_COLLATION,   /* same */
	SHAPE_LEFT_INDEX,       /* name of the index */
	SHAPE_LEFT_TRIGGER,     /* same */
	SHAPE_LEFT_FOREIGN,     /* name: the other table */
	SHAPE_LEFT_CHECK,
	SHAPE_LEFT_AUTOINCREMENT,
	SHAPE_LEFT_ORDER,       /* an ordered list */
	SHAPE_LEFT_KINDS
};

struct shape_left {
	enum shape_left_kind kind;
	char *table, *name;     /* "" for none */
};

struct shape {
	struct shape_table *table;
	size_t ntables;
	struct shape_left *left;
	size_t nleft;
	bool more_left;         /* than SHAPE_LEFT_MAX */
};

void shape_clear(struct shape *s);

/* E_FATAL beyond a limit.  out is initialised here. */
int shape_encode(const struct shape *s, struct buf *out, struct err *err);

/* Bytes of a stranger: E_INTEGRITY if malformed.  shape_clear also after
 * failure. */
int shape_decode(const uint8_t *data, size_t len, struct shape *out,
    struct err *err);

/* Whether rows of one fit the other as well as their own: all but indexes. */
bool shape_same_table(const struct shape_table *a,
    const struct shape_table *b);

/* The collation of that name; SHAPE_COLLATIONS if it is another. */
enum shape_collation shape_collation_of(const char *name);
const char *shape_collation_name(enum shape_collation c);

/* ---- describe.c ---- */

struct sqlite3;

/* Adds the table as it is here.  Also what only looks like one of ours. */
int shape_describe(struct sqlite3 *db, const char *table, struct shape *out,
    struct err *err);

/* ---- leave.c ---- */

/* Names something that does not travel; name may be NULL. */
int shape_leave(struct shape *s, enum shape_left_kind kind, const char *table,
    const char *name, struct err *err);

/* All of that of the tables in s, but for what shape_describe named. */
int shape_describe_rest(struct sqlite3 *db, struct shape *s, struct err *err);

/* ---- make.c ---- */

/* The statement that makes it; sqlite3_free by the caller.  NULL without
 * memory. */
char *shape_ddl(const struct shape_table *t);

/* Makes the table, and looks whether it is what was asked for: E_USAGE with a
 * sentence if not, or if it can't be made.  Its indexes are not made. */
int shape_make(struct sqlite3 *db, const struct shape_table *t,
    struct err *err);
int shape_make_indexes(struct sqlite3 *db, const struct shape_table *t,
    struct err *err);

#endif
