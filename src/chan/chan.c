// SPDX-License-Identifier: MPL-2.0
#include "chan/chan.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/buf.h"
#include "chan/identity.h"
#include "chan/proof.h"

enum { READ_STEP = 16 << 10 };

static const unsigned char alpn[] = "\x06" "ddcp/1";

struct chan {
	SSL_CTX *ctx;
	SSL *ssl;               /* reads from and writes to memory */
	enum chan_state state;
	bool server;
	bool proven;            /* server: the caller knows an address */
	bool wrong_key;
	const struct chan_identity *id[CHAN_IDENTITIES_MAX];
	size_t nids;
	size_t called;
	uint8_t peer[KEY_LEN];  /* wanted, then got */
	struct buf in, out;
};

/* -- what TLS asks us ------------------------------------------------------- */

static struct chan *
chan_of(const SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

/* Takes the key out of the peer's certificate, the only thing in it that
 * counts: TLS itself proves that the peer has the private half. */
static int
check_certificate(X509_STORE_CTX *store, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store,
	    SSL_get_ex_data_X509_STORE_CTX_idx());
	struct chan *c = chan_of(ssl);
	X509 *x = X509_STORE_CTX_get0_cert(store);
	EVP_PKEY *key = x ? X509_get0_pubkey(x) : NULL;
	uint8_t raw[KEY_LEN];
	size_t len = sizeof raw;

	(void)arg;
	if (key == NULL || EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519 ||
	    EVP_PKEY_get_raw_public_key(key, raw, &len) != 1 || len != KEY_LEN) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
		return 0;
	}
	if (!c->server && CRYPTO_memcmp(raw, c->peer, KEY_LEN) != 0) {
		c->wrong_key = true;
		X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
		return 0;
	}
	memcpy(c->peer, raw, KEY_LEN);
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

/* The host name of the ClientHello's server name extension (RFC 6066). */
static bool
server_name(SSL *ssl, const char **name, size_t *len)
{
	const unsigned char *p;
	size_t n;

	if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n) ||
	    n < 5 || p[2] != TLSEXT_NAMETYPE_host_name ||
	    (size_t)(p[0] << 8 | p[1]) != n - 2 ||
	    (size_t)(p[3] << 8 | p[4]) != n - 5)
		return false;
	*name = (const char *)p + 5;
	*len = n - 5;
	return true;
}

/* Before anything is signed or sent: does the caller know an address here? */
static int
on_client_hello(SSL *ssl, int *alert, void *arg)
{
	struct chan *c = chan_of(ssl);
	const char *name;
	size_t len, i;

	(void)arg;
	*alert = SSL_AD_UNRECOGNIZED_NAME;
	if (!server_name(ssl, &name, &len))
		return SSL_CLIENT_HELLO_ERROR;
	for (i = 0; i < c->nids; i++)
		if (proof_check(c->id[i]->public_key, name, len))
			break;
	if (i == c->nids ||
	    SSL_use_certificate(ssl, c->id[i]->certificate) != 1 ||
	    SSL_use_PrivateKey(ssl, c->id[i]->key) != 1)
		return SSL_CLIENT_HELLO_ERROR;
	c->called = i;
	c->proven = true;
	return SSL_CLIENT_HELLO_SUCCESS;
}

static int
select_protocol(SSL *ssl, const unsigned char **out, unsigned char *outlen,
    const unsigned char *in, unsigned inlen, void *arg)
{
	(void)ssl;
	(void)arg;
	if (inlen != sizeof alpn - 1 || memcmp(in, alpn, inlen) != 0)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = in + 1;
	*outlen = in[0];
	return SSL_TLSEXT_ERR_OK;
}

/* -- making one ----------------------------------------------------------------- */

static SSL_CTX *
make_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
	    SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_cert_list(ctx, CHAN_CERTIFICATE_MAX);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER |
	    SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, check_certificate, NULL);
	SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
	SSL_CTX_set_alpn_select_cb(ctx, select_protocol, NULL);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_num_tickets(ctx, 0) != 1 ||
	    SSL_CTX_set1_sigalgs_list(ctx, "ed25519") != 1 ||
	    SSL_CTX_set1_client_sigalgs_list(ctx, "ed25519") != 1 ||
	    SSL_CTX_set1_groups_list(ctx, "X25519") != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static struct chan *
