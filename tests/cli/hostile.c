// SPDX-License-Identifier: MPL-2.0
/*
 * hostile.c - a peer that means no good: holds connections open, sends rubbish,
 * half a handshake, or after a proper handshake frames that are too long.
 *
 *   hostile idle|garbage|hello|stranger|oversized PORT ADDRESS N
 *
 * Opens N connections to 127.0.0.1, does its worst on each, prints "ready",
 * and holds them until stdin ends.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "chan/chan.h"

static struct chan_identity *me;

static int
dial(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

static void
send_garbage(int fd)
{
	uint8_t bytes[3000];
	size_t i;

	for (i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)rand();
	if (write(fd, bytes, sizeof bytes) < 0)
		return;         /* refused already: fine */
}

static void
flush_channel(struct chan *c, int fd)
{
	const uint8_t *data;
	ssize_t n;
	size_t len;

	while (data = chan_output(c, &len), len > 0) {
		n = write(fd, data, len);
		if (n <= 0)
			return;
		chan_output_taken(c, (size_t)n);
	}
}

/* A whole handshake; false if the other side ended it. */
static bool
shake_hands(struct chan *c, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint8_t bytes[4096];
	struct err err;
	ssize_t n;

	flush_channel(c, fd);
	while (chan_state(c) == CHAN_HANDSHAKE) {
		if (poll(&p, 1, 5000) <= 0)
			return false;
		n = read(fd, bytes, sizeof bytes);
		if (n <= 0 || chan_feed(c, bytes, (size_t)n, &err) != 0)
			return false;
		flush_channel(c, fd);
	}
	return chan_state(c) == CHAN_OPEN;
}

static void
after_handshake(int fd, const uint8_t key[static KEY_LEN], bool oversized)
{
	static const uint8_t frame[64] = { 0xFF, 0xFF, 0xFF, 0xF0, 2 };
	struct chan *c;
	struct err err;

	if (chan_new_client(me, key, &c, &err) != 0)
		return;
	if (shake_hands(c, fd) && oversized &&
	    chan_write(c, frame, sizeof frame, &err) == 0)
		flush_channel(c, fd);
	chan_free(c);
}

static void
do_worst(const char *kind, int fd, const uint8_t key[static KEY_LEN])
{
	struct chan *c;
	const uint8_t *data;
	struct err err;
	size_t len;

	if (strcmp(kind, "garbage") == 0) {
		send_garbage(fd);
	} else if (strcmp(kind, "hello") == 0) {
		/* half of a proper ClientHello, and then nothing */
		if (chan_new_client(me, key, &c, &err) != 0)
			return;
		data = chan_output(c, &len);
		if (write(fd, data, len / 2) < 0)
			perror("write");
		chan_free(c);
	} else if (strcmp(kind, "idle") != 0) {
		after_handshake(fd, key, strcmp(kind, "oversized") == 0);
	}
}

int
main(int argc, char **argv)
{
	struct rlimit files = { 4096, 4096 };
	uint8_t seed[CHAN_SEED_LEN] = { 66 }, key[KEY_LEN];
	char place[PLACE_MAX], byte;
	struct err err;
	int i, n, fd, opened = 0;

	if (argc != 5 || addr_parse(argv[3], key, place, &err) != 0 ||
	    chan_identity_new(seed, &me, &err) != 0) {
		fprintf(stderr, "usage: hostile KIND PORT ADDRESS N\n");
		return 129;
	}
	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &files);
	n = atoi(argv[4]);
	for (i = 0; i < n; i++) {
		fd = dial(atoi(argv[2]));
		if (fd < 0)
			continue;
		opened++;
		do_worst(argv[1], fd, key);
	}
	printf("ready, %d of %d connections\n", opened, n);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
