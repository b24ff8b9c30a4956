// SPDX-License-Identifier: MPL-2.0
/* plan.c - reading a plan and asking it. */
#include "crdt/plan.h"

#include <stdlib.h>
#include <string.h>

#include "crdt/horizon.h"
#include "crdt/log.h"

enum { MIN_GROUP_BYTES = CURSOR_LEN + 2, ENTRY_BYTES = SITE_ID_LEN + 1 };

static int
malformed(struct engine *e)
{
	return engine_fail(e, SQLITE_ERROR, "the plan is malformed");
}

int
plan_check_cursor(struct engine *e, const struct cursor *c, bool *known)
{
	static const uint8_t none[LOG_ID_LEN];
	const struct horizon *h;
	uint8_t chain[CHAIN_LEN];
	bool found;
	int rc;

	*known = c->dbv == 0 && memcmp(c->log_id, none, LOG_ID_LEN) == 0;
	if (*known || memcmp(c->log_id, e->log_id, LOG_ID_LEN) != 0)
		return SQLITE_OK;
	*known = c->dbv == 0;
	if (c->dbv <= 0 || c->pos < 0)
		return SQLITE_OK;
	rc = log_chain(e, c->dbv, &found, chain);
	if (rc == SQLITE_OK)
		rc = horizon_get(e, &h);
	if (rc == SQLITE_OK)
		horizon_sign(h, c->dbv, c->pos, chain);
	*known = rc == SQLITE_OK && found &&
	    memcmp(chain, c->token, TOKEN_LEN) == 0;
	return rc;
}

static int
by_site(const void *a, const void *b)
{
	return memcmp(((const struct plan_entry *)a)->site,
	    ((const struct plan_entry *)b)->site, SITE_ID_LEN);
}

static int
read_tables(struct engine *e, struct plan *p, struct rd *r, int group)
{
	uint64_t i, n = rd_varint(r, PLAN_MAX_TABLES);
	char name[NAME_MAX_BYTES + 1];
	struct table *t;
	const char *text;
	int len;

	for (i = 0; i < n; i++) {
		if (!page_text(r, NAME_MAX_BYTES, &text, &len))
			return malformed(e);
		memcpy(name, text, (size_t)len);
		name[len] = '\0';
		t = table_find(e, name);
		if (t != NULL && t->id <= p->max_table)
			p->group_of[t->id] = group;
	}
	return SQLITE_OK;
}

/* The entries of one group, taken from what is left of p->entries. */
static void
read_entries(struct plan *p, struct rd *r, struct plan_group *g, size_t *used)
{
	size_t i, n = rd_count(r, PLAN_MAX_ENTRIES - *used, ENTRY_BYTES);
	bool sorted = true;

	if (rd_failed(r))
		return;
	g->entry = p->entries + *used;
	g->nentry = (int)n;
	*used += n;
	for (i = 0; i < n; i++) {
		g->entry[i].site = rd_bytes(r, SITE_ID_LEN);
		g->entry[i].version = (int64_t)rd_varint(r, INT64_MAX);
		if (rd_failed(r))
			return;
		if (i > 0 && by_site(&g->entry[i - 1], &g->entry[i]) >= 0)
			sorted = false;
	}
	if (!sorted)
		qsort(g->entry, n, sizeof *g->entry, by_site);
}

static int
read_group(struct engine *e, struct plan *p, struct rd *r, int i, size_t *used)
{
	struct plan_group *g = &p->group[i];
	const uint8_t *cursor;
	bool known;
	int rc;

	rc = read_tables(e, p, r, i);
	if (rc != SQLITE_OK)
		return rc;
	cursor = rd_bytes(r, CURSOR_LEN);
	read_entries(p, r, g, used);
	if (rd_failed(r))
		return malformed(e);
	cursor_read(cursor, &g->cursor);
	rc = plan_check_cursor(e, &g->cursor, &known);
	if (rc == SQLITE_OK && !known) {
		memset(&g->cursor, 0, sizeof g->cursor);
		g->cursor.key = CURSOR_WHOLE;
		g->lost = p->lost = true;
	}
	return rc;
}

static int
make_room(struct engine *e, struct plan *p, size_t bytes)
{
	int i;

	for (i = 0; i < e->tables.n; i++) {
		if (e->tables.table[i].id > p->max_table)
			p->max_table = e->tables.table[i].id;
	}
	if (bytes / ENTRY_BYTES > PLAN_MAX_ENTRIES)
		bytes = (size_t)PLAN_MAX_ENTRIES * ENTRY_BYTES;
	p->group_of = sqlite3_malloc64(((size_t)p->max_table + 1) *
	    sizeof *p->group_of);
	p->unproven = sqlite3_malloc64((size_t)p->max_table + 1);
	p->group = sqlite3_malloc64(((size_t)p->ngroup + 1) *
	    sizeof *p->group);
	p->entries = sqlite3_malloc64((bytes / ENTRY_BYTES + 1) *
	    sizeof *p->entries);
	if (p->group_of == NULL || p->unproven == NULL || p->group == NULL ||
	    p->entries == NULL)
		return SQLITE_NOMEM;
	for (i = 0; i <= p->max_table; i++)
		p->group_of[i] = -1;
	memset(p->unproven, 0, (size_t)p->max_table + 1);
	memset(p->group, 0, ((size_t)p->ngroup + 1) * sizeof *p->group);
	return SQLITE_OK;
}

