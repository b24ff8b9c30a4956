// SPDX-License-Identifier: MPL-2.0
/* proof.c - makes and checks the server name. */
#include "chan/proof.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

static const char label[] = "ddcp sni";

static void
put_hex(const uint8_t *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < n; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
}

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static bool
get_hex(const char *text, size_t n, uint8_t *out)
{
	int high, low;
	size_t i;

	for (i = 0; i < n; i++) {
		high = digit(text[2 * i]);
		low = digit(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool
mac_of(const uint8_t address[static KEY_LEN], const uint8_t *nonce,
    uint8_t mac[static SHA256_DIGEST_LENGTH])
{
	uint8_t text[sizeof label - 1 + KEY_LEN];
	uint8_t key[SHA256_DIGEST_LENGTH];
	unsigned len = SHA256_DIGEST_LENGTH;

	memcpy(text, label, sizeof label - 1);
	memcpy(text + sizeof label - 1, address, KEY_LEN);
	SHA256(text, sizeof text, key);
	return HMAC(EVP_sha256(), key, sizeof key, nonce, PROOF_NONCE_LEN, mac,
	    &len) != NULL;
}

bool
proof_make(const uint8_t address[static KEY_LEN],
    char name[static PROOF_NAME_LEN + 1])
{
	uint8_t nonce[PROOF_NONCE_LEN], mac[SHA256_DIGEST_LENGTH];

	if (RAND_bytes(nonce, sizeof nonce) != 1 ||
	    !mac_of(address, nonce, mac))
		return false;
	put_hex(nonce, PROOF_NONCE_LEN, name);
	name[2 * PROOF_NONCE_LEN] = '.';
	put_hex(mac, PROOF_MAC_LEN, name + 2 * PROOF_NONCE_LEN + 1);
	name[PROOF_NAME_LEN] = '\0';
	return true;
}

bool
proof_check(const uint8_t address[static KEY_LEN], const char *name,
    size_t len)
{
	uint8_t nonce[PROOF_NONCE_LEN], got[PROOF_MAC_LEN];
	uint8_t mac[SHA256_DIGEST_LENGTH];

	return len == PROOF_NAME_LEN && name[2 * PROOF_NONCE_LEN] == '.' &&
	    get_hex(name, PROOF_NONCE_LEN, nonce) &&
	    get_hex(name + 2 * PROOF_NONCE_LEN + 1, PROOF_MAC_LEN, got) &&
	    mac_of(address, nonce, mac) &&
	    CRYPTO_memcmp(got, mac, PROOF_MAC_LEN) == 0;
}

bool
proof_first_use(struct proof_seen *seen,
    const char name[static PROOF_NAME_LEN])
{
	size_t i, n = seen->n < PROOF_SEEN_MAX ? seen->n : PROOF_SEEN_MAX;
	uint8_t nonce[PROOF_NONCE_LEN];

	if (!get_hex(name, PROOF_NONCE_LEN, nonce))
		return false;
	for (i = 0; i < n; i++)
		if (memcmp(seen->nonce[i], nonce, PROOF_NONCE_LEN) == 0)
			return false;
	memcpy(seen->nonce[seen->n++ % PROOF_SEEN_MAX], nonce, PROOF_NONCE_LEN);
	return true;
}
