// SPDX-License-Identifier: MPL-2.0
/* keyfile.c - a key in a file encrypted with a passphrase; see identity.h. */
#include "store/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "base/buf.h"
#include "base/rd.h"

enum {
	MAGIC_LEN = 8,
	SALT_LEN = crypto_pwhash_SALTBYTES,
	HEADER_LEN = crypto_secretstream_xchacha20poly1305_HEADERBYTES,
	SEALED_LEN = SEED_LEN + crypto_secretstream_xchacha20poly1305_ABYTES,
	FILE_LEN = MAGIC_LEN + SALT_LEN + 4 + 4 + HEADER_LEN + SEALED_LEN,
	WRAP_LEN = crypto_secretstream_xchacha20poly1305_KEYBYTES,
	OPS_MAX = 16,
	MEMORY_MAX_KIB = 1 << 20
};

static const char magic[] = "ddcpkex1";

struct cost {
	uint32_t ops;
	uint32_t memory_kib;
};

static int
derive(const char *pass, const uint8_t salt[static SALT_LEN], struct cost c,
    uint8_t wrap[static WRAP_LEN], struct err *err)
{
	if (crypto_pwhash(wrap, WRAP_LEN, pass, strlen(pass), salt, c.ops,
	    (size_t)c.memory_kib << 10, crypto_pwhash_ALG_ARGON2ID13) == 0)
		return 0;
	return err_set(err, E_FATAL, "free some memory",
	    "there is not enough memory to work with the passphrase");
}

static int
seal(const uint8_t wrap[static WRAP_LEN], const uint8_t seed[static SEED_LEN],
    struct buf *out, struct err *err)
{
	crypto_secretstream_xchacha20poly1305_state state;
	uint8_t header[HEADER_LEN], sealed[SEALED_LEN];

	crypto_secretstream_xchacha20poly1305_init_push(&state, header, wrap);
	crypto_secretstream_xchacha20poly1305_push(&state, sealed, NULL, seed,
	    SEED_LEN, NULL, 0, crypto_secretstream_xchacha20poly1305_TAG_FINAL);
	buf_add(out, header, sizeof header);
	buf_add(out, sealed, sizeof sealed);
	sodium_memzero(&state, sizeof state);
	return out->failed ? err_nomem(err) : 0;
}

static int
write_new(const char *file, const struct buf *b, struct err *err)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ssize_t n;
	int rc = 0;

	if (fd < 0 && errno == EEXIST)
		return err_set(err, E_EXISTS, "name a file that is not there "
		    "yet", "%s exists already", file);
	if (fd < 0)
		return err_set(err, E_FATAL, "name another place",
		    "can't write %s: %s", file, strerror(errno));
	n = write(fd, b->data, b->len);
	if (n >= 0 && n < (ssize_t)b->len)
		errno = ENOSPC;
	if (n != (ssize_t)b->len || fsync(fd) != 0) {
		rc = err_set(err, E_FATAL, "free some space",
		    "can't write %s: %s", file, strerror(errno));
		unlink(file);
	}
	close(fd);
	return rc;
}

int
identity_export(const char *file, const char *pass,
    const uint8_t seed[static SEED_LEN], struct err *err)
{
	struct cost cost = { crypto_pwhash_OPSLIMIT_MODERATE,
		crypto_pwhash_MEMLIMIT_INTERACTIVE >> 10 };
	uint8_t wrap[WRAP_LEN], salt[SALT_LEN];
	struct buf b;
	int rc;

	buf_init(&b, FILE_LEN);
	rc = identity_random(salt, sizeof salt, err);
	if (rc == 0)
		rc = derive(pass, salt, cost, wrap, err);
	buf_add(&b, magic, MAGIC_LEN);
	buf_add(&b, salt, sizeof salt);
	buf_add_u32(&b, cost.ops);
	buf_add_u32(&b, cost.memory_kib);
	if (rc == 0)
		rc = seal(wrap, seed, &b, err);
	if (rc == 0)
		rc = write_new(file, &b, err);
	sodium_memzero(wrap, sizeof wrap);
	buf_clear(&b);
	return rc;
}

static int
damaged(const char *file, struct err *err)
{
	return err_set(err, E_INTEGRITY, "make it again with \"ddcp key "
	    "export\" where the key is", "%s is no exported key, or is "
	    "damaged", file);
}

static int
read_file(const char *file, uint8_t out[static FILE_LEN], struct err *err)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	uint8_t more;
	ssize_t n;

	if (fd < 0)
		return err_set(err, errno == ENOENT ? E_NOTFOUND : E_FATAL,
		    "name the file that \"ddcp key export\" made",
		    "can't open %s: %s", file, strerror(errno));
	n = read(fd, out, FILE_LEN);
	if (n == FILE_LEN && read(fd, &more, 1) != 0)
		n = 0;
	close(fd);
	if (n != FILE_LEN || memcmp(out, magic, MAGIC_LEN) != 0)
		return damaged(file, err);
	return 0;
}

static int
unseal(const uint8_t wrap[static WRAP_LEN], struct rd *r,
    uint8_t seed[static SEED_LEN], struct err *err)
{
	crypto_secretstream_xchacha20poly1305_state state;
	const uint8_t *header = rd_bytes(r, HEADER_LEN);
	const uint8_t *sealed = rd_bytes(r, SEALED_LEN);
	unsigned char tag = 0;
	int bad;

	bad = !rd_done(r) ||
	    crypto_secretstream_xchacha20poly1305_init_pull(&state, header,
	    wrap) != 0 || crypto_secretstream_xchacha20poly1305_pull(&state,
	    seed, NULL, &tag, sealed, SEALED_LEN, NULL, 0) != 0 ||
	    tag != crypto_secretstream_xchacha20poly1305_TAG_FINAL;
	sodium_memzero(&state, sizeof state);
	if (!bad)
		return 0;
	sodium_memzero(seed, SEED_LEN);
	return err_set(err, E_INTEGRITY, "try the passphrase again",
	    "the passphrase is wrong, or the file is damaged");
}

int
identity_import(const char *file, const char *pass,
    uint8_t seed[static SEED_LEN], struct err *err)
{
	uint8_t data[FILE_LEN], salt[SALT_LEN], wrap[WRAP_LEN];
	struct cost cost;
	struct rd r;
	int rc;

	if (sodium_init() < 0)
		return err_set(err, E_FATAL, NULL,
		    "the cryptographic library can't be used");
	rc = read_file(file, data, err);
	if (rc != 0)
		return rc;
	rd_init(&r, data + MAGIC_LEN, FILE_LEN - MAGIC_LEN);
	rd_copy(&r, sizeof salt, salt);
	cost.ops = rd_u32(&r);
	cost.memory_kib = rd_u32(&r);
	if (cost.ops < 1 || cost.ops > OPS_MAX || cost.memory_kib < 8 ||
	    cost.memory_kib > MEMORY_MAX_KIB)
		return damaged(file, err);
	rc = derive(pass, salt, cost, wrap, err);
	if (rc == 0)
		rc = unseal(wrap, &r, seed, err);
	sodium_memzero(wrap, sizeof wrap);
	return rc;
}
