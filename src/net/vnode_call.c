// SPDX-License-Identifier: MPL-2.0
/*
 * vnode_call.c - what is asked of a node: requests in our context, imports, calls
 * and their answers.
 */
#include "net/vnode_state.h"

#include <stdlib.h>

#include "base/base64.h"
#include "net/vsegment.h"

/* Sees the end of each request before who made it, who hears nothing any more
 * once the node is closed. */
static bool
seen(struct vnode *n, enum vfault fault)
{
	if (fault == VFAULT_HANDLE && n->context != 0) {
		n->context = 0;
		n->ask_due = uv_now(n->loop);
		vnode_arm(n);
	}
	return !n->closing;
}

static void
shape_plain(void *node, vapi_any_fn *done, void *owner, const json_t *value,
    enum vfault fault, const struct err *why)
{
	if (seen(node, fault))
		((vapi_done_fn *)done)(owner, value, fault, why);
}

int
vnode_ask(struct vnode *n, json_t *request, uint32_t timeout_ms,
    vapi_done_fn *done, struct vapi_call **out)
{
	return vapi_call_as(n->api, request, timeout_ms, shape_plain,
	    (vapi_any_fn *)done, n, out, NULL);
}

static int
not_ready(struct err *err)
{
	return err_set(err, E_UNREACHABLE, NULL,
	    "the Veilid node can't be used yet");
}

static int
request_as(struct vnode *n, json_t *request, uint32_t timeout_ms,
    vapi_shape_fn *shape, vapi_any_fn *done, void *owner,
    struct vapi_call **out, struct err *err)
{
	if (!vnode_ready(n)) {
		json_decref(request);
		return not_ready(err);
	}
	if (json_object_get(request, "rc_op") != NULL
	    && (json_object_set_new(request, "op",
	    json_string("RoutingContext")) < 0
	    || json_object_set_new(request, "rc_id",
	    json_integer(n->context)) < 0)) {
		json_decref(request);
		return err_nomem(err);
	}
	return vapi_call_as(n->api, request, timeout_ms, shape, done, owner,
	    out, err);
}

int
vnode_request(struct vnode *n, json_t *request, uint32_t timeout_ms,
    vapi_done_fn *done, void *owner, struct vapi_call **out, struct err *err)
{
	return request_as(n, request, timeout_ms, shape_plain,
	    (vapi_any_fn *)done, owner, out, err);
}

json_t *
vnode_bytes_text(const uint8_t *bytes, size_t len)
{
	char *text = malloc(base64_chars(len) + 1);
	json_t *out = NULL;

	if (text != NULL)
		out = json_stringn(text, base64_encode(bytes, len, text));
	free(text);
	return out;
}

/* ---- routes of others ---- */

static void
shape_import(void *node, vapi_any_fn *done, void *owner, const json_t *value,
    enum vfault fault, const struct err *why)
{
	const char *route = json_string_value(value);
	struct err no = { .code = 0 };

	if (why == NULL && (route == NULL || *route == '\0')) {
		err_set(&no, E_INTEGRITY, NULL,
		    "the Veilid node does not name the route");
		fault = VFAULT_REFUSED;
		why = &no;
	}
	if (seen(node, fault))
		((vnode_import_fn *)done)(owner, why == NULL ? route : NULL,
		    fault, why);
}

int
vnode_import(struct vnode *n, const uint8_t *blob, size_t len,
    vnode_import_fn *done, void *owner, struct vapi_call **out,
    struct err *err)
{
	return request_as(n, json_pack("{s:s s:o}", "op",
	    "ImportRemotePrivateRoute", "blob", vnode_bytes_text(blob, len)),
	    VNODE_CALL_MS, shape_import, (vapi_any_fn *)done, owner, out, err);
}

static void
shape_called(void *node, vapi_any_fn *done, void *owner, const json_t *value,
    enum vfault fault, const struct err *why)
{
	const char *text = json_string_value(value);
	struct err no = { .code = 0 };
	uint8_t *bytes = NULL;
	size_t len = 0;

	if (why == NULL && text == NULL)
		err_set(&no, E_INTEGRITY, NULL,
		    "the Veilid node does not tell the answer to a call");
	else if (why == NULL)
		vmsg_bytes(text, VSEGMENT_MAX, &bytes, &len, &no);
	if (no.code != 0) {
		fault = VFAULT_REFUSED;
		why = &no;
	}
	if (seen(node, fault))
		((vnode_called_fn *)done)(owner, bytes, len, fault, why);
	free(bytes);
}

int
vnode_call(struct vnode *n, const char *route, const uint8_t *bytes,
    size_t len, vnode_called_fn *done, void *owner, struct vapi_call **out,
    struct err *err)
{
	return request_as(n, json_pack("{s:s s:{s:s} s:o}", "rc_op", "AppCall",
	    "target", "RouteId", route, "message",
	    vnode_bytes_text(bytes, len)), VNODE_CALL_MS, shape_called,
	    (vapi_any_fn *)done, owner, out, err);
}

void
vnode_done_with(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
}

void
vnode_reply(struct vnode *n, const char *call, const uint8_t *bytes,
    size_t len)
{
	if (vapi_up(n->api) && !n->closing)
		vnode_ask(n, json_pack("{s:s s:s s:o}", "op", "AppCallReply",
		    "call_id", call, "message", vnode_bytes_text(bytes, len)),
		    VNODE_CALL_MS, vnode_done_with, NULL);
}
