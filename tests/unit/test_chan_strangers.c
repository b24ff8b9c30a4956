// SPDX-License-Identifier: MPL-2.0
/* The channel and peers of another kind: OpenSSL driven by hand, and rubbish. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "chan/chan.h"
#include "chan/identity.h"
#include "chan/proof.h"

#define DDCP "\x06" "ddcp/1"

static struct chan_identity *alice;

static int
setup(void **state)
{
	uint8_t seed[CHAN_SEED_LEN] = { 1 };
	struct err err;

	return chan_identity_new(seed, &alice, &err);
}

static int
teardown(void **state)
{
	chan_identity_free(alice);
	return 0;
}

static void
alice_proof(char name[static PROOF_NAME_LEN + 1])
{
	assert_true(proof_make(alice->public_key, name));
}

static EVP_PKEY *
ed25519(uint8_t n)
{
	uint8_t seed[32] = { n };

	return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
}

/* -- TLS by hand, and the channel it talks to ---------------------------------- */

struct raw {
	SSL_CTX *ctx;
	SSL *ssl;
	struct chan *chan;      /* the other side */
	struct err err;         /* its first error */
	size_t got;             /* bytes it ever sent */
};

/* signer: who signs the certificate, NULL for the key itself. */
static void
show(struct raw *r, EVP_PKEY *key, EVP_PKEY *signer)
{
	X509 *x = X509_new();

	if (signer == NULL)
		signer = key;
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, signer, EVP_PKEY_get_base_id(signer) ==
	    EVP_PKEY_ED25519 ? NULL : EVP_sha256()) > 0);
	assert_int_equal(SSL_use_certificate(r->ssl, x), 1);
	assert_int_equal(SSL_use_PrivateKey(r->ssl, key), 1);
	X509_free(x);
}

