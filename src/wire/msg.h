// SPDX-License-Identifier: MPL-2.0
/*
 * msg.h - the messages of the protocol (doc/PROTOCOL.md, section 3): one
 * struct each, the same for writing and for reading.
 *
 * Reading gives views: names, texts and bytes point into the frame, lists
 * belong to the struct wire_msg.  What a message means is not known here,
 * only that it is well-formed and within limits.h.  A new message is one
 * struct, one line in the table of msg.c, and its pair of functions there.
 */
#ifndef WIRE_MSG_H
#define WIRE_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
	WIRE_SITE_LEN = 16,
	WIRE_TOKEN_LEN = 8,
	WIRE_CURSOR_LEN = 40,
	WIRE_HASH_LEN = 16,
	WIRE_INCARNATION_LEN = 8,
};

enum wire_type {
	WIRE_HELLO = 1,
	WIRE_PULL = 2,
	WIRE_PAGE = 3,
	WIRE_END = 4,
	WIRE_NOTIFY = 5,
	WIRE_PUSH = 6,
	WIRE_PUSHED = 7,
	WIRE_WHOLE = 8,
	WIRE_ERROR = 9,
	WIRE_PING = 10,
	WIRE_PONG = 11,
	WIRE_TOKENS = 12,
	WIRE_COMMON = 13,
	WIRE_DIGEST = 14,
	/* 15 is reserved; 16 is PART, see frame.h */
	WIRE_STOP = 17,
	WIRE_SCHEMA = 18,
	WIRE_MUST_KNOW = 128,   /* from here on an unknown type is an error */
};

/* Codes of ERROR and PUSHED. */
enum wire_code {
	WIRE_OK = 0,
	WIRE_E_VERSION = 1,
	WIRE_E_MALFORMED = 2,
	WIRE_E_UNKNOWN = 3,     /* the caller is not known */
	WIRE_E_DENIED = 4,
	WIRE_E_BUSY = 5,
	WIRE_E_HORIZON = 6,
	WIRE_E_INTERNAL = 7,
	WIRE_E_IDENTITY = 8,
	WIRE_E_ENDED = 9,       /* in order; the text says why */
	WIRE_E_HELD = 10,       /* PUSHED: fetched, not merged */
};

/* What a code of the peer is here (E_*), and how an error here is told. */
int wire_code_error(uint16_t code);
uint16_t wire_code_of(int error);

struct wire_view {              /* bytes, or UTF-8 without any NUL */
	const uint8_t *data;
	size_t len;
};

struct wire_entry {             /* of a vector */
	uint8_t site[WIRE_SITE_LEN];
	uint64_t version;
	uint8_t token[WIRE_TOKEN_LEN];
};

struct wire_own {               /* a site of the sender */
	uint8_t incarnation[WIRE_INCARNATION_LEN];
	uint64_t version;
	uint8_t token[WIRE_TOKEN_LEN];
};

struct wire_hello {
	uint8_t min_version, max_version;
	uint32_t frame_max;
	uint8_t head[WIRE_CURSOR_LEN];
	uint8_t schema[16];
	struct wire_own *own;           /* newest last */
	size_t nown;
	struct wire_entry *yours;
	size_t nyours;
};

struct wire_group {
	struct wire_view *table;
	size_t ntables;
	uint8_t cursor[WIRE_CURSOR_LEN];
	uint8_t vector_hash[WIRE_HASH_LEN];
	bool whole;                     /* false: the hash only */
	struct wire_entry *entry;
	size_t nentries;
};

struct wire_pull {
	uint32_t id;
	bool fetch_only;
	uint8_t resume_page[WIRE_HASH_LEN];
	uint64_t resume_at;             /* 0: nothing to resume */
	uint8_t merged[WIRE_CURSOR_LEN];
	struct wire_group *group;
	size_t ngroups;
};

struct wire_page {
	uint32_t id;
	bool zipped, last;
	uint8_t hash[WIRE_HASH_LEN];
	uint64_t total, raw, offset;
	struct wire_view bytes;
};

struct wire_end_group {
	bool complete;
	uint32_t *absent;               /* indexes of tables */
	size_t nabsent;
	uint8_t vector_hash[WIRE_HASH_LEN];
	struct wire_entry *entry;
	size_t nentries;
};

struct wire_end {
	uint32_t id;
	uint8_t cursor[WIRE_CURSOR_LEN];
	struct wire_end_group *group;
	size_t ngroups;
	struct wire_view *other;        /* tables here that were not asked for */
	size_t nothers;
};

struct wire_notify {
	struct wire_entry *entry;
	size_t nentries;
};

struct wire_push {              /* also WHOLE and STOP */
	uint32_t id;
};

struct wire_pushed {
	uint32_t id;
	uint16_t code;
	uint64_t transactions, rows;
	struct wire_view text;
};

struct wire_error {
	uint32_t id;                    /* 0: the connection ends */
	uint16_t code;
	struct wire_view text;
};

struct wire_ping {              /* also PONG */
	uint32_t token;
};

struct wire_tokens {
	uint32_t id;
	struct wire_entry *entry;       /* all of one site; newest first */
	size_t nentries;                /* at least 1 */
};

struct wire_common {
	uint32_t id;
	uint64_t version;               /* 0: none */
};

struct wire_digest {
	uint32_t id;                    /* by the one who asked */
	bool asks;                      /* it is he who says it */
	uint16_t code;                  /* 0; else it is over: text */
	struct wire_view text;
	struct wire_view bytes;         /* code 0: the store's business; none:
	                                   the answer is being worked on */
};

struct wire_msg {
	uint8_t type;                   /* of the union; enum wire_type */
	union {
		struct wire_hello hello;
		struct wire_pull pull;
		struct wire_page page;
		struct wire_end end;
		struct wire_notify notify;
		struct wire_push push, whole, stop;
		struct wire_pushed pushed;
		struct wire_error error;
		struct wire_ping ping, pong;
		struct wire_tokens tokens;
		struct wire_common common;
		struct wire_digest digest;      /* SCHEMA, too */
	};
	void **owned;                   /* private: the lists */
	size_t nowned, owned_cap;
};

/* Whether there is a message of that type. */
bool wire_known(uint8_t type);

/* The name of a type, for traces; "unknown" for others. */
const char *wire_name(uint8_t type);

/* Appends m as one frame, or as several of at most frame_max bytes, to out.
 * Fails (E_FATAL) where m is beyond a limit or out is full; out may then hold
 * part of it and is not to be sent. */
int wire_encode(const struct wire_msg *m, size_t frame_max, struct buf *out,
    struct err *err);

/* Reads a message of a known type.  E_INTEGRITY: it is malformed; E_FATAL: no
 * memory.  m is overwritten (clear it first) and holds views of body. */
int wire_decode(uint8_t type, const uint8_t *body, size_t len,
    struct wire_msg *m, struct err *err);

/* Frees what decoding allocated and zeroes m.  A zeroed m may be cleared. */
void wire_msg_clear(struct wire_msg *m);

#endif
