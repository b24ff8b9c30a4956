// SPDX-License-Identifier: MPL-2.0
/* chan.c - the channel: what goes in, what comes out, how it begins and ends. */
#include "chan/chan.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "chan/identity.h"
#include "chan/proof.h"
#include "chan/tls.h"

enum {
	RECORD_MAX = 16 << 10,  /* plaintext of one record */
	RECORD_HEAD = 5,
	MESSAGE_HEAD = 4
};

/* -- life ------------------------------------------------------------------- */

static struct chan *
make(void)
{
	struct chan *c = calloc(1, sizeof *c);

	if (c == NULL)
		return NULL;
	queue_init(&c->fed, CHAN_FED_MAX);
	queue_init(&c->in, CHAN_INPUT_MAX + RECORD_MAX);
	queue_init(&c->out, CHAN_OUTPUT_MAX);
	return c;
}

/* Puts the ClientHello out. */
static bool
call(struct chan *c)
{
	char name[PROOF_NAME_LEN + 1];

	return tls_open(c) && proof_make(c->peer, name) &&
	    SSL_set_tlsext_host_name(c->ssl, name) == 1 &&
	    SSL_set_alpn_protos(c->ssl, tls_alpn, TLS_ALPN_LEN) == 0 &&
	    SSL_use_certificate(c->ssl, c->id[0]->certificate) == 1 &&
	    SSL_use_PrivateKey(c->ssl, c->id[0]->key) == 1 &&
	    SSL_get_error(c->ssl, SSL_do_handshake(c->ssl)) ==
	    SSL_ERROR_WANT_READ;
}

int
chan_new_client(const struct chan_identity *id,
    const uint8_t peer[static KEY_LEN], struct chan **out, struct err *err)
{
	struct chan *c = make();
	bool called;

	*out = NULL;
	if (c == NULL)
		return err_nomem(err);
	c->id[0] = id;
	c->nids = 1;
	memcpy(c->peer, peer, KEY_LEN);
	ERR_clear_error();
	called = call(c);
	ERR_clear_error();
	if (!called) {
		chan_free(c);
		return err_set(err, E_FATAL, NULL, "can't set up TLS");
	}
	*out = c;
	return 0;
}

int
chan_new_server(const struct chan_identity *const *ids, size_t n,
    struct chan **out, struct err *err)
{
	struct chan *c;

	*out = NULL;
	if (n == 0 || n > CHAN_IDENTITIES_MAX)
		return err_set(err, E_FATAL, NULL, "a channel has 1 to %d identities",
		    CHAN_IDENTITIES_MAX);
	c = make();
	if (c == NULL)
		return err_nomem(err);
	c->server = true;
	memcpy(c->id, ids, n * sizeof *ids);
	c->nids = n;
	*out = c;
	return 0;
}

void
chan_free(struct chan *c)
{
	if (c == NULL)
		return;
	SSL_free(c->ssl);
	queue_clear(&c->fed);
	queue_clear(&c->in);
	queue_clear(&c->out);
	free(c);
}

enum chan_state
chan_state(const struct chan *c)
{
	return c->state;
}

void
chan_peer_key(const struct chan *c, uint8_t key[static KEY_LEN])
{
	memcpy(key, c->peer, KEY_LEN);
}

size_t
chan_called(const struct chan *c)
{
	return c->called;
}

/* -- bytes in ---------------------------------------------------------------- */

/* Why TLS gave up, in our words.  Looks at OpenSSL's last error. */
static int
fail(struct chan *c, struct err *err)
{
	bool open = c->state == CHAN_OPEN;
	int reason = ERR_GET_REASON(ERR_peek_last_error());

	c->state = CHAN_FAILED;
	if (queue_failed(&c->out))
		return err_set(err, E_FATAL, NULL, "the channel's output is full");
	if (c->wrong_key)
		return err_set(err, E_INTEGRITY, "compare its address with the one "
		    "you were given", "the peer at this place has another key");
	if (c->server && !c->proven)
		return err_set(err, E_NOTFOUND, NULL,
		    "the caller does not know an address here");
	if (reason >= SSL_AD_REASON_OFFSET)
		return err_set(err, E_REFUSED, NULL,
		    "the other side broke off the channel");
	if (c->later > CHAN_LATER_MAX)
		return err_set(err, E_REFUSED, NULL,
		    "the other side changes its keys too often");
	if (open)
		return err_set(err, E_INTEGRITY, NULL,
		    "what came on the channel was not what the peer sent");
	return err_set(err, E_REFUSED, NULL,
	    "the other side does not speak ddcp/1");
}

/* True if the last call only wants more bytes. */
static bool
waits(struct chan *c, int rc)
{
	return SSL_get_error(c->ssl, rc) == SSL_ERROR_WANT_READ;
}

static int
shake_hands(struct chan *c, struct err *err)
{
	int rc = SSL_do_handshake(c->ssl);

	if (rc != 1)
		return waits(c, rc) ? 0 : fail(c, err);
	if (!tls_speaks_ddcp(c->ssl))
		return fail(c, err);
	c->state = CHAN_OPEN;
	return 0;
}

