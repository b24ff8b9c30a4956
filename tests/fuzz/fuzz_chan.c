// SPDX-License-Identifier: MPL-2.0
/* Random bytes to a channel of either side; the first byte chooses. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "chan/chan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct chan_identity *id;
	uint8_t seed[CHAN_SEED_LEN] = { 5 }, key[KEY_LEN];
	struct err err;
	struct chan *c;
	size_t n;

	if (id == NULL && chan_identity_new(seed, &id, &err) != 0)
		abort();
	if (len < 2)
		return 0;
	chan_identity_key(id, key);
	if (data[0] & 1 ? chan_new_client(id, key, &c, &err) != 0
	    : chan_new_server((const struct chan_identity *[]){ id }, 1, &c,
	    &err) != 0)
		abort();
	n = 1 + data[1] % (len - 1);
	if (chan_feed(c, data + 1, n, &err) == 0)
		chan_feed(c, data + 1 + n, len - 1 - n, &err);
	if (chan_state(c) == CHAN_OPEN)
		abort();
	chan_output(c, &n);
	if (!(data[0] & 1) && n != 0)
		abort();        /* nothing for who proves nothing */
	chan_free(c);
	return 0;
}