make(void)
{
	struct chan *c = calloc(1, sizeof *c);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

	if (c != NULL) {
		buf_init(&c->in, CHAN_INPUT_MAX + READ_STEP);
		buf_init(&c->out, CHAN_OUTPUT_MAX);
		c->ctx = make_context();
		c->ssl = c->ctx ? SSL_new(c->ctx) : NULL;
	}
	if (c == NULL || c->ssl == NULL || in == NULL || out == NULL) {
		BIO_free(in);
		BIO_free(out);
		chan_free(c);
		return NULL;
	}
	/* An empty memory means "later", not "the end". */
	BIO_set_mem_eof_return(in, -1);
	BIO_set_mem_eof_return(out, -1);
	SSL_set_bio(c->ssl, in, out);
	SSL_set_app_data(c->ssl, c);
	return c;
}

static void
drain_output(struct chan *c)
{
	BIO *bio = SSL_get_wbio(c->ssl);
	char *data;
	long n = BIO_get_mem_data(bio, &data);

	if (n > 0 && (!c->server || c->proven))
		buf_add(&c->out, data, (size_t)n);
	(void)BIO_reset(bio);
}

int
chan_new_client(const struct chan_identity *id,
    const uint8_t peer[static KEY_LEN], struct chan **out, struct err *err)
{
	char name[PROOF_NAME_LEN + 1];
	struct chan *c = make();

	*out = NULL;
	if (c == NULL)
		return err_nomem(err);
	memcpy(c->peer, peer, KEY_LEN);
	SSL_set_connect_state(c->ssl);
	if (!proof_make(peer, name) ||
	    SSL_set_tlsext_host_name(c->ssl, name) != 1 ||
	    SSL_set_alpn_protos(c->ssl, alpn, sizeof alpn - 1) != 0 ||
	    SSL_use_certificate(c->ssl, id->certificate) != 1 ||
	    SSL_use_PrivateKey(c->ssl, id->key) != 1) {
		ERR_clear_error();
		chan_free(c);
		return err_set(err, E_FATAL, NULL, "can't set up TLS");
	}
	SSL_do_handshake(c->ssl);       /* puts the ClientHello out */
	ERR_clear_error();
	drain_output(c);
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
	SSL_set_accept_state(c->ssl);
	*out = c;
	return 0;
}

void
chan_free(struct chan *c)
{
	if (c == NULL)
		return;
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
	buf_wipe(&c->in);
	buf_clear(&c->out);
	free(c);
}

enum chan_state
chan_state(const struct chan *c)
{
	return c->state;
}

/* -- bytes in, bytes out ----------------------------------------------------------- */

static int
fail(struct chan *c, struct err *err)
{
	bool silent = c->server && !c->proven;

	c->state = CHAN_FAILED;
	ERR_clear_error();
	if (c->wrong_key)
		return err_set(err, E_INTEGRITY, "compare its address with the one "
		    "you were given", "the peer at this place has another key");
	if (silent)
		return err_set(err, E_REFUSED, NULL,
		    "the caller does not know an address here");
	return err_set(err, E_REFUSED, NULL,
	    "the other side does not speak ddcp/1");
}

