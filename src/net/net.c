// SPDX-License-Identifier: MPL-2.0
#include "net/net.h"

#include <string.h>

#include <uv.h>

#include "base/clock.h"
#include "net/direct.h"
#include "net/memory.h"
#include "net/veilid.h"

static const struct net_backend *const backends[] = {
	&net_direct,
	&net_memory,
	&net_veilid,
};

const struct net_backend *
net_at(size_t i)
{
	return i < sizeof backends / sizeof *backends ? backends[i] : NULL;
}

const struct net_backend *
net_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof backends / sizeof *backends; i++)
		if (strcmp(backends[i]->name, name) == 0)
			return backends[i];
	return NULL;
}

static uint64_t
system_now_ms(void *self)
{
	return (uint64_t)clock_ms();
}

static int
system_random(void *self, void *out, size_t len)
{
	return uv_random(NULL, NULL, out, len, 0, NULL) == 0 ? 0 : E_FATAL;
}

struct net_env
net_env_system(struct uv_loop_s *loop)
{
	return (struct net_env){ .loop = loop, .now_ms = system_now_ms,
		.random = system_random };
}

int
net_conn_send(struct net_conn *conn, const void *bytes, size_t len,
    struct err *err)
{
	return conn->ops->send(conn, bytes, len, err);
}

size_t
net_conn_queued(const struct net_conn *conn)
{
	return conn->ops->queued(conn);
}

void
net_conn_read(struct net_conn *conn, bool on)
{
	conn->ops->read(conn, on);
}

void
net_conn_mark(struct net_conn *conn)
{
	conn->ops->mark(conn);
}

void
net_conn_place(const struct net_conn *conn, char out[static PLACE_MAX])
{
	conn->ops->place(conn, out);
}

void
net_conn_close(struct net_conn *conn)
{
	conn->ops->close(conn, true);
}

void
net_conn_abort(struct net_conn *conn)
{
	conn->ops->close(conn, false);
}
