// SPDX-License-Identifier: MPL-2.0
/*
 * clone.c - a database that is being made from another one's: whose it is stands
 * in it from the transaction on by which it becomes one of ddcp's, until all is
 * here.  Meanwhile only the clone itself is done with it.
 */
#include "store/clone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/held.h"
#include "store/schema.h"
#include "store/shape.h"
#include "store/sql.h"
#include "store/store_private.h"

static const char mark[] = "clone";

int
clone_mark(sqlite3 *db, const uint8_t origin[static KEY_LEN], struct err *err)
{
	return schema_set(db, mark, origin, KEY_LEN, err);
}

int
clone_origin(sqlite3 *db, uint8_t origin[static KEY_LEN], bool *half,
    struct err *err)
{
	return schema_get(db, mark, origin, KEY_LEN, half, err);
}

int
clone_refuse_half(sqlite3 *db, const char *db_file, struct err *err)
{
	char address[ADDR_TEXT_LEN + 1], hint[ERR_HINT_MAX];
	uint8_t origin[KEY_LEN];
	bool half;
	int rc = clone_origin(db, origin, &half, err);

	if (rc != 0 || !half)
		return rc;
	addr_format(origin, address);
	snprintf(hint, sizeof hint, "go on with it: ddcp clone %s and the same "
	    "file; or remove it, and its state directory", address);
	return err_set(err, E_FATAL, hint, "%s is a clone that is not complete",
	    db_file);
}

/* What may become a clone: what is none yet must be empty. */
int
clone_may_begin(sqlite3 *db, const char *db_file, bool initialised,
    const uint8_t wanted[static KEY_LEN], struct err *err)
{
	uint8_t origin[KEY_LEN];
	bool half = false;
	int64_t n = 0;
	int rc = 0;

	if (initialised)
		rc = clone_origin(db, origin, &half, err);
	else
		rc = sql_int(db, &n, err, "SELECT count(*) FROM sqlite_schema",
		    "");
	if (rc != 0 || (!initialised && n == 0) ||
	    (half && memcmp(origin, wanted, KEY_LEN) == 0))
		return rc;
	return err_set(err, E_EXISTS, half ? "name another file" : "name another "
	    "file; or, if that one is to exchange with it: init, remote add and "
	    "pull", half ? "%s is a clone of another address that is not complete" :
	    "%s is there already", db_file);
}

/* -- how tables are declared here -------------------------------------------------- */

/* One snapshot: a schema that changes in between gives no mixture. */
int
store_describe(struct store *s, uint8_t **out, size_t *len, struct err *err)
{
	struct shape shape = { .table = NULL };
	struct buf b;
	struct held h;
	size_t i;
	int rc;

	buf_init(&b, 0);
	store_only_look(s, true);
	rc = sql_do(s->db, err, "SAVEPOINT ddcp_describe", "");
	if (rc == 0) {
		rc = held_load(s->db, &h, err);
		for (i = 0; rc == 0 && i < h.ntables; i++)
			rc = shape_describe(s->db, h.table[i].name, &shape, err);
		if (rc == 0)
			rc = shape_describe_rest(s->db, &shape, err);
		held_clear(&h);
		sqlite3_exec(s->db, "RELEASE ddcp_describe", NULL, NULL, NULL);
	}
	store_only_look(s, false);
	if (rc == 0)
		rc = shape_encode(&shape, &b, err);
	if (rc == 0)
		*out = buf_take(&b, len);
	buf_clear(&b);
	shape_clear(&shape);
	return rc;
}

/* -- its tables ------------------------------------------------------------------- */

static const char *const reasons[SHAPE_LEFT_KINDS] = {
	[SHAPE_LEFT_GENERATED] = "it is computed there; not made here",
	[SHAPE_LEFT_DEFAULT] = "its default is an expression there; none here",
	[SHAPE_LEFT_COLLATION] = "its collation is its application's; BINARY here",
	[SHAPE_LEFT_INDEX] = "an index that is unique, partial, of expressions or "
	    "large; not made here",
	[SHAPE_LEFT_TRIGGER] = "a trigger; not made here",
	[SHAPE_LEFT_FOREIGN] = "the table refers to that one; not here",
	[SHAPE_LEFT_CHECK] = "the table has a CHECK there; none here",
	[SHAPE_LEFT_AUTOINCREMENT] = "the table is AUTOINCREMENT there; not here",
	[SHAPE_LEFT_ORDER] = "the table is an ordered list there; here after "
	    "crsql_fract_as_ordered()",
};

static int
tell_left(const struct shape *shape, const struct store_clone_calls *calls)
{
	const struct shape_left *l = shape->left;
	size_t i;
	int rc = 0;

	for (i = 0; i < shape->nleft && rc == 0; i++, l++)
		rc = calls->left(calls->self, l->table, l->name,
		    reasons[l->kind]);
	if (rc == 0 && shape->more_left)
		rc = calls->left(calls->self, "", "", "and more is there that is "
		    "not made here");
	return rc;
}

/* Those that an earlier run made are there. */
static int
make_tables(struct store *s, const struct shape *shape, struct err *err)
{
	struct held h;
	bool already;
	size_t i;
	int rc = held_load(s->db, &h, err);

	for (i = 0; i < shape->ntables && rc == 0; i++) {
		if (held_find(&h, shape->table[i].name) != NULL)
			continue;
		rc = shape_make(s->db, &shape->table[i], err);
		if (rc == 0)
			rc = store_track(s, shape->table[i].name, &already, err);
	}
	held_clear(&h);
	return rc;
}

int
store_clone_make(struct store *s, const uint8_t *data, size_t len,
    const struct store_clone_calls *calls, struct err *err)
{
	struct shape shape;
	int rc = shape_decode(data, len, &shape, err);

	if (rc == 0 && shape.ntables == 0)
		rc = err_set(err, E_NOTFOUND, "there, \"ddcp track\" replicates "
		    "tables", "the other side replicates no tables");
	if (rc == 0)
		rc = sql_begin(s->db, err);
	if (rc == 0)
		rc = sql_end(s->db, make_tables(s, &shape, err), err);
	if (rc == 0)
		rc = tell_left(&shape, calls);
	shape_clear(&shape);
	return rc;
}

static int
finish(struct store *s, const struct shape *shape, struct err *err)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < shape->ntables && rc == 0; i++)
		rc = shape_make_indexes(s->db, &shape->table[i], err);
	return rc == 0 ? schema_forget(s->db, mark, err) : rc;
}

int
store_clone_finish(struct store *s, const uint8_t *data, size_t len,
    struct err *err)
{
	struct shape shape;
	int rc = shape_decode(data, len, &shape, err);

	if (rc == 0)
		rc = sql_begin(s->db, err);
	if (rc == 0)
		rc = sql_end(s->db, finish(s, &shape, err), err);
	shape_clear(&shape);
	return rc;
}
