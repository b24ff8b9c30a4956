// SPDX-License-Identifier: MPL-2.0
/*
 * vpublish.c - one request after the other, in this order: the record's place,
 * the record (made, closed, opened), its value.
 *
 * A record is made with a key that encrypts its values, and readers have no such
 * key: so it is closed and opened again by its plain place.  The node keeps one
 * opening for all its programs, and any of them may open it without a writer, or
 * close it: so each value is written with the writer beside it, and what fails is
 * opened again.  It is never closed here after that, as somebody else may watch
 * it.
 */
#include "net/vpublish.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <uv.h>

#include "base/base64.h"
#include "net/vdht.h"

enum {
	NEWER_MAX = 5,                  /* values in a row that were newer */
	LOOK_MS = 300000,               /* at the clock, which may jump, or go on
					 * while this machine sleeps */
	/* "VLD0:", 43 characters, ':', 43 characters */
	PAIR_LEN = ADDR_TEXT_LEN + 1 + 43
};

#define NEVER UINT64_MAX

enum step { PLACE, MAKE, CLOSE, OPEN, WRITE };

struct vpublish {
	struct vnode *node;
	struct net_env env;
	uv_timer_t timer;
	uint8_t seed[VRECORD_SEED_LEN];
	char owner[ADDR_TEXT_LEN + 1];

	uint8_t route[VRECORD_ROUTE_MAX];
	size_t route_len;
	uint8_t token[VRECORD_TOKEN_LEN];
	bool ready;
	bool dirty;                     /* there is something to write */
	bool writing;                   /* and that is on its way */

	enum step step;                 /* the next one */
	struct vapi_call *call;
	char place[VDHT_PLACE_MAX];     /* of the record, "" if not known */
	bool made;                      /* it was open once */
	unsigned newer;
	uint64_t due, look;             /* to write; at the clock */
	uint32_t wait;
	uint64_t expires;               /* of the last one, seconds since 1970 */

	uint64_t when;
	struct err why;
	bool withdrawn;                 /* to be, or it is */
	vpublish_done_fn *done;
	void *done_owner;
};

/* ---- time ---- */

static void timer_fired(uv_timer_t *timer);

static bool
can_write(const struct vpublish *p)
{
	return p->ready && p->call == NULL && p->dirty
	    && (p->withdrawn || p->route_len > 0);
}

static void
arm(struct vpublish *p)
{
	uint64_t now = uv_now(p->env.loop), due = p->look;

	if (can_write(p) && p->due < due)
		due = p->due;
	if (due == NEVER)
		uv_timer_stop(&p->timer);
	else
		uv_timer_start(&p->timer, timer_fired,
		    due > now ? due - now : 0, 0);
}

/* Waits longer after each failure. */
static void
failed(struct vpublish *p, enum step next, const struct err *why)
{
	p->step = next;
	p->why = *why;
	p->due = uv_now(p->env.loop) + p->wait;
	p->wait = p->wait < VPUBLISH_AGAIN_MAX_MS / 2 ? p->wait * 2
	    : VPUBLISH_AGAIN_MAX_MS;
	arm(p);
}

/* ---- the requests ---- */

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
		failed(p, p->step, &why);
	}
}

static void next(struct vpublish *p);

static void
have_place(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vpublish *p = owner;
	const char *key = json_string_value(value);
	struct err no = { .code = 0 };

	p->call = NULL;
	if (why == NULL && (key == NULL || *key == '\0'
	    || strlen(key) >= sizeof p->place)) {
		err_set(&no, E_INTEGRITY, NULL,
		    "the Veilid node does not tell a record's place");
		why = &no;
	}
	if (why != NULL) {
		failed(p, PLACE, why);
		return;
	}
	strcpy(p->place, key);
	/* it may be there from before */
	p->step = p->made ? OPEN : MAKE;
	next(p);
}

static void
have_made(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vpublish *p = owner;

	p->call = NULL;
	if (why != NULL && fault != VFAULT_REFUSED) {
		failed(p, MAKE, why);
		return;
	}
	/* "refused" is also said of one that exists */
	p->step = why == NULL ? CLOSE : OPEN;
	next(p);
}

static void
have_closed(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vpublish *p = owner;

	p->call = NULL;
	p->step = OPEN;         /* which succeeds, whatever this did */
	if (fault == VFAULT_CLOSED)
		failed(p, MAKE, why);
	else
		next(p);
}

static void
have_opened(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vpublish *p = owner;

	p->call = NULL;
	if (why != NULL) {
		failed(p, MAKE, why);
		return;
	}
	p->made = true;
	p->step = WRITE;
	next(p);
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
	uint64_t now = uv_now(p->env.loop);

	p->call = NULL;
	p->writing = false;
	if (why != NULL) {
		p->dirty = true;
		failed(p, OPEN, why);   /* it may have been closed */
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
			failed(p, WRITE, &no);
		else
			next(p);
		return;
	}
	p->newer = 0;
	p->wait = VPUBLISH_AGAIN_MIN_MS;
	p->when = p->env.now_ms(p->env.self);
	err_clear(&p->why);
	p->due = now + VPUBLISH_REST_MS;
	p->look = p->withdrawn ? NEVER : now + LOOK_MS;
	arm(p);
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
	struct buf bytes;
	char *text = NULL;
	int rc;

	buf_init(&bytes, VRECORD_MAX);
	memcpy(r.token, p->token, sizeof r.token);
	rc = vrecord_encode(&r, p->seed, &bytes, err);
	if (rc < 0)
		goto done;
	text = malloc(base64_chars(bytes.len) + 1);
	*out = text == NULL ? NULL : json_stringn(text,
	    base64_encode(bytes.data, bytes.len, text));
	if (*out == NULL)
		rc = err_nomem(err);
	else
		p->expires = r.expires;
done:
	free(text);
	buf_clear(&bytes);
	return rc;
}

