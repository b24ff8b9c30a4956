// SPDX-License-Identifier: MPL-2.0
/*
 * vpublish.c - when the record is written, and looked at.
 *
 * That a value was written says little: a node may say so of one that got lost,
 * and a write that was split may end as another value of the same number, which
 * nobody announces.  Nobody finds us then, and nothing but reading tells.
 */
#include "net/vpublish_state.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

enum {
	LOOK_MS = 300000,               /* at the clock, which may jump, or go on
					 * while this machine sleeps; and at what
					 * stands in the network ... */
	LOOK_MIN_MS = 2000,             /* ... which is young as long as this,
					 * LOOK_GROWS times as long, ... */
	LOOK_GROWS = 4
};

/* ---- time ---- */

static void timer_fired(uv_timer_t *timer);

static bool
can_write(const struct vpublish *p)
{
	return p->ready && p->call == NULL && p->dirty
	    && (p->withdrawn || p->route_len > 0);
}

static bool
can_read(const struct vpublish *p)
{
	return p->ready && p->call == NULL && !p->dirty && !p->withdrawn;
}

/* When the next request is to be made. */
static uint64_t
next_due(const struct vpublish *p)
{
	return can_write(p) ? p->due : can_read(p) ? p->read : VPUBLISH_NEVER;
}

void
vpublish_arm(struct vpublish *p)
{
	uint64_t now = uv_now(p->env.loop), due = next_due(p);

	if (p->look < due)
		due = p->look;
	if (due == VPUBLISH_NEVER)
		uv_timer_stop(&p->timer);
	else
		uv_timer_start(&p->timer, timer_fired,
		    due > now ? due - now : 0, 0);
}

void
vpublish_read_later(struct vpublish *p)
{
	p->read = uv_now(p->env.loop) + p->read_wait;
	p->read_wait = p->read_wait < LOOK_MS / LOOK_GROWS
	    ? p->read_wait * LOOK_GROWS : LOOK_MS;
}

void
vpublish_written(struct vpublish *p)
{
	uint64_t now = uv_now(p->env.loop);

	p->wait = VPUBLISH_AGAIN_MIN_MS;
	p->when = p->env.now_ms(p->env.self);
	err_clear(&p->why);
	p->due = now + VPUBLISH_REST_MS;
	p->look = p->withdrawn ? VPUBLISH_NEVER : now + LOOK_MS;
	vpublish_read_later(p);
	vpublish_arm(p);
}

/* Waits longer after each failure.  That of a look is nobody's business. */
void
vpublish_failed(struct vpublish *p, enum step next, const struct err *why)
{
	p->step = next;
	if (p->dirty) {
		p->why = *why;
		p->due = uv_now(p->env.loop) + p->wait;
		p->wait = p->wait < VPUBLISH_AGAIN_MAX_MS / 2 ? p->wait * 2
		    : VPUBLISH_AGAIN_MAX_MS;
	} else {
		vpublish_read_later(p);
	}
	vpublish_arm(p);
}

/* There is something to write: a look does not keep it waiting. */
static void
must_write(struct vpublish *p)
{
	if (!p->dirty && !p->writing && p->call != NULL) {
		vapi_forget(p->call);
		p->call = NULL;
	}
	p->dirty = true;
	p->read_wait = LOOK_MIN_MS;
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
		if (half_over(p))
			must_write(p);
	}
	if (next_due(p) <= now)
		vpublish_next(p);
	vpublish_arm(p);
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
	p->look = VPUBLISH_NEVER;
	p->read = VPUBLISH_NEVER;
	p->wait = VPUBLISH_AGAIN_MIN_MS;
	p->read_wait = LOOK_MIN_MS;
	buf_init(&p->wrote, VRECORD_MAX);
	uv_timer_init(env->loop, &p->timer);
	p->timer.data = p;
	*out = p;
	return 0;
}

static void
timer_gone(uv_handle_t *timer)
{
	struct vpublish *p = timer->data;

	buf_clear(&p->wrote);
	free(p);
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
	if (len > 0 && !p->withdrawn)
		must_write(p);
	vpublish_arm(p);
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
	p->read_wait = LOOK_MIN_MS;
	if (ready)
		p->due = uv_now(p->env.loop);
	if (ready && p->when > 0 && !p->withdrawn) {
		p->look = p->due;
		vpublish_read_later(p);
	}
	vpublish_arm(p);
}

void
vpublish_changed(struct vpublish *p)
{
	if (p->withdrawn)
		return;
	new_token(p);
	must_write(p);
	vpublish_arm(p);
}

void
vpublish_withdraw(struct vpublish *p, vpublish_done_fn *done, void *owner)
{
	p->withdrawn = true;
	p->done = done;
	p->done_owner = owner;
	must_write(p);
	vpublish_arm(p);
}

uint64_t
vpublish_when(const struct vpublish *p, struct err *why)
{
	*why = p->why;
	return p->when;
}
