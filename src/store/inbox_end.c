// SPDX-License-Identifier: MPL-2.0
/* inbox_end.c - what END said, as bytes for the inbox: what a merge needs. */
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "store/inbox.h"
#include "store/vector.h"

enum { END_MAX = 64 << 20 };

void
store_end_clear(struct store_end *e)
{
	size_t i;

	for (i = 0; i < e->ngroups; i++) {
		free(e->group[i].absent);
		store_vector_clear(&e->group[i].vector);
	}
	free(e->group);
	for (i = 0; i < e->nothers; i++)
		free(e->other[i]);
	free(e->other);
	memset(e, 0, sizeof *e);
}

int
inbox_encode_end(const struct store_end *e, struct buf *b, struct err *err)
{
	size_t i, k;

	buf_init(b, END_MAX);
	buf_add(b, e->cursor, STORE_CURSOR_LEN);
	buf_add_varint(b, e->ngroups);
	for (i = 0; i < e->ngroups; i++) {
		const struct store_end_group *g = &e->group[i];

		buf_add_u8(b, g->complete);
		buf_add_varint(b, g->nabsent);
		for (k = 0; k < g->nabsent; k++)
			buf_add_varint(b, g->absent[k]);
		vector_encode(&g->vector, b);
	}
	return b->failed ? err_nomem(err) : 0;
}

static int
decode_end_group(struct rd *r, struct store_end_group *g, struct err *err)
{
	uint64_t n;

	g->complete = rd_u8(r) != 0;
	n = rd_varint(r, rd_left(r));
	g->absent = calloc(n + 1, sizeof *g->absent);
	if (g->absent == NULL)
		return err_nomem(err);
	for (; g->nabsent < n; g->nabsent++)
		g->absent[g->nabsent] = rd_varint(r, UINT32_MAX);
	return vector_decode(r, &g->vector, err);
}

int
inbox_decode_end(const uint8_t *data, size_t len, struct store_end *e,
    struct err *err)
{
	struct rd r;
	uint64_t n;
	int rc = 0;

	memset(e, 0, sizeof *e);
	rd_init(&r, data, len);
	rd_copy(&r, sizeof e->cursor, e->cursor);
	n = rd_varint(&r, rd_left(&r));
	e->group = calloc(n + 1, sizeof *e->group);
	if (e->group == NULL)
		return err_nomem(err);
	while (e->ngroups < n && rc == 0)
		rc = decode_end_group(&r, &e->group[e->ngroups++], err);
	if (rc == 0 && !rd_done(&r))
		rc = err_set(err, E_INTEGRITY, NULL, "the inbox is damaged");
	return rc;
}
