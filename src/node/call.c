// SPDX-License-Identifier: MPL-2.0
#include "node/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/session.h"
#include "store/store.h"

struct call {
	struct node *node;
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

static void
on_dial_fail(void *owner, const struct err *why)
{
	struct call *c = owner;
	struct err said = c->why.code != 0 ? c->why : *why;

	c->dial = NULL;
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
	int rc;

	if (c == NULL)
		return err_nomem(err);
	c->node = n;
	c->remote = *remote;
	c->done = done;
	c->owner = owner;
	places[0] = c->remote.place;
	rc = net_dial(n->net, &n->net_env, remote->key, places,
	    remote->place[0] != '\0', timeout_ms, &events, c, &c->dial, err);
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

const char *
call_place(const struct call *c)
{
	return c->place;
}
