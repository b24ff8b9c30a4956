// SPDX-License-Identifier: MPL-2.0
/*
 * exchange.c - fetch, merge, pull, push, verify and wait: through the running serve of the
 * database if there is one, else by connections of their own.
 */
#include "lib/exchange.h"

#include "base/ticks.h"
#include "node/control_call.h"
#include "node/once.h"
#include "node/verbs.h"
#include "store/peer.h"

enum { LOCKED_AGAIN_MS = 50 };

_Static_assert(EXCHANGE_FETCH == 0 && EXCHANGE_WAIT == 5, "all verbs");
_Static_assert((int)DDCP_ROW_DIFFERS == (int)STORE_ROW_DIFFERS
    && (int)DDCP_TABLE_THERE == (int)STORE_TABLE_THERE, "one list of kinds");

/* Who asked, and the gravest that was told of a remote. */
struct asked {
	const ddcp_exchange *x;
	struct err gravest;
};

ddcp_progress
lib_progress(const struct exchange_progress *p)
{
	return (ddcp_progress){ .remote = p->remote, .stage = p->stage,
		.rows = p->rows, .transactions = p->transactions,
		.bytes = p->bytes, .total = p->total,
		.elapsed_ms = p->elapsed_ms };
}

ddcp_result
lib_result(const struct exchange_result *r)
{
	return (ddcp_result){ .remote = r->remote, .code = r->code,
		.error = r->error, .hint = r->hint, .path = r->path,
		.transactions = r->transactions, .rows = r->rows,
		.bytes = r->bytes, .parked = r->parked, .held = r->held,
		.peer_merges = r->peer_merges };
}

static int
give_progress(void *self, const struct exchange_progress *p)
{
	const struct asked *asked = self;
	const ddcp_exchange *x = asked->x;
	ddcp_progress out = lib_progress(p);

	return x->progress != NULL ? x->progress(x->self, &out) : 0;
}

static int
give_difference(const struct asked *asked, const char *remote, int kind,
    const char *table, const char *name)
{
	const ddcp_exchange *x = asked->x;
	ddcp_difference out = { .remote = remote, .table = table,
		.kind = (enum ddcp_difference_kind)kind, .name = name };

	return x->difference != NULL ? x->difference(x->self, &out) : 0;
}

static int
give_differences(const struct asked *asked, const struct exchange_result *r)
{
	const struct store_compared *c = r->compared;
	size_t i;
	int rc = 0;

	for (i = 0; c != NULL && i < c->nfound && rc == 0; i++)
		rc = give_difference(asked, r->remote, (int)c->found[i].kind,
		    c->found[i].table, c->found[i].name);
	return rc;
}

static int
give_result(void *self, const struct exchange_result *r)
{
	struct asked *asked = self;
	const ddcp_exchange *x = asked->x;
	const struct store_compared *c = r->compared;
	ddcp_compared compared = { .rows = 0 };
	int rc = give_differences(asked, r);
	ddcp_result out = lib_result(r);

	out.compared = c != NULL ? &compared : NULL;
	if (c != NULL)
		compared = (ddcp_compared){ .tables = c->tables,
			.rows = c->rows, .in_flight = c->in_flight,
			.differ = c->differ, .here = c->here,
			.there = c->there, .others = c->others };
	if (rc != 0)
		return rc;
	if (r->error[0] != '\0' && r->code != asked->gravest.code
	    && err_gravest(r->code, asked->gravest.code) == r->code)
		err_set(&asked->gravest, r->code, r->hint, "%s: %s", r->remote,
		    r->error);
	return x->result != NULL ? x->result(x->self, &out) : 0;
}

static int
take_progress(struct asked *asked, const json_t *p)
{
	struct exchange_progress progress = {
		.remote = control_text(p, "remote"),
		.stage = control_text(p, "stage"),
		.rows = (uint64_t)control_number(p, "rows"),
		.transactions = (uint64_t)control_number(p, "transactions"),
		.bytes = (uint64_t)control_number(p, "bytes"),
		.total = (uint64_t)control_number(p, "total"),
		.elapsed_ms = control_number(p, "elapsed_ms") };

	return give_progress(asked, &progress);
}

static int
take_difference(const struct asked *asked, const json_t *d)
{
	return give_difference(asked, control_text(d, "remote"),
	    (int)control_number(d, "kind"), control_text(d, "table"),
	    control_text(d, "name"));
}

static struct store_compared
take_compared(const json_t *c)
{
	return (struct store_compared){
		.tables = (uint64_t)control_number(c, "tables"),
		.rows = (uint64_t)control_number(c, "rows"),
		.in_flight = (uint64_t)control_number(c, "in_flight"),
		.differ = (uint64_t)control_number(c, "differ"),
		.here = (uint64_t)control_number(c, "here"),
		.there = (uint64_t)control_number(c, "there"),
		.others = (uint64_t)control_number(c, "others") };
}

