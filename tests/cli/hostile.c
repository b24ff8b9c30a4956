// SPDX-License-Identifier: MPL-2.0
/*
 * hostile.c - a peer that means no good: holds connections open, sends rubbish,
 * half a handshake or a wrong one, frames that are too long or never end, or
 * asks for much and does not read it.
 *
 *   hostile KIND PORT ADDRESS N
 *   hostile address N
 *
 * Opens N connections to 127.0.0.1, does its worst on each, prints "ready" and
 * how many of them the other side ended, where the kind waits for that, and
 * holds them until stdin ends.  The second form prints the first N addresses
 * that it uses.
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

#include <openssl/ssl.h>

#include "base/addr.h"
#include "chan/chan.h"
#include "chan/identity.h"
#include "chan/proof.h"
#include "wire/msg.h"

enum {
	KEYS = 8,               /* our own, used in turn, but for ... */
	STRANGER = KEYS,        /* ... this one that nobody was told of */
	LINKS_MAX = 1024,
	PATIENCE_MS = 5000,
	TICK_MS = 1000,
	SMALL = 4096            /* what the kernel may take for us */
};

struct link {
	int fd;
	struct chan *chan;      /* NULL: none, or no matter any more */
};

static struct chan_identity *own[KEYS + 1];
static uint8_t wanted[KEY_LEN];
static struct link links[LINKS_MAX];
static int nlinks, refused;

static int
dial(int port, bool small)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), size = SMALL;

	if (small)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
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
		if (poll(&p, 1, PATIENCE_MS) <= 0)
			return false;
		n = read(fd, bytes, sizeof bytes);
		if (n <= 0 || chan_feed(c, bytes, (size_t)n, &err) != 0)
			return false;
		flush_channel(c, fd);
	}
	return chan_state(c) == CHAN_OPEN;
}

static void
say(struct link *l, const void *bytes, size_t len)
{
	struct err err;

	if (chan_write(l->chan, bytes, len, &err) == 0)
		flush_channel(l->chan, l->fd);
}

static void
say_message(struct link *l, const struct wire_msg *m)
{
	struct err err;
	struct buf bytes;

	buf_init(&bytes, 1 << 16);
	if (wire_encode(m, 1 << 16, &bytes, &err) == 0)
		say(l, bytes.data, bytes.len);
	buf_clear(&bytes);
}

static void
say_hello(struct link *l)
{
	struct wire_own site = { .version = 0 };
	struct wire_msg m = { .type = WIRE_HELLO };

	m.hello.min_version = m.hello.max_version = 1;
	m.hello.frame_max = 1 << 20;
	m.hello.own = &site;
	m.hello.nown = 1;
	say_message(l, &m);
}

/* All of table big, please. */
static void
say_pull(struct link *l)
{
	/* of no entries: the first half of SHA-256 of nothing */
	static const uint8_t empty[WIRE_HASH_LEN] = { 0xe3, 0xb0, 0xc4, 0x42,
		0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
		0x24 };
	struct wire_view table = { (const uint8_t *)"big", 3 };
	struct wire_group group = { .table = &table, .ntables = 1,
		.whole = true };
	struct wire_msg m = { .type = WIRE_PULL };

	memcpy(group.vector_hash, empty, sizeof empty);
	m.pull.id = 1;
	m.pull.group = &group;
	m.pull.ngroups = 1;
	say_message(l, &m);
}

static void
say_ping(struct link *l)
{
	struct wire_msg m = { .type = WIRE_PING };

	say_message(l, &m);
}

/* Waits until the other side ends the connection, and counts that. */
static void
expect_end(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint8_t bytes[4096];
	ssize_t n;

	do {
		if (poll(&p, 1, PATIENCE_MS) <= 0)
			return;
		n = read(fd, bytes, sizeof bytes);
	} while (n > 0);
	refused++;
}

