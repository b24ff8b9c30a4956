// SPDX-License-Identifier: MPL-2.0
/*
 * veilid_find.c - looks for keys by their records, and connects to them.
 *
 * One search serves all who look for a key or have connected to it; a key whose
 * record is not to be found keeps nobody else waiting.
 */
#include "net/veilid_state.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"

/* ---- places ---- */

static const char prefix[] = "veilid:";

enum { PREFIX_LEN = sizeof prefix - 1, KEY_CHARS = 43 };

bool
veilid_place_read(const char *place, uint8_t key[static KEY_LEN])
{
	return strncmp(place, prefix, PREFIX_LEN) == 0
	    && strlen(place) == PREFIX_LEN + KEY_CHARS
	    && base64_decode(place + PREFIX_LEN, KEY_CHARS, key);
}

void
veilid_place_write(const uint8_t key[static KEY_LEN],
    char out[static PLACE_MAX])
{
	memcpy(out, prefix, PREFIX_LEN);
	out[PREFIX_LEN + base64_encode(key, KEY_LEN, out + PREFIX_LEN)] = '\0';
}

/* ---- searches ---- */

static void
have_record(void *owner, const struct vrecord *record)
{
	struct vfinder *f = owner;
	struct veilid *v = f->veilid;
	struct vconn *c;

	if (!vrecord_alive(record, v->env.now_ms(v->env.self)))
		return;
	f->serial++;
	for (c = v->all.first; c != NULL; c = c->links[VLIST_ALL].next)
		if (c->finder == f)
			vpath_record(c, record);
	veilid_soon(v);
}

struct vfinder *
vfinder_get(struct veilid *v, const uint8_t key[static KEY_LEN],
    struct err *err)
{
	struct vfinder *f = v->finders;

	while (f != NULL && memcmp(f->key, key, KEY_LEN) != 0)
		f = f->next;
	if (f != NULL) {
		f->users++;
		return f;
	}
	f = calloc(1, sizeof *f);
	if (f == NULL) {
		err_nomem(err);
		return NULL;
	}
	f->veilid = v;
	memcpy(f->key, key, KEY_LEN);
	f->users = 1;
	if (vfind_open(v->node, &v->env, key, have_record, f, &f->find,
	    err) < 0) {
		free(f);
		return NULL;
	}
	f->next = v->finders;
	if (f->next != NULL)
		f->next->prev = f;
	v->finders = f;
	vfind_ready(f->find, vnode_ready(v->node));
	return f;
}

void
vfinder_put(struct vfinder *f)
{
	if (--f->users > 0)
		return;
	if (f->prev != NULL)
		f->prev->next = f->next;
	else
		f->veilid->finders = f->next;
	if (f->next != NULL)
		f->next->prev = f->prev;
	vfind_close(f->find);
	free(f);
}

int
veilid_resolve(struct net *net, const uint8_t key[static KEY_LEN],
    net_place_fn *found, void *owner, struct net_resolve **out,
    struct err *err)
{
	struct veilid *v = (struct veilid *)net;
	struct net_resolve *r = calloc(1, sizeof *r);

	if (r == NULL)
		return err_nomem(err);
	r->finder = vfinder_get(v, key, err);
	if (r->finder == NULL) {
		free(r);
		return E_FATAL;
	}
	r->found = found;
	r->owner = owner;
	r->next = v->resolves;
	if (r->next != NULL)
		r->next->prev = r;
	v->resolves = r;
	/* What is known already is told from the loop. */
	veilid_soon(v);
	*out = r;
	return 0;
}

void
veilid_resolve_stop(struct net_resolve *r)
{
	if (r->prev != NULL)
		r->prev->next = r->next;
	else
		r->finder->veilid->resolves = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
	vfinder_put(r->finder);
	free(r);
}

/* What is known and was not told may have died since. */
static bool
is_new(struct net_resolve *r)
{
	struct veilid *v = r->finder->veilid;
	const struct vrecord *record;

	if (r->told == r->finder->serial)
		return false;
	r->told = r->finder->serial;
	record = vfind_record(r->finder->find);
	return record != NULL && vrecord_alive(record,
	    v->env.now_ms(v->env.self));
}

void
veilid_tell_found(struct veilid *v)
{
	struct net_resolve *r = v->resolves;
	char place[PLACE_MAX];

	/* From the start after each, as any may be stopped there. */
	while (r != NULL) {
		if (is_new(r)) {
			veilid_place_write(r->finder->key, place);
			r->found(r->owner, place);
			r = v->resolves;
		} else {
			r = r->next;
		}
	}
}

/* ---- connecting ---- */

static void
forget(struct net_connect *n)
{
	struct veilid *v = n->conn->veilid;

	if (n->prev != NULL)
		n->prev->next = n->next;
	else
		v->connects = n->next;
	if (n->next != NULL)
		n->next->prev = n->prev;
	n->conn->connect = NULL;
	free(n);
}