static void
raw_new(struct raw *r, int version)
{
	memset(r, 0, sizeof *r);
	r->ctx = SSL_CTX_new(TLS_method());
	SSL_CTX_set_max_proto_version(r->ctx, version);
	SSL_CTX_set_num_tickets(r->ctx, 0);
	r->ssl = SSL_new(r->ctx);
	SSL_set_bio(r->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	BIO_set_mem_eof_return(SSL_get_rbio(r->ssl), -1);
}

/* A client of a channel that serves alice. */
static void
raw_client(struct raw *r, char *name, const char *alpn, int version)
{
	struct err err;

	raw_new(r, version);
	SSL_set_connect_state(r->ssl);
	if (name != NULL)
		SSL_set_tlsext_host_name(r->ssl, name);
	if (alpn != NULL)
		SSL_set_alpn_protos(r->ssl, (const unsigned char *)alpn,
		    (unsigned)strlen(alpn));
	assert_int_equal(chan_new_server(
	    (const struct chan_identity *[]){ alice }, 1, &r->chan, &err), 0);
}

static int
say_ddcp(SSL *ssl, const unsigned char **out, unsigned char *outlen,
    const unsigned char *in, unsigned inlen, void *arg)
{
	*out = (const unsigned char *)DDCP + 1;
	*outlen = 6;
	return SSL_TLSEXT_ERR_OK;
}

/* A server that a channel calls as alice. */
static void
raw_server(struct raw *r, bool alpn, int version)
{
	struct err err;

	raw_new(r, version);
	SSL_set_accept_state(r->ssl);
	SSL_set_verify(r->ssl, SSL_VERIFY_NONE, NULL);
	if (alpn)
		SSL_CTX_set_alpn_select_cb(r->ctx, say_ddcp, NULL);
	assert_int_equal(chan_new_client(alice, alice->public_key, &r->chan, &err),
	    0);
}

static void
exchange(struct raw *r)
{
	const uint8_t *data;
	struct err err;
	char *out;
	size_t len;
	long n;

	n = BIO_get_mem_data(SSL_get_wbio(r->ssl), &out);
	if (n > 0 && chan_feed(r->chan, out, (size_t)n, &err) != 0 &&
	    r->err.code == 0)
		r->err = err;
	(void)BIO_reset(SSL_get_wbio(r->ssl));
	data = chan_output(r->chan, &len);
	if (len > 0)
		BIO_write(SSL_get_rbio(r->ssl), data, (int)len);
	r->got += len;
	chan_output_taken(r->chan, len);
}

static void
shake_hands(struct raw *r)
{
	int round;

	for (round = 0; round < 6; round++) {
		SSL_do_handshake(r->ssl);
		exchange(r);
	}
}

static void
raw_free(struct raw *r)
{
	chan_free(r->chan);
	SSL_free(r->ssl);
	SSL_CTX_free(r->ctx);
}

/* -- callers ----------------------------------------------------------------------- */

static void
hears_nothing(char *name)
{
	EVP_PKEY *key = ed25519(9);
	struct raw r;

	raw_client(&r, name, DDCP, TLS1_3_VERSION);
	show(&r, key, NULL);
	shake_hands(&r);
	assert_int_equal(chan_state(r.chan), CHAN_FAILED);
	assert_int_equal(r.err.code, E_NOTFOUND);
	assert_int_equal(r.got, 0);
	raw_free(&r);
	EVP_PKEY_free(key);
}

static void
r28_who_does_not_know_the_address_hears_nothing(void **state)
{
	char name[PROOF_NAME_LEN + 1], other[PROOF_NAME_LEN + 1];
	char usual[] = "example.org";
	uint8_t key[KEY_LEN] = { 4 };

	hears_nothing(NULL);
	hears_nothing(usual);
	alice_proof(name);
	name[40] = name[40] == '0' ? '1' : '0';
	hears_nothing(name);
	alice_proof(name);
	name[3] = name[3] == '0' ? '1' : '0';
	hears_nothing(name);
	alice_proof(name);
	name[PROOF_NAME_LEN - 1] = '\0';
	hears_nothing(name);
	assert_true(proof_make(key, other));
	hears_nothing(other);
}

static void
r28_a_proof_is_fresh_and_a_proper_name(void **state)
{
	char one[PROOF_NAME_LEN + 1], two[PROOF_NAME_LEN + 1];

	alice_proof(one);
	alice_proof(two);
	assert_memory_not_equal(one, two, 32);
	assert_int_equal(strspn(one, "0123456789abcdef"), 32);
	assert_int_equal(one[32], '.');
	assert_int_equal(strspn(one + 33, "0123456789abcdef"), 32);
	assert_int_equal(strlen(one), PROOF_NAME_LEN);
	assert_true(proof_check(alice->public_key, one, PROOF_NAME_LEN));
	one[0] = 'A';
	assert_false(proof_check(alice->public_key, one, PROOF_NAME_LEN));
}

/* What a client says first, and says again to a server with that identity: how
 * many bytes it hears. */
static size_t
hears(const struct chan_identity *id, const uint8_t *hello, size_t len)
{
	struct err err = { .code = 0 };
	struct chan *server;
	size_t heard;
	int rc;

	assert_int_equal(chan_new_server(&id, 1, &server, &err), 0);
	rc = chan_feed(server, hello, len, &err);
	chan_output(server, &heard);
	assert_int_equal(rc, heard > 0 ? 0 : E_NOTFOUND);
	chan_free(server);
	return heard;
}

static void
r28_a_recorded_hello_is_not_answered_again(void **state)
{
	uint8_t seed[CHAN_SEED_LEN] = { 1 };
	struct chan_identity *elsewhere;
	struct chan *client, *other;
	const uint8_t *hello, *second;
	struct err err;
	size_t len, n;

	assert_int_equal(chan_new_client(alice, alice->public_key, &client,
	    &err), 0);
	hello = chan_output(client, &len);
	assert_true(hears(alice, hello, len) > 0);
	assert_int_equal(hears(alice, hello, len), 0);
	/* Another caller is answered, and the first one still is not. */
	assert_int_equal(chan_new_client(alice, alice->public_key, &other,
	    &err), 0);
	second = chan_output(other, &n);
	assert_true(hears(alice, second, n) > 0);
	assert_int_equal(hears(alice, hello, len), 0);
	/* It was no bad hello. */
	assert_int_equal(chan_identity_new(seed, &elsewhere, &err), 0);
	assert_true(hears(elsewhere, hello, len) > 0);
	chan_identity_free(elsewhere);
	chan_free(client);
	chan_free(other);
}

static void
r28_the_newest_proofs_are_remembered(void **state)
{
	static char names[PROOF_SEEN_MAX + 1][PROOF_NAME_LEN + 1];
	struct proof_seen *seen = calloc(1, sizeof *seen);
	size_t i;

	for (i = 0; i <= PROOF_SEEN_MAX; i++) {
		alice_proof(names[i]);
		assert_true(proof_first_use(seen, names[i]));
		assert_false(proof_first_use(seen, names[i]));
		assert_false(proof_first_use(seen, names[i < PROOF_SEEN_MAX ?
		    0 : 1]));
	}
	/* The oldest gave way, and no other. */
	for (i = 1; i <= PROOF_SEEN_MAX; i++)
		assert_false(proof_first_use(seen, names[i]));
	assert_true(proof_first_use(seen, names[0]));
	free(seen);
}

/* Who begins with a kind of key that we don't take is asked for another hello:
 * the same name comes a second time in one connection. */
static void
a_second_hello_is_no_replay(void **state)
{
	char name[PROOF_NAME_LEN + 1], groups[] = "P-256:X25519";
	EVP_PKEY *key = ed25519(9);
	struct raw r;

	alice_proof(name);
	raw_client(&r, name, DDCP, TLS1_3_VERSION);
	assert_int_equal(SSL_set1_groups_list(r.ssl, groups), 1);
	show(&r, key, NULL);
	shake_hands(&r);
	assert_int_equal(r.err.code, 0);
	assert_int_equal(chan_state(r.chan), CHAN_OPEN);
	raw_free(&r);
	EVP_PKEY_free(key);
}

/* The state in which a server ends with that caller. */
static enum chan_state
calls(const char *alpn, int version, EVP_PKEY *key, EVP_PKEY *signer)
{
	char name[PROOF_NAME_LEN + 1];
	enum chan_state s;
	struct raw r;

	alice_proof(name);
	raw_client(&r, name, alpn, version);
	if (key != NULL)
		show(&r, key, signer);
	shake_hands(&r);
	s = chan_state(r.chan);
	assert_int_equal(r.err.code, s == CHAN_FAILED ? E_REFUSED : 0);
	raw_free(&r);
	return s;
}

static void
r29_callers_of_another_kind_are_refused(void **state)
{
	EVP_PKEY *key = ed25519(9), *other = ed25519(8);
	EVP_PKEY *ec = EVP_EC_gen("P-256"), *rsa = EVP_RSA_gen(2048);

	/* the check can succeed */
	assert_int_equal(calls(DDCP, TLS1_3_VERSION, key, NULL), CHAN_OPEN);
	assert_int_equal(calls("\x02h2", TLS1_3_VERSION, key, NULL), CHAN_FAILED);
	assert_int_equal(calls("\x06" "ddcp/2", TLS1_3_VERSION, key, NULL),
	    CHAN_FAILED);
	assert_int_equal(calls(DDCP "\x02h2", TLS1_3_VERSION, key, NULL),
	    CHAN_FAILED);
	assert_int_equal(calls(NULL, TLS1_3_VERSION, key, NULL), CHAN_FAILED);
	assert_int_equal(calls(DDCP, TLS1_2_VERSION, key, NULL), CHAN_FAILED);
	assert_int_equal(calls(DDCP, TLS1_3_VERSION, NULL, NULL), CHAN_FAILED);
	assert_int_equal(calls(DDCP, TLS1_3_VERSION, ec, NULL), CHAN_FAILED);
	assert_int_equal(calls(DDCP, TLS1_3_VERSION, rsa, NULL), CHAN_FAILED);
	/* a certificate that another key signed */
	assert_int_equal(calls(DDCP, TLS1_3_VERSION, key, other), CHAN_FAILED);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(rsa);
}

static void
r29_a_certificate_that_is_too_long_is_refused(void **state)
{
	char name[PROOF_NAME_LEN + 1], text[3000];
	EVP_PKEY *key = ed25519(9);
	struct raw r;
	X509 *x;

	memset(text, 'x', sizeof text);
	alice_proof(name);
	raw_client(&r, name, DDCP, TLS1_3_VERSION);
	show(&r, key, NULL);
	x = X509_dup(SSL_get_certificate(r.ssl));
	X509_add1_ext_i2d(x, NID_netscape_comment, &(ASN1_OCTET_STRING){
	    .length = sizeof text, .type = V_ASN1_IA5STRING,
	    .data = (unsigned char *)text }, 0, 0);
	assert_true(X509_sign(x, key, NULL) > 0);
	assert_true(i2d_X509(x, NULL) > CHAN_CERTIFICATE_MAX);
	assert_int_equal(SSL_use_certificate(r.ssl, x), 1);
	shake_hands(&r);
	assert_int_equal(chan_state(r.chan), CHAN_FAILED);
	assert_int_equal(r.err.code, E_REFUSED);
	X509_free(x);
	raw_free(&r);
	EVP_PKEY_free(key);
}

/* -- places that are called ------------------------------------------------------------ */

/* The code with which a client who wants alice ends there; 0 if it is content. */
static int
called(bool alpn, int version, EVP_PKEY *key)
{
	struct raw r;
	int code;

	raw_server(&r, alpn, version);
	show(&r, key, NULL);
	shake_hands(&r);
	code = r.err.code;
	assert_int_equal(chan_state(r.chan), code ? CHAN_FAILED : CHAN_OPEN);
	raw_free(&r);
	return code;
}

static void
r29_places_of_another_kind_are_refused(void **state)
{
	EVP_PKEY *other = ed25519(9), *ec = EVP_EC_gen("P-256");

	assert_int_equal(called(true, TLS1_3_VERSION, alice->key), 0);
	assert_int_equal(called(false, TLS1_3_VERSION, alice->key), E_REFUSED);
	assert_int_equal(called(true, TLS1_2_VERSION, alice->key), E_REFUSED);
	assert_int_equal(called(true, TLS1_3_VERSION, ec), E_REFUSED);
	assert_int_equal(called(true, TLS1_3_VERSION, other), E_INTEGRITY);
	EVP_PKEY_free(other);
	EVP_PKEY_free(ec);
}

/* -- after the handshake -------------------------------------------------------------------- */

static void
r29_a_peer_may_change_its_keys_but_not_for_ever(void **state)
{
	char name[PROOF_NAME_LEN + 1];
	EVP_PKEY *key = ed25519(9);
	const uint8_t *data;
	struct raw r;
	size_t len;
	int i;

	alice_proof(name);
	raw_client(&r, name, DDCP, TLS1_3_VERSION);
	show(&r, key, NULL);
	shake_hands(&r);
	for (i = 0; i < CHAN_LATER_MAX + 1; i++) {
		if (i == CHAN_LATER_MAX) {
			assert_int_equal(SSL_write(r.ssl, "hello", 5), 5);
			exchange(&r);
			data = chan_input(r.chan, &len);
			assert_int_equal(len, 5);
			assert_memory_equal(data, "hello", 5);
		}
		assert_int_equal(chan_state(r.chan), CHAN_OPEN);
		SSL_key_update(r.ssl, SSL_KEY_UPDATE_REQUESTED);
		assert_int_equal(SSL_do_handshake(r.ssl), 1);
		exchange(&r);
	}
	assert_int_equal(chan_state(r.chan), CHAN_FAILED);
	assert_int_equal(r.err.code, E_REFUSED);
	raw_free(&r);
	EVP_PKEY_free(key);
}

/* -- rubbish ------------------------------------------------------------------------------ */

static void
r29_a_hello_that_is_too_long_costs_nothing(void **state)
{
	/* a ClientHello of 0x1fff0 bytes; one byte too many; one split over
	 * records; an old one */
	static const char *const heads[] = {
		"\x16\x03\x01\x40\x00\x01\x01\xff\xf0zzzz",
		"\x16\x03\x01\x10\x05\x01\x00\x10\x01zzzz",
		"\x16\x03\x01\x00\x08\x01\x00\x00\xf0zzzz",
		"\x80\x2e\x01\x03\x03\x00\x15\x00\x00\x00\x10zz",
	};
	struct chan *c;
	struct err err;
	size_t i, len;

	for (i = 0; i < sizeof heads / sizeof *heads; i++) {
		assert_int_equal(chan_new_server(
		    (const struct chan_identity *[]){ alice }, 1, &c, &err), 0);
		assert_int_equal(chan_feed(c, heads[i], 13, &err), E_NOTFOUND);
		assert_null(c->ssl);
		assert_null(chan_output(c, &len));
		chan_free(c);
	}
}

static void
random_bytes_are_refused(void **state)
{
	static const char *const heads[] = {
		"",
		"\x16\x03\x01\x01\xf8\x01\x00\x01\xf4\x03\x03",
		"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03",
	};
	static const size_t head_lens[] = { 0, 11, 11 };
	uint8_t bytes[509];
	struct chan *client, *server;
	struct err err;
	uint32_t seed = 7;
	size_t i, len;
	int round;

	print_message("# seed %u\n", seed);
	for (round = 0; round < 150; round++) {
		for (i = 0; i < sizeof bytes; i++) {
			seed = seed * 1103515245 + 12345;
			bytes[i] = (uint8_t)(seed >> 16);
		}
		memcpy(bytes, heads[round % 3], head_lens[round % 3]);
		assert_int_equal(chan_new_server(
		    (const struct chan_identity *[]){ alice }, 1, &server, &err), 0);
		assert_int_equal(chan_feed(server, bytes, sizeof bytes, &err),
		    E_NOTFOUND);
		assert_null(chan_output(server, &len));
		chan_free(server);
		assert_int_equal(chan_new_client(alice, alice->public_key, &client,
		    &err), 0);
		chan_feed(client, bytes, sizeof bytes, &err);
		assert_int_not_equal(chan_state(client), CHAN_OPEN);
		assert_int_not_equal(chan_eof(client, &err), 0);
		chan_free(client);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(r28_who_does_not_know_the_address_hears_nothing),
		cmocka_unit_test(r28_a_proof_is_fresh_and_a_proper_name),
		cmocka_unit_test(r28_a_recorded_hello_is_not_answered_again),
		cmocka_unit_test(r28_the_newest_proofs_are_remembered),
		cmocka_unit_test(a_second_hello_is_no_replay),
		cmocka_unit_test(r29_callers_of_another_kind_are_refused),
		cmocka_unit_test(r29_a_certificate_that_is_too_long_is_refused),
		cmocka_unit_test(r29_places_of_another_kind_are_refused),
		cmocka_unit_test(r29_a_peer_may_change_its_keys_but_not_for_ever),
		cmocka_unit_test(r29_a_hello_that_is_too_long_costs_nothing),
		cmocka_unit_test(random_bytes_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