/* TLS with something wrong about it; not refused if it ends in data. */
static void
wrong_tls(const char *kind, int fd)
{
	static const uint8_t good[] = "\6ddcp/1", bad[] = "\6ddcp/9";
	uint8_t key[KEY_LEN];
	char name[PROOF_NAME_LEN + 1], byte;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = ctx ? SSL_new(ctx) : NULL;

	memcpy(key, wanted, sizeof key);
	if (strcmp(kind, "sni") == 0)
		key[0] ^= 1;
	if (ssl == NULL || !proof_make(key, name))
		exit(128);
	SSL_set_fd(ssl, fd);
	SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
	if (strcmp(kind, "nosni") != 0)
		SSL_set_tlsext_host_name(ssl, name);
	if (strcmp(kind, "noalpn") != 0)
		SSL_set_alpn_protos(ssl, strcmp(kind, "alpn") == 0 ? bad : good, 7);
	if (strcmp(kind, "old") == 0)
		SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
	if (strcmp(kind, "nocert") != 0) {
		SSL_use_certificate(ssl, own[0]->certificate);
		SSL_use_PrivateKey(ssl, own[0]->key);
	}
	/* Without a certificate our side of the handshake may succeed; then
	 * the other one says so in place of data. */
	if (SSL_connect(ssl) != 1 || SSL_read(ssl, &byte, 1) <= 0)
		expect_end(fd);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

static void
after_handshake(const char *kind, struct link *l)
{
	static const uint8_t oversized[64] = { 0xFF, 0xFF, 0xFF, 0xF0, 2 };
	static const uint8_t truncated[64] = { 0, 0, 0xFF, 0xF0, WIRE_HELLO };

	if (strcmp(kind, "oversized") == 0) {
		say(l, oversized, sizeof oversized);
		expect_end(l->fd);
	} else if (strcmp(kind, "truncated") == 0) {
		say(l, truncated, sizeof truncated);
	} else if (strcmp(kind, "slow") == 0) {
		say_hello(l);
		say_pull(l);
	} else if (strcmp(kind, "stranger") == 0) {
		expect_end(l->fd);
	}
}

static void
do_worst(const char *kind, struct link *l, int number)
{
	const uint8_t *data;
	struct err err;
	size_t len;

	if (strcmp(kind, "idle") == 0)
		return;
	if (strcmp(kind, "garbage") == 0) {
		send_garbage(l->fd);
		expect_end(l->fd);
		return;
	}
	if (strncmp(kind, "tls-", 4) == 0) {
		wrong_tls(kind + 4, l->fd);
		return;
	}
	number = strcmp(kind, "stranger") == 0 ? STRANGER : number % KEYS;
	if (chan_new_client(own[number], wanted, &l->chan, &err) != 0)
		exit(128);
	data = chan_output(l->chan, &len);
	if (strcmp(kind, "hello") == 0) {
		/* half of a proper ClientHello, and then nothing */
		if (write(l->fd, data, len / 2) < 0)
			perror("write");
	} else if (strcmp(kind, "deaf") == 0) {
		flush_channel(l->chan, l->fd);
	} else if (shake_hands(l->chan, l->fd)) {
		after_handshake(kind, l);
		return;
	}
	chan_free(l->chan);
	l->chan = NULL;
}

/* Every second one reads a byte, all say that they are there. */
static void
stay_slow(void)
{
	char byte;
	int i;

	for (i = 0; i < nlinks; i++) {
		if (i % 2 == 1 && recv(links[i].fd, &byte, 1, MSG_DONTWAIT) < 0)
			continue;
		say_ping(&links[i]);
	}
}

static void
hold(const char *kind)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;

	do {
		if (poll(&p, 1, TICK_MS) == 0) {
			if (strcmp(kind, "slow") == 0)
				stay_slow();
			continue;
		}
	} while (p.revents == 0 || read(STDIN_FILENO, &byte, 1) > 0);
}

static void
make_keys(void)
{
	uint8_t seed[CHAN_SEED_LEN] = { 66 };
	struct err err;
	int i;

	for (i = 0; i <= KEYS; i++, seed[0]++)
		if (chan_identity_new(seed, &own[i], &err) != 0)
			exit(128);
}

static void
print_addresses(int n)
{
	char text[ADDR_TEXT_LEN + 1];
	uint8_t key[KEY_LEN];
	int i;

	for (i = 0; i < n && i < KEYS; i++) {
		chan_identity_key(own[i], key);
		addr_format(key, text);
		puts(text);
	}
}

int
main(int argc, char **argv)
{
	struct rlimit files = { 4096, 4096 };
	char place[PLACE_MAX];
	struct err err;
	int i, n;

	make_keys();
	if (argc == 3 && strcmp(argv[1], "address") == 0) {
		print_addresses(atoi(argv[2]));
		return 0;
	}
	if (argc != 5 || addr_parse(argv[3], wanted, place, &err) != 0) {
		fprintf(stderr, "usage: hostile KIND PORT ADDRESS N\n");
		return 129;
	}
	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &files);
	n = atoi(argv[4]);
	for (i = 0; i < n && i < LINKS_MAX; i++) {
		links[nlinks].fd = dial(atoi(argv[2]), strcmp(argv[1], "slow") == 0);
		if (links[nlinks].fd >= 0)
			do_worst(argv[1], &links[nlinks++], i);
	}
	printf("ready, %d of %d connections, %d refused\n", nlinks, n, refused);
	fflush(stdout);
	hold(argv[1]);
	return 0;
}
