// SPDX-License-Identifier: MPL-2.0
/* keymap.c - see keymap.h.  Open addressing, half full at most. */
#include "crdt/keymap.h"

#include <sqlite3ext.h>
#include <string.h>

SQLITE_EXTENSION_INIT3

int
keymap_init(struct keymap *m, int n)
{
	uint64_t room = 64;

	while (room < (uint64_t)n * 2 + 2)
		room *= 2;
	m->slot = sqlite3_malloc64(room * sizeof *m->slot);
	if (m->slot == NULL)
		return SQLITE_NOMEM;
	memset(m->slot, 0, room * sizeof *m->slot);
	m->mask = room - 1;
	return SQLITE_OK;
}

void
keymap_free(struct keymap *m)
{
	sqlite3_free(m->slot);
	m->slot = NULL;
}

static struct keymap_slot *
find(const struct keymap *m, int table, int64_t key)
{
	uint64_t h = ((uint64_t)key * 0x9E3779B97F4A7C15u) ^ (uint64_t)table;
	struct keymap_slot *s;

	for (h ^= h >> 29;; h++) {
		s = &m->slot[h & m->mask];
		if (s->table == 0 || (s->table == table && s->key == key))
			return s;
	}
}

void
keymap_set(struct keymap *m, int table, int64_t key, int number)
{
	struct keymap_slot *s = find(m, table, key);

	s->table = table;
	s->key = key;
	s->number = number;
}

int
keymap_get(const struct keymap *m, int table, int64_t key)
{
	const struct keymap_slot *s = find(m, table, key);

	return s->table == 0 ? -1 : s->number;
}
