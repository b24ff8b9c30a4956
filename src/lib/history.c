// SPDX-License-Identifier: MPL-2.0
/* history.c - log, show, blame: what the store gives, in the public form. */
#include "lib/history.h"

#include <stdio.h>
#include <stdlib.h>

_Static_assert((int)DDCP_NULL == (int)STORE_NULL
    && (int)DDCP_INTEGER == (int)STORE_INTEGER
    && (int)DDCP_REAL == (int)STORE_REAL
    && (int)DDCP_TEXT == (int)STORE_TEXT
    && (int)DDCP_BLOB == (int)STORE_BLOB, "one list of types");
_Static_assert((int)DDCP_INSERTED == (int)STORE_INSERTED
    && (int)DDCP_CHANGED == (int)STORE_CHANGED
    && (int)DDCP_DELETED == (int)STORE_DELETED, "one list of kinds");
_Static_assert((int)DDCP_SITE_LEN == (int)STORE_SITE_LEN
    && (int)DDCP_TOKEN_LEN == (int)STORE_TOKEN_LEN, "one length");

ddcp_value
lib_value(const struct store_value *v)
{
	return (ddcp_value){ .type = (enum ddcp_type)v->type,
		.integer = v->integer, .real = v->real, .data = v->data,
		.size = v->size };
}

struct store_value
lib_store_value(const ddcp_value *v)
{
	return (struct store_value){ .type = (enum store_type)v->type,
		.integer = v->integer, .real = v->real, .data = v->data,
		.size = v->size };
}

ddcp_author
lib_author(const struct store_author *a)
{
	return (ddcp_author){ .name = a->name, .address = a->address,
		.site = a->site };
}

/* -- log ------------------------------------------------------------------------- */

struct transaction_walk {
	int (*each)(void *self, const ddcp_transaction *transaction);
	void *self;
	struct err *err;
};

static int
give_transaction(void *self, const struct store_transaction *t)
{
	const struct transaction_walk *w = self;
	ddcp_tally *tally = calloc(t->ntally + 1, sizeof *tally);
	ddcp_transaction out = { .author = lib_author(&t->author),
		.version = t->version, .db_version = t->db_version,
		.time_ms = t->time_ms, .token = t->token, .tally = tally,
		.ntally = t->ntally };
	size_t i;
	int rc;

	if (tally == NULL)
		return err_nomem(w->err);
	for (i = 0; i < t->ntally; i++)
		tally[i] = (ddcp_tally){ .table = t->tally[i].table,
			.inserted = t->tally[i].inserted,
			.changed = t->tally[i].changed,
			.deleted = t->tally[i].deleted,
			.parked = t->tally[i].parked };
	rc = w->each(w->self, &out);
	free(tally);
	return rc;
}

int
ddcp_log_each(ddcp *d, const ddcp_log_options *options,
    int (*each)(void *self, const ddcp_transaction *transaction), void *self,
    ddcp_error *error)
{
	struct err err = { .code = 0 };
	struct transaction_walk w = { each, self, &err };
	struct store_log which = { .limit = 0 };

	if (options != NULL)
		which = (struct store_log){ .table = options->table,
			.author = options->author, .limit = options->limit };
	return lib_error(store_log_each(d->store, &which, give_transaction, &w,
	    &err), &err, error);
}

/* -- show ------------------------------------------------------------------------ */

int
lib_change_init(struct lib_change *out, const struct store_change *c,
    struct err *err)
{
	size_t i, n = c->nkey + c->ncell;

	out->cells = calloc(n + 1, sizeof *out->cells);
	if (out->cells == NULL)
		return err_nomem(err);
	for (i = 0; i < c->nkey; i++)
		out->cells[i] = (ddcp_cell){ c->key[i].column,
			lib_value(&c->key[i].value) };
	for (i = c->nkey; i < n; i++)
		out->cells[i] = (ddcp_cell){ c->cell[i - c->nkey].column,
			lib_value(&c->cell[i - c->nkey].value) };
	for (i = 0; i < STORE_CURSOR_LEN; i++)
		sprintf(out->cursor + 2 * i, "%02x", c->cursor[i]);
	out->change = (ddcp_change){ .kind = (enum ddcp_change_kind)c->kind,
		.table = c->table, .key = out->cells, .nkey = c->nkey,
		.cell = out->cells + c->nkey, .ncell = c->ncell,
		.author = lib_author(&c->author), .version = c->version,
		.db_version = c->db_version, .time_ms = c->time_ms,
		.cursor = out->cursor };
	return 0;
}

void
lib_change_clear(struct lib_change *c)
{
	free(c->cells);
	c->cells = NULL;
}

struct show_walk {
	const ddcp_show_calls *calls;
	struct err *err;
};

static int
show_transaction(void *self, const struct store_transaction *t)
{
	const struct show_walk *s = self;
	struct transaction_walk w = { s->calls->transaction, s->calls->self,
		s->err };

	return give_transaction(&w, t);
}

static int
show_change(void *self, const struct store_change *c)
{
	const struct show_walk *s = self;
	struct lib_change out;
	int rc = lib_change_init(&out, c, s->err);

	if (rc != 0)
		return rc;
	rc = s->calls->change(s->calls->self, &out.change);
	lib_change_clear(&out);
	return rc;
}

static int
show_end(void *self, uint64_t kept, uint64_t lost)
{
	const struct show_walk *s = self;

	return s->calls->end(s->calls->self, kept, lost);
}

int
ddcp_show(ddcp *d, const char *name, const ddcp_show_calls *calls,
    ddcp_error *error)
{
	struct err err = { .code = 0 };
	struct show_walk s = { calls, &err };
	struct store_show how = { .transaction = show_transaction,
		.change = show_change, .end = show_end, .self = &s };
	int rc = lib_idle(d, &err);

	return lib_error(rc != 0 ? rc : store_show(d->store, name, &how, &err),
	    &err, error);
}

/* -- blame ----------------------------------------------------------------------- */

struct blame_walk {
	int (*each)(void *self, const ddcp_blamed *blamed);
	void *self;
};

static int
give_blamed(void *self, const struct store_blamed *b)
{
	const struct blame_walk *w = self;
	ddcp_blamed out = { .kind = (enum ddcp_change_kind)b->kind,
		.column = b->column, .value = lib_value(&b->value),
		.known = b->known, .author = lib_author(&b->author),
		.version = b->version, .db_version = b->db_version,
		.time_ms = b->time_ms };

	return w->each(w->self, &out);
}

int
ddcp_blame(ddcp *d, const char *table, const ddcp_value *key, size_t nkey,
    int (*each)(void *self, const ddcp_blamed *blamed), void *self,
    ddcp_error *error)
{
	struct blame_walk w = { each, self };
	struct err err = { .code = 0 };
	struct store_value *values = calloc(nkey + 1, sizeof *values);
	size_t i;
	int rc;

	if (values == NULL)
		return lib_error(err_nomem(&err), &err, error);
	for (i = 0; i < nkey; i++)
		values[i] = lib_store_value(&key[i]);
	rc = store_blame(d->store, table, values, nkey, give_blamed, &w, &err);
	free(values);
	return lib_error(rc, &err, error);
}
