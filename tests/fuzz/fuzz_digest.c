// SPDX-License-Identifier: MPL-2.0
/*
 * fuzz_digest.c - the words of a verification: what can be read can be written,
 * and read again as the same.
 */
#include <stdlib.h>
#include <string.h>

#include "store/digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct digest_msg m, again;
	struct buf b, c;

	if (digest_decode(data, size, &m, NULL) == 0) {
		if (digest_encode(&m, &b, NULL) != 0
		    || digest_decode(b.data, b.len, &again, NULL) != 0
		    || digest_encode(&again, &c, NULL) != 0
		    || b.len != c.len || memcmp(b.data, c.data, b.len) != 0)
			abort();
		digest_msg_clear(&again);
		buf_clear(&b);
		buf_clear(&c);
	}
	digest_msg_clear(&m);
	return 0;
}
