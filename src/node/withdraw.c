// SPDX-License-Identifier: MPL-2.0
#include "node/withdraw.h"

#include <stdlib.h>

#include "net/several.h"
#include "node/node.h"
#include "node/stop.h"
#include "store/store.h"

enum { LOOK_MS = 50 };

struct withdrawal {
	struct node node;
	uv_timer_t timer;
	struct net_status *status;
	uint64_t until_ms;
	bool done;
	struct err why;                 /* code 0: it is withdrawn */
};

static void
on_timer(uv_timer_t *timer)
{
	struct withdrawal *w = timer->data;
	bool late = uv_now(&w->node.loop) >= w->until_ms;

	node_status(&w->node, w->status);
	w->why = w->status->veilid.why;
	if (w->status->veilid.withdrawn)
		err_clear(&w->why);
	else if (late && w->why.code == 0)
		err_set(&w->why, E_UNREACHABLE, NULL,
		    "Veilid's network did not take it in time");
	/* A refusal is one at once; all else may pass. */
	if (!w->status->veilid.withdrawn && !late
	    && (w->why.code == 0 || w->why.code == E_UNREACHABLE))
		return;
	w->done = true;
	uv_timer_stop(timer);
	uv_stop(&w->node.loop);
}

static int
run(struct withdrawal *w, struct stop *stop, struct err *err)
{
	struct net *net = several_part(w->node.net, true);
	uint8_t key[KEY_LEN];
	int rc;

	store_public_key(w->node.store, key);
	if (net != NULL)
		net->backend->withdraw(net, key);
	uv_timer_init(&w->node.loop, &w->timer);
	w->timer.data = w;
	uv_timer_start(&w->timer, on_timer, 0, LOOK_MS);
	rc = node_run_until(&w->node, &w->done, stop, err);
	uv_close((uv_handle_t *)&w->timer, NULL);
	if (rc != 0 || w->why.code == 0)
		return rc;
	*err = w->why;
	return err->code = E_UNREACHABLE;
}

int
withdraw_run(struct store *store, uint32_t timeout_ms, bool *on,
    struct stop *stop, struct err *err)
{
	struct node_options options = { .announces = true };
	struct withdrawal w = { .done = false };
	char value[8];
	int rc;

	rc = store_config_get(store, "network.veilid", value, sizeof value, err);
	*on = rc == 0 && value[1] == 'n';
	if (rc != 0 || !*on)
		return rc;
	w.status = calloc(1, sizeof *w.status);
	if (w.status == NULL)
		return err_nomem(err);
	rc = node_open(&w.node, store, &options, err);
	if (rc == 0) {
		w.until_ms = uv_now(&w.node.loop) + timeout_ms;
		rc = run(&w, stop, err);
		node_close(&w.node);
	}
	free(w.status);
	return rc;
}
