// SPDX-License-Identifier: MPL-2.0
/* Calls of streams and their answers: what is read of one is what would be
 * written again. */
#include <stdlib.h>
#include <string.h>

#include "net/vsegment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_segment(const uint8_t *data, size_t size)
{
	struct err err = { .code = 0 };
	struct vsegment s;
	struct buf b;
	int rc = vsegment_decode(data, size, &s, &err);

	if (rc < 0) {
		if (err.code != rc || s.len != 0 || s.route_len != 0
		    || (rc != E_INTEGRITY && rc != E_REFUSED))
			abort();
		return;
	}
	buf_init(&b, VSEGMENT_MAX);
	if (vsegment_encode(&s, &b, NULL) < 0 || b.len != size
	    || memcmp(b.data, data, size) != 0
	    || s.offset + s.len > (uint64_t)1 << 63)
		abort();
	buf_clear(&b);
}

static void
read_answer(const uint8_t *data, size_t size)
{
	uint8_t again[VSEGMENT_ANSWER_HEAD_LEN];
	struct vsegment_answer a;
	size_t len;

	if (vsegment_answer_decode(data, size, &a, NULL) < 0)
		return;
	vsegment_answer_encode(&a, again, &len);
	if (len + a.len != size || memcmp(again, data, len) != 0
	    || (a.len > 0 && (a.payload != data + len
	    || size > VSEGMENT_MAX || a.status != VSEGMENT_OK
	    || a.offset + a.len > (uint64_t)1 << 63)))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_segment(data, size);
	read_answer(data, size);
	return 0;
}
