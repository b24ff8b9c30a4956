// SPDX-License-Identifier: MPL-2.0
/*
 * memory.c - the backend "memory": endpoints, and how they find and reach
 * each other.
 *
 * A connect and a resolve live until the event that they wait for, also when
 * they are stopped before.
 */
#include "net/memory_world.h"

#include <stdlib.h>
#include <string.h>

struct net_connect {
	struct memnet *world;
	struct net_connect *next;
	struct mem_endpoint *from;
	uint8_t to[KEY_LEN];
	uint32_t timeout_ms;
	bool stopped, refused;
	struct mem_end *end;            /* ours, once there is a link */
	net_connected_fn *connected;
	void *owner;
};

struct net_resolve {
	struct memnet *world;
	struct net_resolve *next;
	struct mem_endpoint *from;
	uint8_t key[KEY_LEN];
	bool stopped;
	size_t events;
	net_place_fn *found;
	void *owner;
};

static struct mem_endpoint *
of_net(const struct net *net)
{
	return (struct mem_endpoint *)(uintptr_t)net;
}

static struct mem_endpoint *
find_endpoint(const struct memnet *m, const uint8_t *key)
{
	struct mem_endpoint *at;

	for (at = m->endpoints; at != NULL; at = at->next)
		if (memcmp(at->key, key, KEY_LEN) == 0)
			return at;
	return NULL;
}

static int
mem_open(const struct net_env *env, const struct net_options *opt,
    struct net **out, struct err *err)
{
	struct mem_endpoint *at;

	if (opt == NULL || opt->memnet == NULL || opt->key == NULL)
		return err_set(err, E_USAGE, NULL,
		    "a memory network needs a world and a key");
	if (find_endpoint(opt->memnet, opt->key) != NULL)
		return err_set(err, E_EXISTS, NULL,
		    "there is an endpoint with this key");
	at = calloc(1, sizeof *at);
	if (at == NULL)
		return err_nomem(err);
	at->net.backend = &net_memory;
	at->world = opt->memnet;
	memcpy(at->key, opt->key, KEY_LEN);
	at->next = at->world->endpoints;
	at->world->endpoints = at;
	*out = &at->net;
	return 0;
}

static void
free_connect(struct net_connect *c)
{
	struct net_connect **p = &c->world->connects;

	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	free(c);
}

static void
free_resolve(struct net_resolve *r)
{
	struct net_resolve **p = &r->world->resolves;

	while (*p != r)
		p = &(*p)->next;
	*p = r->next;
	free(r);
}

static void
mem_connect_stop(struct net_connect *c)
{
	c->stopped = true;
	if (c->end != NULL)
		mem_end_abandon(c->end);
	c->end = NULL;
}

static void
mem_resolve_stop(struct net_resolve *r)
{
	r->stopped = true;
	if (r->events == 0)
		free_resolve(r);
}

void
mem_forget(struct memnet *m, const struct mem_endpoint *of)
{
	struct net_connect *c, *next_c;
	struct net_resolve *r, *next_r;

	for (c = m->connects; c != NULL; c = next_c) {
		next_c = c->next;
		if (of == NULL)
			free_connect(c);
		else if (c->from == of && !c->stopped)
			mem_connect_stop(c);
	}
	for (r = m->resolves; r != NULL; r = next_r) {
		next_r = r->next;
		if (of == NULL)
			free_resolve(r);
		else if (r->from == of && !r->stopped)
			mem_resolve_stop(r);
	}
}

/* Takes the endpoint out of the world; cut: what it sent is lost too. */
static void
leave(struct mem_endpoint *at, bool cut)
{
	struct memnet *m = at->world;
	struct mem_endpoint **p = &m->endpoints;
	struct mem_link *link, *next;
	bool caller, called;

	mem_forget(m, at);
	for (link = m->links; link != NULL; link = next) {
		next = link->next;
		if (cut && (memcmp(link->keys[0], at->key, KEY_LEN) == 0
		    || memcmp(link->keys[1], at->key, KEY_LEN) == 0))
			mem_link_cut(link);
		caller = link->ends[0].at == at;
		called = link->ends[1].at == at;
		if (caller)
			mem_end_abandon(&link->ends[0]);
		/* Still there, for this end is not given up yet. */
		if (called)
			mem_end_abandon(&link->ends[1]);
	}
	while (*p != at)
		p = &(*p)->next;
	*p = at->next;
	free(at);
}

