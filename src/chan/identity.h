// SPDX-License-Identifier: MPL-2.0
/* identity.h - what a channel sees of an identity; private to this layer. */
#ifndef CHAN_IDENTITY_H
#define CHAN_IDENTITY_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "chan/chan.h"
#include "chan/proof.h"
#include "chan/tls.h"

struct chan_identity {
	EVP_PKEY *key;
	X509 *certificate;
	uint8_t public_key[KEY_LEN];
	struct tls tls;         /* shared by its channels */
	struct proof_seen *seen;        /* by those that were called */
};

#endif