static int
take_result(struct asked *asked, const json_t *r)
{
	const json_t *c = json_object_get(r, "compared");
	struct store_compared compared = take_compared(c);
	struct exchange_result result = {
		.remote = control_text(r, "remote"),
		.code = (int)control_number(r, "code"),
		.error = control_text(r, "error"),
		.hint = control_text(r, "hint"),
		.path = control_text(r, "path"),
		.transactions = (uint64_t)control_number(r, "transactions"),
		.rows = (uint64_t)control_number(r, "rows"),
		.bytes = (uint64_t)control_number(r, "bytes"),
		.parked = (uint64_t)control_number(r, "parked"),
		.held = (uint64_t)control_number(r, "held"),
		.peer_merges = json_is_true(json_object_get(r,
		    "peer_merges")),
		.compared = c != NULL ? &compared : NULL };

	return give_result(asked, &result);
}

static int
take_line(void *self, const json_t *line)
{
	const json_t *part = json_object_get(line, "progress");

	if (part != NULL)
		return take_progress(self, part);
	part = json_object_get(line, "difference");
	if (part != NULL)
		return take_difference(self, part);
	part = json_object_get(line, "result");
	return part != NULL ? take_result(self, part) : 0;
}

static int
ask_serve(ddcp *d, const struct exchange *own, bool *ran, struct err *err)
{
	return control_call(store_state_dir(d->store), json_pack(
	    "{s:s, s:s, s:I, s:b, s:b}", "verb", verbs_name(own->verb), "remote",
	    own->remote != NULL ? own->remote : "", "timeout_ms",
	    (json_int_t)own->timeout_ms, "progress", own->progress != NULL,
	    "allow_delete", own->allow_delete),
	    take_line, own->self, &d->stop, ran, err);
}

/* Another process may hold the lock of exchanges.  flock() knows no timeout,
 * and the lock may go over to a serve, who is to be asked then: so both are
 * tried now and then. */
static int
run(ddcp *d, const struct exchange *own, struct err *err)
{
	int64_t started = ticks_ms();
	bool ran;
	int rc;

	for (;;) {
		err_clear(err);
		rc = ask_serve(d, own, &ran, err);
		if (rc == 0 && !ran)
			rc = once_run(d->store, own, &d->stop, err);
		if (rc != E_UNREACHABLE || !err->locked || (own->timeout_ms != 0
		    && ticks_ms() - started >= own->timeout_ms))
			return rc;
		if (stop_wait(&d->stop, LOCKED_AGAIN_MS))
			return err_set(err, E_INTERRUPTED, NULL, "interrupted");
	}
}

static int
exchange(ddcp *d, enum exchange_verb verb, const ddcp_exchange *x,
    ddcp_error *error)
{
	static const ddcp_exchange defaults;
	struct err err = { .code = 0 };
	struct asked asked = { x != NULL ? x : &defaults, { .code = 0 } };
	struct exchange own;
	int rc;

	x = asked.x;
	own = (struct exchange){ .verb = verb, .remote = x->remote,
		.timeout_ms = (uint32_t)(verb == EXCHANGE_WAIT ? x->timeout_ms :
		    lib_timeout(d, x->timeout_ms)),
		.allow_delete = x->allow_delete,
		.progress = x->progress != NULL ? give_progress : NULL,
		.result = give_result, .self = &asked };
	rc = lib_idle(d, &err);
	/* before a serve is asked, to whom "" means all */
	if (rc == 0)
		rc = lib_remote_known(d, x->remote, &err);
	if (rc == 0) {
		d->busy = true;
		rc = run(d, &own, &err);
		d->busy = false;
	}
	if (rc != 0 && rc == asked.gravest.code && err.text[0] == '\0')
		err = asked.gravest;
	else if (rc == E_DIFFERENT)
		err_set(&err, rc, NULL, "the databases differ");
	stop_reset(&d->stop);
	return lib_error(rc, &err, error);
}

int
ddcp_fetch(ddcp *d, const ddcp_exchange *x, ddcp_error *error)
{
	return exchange(d, EXCHANGE_FETCH, x, error);
}

int
ddcp_merge(ddcp *d, const ddcp_exchange *x, ddcp_error *error)
{
	return exchange(d, EXCHANGE_MERGE, x, error);
}

int
ddcp_pull(ddcp *d, const ddcp_exchange *x, ddcp_error *error)
{
	return exchange(d, EXCHANGE_PULL, x, error);
}

int
ddcp_push(ddcp *d, const ddcp_exchange *x, ddcp_error *error)
{
	return exchange(d, EXCHANGE_PUSH, x, error);
}

int
ddcp_verify(ddcp *d, const ddcp_exchange *x, ddcp_error *error)
{
	return exchange(d, EXCHANGE_VERIFY, x, error);
}

int
ddcp_wait(ddcp *d, const ddcp_exchange *x, ddcp_error *error)
{
	return exchange(d, EXCHANGE_WAIT, x, error);
}
