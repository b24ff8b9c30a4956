// SPDX-License-Identifier: MPL-2.0
#include "node/once.h"

#include <stdlib.h>

#include "node/call.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/run.h"
#include "node/session.h"

struct once;

/* A call that goes on. */
struct attempt {
	struct once *once;
	struct call *call;
	int64_t remote;
	struct attempt *next;
};

struct once {
	struct node node;
	const struct exchange *x;
	struct run *run;                /* NULL once it is done */
	struct attempt *attempts;
	bool done;
	int code;
	struct err *err;
};

static void
drop(struct attempt *a)
{
	struct attempt **at = &a->once->attempts;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	free(a);
}

static void
on_called(void *owner, struct session *s, const struct err *why)
{
	struct attempt *a = owner;
	struct once *o = a->once;
	int64_t remote = a->remote;

	drop(a);
	if (o->run == NULL)
		return;
	if (s != NULL)
		run_opened(o->run, s);
	else
		run_failed(o->run, remote, why);
}

static void
on_reach(void *owner, const struct store_remote *remote)
{
	struct once *o = owner;
	struct attempt *a = calloc(1, sizeof *a);
	struct err err = { .code = 0 };

	if (a == NULL) {
		err_nomem(&err);
	} else {
		a->once = o;
		a->remote = remote->id;
		a->next = o->attempts;
		o->attempts = a;
		if (call_start(&o->node, remote, o->x->verb == EXCHANGE_WAIT ?
		    PEERS_CALL_MS : o->x->timeout_ms, on_called, a, &a->call,
		    &err) == 0)
			return;
		drop(a);
	}
	run_failed(o->run, remote->id, &err);
}

static int
on_progress(void *owner, const struct exchange_progress *p)
{
	struct once *o = owner;

	return o->x->progress != NULL ? o->x->progress(o->x->self, p) : 0;
}

static int
on_result(void *owner, const struct exchange_result *r)
{
	struct once *o = owner;

	return o->x->result != NULL ? o->x->result(o->x->self, r) : 0;
}

static void
on_done(void *owner, int code, const struct err *why)
{
	struct once *o = owner;

	o->run = NULL;
	o->done = true;
	uv_stop(&o->node.loop);
	o->code = code;
	if (why != NULL && o->err != NULL)
		*o->err = *why;
}

int
once_run(struct store *store, const struct exchange *x, struct stop *stop,
    struct err *err)
{
	static const struct run_events events = { on_reach, on_progress,
		on_result, on_done, false };
	struct node_options options = { .node_after_ms = 500, .hub = {
		.eager = x->verb == EXCHANGE_FETCH || x->verb == EXCHANGE_PULL,
		.verb = x->verb } };
	struct once o = { .x = x, .err = err };
	struct attempt *a;
	bool writes = x->verb != EXCHANGE_VERIFY && x->verb != EXCHANGE_WAIT;
	int rc = store_exchange_lock(store, writes, err);

	if (rc != 0)
		return rc;
	rc = node_open(&o.node, store, &options, err);
	if (rc != 0)
		goto out;
	rc = run_start(&o.node, x, &events, &o, &o.run, err);
	if (rc == 0)
		rc = node_run_until(&o.node, &o.done, stop, err);
	if (o.run != NULL)
		run_stop(o.run);
	/* Whoever gave us something hears that we have it. */
	if (rc == 0)
		hub_tick(o.node.hub);
	while ((a = o.attempts) != NULL) {
		call_stop(a->call);
		drop(a);
	}
	node_close(&o.node);
	if (rc == 0)
		rc = o.code;
out:
	store_serve_unlock(store);
	return rc;
}
