// SPDX-License-Identifier: MPL-2.0
/* namemap.c - see namemap.h.  Open addressing, half full at most. */
#include "crdt/namemap.h"

#include <sqlite3ext.h>
#include <string.h>

SQLITE_EXTENSION_INIT3

void
namemap_clear(struct namemap *m)
{
	sqlite3_free(m->slot);
	memset(m, 0, sizeof *m);
}

static uint32_t
hash(const char *name)
{
	uint32_t h = 2166136261u;
	unsigned char c;

	for (; (c = (unsigned char)*name) != '\0'; name++) {
		if (c >= 'A' && c <= 'Z')
			c = (unsigned char)(c + ('a' - 'A'));
		h = (h ^ c) * 16777619u;
	}
	return h ^ h >> 15;
}

static struct namemap_slot *
find(const struct namemap *m, const char *name)
{
	struct namemap_slot *s;
	uint32_t h = hash(name);

	for (;; h++) {
		s = &m->slot[h & (m->room - 1)];
		if (s->name == NULL || sqlite3_stricmp(s->name, name) == 0)
			return s;
	}
}

static int
grow(struct namemap *m)
{
	struct namemap old = *m;
	uint32_t i;

	m->room = old.room ? old.room * 2 : 32;
	m->slot = sqlite3_malloc64(m->room * sizeof *m->slot);
	if (m->slot == NULL) {
		*m = old;
		return SQLITE_NOMEM;
	}
	memset(m->slot, 0, m->room * sizeof *m->slot);
	for (i = 0; i < old.room; i++)
		if (old.slot[i].name != NULL)
			*find(m, old.slot[i].name) = old.slot[i];
	sqlite3_free(old.slot);
	return SQLITE_OK;
}

int
namemap_set(struct namemap *m, const char *name, int number)
{
	struct namemap_slot *s;
	int rc = (m->n + 1) * 2 > m->room ? grow(m) : SQLITE_OK;

	if (rc != SQLITE_OK)
		return rc;
	s = find(m, name);
	m->n += s->name == NULL;
	s->name = name;
	s->number = number;
	return SQLITE_OK;
}

int
namemap_get(const struct namemap *m, const char *name)
{
	const struct namemap_slot *s = m->room ? find(m, name) : NULL;

	return s != NULL && s->name != NULL ? s->number : -1;
}