static void
write_value(struct vpublish *p)
{
	json_t *pair = pair_text(p), *text = NULL;
	struct err why = { .code = 0 };

	if (record_text(p, &text, &why) < 0) {
		vdht_wipe(pair);
		failed(p, WRITE, &why);
		return;
	}
	/* what changes from now on is for the next one */
	p->writing = true;
	p->dirty = false;
	ask(p, vdht_set(p->place, text, pair), pair, VDHT_MS, have_written);
	if (p->call == NULL) {
		p->writing = false;
		p->dirty = true;
		arm(p);
	}
}

/* Goes on where it stands. */
static void
next(struct vpublish *p)
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
	case WRITE:
		write_value(p);
		break;
	}
}

/* Whether half of the record's time is over, or the clock was set back. */
static bool
half_over(const struct vpublish *p)
{
	uint64_t now = p->env.now_ms(p->env.self);

	return now < p->when || now - p->when >= VPUBLISH_LIFE_MS / 2;
}

static void
timer_fired(uv_timer_t *timer)
{
	struct vpublish *p = timer->data;
	uint64_t now = uv_now(p->env.loop);

	if (p->look <= now) {
		p->look = now + LOOK_MS;
		p->dirty = p->dirty || half_over(p);
	}
	if (can_write(p) && p->due <= now)
		next(p);
	arm(p);
}

/* ---- open and close ---- */

static int
owner_of(const uint8_t seed[static VRECORD_SEED_LEN],
    char out[static ADDR_TEXT_LEN + 1], struct err *err)
{
	EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
	    seed, VRECORD_SEED_LEN);
	uint8_t key[KEY_LEN];
	size_t len = sizeof key;
	int rc = 0;

	if (pair == NULL || EVP_PKEY_get_raw_public_key(pair, key, &len) != 1)
		rc = err_set(err, E_FATAL, NULL,
		    "the key for Veilid's record can't be used");
	else
		addr_format(key, out);
	EVP_PKEY_free(pair);
	return rc;
}

/* Without randomness the old one has to do, and nobody hears of the change
 * before it is read for another reason. */
static void
new_token(struct vpublish *p)
{
	uint8_t token[VRECORD_TOKEN_LEN];

	if (p->env.random(p->env.self, token, sizeof token) == 0)
		memcpy(p->token, token, sizeof token);
}

int
vpublish_open(struct vnode *n, const struct net_env *env,
    const uint8_t seed[static VRECORD_SEED_LEN], struct vpublish **out,
    struct err *err)
{
	struct vpublish *p = calloc(1, sizeof *p);
	int rc;

	if (p == NULL)
		return err_nomem(err);
	rc = owner_of(seed, p->owner, err);
	if (rc == 0 && env->random(env->self, p->token, sizeof p->token) < 0)
		rc = err_set(err, E_FATAL, NULL, "there is no randomness");
	if (rc < 0) {
		free(p);
		return rc;
	}
	p->node = n;
	p->env = *env;
	memcpy(p->seed, seed, sizeof p->seed);
	p->look = NEVER;
	p->wait = VPUBLISH_AGAIN_MIN_MS;
	uv_timer_init(env->loop, &p->timer);
	p->timer.data = p;
	*out = p;
	return 0;
}

static void
timer_gone(uv_handle_t *timer)
{
	free(timer->data);
}

void
vpublish_close(struct vpublish *p)
{
	if (p->call != NULL)
		vapi_forget(p->call);
	explicit_bzero(p->seed, sizeof p->seed);
	uv_close((uv_handle_t *)&p->timer, timer_gone);
}

void
vpublish_route(struct vpublish *p, const uint8_t *blob, size_t len)
{
	if (len > sizeof p->route)
		len = 0;        /* longer than any that is known */
	if (len > 0)
		memcpy(p->route, blob, len);
	p->route_len = len;
	p->dirty = p->dirty || (len > 0 && !p->withdrawn);
	arm(p);
}

void
vpublish_ready(struct vpublish *p, bool ready)
{
	p->ready = ready;
	/* the node may be another one */
	if (p->call != NULL)
		vapi_forget(p->call);
	p->call = NULL;
	p->dirty = p->dirty || p->writing;
	p->writing = false;
	p->step = PLACE;
	p->newer = 0;
	p->wait = VPUBLISH_AGAIN_MIN_MS;
	if (ready)
		p->due = uv_now(p->env.loop);
	if (ready && p->when > 0 && !p->withdrawn)
		p->look = p->due;
	arm(p);
}

void
vpublish_changed(struct vpublish *p)
{
	if (p->withdrawn)
		return;
	new_token(p);
	p->dirty = true;
	arm(p);
}

void
vpublish_withdraw(struct vpublish *p, vpublish_done_fn *done, void *owner)
{
	p->withdrawn = true;
	p->done = done;
	p->done_owner = owner;
	p->dirty = true;
	arm(p);
}

uint64_t
vpublish_when(const struct vpublish *p, struct err *why)
{
	*why = p->why;
	return p->when;
}
