// SPDX-License-Identifier: MPL-2.0
#include "net/lan_packet.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/rd.h"

static int
crypto_failed(struct err *err)
{
	return err_set(err, E_FATAL, NULL, "OpenSSL cannot compute SHA-256");
}

static int
hash_label(const char *label, const uint8_t key[static KEY_LEN],
    uint8_t out[static LAN_SECRET_LEN], struct err *err)
{
	uint8_t input[32 + KEY_LEN];
	size_t n = strlen(label);
	int ok;

	memcpy(input, label, n);
	memcpy(input + n, key, KEY_LEN);
	ok = EVP_Digest(input, n + KEY_LEN, out, NULL, EVP_sha256(), NULL);
	OPENSSL_cleanse(input, sizeof input);
	return ok == 1 ? 0 : crypto_failed(err);
}

int
lan_secret(const uint8_t key[static KEY_LEN], struct lan_secret *out,
    struct err *err)
{
	int rc = hash_label("ddcp lan", key, out->announce, err);

	return rc < 0 ? rc
	    : hash_label("ddcp lan query", key, out->query, err);
}

static void
put_big_endian(uint8_t *out, uint64_t v, size_t n)
{
	while (n-- > 0) {
		out[n] = (uint8_t)v;
		v >>= 8;
	}
}

static bool
prove(enum lan_kind kind, const struct lan_secret *secret,
    const uint8_t *nonce, uint64_t minute, uint8_t out[static LAN_PROOF_LEN])
{
	uint8_t input[LAN_NONCE_LEN + 8];

	memcpy(input, nonce, LAN_NONCE_LEN);
	put_big_endian(input + LAN_NONCE_LEN, minute, 8);
	return HMAC(EVP_sha256(),
	    kind == LAN_ANNOUNCE ? secret->announce : secret->query,
	    LAN_SECRET_LEN, input, sizeof input, out, NULL) != NULL;
}

bool
lan_packet_decode(const uint8_t *bytes, size_t len, struct lan_packet *out)
{
	struct rd r;
	uint8_t kind;

	rd_init(&r, bytes, len);
	kind = rd_u8(&r);
	out->minute = rd_u64(&r);
	out->nonce = rd_bytes(&r, LAN_NONCE_LEN);
	out->proof = rd_bytes(&r, LAN_PROOF_LEN);
	out->port = rd_u16(&r);
	if (!rd_done(&r))
		return false;
	out->kind = (enum lan_kind)kind;
	if (kind == LAN_ANNOUNCE)
		return out->port != 0;
	return kind == LAN_QUERY && out->port == 0;
}

bool
lan_packet_proven(const struct lan_packet *p, const struct lan_secret *secret)
{
	uint8_t proof[LAN_PROOF_LEN];

	return prove(p->kind, secret, p->nonce, p->minute, proof)
	    && CRYPTO_memcmp(proof, p->proof, sizeof proof) == 0;
}

int
lan_packet_encode(enum lan_kind kind, const struct lan_secret *secret,
    uint64_t minute, const uint8_t nonce[static LAN_NONCE_LEN],
    uint16_t port, uint8_t out[static LAN_PACKET_LEN], struct err *err)
{
	uint8_t *p = out;

	*p++ = (uint8_t)kind;
	put_big_endian(p, minute, 8);
	p += 8;
	memcpy(p, nonce, LAN_NONCE_LEN);
	p += LAN_NONCE_LEN;
	if (!prove(kind, secret, nonce, minute, p))
		return crypto_failed(err);
	p += LAN_PROOF_LEN;
	put_big_endian(p, port, 2);
	return 0;
}
