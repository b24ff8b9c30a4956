// SPDX-License-Identifier: MPL-2.0
/* vstream_write.c - what a stream is given to send, until it goes. */
#include <stdlib.h>
#include <string.h>

#include "net/vstream_state.h"

int
vstream_write(struct vstream *v, const void *bytes, size_t len, uint64_t now,
    struct err *err)
{
	size_t max = v->marked ? NET_SEND_MAX : NET_SEND_MAX_UNKNOWN;

	if (vstream_dead(v) || v->ending != VSTREAM_LIVES)
		return err_set(err, E_UNREACHABLE, NULL,
		    "the connection is over");
	if (v->deaf || len == 0)
		return 0;       /* as if it had got lost behind its end */
	if (len > max || v->end - v->una > max - len)
		return err_set(err, E_HELD, NULL,
		    "the other side does not read fast enough");
	if (!vring_fit(&v->out, v->una, v->end, v->end + len))
		return err_nomem(err);
	vring_put(&v->out, v->end, bytes, len);
	v->end += len;
	v->above |= vstream_queued(v) > NET_LOW_WATER;
	vstream_settle(v, now);
	return 0;
}

size_t
vstream_queued(const struct vstream *v)
{
	return v->nxt < v->end ? (size_t)(v->end - v->nxt) : 0;
}

int
vstream_set_route(struct vstream *v, const uint8_t *blob, size_t len,
    uint64_t now, struct err *err)
{
	uint8_t *copy;

	if (v->route != NULL && len == v->route_len
	    && memcmp(blob, v->route, len) == 0)
		return 0;
	if (len == 0 || len > VSEGMENT_ROUTE_MAX)
		return err_set(err, E_FATAL, NULL,
		    "a private route of %zu bytes, at most %d are known", len,
		    VSEGMENT_ROUTE_MAX);
	copy = malloc(len);
	if (copy == NULL)
		return err_nomem(err);
	memcpy(copy, blob, len);
	free(v->route);
	v->route = copy;
	v->route_len = len;
	v->epoch++;
	vstream_settle(v, now);
	return 0;
}
