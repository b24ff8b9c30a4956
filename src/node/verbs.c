// SPDX-License-Identifier: MPL-2.0
#include "node/verbs.h"

#include <stdlib.h>
#include <string.h>

#include "node/control.h"
#include "node/control_call.h"
#include "node/doctor.h"
#include "node/places.h"
#include "node/run.h"
#include "node/session.h"
#include "store/peer.h"

/* A request that is being done. */
struct work {
	struct verbs *verbs;
	struct control_client *client;
	bool wants_progress;
	struct run *run;
	struct doctor *doctor;
	struct work *next;
};

struct verbs {
	struct node *node;
	struct peers *peers;
	struct control *control;
	struct work *works;
};

static const char *const exchange_names[] = {
	[EXCHANGE_FETCH] = "fetch",
	[EXCHANGE_MERGE] = "merge",
	[EXCHANGE_PULL] = "pull",
	[EXCHANGE_PUSH] = "push",
	[EXCHANGE_VERIFY] = "verify",
	[EXCHANGE_WAIT] = "wait",
};

const char *
verbs_name(int exchange_verb)
{
	return exchange_names[exchange_verb];
}

static struct work *
work_new(struct verbs *v, struct control_client *client)
{
	struct work *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	w->verbs = v;
	w->client = client;
	w->next = v->works;
	v->works = w;
	control_set_data(client, w);
	return w;
}

static void
work_free(struct work *w)
{
	struct work **at = &w->verbs->works;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	if (w->run != NULL)
		run_stop(w->run);
	if (w->doctor != NULL)
		doctor_stop(w->doctor);
	free(w);
}

static void
answer(struct work *w, int code, const struct err *why)
{
	struct control_client *client = w->client;
	struct err err = why != NULL ? *why : (struct err){ .code = code };

	err.code = code;
	work_free(w);
	control_set_data(client, NULL);
	control_end(client, &err);
}

/* ---- exchanges ---- */

static void
on_reach(void *owner, const struct store_remote *remote)
{
	struct work *w = owner;

	peers_call(w->verbs->peers, remote->id);
}

static int
on_progress(void *owner, const struct exchange_progress *p)
{
	struct work *w = owner;

	if (w->wants_progress)
		control_send(w->client, json_pack("{s:{s:s, s:s, s:I, s:I, s:I, "
		    "s:I, s:I}}", "progress", "remote", p->remote, "stage",
		    p->stage, "rows", (json_int_t)p->rows, "transactions",
		    (json_int_t)p->transactions, "bytes", (json_int_t)p->bytes,
		    "total", (json_int_t)p->total, "elapsed_ms",
		    (json_int_t)p->elapsed_ms));
	return 0;
}

/* One line each: they may be many. */
static json_t *
send_compared(struct work *w, const struct exchange_result *r)
{
	const struct store_compared *c = r->compared;
	size_t i;

	for (i = 0; i < c->nfound; i++)
		control_send(w->client, json_pack("{s:{s:s, s:i, s:s, s:s}}",
		    "difference", "remote", r->remote, "kind",
		    (int)c->found[i].kind, "table", c->found[i].table, "name",
		    c->found[i].name));
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "tables",
	    (json_int_t)c->tables, "rows", (json_int_t)c->rows, "in_flight",
	    (json_int_t)c->in_flight, "differ", (json_int_t)c->differ, "here",
	    (json_int_t)c->here, "there", (json_int_t)c->there, "others",
	    (json_int_t)c->others);
}

static int
on_result(void *owner, const struct exchange_result *r)
{
	struct work *w = owner;
	json_t *compared = r->compared != NULL ? send_compared(w, r) : NULL;

	control_send(w->client, json_pack("{s:{s:s, s:i, s:s, s:s, s:s, s:I, "
	    "s:I, s:I, s:I, s:I, s:b, s:o*}}", "result", "remote", r->remote, "code",
	    r->code, "error", r->error, "hint", r->hint, "path", r->path,
	    "transactions", (json_int_t)r->transactions, "rows",
	    (json_int_t)r->rows, "bytes", (json_int_t)r->bytes, "parked",
	    (json_int_t)r->parked, "held", (json_int_t)r->held, "peer_merges",
	    r->peer_merges, "compared", compared));
	return 0;
}

static void
on_run_done(void *owner, int code, const struct err *why)
{
	struct work *w = owner;

	w->run = NULL;
	answer(w, code, why);
}

static void
exchange(struct work *w, enum exchange_verb verb, const json_t *request)
{
	static const struct run_events events = { on_reach, on_progress,
		on_result, on_run_done, true };
	const char *remote = control_text(request, "remote");
	struct exchange x = { .verb = verb,
		.remote = remote[0] != '\0' ? remote : NULL,
		.timeout_ms = (uint32_t)control_number(request, "timeout_ms"),
		.allow_delete = json_is_true(json_object_get(request,
		    "allow_delete")) };
	struct err err = { .code = 0 };
	int rc;

	w->wants_progress = json_is_true(json_object_get(request, "progress"));
	peers_reload(w->verbs->peers);
	rc = run_start(w->verbs->node, &x, &events, w, &w->run, &err);
	if (rc != 0)
		answer(w, rc, &err);
}

