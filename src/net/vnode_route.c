// SPDX-License-Identifier: MPL-2.0
/*
 * vnode_route.c - our own private route: made, tested, made again.
 *
 * A route may die without a word.  So where nothing came by it for VNODE_TEST_MS,
 * we call ourselves by it, with TEST, which is no segment; whoever sends it gets
 * it back.
 */
#include "net/vnode_state.h"

#include <stdlib.h>
#include <string.h>

#include "net/vsegment.h"

static const uint8_t TEST[1] = { 0 };

/* ---- its end ---- */

/* Twice, as the first one only ends the import where there is one.  Returns how
 * many answers come. */
static unsigned
release(struct vnode *n, const char *id, vapi_done_fn *done)
{
	unsigned asked = 0;
	int i;

	for (i = 0; i < 2 && id[0] != '\0'; i++)
		asked += vapi_call(n->api, json_pack("{s:s s:s}", "op",
		    "ReleasePrivateRoute", "route_id", id), VNODE_CALL_MS,
		    done, n, NULL, NULL) == 0;
	return asked;
}

static void
forget_test(struct vnode *n)
{
	if (n->test != NULL)
		vapi_forget(n->test);
	n->test = NULL;
	n->test_due = VNODE_NEVER;
}

void
vnode_route_end(struct vnode *n, vapi_done_fn *done)
{
	n->ending += release(n, n->own.id, done)
	    + release(n, n->next.id, done);
	/* one that is being made is ended when it is there */
	n->ending += n->making && n->next.len == 0;
	n->own = n->next = (struct vnode_own){ .len = 0 };
	forget_test(n);
}

/* The node may be the same one, and know it still.  Each attempt that fails comes
 * here, too, and has nothing to remember. */
static void
remember(char old[static VNODE_NAME_MAX], const struct vnode_own *own)
{
	if (own->id[0] != '\0')
		strcpy(old, own->id);
}

bool
vnode_route_lost(struct vnode *n)
{
	bool was = n->own.len > 0;

	remember(n->old[0], &n->own);
	remember(n->old[1], &n->next);
	n->own = n->next = (struct vnode_own){ .len = 0 };
	n->making = false;
	n->route_due = VNODE_NEVER;
	forget_test(n);
	return was;
}

void
vnode_route_up(struct vnode *n)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		release(n, n->old[i], vnode_done_with);
		n->old[i][0] = '\0';
	}
}

/* ---- making one ---- */

static void
tell(struct vnode *n)
{
	n->failed = 0;
	n->test_due = n->own.len > 0 ? uv_now(n->loop) + VNODE_TEST_MS
	    : VNODE_NEVER;
	vnode_arm(n);
	n->events->on_route(n->owner, n->own.len > 0 ? n->own.blob : NULL,
	    n->own.len);
}

/* The route that was made is the one in use. */
static void
use_next(struct vnode *n)
{
	release(n, n->own.id, vnode_done_with);
	n->own = n->next;
	n->next = (struct vnode_own){ .len = 0 };
	n->making = false;
	n->route_wait = VNODE_AGAIN_MIN_MS;
	forget_test(n);
	tell(n);
}

static void
no_route(struct vnode *n)
{
	n->making = false;
	n->next = (struct vnode_own){ .len = 0 };
	n->route_due = n->ready ? vnode_later(n, &n->route_wait) : VNODE_NEVER;
	vnode_arm(n);
}

static void
note_import(struct vnode_own *own, const json_t *value)
{
	const char *name = json_string_value(value);

	if (name != NULL && strlen(name) < sizeof own->import)
		strcpy(own->import, name);
}

static int
import(struct vnode *n, const struct vnode_own *own, vapi_done_fn *done,
    struct vapi_call **out)
{
	return vnode_ask(n, json_pack("{s:s s:o}", "op",
	    "ImportRemotePrivateRoute", "blob",
	    vnode_bytes_text(own->blob, own->len)), VNODE_CALL_MS, done, out);
}

static void
have_own_import(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vnode *n = owner;

	if (fault == VFAULT_CLOSED || n->next.len == 0)
		return;
	/* without it, it works for others all the same */
	if (why == NULL)
		note_import(&n->next, value);
	use_next(n);
}

/* False: it can't be used.  It is there all the same, if it has a name. */
static bool
read_route(const json_t *value, struct vnode_own *out)
{
	const char *id = json_string_value(json_object_get(value, "route_id"));
	const char *blob = json_string_value(json_object_get(value, "blob"));
	uint8_t *bytes = NULL;
	size_t len = 0;

	*out = (struct vnode_own){ .len = 0 };
	if (id == NULL || *id == '\0' || strlen(id) >= sizeof out->id)
		return false;
	strcpy(out->id, id);
	if (blob == NULL
	    || vmsg_bytes(blob, sizeof out->blob, &bytes, &len, NULL) < 0)
		return false;
	memcpy(out->blob, bytes, len);
	out->len = len;
	free(bytes);
	return len > 0;
}

