// SPDX-License-Identifier: MPL-2.0
/* The record of a database in Veilid's DHT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/evp.h>

#include "net/vrecord.h"

static const uint8_t seed[VRECORD_SEED_LEN] = "the seed of the records' tests";
static uint8_t key[KEY_LEN];

static void
key_of(const uint8_t s[static VRECORD_SEED_LEN], uint8_t out[static KEY_LEN])
{
	EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
	    s, VRECORD_SEED_LEN);
	size_t len = KEY_LEN;

	assert_int_equal(EVP_PKEY_get_raw_public_key(pair, out, &len), 1);
	EVP_PKEY_free(pair);
}

/* A record whose route is n bytes. */
static void
make(size_t n, struct buf *out)
{
	static uint8_t route[VRECORD_ROUTE_MAX + 1];
	struct vrecord r = { .expires = 1900000000, .route = route,
		.route_len = n };
	size_t i;

	for (i = 0; i < n; i++)
		route[i] = (uint8_t)(i * 31);
	memset(r.token, 7, sizeof r.token);
	buf_init(out, VRECORD_MAX);
	assert_int_equal(vrecord_encode(&r, seed, out, NULL), 0);
}

static void
it_comes_back_as_it_was(void **state)
{
	static const size_t lengths[] = { 0, 1, 48, 746, VRECORD_ROUTE_MAX };
	struct vrecord r;
	struct buf b;
	size_t i;

	for (i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		make(lengths[i], &b);
		assert_int_equal(b.len, 91 + lengths[i]);
		assert_int_equal(vrecord_decode(b.data, b.len, key, &r, NULL),
		    0);
		assert_int_equal(r.expires, 1900000000);
		assert_int_equal(r.token[15], 7);
		assert_int_equal(r.route_len, lengths[i]);
		assert_ptr_equal(r.route, b.data + 27);
		assert_true(vrecord_alive(&r, 1899999999999) == (i > 0));
		assert_false(vrecord_alive(&r, 1900000000000));
		buf_clear(&b);
	}
}

static void
a_route_has_a_maximum(void **state)
{
	static uint8_t route[VRECORD_ROUTE_MAX + 1];
	struct vrecord r = { .expires = 1, .route = route,
		.route_len = sizeof route };
	struct buf b;

	buf_init(&b, 2 * VRECORD_MAX);
	assert_int_equal(vrecord_encode(&r, seed, &b, NULL), E_USAGE);
	assert_int_equal(b.len, 0);
	buf_clear(&b);
}

/* Whatever is changed, cut or added: it is not the key's any more. */
static void
nothing_of_it_can_be_changed(void **state)
{
	uint8_t other[KEY_LEN], copy[VRECORD_MAX + 1];
	struct vrecord r;
	struct err err;
	struct buf b;
	size_t i;
	int bit;

	make(60, &b);
	for (i = 0; i < b.len; i++)
		for (bit = 0; bit < 8; bit++) {
			memcpy(copy, b.data, b.len);
			copy[i] ^= (uint8_t)(1 << bit);
			assert_int_equal(vrecord_decode(copy, b.len, key, &r,
			    &err), i == 0 ? E_REFUSED : E_INTEGRITY);
			assert_null(r.route);
		}
	memcpy(copy, b.data, b.len);
	copy[b.len] = 0;
	for (i = 0; i <= b.len + 1; i++)
		if (i != b.len)
			assert_int_equal(vrecord_decode(copy, i, key, &r,
			    NULL), E_INTEGRITY);
	memcpy(other, key, KEY_LEN);
	other[0] ^= 1;
	assert_int_equal(vrecord_decode(b.data, b.len, other, &r, NULL),
	    E_INTEGRITY);
	buf_clear(&b);
}

/* It stays readable: others wrote it before. */
static void
the_format_stands(void **state)
{
	static const uint8_t front[] = { 1, 0, 0, 0, 0, 0x71, 0x3f, 0xb3, 0, 7,
		7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 3, 0, 31, 62 };
	struct buf b;

	make(3, &b);
	assert_memory_equal(b.data, front, sizeof front);
	buf_clear(&b);
}

static int
set_up(void **state)
{
	key_of(seed, key);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_comes_back_as_it_was),
		cmocka_unit_test(a_route_has_a_maximum),
		cmocka_unit_test(nothing_of_it_can_be_changed),
		cmocka_unit_test(the_format_stands),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
