// SPDX-License-Identifier: MPL-2.0
#include "node/convert.h"

#include <stdlib.h>
#include <string.h>

_Static_assert((int)STORE_CURSOR_LEN == (int)WIRE_CURSOR_LEN
    && (int)STORE_SITE_LEN == (int)WIRE_SITE_LEN
    && (int)STORE_TOKEN_LEN == (int)WIRE_TOKEN_LEN
    && (int)STORE_HASH_LEN == (int)WIRE_HASH_LEN, "the same lengths");

void
convert_entry_out(const struct store_entry *in, struct wire_entry *out)
{
	memcpy(out->site, in->site, sizeof out->site);
	memcpy(out->token, in->token, sizeof out->token);
	out->version = in->version;
}

void
convert_entry_in(const struct wire_entry *in, struct store_entry *out)
{
	memcpy(out->site, in->site, sizeof out->site);
	memcpy(out->token, in->token, sizeof out->token);
	out->version = in->version;
}

struct wire_entry *
convert_entries_out(const struct store_entry *in, size_t n)
{
	struct wire_entry *out = calloc(n > 0 ? n : 1, sizeof *out);
	size_t i;

	for (i = 0; i < n && out != NULL; i++)
		convert_entry_out(&in[i], &out[i]);
	return out;
}

struct store_entry *
convert_entries_in(const struct wire_entry *in, size_t n)
{
	struct store_entry *out = calloc(n > 0 ? n : 1, sizeof *out);
	size_t i;

	for (i = 0; i < n && out != NULL; i++)
		convert_entry_in(&in[i], &out[i]);
	return out;
}

void
convert_hello(const struct store_hello *in, struct convert_hello *out)
{
	size_t i;

	memset(out, 0, sizeof *out);
	memcpy(out->hello.head, in->head, sizeof out->hello.head);
	memcpy(out->hello.schema, in->schema, sizeof out->hello.schema);
	for (i = 0; i < in->nown; i++) {
		memcpy(out->own[i].incarnation, in->own[i].incarnation,
		    sizeof out->own[i].incarnation);
		memcpy(out->own[i].token, in->own[i].token,
		    sizeof out->own[i].token);
		out->own[i].version = in->own[i].version;
	}
	for (i = 0; i < in->nyours; i++)
		convert_entry_out(&in->yours[i], &out->yours[i]);
	out->hello.own = out->own;
	out->hello.nown = in->nown;
	out->hello.yours = out->yours;
	out->hello.nyours = in->nyours;
}

/* ---- groups ---- */

/* Vectors stand in plans and in ends, with other things around them. */
static int
vector_out(const struct store_vector *in, struct wire_entry **entry,
    size_t *n, uint8_t hash[static WIRE_HASH_LEN])
{
	*entry = convert_entries_out(in->entry, in->n);
	if (*entry == NULL)
		return -1;
	*n = in->n;
	memcpy(hash, in->hash, WIRE_HASH_LEN);
	return 0;
}

static int
vector_in(const struct wire_entry *entry, size_t n,
    const uint8_t hash[static WIRE_HASH_LEN], struct store_vector *out)
{
	out->entry = convert_entries_in(entry, n);
	if (out->entry == NULL)
		return -1;
	out->n = n;
	memcpy(out->hash, hash, WIRE_HASH_LEN);
	return 0;
}

/* One group, of a plan or of an end, in or out; -1 without memory. */
typedef int group_fn(const void *in, void *out);

/* Converts n groups into an array of as many, which the caller owns; *done
 * counts those that are to be cleared, also where one failed. */
static void *
groups(group_fn *convert, const void *in, size_t in_size, size_t n,
    size_t out_size, size_t *done, bool *failed)
{
	void *out = calloc(n > 0 ? n : 1, out_size);
	const char *from = in;
	char *to = out;

	*failed = out == NULL;
	for (; *done < n && !*failed; from += in_size, to += out_size) {
		++*done;
		*failed = convert(from, to) != 0;
	}
	return out;
}

/* ---- plans ---- */

static int
group_out(const void *from, void *to)
{
	const struct store_group *in = from;
	struct wire_group *out = to;
	size_t i;

	out->table = calloc(in->ntables > 0 ? in->ntables : 1,
	    sizeof *out->table);
	if (out->table == NULL || vector_out(&in->vector, &out->entry,
	    &out->nentries, out->vector_hash) != 0)
		return -1;
	for (i = 0; i < in->ntables; i++) {
		out->table[i].data = (const uint8_t *)in->table[i];
		out->table[i].len = strlen(in->table[i]);
	}
	out->ntables = in->ntables;
	out->whole = true;
	memcpy(out->cursor, in->cursor, sizeof out->cursor);
	return 0;
}

int
convert_plan_out(const struct store_plan *in, struct wire_pull *out,
    struct err *err)
{
	bool failed;

