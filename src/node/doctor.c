// SPDX-License-Identifier: MPL-2.0
#include "node/doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/several.h"
#include "node/call.h"
#include "node/doctor_find.h"
#include "node/session.h"
#include "store/store.h"

struct patient {
	struct doctor *doctor;
	struct store_remote remote;
	struct call *call;
};

struct doctor {
	struct node *node;
	bool serving;
	uint32_t timeout_ms;
	uv_timer_t timer;       /* begins, and ends, from the loop */
	struct patient *patient;
	size_t n, over;
	int code;
	const struct doctor_events *events;
	void *owner;
	bool begun, ended;
	uint64_t begun_ms;
};

enum { NODE_LOOK_MS = 100 };

static void on_timer(uv_timer_t *timer);

static void
timer_closed(uv_handle_t *handle)
{
	struct doctor *d = handle->data;

	free(d->patient);
	free(d);
}

void
doctor_stop(struct doctor *d)
{
	size_t i;

	if (d->ended)
		return;
	d->ended = true;
	for (i = 0; i < d->n; i++)
		if (d->patient[i].call != NULL)
			call_stop(d->patient[i].call);
	uv_close((uv_handle_t *)&d->timer, timer_closed);
}

static void
end(struct doctor *d, int code)
{
	const struct doctor_events *events = d->events;
	void *owner = d->owner;

	if (d->ended)
		return;
	doctor_stop(d);
	events->done(owner, code);
}

void
doctor_find(struct doctor *d, enum doctor_grade grade, const char *subject,
    const char *rule, const char *text, const char *hint)
{
	struct doctor_finding f = { grade, subject, rule, text, hint };
	int rc;

	if (d->ended)
		return;
	rc = d->events->finding(d->owner, &f);
	if (rc != 0)
		end(d, rc);
}

/* ---- the network ---- */

static void
examine_listening(struct doctor *d, const struct net_status *s)
{
	char text[PLACE_MAX + 64];
	size_t i;

	if (!d->serving)
		doctor_find(d, DOCTOR_NOTE, "serve", "not-serving",
		    "no serve of this database runs: nobody can call it",
		    "ddcp serve");
	for (i = 0; i < s->nlistening; i++) {
		snprintf(text, sizeof text, "listening on %s", s->listening[i]);
		doctor_find(d, DOCTOR_FINE, "serve", "listening", text, "");
	}
	if (!d->serving)
		return;
	snprintf(text, sizeof text, "%zu connections, %zu of them not "
	    "identified yet, %" PRIu64 " dropped so far", s->accepted,
	    s->unknown, s->dropped);
	doctor_find(d, DOCTOR_FINE, "serve", "connections", text, "");
}

static void
examine_discovery(struct doctor *d, const struct net_status *s)
{
	char text[256];
	size_t i;

	if (!s->lan) {
		doctor_find(d, DOCTOR_NOTE, "discovery", "off",
		    "discovery on the local network is off",
		    "others need KEY@HOST:PORT");
		return;
	}
	for (i = 0; i < s->nifs; i++) {
		snprintf(text, sizeof text, "%s %s: %s", s->ifs[i].name,
		    s->ifs[i].address, s->ifs[i].joined ? "in use"
		    : s->ifs[i].why);
		doctor_find(d, s->ifs[i].joined ? DOCTOR_FINE : DOCTOR_NOTE,
		    "discovery", s->ifs[i].joined ? "joined" : "not-joined",
		    text, "");
	}
	snprintf(text, sizeof text, "%" PRIu64 " packets heard, %" PRIu64
	    " of them meant for us", s->heard, s->recognised);
	doctor_find(d, DOCTOR_FINE, "discovery", "heard", text, "");
	if (s->skewed == 0)
		return;
	snprintf(text, sizeof text, "the clock of a known peer is %" PRId64
	    " minutes off ours", s->skew_min);
	doctor_find(d, DOCTOR_WARNING, "discovery", "clock", text,
	    "set the clocks; more than a day apart is ignored");
}

static void
examine_network(struct doctor *d)
{
	struct net_status *s = calloc(1, sizeof *s);

	if (s == NULL)
		return;
	node_status(d->node, s);
	examine_listening(d, s);
	if (several_part(d->node->net, false) != NULL)
		examine_discovery(d, s);
	doctor_veilid(d, d->node, s);
	free(s);
}

/* ---- remotes ---- */

static void
finish(struct doctor *d)
{
	/* From the loop, so that calls may still be walking their patient. */
	if (d->over == d->n && !d->ended)
		uv_timer_start(&d->timer, on_timer, 0, 0);
}

static void
found_well(struct patient *p, const struct session *s)
{
	char text[PLACE_MAX + 64];

	if (session_is_far(s))
		snprintf(text, sizeof text, "connected over Veilid");
	else
		snprintf(text, sizeof text, "connected at %s",
		    session_place(s));
	p->doctor->over++;
	doctor_find(p->doctor, DOCTOR_FINE, p->remote.name, "reachable", text, "");
	finish(p->doctor);
}

