// SPDX-License-Identifier: MPL-2.0
#include "node/node.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#include "node/networks.h"
#include "node/stop.h"
#include "store/store.h"

enum {
	PATIENCE_MS = 200       /* in the loop, for locks of the database */
};

/* How things were before SIGPIPE was kept off. */
struct quiet {
	sigset_t pipe, before, pending;
};

static void
quiet_begin(struct quiet *q)
{
	sigemptyset(&q->pipe);
	sigaddset(&q->pipe, SIGPIPE);
	sigpending(&q->pending);
	pthread_sigmask(SIG_BLOCK, &q->pipe, &q->before);
}

static void
quiet_end(const struct quiet *q)
{
	const struct timespec now = { 0, 0 };

	if (sigismember(&q->before, SIGPIPE))
		return;
	/* One that is ours, which nobody is to hear of. */
	if (!sigismember(&q->pending, SIGPIPE))
		while (sigtimedwait(&q->pipe, NULL, &now) > 0)
			continue;
	pthread_sigmask(SIG_SETMASK, &q->before, NULL);
}

int
node_turn(struct node *n, uv_run_mode mode)
{
	int rc, patience = store_patience(n->store, PATIENCE_MS);
	struct quiet q;

	quiet_begin(&q);
	rc = uv_run(&n->loop, mode);
	quiet_end(&q);
	store_patience(n->store, patience);
	return rc;
}

static uint64_t
env_now_ms(void *self)
{
	struct node *n = self;

	uv_update_time(&n->loop);
	return uv_now(&n->loop);
}

static int64_t
env_date_ms(void *self)
{
	struct node *n = self;

	return (int64_t)n->net_env.now_ms(n->net_env.self);
}

static void
on_timer(uv_timer_t *timer)
{
	struct node *n = timer->data;

	hub_tick(n->hub);
}

static void
env_wake(void *self, uint64_t at_ms)
{
	struct node *n = self;
	uint64_t now = uv_now(&n->loop);

	if (at_ms == HUB_NEVER)
		uv_timer_stop(&n->timer);
	else
		uv_timer_start(&n->timer, on_timer,
		    at_ms > now ? at_ms - now : 0, 0);
}

int
node_open(struct node *n, struct store *store,
    const struct node_options *options, struct err *err)
{
	struct hub_env env = { env_now_ms, env_date_ms, env_wake, n };
	int rc;

	memset(n, 0, sizeof *n);
	n->store = store;
	rc = uv_loop_init(&n->loop);
	if (rc != 0)
		return err_set(err, E_FATAL, NULL, "can't make a loop: %s",
		    uv_strerror(rc));
	n->loop_open = true;
	n->net_env = net_env_system(&n->loop);
	uv_timer_init(&n->loop, &n->timer);
	n->timer.data = n;
	n->timer_open = true;
	rc = networks_open(n, options, err);
	if (rc == 0)
		rc = hub_new(store, &env, &options->hub, &n->hub, err);
	if (rc != 0)
		node_close(n);
	return rc;
}

void
node_close(struct node *n)
{
	int patience = store_patience(n->store, PATIENCE_MS);
	struct quiet q;

	quiet_begin(&q);
	if (n->hub != NULL)
		hub_free(n->hub);
	n->hub = NULL;
	networks_close(n);
	if (n->timer_open)
		uv_close((uv_handle_t *)&n->timer, NULL);
	n->timer_open = false;
	if (n->loop_open) {
		uv_run(&n->loop, UV_RUN_DEFAULT);
		uv_loop_close(&n->loop);
	}
	n->loop_open = false;
	quiet_end(&q);
	store_patience(n->store, patience);
}

bool
node_still_there(struct node *n)
{
	if (n->gone.code == 0 && store_still_there(n->store, &n->gone) != 0)
		uv_stop(&n->loop);
	return n->gone.code == 0;
}

/* Only there so that the loop wakes up. */
static void
on_stop(uv_poll_t *poll, int status, int events)
{
	uv_poll_stop(poll);
}

static void
poll_closed(uv_handle_t *handle)
{
	*(bool *)handle->data = true;
}

int
node_run_until(struct node *n, const bool *done, struct stop *stop,
    struct err *err)
{
	uv_poll_t poll;
	bool closed = false;

	uv_poll_init(&n->loop, &poll, stop->fd[0]);
	uv_poll_start(&poll, UV_READABLE, on_stop);
	while (!*done && !stop->asked)
		node_turn(n, UV_RUN_ONCE);
	/* The handle is on the stack: it must be gone before the return. */
	poll.data = &closed;
	uv_close((uv_handle_t *)&poll, poll_closed);
	while (!closed)
		node_turn(n, UV_RUN_NOWAIT);
	return *done ? 0 : err_set(err, E_INTERRUPTED,
	    "what has arrived stays; the same command goes on from there",
	    "interrupted");
}
