// SPDX-License-Identifier: MPL-2.0
#include "net/vrecord.h"

#include <string.h>

#include <openssl/evp.h>

#include "base/rd.h"

/* Says what is signed, so that no other signature of the key is one of these;
 * with its zero byte. */
static const char what[] = "ddcp veilid record";

/* The bytes that are signed: what, key, body. */
static int
signed_text(const uint8_t key[static KEY_LEN], const uint8_t *body,
    size_t len, struct buf *out, struct err *err)
{
	buf_add(out, what, sizeof what);
	buf_add(out, key, KEY_LEN);
	buf_add(out, body, len);
	return out->failed ? err_nomem(err) : 0;
}

static void
init_text(struct buf *b)
{
	buf_init(b, sizeof what + KEY_LEN + VRECORD_MAX);
}

static int
sign(EVP_PKEY *pair, const uint8_t *body, size_t len,
    uint8_t out[static VRECORD_SIGNATURE_LEN], struct err *err)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = VRECORD_SIGNATURE_LEN, key_len = KEY_LEN;
	uint8_t key[KEY_LEN];
	struct buf text;
	int rc = -1;

	init_text(&text);
	if (pair != NULL && ctx != NULL
	    && EVP_PKEY_get_raw_public_key(pair, key, &key_len) == 1
	    && signed_text(key, body, len, &text, NULL) == 0
	    && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pair) == 1
	    && EVP_DigestSign(ctx, out, &n, text.data, text.len) == 1)
		rc = 0;
	buf_clear(&text);
	EVP_MD_CTX_free(ctx);
	return rc == 0 ? 0 : err_set(err, E_FATAL, NULL,
	    "the record for Veilid could not be signed");
}

static bool
verify(const uint8_t key[static KEY_LEN], const uint8_t *body, size_t len,
    const uint8_t *signature)
{
	EVP_PKEY *public = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
	    key, KEY_LEN);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct buf text;
	bool good;

	init_text(&text);
	good = public != NULL && ctx != NULL
	    && signed_text(key, body, len, &text, NULL) == 0
	    && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, public) == 1
	    && EVP_DigestVerify(ctx, signature, VRECORD_SIGNATURE_LEN,
		text.data, text.len) == 1;
	buf_clear(&text);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(public);
	return good;
}

int
vrecord_encode(const struct vrecord *r,
    const uint8_t seed[static VRECORD_SEED_LEN], struct buf *out,
    struct err *err)
{
	uint8_t signature[VRECORD_SIGNATURE_LEN];
	EVP_PKEY *pair = NULL;
	struct buf body;
	int rc;

	buf_init(&body, VRECORD_MAX);
	if (r->route_len > VRECORD_ROUTE_MAX) {
		rc = err_set(err, E_USAGE, NULL,
		    "a private route of %zu bytes, at most %d are known",
		    r->route_len, VRECORD_ROUTE_MAX);
		goto done;
	}
	buf_add_u8(&body, VRECORD_VERSION);
	buf_add_u64(&body, r->expires);
	buf_add(&body, r->token, VRECORD_TOKEN_LEN);
	buf_add_u16(&body, (uint16_t)r->route_len);
	buf_add(&body, r->route, r->route_len);
	if (body.failed) {
		rc = err_nomem(err);
		goto done;
	}
	pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed,
	    VRECORD_SEED_LEN);
	rc = sign(pair, body.data, body.len, signature, err);
	if (rc < 0)
		goto done;
	buf_add(out, body.data, body.len);
	buf_add(out, signature, sizeof signature);
	if (out->failed)
		rc = err_nomem(err);
done:
	EVP_PKEY_free(pair);
	buf_clear(&body);
	return rc;
}

int
vrecord_decode(const void *data, size_t len,
    const uint8_t key[static KEY_LEN], struct vrecord *out, struct err *err)
{
	struct rd r;
	const uint8_t *signature;
	uint8_t version;

	*out = (struct vrecord){ .expires = 0 };
	rd_init(&r, data, len);
	version = rd_u8(&r);
	if (!rd_failed(&r) && version != VRECORD_VERSION)
		return err_set(err, E_REFUSED, NULL,
		    "its record in Veilid's network is of version %d, this "
		    "program knows %d", version, VRECORD_VERSION);
	out->expires = rd_u64(&r);
	rd_copy(&r, VRECORD_TOKEN_LEN, out->token);
	out->route_len = rd_u16(&r);
	if (out->route_len > VRECORD_ROUTE_MAX)
		rd_fail(&r);
	out->route = rd_bytes(&r, out->route_len);
	signature = rd_bytes(&r, VRECORD_SIGNATURE_LEN);
	if (rd_done(&r) && verify(key, data, len - VRECORD_SIGNATURE_LEN,
	    signature))
		return 0;
	*out = (struct vrecord){ .expires = 0 };
	return err_set(err, E_INTEGRITY, NULL,
	    "what stands for it in Veilid's network is not its own");
}

bool
vrecord_alive(const struct vrecord *r, uint64_t now_ms)
{
	return r->route_len > 0 && now_ms / 1000 < r->expires;
}
