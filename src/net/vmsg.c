// SPDX-License-Identifier: MPL-2.0
#include "net/vmsg.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"

/* ---- lines ---- */

void
vlines_init(struct vlines *l)
{
	/* a read may bring the start of the next line, too */
	buf_init(&l->in, 2 * (size_t)VMSG_LINE_MAX);
	l->taken = l->searched = 0;
}

void
vlines_clear(struct vlines *l)
{
	buf_clear(&l->in);
	l->taken = l->searched = 0;
}

int
vlines_add(struct vlines *l, const void *bytes, size_t len, struct err *err)
{
	buf_consume(&l->in, l->taken);
	l->searched -= l->taken;
	l->taken = 0;
	buf_add(&l->in, bytes, len);
	return l->in.failed ? err_nomem(err) : 0;
}

int
vlines_next(struct vlines *l, const char **line, size_t *len,
    struct err *err)
{
	size_t left = l->in.len - l->searched;
	const uint8_t *end = left > 0
	    ? memchr(l->in.data + l->searched, '\n', left) : NULL;
	size_t n = (end != NULL ? (size_t)(end - l->in.data) : l->in.len)
	    - l->taken;

	if (n > VMSG_LINE_MAX)
		return err_set(err, E_INTEGRITY, NULL,
		    "the Veilid node sent a line of more than %d bytes",
		    VMSG_LINE_MAX);
	if (end == NULL) {
		l->searched = l->in.len;
		return 0;
	}
	*line = (const char *)l->in.data + l->taken;
	*len = n;
	l->taken += n + 1;
	l->searched = l->taken;
	return 1;
}

/* ---- messages ---- */

/* Whether a line keeps the bounds, and whether there is anything in it.  It is
 * read as JSON only afterwards: where it is none, the counts mean nothing. */
static bool
bounded(const char *line, size_t len, bool *blank)
{
	size_t depth = 0, values = 0, i;
	bool quoted = false;

	*blank = true;
	for (i = 0; i < len; i++) {
		switch (line[i]) {
		case ' ': case '\t': case '\r':
			continue;
		case '"':
			quoted = !quoted;
			break;
		case '\\':
			i += quoted;    /* what follows ends no string */
			break;
		case '[': case '{':
			depth += !quoted;
			values += !quoted;
			break;
		case ']': case '}':
			depth -= !quoted && depth > 0;
			break;
		case ',':
			values += !quoted;
			break;
		}
		*blank = false;
		if (depth > VMSG_DEPTH_MAX || values > VMSG_VALUES_MAX)
			return false;
	}
	return true;
}

/* A number without sign and fraction, as one of 32 bits. */
static bool
as_u32(const json_t *v, uint32_t *out)
{
	double d = json_is_number(v) ? json_number_value(v) : -1;

	if (d < 0 || d > UINT32_MAX)
		return false;
	*out = (uint32_t)d;
	return (double)*out == d;
}

static int
no_message(struct err *err)
{
	return err_set(err, E_INTEGRITY, NULL,
	    "the Veilid node sent what is no message of its JSON API");
}

