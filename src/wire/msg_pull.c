// SPDX-License-Identifier: MPL-2.0
/*
 * msg_pull.c - the messages of a pull: PULL, PAGE and END.
 */
#include "wire/codec.h"
#include "wire/zip.h"

enum {
	PULL_FETCH_ONLY = 1,

	PAGE_ZIPPED = 1,
	PAGE_LAST = 2,

	END_COMPLETE = 1,
	END_ABSENT = 2,
};

/* The shortest that a group can be, for bounds on counts. */
enum {
	PULL_GROUP_MIN = 1 + WIRE_CURSOR_LEN + WIRE_HASH_LEN + 1 + 1,
	END_GROUP_MIN = 1 + WIRE_HASH_LEN + 1,
};

/* ---- PULL ---- */

static void
write_pull_group(struct buf *b, const struct wire_group *g)
{
	size_t i;

	buf_add_varint(b, g->ntables);
	for (i = 0; i < g->ntables; i++)
		wire_put_text(b, &g->table[i], WIRE_NAME_MAX);
	buf_add(b, g->cursor, WIRE_CURSOR_LEN);
	buf_add(b, g->vector_hash, WIRE_HASH_LEN);
	buf_add_u8(b, g->whole);
	wire_put_entries(b, g->entry, g->whole ? g->nentries : 0,
	    WIRE_ENTRIES_MAX);
}

void
wire_write_pull(struct buf *b, const struct wire_msg *m)
{
	const struct wire_pull *p = &m->pull;
	size_t i, tables = 0, entries = 0;

	buf_add_u32(b, p->id);
	buf_add_u8(b, p->fetch_only ? PULL_FETCH_ONLY : 0);
	buf_add(b, p->resume_page, WIRE_HASH_LEN);
	buf_add_u64(b, p->resume_at);
	buf_add(b, p->merged, WIRE_CURSOR_LEN);
	wire_put_count(b, p->ngroups, WIRE_GROUPS_MAX);
	for (i = 0; i < p->ngroups; i++) {
		write_pull_group(b, &p->group[i]);
		tables += p->group[i].ntables;
		entries += p->group[i].whole ? p->group[i].nentries : 0;
	}
	if (tables > WIRE_TABLES_MAX || entries > WIRE_ENTRIES_MAX)
		b->failed = true;
}

static struct wire_view
get_name(struct decoder *d)
{
	struct wire_view v;
	size_t i;

	v = wire_get_bytes(d, rd_count(&d->rd, WIRE_NAME_MAX, 1));
	if (v.len == 0)
		rd_fail(&d->rd);
	for (i = 0; i < v.len; i++)
		if (v.data[i] == 0)
			rd_fail(&d->rd);
	return v;
}

static void
read_pull_group(struct decoder *d, struct wire_group *g)
{
	uint8_t form;
	size_t i;

	g->ntables = rd_count(&d->rd, WIRE_TABLES_MAX - d->tables, 2);
	g->table = wire_get_room(d, g->ntables, sizeof *g->table);
	if (g->table == NULL)
		g->ntables = 0;
	d->tables += g->ntables;
	for (i = 0; i < g->ntables; i++)
		g->table[i] = get_name(d);
	rd_copy(&d->rd, WIRE_CURSOR_LEN, g->cursor);
	rd_copy(&d->rd, WIRE_HASH_LEN, g->vector_hash);
	form = rd_u8(&d->rd);
	g->whole = form == 1;
	g->entry = wire_get_entries(d, WIRE_ENTRIES_MAX - d->entries,
	    &g->nentries);
	d->entries += g->nentries;
	if (form > 1 || (form == 0 && g->nentries != 0))
		rd_fail(&d->rd);
}

void
wire_read_pull(struct decoder *d)
{
	struct wire_pull *p = &d->m->pull;
	uint8_t flags;
	size_t i;

	p->id = rd_u32(&d->rd);
	flags = rd_u8(&d->rd);
	p->fetch_only = flags & PULL_FETCH_ONLY;
	rd_copy(&d->rd, WIRE_HASH_LEN, p->resume_page);
	p->resume_at = rd_u64(&d->rd);
	rd_copy(&d->rd, WIRE_CURSOR_LEN, p->merged);
	p->ngroups = rd_count(&d->rd, WIRE_GROUPS_MAX, PULL_GROUP_MIN);
	p->group = wire_get_room(d, p->ngroups, sizeof *p->group);
	if (p->group == NULL)
		p->ngroups = 0;
	for (i = 0; i < p->ngroups && !rd_failed(&d->rd); i++)
		read_pull_group(d, &p->group[i]);
	if (p->id == 0 || flags & ~PULL_FETCH_ONLY
	    || p->resume_at > WIRE_PAGE_MAX)
		rd_fail(&d->rd);
}

/* ---- PAGE ---- */

