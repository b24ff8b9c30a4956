// SPDX-License-Identifier: MPL-2.0
#include "veilid_party.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include <openssl/evp.h>

/* ---- what the node tells ---- */

static void
on_ready(void *owner, const struct err *why)
{
	struct party *p = owner;
	size_t i;

	assert_int_not_equal(p->ready, why == NULL);
	p->ready = why == NULL;
	if (why == NULL)
		p->readies++;
	else
		p->unreadies++;
	if (why != NULL)
		p->why = *why;
	assert_int_equal(vnode_ready(p->node), p->ready);
	if (p->publish != NULL)
		vpublish_ready(p->publish, p->ready);
	for (i = 0; i < PARTY_FINDS; i++)
		if (p->finds[i].find != NULL)
			vfind_ready(p->finds[i].find, p->ready);
}

static void
on_route(void *owner, const uint8_t *blob, size_t len)
{
	struct party *p = owner;

	assert_true((blob == NULL) == (len == 0));
	p->routed = len > 0;
	if (len > 0)
		p->routes++;
	else
		p->unroutes++;
	if (p->publish != NULL)
		vpublish_route(p->publish, blob, len);
}

/* The answer is the call, backwards. */
static void
on_call(void *owner, const char *call, const uint8_t *bytes, size_t len)
{
	struct party *p = owner;
	uint8_t back[VSEGMENT_MAX];
	size_t i;

	p->calls++;
	p->call_len = len;
	memcpy(p->call, bytes, len);
	for (i = 0; i < len; i++)
		back[i] = bytes[len - 1 - i];
	if (!p->mute)
		vnode_reply(p->node, call, back, len);
}

static void
on_dead(void *owner, const char *route)
{
	struct party *p = owner;

	p->deads++;
	if (strcmp(route, p->import) == 0)
		p->import[0] = '\0';
}

static void
on_value(void *owner, const struct vupdate *update)
{
	struct party *p = owner;
	size_t i;

	p->values++;
	for (i = 0; i < PARTY_FINDS; i++)
		if (p->finds[i].find != NULL)
			vfind_value(p->finds[i].find, update);
}

static const struct vnode_events events = {
	.on_ready = on_ready,
	.on_route = on_route,
	.on_call = on_call,
	.on_dead = on_dead,
	.on_value = on_value,
};

static void
found(void *owner, const struct vrecord *r)
{
	struct party_find *f = owner;

	f->found++;
	f->alive = vrecord_alive(r, f->party->env.now_ms(f->party));
	memcpy(f->token, r->token, sizeof f->token);
	memcpy(f->route, r->route, r->route_len);
	f->route_len = r->route_len;
}

/* ---- what the test does ---- */

static uint64_t
now_ms(void *self)
{
	struct party *p = self;
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)(t.tv_sec * 1000 + t.tv_nsec / 1000000 + p->ahead_ms);
}

static int
random_bytes(void *self, void *out, size_t len)
{
	return uv_random(NULL, NULL, out, len, 0, NULL);
}

static void
key_of(const uint8_t seed[static VRECORD_SEED_LEN], uint8_t out[static KEY_LEN])
{
	EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
	    seed, VRECORD_SEED_LEN);
	size_t len = KEY_LEN;

	assert_int_equal(EVP_PKEY_get_raw_public_key(pair, out, &len), 1);
	EVP_PKEY_free(pair);
}

void
party_open(struct party *p, uv_loop_t *loop, const char *where, uint8_t seed)
{
	*p = (struct party){ .loop = loop };
	p->env = (struct net_env){ .loop = loop, .now_ms = now_ms,
		.random = random_bytes, .self = p };
	memset(p->seed, seed, sizeof p->seed);
	key_of(p->seed, p->key);
	assert_int_equal(vnode_open(&p->env, where, false, &events, p,
	    &p->node, NULL), 0);
}

static void
have_closed(void *owner)
{
	((struct party *)owner)->closed = true;
}

void
party_close(struct party *p)
{
	size_t i;

	if (p->publish != NULL)
		vpublish_close(p->publish);
	for (i = 0; i < PARTY_FINDS; i++)
		if (p->finds[i].find != NULL)
			vfind_close(p->finds[i].find);
	if (p->node != NULL)
		vnode_close(p->node, have_closed, p);
	p->node = NULL;
}

void
party_publish(struct party *p)
{
	size_t len;
	const uint8_t *route = vnode_route(p->node, &len);

	assert_int_equal(vpublish_open(p->node, &p->env, p->seed, &p->publish,
	    NULL), 0);
	if (len > 0)
		vpublish_route(p->publish, route, len);
	vpublish_ready(p->publish, vnode_ready(p->node));
}

void
party_find(struct party *p, size_t i, const uint8_t key[static KEY_LEN])
{
	p->finds[i].party = p;
	assert_int_equal(vfind_open(p->node, &p->env, key, found, &p->finds[i],
	    &p->finds[i].find, NULL), 0);
	vfind_ready(p->finds[i].find, vnode_ready(p->node));
}

static void
imported(void *owner, const char *route, enum vfault fault,
    const struct err *why)
{
	struct party *p = owner;

	p->ended = true;
	p->fault = fault;
	snprintf(p->import, sizeof p->import, "%s",
	    route != NULL ? route : "");
}

void
party_import(struct party *p, const uint8_t *blob, size_t len)
{
	p->ended = false;
	assert_int_equal(vnode_import(p->node, blob, len, imported, p, NULL,
	    NULL), 0);
}

static void
called(void *owner, const uint8_t *bytes, size_t len, enum vfault fault,
    const struct err *why)
{
	struct party *p = owner;

	assert_true((why == NULL) == (fault == VFAULT_NONE));
	p->ended = true;
	p->fault = fault;
	p->answer_len = len;
	if (len > 0)
		memcpy(p->answer, bytes, len);
}

void
party_call(struct party *p, const void *bytes, size_t len)
{
	p->ended = false;
	assert_int_equal(vnode_call(p->node, p->import, bytes, len, called, p,
	    NULL, NULL), 0);
}

static void
withdrawn(void *owner, const struct err *why)
{
	((struct party *)owner)->withdrawn = why == NULL;
}

void
party_withdraw(struct party *p)
{
	vpublish_withdraw(p->publish, withdrawn, p);
}