static int
decrypt(struct chan *c, struct err *err)
{
	uint8_t *to;
	size_t len;
	int n;

	while (queue_data(&c->in, &len), len < CHAN_INPUT_MAX) {
		to = queue_reserve(&c->in, RECORD_MAX);
		if (to == NULL) {
			c->state = CHAN_FAILED;
			return err_nomem(err);
		}
		n = SSL_read(c->ssl, to, RECORD_MAX);
		if (n <= 0)
			break;
		queue_grow(&c->in, (size_t)n);
	}
	if (len >= CHAN_INPUT_MAX)
		return 0;
	if (len == 0)
		queue_clear(&c->in);
	if (SSL_get_error(c->ssl, n) == SSL_ERROR_ZERO_RETURN) {
		c->state = CHAN_CLOSED;
		queue_clear(&c->fed);
		return 0;
	}
	return waits(c, n) ? 0 : fail(c, err);
}

/* A server gives TLS nothing before the whole ClientHello is there, in one
 * record and of decent size: so a stranger costs no more than what he sent. */
static int
await_hello(struct chan *c, struct err *err)
{
	size_t len, record, message;
	const uint8_t *p = queue_data(&c->fed, &len);

	if (len > 0 && p[0] != SSL3_RT_HANDSHAKE)
		return fail(c, err);
	if (len < RECORD_HEAD + MESSAGE_HEAD)
		return 0;
	record = (size_t)p[3] << 8 | p[4];
	message = (size_t)p[6] << 16 | (size_t)p[7] << 8 | p[8];
	if (p[1] != 3 || p[5] != SSL3_MT_CLIENT_HELLO ||
	    message > CHAN_HELLO_MAX || record != MESSAGE_HEAD + message)
		return fail(c, err);
	if (len < RECORD_HEAD + record)
		return 0;
	if (tls_open(c))
		return 0;
	c->state = CHAN_FAILED;
	return err_nomem(err);
}

static int
go_on(struct chan *c, struct err *err)
{
	int rc = 0;

	ERR_clear_error();
	if (c->ssl == NULL)
		rc = await_hello(c, err);
	if (c->ssl != NULL && c->state == CHAN_HANDSHAKE)
		rc = shake_hands(c, err);
	if (rc == 0 && c->state == CHAN_OPEN)
		rc = decrypt(c, err);
	ERR_clear_error();
	return rc;
}

int
chan_feed(struct chan *c, const void *bytes, size_t len, struct err *err)
{
	if (c->state == CHAN_FAILED)
		return err_set(err, E_UNREACHABLE, NULL, "the channel has failed");
	if (c->state == CHAN_CLOSED || len == 0)
		return 0;
	c->heard = true;
	queue_add(&c->fed, bytes, len);
	if (queue_failed(&c->fed)) {
		c->state = CHAN_FAILED;
		return err_set(err, E_FATAL, NULL, "the channel's input is full");
	}
	return go_on(c, err);
}

int
chan_eof(struct chan *c, struct err *err)
{
	bool refused = c->state == CHAN_HANDSHAKE && !c->server && !c->heard;

	if (c->state == CHAN_CLOSED)
		return 0;
	c->state = CHAN_FAILED;
	if (refused)
		return err_set(err, E_INTEGRITY, "compare its address with the one "
		    "you were given; if it is the same, try again later",
		    "who answers at this place does not have that key");
	return err_set(err, E_UNREACHABLE, NULL, "the connection was cut");
}

const uint8_t *
chan_input(const struct chan *c, size_t *len)
{
	return queue_data(&c->in, len);
}

int
chan_input_taken(struct chan *c, size_t n, struct err *err)
{
	bool was_full;
	size_t len;

	queue_data(&c->in, &len);
	was_full = len >= CHAN_INPUT_MAX;
	queue_take(&c->in, n < len ? n : len);
	return was_full ? go_on(c, err) : 0;
}

/* -- bytes out ----------------------------------------------------------------- */

int
chan_write(struct chan *c, const void *bytes, size_t len, struct err *err)
{
	const uint8_t *p = bytes;
	size_t n;
	int rc = 0;

	if (c->state != CHAN_OPEN)
		return err_set(err, E_UNREACHABLE, NULL, "the channel is not open");
	ERR_clear_error();
	while (len > 0 && rc == 0) {
		n = 0;
		if (SSL_write_ex(c->ssl, p, len < RECORD_MAX ? len : RECORD_MAX,
		    &n) == 1) {
			p += n;
			len -= n;
		} else {
			c->state = CHAN_FAILED;
			rc = err_set(err, E_FATAL, NULL, queue_failed(&c->out)
			    ? "the channel's output is full" : "can't encrypt");
		}
	}
	ERR_clear_error();
	return rc;
}

void
chan_close(struct chan *c)
{
	if ((c->state != CHAN_OPEN && c->state != CHAN_CLOSED) ||
	    (SSL_get_shutdown(c->ssl) & SSL_SENT_SHUTDOWN))
		return;
	SSL_shutdown(c->ssl);
	ERR_clear_error();
}

const uint8_t *
chan_output(const struct chan *c, size_t *len)
{
	return queue_data(&c->out, len);
}

void
chan_output_taken(struct chan *c, size_t n)
{
	size_t len;

	queue_data(&c->out, &len);
	queue_take(&c->out, n < len ? n : len);
}
