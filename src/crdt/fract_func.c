// SPDX-License-Identifier: MPL-2.0
/* fract_func.c - the SQL functions of the fractional index. */
#include <string.h>

#include "crdt/capture.h"
#include "crdt/fract.h"

SQLITE_EXTENSION_INIT3

/* -- crsql_fract_key_between(a, b) ---------------------------------------------- */

static struct fract_key
key_of(sqlite3_value *v)
{
	struct fract_key k = { NULL, 0 };

	if (sqlite3_value_type(v) != SQLITE_NULL) {
		k.text = (const char *)sqlite3_value_text(v);
		k.len = (size_t)sqlite3_value_bytes(v);
	}
	return k;
}

static bool
no_memory(sqlite3_value *v, struct fract_key k)
{
	return k.text == NULL && sqlite3_value_type(v) != SQLITE_NULL &&
	    sqlite3_value_bytes(v) > 0;
}

static void
key_between(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct fract_key a = key_of(argv[0]), b = key_of(argv[1]);
	const char *why;
	struct buf out;

	(void)argc;
	buf_init(&out, FRACT_KEY_MAX + 1);
	/* a blob of no bytes has no text */
	if (a.text == NULL && sqlite3_value_type(argv[0]) != SQLITE_NULL)
		a.text = "";
	if (b.text == NULL && sqlite3_value_type(argv[1]) != SQLITE_NULL)
		b.text = "";
	why = fract_between(a, b, &out);
	if (why != NULL)
		sqlite3_result_error(ctx, why, -1);
	else if (out.failed || no_memory(argv[0], a) || no_memory(argv[1], b))
		sqlite3_result_error_nomem(ctx);
	else
		sqlite3_result_text(ctx, (const char *)out.data, (int)out.len,
		    SQLITE_TRANSIENT);
	buf_clear(&out);
}

/* -- crsql_fract_as_ordered(table, column, list columns...) ----------------------- */

static int
as_ordered_by(struct engine *e, int argc, sqlite3_value **argv)
{
	const char **name = sqlite3_malloc64(sizeof *name * (uint64_t)argc);
	int i, rc;

	if (name == NULL)
		return SQLITE_NOMEM;
	for (i = 0; i < argc; i++) {
		name[i] = (const char *)sqlite3_value_text(argv[i]);
		if (name[i] == NULL)
			name[i] = "";           /* nothing is called so */
	}
	/* triggers that are made while they are off might be missed */
	bulk_stop(e);
	rc = fract_make(e, name[0], name + 1, argc - 1);
	sqlite3_free(name);
	return rc;
}

static void
as_ordered(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	int rc;

	if (argc < 2) {
		sqlite3_result_error(ctx, "Must provide at least 2 arguments -- the "
		    "table name and the column to order by", -1);
		return;
	}
	rc = as_ordered_by(e, argc, argv);
	if (rc != SQLITE_OK)
		engine_result_error(e, ctx, rc);
}

/* -- crsql_fract_fix_conflict_return_old_key(...) ---------------------------------
 *
 * Triggers of cr-sqlite's call it; ours do the same by themselves. */

struct conflict {
	const char *table, *order;
	sqlite3_value **list;   /* names */
	int nlist;
	sqlite3_value **pk;     /* names, and as many values */
	int npk;
};

static const char *
name_of(sqlite3_value *v)
{
	const char *name = (const char *)sqlite3_value_text(v);

	return name != NULL ? name : "";
}

static void
add_where(sqlite3_str *s, const struct conflict *c)
{
	int i;

	for (i = 0; i < c->npk; i++)
		sqlite3_str_appendf(s, "%s\"%w\" IS ?%d", i ? " AND " : "",
		    name_of(c->pk[i]), i + 1);
}

static int
bind_pk(sqlite3_stmt *stmt, const struct conflict *c)
{
	int i, rc = SQLITE_OK;

	for (i = 0; i < c->npk && rc == SQLITE_OK; i++)
		rc = sqlite3_bind_value(stmt, i + 1, c->pk[c->npk + i]);
	return rc;
}

static int
prepare(struct engine *e, sqlite3_str *s, const struct conflict *c,
    sqlite3_stmt **out)
{
	int rc = engine_prepare_built(e, s, out);

	return rc == SQLITE_OK ? bind_pk(*out, c) : rc;
}

