// SPDX-License-Identifier: MPL-2.0
#include "store/identity.h"

#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <sodium.h>

#include "store/statedir.h"

enum {
	MAGIC_LEN = 8,
	SUM_LEN = 8,
	FILE_LEN = MAGIC_LEN + SEED_LEN + DATABASE_ID_LEN + SUM_LEN
};

static const char magic[] = "ddcpkey1";
static const char file_name[] = "key", next_name[] = "key.next";

int
identity_random(void *out, size_t len, struct err *err)
{
	if (sodium_init() < 0)
		return err_set(err, E_FATAL, NULL,
		    "the system gives no random numbers");
	randombytes_buf(out, len);
	return 0;
}

int
identity_public(const uint8_t seed[static SEED_LEN],
    uint8_t key[static KEY_LEN], struct err *err)
{
	uint8_t secret[crypto_sign_SECRETKEYBYTES];

	if (sodium_init() < 0)
		return err_set(err, E_FATAL, NULL,
		    "the cryptographic library can't be used");
	crypto_sign_seed_keypair(key, secret, seed);
	sodium_memzero(secret, sizeof secret);
	return 0;
}

void
identity_site(const uint8_t key[static KEY_LEN],
    const uint8_t incarnation[static INCARNATION_LEN],
    uint8_t site[static STORE_SITE_LEN])
{
	static const char label[] = "ddcp site";
	uint8_t text[sizeof label - 1 + KEY_LEN + INCARNATION_LEN];
	uint8_t digest[SHA256_DIGEST_LENGTH];

	memcpy(text, label, sizeof label - 1);
	memcpy(text + sizeof label - 1, key, KEY_LEN);
	memcpy(text + sizeof label - 1 + KEY_LEN, incarnation,
	    INCARNATION_LEN);
	SHA256(text, sizeof text, digest);
	memcpy(site, digest, STORE_SITE_LEN);
}

static void
checksum(const uint8_t *data, uint8_t out[static SUM_LEN])
{
	uint8_t full[SHA256_DIGEST_LENGTH];

	SHA256(data, FILE_LEN - SUM_LEN, full);
	memcpy(out, full, SUM_LEN);
}

static int
read_from(int state_dir, const char *name, struct identity *out, bool *found,
    struct err *err)
{
	uint8_t data[FILE_LEN + 1], sum[SUM_LEN];
	size_t len;
	int rc;

	*found = false;
	rc = statedir_read(state_dir, name, data, sizeof data, &len, err);
	if (rc != 0 || len == 0)
		goto out;
	checksum(data, sum);
	if (len != FILE_LEN || memcmp(data, magic, MAGIC_LEN) != 0 ||
	    memcmp(sum, data + FILE_LEN - SUM_LEN, SUM_LEN) != 0) {
		rc = err_set(err, E_INTEGRITY, "give it again with \"ddcp key "
		    "import\", or \"ddcp init --new-identity\"",
		    "the key file in the state directory is damaged");
		goto out;
	}
	memcpy(out->seed, data + MAGIC_LEN, SEED_LEN);
	memcpy(out->database, data + MAGIC_LEN + SEED_LEN, DATABASE_ID_LEN);
	rc = identity_public(out->seed, out->key, err);
	*found = rc == 0;
out:
	explicit_bzero(data, sizeof data);
	return rc;
}

int
identity_read(int state_dir, struct identity *out, bool *found,
    struct err *err)
{
	return read_from(state_dir, file_name, out, found, err);
}

int
identity_read_next(int state_dir, struct identity *out, bool *found,
    struct err *err)
{
	struct err why = { .code = 0 };
	int rc = read_from(state_dir, next_name, out, found, &why);

	if (rc == E_INTEGRITY)
		rc = 0;
	else if (rc != 0 && err != NULL)
		*err = why;
	return rc;
}

int
identity_take_next(int state_dir, struct err *err)
{
	return statedir_rename(state_dir, next_name, file_name, err);
}

int
identity_write_next(int state_dir, const struct identity *id,
    struct err *err)
{
	uint8_t data[FILE_LEN];
	int rc;

	memcpy(data, magic, MAGIC_LEN);
	memcpy(data + MAGIC_LEN, id->seed, SEED_LEN);
	memcpy(data + MAGIC_LEN + SEED_LEN, id->database, DATABASE_ID_LEN);
	checksum(data, data + FILE_LEN - SUM_LEN);
	rc = statedir_write(state_dir, next_name, data, sizeof data, err);
	explicit_bzero(data, sizeof data);
	return rc;
}

void
identity_wipe(struct identity *id)
{
	explicit_bzero(id, sizeof *id);
}