static void
mem_close(struct net *net, net_closed_fn *closed, void *owner)
{
	struct memnet *m = of_net(net)->world;

	leave(of_net(net), false);
	if (closed != NULL)
		memnet_after(m, 0, closed, owner);
}

void
memnet_crash(struct net *net)
{
	struct mem_endpoint *at = of_net(net);

	at->world->counts.restarts++;
	leave(at, true);
}

static int
mem_listen(struct net *net, const char *place,
    char actual[static PLACE_MAX], net_accept_fn *accepted, void *owner,
    struct err *err)
{
	struct mem_endpoint *at = of_net(net);

	addr_format(at->key, actual);
	if (place != NULL && strcmp(place, actual) != 0)
		return err_set(err, E_NOTFOUND, NULL,
		    "cannot listen on %s: this endpoint has no such address",
		    place);
	at->accepted = accepted;
	at->owner = owner;
	return 0;
}

/* ---- finding ---- */

static bool
announces(const struct mem_endpoint *at, const uint8_t *key)
{
	size_t i;

	for (i = 0; i < at->nkeys; i++)
		if (memcmp(at->keys[i], key, KEY_LEN) == 0)
			return true;
	return false;
}

static void
answer(void *owner)
{
	struct net_resolve *r = owner;
	const struct mem_endpoint *at;
	char place[PLACE_MAX];

	if (r->stopped) {
		if (--r->events == 0)
			free_resolve(r);
		return;
	}
	for (at = r->world->endpoints; at != NULL; at = at->next)
		if (announces(at, r->key)
		    && !mem_parted(r->world, at->key, r->from->key))
			break;
	if (at != NULL) {
		addr_format(at->key, place);
		r->found(r->owner, place);
	}
	/* Held until here, so that the callback may stop it. */
	if (--r->events == 0 && r->stopped)
		free_resolve(r);
}

static int
look(struct net_resolve *r)
{
	if (memnet_after(r->world, mem_latency(r->world)
	    + mem_latency(r->world), answer, r) < 0)
		return E_FATAL;
	r->events++;
	return 0;
}

static int
mem_resolve(struct net *net, const uint8_t key[static KEY_LEN],
    net_place_fn *found, void *owner, struct net_resolve **out,
    struct err *err)
{
	struct mem_endpoint *at = of_net(net);
	struct net_resolve *r = calloc(1, sizeof *r);

	if (r == NULL)
		return err_nomem(err);
	r->world = at->world;
	r->from = at;
	memcpy(r->key, key, KEY_LEN);
	r->found = found;
	r->owner = owner;
	if (look(r) < 0) {
		free(r);
		return err_nomem(err);
	}
	r->next = r->world->resolves;
	r->world->resolves = r;
	*out = r;
	return 0;
}

static int
mem_announce(struct net *net, const uint8_t key[static KEY_LEN],
    struct err *err)
{
	struct mem_endpoint *at = of_net(net);
	struct net_resolve *r;

	if (!announces(at, key)) {
		if (at->nkeys == MEM_KEYS_MAX)
			return err_set(err, E_FATAL, NULL,
			    "too many keys at one endpoint");
		memcpy(at->keys[at->nkeys++], key, KEY_LEN);
	}
	for (r = at->world->resolves; r != NULL; r = r->next)
		if (!r->stopped && memcmp(r->key, key, KEY_LEN) == 0)
			look(r);
	return 0;
}

static void
mem_withdraw(struct net *net, const uint8_t key[static KEY_LEN])
{
	struct mem_endpoint *at = of_net(net);
	size_t i;

	for (i = 0; i < at->nkeys; i++)
		if (memcmp(at->keys[i], key, KEY_LEN) == 0) {
			at->nkeys--;
			memmove(at->keys[i], at->keys[at->nkeys], KEY_LEN);
			return;
		}
}