/* ---- the other verbs ---- */

static int
on_finding(void *owner, const struct doctor_finding *f)
{
	struct work *w = owner;

	control_send(w->client, json_pack("{s:{s:i, s:s, s:s, s:s, s:s}}",
	    "finding", "grade", (int)f->grade, "subject", f->subject, "rule",
	    f->rule, "text", f->text, "hint", f->hint));
	return 0;
}

static void
on_doctor_done(void *owner, int code)
{
	struct work *w = owner;

	w->doctor = NULL;
	answer(w, code, NULL);
}

static void
examine(struct work *w, const json_t *request)
{
	static const struct doctor_events events = { on_finding,
		on_doctor_done };
	const char *remote = control_text(request, "remote");
	struct err err = { .code = 0 };
	int rc = doctor_start(w->verbs->node, true,
	    remote[0] != '\0' ? remote : NULL,
	    (uint32_t)control_number(request, "timeout_ms"), &events, w,
	    &w->doctor, &err);

	if (rc != 0)
		answer(w, rc, &err);
}

static int
send_place(void *self, const char *address)
{
	struct work *w = self;

	control_send(w->client, json_pack("{s:s}", "place", address));
	return 0;
}

static int
send_plan(void *self, const struct store_remote *remote,
    enum peers_plan plan, uint64_t in_ms)
{
	struct work *w = self;

	control_send(w->client, json_pack("{s:{s:I, s:i, s:I}}", "peer", "remote",
	    (json_int_t)remote->id, "plan", (int)plan, "in_ms",
	    (json_int_t)in_ms));
	return 0;
}

static void
clean(struct work *w)
{
	struct err err = { .code = 0 };
	uint64_t pages = 0, bytes = 0;
	int rc = store_cleanup(w->verbs->node->store, &pages, &bytes, &err);

	if (rc == 0)
		control_send(w->client, json_pack("{s:{s:I, s:I}}", "cleaned",
		    "pages", (json_int_t)pages, "bytes", (json_int_t)bytes));
	answer(w, rc, &err);
}

/* ---- requests ---- */

static void
on_request(void *owner, struct control_client *client, const json_t *request)
{
	struct verbs *v = owner;
	const char *name = control_text(request, "verb");
	struct work *w = work_new(v, client);
	struct err err = { .code = 0 };
	size_t i;

	if (w == NULL) {
		err_nomem(&err);
		control_end(client, &err);
		return;
	}
	if (!node_still_there(v->node)) {
		answer(w, E_FATAL, &v->node->gone);
		return;
	}
	for (i = 0; i < sizeof exchange_names / sizeof *exchange_names; i++)
		if (strcmp(name, exchange_names[i]) == 0) {
			exchange(w, (enum exchange_verb)i, request);
			return;
		}
	if (strcmp(name, "doctor") == 0) {
		examine(w, request);
	} else if (strcmp(name, "places") == 0) {
		places_each(v->node, send_place, w);
		answer(w, 0, NULL);
	} else if (strcmp(name, "peers") == 0) {
		peers_each(w->verbs->peers, send_plan, w);
		answer(w, 0, NULL);
	} else if (strcmp(name, "cleanup") == 0) {
		clean(w);
	} else {
		err_set(&err, E_USAGE, "it may be of another version",
		    "the running serve does not know '%.40s'", name);
		answer(w, E_USAGE, &err);
	}
}

static void
on_gone(void *owner, struct control_client *client)
{
	struct work *w = control_data(client);

	if (w != NULL)
		work_free(w);
}

int
verbs_open(struct node *n, struct peers *p, struct verbs **out,
    struct err *err)
{
	static const struct control_events events = { on_request, on_gone };
	struct verbs *v = calloc(1, sizeof *v);
	int rc;

	if (v == NULL)
		return err_nomem(err);
	v->node = n;
	v->peers = p;
	rc = control_open(&n->loop, store_state_dir(n->store), &events, v,
	    &v->control, err);
	if (rc != 0) {
		free(v);
		return rc;
	}
	*out = v;
	return 0;
}

void
verbs_close(struct verbs *v)
{
	if (v == NULL)
		return;
	while (v->works != NULL)
		work_free(v->works);
	control_close(v->control);
	free(v);
}

void
verbs_opened(struct verbs *v, struct session *s)
{
	struct work *w, *next;

	for (w = v->works; w != NULL; w = next) {
		next = w->next;
		if (w->run != NULL)
			run_opened(w->run, s);
	}
}

void
verbs_failed(struct verbs *v, int64_t remote, const struct err *why)
{
	struct work *w, *next;

	for (w = v->works; w != NULL; w = next) {
		next = w->next;
		if (w->run != NULL)
			run_failed(w->run, remote, why);
	}
}