	memset(out, 0, sizeof *out);
	memcpy(out->merged, in->merged, sizeof out->merged);
	out->group = groups(group_out, in->group, sizeof *in->group,
	    in->ngroups, sizeof *out->group, &out->ngroups, &failed);
	if (!failed)
		return 0;
	convert_pull_clear(out);
	return err_nomem(err);
}

void
convert_pull_clear(struct wire_pull *p)
{
	size_t i;

	for (i = 0; i < p->ngroups; i++) {
		free(p->group[i].table);
		free(p->group[i].entry);
	}
	free(p->group);
	memset(p, 0, sizeof *p);
}

static int
group_in(const void *from, void *to)
{
	const struct wire_group *in = from;
	struct store_group *out = to;
	size_t i;

	memcpy(out->cursor, in->cursor, sizeof out->cursor);
	out->vector_known = in->whole;
	if (vector_in(in->entry, in->whole ? in->nentries : 0, in->vector_hash,
	    &out->vector) != 0)
		return -1;
	out->table = calloc(in->ntables > 0 ? in->ntables : 1,
	    sizeof *out->table);
	if (out->table == NULL)
		return -1;
	for (i = 0; i < in->ntables; i++) {
		out->table[i] = strndup((const char *)in->table[i].data,
		    in->table[i].len);
		if (out->table[i] == NULL)
			return -1;
		out->ntables++;
	}
	return 0;
}

int
convert_plan_in(const struct wire_pull *in, struct store_plan *out,
    struct err *err)
{
	bool failed;

	memset(out, 0, sizeof *out);
	memcpy(out->merged, in->merged, sizeof out->merged);
	out->group = groups(group_in, in->group, sizeof *in->group,
	    in->ngroups, sizeof *out->group, &out->ngroups, &failed);
	if (!failed)
		return 0;
	store_plan_clear(out);
	return err_nomem(err);
}

/* ---- ends ---- */

static int
end_group_out(const void *from, void *to)
{
	const struct store_end_group *in = from;
	struct wire_end_group *out = to;
	size_t i;

	out->absent = calloc(in->nabsent > 0 ? in->nabsent : 1,
	    sizeof *out->absent);
	if (out->absent == NULL || vector_out(&in->vector, &out->entry,
	    &out->nentries, out->vector_hash) != 0)
		return -1;
	for (i = 0; i < in->nabsent; i++)
		out->absent[i] = (uint32_t)in->absent[i];
	out->nabsent = in->nabsent;
	out->complete = in->complete;
	return 0;
}

int
convert_end_out(const struct store_end *in, struct wire_end *out,
    struct err *err)
{
	bool failed;
	size_t i;

	memset(out, 0, sizeof *out);
	memcpy(out->cursor, in->cursor, sizeof out->cursor);
	out->group = groups(end_group_out, in->group, sizeof *in->group,
	    in->ngroups, sizeof *out->group, &out->ngroups, &failed);
	out->other = calloc(in->nothers + 1, sizeof *out->other);
	for (i = 0; i < in->nothers && out->other != NULL; i++) {
		out->other[i].data = (const uint8_t *)in->other[i];
		out->other[i].len = strlen(in->other[i]);
		out->nothers++;
	}
	if (!failed && out->other != NULL)
		return 0;
	convert_end_clear(out);
	return err_nomem(err);
}

void
convert_end_clear(struct wire_end *e)
{
	size_t i;

	for (i = 0; i < e->ngroups; i++) {
		free(e->group[i].absent);
		free(e->group[i].entry);
	}
	free(e->group);
	free(e->other);
	memset(e, 0, sizeof *e);
}

static int
end_group_in(const void *from, void *to)
{
	const struct wire_end_group *in = from;
	struct store_end_group *out = to;
	size_t i;

	out->complete = in->complete;
	out->absent = calloc(in->nabsent > 0 ? in->nabsent : 1,
	    sizeof *out->absent);
	if (out->absent == NULL || vector_in(in->entry, in->nentries,
	    in->vector_hash, &out->vector) != 0)
		return -1;
	for (i = 0; i < in->nabsent; i++)
		out->absent[i] = in->absent[i];
	out->nabsent = in->nabsent;
	return 0;
}

int
convert_end_in(const struct wire_end *in, struct store_end *out,
    struct err *err)
{
	bool failed;
	size_t i;

	memset(out, 0, sizeof *out);
	memcpy(out->cursor, in->cursor, sizeof out->cursor);
	out->group = groups(end_group_in, in->group, sizeof *in->group,
	    in->ngroups, sizeof *out->group, &out->ngroups, &failed);
	out->other = calloc(in->nothers + 1, sizeof *out->other);
	failed |= out->other == NULL;
	for (i = 0; i < in->nothers && !failed; i++) {
		out->other[i] = strndup((const char *)in->other[i].data,
		    in->other[i].len);
		failed = out->other[i] == NULL;
		out->nothers += !failed;
	}
	if (!failed)
		return 0;
	store_end_clear(out);
	return err_nomem(err);
}
