// SPDX-License-Identifier: MPL-2.0
#include "node/serve.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "net/several.h"
#include "node/machine.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/published.h"
#include "node/session.h"
#include "node/verbs.h"
#include "node/watch.h"
#include "store/past.h"

enum {
	LOCKED_AGAIN_MS = 50,   /* after the database was found locked */
	FORGET_MORE_MS = 1000,  /* what is kept to take merges back */
	FORGET_MS = 3600000
};

struct serve {
	struct node node;
	struct store *store;
	struct serve_options options;
	struct peers *peers;
	struct verbs *verbs;
	struct watch *watch;
	struct machine *machine;
	struct published *published;
	uv_async_t wake;        /* by serve_stop() */
	uv_timer_t forget;
	volatile sig_atomic_t stopping;
	bool locked, node_open, wake_open;
};

static void
emit(struct serve *s, const struct node_event *event)
{
	if (s->options.event != NULL)
		s->options.event(s->options.self, event);
}

static void
on_hub_event(void *self, const struct node_event *event)
{
	emit(self, event);
}

static void
on_opened(void *self, struct session *session)
{
	struct serve *s = self;

	if (s->peers != NULL)
		peers_opened(s->peers, session);
}

static void
on_closed(void *self, struct session *session, const struct err *why)
{
	struct serve *s = self;

	if (s->peers != NULL)
		peers_closed(s->peers, session, why);
}

/* For peers that are not connected, but look for us. */
static void
on_news(void *self)
{
	struct serve *s = self;
	const struct net_backend *backend = s->node.net->backend;
	uint8_t key[KEY_LEN];

	store_public_key(s->store, key);
	if (backend->changed != NULL)
		backend->changed(s->node.net, key);
}

static void
on_reached(void *owner, struct session *session)
{
	struct serve *s = owner;

	if (s->verbs != NULL)
		verbs_opened(s->verbs, session);
}

/* What a peer refuses for good, or what is wrong, is worth a line; that he is
 * not there is not. */
static void
on_failed(void *owner, const struct store_remote *remote, bool again,
    const struct err *why)
{
	struct serve *s = owner;
	struct node_event event = { .kind = NODE_TROUBLE,
		.remote = remote->name, .address = "", .place = "",
		.text = why->text, .hint = why->hint };

	if (s->verbs != NULL)
		verbs_failed(s->verbs, remote->id, why);
	if (!again)
		store_remote_note(s->store, remote->id,
		    (int64_t)s->node.net_env.now_ms(s->node.net_env.self), NULL,
		    why->text, NULL);
	if (!again && why->code != E_UNREACHABLE && why->code != E_NOTFOUND)
		emit(s, &event);
}

static void
on_commit(void *owner)
{
	struct serve *s = owner;
	bool again = false;

	if (!node_still_there(&s->node))
		return;
	hub_changed(s->node.hub, &again);
	hub_remotes_changed(s->node.hub);
	peers_reload(s->peers);
	if (again)
		watch_again(s->watch, LOCKED_AGAIN_MS);
}

static void
on_machine(void *owner)
{
	struct serve *s = owner;
	uint8_t key[KEY_LEN];

	store_public_key(s->store, key);
	hub_probe(s->node.hub);
	s->node.net->backend->announce(s->node.net, key, NULL);
	peers_call_all(s->peers);
}

static void
on_accept(void *owner, struct net_conn *conn)
{
	struct serve *s = owner;

	if (node_still_there(&s->node))
		session_answer(s->node.hub, conn, NULL);
}

static int
listen_at(struct serve *s, struct err *err)
{
	struct node_event event = { .kind = NODE_LISTENING, .remote = "",
		.address = "", .text = "", .hint = "" };
	char configured[PLACE_MAX] = "", actual[PLACE_MAX];
	const char *place = s->options.listen;
	uint8_t key[KEY_LEN];
	int rc;

	if (place == NULL && store_config_get(s->store, "network.listen",
	    configured, sizeof configured, NULL) == 0
	    && configured[0] != '\0')
		place = configured;
	rc = s->node.net->backend->listen(s->node.net, place, actual, on_accept,
	    s, err);
	/* Without a place to listen there is nothing to serve. */
	if (rc != 0 && rc != E_USAGE)
		rc = E_FATAL;
	if (rc != 0) {
		if (err != NULL)
			err->code = rc;
		return rc;
	}
	event.place = actual;
	if (several_part(s->node.net, false) != NULL)
		emit(s, &event);
	event.place = "veilid";
	if (several_part(s->node.net, true) != NULL)
		emit(s, &event);
	store_public_key(s->store, key);
	rc = s->node.net->backend->announce(s->node.net, key, err);
	return rc == E_NOTFOUND ? 0 : rc;
}