static void
on_called(void *owner, struct session *s, const struct err *why)
{
	struct patient *p = owner;

	p->call = NULL;
	if (s != NULL) {
		found_well(p, s);
		return;
	}
	p->doctor->code = E_UNREACHABLE;
	p->doctor->over++;
	doctor_find(p->doctor, DOCTOR_WARNING, p->remote.name,
	    why->code == E_REFUSED ? "refused" : why->code == E_INTEGRITY
	    ? "wrong-key" : "unreachable", why->text, why->hint);
	finish(p->doctor);
}

static void
examine_remote(struct patient *p)
{
	struct doctor *d = p->doctor;
	const struct session *s = hub_find(d->node->hub, p->remote.key);
	struct err err = { .code = 0 };

	if (s != NULL)
		found_well(p, s);
	else if (call_start(d->node, &p->remote, d->timeout_ms, on_called, p,
	    &p->call, &err) != 0)
		on_called(p, NULL, &err);
}

/* A Veilid node is given time to become ready; what is known to go wrong is not
 * waited for. */
static bool
node_may_come(struct doctor *d)
{
	struct net_status *s = calloc(1, sizeof *s);
	bool may = false;

	if (s != NULL && uv_now(&d->node->loop) < d->begun_ms + d->timeout_ms) {
		node_status(d->node, s);
		may = s->veilid.on && !s->veilid.routed
		    && (s->veilid.why.code == 0
		    || s->veilid.why.code == E_UNREACHABLE);
	}
	free(s);
	return may;
}

static void
on_timer(uv_timer_t *timer)
{
	struct doctor *d = timer->data;
	size_t i;

	if (!d->begun) {
		d->begun_ms = uv_now(&d->node->loop);
		d->begun = true;
		for (i = 0; i < d->n && !d->ended; i++)
			examine_remote(&d->patient[i]);
		if (d->n > 0)
			return;
	}
	if (node_may_come(d)) {
		uv_timer_start(timer, on_timer, NODE_LOOK_MS, 0);
		return;
	}
	/* Last, since the calls made discovery hear something. */
	examine_network(d);
	end(d, d->code);
}

static int
add_patient(void *self, const struct store_remote *remote)
{
	struct doctor *d = self;
	struct patient *more = realloc(d->patient, (d->n + 1) * sizeof *more);

	if (more == NULL)
		return E_FATAL;
	d->patient = more;
	more[d->n++] = (struct patient){ d, *remote, NULL };
	return 0;
}

int
doctor_start(struct node *n, bool serving, const char *remote,
    uint32_t timeout_ms, const struct doctor_events *events, void *owner,
    struct doctor **out, struct err *err)
{
	struct doctor *d = calloc(1, sizeof *d);
	struct store_remote one;
	int rc;

	if (d == NULL)
		return err_nomem(err);
	d->node = n;
	d->serving = serving;
	d->timeout_ms = timeout_ms;
	d->events = events;
	d->owner = owner;
	if (remote == NULL) {
		rc = store_remote_each(n->store, add_patient, d, err);
	} else {
		rc = store_remote_by_name(n->store, remote, &one, err);
		if (rc == 0 && add_patient(d, &one) != 0)
			rc = err_nomem(err);
	}
	if (rc != 0) {
		free(d->patient);
		free(d);
		return rc;
	}
	uv_timer_init(&n->loop, &d->timer);
	d->timer.data = d;
	uv_timer_start(&d->timer, on_timer, 0, 0);
	*out = d;
	return 0;
}

/* ---- without a serve ---- */

struct visit {
	struct node node;
	int (*finding)(void *self, const struct doctor_finding *f);
	void *self;
	bool done;
	int code;
};

static int
on_finding(void *owner, const struct doctor_finding *f)
{
	struct visit *v = owner;

	return v->finding(v->self, f);
}

static void
on_done(void *owner, int code)
{
	struct visit *v = owner;

	v->done = true;
	uv_stop(&v->node.loop);
	v->code = code;
}

int
doctor_run(struct store *store, const char *remote, uint32_t timeout_ms,
    int (*finding)(void *self, const struct doctor_finding *f), void *self,
    struct stop *stop, struct err *err)
{
	static const struct doctor_events events = { on_finding, on_done };
	struct node_options options = { .hub = { .follow = false },
		.node_after_ms = 500 };
	struct visit v = { .finding = finding, .self = self };
	struct doctor *d;
	int rc = node_open(&v.node, store, &options, err);

	if (rc != 0)
		return rc;
	rc = doctor_start(&v.node, false, remote, timeout_ms, &events, &v, &d,
	    err);
	if (rc == 0) {
		rc = node_run_until(&v.node, &v.done, stop, err);
		if (!v.done)
			doctor_stop(d);
	}
	node_close(&v.node);
	return rc == 0 ? v.code : rc;
}