int
plan_read(struct engine *e, const uint8_t *data, size_t len, struct plan *p)
{
	struct rd r;
	size_t used = 0;
	int i, rc;

	memset(p, 0, sizeof *p);
	p->site = -1;
	rd_init(&r, data, len);
	p->ngroup = (int)rd_varint(&r, PLAN_MAX_GROUPS);
	if (rd_failed(&r) || (size_t)p->ngroup > rd_left(&r) / MIN_GROUP_BYTES)
		return malformed(e);
	rc = make_room(e, p, len);
	for (i = 0; i < p->ngroup && rc == SQLITE_OK; i++)
		rc = read_group(e, p, &r, i, &used);
	if (rc == SQLITE_OK && !rd_done(&r))
		rc = malformed(e);
	return rc;
}

void
plan_clear(struct plan *p)
{
	sqlite3_free(p->group_of);
	sqlite3_free(p->unproven);
	sqlite3_free(p->group);
	sqlite3_free(p->entries);
	memset(p, 0, sizeof *p);
}

/* -- who may be told ---------------------------------------------------------- */

static int64_t
vector_version(const struct plan_group *g, const uint8_t id[SITE_ID_LEN])
{
	struct plan_entry want = { .site = id }, *found;

	found = g->nentry == 0 ? NULL : bsearch(&want, g->entry,
	    (size_t)g->nentry, sizeof want, by_site);
	return found != NULL ? found->version : 0;
}

enum admitted {
	ADMIT_MEMBER,           /* has all that was forgotten */
	ADMIT_UNPROVEN,         /* nothing tells: he looks himself */
	ADMIT_BEHIND
};

/* A vector that covers the horizon is of one who had all of it; a cursor that is
 * known of one who read behind all that was dropped of these tables, or since
 * then.  Of the others none is told anything whose vector says that he has a part,
 * or whose cursor was one of this log. */
static enum admitted
admit(const struct horizon_entry *entry, int n, const struct plan_group *g)
{
	bool covers = true, part = g->lost;
	int64_t version;
	int i;

	for (i = 0; i < n; i++) {
		version = vector_version(g, entry[i].id);
		covers = covers && version >= entry[i].version;
		part = part || (version > 0 && version < entry[i].version);
	}
	if (covers || (!g->lost && g->cursor.dbv > 0))
		return ADMIT_MEMBER;
	return part ? ADMIT_BEHIND : ADMIT_UNPROVEN;
}

int
plan_admit(struct engine *e, struct plan *p)
{
	const struct horizon_entry *entry;
	const struct horizon *h;
	enum admitted is;
	int i, n, rc = horizon_get(e, &h);

	for (i = 0; rc == SQLITE_OK && h->n > 0 && i <= p->max_table; i++) {
		n = p->group_of[i] >= 0 ? horizon_of(h, i, &entry) : 0;
		if (n == 0)
			continue;
		p->has_horizon = true;
		is = admit(entry, n, &p->group[p->group_of[i]]);
		p->unproven[i] = is == ADMIT_UNPROVEN;
		if (is == ADMIT_BEHIND)
			rc = horizon_refuse_reader(e);
	}
	return rc;
}

struct cursor
plan_start(const struct plan *p)
{
	struct cursor low = { .dbv = INT64_MAX };
	int i;

	for (i = 0; i < p->ngroup; i++) {
		if (cursor_compare(&p->group[i].cursor, &low) < 0)
			low = p->group[i].cursor;
	}
	return low;
}

int
plan_version(struct engine *e, struct plan *p, int group, int64_t site,
    int64_t *version)
{
	const struct plan_group *g = &p->group[group];
	bool has_key;
	int rc;

	if (site != p->site) {
		p->site = -1;
		rc = site_by_ordinal(e, site, p->site_id, NULL, NULL,
		    &has_key);
		if (rc != SQLITE_OK)
			return rc;
		p->site = site;
		p->site_group = -1;
	}
	if (group != p->site_group) {
		p->site_group = group;
		p->site_version = vector_version(g, p->site_id);
	}
	*version = p->site_version;
	return SQLITE_OK;
}

int
plan_skips(struct engine *e, struct plan *p, int table, int64_t dbv,
    int64_t pos, int64_t site, int64_t sver, bool *skip)
{
	int group = table >= 0 && table <= p->max_table ?
	    p->group_of[table] : -1;
	const struct cursor *c;
	int64_t version;
	int rc = SQLITE_OK;

	*skip = true;
	if (group < 0)
		return SQLITE_OK;
	c = &p->group[group].cursor;
	if (dbv < c->dbv || (dbv == c->dbv && (pos < c->pos ||
	    (pos == c->pos && c->key == CURSOR_WHOLE))))
		return SQLITE_OK;
	if (sver > 0) {
		rc = plan_version(e, p, group, site, &version);
		*skip = rc == SQLITE_OK && sver <= version;
		return rc;
	}
	*skip = false;
	return rc;
}