static void
on_wake(uv_async_t *wake)
{
	uv_stop(wake->loop);
}

/* A part at a time; where somebody writes it waits for the next hour. */
static void
on_forget(uv_timer_t *timer)
{
	struct serve *s = timer->data;
	bool more = false;

	store_forget_reviewed(s->store, NULL);
	store_forget(s->store, &more, NULL);
	uv_timer_start(timer, on_forget, more ? FORGET_MORE_MS : FORGET_MS, 0);
}

static int
open_parts(struct serve *s, struct err *err)
{
	static const struct peers_events peers_events = { on_failed,
		on_reached };
	struct node_options options = {
		.no_discovery = s->options.no_discovery,
		.announces = true,
		.hub = { .follow = true, .event = on_hub_event,
			.news = on_news, .opened = on_opened, .closed = on_closed, .self = s } };
	int rc;

	rc = node_open(&s->node, s->store, &options, err);
	if (rc != 0)
		return rc;
	s->node_open = true;
	rc = uv_async_init(&s->node.loop, &s->wake, on_wake);
	if (rc != 0)
		return err_set(err, E_FATAL, NULL, "can't make a loop: %s",
		    uv_strerror(rc));
	s->wake_open = true;
	uv_timer_init(&s->node.loop, &s->forget);
	s->forget.data = s;
	uv_timer_start(&s->forget, on_forget, 0, 0);
	rc = peers_open(&s->node, &peers_events, s, &s->peers, err);
	if (rc == 0)
		rc = verbs_open(&s->node, s->peers, &s->verbs, err);
	if (rc == 0)
		rc = watch_open(&s->node.loop, store_db_file(s->store),
		    store_watch_file(s->store), on_commit, s, &s->watch, err);
	if (rc == 0)
		rc = watch_files_of(s->watch, store_state_dir(s->store), err);
	if (rc != 0)
		return rc;
	s->machine = machine_open(&s->node.loop, on_machine, s);
	/* What was committed before the watch began. */
	watch_again(s->watch, 0);
	rc = listen_at(s, err);
	if (rc == 0)
		rc = published_open(&s->node, on_hub_event, s, &s->published,
		    err);
	return rc;
}

int
serve_start(struct store *store, const struct serve_options *options,
    struct serve **out, struct err *err)
{
	struct serve *s = calloc(1, sizeof *s);
	int rc;

	if (s == NULL)
		return err_nomem(err);
	s->store = store;
	s->options = *options;
	rc = store_serve_lock(store, err);
	if (rc == 0) {
		s->locked = true;
		rc = open_parts(s, err);
	}
	if (rc != 0) {
		serve_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

int
serve_fd(const struct serve *s)
{
	return uv_backend_fd(&s->node.loop);
}

int
serve_timeout(const struct serve *s)
{
	return uv_backend_timeout(&s->node.loop);
}

static int
ended(const struct serve *s, struct err *err)
{
	if (s->node.gone.code != 0 && err != NULL)
		*err = s->node.gone;
	return s->node.gone.code;
}

int
serve_step(struct serve *s, struct err *err)
{
	node_turn(&s->node, UV_RUN_NOWAIT);
	return ended(s, err);
}

int
serve_run(struct serve *s, struct err *err)
{
	while (!s->stopping && s->node.gone.code == 0)
		node_turn(&s->node, UV_RUN_DEFAULT);
	return ended(s, err);
}

void
serve_stop(struct serve *s)
{
	s->stopping = 1;
	uv_async_send(&s->wake);
}

void
serve_close(struct serve *s)
{
	struct peers *peers;
	struct verbs *verbs;

	if (s == NULL)
		return;
	peers = s->peers;
	verbs = s->verbs;
	s->peers = NULL;
	s->verbs = NULL;
	verbs_close(verbs);
	peers_close(peers);
	watch_close(s->watch);
	machine_close(s->machine);
	published_close(s->published);
	if (s->wake_open) {
		uv_close((uv_handle_t *)&s->forget, NULL);
		uv_close((uv_handle_t *)&s->wake, NULL);
	}
	if (s->node_open)
		node_close(&s->node);
	if (s->locked)
		store_serve_unlock(s->store);
	free(s);
}
