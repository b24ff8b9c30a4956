// SPDX-License-Identifier: MPL-2.0
/* server.c - serving. */
#include "lib/handle.h"

#include <stdlib.h>

#include "node/serve.h"

_Static_assert((int)DDCP_EVENT_LISTENING == (int)NODE_LISTENING
    && (int)DDCP_EVENT_CONNECTED == (int)NODE_CONNECTED
    && (int)DDCP_EVENT_DISCONNECTED == (int)NODE_DISCONNECTED
    && (int)DDCP_EVENT_CHANGED == (int)NODE_CHANGED
    && (int)DDCP_EVENT_PULLED == (int)NODE_PULLED
    && (int)DDCP_EVENT_FETCHED == (int)NODE_FETCHED
    && (int)DDCP_EVENT_SENT == (int)NODE_SENT
    && (int)DDCP_EVENT_KNOCK == (int)NODE_KNOCK
    && (int)DDCP_EVENT_TABLES == (int)NODE_TABLES
    && (int)DDCP_EVENT_TROUBLE == (int)NODE_TROUBLE
    && (int)DDCP_EVENT_LOCKED == (int)NODE_LOCKED
    && (int)DDCP_EVENT_UNLOCKED == (int)NODE_UNLOCKED
    && (int)DDCP_EVENT_CONFLICTS == (int)NODE_CONFLICTS
    && (int)DDCP_EVENT_PUBLISHED == (int)NODE_PUBLISHED, "one list of events");

struct ddcp_server {
	ddcp *d;
	struct serve *serve;
	ddcp_serve_options options;
};

static void
give_event(void *self, const struct node_event *e)
{
	const struct ddcp_server *server = self;
	ddcp_event out = { .kind = (enum ddcp_event_kind)e->kind,
		.remote = e->remote, .address = e->address, .place = e->place,
		.text = e->text, .hint = e->hint,
		.transactions = e->transactions, .rows = e->rows,
		.bytes = e->bytes, .elapsed_ms = e->elapsed_ms };

	server->options.event(server->options.self, &out);
}

int
ddcp_serve_start(ddcp *d, const ddcp_serve_options *options,
    ddcp_server **out, ddcp_error *error)
{
	static const ddcp_serve_options defaults;
	struct err err = { .code = 0 };
	struct serve_options how;
	ddcp_server *server = calloc(1, sizeof *server);
	int rc;

	*out = NULL;
	if (server == NULL)
		return lib_error(err_nomem(&err), &err, error);
	server->d = d;
	server->options = options != NULL ? *options : defaults;
	how = (struct serve_options){ .listen = server->options.listen,
		.no_discovery = server->options.no_discovery,
		.event = server->options.event != NULL ? give_event : NULL,
		.self = server };
	rc = lib_idle(d, &err);
	if (rc == 0)
		rc = serve_start(d->store, &how, &server->serve, &err);
	if (rc != 0) {
		free(server);
	} else {
		d->busy = true;
		*out = server;
	}
	return lib_error(rc, &err, error);
}

int
ddcp_serve_fd(ddcp_server *server)
{
	return serve_fd(server->serve);
}

int
ddcp_serve_timeout(ddcp_server *server)
{
	return serve_timeout(server->serve);
}

int
ddcp_serve_step(ddcp_server *server, ddcp_error *error)
{
	struct err err = { .code = 0 };

	return lib_error(serve_step(server->serve, &err), &err, error);
}

int
ddcp_serve_run(ddcp_server *server, ddcp_error *error)
{
	struct err err = { .code = 0 };

	return lib_error(serve_run(server->serve, &err), &err, error);
}

void
ddcp_serve_stop(ddcp_server *server)
{
	serve_stop(server->serve);
}

void
ddcp_serve_close(ddcp_server *server)
{
	if (server == NULL)
		return;
	serve_close(server->serve);
	server->d->busy = false;
	free(server);
}
