// SPDX-License-Identifier: MPL-2.0
/*
 * veilid_path.c - the way to the other end of a connection: its private route,
 * imported into our node.
 *
 * An opener takes it from the record of the key; either end hears it from the
 * other when it changes.  Where calls fail, the same one is imported again, as
 * nodes forget; and an opener goes back to the record, which it has read again,
 * since who opened the stream can't tell a route that is dead from one that
 * somebody made up.
 */
#include "net/veilid_state.h"

#include <stdlib.h>
#include <string.h>

static void
try_later(struct vconn *c, uint32_t ms)
{
	c->path.again = veilid_now(c->veilid) + ms;
	vconn_touch(c);
}

/* By that name calls can be made. */
static void
use(struct vconn *c, const char *name)
{
	bool changed = strcmp(name, c->path.name) != 0;
	struct err err = { .code = 0 };

	strcpy(c->path.name, name);
	if (c->stream == NULL) {
		if (vconn_begin(c, &err) < 0) {
			if (c->connect != NULL)
				c->connect->why = err;
			try_later(c, VEILID_AGAIN_MS);
		}
	} else if (changed) {
		vstream_route_known(c->stream, veilid_now(c->veilid));
	} else {
		/* it may have waited for path.again, which this has ended */
		vstream_resume(c->stream, veilid_now(c->veilid));
	}
	vconn_touch(c);
}

static void
have_imported(void *owner, const char *route, enum vfault fault,
    const struct err *why)
{
	struct vconn *c = owner;

	c->path.import = NULL;
	if (c->leaving)
		vconn_break(c);
	if (route != NULL && strlen(route) < VEILID_NAME_MAX) {
		use(c, route);
		return;
	}
	c->path.name[0] = '\0';
	if (c->connect != NULL && why != NULL)
		c->connect->why = *why;
	/* What a stranger sends, and is no route, is not tried again. */
	if (c->opener || fault != VFAULT_REFUSED)
		try_later(c, VEILID_AGAIN_MS);
}

void
vpath_import(struct vconn *c)
{
	struct vpath *p = &c->path;
	struct veilid *v = c->veilid;

	p->again = VSTREAM_NEVER;
	/* Without a node there is nothing to be tried, until it is there. */
	if (p->blob == NULL || p->import != NULL || !vnode_ready(v->node))
		return;
	if (vnode_import(v->node, p->blob, p->len, have_imported, c,
	    &p->import, NULL) < 0) {
		p->import = NULL;
		try_later(c, VEILID_HELD_MS);
	}
}

void
vpath_set(struct vconn *c, const uint8_t *blob, size_t len, bool told)
{
	struct vpath *p = &c->path;
	uint8_t *copy;

	p->told = told;
	if (p->blob != NULL && p->len == len && memcmp(p->blob, blob, len) == 0) {
		if (p->name[0] == '\0')
			vpath_import(c);
		return;
	}
	copy = malloc(len);
	if (copy == NULL)
		return;         /* calls fail, and it is tried again */
	memcpy(copy, blob, len);
	vpath_clear(p);
	p->blob = copy;
	p->len = len;
	vpath_import(c);
}

void
vpath_record(struct vconn *c, const struct vrecord *record)
{
	/* A route that the other end told is newer than its record may be. */
	if (!c->path.told)
		vpath_set(c, record->route, record->route_len, false);
}

void
vpath_stale(struct vconn *c)
{
	const struct vrecord *r;

	if (c->finder != NULL) {
		vfind_again(c->finder->find);
		r = vfind_record(c->finder->find);
		if (c->path.told && r != NULL && vrecord_alive(r,
		    c->veilid->env.now_ms(c->veilid->env.self)))
			vpath_set(c, r->route, r->route_len, false);
	}
	vpath_import(c);
}

void
vpath_run(struct vconn *c, uint64_t now)
{
	if (c->path.again > now)
		return;
	c->path.again = VSTREAM_NEVER;
	if (c->path.name[0] == '\0' || c->stream == NULL)
		vpath_import(c);
	else
		vstream_resume(c->stream, now);
}

/* The name stays: it is of use until there is another one. */
void
vpath_clear(struct vpath *p)
{
	if (p->import != NULL)
		vapi_forget(p->import);
	p->import = NULL;
	free(p->blob);
	p->blob = NULL;
	p->len = 0;
	p->again = VSTREAM_NEVER;
}