/* ---- connecting ---- */

static void
finish(void *owner)
{
	struct net_connect *c = owner;
	net_connected_fn *connected = c->connected;
	void *whose = c->owner;
	struct mem_end *end = c->end;
	bool stopped = c->stopped, refused = c->refused;
	struct err why = { .code = 0 };

	free_connect(c);
	if (stopped)
		return;
	if (end != NULL && !end->over && !end->link->cut) {
		connected(whose, &end->conn, &why);
		return;
	}
	if (end != NULL)
		mem_end_abandon(end);
	err_set(&why, E_UNREACHABLE, NULL, "%s", end != NULL
	    ? "the connection was cut" : refused ? "nobody listens there"
	    : "no answer");
	connected(whose, NULL, &why);
}

static void
finish_in(struct net_connect *c, uint64_t ms)
{
	if (memnet_after(c->world, ms, finish, c) < 0)
		finish(c);
}

/* The call arrives at the other side. */
static void
arrive(void *owner)
{
	struct net_connect *c = owner;
	struct memnet *m = c->world;
	struct mem_endpoint *to = find_endpoint(m, c->to);
	struct mem_link *link;
	struct mem_end *theirs;

	if (c->stopped) {
		finish(c);
		return;
	}
	if (to != NULL && mem_parted(m, c->from->key, to->key)) {
		finish_in(c, c->timeout_ms);
		return;
	}
	c->refused = to == NULL || to->accepted == NULL
	    || mem_chance(m, m->faults.refuse);
	link = c->refused ? NULL : mem_link_new(c->from, to);
	if (link == NULL) {
		m->counts.refused++;
		finish_in(c, mem_latency(m));
		return;
	}
	m->counts.connects++;
	c->end = &link->ends[0];
	theirs = &link->ends[1];
	c->end->owned = theirs->owned = true;
	finish_in(c, mem_latency(m));
	to->accepted(to->owner, &theirs->conn);
	/* Held by c, unless the callback stopped that as well. */
	if (!c->stopped && theirs->owned && theirs->conn.events == NULL)
		mem_end_abandon(theirs);
}

static int
mem_connect(struct net *net, const char *place, uint32_t timeout_ms,
    net_connected_fn *connected, void *owner, struct net_connect **out,
    struct err *err)
{
	struct mem_endpoint *at = of_net(net);
	struct memnet *m = at->world;
	struct net_connect *c;
	char rest[PLACE_MAX];
	uint8_t to[KEY_LEN];
	int rc;

	rc = addr_parse(place, to, rest, err);
	if (rc < 0)
		return rc;
	c = calloc(1, sizeof *c);
	if (c == NULL)
		return err_nomem(err);
	c->world = m;
	c->from = at;
	memcpy(c->to, to, KEY_LEN);
	c->timeout_ms = timeout_ms;
	c->connected = connected;
	c->owner = owner;
	if (memnet_after(m, mem_latency(m), arrive, c) < 0) {
		free(c);
		return err_nomem(err);
	}
	c->next = m->connects;
	m->connects = c;
	*out = c;
	return 0;
}

static void
mem_status(const struct net *net, struct net_status *out)
{
	const struct mem_endpoint *at = of_net(net);
	const struct mem_link *link;
	const struct mem_end *end;

	memset(out, 0, sizeof *out);
	if (at->accepted != NULL) {
		addr_format(at->key, out->listening[0]);
		out->nlistening = 1;
	}
	for (link = at->world->links; link != NULL; link = link->next) {
		end = &link->ends[1];
		if (end->at != at || !end->owned)
			continue;
		out->accepted++;
		out->unknown += !end->marked;
	}
}

const struct net_backend net_memory = {
	.name = "memory",
	.open = mem_open,
	.close = mem_close,
	.listen = mem_listen,
	.resolve = mem_resolve,
	.resolve_stop = mem_resolve_stop,
	.connect = mem_connect,
	.connect_stop = mem_connect_stop,
	.announce = mem_announce,
	.withdraw = mem_withdraw,
	.status = mem_status,
};