/* Key of the row, and the one before it in its list. */
static int
prepare_keys(struct engine *e, const struct conflict *c, sqlite3_stmt **out)
{
	sqlite3_str *s = sqlite3_str_new(e->db);
	int i;

	sqlite3_str_appendf(s, "SELECT \"%w\", (SELECT max(b.\"%w\") FROM main.\"%w\" "
	    "AS b WHERE b.\"%w\" > '' AND CAST(b.\"%w\" AS INTEGER) NOT IN (-1, 1) "
	    "AND b.\"%w\" < a.\"%w\"", c->order, c->order, c->table, c->order,
	    c->order, c->order, c->order);
	for (i = 0; i < c->nlist; i++)
		sqlite3_str_appendf(s, " AND b.\"%w\" IS a.\"%w\"",
		    name_of(c->list[i]), name_of(c->list[i]));
	sqlite3_str_appendf(s, ") FROM main.\"%w\" AS a WHERE ", c->table);
	add_where(s, c);
	return prepare(e, s, c, out);
}

static int
write_key(struct engine *e, const struct conflict *c, const struct buf *key)
{
	sqlite3_str *s = sqlite3_str_new(e->db);
	sqlite3_stmt *stmt;
	int rc;

	sqlite3_str_appendf(s, "UPDATE main.\"%w\" SET \"%w\" = ?%d WHERE ",
	    c->table, c->order, c->npk + 1);
	add_where(s, c);
	rc = prepare(e, s, c, &stmt);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, c->npk + 1, (const char *)key->data,
		    (int)key->len, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = engine_run(e, stmt);
	sqlite3_finalize(stmt);
	return rc;
}

static struct fract_key
column_key(sqlite3_stmt *stmt, int i)
{
	struct fract_key k;

	k.text = (const char *)sqlite3_column_text(stmt, i);
	k.len = (size_t)sqlite3_column_bytes(stmt, i);
	return k;
}

/* Moves the row to just before itself; its old key is the result. */
static int
part(struct engine *e, const struct conflict *c, sqlite3_context *ctx)
{
	const char *why;
	sqlite3_stmt *stmt;
	struct buf key;
	int rc = prepare_keys(e, c, &stmt);

	buf_init(&key, FRACT_KEY_MAX + 1);
	if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW &&
	    sqlite3_column_type(stmt, 0) != SQLITE_NULL) {
		why = fract_between(column_key(stmt, 1), column_key(stmt, 0), &key);
		sqlite3_result_value(ctx, sqlite3_column_value(stmt, 0));
		sqlite3_reset(stmt);
		if (why != NULL)
			rc = engine_fail(e, SQLITE_ERROR, "%s", why);
		else
			rc = key.failed ? SQLITE_NOMEM : write_key(e, c, &key);
	}
	buf_clear(&key);
	return engine_finalize(stmt, rc);
}

static bool
read_arguments(int argc, sqlite3_value **argv, struct conflict *c)
{
	int i = 2;

	while (i < argc && (sqlite3_value_type(argv[i]) != SQLITE_INTEGER ||
	    sqlite3_value_int64(argv[i]) != -1))
		i++;
	c->table = name_of(argv[0]);
	c->order = name_of(argv[1]);
	c->list = argv + 2;
	c->nlist = i - 2;
	c->pk = argv + i + 1;
	c->npk = (argc - i - 1) / 2;
	return argc - i - 1 >= 2 && (argc - i - 1) % 2 == 0;
}

static void
fix_conflict(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	struct conflict c;
	int rc;

	if (argc < 5) {
		sqlite3_result_error(ctx, "Too few arguments to "
		    "fix_conflict_return_old_key", -1);
		return;
	}
	if (!read_arguments(argc, argv, &c)) {
		sqlite3_result_error(ctx, "Incorrect number of primary keys and "
		    "values provided. Must have at least 1 primary key.", -1);
		return;
	}
	rc = part(e, &c, ctx);
	if (rc == SQLITE_OK)
		return;
	sqlite3_log(rc, "keys of %s: %s", c.table, engine_error(e));
	engine_fail(e, rc, "Failed fixing up ordering conflicts on insert");
	engine_result_error(e, ctx, rc);
}

int
fract_register(struct engine *e)
{
	int rc = sqlite3_create_function(e->db, "crsql_fract_as_ordered", -1,
	    SQLITE_UTF8 | SQLITE_DIRECTONLY, e, as_ordered, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_create_function(e->db, "crsql_fract_key_between", 2,
		    SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, e,
		    key_between, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_create_function(e->db,
		    "crsql_fract_fix_conflict_return_old_key", -1, SQLITE_UTF8, e,
		    fix_conflict, NULL, NULL);    /* it writes */
	return rc;
}
