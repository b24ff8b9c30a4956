// SPDX-License-Identifier: MPL-2.0
/* keymap.h - a hash map from (table, key) to a number. */
#ifndef CRDT_KEYMAP_H
#define CRDT_KEYMAP_H

#include <stdint.h>

struct keymap {
	struct keymap_slot {
		int64_t key;
		int table;      /* 0: empty */
		int number;
	} *slot;
	uint64_t mask;
};

/* Room for n entries, no more.  keymap_free frees it. */
int keymap_init(struct keymap *m, int n);
void keymap_free(struct keymap *m);

void keymap_set(struct keymap *m, int table, int64_t key, int number);

/* The number; -1 if there is none. */
int keymap_get(const struct keymap *m, int table, int64_t key);

#endif
