// SPDX-License-Identifier: MPL-2.0
/* The channel between two of our own kind: who is who, bytes survive any split,
 * and every bound holds.  Peers of another kind: test_chan_strangers.c. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/crypto.h>
#include <openssl/x509.h>

#include "base/buf.h"
#include "chan/chan.h"
#include "chan/identity.h"
#include "chan/tls.h"

static uint64_t seed = 20260917;
static size_t openssl_bytes;    /* that OpenSSL holds right now */

/* -- what OpenSSL holds ------------------------------------------------------- */

static void *
counting_malloc(size_t n, const char *file, int line)
{
	void *p = malloc(n);

	openssl_bytes += p != NULL ? malloc_usable_size(p) : 0;
	return p;
}

static void
counting_free(void *p, const char *file, int line)
{
	openssl_bytes -= p != NULL ? malloc_usable_size(p) : 0;
	free(p);
}

static void *
counting_realloc(void *p, size_t n, const char *file, int line)
{
	size_t before = p != NULL ? malloc_usable_size(p) : 0;
	void *q = realloc(p, n);

	if (q != NULL || n == 0)
		openssl_bytes += (q != NULL ? malloc_usable_size(q) : 0) - before;
	return q;
}

/* -- a pair --------------------------------------------------------------------- */

static unsigned
random_below(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static struct chan_identity *
identity(uint8_t n)
{
	uint8_t bytes[CHAN_SEED_LEN];
	struct chan_identity *id;
	struct err err;

	memset(bytes, n, sizeof bytes);
	assert_int_equal(chan_identity_new(bytes, &id, &err), 0);
	return id;
}

struct pair {
	struct chan_identity *alice, *bob;
	struct chan *client, *server;   /* bob calls alice */
	struct err client_err, server_err;
};

static void
open_pair(struct pair *p)
{
	uint8_t key[KEY_LEN];
	const struct chan_identity *ids[1];

	memset(p, 0, sizeof *p);
	p->alice = identity(1);
	p->bob = identity(2);
	ids[0] = p->alice;
	chan_identity_key(p->alice, key);
	assert_int_equal(chan_new_client(p->bob, key, &p->client,
	    &p->client_err), 0);
	assert_int_equal(chan_new_server(ids, 1, &p->server, &p->server_err), 0);
}

static void
close_pair(struct pair *p)
{
	chan_free(p->client);
	chan_free(p->server);
	chan_identity_free(p->alice);
	chan_identity_free(p->bob);
}

/* Moves some bytes: at most step, or a random number of them for step 0. */
static bool
move(struct chan *from, struct chan *to, size_t step, struct err *err)
{
	const uint8_t *data;
	size_t len;

	data = chan_output(from, &len);
	if (len == 0)
		return false;
	if (step == 0)
		step = 1 + random_below(random_below(2) ? 30 : 40000);
	if (len > step)
		len = step;
	chan_feed(to, data, len, err);
	chan_output_taken(from, len);
	return true;
}

static void
shuttle(struct pair *p, size_t step)
{
	bool moved = true;

	while (moved) {
		moved = move(p->client, p->server, step, &p->server_err);
		moved |= move(p->server, p->client, step, &p->client_err);
	}
}

static void
open_and_shake(struct pair *p)
{
	open_pair(p);
	shuttle(p, SIZE_MAX);
	assert_int_equal(chan_state(p->client), CHAN_OPEN);
	assert_int_equal(chan_state(p->server), CHAN_OPEN);
}

static void
take_all(struct chan *c, struct buf *into, struct err *err)
{
	const uint8_t *data;
	size_t len;

	while (data = chan_input(c, &len), len > 0) {
		if (len > 100000)
			len -= random_below(1000);
		buf_add(into, data, len);
		assert_int_equal(chan_input_taken(c, len, err), 0);
	}
}

/* -- who is who -------------------------------------------------------------------- */

static void
both_sides_know_each_other(void **state)
{
	uint8_t want[KEY_LEN], got[KEY_LEN];
	struct pair p;

	open_and_shake(&p);
	chan_identity_key(p.bob, want);
	chan_peer_key(p.server, got);
	assert_memory_equal(want, got, KEY_LEN);
	chan_identity_key(p.alice, want);
	chan_peer_key(p.client, got);
	assert_memory_equal(want, got, KEY_LEN);
	close_pair(&p);
}

static void
r29_a_certificate_tells_a_key_and_nothing_else(void **state)
{
	struct chan_identity *a = identity(1), *same = identity(1);
	unsigned char *one = NULL, *two = NULL;
	int len = i2d_X509(a->certificate, &one);

	assert_int_equal(i2d_X509(same->certificate, &two), len);
	assert_memory_equal(one, two, (size_t)len);
	assert_int_equal(X509_NAME_entry_count(
	    X509_get_subject_name(a->certificate)), 0);
	assert_int_equal(X509_NAME_entry_count(
	    X509_get_issuer_name(a->certificate)), 0);
	assert_int_equal(X509_get_ext_count(a->certificate), 0);
	OPENSSL_free(one);
	OPENSSL_free(two);
	chan_identity_free(a);
	chan_identity_free(same);
}

static void
two_databases_share_a_port(void **state)
{
	struct chan_identity *alice = identity(1), *carol = identity(3);
	struct chan_identity *bob = identity(2);
	const struct chan_identity *ids[2] = { alice, carol };
	struct pair p = { 0 };
	uint8_t key[KEY_LEN];
	struct err err;
	size_t i;

	for (i = 0; i < 2; i++) {
		chan_identity_key(ids[i], key);
		assert_int_equal(chan_new_client(bob, key, &p.client, &err), 0);
		assert_int_equal(chan_new_server(ids, 2, &p.server, &err), 0);
		shuttle(&p, SIZE_MAX);
		assert_int_equal(chan_state(p.client), CHAN_OPEN);
		assert_int_equal(chan_called(p.server), i);
		chan_free(p.client);
		chan_free(p.server);
	}
	chan_identity_free(alice);
	chan_identity_free(bob);
	chan_identity_free(carol);
}

/* A server that proves knowledge of alice's address but shows another key: the
 * identity that answers is made of alice's public half and carol's pair. */
static void
r28_another_key_than_wanted_is_noticed(void **state)
{
	struct pair p;
	uint8_t key[KEY_LEN];

	open_pair(&p);
	chan_identity_key(p.alice, key);
	chan_free(p.server);
	chan_identity_free(p.alice);
	p.alice = identity(3);
	memcpy(p.alice->public_key, key, KEY_LEN);
	assert_int_equal(chan_new_server((const struct chan_identity *[]){ p.alice },
	    1, &p.server, &p.server_err), 0);
	shuttle(&p, SIZE_MAX);
	assert_int_equal(chan_state(p.client), CHAN_FAILED);
	assert_int_equal(p.client_err.code, E_INTEGRITY);
	assert_non_null(strstr(p.client_err.text, "another key"));
	/* the alert reached the other side, and says nothing of why */
	assert_int_equal(chan_state(p.server), CHAN_FAILED);
	assert_int_equal(p.server_err.code, E_REFUSED);
	assert_non_null(strstr(p.server_err.text, "broke off"));
	close_pair(&p);
}

/* What an honest server of another key does: it hangs up without a word. */
static void
r28_a_key_that_nobody_has_here_is_noticed(void **state)
{
	struct chan_identity *carol = identity(3);
	struct pair p;
	struct err err;
	size_t len;

	open_pair(&p);
	chan_free(p.server);
	assert_int_equal(chan_new_server((const struct chan_identity *[]){ carol },
	    1, &p.server, &err), 0);
	shuttle(&p, SIZE_MAX);
	assert_int_equal(chan_state(p.server), CHAN_FAILED);
	assert_int_equal(p.server_err.code, E_NOTFOUND);
	assert_null(chan_output(p.server, &len));
	assert_int_equal(chan_state(p.client), CHAN_HANDSHAKE);
	assert_int_equal(chan_eof(p.client, &err), E_INTEGRITY);
	close_pair(&p);
	chan_identity_free(carol);
}

/* -- bytes ---------------------------------------------------------------------------- */

static void
send_and_compare(struct pair *p, const uint8_t *data, size_t len, size_t step)
{
	struct buf got;

	buf_init(&got, 2 << 20);
	assert_int_equal(chan_write(p->client, data, len, &p->client_err), 0);
	shuttle(p, step);
	take_all(p->server, &got, &p->server_err);
	assert_int_equal(got.len, len);
	assert_memory_equal(len ? got.data : data, data, len);
	buf_clear(&got);
	assert_int_equal(chan_write(p->server, data, len, &p->server_err), 0);
	shuttle(p, step);
	take_all(p->client, &got, &p->client_err);
	assert_int_equal(got.len, len);
	assert_memory_equal(len ? got.data : data, data, len);
	buf_clear(&got);
}

static void
bytes_survive_any_split(void **state)
{
	static const size_t steps[] = { 0, 1, 7, 1000, 16384, SIZE_MAX };
	static const size_t lens[] = { 0, 1, 15, 16384, 16385, 40000, 1 << 20 };
	uint8_t *data = malloc(1 << 20);
	struct pair p;
	size_t i, k;

	print_message("# seed %llu\n", (unsigned long long)seed);
	assert_non_null(data);
	for (i = 0; i < 1 << 20; i++)
		data[i] = (uint8_t)random_below(256);
	for (k = 0; k < sizeof steps / sizeof *steps; k++) {
		open_pair(&p);
		shuttle(&p, steps[k]);
		for (i = 0; i < sizeof lens / sizeof *lens; i++)
			if (lens[i] <= 40000 || steps[k] == 0 || steps[k] > 7)
				send_and_compare(&p, data, lens[i], steps[k]);
		close_pair(&p);
	}
	free(data);
}

static void
damaged_bytes_end_the_channel(void **state)
{
	const uint8_t *data;
	uint8_t bad[4096];
	struct pair p;
	struct err err;
	size_t len;

	open_and_shake(&p);
	assert_int_equal(chan_write(p.client, "hello", 5, &err), 0);
	data = chan_output(p.client, &len);
	assert_true(len > 10 && len < sizeof bad);
	memcpy(bad, data, len);
	bad[len - 1] ^= 1;
	assert_int_equal(chan_feed(p.server, bad, len, &err), E_INTEGRITY);
	assert_null(chan_input(p.server, &len));
	assert_int_equal(chan_feed(p.server, bad, 1, &err), E_UNREACHABLE);
	assert_int_equal(chan_write(p.server, "x", 1, &err), E_UNREACHABLE);
	close_pair(&p);
}

/* -- the end ------------------------------------------------------------------------------ */

static void
an_end_is_told_from_a_cut(void **state)
{
	struct pair p;
	struct err err;

	open_and_shake(&p);
	assert_int_equal(chan_eof(p.server, &err), E_UNREACHABLE);
	close_pair(&p);
	open_and_shake(&p);
	chan_close(p.client);
	shuttle(&p, SIZE_MAX);
	assert_int_equal(chan_state(p.server), CHAN_CLOSED);
	assert_int_equal(chan_eof(p.server, &err), 0);
	close_pair(&p);
}

static void
who_has_ended_still_reads(void **state)
{
	const uint8_t *data;
	struct pair p;
	struct err err;
	size_t len;

	open_and_shake(&p);
	chan_close(p.client);
	chan_close(p.client);           /* says it once */
	assert_int_equal(chan_write(p.server, "last words", 10, &err), 0);
	shuttle(&p, SIZE_MAX);
	data = chan_input(p.client, &len);
	assert_int_equal(len, 10);
	assert_memory_equal(data, "last words", 10);
	assert_int_equal(chan_state(p.server), CHAN_CLOSED);
	/* whatever follows the end is no more part of it */
	assert_int_equal(chan_feed(p.server, "rubbish", 7, &err), 0);
	assert_int_equal(chan_state(p.server), CHAN_CLOSED);
	close_pair(&p);
}

/* -- bounds ---------------------------------------------------------------------------------- */

static void
input_is_bounded_and_goes_on(void **state)
{
	size_t len = 3 * CHAN_INPUT_MAX, n;
	uint8_t *data = calloc(1, len);
	struct buf got;
	struct pair p;

	assert_non_null(data);
	data[len - 1] = 42;
	open_and_shake(&p);
	assert_int_equal(chan_write(p.client, data, len, &p.client_err), 0);
	shuttle(&p, SIZE_MAX);
	chan_input(p.server, &n);
	assert_true(n >= CHAN_INPUT_MAX && n < CHAN_INPUT_MAX + (16 << 10));
	buf_init(&got, len);
	take_all(p.server, &got, &p.server_err);
	assert_int_equal(got.len, len);
	assert_int_equal(got.data[len - 1], 42);
	buf_clear(&got);
	close_pair(&p);
	free(data);
}

static void
who_feeds_or_writes_too_much_is_told(void **state)
{
	uint8_t *data = calloc(1, CHAN_FED_MAX + 1);
	struct pair p;
	struct err err;

	assert_non_null(data);
	open_and_shake(&p);
	assert_int_equal(chan_write(p.client, data, CHAN_OUTPUT_MAX, &err), E_FATAL);
	assert_int_equal(chan_state(p.client), CHAN_FAILED);
	assert_int_equal(chan_feed(p.server, data, CHAN_FED_MAX + 1, &err), E_FATAL);
	assert_int_equal(chan_state(p.server), CHAN_FAILED);
	close_pair(&p);
	free(data);
}

static size_t
held(const struct chan *c)
{
	return sizeof *c + c->fed.bytes.cap + c->in.bytes.cap + c->out.bytes.cap;
}

static void
an_idle_channel_is_small(void **state)
{
	uint8_t *data = calloc(1, 1 << 20);
	size_t before, server, client;
	struct pair p;

	assert_non_null(data);
	open_and_shake(&p);             /* what OpenSSL makes once, it makes here */
	close_pair(&p);
	open_and_shake(&p);
	send_and_compare(&p, data, 1 << 20, 65536);
	client = held(p.client);
	server = held(p.server);
	before = openssl_bytes;
	chan_free(p.server);
	p.server = NULL;
	server += before - openssl_bytes;
	before = openssl_bytes;
	chan_free(p.client);
	p.client = NULL;
	client += before - openssl_bytes;
	print_message("# idle: client %zu, server %zu bytes\n", client, server);
	assert_true(client > 1000 && server > 1000);
	assert_true(client < 32 << 10 && server < 32 << 10);
	close_pair(&p);
	free(data);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_sides_know_each_other),
		cmocka_unit_test(r29_a_certificate_tells_a_key_and_nothing_else),
		cmocka_unit_test(two_databases_share_a_port),
		cmocka_unit_test(r28_another_key_than_wanted_is_noticed),
		cmocka_unit_test(r28_a_key_that_nobody_has_here_is_noticed),
		cmocka_unit_test(bytes_survive_any_split),
		cmocka_unit_test(damaged_bytes_end_the_channel),
		cmocka_unit_test(an_end_is_told_from_a_cut),
		cmocka_unit_test(who_has_ended_still_reads),
		cmocka_unit_test(input_is_bounded_and_goes_on),
		cmocka_unit_test(who_feeds_or_writes_too_much_is_told),
		cmocka_unit_test(an_idle_channel_is_small),
	};

	if (CRYPTO_set_mem_functions(counting_malloc, counting_realloc,
	    counting_free) != 1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
