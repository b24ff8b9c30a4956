// SPDX-License-Identifier: MPL-2.0
/*
 * limits.h - every bound of the protocol (doc/PROTOCOL.md, section 6): what
 * a stranger can make us keep, and no more.  Bounds of one layer alone (of
 * the channel, of a queue) stand with that layer.
 */
#ifndef WIRE_LIMITS_H
#define WIRE_LIMITS_H

#include <stdint.h>

enum {
	WIRE_VERSION_MIN = 1,
	WIRE_VERSION_MAX = 1,

	WIRE_FRAME_MAX = 1114112,       /* on byte streams */
	WIRE_FRAME_MESSAGE = 32000,     /* on networks of messages */
	WIRE_FRAME_FIRST = 65536,       /* until the peer's HELLO is here */
	WIRE_FRAME_MIN = 1024,          /* a HELLO may not ask for less */
	WIRE_MESSAGE_MAX = 4 << 20,     /* put together from PARTs */

	WIRE_GROUPS_MAX = 1024,         /* in a PULL, in an END */
	WIRE_TABLES_MAX = 10000,        /* in all groups of a PULL */
	WIRE_NAME_MAX = 2048,           /* of a table */
	WIRE_OTHERS_MAX = 64,           /* tables named in END */
	WIRE_ENTRIES_MAX = 65536,       /* in all groups of a message */
	WIRE_SITES_MAX = 64,            /* own sites in a HELLO */
	WIRE_TEXT_MAX = 512,            /* in ERROR, PUSHED */
	WIRE_TOKENS_MAX = 256,
	WIRE_SCHEMA_FORMAT = 1,         /* asked for in SCHEMA */

	WIRE_PAGE_WANTED = 262144,      /* asked of the engine */
	WIRE_PAGE_MAX = (1 << 30) + (1 << 20),  /* a page of one large row */
	WIRE_EXPANSION_MAX = 64,        /* of a compressed page ... */
	WIRE_EXPANSION_FREE = 1 << 20,  /* ... that is larger than this */
	WIRE_PAGE_MEMORY = 4 << 20,     /* larger ones go piece by piece to the
	                                   store, and are not compressed by us */
};

#define WIRE_NUMBER_MAX (UINT64_C(1) << 53)     /* a version (R22) */

#endif