/* True if the last call only wants more bytes. */
static bool
waits(struct chan *c, int rc)
{
	int why = SSL_get_error(c->ssl, rc);

	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

static int
shake_hands(struct chan *c, struct err *err)
{
	const unsigned char *protocol;
	unsigned len;
	int rc = SSL_do_handshake(c->ssl);

	if (rc != 1)
		return waits(c, rc) ? 0 : fail(c, err);
	SSL_get0_alpn_selected(c->ssl, &protocol, &len);
	if (len != alpn[0] || memcmp(protocol, alpn + 1, len) != 0)
		return fail(c, err);
	c->state = CHAN_OPEN;
	return 0;
}

static int
decrypt(struct chan *c, struct err *err)
{
	uint8_t *to;
	int n;

	while (c->state == CHAN_OPEN && c->in.len < CHAN_INPUT_MAX) {
		to = buf_reserve(&c->in, READ_STEP);
		if (to == NULL) {
			c->state = CHAN_FAILED;
			return err_nomem(err);
		}
		n = SSL_read(c->ssl, to, READ_STEP);
		if (n > 0) {
			c->in.len += (size_t)n;
		} else if (SSL_get_error(c->ssl, n) == SSL_ERROR_ZERO_RETURN) {
			c->state = CHAN_CLOSED;
		} else if (waits(c, n)) {
			break;
		} else {
			c->state = CHAN_FAILED;
			ERR_clear_error();
			return err_set(err, E_INTEGRITY, NULL,
			    "what came on the channel was not what the peer sent");
		}
	}
	return 0;
}

static int
go_on(struct chan *c, struct err *err)
{
	int rc = 0;

	ERR_clear_error();
	if (c->state == CHAN_HANDSHAKE)
		rc = shake_hands(c, err);
	if (rc == 0)
		rc = decrypt(c, err);
	drain_output(c);
	if (rc == 0 && c->out.failed) {
		c->state = CHAN_FAILED;
		rc = err_set(err, E_FATAL, NULL, "the channel's output is full");
	}
	return rc;
}

int
chan_feed(struct chan *c, const void *bytes, size_t len, struct err *err)
{
	if (c->state == CHAN_FAILED)
		return err_set(err, E_UNREACHABLE, NULL, "the channel has failed");
	if (len > INT32_MAX || (len > 0 &&
	    BIO_write(SSL_get_rbio(c->ssl), bytes, (int)len) != (int)len)) {
		c->state = CHAN_FAILED;
		return err_nomem(err);
	}
	return go_on(c, err);
}

int
chan_eof(struct chan *c, struct err *err)
{
	if (c->state == CHAN_CLOSED)
		return 0;
	c->state = CHAN_FAILED;
	return err_set(err, E_UNREACHABLE, NULL, "the connection was cut");
}

int
chan_write(struct chan *c, const void *bytes, size_t len, struct err *err)
{
	const uint8_t *p = bytes;
	int n;

	if (c->state != CHAN_OPEN)
		return err_set(err, E_UNREACHABLE, NULL, "the channel is not open");
	ERR_clear_error();
	while (len > 0) {
		n = SSL_write(c->ssl, p, len > INT32_MAX ? INT32_MAX : (int)len);
		if (n <= 0) {
			c->state = CHAN_FAILED;
			ERR_clear_error();
			return err_set(err, E_FATAL, NULL, "can't encrypt");
		}
		p += n;
		len -= (size_t)n;
	}
	drain_output(c);
	if (c->out.failed) {
		c->state = CHAN_FAILED;
		return err_set(err, E_FATAL, NULL, "the channel's output is full");
	}
	return 0;
}

void
chan_close(struct chan *c)
{
	if (c->state != CHAN_OPEN && c->state != CHAN_CLOSED)
		return;
	SSL_shutdown(c->ssl);
	ERR_clear_error();
	drain_output(c);
}

const uint8_t *
chan_output(const struct chan *c, size_t *len)
{
	*len = c->out.len;
	return c->out.data;
}

void
chan_output_taken(struct chan *c, size_t n)
{
	buf_consume(&c->out, n);
	if (c->out.len == 0)
		buf_clear(&c->out);
}

const uint8_t *
chan_input(const struct chan *c, size_t *len)
{
	*len = c->in.len;
	return c->in.data;
}

int
chan_input_taken(struct chan *c, size_t n, struct err *err)
{
	bool was_full = c->in.len >= CHAN_INPUT_MAX;

	buf_consume(&c->in, n);
	if (c->in.len == 0)
		buf_wipe(&c->in);
	return was_full ? go_on(c, err) : 0;
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
