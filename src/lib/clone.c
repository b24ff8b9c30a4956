// SPDX-License-Identifier: MPL-2.0
/*
 * clone.c - a database made from another one's: how its tables are declared is
 * asked first, on a connection of its own; then all is pulled.
 */
#include "lib/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "base/ticks.h"
#include "node/once.h"
#include "store/peer.h"

static const char origin[] = "origin";

enum {
	LET_IN_MIN_MS = 500,    /* from one knock to the next, doubled */
	LET_IN_MAX_MS = 8000
};

int
ddcp_clone_begin(const ddcp_init_options *options, const char *address,
    ddcp **out, ddcp_error *error)
{
	struct store_init how = lib_init_how(options);
	struct err err = { .code = 0 };
	char place[PLACE_MAX];
	uint8_t key[KEY_LEN];
	bool already;
	int rc = addr_parse(address, key, place, &err);

	*out = NULL;
	how.clone_of = key;
	if (rc == 0)
		rc = store_init(&how, &already, &err);
	if (rc == 0)
		rc = lib_open(&options->open, true, out, &err);
	if (rc == 0)
		rc = store_remote_add((*out)->store, origin, key, place, &already,
		    &err);
	if (rc == 0 && already && place[0] != '\0')
		rc = store_remote_set((*out)->store, origin, "place", place,
		    &err);
	if (rc != 0) {
		ddcp_close(*out);
		*out = NULL;
	}
	return lib_error(rc, &err, error);
}

struct clone {
	const ddcp_clone_options *options;
	uint8_t *schema;
	size_t len;
	struct err why;         /* of the remote's result */
};

static int
take_schema(void *self, const struct exchange_result *r)
{
	struct clone *c = self;

	if (r->code != 0)
		err_set(&c->why, r->code, r->hint, "%s", r->error);
	if (r->schema == NULL)
		return 0;
	c->schema = malloc(r->schema_len + 1);
	if (c->schema == NULL)
		return err_nomem(&c->why);
	memcpy(c->schema, r->schema, r->schema_len);
	c->len = r->schema_len;
	return 0;
}

static int
take_rows(void *self, const struct exchange_result *r)
{
	struct clone *c = self;
	ddcp_result out = lib_result(r);

	if (r->code != 0 && r->code != E_HELD)
		err_set(&c->why, r->code, r->hint, "%s", r->error);
	return c->options->result != NULL ?
	    c->options->result(c->options->self, &out) : 0;
}

static int
give_progress(void *self, const struct exchange_progress *p)
{
	struct clone *c = self;
	ddcp_progress out = lib_progress(p);

	return c->options->progress(c->options->self, &out);
}

static int
give_left(void *self, const char *table, const char *name, const char *reason)
{
	const struct clone *c = self;

	return c->options->left != NULL ?
	    c->options->left(c->options->self, table, name, reason) : 0;
}

/* One exchange with the origin, which is told of by c->why. */
static int
exchange(ddcp *d, struct clone *c, struct exchange *x, struct err *err)
{
	int rc;

	err_clear(&c->why);
	err_clear(err);
	x->remote = origin;
	x->self = c;
	rc = once_run(d->store, x, &d->stop, err);
	if (rc != 0 && err->text[0] == '\0')
		*err = c->why;
	return rc;
}

/* Who is not let in knocks, and again until time is up. */
static int
ask_schema(ddcp *d, struct clone *c, int timeout_ms, struct err *err)
{
	struct exchange x = { .verb = EXCHANGE_SCHEMA,
		.timeout_ms = (uint32_t)timeout_ms, .result = take_schema };
	int64_t until = ticks_ms() + timeout_ms, left;
	int wait = LET_IN_MIN_MS, rc;

	for (;;) {
		rc = exchange(d, c, &x, err);
		left = until - ticks_ms();
		if (rc != E_REFUSED || left <= 0)
			return rc;
		if (stop_wait(&d->stop, wait < left ? wait : (int)left))
			return err_set(err, E_INTERRUPTED, NULL, "interrupted");
		wait = 2 * wait < LET_IN_MAX_MS ? 2 * wait : LET_IN_MAX_MS;
	}
}

static int
run(ddcp *d, struct clone *c, struct err *err)
{
	const struct store_clone_calls calls = { give_left, c };
	int timeout_ms = lib_timeout(d, c->options->timeout_ms);
	struct exchange x = { .verb = EXCHANGE_PULL,
		.timeout_ms = (uint32_t)timeout_ms, .result = take_rows,
		.progress = c->options->progress != NULL ? give_progress :
		NULL };
	int done, rc = ask_schema(d, c, timeout_ms, err);

	if (rc == 0)
		rc = store_clone_make(d->store, c->schema, c->len, &calls, err);
	if (rc == 0)
		rc = exchange(d, c, &x, err);
	if (rc != 0 && rc != E_HELD)
		return rc;
	done = store_clone_finish(d->store, c->schema, c->len, err);
	return done != 0 ? done : rc;
}

int
ddcp_clone(ddcp *d, const ddcp_clone_options *options, ddcp_error *error)
{
	static const ddcp_clone_options defaults;
	struct clone c = { .options = options != NULL ? options : &defaults };
	struct err err = { .code = 0 };
	int rc = lib_idle(d, &err);

	if (rc == 0) {
		d->busy = true;
		rc = run(d, &c, &err);
		d->busy = false;
	}
	free(c.schema);
	stop_reset(&d->stop);
	return lib_error(rc, &err, error);
}
