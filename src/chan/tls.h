// SPDX-License-Identifier: MPL-2.0
/*
 * tls.h - what the channel is to OpenSSL: the settings, the answers to what
 * TLS asks, and the way of the bytes.  Private to this layer; what the channel
 * is to its owner stands in chan.h.
 */
#ifndef CHAN_TLS_H
#define CHAN_TLS_H

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include "chan/chan.h"
#include "chan/queue.h"

/* The settings, and the kind of BIO that reads and writes a channel's queues:
 * a lot of memory, the same for all channels. */
struct tls {
	SSL_CTX *ctx;
	BIO_METHOD *bytes;
};

struct chan {
	SSL *ssl;               /* a server has none before a ClientHello */
	enum chan_state state;
	bool server;
	bool proven;            /* server: the caller knows an address */
	bool heard;             /* something came from the transport */
	bool wrong_key;
	unsigned later;         /* messages of TLS after the handshake */
	const struct chan_identity *id[CHAN_IDENTITIES_MAX];
	size_t nids;
	size_t called;          /* which of them */
	uint8_t peer[KEY_LEN];  /* wanted, then got */
	struct queue fed;       /* ciphertext, not yet read by TLS */
	struct queue in;        /* plaintext */
	struct queue out;       /* ciphertext */
};

bool tls_init(struct tls *tls);
void tls_clear(struct tls *tls);

/* Gives the channel its TLS, with its role and its first identity. */
bool tls_open(struct chan *c);

/* Whether the protocol was agreed on that we speak. */
bool tls_speaks_ddcp(const SSL *ssl);

/* Our protocol, as in a list of one (RFC 7301). */
enum { TLS_ALPN_LEN = 7 };
extern const unsigned char tls_alpn[TLS_ALPN_LEN];

#endif