int
vmsg_parse(const char *line, size_t len, struct vmsg *m, struct err *err)
{
	const char *type;
	bool blank;
	int rc = 0;

	*m = (struct vmsg){ .type = VMSG_OTHER };
	if (!bounded(line, len, &blank))
		return err_set(err, E_INTEGRITY, NULL,
		    "the Veilid node sent a message of too many parts");
	if (blank)
		return 0;
	/* Numbers as reals, so that one beyond 64 bits in a member that
	 * nobody looks at does no harm. */
	m->root = json_loadb(line, len,
	    JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
	type = json_string_value(json_object_get(m->root, "type"));
	if (type == NULL) {
		rc = no_message(err);
	} else if (strcmp(type, "Response") == 0) {
		m->type = VMSG_ANSWER;
		if (!as_u32(json_object_get(m->root, "id"), &m->id))
			rc = no_message(err);
	} else if (strcmp(type, "Update") == 0) {
		m->type = VMSG_UPDATE;
		m->kind = json_string_value(json_object_get(m->root, "kind"));
		if (m->kind == NULL)
			rc = no_message(err);
	}
	if (rc < 0)
		vmsg_clear(m);
	return rc;
}

void
vmsg_clear(struct vmsg *m)
{
	json_decref(m->root);
	*m = (struct vmsg){ .type = VMSG_OTHER };
}

/* ---- answers ---- */

static const struct {
	const char *kind;
	enum vfault fault;
	int code;
} faults[] = {
	{ "Timeout", VFAULT_TIMEOUT, E_UNREACHABLE },
	{ "TryAgain", VFAULT_TRY_AGAIN, E_UNREACHABLE },
	{ "NoConnection", VFAULT_NO_CONNECTION, E_UNREACHABLE },
	{ "InvalidTarget", VFAULT_TARGET, E_UNREACHABLE },
	{ "KeyNotFound", VFAULT_NOT_FOUND, E_NOTFOUND },
	{ "Shutdown", VFAULT_DOWN, E_UNREACHABLE },
	{ "NotInitialized", VFAULT_DOWN, E_UNREACHABLE },
};

/* Text of the node, on one line and short. */
static void
plain(const char *text, char out[static 200])
{
	size_t i;

	for (i = 0; i < 199 && text[i] != '\0'; i++)
		out[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f
		    ? ' ' : text[i];
	out[i] = '\0';
}

static int
note_fault(const json_t *error, enum vfault *fault, struct err *err)
{
	const char *kind = json_string_value(json_object_get(error, "kind"));
	const char *text = json_string_value(json_object_get(error,
	    "message"));
	char kind_text[200], message[200];
	int code = E_REFUSED;
	size_t i;

	*fault = VFAULT_REFUSED;
	if (kind == NULL)
		return no_message(err);
	for (i = 0; i < sizeof faults / sizeof *faults; i++)
		if (strcmp(faults[i].kind, kind) == 0) {
			*fault = faults[i].fault;
			code = faults[i].code;
		}
	plain(kind, kind_text);
	plain(text != NULL ? text : "", message);
	return err_set(err, code, NULL, "the Veilid node says %s%s%s",
	    kind_text, message[0] != '\0' ? ": " : "", message);
}

int
vmsg_value(const struct vmsg *m, const json_t **value, enum vfault *fault,
    struct err *err)
{
	const json_t *error = json_object_get(m->root, "error");
	const char *inner = json_string_value(json_object_get(m->root,
	    "rc_op"));

	*value = NULL;
	*fault = VFAULT_NONE;
	if (error != NULL && !json_is_null(error))
		return note_fault(error, fault, err);
	/* the one error that is told otherwise */
	if (inner != NULL && strcmp(inner, "InvalidId") == 0) {
		*fault = VFAULT_HANDLE;
		return err_set(err, E_REFUSED, NULL,
		    "the Veilid node does not know the routing context");
	}
	*value = json_object_get(m->root, "value");
	return 0;
}

/* ---- updates ---- */

static const char *
text_of(const json_t *in, const char *name)
{
	return json_string_value(json_object_get(in, name));
}

static const json_t *
array_of(const json_t *in, const char *name)
{
	const json_t *v = json_object_get(in, name);

	return json_is_array(v) ? v : NULL;
}

static bool
attachment(const json_t *in, struct vupdate *out)
{
	const json_t *ready = json_object_get(in, "public_internet_ready");

	out->state = text_of(in, "state");
	out->ready = json_is_true(ready);
	return out->state != NULL && json_is_boolean(ready);
}

static bool
message(const json_t *in, struct vupdate *out)
{
	out->bytes = text_of(in, "message");
	out->route = text_of(in, "route_id");
	if (out->route == NULL)
		out->route = "";
	return out->bytes != NULL;
}

static bool
call(const json_t *in, struct vupdate *out)
{
	out->call = text_of(in, "call_id");
	return message(in, out) && out->call != NULL;
}

static bool
routes(const json_t *in, struct vupdate *out)
{
	out->dead = array_of(in, "dead_routes");
	out->dead_remote = array_of(in, "dead_remote_routes");
	return out->dead != NULL && out->dead_remote != NULL;
}

static bool
value(const json_t *in, struct vupdate *out)
{
	const json_t *count = json_object_get(in, "count");

	out->key = text_of(in, "key");
	out->subkeys = array_of(in, "subkeys");
	out->bytes = text_of(json_object_get(in, "value"), "data");
	out->over = json_array_size(out->subkeys) == 0
	    || (json_is_number(count) && json_number_value(count) == 0);
	return out->key != NULL && out->subkeys != NULL;
}

static bool
nothing(const json_t *in, struct vupdate *out)
{
	return true;
}

static const struct {
	const char *name;
	enum vupdate_kind kind;
	bool (*read)(const json_t *in, struct vupdate *out);
} updates[] = {
	{ "Attachment", VUPDATE_ATTACHMENT, attachment },
	{ "AppCall", VUPDATE_CALL, call },
	{ "AppMessage", VUPDATE_MESSAGE, message },
	{ "RouteChange", VUPDATE_ROUTES, routes },
	{ "ValueChange", VUPDATE_VALUE, value },
	{ "Shutdown", VUPDATE_SHUTDOWN, nothing },
};

void
vmsg_update(const struct vmsg *m, struct vupdate *out)
{
	size_t i;

	*out = (struct vupdate){ .kind = VUPDATE_OTHER };
	for (i = 0; i < sizeof updates / sizeof *updates; i++)
		if (strcmp(updates[i].name, m->kind) == 0
		    && updates[i].read(m->root, out))
			out->kind = updates[i].kind;
}

bool
vmsg_has(const json_t *array, const char *text)
{
	const char *one;
	size_t i;

	for (i = 0; i < json_array_size(array); i++) {
		one = json_string_value(json_array_get(array, i));
		if (one != NULL && strcmp(one, text) == 0)
			return true;
	}
	return false;
}

int
vmsg_bytes(const char *text, size_t max, uint8_t **out, size_t *len,
    struct err *err)
{
	size_t chars = strlen(text), n = base64_bytes(chars);
	uint8_t *bytes;

	if (n > max)
		return err_set(err, E_INTEGRITY, NULL,
		    "%zu bytes came through Veilid, at most %zu were awaited",
		    n, max);
	bytes = malloc(n + 1);
	if (bytes == NULL)
		return err_nomem(err);
	if (!base64_decode(text, chars, bytes)) {
		free(bytes);
		return err_set(err, E_INTEGRITY, NULL,
		    "what came through Veilid is no base64url");
	}
	*out = bytes;
	*len = n;
	return 0;
}
