// SPDX-License-Identifier: MPL-2.0
/*
 * vpublish_ask.c - one request after the other, in this order: the record's
 * place, the record (made, closed, opened), its value; and then what stands in
 * the network.
 *
 * A record is made with a key that encrypts its values, and readers have no such
 * key: so it is closed and opened again by its plain place.  The node keeps one
 * opening for all its programs, and any of them may open it without a writer, or
 * close it: so each value is written with the writer beside it, and what fails is
 * opened again.  It is never closed here after that, as somebody else may watch
 * it.
 */
#include "net/vpublish_state.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"

enum {
	NEWER_MAX = 5,                  /* values in a row that were newer */
	/* "VLD0:", 43 characters, ':', 43 characters */
	PAIR_LEN = ADDR_TEXT_LEN + 1 + 43
};

/* The key pair as the node wants it. */
static json_t *
pair_text(const struct vpublish *p)
{
	char text[PAIR_LEN];
	json_t *out;

	memcpy(text, p->owner, ADDR_TEXT_LEN);
	text[ADDR_TEXT_LEN] = ':';
	base64_encode(p->seed, sizeof p->seed, text + ADDR_TEXT_LEN + 1);
	out = json_stringn(text, sizeof text);
	explicit_bzero(text, sizeof text);
	return out;
}

/* Makes the request; pair, if there is one, is wiped when it is sent. */
static void
ask(struct vpublish *p, json_t *request, json_t *pair, uint32_t ms,
    vapi_done_fn *done)
{
	struct err why = { .code = 0 };
	int rc = vnode_request(p->node, request, ms, done, p, &p->call, &why);

	vdht_wipe(pair);
	if (rc < 0) {
		p->call = NULL;
		vpublish_failed(p, p->step, &why);
	}
}

static void
have_place(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vpublish *p = owner;
	struct err no = { .code = 0 };

	p->call = NULL;
	if (why == NULL && vdht_place_read(value, p->place, &no) < 0)
		why = &no;
	if (why != NULL) {
		vpublish_failed(p, PLACE, why);
		return;
	}
	/* it may be there from before */
	p->step = p->made ? OPEN : MAKE;
	vpublish_next(p);
}

static void
have_made(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vpublish *p = owner;

	p->call = NULL;
	if (why != NULL && fault != VFAULT_REFUSED) {
		vpublish_failed(p, MAKE, why);
		return;
	}
	/* "refused" is also said of one that exists */
	p->step = why == NULL ? CLOSE : OPEN;
	vpublish_next(p);
}

static void
have_closed(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vpublish *p = owner;

	p->call = NULL;
	p->step = OPEN;         /* which succeeds, whatever this did */
	if (fault == VFAULT_CLOSED)
		vpublish_failed(p, MAKE, why);
	else
		vpublish_next(p);
}

static void
have_opened(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vpublish *p = owner;

	p->call = NULL;
	if (why != NULL) {
		vpublish_failed(p, MAKE, why);
		return;
	}
	p->made = true;
	p->step = VALUE;
	vpublish_next(p);
}

static void
withdrawal_done(struct vpublish *p, const struct err *why)
{
	vpublish_done_fn *done = p->done;

	p->done = NULL;
	if (done != NULL)
		done(p->done_owner, why);
}

static void
have_written(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vpublish *p = owner;
	struct err no = { .code = 0 };

	p->call = NULL;
	p->writing = false;
	if (why != NULL) {
		p->dirty = true;
		vpublish_failed(p, OPEN, why); /* it may have been closed */
		return;
	}
	if (value != NULL && !json_is_null(value)) {
		/* not ours is there: the node knows it now, and goes beyond */
		p->dirty = true;
		p->newer++;
		err_set(&no, E_UNREACHABLE, NULL,
		    "somebody else writes this database's record in Veilid's "
		    "network");
		if (p->newer > NEWER_MAX)
			vpublish_failed(p, VALUE, &no);
		else
			vpublish_next(p);
		return;
	}
	p->newer = 0;
	vpublish_written(p);
	if (p->withdrawn && !p->dirty)
		withdrawal_done(p, NULL);
}

/* Later ones expire later, as readers take no older one. */
static int
record_text(struct vpublish *p, json_t **out, struct err *err)
{
	uint64_t expires = (p->env.now_ms(p->env.self) + VPUBLISH_LIFE_MS)
	    / 1000;
	struct vrecord r = { .expires = expires > p->expires ? expires
	    : p->expires + 1, .route = p->route,
	    .route_len = p->withdrawn ? 0 : p->route_len };
	char *text;
	int rc;

	buf_clear(&p->wrote);
	memcpy(r.token, p->token, sizeof r.token);
	rc = vrecord_encode(&r, p->seed, &p->wrote, err);
	if (rc < 0)
		return rc;
	text = malloc(base64_chars(p->wrote.len) + 1);
	*out = text == NULL ? NULL : json_stringn(text,
	    base64_encode(p->wrote.data, p->wrote.len, text));
	if (*out == NULL)
		rc = err_nomem(err);
	else
		p->expires = r.expires;
	free(text);
	return rc;
}

static void
write_value(struct vpublish *p)
{
	json_t *pair = pair_text(p), *text = NULL;
	struct err why = { .code = 0 };

	if (record_text(p, &text, &why) < 0) {
		vdht_wipe(pair);
		vpublish_failed(p, VALUE, &why);
		return;
	}
	ask(p, vdht_set(p->place, text, pair), pair, VDHT_MS, have_written);
	/* what changes from now on is for the next one */
	p->writing = p->call != NULL;
	p->dirty = !p->writing;
}

/* Whether the answer is what was written last. */
static bool
is_ours(const struct vpublish *p, const json_t *value)
{
	const char *text = json_string_value(json_object_get(value, "data"));
	uint8_t *bytes = NULL;
	size_t len = 0;
	bool is = text != NULL
	    && vmsg_bytes(text, VRECORD_MAX, &bytes, &len, NULL) == 0
	    && len == p->wrote.len && memcmp(bytes, p->wrote.data, len) == 0;

	free(bytes);
	return is;
}

static void
have_read(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vpublish *p = owner;

	p->call = NULL;
	if (why != NULL) {
		vpublish_failed(p, OPEN, why); /* it may have been closed */
		return;
	}
	if (is_ours(p, value))
		vpublish_read_later(p);
	else
		p->dirty = true;        /* the node has taken it, and goes beyond */
	vpublish_arm(p);
}

/* Goes on where it stands. */
void
vpublish_next(struct vpublish *p)
{
	json_t *pair = NULL;

	switch (p->step) {
	case PLACE:
		ask(p, vdht_place(p->owner), NULL, VDHT_LOCAL_MS, have_place);
		break;
	case MAKE:
		pair = pair_text(p);
		ask(p, vdht_make(pair), pair, VDHT_LOCAL_MS, have_made);
		break;
	case CLOSE:
		ask(p, vdht_close(p->place), NULL, VDHT_LOCAL_MS, have_closed);
		break;
	case OPEN:
		pair = pair_text(p);
		ask(p, vdht_open(p->place, pair), pair, VDHT_MS, have_opened);
		break;
	case VALUE:
		if (p->dirty && !p->withdrawn && p->route_len == 0)
			vpublish_arm(p);        /* it went: until there is one */
		else if (p->dirty)
			write_value(p);
		else
			ask(p, vdht_get(p->place, true), NULL, VDHT_MS,
			    have_read);
		break;
	}
}
