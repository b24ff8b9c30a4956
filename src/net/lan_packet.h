// SPDX-License-Identifier: MPL-2.0
/*
 * lan_packet.h - the two packets of LAN discovery, as bytes.
 *
 *	announcement:	[1: 1][minute: 8][nonce: 16][proof: 32][port: 2]
 *	query:		[2: 1][minute: 8][nonce: 16][proof: 32][zero: 2]
 *
 *	proof	= HMAC-SHA-256(secret, nonce ‖ minute)
 *	secret	= SHA-256("ddcp lan" ‖ key) in an announcement,
 *		  SHA-256("ddcp lan query" ‖ key) in a query
 *	minute	= minutes since 1970; numbers are big-endian
 *
 * Who knows the key recognises a packet; for all others it is a clock and
 * random bytes.  A query is as long as its answer, so that nobody can use
 * this to turn few bytes into many.  The port is not proven: a replayed proof
 * leads to a wrong place anyway, and the key is proven there.
 */
#ifndef NET_LAN_PACKET_H
#define NET_LAN_PACKET_H

#include "net/net.h"

enum {
	LAN_PACKET_LEN = 59,
	LAN_NONCE_LEN = 16,
	LAN_PROOF_LEN = 32,
	LAN_SECRET_LEN = 32
};

enum lan_kind {
	LAN_ANNOUNCE = 1,
	LAN_QUERY = 2
};

/* What a key looks like in packets. */
struct lan_secret {
	uint8_t announce[LAN_SECRET_LEN];
	uint8_t query[LAN_SECRET_LEN];
};

struct lan_packet {
	enum lan_kind kind;
	uint64_t minute;
	const uint8_t *nonce;   /* views of the bytes decoded */
	const uint8_t *proof;
	uint16_t port;          /* 0 in a query */
};

int lan_secret(const uint8_t key[static KEY_LEN], struct lan_secret *out,
    struct err *err);

/* Reads exactly one packet; false if it is anything else. */
bool lan_packet_decode(const uint8_t *bytes, size_t len,
    struct lan_packet *out);

/* True if p was made by who knows secret. */
bool lan_packet_proven(const struct lan_packet *p,
    const struct lan_secret *secret);

int lan_packet_encode(enum lan_kind kind, const struct lan_secret *secret,
    uint64_t minute, const uint8_t nonce[static LAN_NONCE_LEN],
    uint16_t port, uint8_t out[static LAN_PACKET_LEN], struct err *err);

#endif
