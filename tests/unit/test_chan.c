// SPDX-License-Identifier: MPL-2.0
/* The channel: who gets in, who does not, and that bytes survive any split. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/buf.h"
#include "chan/chan.h"
#include "chan/identity.h"
#include "chan/proof.h"

static struct chan_identity *
identity(uint8_t n)
{
	uint8_t seed[CHAN_SEED_LEN];
	struct chan_identity *id;
	struct err err;

	memset(seed, n, sizeof seed);
	assert_int_equal(chan_identity_new(seed, &id, &err), 0);
	return id;
}

struct pair {
	struct chan_identity *alice, *bob;
	struct chan *client, *server;   /* bob calls alice */
	struct err client_err, server_err;
};

static void
open_pair(struct pair *p, const uint8_t *wanted)
{
	uint8_t key[KEY_LEN];
	const struct chan_identity *ids[1];

	memset(p, 0, sizeof *p);
	p->alice = identity(1);
	p->bob = identity(2);
	ids[0] = p->alice;
	chan_identity_key(p->alice, key);
	assert_int_equal(chan_new_client(p->bob, wanted ? wanted : key, &p->client,
	    &p->client_err), 0);
	assert_int_equal(chan_new_server(ids, 1, &p->server, &p->server_err), 0);
}

static void
close_pair(struct pair *p)
{
	chan_free(p->client);
	chan_free(p->server);
	chan_identity_free(p->alice);
	chan_identity_free(p->bob);
}

/* Moves at most step bytes at a time, until nothing moves. */
static bool
move(struct chan *from, struct chan *to, size_t step, struct err *err)
{
	const uint8_t *data;
	size_t len;

	data = chan_output(from, &len);
	if (len == 0)
		return false;
	if (len > step)
		len = step;
	chan_feed(to, data, len, err);
	chan_output_taken(from, len);
	return true;
}

static void
shuttle(struct pair *p, size_t step)
{
	bool moved = true;

	while (moved) {
		moved = move(p->client, p->server, step, &p->server_err);
		moved |= move(p->server, p->client, step, &p->client_err);
	}
}

static void
both_sides_know_each_other(void **state)
{
	uint8_t want[KEY_LEN], got[KEY_LEN];
	struct pair p;

	open_pair(&p, NULL);
	shuttle(&p, SIZE_MAX);
	assert_int_equal(chan_state(p.client), CHAN_OPEN);
	assert_int_equal(chan_state(p.server), CHAN_OPEN);
	chan_identity_key(p.bob, want);
	chan_peer_key(p.server, got);
	assert_memory_equal(want, got, KEY_LEN);
	chan_identity_key(p.alice, want);
	chan_peer_key(p.client, got);
	assert_memory_equal(want, got, KEY_LEN);
	close_pair(&p);
}

static void
take_all(struct chan *c, struct buf *into, struct err *err)
{
	const uint8_t *data;
	size_t len;

	while (data = chan_input(c, &len), len > 0) {
		buf_add(into, data, len);
		assert_int_equal(chan_input_taken(c, len, err), 0);
	}
}

static void
bytes_survive_any_split(void **state)
{
	static const size_t steps[] = { 1, 7, 1000, 16384, SIZE_MAX };
	size_t i, k, len = 300000;
	uint8_t *data = malloc(len);
	struct buf got;
	struct pair p;

	assert_non_null(data);
	for (i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 31 >> 3);
	for (k = 0; k < sizeof steps / sizeof *steps; k++) {
		open_pair(&p, NULL);
		buf_init(&got, 1 << 20);
		shuttle(&p, steps[k]);
		assert_int_equal(chan_write(p.client, data, len, &p.client_err), 0);
		shuttle(&p, steps[k]);
		take_all(p.server, &got, &p.server_err);
		assert_int_equal(got.len, len);
		assert_memory_equal(got.data, data, len);
		buf_clear(&got);
		assert_int_equal(chan_write(p.server, data, 5, &p.server_err), 0);
		shuttle(&p, steps[k]);
		take_all(p.client, &got, &p.client_err);
		assert_int_equal(got.len, 5);
		buf_clear(&got);
		close_pair(&p);
	}
	free(data);
}

static void
input_is_bounded_and_goes_on(void **state)
{
	size_t len = 3 * CHAN_INPUT_MAX, n;
	uint8_t *data = calloc(1, len);
	struct buf got;
	struct pair p;

	assert_non_null(data);
	data[len - 1] = 42;
	open_pair(&p, NULL);
	shuttle(&p, SIZE_MAX);
	assert_int_equal(chan_write(p.client, data, len, &p.client_err), 0);
	shuttle(&p, SIZE_MAX);
	chan_input(p.server, &n);
	assert_true(n >= CHAN_INPUT_MAX && n <= CHAN_INPUT_MAX + (16 << 10));
	buf_init(&got, len);
	take_all(p.server, &got, &p.server_err);
	assert_int_equal(got.len, len);
	assert_int_equal(got.data[len - 1], 42);
	buf_clear(&got);
	close_pair(&p);
	free(data);
}