static void
have_route(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vnode *n = owner;

	if (why != NULL) {
		no_route(n);
	} else if (!read_route(value, &n->next)) {
		release(n, n->next.id, vnode_done_with);
		no_route(n);
	} else if (import(n, &n->next, have_own_import, NULL) < 0) {
		use_next(n);
	}
}

/* As have_route(), or, if all ends meanwhile, the end of that route. */
static void
route_made(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vnode *n = owner;

	if (!n->closing) {
		have_route(owner, value, fault, why);
		return;
	}
	if (why == NULL) {
		read_route(value, &n->next);
		n->ending += release(n, n->next.id, n->end_answer);
	}
	n->end_answer(n, NULL, fault, why);
}

static void
make(struct vnode *n)
{
	n->route_due = VNODE_NEVER;
	if (!n->ready || n->making)
		return;
	n->making = true;
	if (vapi_call(n->api, json_pack("{s:s}", "op", "NewPrivateRoute"),
	    VNODE_ROUTE_MS, route_made, n, NULL, NULL) < 0)
		no_route(n);
}

void
vnode_route_ready(struct vnode *n)
{
	uint64_t now = uv_now(n->loop);

	n->route_wait = VNODE_AGAIN_MIN_MS;
	n->route_due = n->ready && n->own.len == 0 ? now : VNODE_NEVER;
	/* it may have died while nobody could be reached */
	if (n->ready && n->own.len > 0 && n->test == NULL)
		n->test_due = now + VNODE_TEST_AGAIN_MS;
	vnode_arm(n);
}

void
vnode_route_dead(struct vnode *n, const json_t *dead)
{
	if (n->next.len > 0 && vmsg_has(dead, n->next.id))
		no_route(n);
	if (n->own.len == 0 || !vmsg_has(dead, n->own.id))
		return;
	n->own = (struct vnode_own){ .len = 0 };
	forget_test(n);
	if (!n->making)
		n->route_due = n->ready ? uv_now(n->loop) : VNODE_NEVER;
	tell(n);
}

/* ---- testing it ---- */

static void
test_failed(struct vnode *n)
{
	uint64_t now = uv_now(n->loop);

	n->failed++;
	n->test_due = VNODE_NEVER;
	/* the old one stays until there is another */
	if (n->failed >= VNODE_TESTS)
		n->route_due = now;
	else
		n->test_due = now + VNODE_TEST_AGAIN_MS;
	vnode_arm(n);
}

/* The call itself came by the route, if it works: its answer says nothing. */
static void
tested(void *owner, const uint8_t *bytes, size_t len, enum vfault fault,
    const struct err *why)
{
	struct vnode *n = owner;

	n->test = NULL;
	if (!n->came && fault != VFAULT_CLOSED)
		test_failed(n);
}

static void
have_test_import(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vnode *n = owner;

	n->test = NULL;
	if (fault == VFAULT_CLOSED)
		return;
	if (why == NULL)
		note_import(&n->own, value);
	if (vnode_call(n, n->own.import, TEST, sizeof TEST, tested, n,
	    &n->test, NULL) < 0) {
		n->test = NULL;
		n->test_due = uv_now(n->loop) + VNODE_TEST_AGAIN_MS;
		vnode_arm(n);
	}
}

static void
test(struct vnode *n)
{
	n->came = false;
	n->test_due = VNODE_NEVER;
	if (!n->ready || import(n, &n->own, have_test_import, &n->test) < 0) {
		n->test = NULL;
		n->test_due = uv_now(n->loop) + VNODE_TEST_AGAIN_MS;
	}
}

void
vnode_route_run(struct vnode *n)
{
	uint64_t now = uv_now(n->loop);

	if (n->route_due <= now)
		make(n);
	if (n->test_due <= now)
		test(n);
}

/* ---- calls by it ---- */

static bool
is_ours(const struct vnode_own *own, const char *route)
{
	return own->len > 0 && (strcmp(route, own->id) == 0
	    || (own->import[0] != '\0' && strcmp(route, own->import) == 0));
}

void
vnode_route_called(struct vnode *n, const struct vupdate *update)
{
	uint8_t *bytes = NULL;
	size_t len;

	/* all programs of the node hear it, and one may answer */
	if (!is_ours(&n->own, update->route)
	    || vmsg_bytes(update->bytes, VSEGMENT_MAX, &bytes, &len, NULL) < 0)
		return;
	n->came = true;
	n->failed = 0;
	n->test_due = uv_now(n->loop) + VNODE_TEST_MS;
	vnode_arm(n);
	if (len == sizeof TEST)
		vnode_reply(n, update->call, bytes, len);
	else
		n->events->on_call(n->owner, update->call, bytes, len);
	free(bytes);
}
