// SPDX-License-Identifier: MPL-2.0
/*
 * veilid_pump - what the network "veilid" makes of two nodes:
 *
 *     veilid_pump SOCKET SOCKET ROUNDS [MIB]
 *
 * One net on each socket, in this process.  Each round is a connection: the
 * median time of 10 bytes there and back, then MIB (4) one way, the other way,
 * and both ways at once.  Medians of the rounds go to standard output.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <uv.h>

#include "net/net.h"

enum { TRIPS = 96, ROUNDS_MAX = 100, PING = 10, PIECE = 64 << 10 };

enum what { TRIP, TO, BACK, BOTH, WHATS };

struct end {
	struct net *net;
	struct net_conn *conn;
	size_t sent, received;
	bool closed;
};

static struct {
	uv_loop_t loop;
	struct end ends[2];     /* who listens, who connects */
	char place[PLACE_MAX];
	enum what what;
	size_t bytes;           /* each that sends, sends so many */
	size_t trips;
	uint64_t began;
	bool done;
	double trip[TRIPS];
	double figures[WHATS][ROUNDS_MAX];
	size_t round;
} b;

static void
die(const char *what, const struct err *err)
{
	fprintf(stderr, "veilid_pump: %s: %s\n", what,
	    err != NULL ? err->text : "");
	exit(1);
}

static bool
sends(const struct end *e)
{
	if (b.what == BOTH)
		return true;
	return b.what == (e == &b.ends[1] ? TO : BACK);
}

static void
pump(struct end *e)
{
	static uint8_t piece[PIECE];
	struct err err = { .code = 0 };
	size_t n;

	while (sends(e) && e->sent < b.bytes) {
		n = b.bytes - e->sent < PIECE ? b.bytes - e->sent : PIECE;
		if (net_conn_send(e->conn, piece, n, &err) < 0) {
			if (err.code != E_HELD)
				die("sending", &err);
			return;
		}
		e->sent += n;
	}
}

static void
say(struct end *e)
{
	struct err err = { .code = 0 };

	if (net_conn_send(e->conn, "0123456789", PING, &err) < 0)
		die("sending", &err);
}

static void
on_trip(struct end *e)
{
	if (e == &b.ends[0]) {
		say(e);
		return;
	}
	b.trip[b.trips++] = (double)(uv_hrtime() - b.began) / 1e6;
	b.began = uv_hrtime();
	if (b.trips == TRIPS)
		b.done = true;
	else
		say(e);
}

static void
on_data(struct net_conn *conn, const uint8_t *bytes, size_t len)
{
	struct end *e = conn->owner;

	e->received += len;
	if (b.what == TRIP) {
		on_trip(e);
		return;
	}
	b.done = (!sends(&b.ends[0]) || b.ends[1].received >= b.bytes)
	    && (!sends(&b.ends[1]) || b.ends[0].received >= b.bytes);
}

static void
on_drain(struct net_conn *conn)
{
	pump(conn->owner);
}

static void
on_close(struct net_conn *conn, const struct err *why)
{
	struct end *e = conn->owner;

	if (why->code != 0)
		die("the connection", why);
	net_conn_close(conn);
	e->conn = NULL;
}

static const struct net_conn_events events = {
	.on_data = on_data,
	.on_drain = on_drain,
	.on_close = on_close,
};

static void
take(struct end *e, struct net_conn *conn)
{
	e->conn = conn;
	e->sent = e->received = 0;
	conn->events = &events;
	conn->owner = e;
	net_conn_read(conn, true);
}

static void
accepted(void *owner, struct net_conn *conn)
{
	net_conn_mark(conn);
	take(owner, conn);
}

static void
connected(void *owner, struct net_conn *conn, const struct err *why)
{
	if (conn == NULL)
		die("connecting", why);
	take(owner, conn);
}

static void
have_closed(void *owner)
{
	((struct end *)owner)->closed = true;
}

static void
run_until_done(void)
{
	while (!b.done)
		uv_run(&b.loop, UV_RUN_ONCE);
	b.done = false;
}

static int
by_size(const void *x, const void *y)
{
	double p = *(const double *)x, q = *(const double *)y;

	return (p > q) - (p < q);
}

static double
median(double *all, size_t n)
{
	qsort(all, n, sizeof *all, by_size);
	return all[n / 2];
}