/* A server that proves knowledge of alice's address but shows another key: the
 * identity that answers is made of alice's public half and carol's pair. */
static void
another_key_than_wanted_is_noticed(void **state)
{
	struct pair p;
	uint8_t key[KEY_LEN];

	open_pair(&p, NULL);
	chan_identity_key(p.alice, key);
	chan_identity_free(p.alice);
	p.alice = identity(3);
	memcpy(p.alice->public_key, key, KEY_LEN);
	chan_free(p.server);
	assert_int_equal(chan_new_server((const struct chan_identity *[]){ p.alice },
	    1, &p.server, &p.server_err), 0);
	shuttle(&p, SIZE_MAX);
	assert_int_equal(chan_state(p.client), CHAN_FAILED);
	assert_int_equal(p.client_err.code, E_INTEGRITY);
	assert_int_not_equal(chan_state(p.server), CHAN_OPEN);
	close_pair(&p);
}

/* -- a TLS peer of another kind ------------------------------------------------ */

struct raw {
	SSL_CTX *ctx;
	SSL *ssl;
};

static void
raw_client(struct raw *r, const char *name, const char *alpn,
    int version, EVP_PKEY *key)
{
	X509 *x = NULL;

	r->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_max_proto_version(r->ctx, version);
	r->ssl = SSL_new(r->ctx);
	SSL_set_bio(r->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	BIO_set_mem_eof_return(SSL_get_rbio(r->ssl), -1);
	SSL_set_connect_state(r->ssl);
	if (name != NULL)
		SSL_set_tlsext_host_name(r->ssl, name);
	if (alpn != NULL)
		SSL_set_alpn_protos(r->ssl, (const unsigned char *)alpn,
		    (unsigned)strlen(alpn));
	if (key != NULL) {
		x = X509_new();
		ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
		X509_gmtime_adj(X509_getm_notBefore(x), 0);
		X509_gmtime_adj(X509_getm_notAfter(x), 3600);
		X509_set_pubkey(x, key);
		X509_sign(x, key, EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519
		    ? NULL : EVP_sha256());
		SSL_use_certificate(r->ssl, x);
		SSL_use_PrivateKey(r->ssl, key);
		X509_free(x);
	}
}

/* Runs the handshake with a server of alice; its last code, and how many bytes
 * it ever sent. */
static int
raw_handshake(struct raw *r, size_t *sent)
{
	struct chan_identity *alice = identity(1);
	const struct chan_identity *ids[1] = { alice };
	const uint8_t *data;
	struct chan *server;
	struct err err = { 0 };
	char *out;
	size_t len;
	long n;
	int round, rc = 0;

	*sent = 0;
	assert_int_equal(chan_new_server(ids, 1, &server, &err), 0);
	for (round = 0; round < 10; round++) {
		SSL_do_handshake(r->ssl);
		n = BIO_get_mem_data(SSL_get_wbio(r->ssl), &out);
		if (n > 0 && rc == 0)
			rc = chan_feed(server, out, (size_t)n, &err);
		(void)BIO_reset(SSL_get_wbio(r->ssl));
		data = chan_output(server, &len);
		if (len > 0)
			BIO_write(SSL_get_rbio(r->ssl), data, (int)len);
		*sent += len;
		chan_output_taken(server, len);
	}
	if (rc == 0 && chan_state(server) == CHAN_OPEN)
		rc = 1;
	chan_free(server);
	chan_identity_free(alice);
	SSL_free(r->ssl);
	SSL_CTX_free(r->ctx);
	return rc;
}

static void
alice_proof(char name[PROOF_NAME_LEN + 1])
{
	struct chan_identity *alice = identity(1);
	uint8_t key[KEY_LEN];

	chan_identity_key(alice, key);
	assert_true(proof_make(key, name));
	chan_identity_free(alice);
}

static EVP_PKEY *
ed25519(void)
{
	uint8_t seed[32] = { 9 };

	return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
}

static void
who_does_not_know_the_address_hears_nothing(void **state)
{
	char name[PROOF_NAME_LEN + 1];
	EVP_PKEY *key = ed25519();
	struct raw r;
	size_t sent;

	raw_client(&r, NULL, "\x06" "ddcp/1", TLS1_3_VERSION, key);
	assert_int_equal(raw_handshake(&r, &sent), E_REFUSED);
	assert_int_equal(sent, 0);
	raw_client(&r, "example.org", "\x06" "ddcp/1", TLS1_3_VERSION, key);
	assert_int_equal(raw_handshake(&r, &sent), E_REFUSED);
	assert_int_equal(sent, 0);
	alice_proof(name);
	name[40] = name[40] == '0' ? '1' : '0';
	raw_client(&r, name, "\x06" "ddcp/1", TLS1_3_VERSION, key);
	assert_int_equal(raw_handshake(&r, &sent), E_REFUSED);
	assert_int_equal(sent, 0);
	/* the check can succeed: the same with the true proof */
	alice_proof(name);
	raw_client(&r, name, "\x06" "ddcp/1", TLS1_3_VERSION, key);
	assert_int_equal(raw_handshake(&r, &sent), 1);
	assert_true(sent > 0);
	EVP_PKEY_free(key);
}

static void
other_protocols_versions_and_keys_are_refused(void **state)
{
	char name[PROOF_NAME_LEN + 1];
	EVP_PKEY *key = ed25519(), *ec = EVP_EC_gen("P-256");
	struct raw r;
	size_t sent;

	alice_proof(name);
	raw_client(&r, name, "\x02h2", TLS1_3_VERSION, key);
	assert_int_equal(raw_handshake(&r, &sent), E_REFUSED);
	raw_client(&r, name, NULL, TLS1_3_VERSION, key);
	assert_int_not_equal(raw_handshake(&r, &sent), 1);
	raw_client(&r, name, "\x06" "ddcp/1", TLS1_2_VERSION, key);
	assert_int_equal(raw_handshake(&r, &sent), E_REFUSED);
	raw_client(&r, name, "\x06" "ddcp/1", TLS1_3_VERSION, NULL);
	assert_int_equal(raw_handshake(&r, &sent), E_REFUSED);
	raw_client(&r, name, "\x06" "ddcp/1", TLS1_3_VERSION, ec);
	assert_int_equal(raw_handshake(&r, &sent), E_REFUSED);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ec);
}

