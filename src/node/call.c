// SPDX-License-Identifier: MPL-2.0
#include "node/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/several.h"
#include "node/session.h"
#include "store/store.h"

struct call {
	struct node *node;
	struct net *net;                /* that of it which calls */
	struct store_remote remote;
	struct net_dial *dial;          /* NULL once it is over */
	struct session *session;        /* the one that is being tried */
	struct err why;                 /* the best reason for failing so far */
	bool named;                     /* the place being tried */
	char place[PLACE_MAX];
	call_done_fn *done;
	void *owner;
};

static void
finish(struct call *c, struct session *s, const struct err *why)
{
	call_done_fn *done = c->done;
	void *owner = c->owner;
	struct err copy = why != NULL ? *why : (struct err){ .code = 0 };

	if (c->dial != NULL)
		net_dial_stop(c->dial);
	free(c);
	done(owner, s, &copy);
}

static void
on_open(void *owner, struct session *s)
{
	struct call *c = owner;

	session_release(s);
	c->session = NULL;
	finish(c, s, NULL);
}

/* Whether this end of a session says all there is to say: the key was the
 * right one, or the place was what the user wrote. */
static bool
is_final(const struct call *c, const struct err *why)
{
	if (why->code == E_INTEGRITY)
		return c->named;
	return why->code == E_REFUSED || why->code == E_HORIZON
	    || why->code == E_FATAL;
}

static void
on_session_close(void *owner, struct session *s, const struct err *why)
{
	struct call *c = owner;
	struct session *other = hub_find(c->node->hub, c->remote.key);

	c->session = NULL;
	/* The two called each other, and that connection is the one kept. */
	if (other != NULL) {
		finish(c, other, NULL);
		return;
	}
	if (is_final(c, why) || c->dial == NULL) {
		finish(c, NULL, why);
		return;
	}
	if (why->code != E_INTEGRITY && c->why.code == 0)
		c->why = *why;
	net_dial_next(c->dial);
}

static void
on_conn(void *owner, struct net_conn *conn, const char *place, bool named)
{
	static const struct session_events events = { on_open,
		on_session_close };
	struct call *c = owner;
	struct err err = { .code = 0 };

	c->named = named;
	snprintf(c->place, sizeof c->place, "%s", place);
	if (session_call(c->node->hub, conn, &c->remote, &events, c,
	    &c->session, &err) != 0)
		finish(c, NULL, &err);
}

/* Nobody was found, and why Veilid could not look. */
static void
tell_of_veilid(const struct call *c, struct err *why)
{
	struct net_status *s = calloc(1, sizeof *s);
	struct err said = *why;

	if (s != NULL) {
		node_status(c->node, s);
		if (s->veilid.why.code != 0)
			err_set(why, said.code, s->veilid.why.hint[0] != '\0' ?
			    s->veilid.why.hint : "ddcp doctor", "%.200s; over "
			    "Veilid: %s", said.text, s->veilid.why.text);
		else
			snprintf(why->hint, sizeof why->hint, "is `ddcp serve` "
			    "running there, with network.veilid on?");
	}
	free(s);
}

static void
on_dial_fail(void *owner, const struct err *why)
{
	struct call *c = owner;
	struct err said = c->why.code != 0 ? c->why : *why;

	c->dial = NULL;
	if (c->why.code == 0 && said.code == E_UNREACHABLE
	    && strcmp(c->remote.network, "direct") != 0
	    && (several_part(c->net, true) != NULL
	    || c->node->no_veilid.code != 0))
		tell_of_veilid(c, &said);
	if (said.hint[0] == '\0' && said.code == E_UNREACHABLE)
		snprintf(said.hint, sizeof said.hint, "is `ddcp serve` running "
		    "there, and is that its place?");
	if (c->session != NULL) {
		/* Connected, and the other end never came to an answer. */
		session_end(c->session, E_UNREACHABLE, "too slow");
		c->session = NULL;
	}
	finish(c, NULL, &said);
}

int
call_start(struct node *n, const struct store_remote *remote,
    uint32_t timeout_ms, call_done_fn *done, void *owner, struct call **out,
    struct err *err)
{
	static const struct net_dial_events events = {
		.on_conn = on_conn,
		.on_fail = on_dial_fail,
	};
	struct call *c = calloc(1, sizeof *c);
	const char *places[1];
	struct net *net = node_part(n, remote->network, err);
	bool named = remote->place[0] != '\0';
	int rc;

	if (net == NULL || c == NULL) {
		free(c);
		return net == NULL ? E_NOTFOUND : err_nomem(err);
	}
	c->node = n;
	c->net = net;
	c->remote = *remote;
	c->done = done;
	c->owner = owner;
	places[0] = c->remote.place;
	/* what the user names are addresses of machines */
	rc = net_dial(net, &n->net_env, remote->key, places,
	    named && !net->backend->far, timeout_ms, &events, c, &c->dial, err);
	if (rc != 0) {
		free(c);
		return rc;
	}
	*out = c;
	return 0;
}

void
call_stop(struct call *c)
{
	if (c->session != NULL)
		session_end(c->session, 0, "");
	if (c->dial != NULL)
		net_dial_stop(c->dial);
	free(c);
}

bool
call_yield(struct call *c)
{
	if (c->session != NULL && !session_is_far(c->session))
		return false;
	call_stop(c);
	return true;
}

const char *
call_place(const struct call *c)
{
	return c->place;
}
