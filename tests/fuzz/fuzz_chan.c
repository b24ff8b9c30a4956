// SPDX-License-Identifier: MPL-2.0
/* Any bytes to a channel of either side.  The first byte chooses the side, the
 * second where the rest is cut in two.  The corpus has a ClientHello with a
 * true proof, so that what comes after it is reached too. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "chan/chan.h"
#include "chan/proof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Whether there is a true proof anywhere in it. */
static bool
holds_proof(const uint8_t key[static KEY_LEN], const uint8_t *data, size_t len)
{
	size_t i;

	for (i = 0; i + PROOF_NAME_LEN <= len; i++)
		if (proof_check(key, (const char *)data + i, PROOF_NAME_LEN))
			return true;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct chan_identity *id;
	uint8_t seed[CHAN_SEED_LEN] = { 5 }, key[KEY_LEN];
	const uint8_t *rest = data + 2;
	struct err err;
	struct chan *c;
	bool client;
	size_t n;

	if (id == NULL && chan_identity_new(seed, &id, &err) != 0)
		abort();
	if (len < 3)
		return 0;
	client = data[0] & 1;
	len -= 2;
	chan_identity_key(id, key);
	if (client ? chan_new_client(id, key, &c, &err) != 0 : chan_new_server(
	    (const struct chan_identity *[]){ id }, 1, &c, &err) != 0)
		abort();
	n = data[1] % len;
	if (chan_feed(c, rest, n, &err) == 0)
		chan_feed(c, rest + n, len - n, &err);
	if (chan_state(c) == CHAN_OPEN || chan_state(c) == CHAN_CLOSED)
		abort();
	chan_output(c, &n);
	if (!client && n != 0 && !holds_proof(key, rest, len))
		abort();        /* something for who proves nothing */
	if (chan_eof(c, &err) == 0 || err.code == 0)
		abort();
	chan_free(c);
	return 0;
}
