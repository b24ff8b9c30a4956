// SPDX-License-Identifier: MPL-2.0
/*
 * net_peer - the two ends of a network, for tests in namespaces.
 *
 *	net_peer serve NAME	announces, echoes, ends with its input
 *	net_peer find NAME MS	finds, sends, waits for the echo, prints the
 *				place; 1 if there is none in time
 *	net_peer status		prints the interfaces of discovery
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "net/net.h"

static uv_loop_t loop;
static struct net_env env;
static struct net *net;
static struct err err;
static uint8_t key[KEY_LEN];
static char found[PLACE_MAX];

static void
on_data(struct net_conn *conn, const uint8_t *bytes, size_t len)
{
	if (conn->owner == NULL) {
		net_conn_mark(conn);
		net_conn_send(conn, bytes, len, NULL);
		return;
	}
	printf("%s\n", found);
	uv_stop(&loop);
}

static void
on_drain(struct net_conn *conn)
{
}

static void
on_close(struct net_conn *conn, const struct err *why)
{
	net_conn_close(conn);
}

static const struct net_conn_events events = {
	.on_data = on_data,
	.on_drain = on_drain,
	.on_close = on_close,
};

static void
accepted(void *owner, struct net_conn *conn)
{
	conn->events = &events;
	net_conn_read(conn, true);
}

static void
on_conn(void *owner, struct net_conn *conn, const char *place, bool named)
{
	strcpy(found, place);
	conn->events = &events;
	conn->owner = conn;
	net_conn_read(conn, true);
	net_conn_send(conn, "hello", 5, NULL);
}

static void
on_fail(void *owner, const struct err *why)
{
	fprintf(stderr, "%s\n", why->text);
	exit(1);
}

static void
input_over(uv_poll_t *poll, int status, int what)
{
	uv_stop(&loop);
}

static int
serve(void)
{
	char place[PLACE_MAX];
	uv_poll_t input;

	if (net->backend->listen(net, NULL, place, accepted, NULL, &err) < 0
	    || net->backend->announce(net, key, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	printf("serving %s\n", place);
	fflush(stdout);
	uv_poll_init(&loop, &input, 0);
	uv_poll_start(&input, UV_READABLE | UV_DISCONNECT, input_over);
	uv_run(&loop, UV_RUN_DEFAULT);
	return 0;
}

static int
find(uint32_t timeout_ms)
{
	static const struct net_dial_events dialling = {
		.on_conn = on_conn, .on_fail = on_fail };
	struct net_dial *dial;

	if (net_dial(net, &env, key, NULL, 0, timeout_ms, &dialling, NULL,
	    &dial, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	return 0;
}

static void
ignore(void *owner, const char *place)
{
}

static int
status(void)
{
	static struct net_status st;
	struct net_resolve *r;
	size_t i;

	net->backend->resolve(net, key, ignore, NULL, &r, &err);
	net->backend->status(net, &st);
	for (i = 0; i < st.nifs; i++)
		printf("%s %s %s\n", st.ifs[i].name, st.ifs[i].address,
		    st.ifs[i].joined ? "joined" : st.ifs[i].why);
	return 0;
}

int
main(int argc, char **argv)
{
	uv_loop_init(&loop);
	env = net_env_system(&loop);
	if (argc > 2)
		memcpy(key, argv[2], strnlen(argv[2], KEY_LEN));
	if (net_find("direct")->open(&env, NULL, &net, &err) < 0)
		return 1;
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve();
	if (argc == 4 && strcmp(argv[1], "find") == 0)
		return find((uint32_t)atoi(argv[3]));
	if (argc == 2 && strcmp(argv[1], "status") == 0)
		return status();
	return 129;
}
