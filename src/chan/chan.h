// SPDX-License-Identifier: MPL-2.0
/*
 * chan.h - the encrypted channel between two keys: TLS 1.3 as bytes in, bytes
 * out.  No socket, no clock, no messages (doc/PROTOCOL.md, section 1).
 *
 * Each side shows a self-signed certificate whose Ed25519 key is its address;
 * the caller names the key it wants, the called one learns the caller's.
 * Whether that key may come in is decided above.
 */
#ifndef CHAN_CHAN_H
#define CHAN_CHAN_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

/* Every bound of this layer. */
enum {
	CHAN_SEED_LEN = 32,
	CHAN_INPUT_MAX = 1 << 20,       /* plaintext kept until it is taken */
	CHAN_FED_MAX = 8 << 20,         /* ciphertext fed and not yet read */
	CHAN_OUTPUT_MAX = 8 << 20,      /* ciphertext kept until it is taken */
	CHAN_HELLO_MAX = 4096,          /* a caller's first message */
	CHAN_CERTIFICATE_MAX = 2048,    /* a peer's certificate message */
	CHAN_LATER_MAX = 64,            /* key updates and tickets of a peer */
	CHAN_IDENTITIES_MAX = 64,       /* databases that share a port */
};

/* -- identities ---------------------------------------------------------- */

/* A key pair with its certificate; may be used by any number of channels. */
struct chan_identity;

/* Makes the identity of a seed; the seed stays the caller's, to be wiped. */
int chan_identity_new(const uint8_t seed[static CHAN_SEED_LEN],
    struct chan_identity **out, struct err *err);
void chan_identity_free(struct chan_identity *id);

void chan_identity_key(const struct chan_identity *id,
    uint8_t key[static KEY_LEN]);

/* -- channels ------------------------------------------------------------- */

enum chan_state {
	CHAN_HANDSHAKE,
	CHAN_OPEN,
	CHAN_CLOSED,            /* the peer ended it in order */
	CHAN_FAILED             /* the error was given once */
};

struct chan;

/* A channel to the peer with that key; its first bytes are there to be sent.
 * The identity must outlive it. */
int chan_new_client(const struct chan_identity *id,
    const uint8_t peer[static KEY_LEN], struct chan **out, struct err *err);

/* A channel for whoever called one of these n identities, which must outlive
 * it.  Nothing is sent to a caller who does not prove that he knows one of the
 * addresses (R28). */
int chan_new_server(const struct chan_identity *const *ids, size_t n,
    struct chan **out, struct err *err);

/* Wipes and frees. */
void chan_free(struct chan *c);

enum chan_state chan_state(const struct chan *c);

/* Bytes from the transport.  E_INTEGRITY: the peer has another key than the one
 * wanted, or bytes were changed on the way.  E_NOTFOUND, at a server only: the
 * caller does not know an address here.  E_REFUSED: it speaks something else,
 * or broke off.  E_FATAL: no memory, or CHAN_FED_MAX passed.  After an error
 * the channel has failed; what chan_output still holds is the alert for the
 * peer.  Bytes after the peer's end are passed over. */
int chan_feed(struct chan *c, const void *bytes, size_t len,
    struct err *err);

/* The transport has ended: 0 if the peer had ended the channel, E_UNREACHABLE
 * if not.  E_INTEGRITY at a client who heard nothing at all: that is what
 * happens to one who wants a key that the server does not have (though a server
 * with too many calls hangs up likewise). */
int chan_eof(struct chan *c, struct err *err);

/* Encrypts; only when open.  E_FATAL, and the channel has failed, if more than
 * CHAN_OUTPUT_MAX would wait. */
int chan_write(struct chan *c, const void *bytes, size_t len,
    struct err *err);

/* Tells the peer that no more comes; what he still sends can be read. */
void chan_close(struct chan *c);

/* What is to be sent, and that n bytes of it were (n at most what was there).
 * The bytes are valid until the next call of any other function. */
const uint8_t *chan_output(const struct chan *c, size_t *len);
void chan_output_taken(struct chan *c, size_t n);

/* Decrypted bytes, and that n of them were used, which may decrypt more and
 * fail as chan_feed does.  The caller should feed no more while CHAN_INPUT_MAX
 * bytes wait; no more than that and one record are ever decrypted. */
const uint8_t *chan_input(const struct chan *c, size_t *len);
int chan_input_taken(struct chan *c, size_t n, struct err *err);

/* Once open: the peer's key; at a server, which identity was called. */
void chan_peer_key(const struct chan *c, uint8_t key[static KEY_LEN]);
size_t chan_called(const struct chan *c);

#endif
