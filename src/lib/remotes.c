// SPDX-License-Identifier: MPL-2.0
/* remotes.c - who is named, and who knocked. */
#include "lib/handle.h"

#include <stdlib.h>
#include <string.h>

#include "node/control_call.h"
#include "node/peers.h"

static int
name_a_key(ddcp *d, const char *name, const char *address, bool *already,
    uint8_t key[static KEY_LEN], struct err *err)
{
	char place[PLACE_MAX];
	bool was = false;
	int rc = addr_parse(address, key, place, err);

	if (rc == 0)
		rc = store_remote_add(d->store, name, key, place, &was, err);
	if (already != NULL)
		*already = was;
	return rc;
}

int
ddcp_remote_add(ddcp *d, const char *name, const char *address, bool *already,
    ddcp_error *error)
{
	struct err err = { .code = 0 };
	uint8_t key[KEY_LEN];

	return lib_error(name_a_key(d, name, address, already, key, &err), &err,
	    error);
}

int
ddcp_remote_accept(ddcp *d, const char *name, const char *address,
    bool *already, ddcp_error *error)
{
	struct err err = { .code = 0 };
	uint8_t key[KEY_LEN];
	int rc = name_a_key(d, name, address, already, key, &err);

	if (rc == 0)
		rc = store_knock_forget(d->store, key, &err);
	return lib_error(rc, &err, error);
}

int
ddcp_remote_remove(ddcp *d, const char *name, ddcp_error *error)
{
	struct err err = { .code = 0 };

	return lib_error(store_remote_remove(d->store, name, &err), &err, error);
}

int
ddcp_remote_rename(ddcp *d, const char *name, const char *to,
    ddcp_error *error)
{
	struct err err = { .code = 0 };

	return lib_error(store_remote_rename(d->store, name, to, &err), &err,
	    error);
}

int
ddcp_remote_set(ddcp *d, const char *name, const char *setting,
    const char *value, ddcp_error *error)
{
	struct err err = { .code = 0 };

	return lib_error(store_remote_set(d->store, name, setting, value, &err),
	    &err, error);
}

enum { PEEK_MS = 200 };         /* a serve in a long merge answers later */

_Static_assert((int)DDCP_PLAN_HEARS - (int)DDCP_PLAN_CONNECTED
    == (int)PEERS_HEARS, "one list of plans");

/* What the running serve is going to do, by remote. */
struct plans {
	struct plan {
		int64_t remote, in_ms;
		enum ddcp_plan plan;
	} *plan;
	size_t n;
	enum ddcp_plan others;  /* of those that are not named */
};

static int
take_plan(void *self, const json_t *line)
{
	const json_t *peer = json_object_get(line, "peer");
	struct plans *p = self;
	struct plan *more;

	if (peer == NULL)
		return 0;
	more = realloc(p->plan, (p->n + 1) * sizeof *more);
	if (more == NULL)
		return E_FATAL;
	p->plan = more;
	more[p->n++] = (struct plan){
		.remote = control_number(peer, "remote"),
		.in_ms = control_number(peer, "in_ms"),
		.plan = DDCP_PLAN_CONNECTED
		    + (unsigned)control_number(peer, "plan") };
	return 0;
}

/* A handle that serves would ask itself. */
static void
ask_plans(ddcp *d, struct plans *out)
{
	bool ran = true;
	int rc = 0;

	*out = (struct plans){ .plan = NULL };
	if (!d->busy)
		rc = control_peek(store_state_dir(d->store), json_pack("{s:s}",
		    "verb", "peers"), take_plan, out, PEEK_MS, &ran, NULL);
	if (rc == 0 && !ran)
		out->others = DDCP_PLAN_NONE;
}

static void
find_plan(const struct plans *p, int64_t remote, ddcp_remote *out)
{
	size_t i;

	out->plan = p->others;
	for (i = 0; i < p->n; i++)
		if (p->plan[i].remote == remote) {
			out->plan = p->plan[i].plan;
			out->next_ms = p->plan[i].in_ms;
		}
}

struct remote_walk {
	ddcp *d;
	struct plans plans;
	int (*each)(void *self, const ddcp_remote *remote);
	void *self;
	struct err *err;
};

static int
show_remote(void *self, const struct store_remote *r)
{
	struct remote_walk *w = self;
	struct store_remote_status status;
	char address[DDCP_ADDRESS_MAX];
	ddcp_remote out;
	int rc;

	memset(&status, 0, sizeof status);
	rc = store_remote_status(w->d->store, r->id, &status, w->err);
	if (rc != 0)
		return rc;
	lib_address(r->key, address);
	out = (ddcp_remote){
		.name = r->name,
		.address = address,
		.place = r->place,
		.network = r->network,
		.automerge = r->automerge,
		.last_contact_ms = r->last_contact_ms,
		.last_path = r->last_path,
		.last_error = r->last_error,
		.last_error_ms = r->last_error_ms,
		.pulled = status.ever_pulled,
		.ahead = status.ahead,
		.behind = status.behind,
		.behind_known = status.behind_known,
		.held_transactions = status.held_transactions,
		.held_rows = status.held_rows,
		.ahead_rows = status.ahead_rows,
		.ahead_more = status.ahead_more,
		.behind_rows = status.behind_rows,
	};
	find_plan(&w->plans, r->id, &out);
	return w->each(w->self, &out);
}

int
ddcp_remote_each(ddcp *d, const char *name,
    int (*each)(void *self, const ddcp_remote *remote), void *self,
    ddcp_error *error)
{
	struct err err = { .code = 0 };
	struct remote_walk w = { .d = d, .each = each, .self = self,
		.err = &err };
	struct store_remote one;
	int rc;

	ask_plans(d, &w.plans);
	if (name == NULL) {
		rc = store_remote_each(d->store, show_remote, &w, &err);
	} else {
		rc = store_remote_by_name(d->store, name, &one, &err);
		if (rc == 0)
			rc = show_remote(&w, &one);
	}
	free(w.plans.plan);
	return lib_error(rc, &err, error);
}

int
ddcp_other_tables(ddcp *d, const char *remote,
    int (*each)(void *self, const char *table), void *self,
    ddcp_error *error)
{
	struct err err = { .code = 0 };
	struct store_remote r;
	int rc = store_remote_by_name(d->store, remote, &r, &err);

	if (rc == 0)
		rc = store_other_each(d->store, r.id, each, self, &err);
	return lib_error(rc, &err, error);
}

struct knock_walk {
	int (*each)(void *self, const ddcp_knock *knock);
	void *self;
};

static int
show_knock(void *self, const struct store_knock *k)
{
	const struct knock_walk *w = self;
	char address[DDCP_ADDRESS_MAX];
	ddcp_knock out = { .address = address, .place = k->place,
		.first_ms = k->first_ms, .last_ms = k->last_ms,
		.count = (uint64_t)k->count };

	lib_address(k->key, address);
	return w->each(w->self, &out);
}

int
ddcp_knock_each(ddcp *d, int (*each)(void *self, const ddcp_knock *knock),
    void *self, ddcp_error *error)
{
	struct knock_walk w = { each, self };
	struct err err = { .code = 0 };

	return lib_error(store_knock_each(d->store, show_knock, &w, &err), &err,
	    error);
}