static void
measure(enum what what)
{
	b.what = what;
	b.trips = 0;
	b.ends[0].sent = b.ends[0].received = 0;
	b.ends[1].sent = b.ends[1].received = 0;
	b.began = uv_hrtime();
	if (what == TRIP) {
		say(&b.ends[1]);
		run_until_done();
		b.figures[what][b.round] = median(b.trip, TRIPS);
		return;
	}
	pump(&b.ends[0]);
	pump(&b.ends[1]);
	run_until_done();
	b.figures[what][b.round] = (double)(b.bytes * (what == BOTH ? 2 : 1))
	    / 1e6 / ((double)(uv_hrtime() - b.began) / 1e9);
}

static void
run_round(void)
{
	struct net_connect *c;
	struct err err = { .code = 0 };

	if (b.ends[1].net->backend->connect(b.ends[1].net, b.place, 60000,
	    connected, &b.ends[1], &c, &err) < 0)
		die("connecting", &err);
	while (b.ends[0].conn == NULL || b.ends[1].conn == NULL)
		uv_run(&b.loop, UV_RUN_ONCE);
	measure(TRIP);
	measure(TO);
	measure(BACK);
	measure(BOTH);
	net_conn_close(b.ends[1].conn);
	b.ends[1].conn = NULL;
	while (b.ends[0].conn != NULL)
		uv_run(&b.loop, UV_RUN_ONCE);
}

static void
open_all(char *const *sockets)
{
	struct net_env env = net_env_system(&b.loop);
	uint8_t seed[32], key[KEY_LEN];
	char where[2][200], place[PLACE_MAX];
	char text[ADDR_TEXT_LEN + 1];
	struct err err = { .code = 0 };
	int i;

	env.random(env.self, seed, sizeof seed);
	for (i = 0; i < 2; i++) {
		struct net_options opt = { .veilid = where[i],
			.seed = i == 0 ? seed : NULL };

		snprintf(where[i], sizeof where[i], "unix:%s", sockets[i]);
		if (net_find("veilid")->open(&env, &opt, &b.ends[i].net,
		    &err) < 0)
			die("opening", &err);
	}
	if (b.ends[0].net->backend->listen(b.ends[0].net, NULL, b.place,
	    accepted, &b.ends[0], &err) < 0)
		die("listening", &err);
	snprintf(text, sizeof text, "VLD0:%.43s", b.place + strlen("veilid:"));
	if (addr_parse(text, key, place, &err) < 0
	    || b.ends[0].net->backend->announce(b.ends[0].net, key, &err) < 0)
		die("announcing", &err);
}

static void
print(const char *what, double *all, const char *unit)
{
	double m = median(all, b.round);

	printf("%-42s %8.2f %s, %.2f to %.2f\n", what, m, unit, all[0],
	    all[b.round - 1]);
}

int
main(int argc, char **argv)
{
	size_t rounds = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
	struct rusage use;
	uint64_t began;
	int i;

	if (argc < 4 || argc > 5 || rounds == 0 || rounds > ROUNDS_MAX) {
		fprintf(stderr,
		    "usage: veilid_pump SOCKET SOCKET ROUNDS [MIB]\n");
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	b.bytes = (argc == 5 ? strtoul(argv[4], NULL, 10) : 4) << 20;
	uv_loop_init(&b.loop);
	open_all(argv + 1);
	began = uv_hrtime();
	for (b.round = 0; b.round < rounds; b.round++)
		run_round();
	getrusage(RUSAGE_SELF, &use);
	print("there and back, 10 bytes", b.figures[TRIP], "ms");
	print("to who listens", b.figures[TO], "MB/s");
	print("to who connected", b.figures[BACK], "MB/s");
	print("both ways at once, in all", b.figures[BOTH], "MB/s");
	printf("(both ends took %.0f %% of a processor)\n",
	    100e9 * ((double)use.ru_utime.tv_sec + (double)use.ru_stime.tv_sec
	    + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6)
	    / (double)(uv_hrtime() - began));
	for (i = 0; i < 2; i++)
		b.ends[i].net->backend->close(b.ends[i].net, have_closed,
		    &b.ends[i]);
	while (!b.ends[0].closed || !b.ends[1].closed)
		uv_run(&b.loop, UV_RUN_ONCE);
	return 0;
}