void
veilid_connected(struct vconn *c)
{
	struct net_connect it = *c->connect;
	struct err none = { .code = 0 };

	forget(c->connect);
	c->owned = true;
	vconn_stage(c, &c->veilid->known);
	it.connected(it.owner, &c->conn, &none);
}

void
veilid_not_connected(struct vconn *c, const struct err *why)
{
	struct net_connect it = *c->connect;
	struct err err = { .code = 0 };

	err_set(&err, why->code != 0 ? why->code : E_UNREACHABLE, why->hint,
	    "cannot connect to %s: %s", c->place, why->code != 0 ? why->text
	    : "it ended the connection at once");
	forget(c->connect);
	it.connected(it.owner, NULL, &err);
}

void
veilid_connect_stop(struct net_connect *n)
{
	struct vconn *c = n->conn;

	forget(n);
	vconn_leave(c, false);
}

int
veilid_connect(struct net *net, const char *place, uint32_t timeout_ms,
    net_connected_fn *connected, void *owner, struct net_connect **out,
    struct err *err)
{
	struct veilid *v = (struct veilid *)net;
	uint8_t key[KEY_LEN], id[VSEGMENT_STREAM_LEN];
	const struct vrecord *record;
	struct net_connect *n = NULL;
	struct vconn *c = NULL;
	int rc;

	if (!veilid_place_read(place, key))
		return err_set(err, E_USAGE, "it is veilid: and the 43 "
		    "characters of an address behind VLD0:",
		    "%s is no place in Veilid's network", place);
	if (v->env.random(v->env.self, id, sizeof id) < 0)
		return err_set(err, E_FATAL, NULL, "no randomness");
	n = calloc(1, sizeof *n);
	if (n == NULL)
		return err_nomem(err);
	c = vconn_new(v, true, id, place, err);
	if (c == NULL) {
		rc = E_FATAL;
		goto done;
	}
	c->finder = vfinder_get(v, key, err);
	if (c->finder == NULL) {
		rc = E_FATAL;
		goto done;
	}
	uv_update_time(v->loop);
	*n = (struct net_connect){ .next = v->connects, .conn = c,
		.deadline = veilid_now(v) + timeout_ms,
		.timeout_ms = timeout_ms, .connected = connected,
		.owner = owner };
	if (n->next != NULL)
		n->next->prev = n;
	v->connects = n;
	c->connect = n;
	record = vfind_record(c->finder->find);
	if (record != NULL && vrecord_alive(record,
	    v->env.now_ms(v->env.self)))
		vpath_record(c, record);
	veilid_arm(v);
	*out = n;
	n = NULL;
	c = NULL;
	rc = 0;
done:
	if (c != NULL)
		vconn_bury(c);
	free(n);
	return rc;
}

/* What was missing. */
static void
explain(const struct net_connect *n, struct err *out)
{
	const struct vconn *c = n->conn;
	const struct veilid *v = c->veilid;
	const struct vrecord *r = vfind_record(c->finder->find);
	struct err why = { .code = 0 };
	size_t len;

	vnode_why(v->node, &why);
	if (why.code != 0) {
		err_set(out, E_UNREACHABLE, why.hint,
		    "cannot connect to %s: %s", c->place, why.text);
	} else if (r == NULL) {
		vfind_why(c->finder->find, &why);
		err_set(out, E_UNREACHABLE, why.hint,
		    "cannot connect to %s: %s", c->place, why.code != 0
		    ? why.text : "its record was not found in time");
	} else if (r->route_len == 0) {
		err_set(out, E_UNREACHABLE, NULL, "cannot connect to %s: it "
		    "says that it is not to be reached at present", c->place);
	} else if (!vrecord_alive(r, v->env.now_ms(v->env.self))) {
		err_set(out, E_UNREACHABLE, NULL, "cannot connect to %s: it "
		    "has not been there for a while", c->place);
	} else if (vnode_route(v->node, &len) == NULL) {
		err_set(out, E_UNREACHABLE, NULL, "cannot connect to %s: the "
		    "Veilid node has no private route for us yet", c->place);
	} else {
		err_set(out, E_UNREACHABLE, NULL,
		    "no answer from %s within %.3g s%s%s", c->place,
		    n->timeout_ms / 1000.0, n->why.code != 0 ? ": " : "",
		    n->why.text);
	}
}

void
veilid_end_connects(struct veilid *v, uint64_t now)
{
	struct net_connect *n = v->connects, it;
	struct err why = { .code = 0 };

	/* From the start after each, as any may be stopped there. */
	while (n != NULL) {
		if (n->deadline > now) {
			n = n->next;
			continue;
		}
		explain(n, &why);
		it = *n;
		veilid_connect_stop(n);
		it.connected(it.owner, NULL, &why);
		n = v->connects;
	}
}
