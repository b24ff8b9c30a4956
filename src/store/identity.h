// SPDX-License-Identifier: MPL-2.0
/*
 * identity.h - the key of a database and the site ids made of it (DESIGN
 * section 3, R16, R17), and the two files that hold a key.
 *
 * FILE key, in the state directory: "ddcpkey1" seed[32] database id[16] and
 * the first 8 bytes of SHA-256 over these.  FILE key.next likewise: key.h.
 *
 * FILE of key export: "ddcpkex1" salt[16] opslimit u32, memlimit u32 (KiB) for
 * Argon2id, header[24] and the message of libsodium's secretstream: the seed.
 */
#ifndef STORE_IDENTITY_H
#define STORE_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

enum { SEED_LEN = 32, INCARNATION_LEN = 8, DATABASE_ID_LEN = 16 };

struct identity {
	uint8_t seed[SEED_LEN];
	uint8_t key[KEY_LEN];
	uint8_t database[DATABASE_ID_LEN];
};

/* Fills len bytes with randomness. */
int identity_random(void *out, size_t len, struct err *err);

/* The public key of a seed. */
int identity_public(const uint8_t seed[static SEED_LEN],
    uint8_t key[static KEY_LEN], struct err *err);

/* First 16 bytes of SHA-256("ddcp site" ‖ key ‖ incarnation). */
void identity_site(const uint8_t key[static KEY_LEN],
    const uint8_t incarnation[static INCARNATION_LEN],
    uint8_t site[static STORE_SITE_LEN]);

/* Reads the key file; *found false if there is none.  A damaged one is
 * E_INTEGRITY. */
int identity_read(int state_dir, struct identity *out, bool *found,
    struct err *err);

/* The same for one that waits to take its place; a damaged one is none. */
int identity_read_next(int state_dir, struct identity *out, bool *found,
    struct err *err);
int identity_write_next(int state_dir, const struct identity *id,
    struct err *err);
/* Puts it there, durably; no error if somebody else has. */
int identity_take_next(int state_dir, struct err *err);

void identity_wipe(struct identity *id);

/* Encrypts a seed to a new file of mode 0600 (E_EXISTS), and back.  A wrong
 * passphrase or a damaged file is E_INTEGRITY. */
int identity_export(const char *file, const char *pass,
    const uint8_t seed[static SEED_LEN], struct err *err);
int identity_import(const char *file, const char *pass,
    uint8_t seed[static SEED_LEN], struct err *err);

#endif
