// SPDX-License-Identifier: MPL-2.0
/*
 * identity.c - a key pair and the certificate that carries its public half.
 * The certificate says nothing else: no name, fixed dates, the same bytes
 * each time.
 */
#include "chan/identity.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

static X509 *
make_certificate(EVP_PKEY *key)
{
	X509 *x = X509_new();
	int ok = x != NULL && X509_set_version(x, X509_VERSION_3) &&
	    ASN1_INTEGER_set(X509_get_serialNumber(x), 1) &&
	    ASN1_TIME_set_string(X509_getm_notBefore(x), "20000101000000Z") &&
	    ASN1_TIME_set_string(X509_getm_notAfter(x), "99991231235959Z") &&
	    X509_set_pubkey(x, key) && X509_sign(x, key, NULL) > 0;

	if (ok)
		return x;
	X509_free(x);
	return NULL;
}

int
chan_identity_new(const uint8_t seed[static CHAN_SEED_LEN],
    struct chan_identity **out, struct err *err)
{
	struct chan_identity *id = calloc(1, sizeof *id);
	size_t len = sizeof id->public_key;

	*out = NULL;
	if (id != NULL)
		id->seen = calloc(1, sizeof *id->seen);
	if (id == NULL || id->seen == NULL) {
		free(id);
		return err_nomem(err);
	}
	id->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed,
	    CHAN_SEED_LEN);
	if (id->key != NULL && EVP_PKEY_get_raw_public_key(id->key,
	    id->public_key, &len) == 1 && len == KEY_LEN)
		id->certificate = make_certificate(id->key);
	if (id->certificate == NULL || !tls_init(&id->tls)) {
		ERR_clear_error();
		chan_identity_free(id);
		return err_set(err, E_FATAL, NULL, "can't make a key pair");
	}
	*out = id;
	return 0;
}

void
chan_identity_free(struct chan_identity *id)
{
	if (id == NULL)
		return;
	free(id->seen);
	tls_clear(&id->tls);
	X509_free(id->certificate);
	EVP_PKEY_free(id->key);         /* wipes the private half */
	free(id);
}

void
chan_identity_key(const struct chan_identity *id,
    uint8_t key[static KEY_LEN])
{
	memcpy(key, id->public_key, KEY_LEN);
}
