// SPDX-License-Identifier: MPL-2.0
/* namemap.h - a hash map from names, in either case of ASCII letters as SQLite
 * compares them, to numbers. */
#ifndef CRDT_NAMEMAP_H
#define CRDT_NAMEMAP_H

#include <stdint.h>

struct namemap {                /* zero is an empty one */
	struct namemap_slot {
		const char *name;       /* NULL: empty */
		int number;
	} *slot;
	uint32_t room;          /* a power of two, or 0 */
	uint32_t n;
};

void namemap_clear(struct namemap *m);

/* Notes a name, which must stay where it is as long as the map, or gives it
 * another number. */
int namemap_set(struct namemap *m, const char *name, int number);

/* The number; -1 if there is none. */
int namemap_get(const struct namemap *m, const char *name);

#endif
