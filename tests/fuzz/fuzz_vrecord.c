// SPDX-License-Identifier: MPL-2.0
/* The record in Veilid's DHT.  The first 32 bytes are the seed of a key: what
 * is read as a record of that key is what would be written again; and what is
 * written of the rest, taken as a route, is read. */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "net/vrecord.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
key_of(const uint8_t *seed, uint8_t out[static KEY_LEN])
{
	EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
	    seed, VRECORD_SEED_LEN);
	size_t len = KEY_LEN;

	if (EVP_PKEY_get_raw_public_key(pair, out, &len) != 1)
		abort();
	EVP_PKEY_free(pair);
}

static void
write_again(const struct vrecord *r, const uint8_t *seed,
    const uint8_t *data, size_t len)
{
	struct buf b;

	buf_init(&b, VRECORD_MAX);
	if (vrecord_encode(r, seed, &b, NULL) < 0 || b.len != len
	    || memcmp(b.data, data, len) != 0)
		abort();
	buf_clear(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t key[KEY_LEN];
	struct vrecord r, back;
	struct buf b;
	const uint8_t *rest = data + VRECORD_SEED_LEN;

	if (size < VRECORD_SEED_LEN)
		return 0;
	size -= VRECORD_SEED_LEN;
	key_of(data, key);
	if (vrecord_decode(rest, size, key, &r, NULL) == 0)
		write_again(&r, data, rest, size);
	r = (struct vrecord){ .expires = size, .route = rest,
		.route_len = size < VRECORD_ROUTE_MAX ? size
		: VRECORD_ROUTE_MAX };
	buf_init(&b, VRECORD_MAX);
	if (vrecord_encode(&r, data, &b, NULL) < 0
	    || vrecord_decode(b.data, b.len, key, &back, NULL) < 0
	    || back.route_len != r.route_len
	    || memcmp(back.route, rest, r.route_len) != 0)
		abort();
	buf_clear(&b);
	return 0;
}
