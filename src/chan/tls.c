// SPDX-License-Identifier: MPL-2.0
/* tls.c - the settings of TLS, and the answers to what it asks. */
#include "chan/tls.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "chan/identity.h"
#include "chan/proof.h"

const unsigned char tls_alpn[TLS_ALPN_LEN] = { 6, 'd', 'd', 'c', 'p', '/', '1' };

static struct chan *
chan_of(const SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

/* -- who is it? ------------------------------------------------------------- */

static bool
take_key(X509 *x, uint8_t raw[static KEY_LEN])
{
	EVP_PKEY *key = x != NULL ? X509_get0_pubkey(x) : NULL;
	size_t len = KEY_LEN;

	return key != NULL && EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 &&
	    EVP_PKEY_get_raw_public_key(key, raw, &len) == 1 && len == KEY_LEN &&
	    X509_verify(x, key) == 1;
}

/* Takes the key out of the peer's certificate, the only thing in it that
 * counts: TLS itself proves that the peer has the private half. */
static int
check_certificate(X509_STORE_CTX *store, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store,
	    SSL_get_ex_data_X509_STORE_CTX_idx());
	struct chan *c = chan_of(ssl);
	uint8_t raw[KEY_LEN];

	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
	if (!take_key(X509_STORE_CTX_get0_cert(store), raw))
		return 0;
	if (!c->server && CRYPTO_memcmp(raw, c->peer, KEY_LEN) != 0) {
		c->wrong_key = true;
		return 0;
	}
	memcpy(c->peer, raw, KEY_LEN);
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

/* -- the ClientHello ---------------------------------------------------------- */

/* The host name of the server name extension (RFC 6066). */
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

static bool
offers_ddcp(SSL *ssl)
{
	const unsigned char *p;
	size_t n;

	return SSL_client_hello_get0_ext(ssl,
	    TLSEXT_TYPE_application_layer_protocol_negotiation, &p, &n) &&
	    n == 2 + TLS_ALPN_LEN && memcmp(p + 2, tls_alpn, TLS_ALPN_LEN) == 0;
}

/* A name is good for one connection, so that who recorded one learns nothing by
 * it.  In that one it comes again if the caller is asked for another hello. */
static bool
is_fresh(const struct chan *c, size_t i, const char *name)
{
	return c->proven ? i == c->called :
	    proof_first_use(c->id[i]->seen, name);
}

/* Before anything is signed or sent: does the caller know an address here? */
static int
on_client_hello(SSL *ssl, int *alert, void *arg)
{
	struct chan *c = chan_of(ssl);
	const char *name;
	size_t len, i;

	*alert = SSL_AD_UNRECOGNIZED_NAME;
	if (!server_name(ssl, &name, &len))
		return SSL_CLIENT_HELLO_ERROR;
	for (i = 0; i < c->nids; i++)
		if (proof_check(c->id[i]->public_key, name, len))
			break;
	if (i == c->nids || !is_fresh(c, i, name))
		return SSL_CLIENT_HELLO_ERROR;
	c->called = i;
	c->proven = true;
	*alert = SSL_AD_NO_APPLICATION_PROTOCOL;
	if (!offers_ddcp(ssl))
		return SSL_CLIENT_HELLO_ERROR;
	*alert = SSL_AD_INTERNAL_ERROR;
	if (SSL_use_certificate(ssl, c->id[i]->certificate) != 1 ||
	    SSL_use_PrivateKey(ssl, c->id[i]->key) != 1)
		return SSL_CLIENT_HELLO_ERROR;
	return SSL_CLIENT_HELLO_SUCCESS;
}

/* on_client_hello() has seen that ours is the only one offered. */
static int
select_protocol(SSL *ssl, const unsigned char **out, unsigned char *outlen,
    const unsigned char *in, unsigned inlen, void *arg)
{
	*out = tls_alpn + 1;
	*outlen = tls_alpn[0];
	return SSL_TLSEXT_ERR_OK;
}

/* Counts what a peer could send without end after the handshake, each message
 * of which costs us keys or an answer. */
static void
on_message(int sent, int version, int type, const void *bytes, size_t len,
    SSL *ssl, void *arg)
{
	const uint8_t *p = bytes;

	if (!sent && type == SSL3_RT_HANDSHAKE && len > 0 &&
	    (p[0] == SSL3_MT_KEY_UPDATE || p[0] == SSL3_MT_NEWSESSION_TICKET))
		chan_of(ssl)->later++;
}

bool
tls_speaks_ddcp(const SSL *ssl)
{
	const unsigned char *protocol;
	unsigned len;

	SSL_get0_alpn_selected(ssl, &protocol, &len);
	return len == tls_alpn[0] && memcmp(protocol, tls_alpn + 1, len) == 0;
}

/* -- the way of the bytes ------------------------------------------------------- */

static int
bytes_read(BIO *bio, char *to, int len)
{
	struct chan *c = BIO_get_data(bio);
	const uint8_t *data;
	size_t n;

	BIO_clear_retry_flags(bio);
	if (c->later > CHAN_LATER_MAX || len <= 0)
		return -1;
	data = queue_data(&c->fed, &n);
	if (n == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	if (n > (size_t)len)
		n = (size_t)len;
	memcpy(to, data, n);
	queue_take(&c->fed, n);
	return (int)n;
}

/* Who proves nothing hears nothing, no alert either. */
static int
bytes_write(BIO *bio, const char *from, int len)
{
	struct chan *c = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (len <= 0)
		return len;
	if (!c->server || c->proven)
		queue_add(&c->out, from, (size_t)len);
	return queue_failed(&c->out) ? -1 : len;
}

static long
bytes_control(BIO *bio, int command, long number, void *pointer)
{
	return command == BIO_CTRL_FLUSH;
}

static int
bytes_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static BIO_METHOD *
make_bytes(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "channel");

	if (m != NULL && BIO_meth_set_read(m, bytes_read) &&
	    BIO_meth_set_write(m, bytes_write) &&
	    BIO_meth_set_ctrl(m, bytes_control) &&
	    BIO_meth_set_create(m, bytes_create))
		return m;
	BIO_meth_free(m);
	return NULL;
}

/* -- the settings ------------------------------------------------------------------ */

static SSL_CTX *
make_context(void)
{
	char signature[] = "ed25519", group[] = "X25519";
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_COMPRESSION | SSL_OP_CLEANSE_PLAINTEXT);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_cert_list(ctx, CHAN_CERTIFICATE_MAX);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER |
	    SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, check_certificate, NULL);
	SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
	SSL_CTX_set_alpn_select_cb(ctx, select_protocol, NULL);
	SSL_CTX_set_msg_callback(ctx, on_message);
	/* Also what a configuration file of the machine may have set. */
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_num_tickets(ctx, 0) != 1 ||
	    SSL_CTX_set_max_early_data(ctx, 0) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, TLS_DEFAULT_CIPHERSUITES) != 1 ||
	    SSL_CTX_set1_sigalgs_list(ctx, signature) != 1 ||
	    SSL_CTX_set1_client_sigalgs_list(ctx, signature) != 1 ||
	    SSL_CTX_set1_groups_list(ctx, group) != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

bool
tls_init(struct tls *tls)
{
	tls->ctx = make_context();
	tls->bytes = make_bytes();
	if (tls->ctx != NULL && tls->bytes != NULL)
		return true;
	tls_clear(tls);
	return false;
}

void
tls_clear(struct tls *tls)
{
	SSL_CTX_free(tls->ctx);
	BIO_meth_free(tls->bytes);
	memset(tls, 0, sizeof *tls);
}

bool
tls_open(struct chan *c)
{
	const struct tls *tls = &c->id[0]->tls;
	BIO *bio = BIO_new(tls->bytes);

	c->ssl = SSL_new(tls->ctx);
	if (bio == NULL || c->ssl == NULL) {
		BIO_free(bio);
		return false;
	}
	BIO_set_data(bio, c);
	SSL_set_bio(c->ssl, bio, bio);
	SSL_set_app_data(c->ssl, c);
	if (c->server)
		SSL_set_accept_state(c->ssl);
	else
		SSL_set_connect_state(c->ssl);
	return true;
}