void
wire_write_page(struct buf *b, const struct wire_msg *m)
{
	const struct wire_page *p = &m->page;

	buf_add_u32(b, p->id);
	buf_add_u8(b, (p->zipped ? PAGE_ZIPPED : 0)
	    | (p->last ? PAGE_LAST : 0));
	buf_add(b, p->hash, WIRE_HASH_LEN);
	buf_add_u64(b, p->total);
	buf_add_u64(b, p->raw);
	buf_add_u64(b, p->offset);
	buf_add(b, p->bytes.data, p->bytes.len);
}

void
wire_read_page(struct decoder *d)
{
	struct wire_page *p = &d->m->page;
	struct rd *r = &d->rd;
	uint8_t flags;

	p->id = rd_u32(r);
	flags = rd_u8(r);
	p->zipped = flags & PAGE_ZIPPED;
	p->last = flags & PAGE_LAST;
	rd_copy(r, WIRE_HASH_LEN, p->hash);
	p->total = rd_u64(r);
	p->raw = rd_u64(r);
	p->offset = rd_u64(r);
	p->bytes = wire_get_bytes(d, rd_left(r));
	if (flags & ~(PAGE_ZIPPED | PAGE_LAST)
	    || p->total > WIRE_PAGE_MAX || p->bytes.len == 0
	    || p->bytes.len > p->total || p->offset > p->total - p->bytes.len
	    || p->last != (p->offset + p->bytes.len == p->total)
	    || (p->zipped ? !zip_may_expand(p->total, p->raw)
	    : p->raw != p->total))
		rd_fail(r);
}

/* ---- END ---- */

static void
write_end_group(struct buf *b, const struct wire_end_group *g)
{
	size_t i;

	buf_add_u8(b, (g->complete ? END_COMPLETE : 0)
	    | (g->nabsent > 0 ? END_ABSENT : 0));
	if (g->nabsent > 0)
		buf_add_varint(b, g->nabsent);
	for (i = 0; i < g->nabsent; i++)
		buf_add_varint(b, g->absent[i]);
	buf_add(b, g->vector_hash, WIRE_HASH_LEN);
	wire_put_entries(b, g->entry, g->nentries, WIRE_ENTRIES_MAX);
}

void
wire_write_end(struct buf *b, const struct wire_msg *m)
{
	const struct wire_end *e = &m->end;
	size_t i, tables = 0, entries = 0;

	buf_add_u32(b, e->id);
	buf_add(b, e->cursor, WIRE_CURSOR_LEN);
	wire_put_count(b, e->ngroups, WIRE_GROUPS_MAX);
	for (i = 0; i < e->ngroups; i++) {
		write_end_group(b, &e->group[i]);
		tables += e->group[i].nabsent;
		entries += e->group[i].nentries;
	}
	if (tables > WIRE_TABLES_MAX || entries > WIRE_ENTRIES_MAX)
		b->failed = true;
	wire_put_count(b, e->nothers, WIRE_OTHERS_MAX);
	for (i = 0; i < e->nothers; i++)
		wire_put_text(b, &e->other[i], WIRE_NAME_MAX);
}

static void
read_end_group(struct decoder *d, struct wire_end_group *g)
{
	uint8_t flags = rd_u8(&d->rd);
	size_t i;

	g->complete = flags & END_COMPLETE;
	if (flags & END_ABSENT)
		g->nabsent = rd_count(&d->rd, WIRE_TABLES_MAX - d->tables, 1);
	g->absent = wire_get_room(d, g->nabsent, sizeof *g->absent);
	if (g->absent == NULL)
		g->nabsent = 0;
	d->tables += g->nabsent;
	for (i = 0; i < g->nabsent; i++)
		g->absent[i] = (uint32_t)rd_varint(&d->rd, WIRE_TABLES_MAX);
	rd_copy(&d->rd, WIRE_HASH_LEN, g->vector_hash);
	g->entry = wire_get_entries(d, WIRE_ENTRIES_MAX - d->entries,
	    &g->nentries);
	d->entries += g->nentries;
	if (flags & ~(END_COMPLETE | END_ABSENT)
	    || !(flags & END_ABSENT) != (g->nabsent == 0))
		rd_fail(&d->rd);
}

void
wire_read_end(struct decoder *d)
{
	struct wire_end *e = &d->m->end;
	size_t i;

	e->id = rd_u32(&d->rd);
	rd_copy(&d->rd, WIRE_CURSOR_LEN, e->cursor);
	e->ngroups = rd_count(&d->rd, WIRE_GROUPS_MAX, END_GROUP_MIN);
	e->group = wire_get_room(d, e->ngroups, sizeof *e->group);
	if (e->group == NULL)
		e->ngroups = 0;
	for (i = 0; i < e->ngroups && !rd_failed(&d->rd); i++)
		read_end_group(d, &e->group[i]);
	e->nothers = rd_count(&d->rd, WIRE_OTHERS_MAX, 2);
	e->other = wire_get_room(d, e->nothers, sizeof *e->other);
	if (e->other == NULL)
		e->nothers = 0;
	for (i = 0; i < e->nothers; i++)
		e->other[i] = get_name(d);
}
