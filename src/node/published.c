// SPDX-License-Identifier: MPL-2.0
#include "node/published.h"

#include <stdlib.h>
#include <string.h>

struct published {
	struct node *node;
	uv_timer_t timer;
	struct net_status status;       /* large, so not on the stack */
	bool known;                     /* told that it is published */
	uint64_t well_ms;               /* when it last was, or the beginning */
	char told[ERR_TEXT_MAX];        /* the trouble that was told last */
	uint64_t not_before;            /* the next one, which may come and go */
	uint64_t wait_ms;               /* behind that */
	node_event_fn *event;
	void *self;
};

/* Whether waiting helps. */
static bool
may_pass(const struct err *why)
{
	return why->code == E_UNREACHABLE;
}

static void
tell_trouble(struct published *p, const struct err *why, uint64_t now)
{
	struct node_event event = { .kind = NODE_TROUBLE, .remote = "",
		.address = "", .place = "veilid", .text = p->told,
		.hint = why->hint[0] != '\0' ? why->hint
		    : "\"ddcp doctor\" tells how far it got" };

	p->known = false;
	p->not_before = now + p->wait_ms;
	p->wait_ms = p->wait_ms < PUBLISHED_AGAIN_MAX_MS / 2 ? 2 * p->wait_ms
	    : PUBLISHED_AGAIN_MAX_MS;
	memcpy(p->told, why->text, sizeof p->told);
	p->event(p->self, &event);
}

static void
tell_published(struct published *p)
{
	struct node_event event = { .kind = NODE_PUBLISHED, .remote = "",
		.address = "", .place = "veilid",
		.text = p->status.veilid.version, .hint = "" };

	p->known = true;
	p->told[0] = '\0';
	p->event(p->self, &event);
}

static void
on_timer(uv_timer_t *timer)
{
	struct published *p = timer->data;
	const struct err *why = &p->status.veilid.why;
	uint64_t now = uv_now(&p->node->loop);

	node_status(p->node, &p->status);
	if (why->code == 0 && p->status.veilid.published_ms != 0) {
		p->well_ms = now;
		if (!p->known)
			tell_published(p);
		/* no trouble for as long as the next one would have waited */
		if (now >= p->not_before + p->wait_ms)
			p->wait_ms = PUBLISHED_AGAIN_MIN_MS;
	} else if (why->code != 0 && strcmp(why->text, p->told) != 0
	    && now >= p->not_before
	    && (!may_pass(why) || now - p->well_ms > PUBLISHED_PATIENCE_MS)) {
		tell_trouble(p, why, now);
	}
	uv_timer_start(timer, on_timer, p->known || p->told[0] != '\0' ?
	    PUBLISHED_LATER_MS : PUBLISHED_SOON_MS, 0);
}

static void
timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

int
published_open(struct node *n, node_event_fn *event, void *self,
    struct published **out, struct err *err)
{
	struct published *p = calloc(1, sizeof *p);

	if (p == NULL)
		return err_nomem(err);
	node_status(n, &p->status);
	if (!p->status.veilid.on) {
		free(p);
		return 0;
	}
	p->node = n;
	p->event = event;
	p->self = self;
	uv_timer_init(&n->loop, &p->timer);
	p->timer.data = p;
	p->well_ms = uv_now(&n->loop);
	p->wait_ms = PUBLISHED_AGAIN_MIN_MS;
	uv_timer_start(&p->timer, on_timer, 0, 0);
	*out = p;
	return 0;
}

void
published_close(struct published *p)
{
	if (p != NULL)
		uv_close((uv_handle_t *)&p->timer, timer_closed);
}
