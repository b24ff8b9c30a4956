// SPDX-License-Identifier: MPL-2.0
#include "wire/zip.h"

#include <openssl/evp.h>
#include <string.h>
#include <zstd.h>

#include "wire/limits.h"

enum { LEVEL = 1 };     /* the network is seldom slower than that */

void
zip_clear(struct zip *z)
{
	ZSTD_freeCCtx(z->compress);
	ZSTD_freeDCtx(z->expand);
	memset(z, 0, sizeof *z);
}

int
zip_pack(struct zip *z, const uint8_t *data, size_t len, struct buf *out,
    bool *helped, struct err *err)
{
	size_t bound = len - len / 16, n;
	uint8_t *to;

	*helped = false;
	buf_clear(out);
	if (z->compress == NULL && (z->compress = ZSTD_createCCtx()) == NULL)
		return err_nomem(err);
	if ((to = buf_reserve(out, bound)) == NULL)
		return err_nomem(err);
	n = ZSTD_compressCCtx(z->compress, to, bound, data, len, LEVEL);
	/* An error is that it does not fit, which is no trouble. */
	if (ZSTD_isError(n) || !zip_may_expand(n, len)) {
		buf_clear(out);
		return 0;
	}
	out->len = n;
	*helped = true;
	return 0;
}

bool
zip_may_expand(uint64_t len, uint64_t raw)
{
	return raw > 0 && len > 0 && raw <= WIRE_PAGE_MAX
	    && (raw <= WIRE_EXPANSION_FREE
	    || (raw - 1) / WIRE_EXPANSION_MAX < len);
}

int
zip_unpack(struct zip *z, const uint8_t *data, size_t len, uint64_t raw,
    struct buf *out, struct err *err)
{
	uint8_t *to;
	size_t n;

	buf_clear(out);
	if (!zip_may_expand(len, raw))
		return err_set(err, E_INTEGRITY, NULL,
		    "a page is said to expand to %llu bytes from %zu",
		    (unsigned long long)raw, len);
	if (z->expand == NULL && (z->expand = ZSTD_createDCtx()) == NULL)
		return err_nomem(err);
	if ((to = buf_reserve(out, raw)) == NULL)
		return err_nomem(err);
	n = ZSTD_decompressDCtx(z->expand, to, raw, data, len);
	if (ZSTD_isError(n) || n != raw) {
		buf_clear(out);
		return err_set(err, E_INTEGRITY, NULL,
		    "a page does not expand to what it is said to");
	}
	out->len = n;
	return 0;
}

int
zip_hash(const uint8_t *data, size_t len, uint8_t hash[static WIRE_HASH_LEN],
    struct err *err)
{
	uint8_t whole[EVP_MAX_MD_SIZE];

	if (EVP_Digest(data, len, whole, NULL, EVP_sha256(), NULL) != 1)
		return err_nomem(err);
	memcpy(hash, whole, WIRE_HASH_LEN);
	return 0;
}