static void
an_end_is_told_from_a_cut(void **state)
{
	struct pair p;
	struct err err;

	open_pair(&p, NULL);
	shuttle(&p, SIZE_MAX);
	assert_int_equal(chan_eof(p.server, &err), E_UNREACHABLE);
	close_pair(&p);
	open_pair(&p, NULL);
	shuttle(&p, SIZE_MAX);
	chan_close(p.client);
	shuttle(&p, SIZE_MAX);
	assert_int_equal(chan_state(p.server), CHAN_CLOSED);
	assert_int_equal(chan_eof(p.server, &err), 0);
	close_pair(&p);
}

static void
damaged_bytes_end_the_channel(void **state)
{
	const uint8_t *data;
	uint8_t bad[4096];
	struct pair p;
	struct err err;
	size_t len;

	open_pair(&p, NULL);
	shuttle(&p, SIZE_MAX);
	assert_int_equal(chan_write(p.client, "hello", 5, &err), 0);
	data = chan_output(p.client, &len);
	assert_true(len > 10 && len < sizeof bad);
	memcpy(bad, data, len);
	bad[len - 1] ^= 1;
	assert_int_equal(chan_feed(p.server, bad, len, &err), E_INTEGRITY);
	chan_input(p.server, &len);
	assert_int_equal(len, 0);
	assert_int_not_equal(chan_feed(p.server, bad, 1, &err), 0);
	close_pair(&p);
}

static void
two_databases_share_a_port(void **state)
{
	struct chan_identity *alice = identity(1), *carol = identity(3);
	struct chan_identity *bob = identity(2);
	const struct chan_identity *ids[2] = { alice, carol };
	struct pair p = { 0 };
	uint8_t key[KEY_LEN];
	struct err err;
	size_t i;

	for (i = 0; i < 2; i++) {
		chan_identity_key(ids[i], key);
		assert_int_equal(chan_new_client(bob, key, &p.client, &err), 0);
		assert_int_equal(chan_new_server(ids, 2, &p.server, &err), 0);
		shuttle(&p, SIZE_MAX);
		assert_int_equal(chan_state(p.client), CHAN_OPEN);
		assert_int_equal(chan_called(p.server), i);
		chan_free(p.client);
		chan_free(p.server);
	}
	chan_identity_free(alice);
	chan_identity_free(bob);
	chan_identity_free(carol);
}

static void
random_bytes_are_refused(void **state)
{
	uint8_t bytes[512];
	struct pair p;
	struct err err;
	unsigned seed = 7;
	size_t i, len;
	int round;

	for (round = 0; round < 50; round++) {
		open_pair(&p, NULL);
		for (i = 0; i < sizeof bytes; i++)
			bytes[i] = (uint8_t)(seed = seed * 1103515245 + 12345, seed >> 16);
		if (round % 2)
			memcpy(bytes, "\x16\x03\x01\x01\xf0\x01\x00\x01\xec\x03\x03", 11);
		chan_feed(p.server, bytes, sizeof bytes, &err);
		chan_output(p.server, &len);
		assert_int_equal(len, 0);
		assert_int_not_equal(chan_state(p.server), CHAN_OPEN);
		chan_feed(p.client, bytes, sizeof bytes, &err);
		assert_int_not_equal(chan_state(p.client), CHAN_OPEN);
		close_pair(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_sides_know_each_other),
		cmocka_unit_test(bytes_survive_any_split),
		cmocka_unit_test(input_is_bounded_and_goes_on),
		cmocka_unit_test(another_key_than_wanted_is_noticed),
		cmocka_unit_test(who_does_not_know_the_address_hears_nothing),
		cmocka_unit_test(other_protocols_versions_and_keys_are_refused),
		cmocka_unit_test(an_end_is_told_from_a_cut),
		cmocka_unit_test(damaged_bytes_end_the_channel),
		cmocka_unit_test(two_databases_share_a_port),
		cmocka_unit_test(random_bytes_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
