// SPDX-License-Identifier: MPL-2.0
/* What a Veilid node says: lines in pieces, messages, and all that is read of
 * them.  The first byte says how long the pieces are. */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "net/vmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bytes that are taken have that one text. */
static void
read_bytes(const char *text)
{
	size_t len, chars;
	uint8_t *bytes;
	char *again;

	if (text == NULL || vmsg_bytes(text, 32768, &bytes, &len, NULL) < 0)
		return;
	chars = base64_chars(len);
	again = malloc(chars + 1);
	if (again == NULL || base64_encode(bytes, len, again) != chars
	    || strlen(text) != chars || memcmp(again, text, chars) != 0)
		abort();
	free(again);
	free(bytes);
}

static void
read_line(const char *line, size_t len)
{
	struct vupdate u;
	struct vmsg m;
	struct err err = { .code = 0 };
	const json_t *value;
	enum vfault fault;
	int rc;

	if (vmsg_parse(line, len, &m, &err) < 0) {
		if (m.root != NULL || err.code != E_INTEGRITY)
			abort();
		return;
	}
	if (m.type == VMSG_ANSWER) {
		rc = vmsg_value(&m, &value, &fault, &err);
		if ((rc == 0) != (fault == VFAULT_NONE)
		    || (rc < 0 && (value != NULL || err.code != rc)))
			abort();
	}
	if (m.type == VMSG_UPDATE) {
		vmsg_update(&m, &u);
		read_bytes(u.bytes);
		if (u.kind == VUPDATE_CALL && (u.call == NULL
		    || u.route == NULL || u.bytes == NULL))
			abort();
		if (u.kind == VUPDATE_ROUTES)
			vmsg_has(u.dead, "VLD0:x");
	}
	vmsg_clear(&m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t step = size > 0 ? data[0] + 1u : 1, at, n, len;
	struct vlines l;
	const char *line;

	vlines_init(&l);
	for (at = size > 0; at < size; at += n) {
		n = size - at < step ? size - at : step;
		if (vlines_add(&l, data + at, n, NULL) < 0)
			abort();
		while (vlines_next(&l, &line, &len, NULL) > 0)
			read_line(line, len);
	}
	vlines_clear(&l);
	return 0;
}
