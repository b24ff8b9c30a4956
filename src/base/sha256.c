// SPDX-License-Identifier: MPL-2.0
/* sha256.c - FIPS 180-4, one block; see sha256.h. */
#include "base/sha256.h"

#include <assert.h>
#include <string.h>

enum { BLOCK = 64, ROUNDS = 64 };

static const uint32_t k[ROUNDS] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
	0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
	0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
	0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
	0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
	0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
	0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
	0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static const uint32_t start[8] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
	0x1f83d9ab, 0x5be0cd19,
};

static uint32_t
turn(uint32_t v, int n)
{
	return v >> n | v << (32 - n);
}

static void
expand(const uint8_t block[BLOCK], uint32_t w[ROUNDS])
{
	int i;

	for (i = 0; i < 16; i++)
		w[i] = (uint32_t)block[4 * i] << 24 |
		    (uint32_t)block[4 * i + 1] << 16 |
		    (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
	for (; i < ROUNDS; i++)
		w[i] = w[i - 16] + w[i - 7] + (turn(w[i - 15], 7) ^
		    turn(w[i - 15], 18) ^ w[i - 15] >> 3) +
		    (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10);
}

/* s: the letters a to h of the standard. */
static void
rounds(const uint32_t w[ROUNDS], uint32_t s[8])
{
	uint32_t t1, t2;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		t1 = s[7] + (turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25)) +
		    ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
		t2 = (turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22)) +
		    ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
		memmove(s + 1, s, 7 * sizeof *s);
		s[4] += t1;
		s[0] = t1 + t2;
	}
}

void
sha256_short(const void *data, size_t len, uint8_t out[SHA256_BYTES])
{
	uint8_t block[BLOCK] = { 0 };
	uint32_t w[ROUNDS], s[8];
	int i;

	assert(len <= SHA256_SHORT_MAX);
	memcpy(block, data, len);
	block[len] = 0x80;
	block[BLOCK - 2] = (uint8_t)(len * 8 >> 8);
	block[BLOCK - 1] = (uint8_t)(len * 8);
	expand(block, w);
	memcpy(s, start, sizeof s);
	rounds(w, s);
	for (i = 0; i < SHA256_BYTES; i++)
		out[i] = (uint8_t)((s[i / 4] + start[i / 4]) >>
		    8 * (3 - i % 4));
}
