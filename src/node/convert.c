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

/* ---- plans ---- */

static int
group_out(const struct store_group *in, struct wire_group *out)
{
	size_t i;

	out->table = calloc(in->ntables > 0 ? in->ntables : 1,
	    sizeof *out->table);
	out->entry = convert_entries_out(in->vector.entry, in->vector.n);
	if (out->table == NULL || out->entry == NULL)
		return -1;
	for (i = 0; i < in->ntables; i++) {
		out->table[i].data = (const uint8_t *)in->table[i];
		out->table[i].len = strlen(in->table[i]);
	}
	out->ntables = in->ntables;
	out->nentries = in->vector.n;
	out->whole = true;
	memcpy(out->cursor, in->cursor, sizeof out->cursor);
	memcpy(out->vector_hash, in->vector.hash, sizeof out->vector_hash);
	return 0;
}

int
convert_plan_out(const struct store_plan *in, struct wire_pull *out,
    struct err *err)
{
	size_t i;

	memset(out, 0, sizeof *out);
	memcpy(out->merged, in->merged, sizeof out->merged);
	out->group = calloc(in->ngroups > 0 ? in->ngroups : 1,
	    sizeof *out->group);
	if (out->group == NULL)
		return err_nomem(err);
	for (i = 0; i < in->ngroups; i++) {
		out->ngroups++;
		if (group_out(&in->group[i], &out->group[i]) != 0) {
			convert_pull_clear(out);
			return err_nomem(err);
		}
	}
	return 0;
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
group_in(const struct wire_group *in, struct store_group *out)
{
	size_t i;

	memcpy(out->cursor, in->cursor, sizeof out->cursor);
	memcpy(out->vector.hash, in->vector_hash, sizeof out->vector.hash);
	out->vector_known = in->whole;
	if (in->whole) {
		out->vector.entry = convert_entries_in(in->entry, in->nentries);
		if (out->vector.entry == NULL)
			return -1;
		out->vector.n = in->nentries;
	}
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
	size_t i;

	memset(out, 0, sizeof *out);
	memcpy(out->merged, in->merged, sizeof out->merged);
	out->group = calloc(in->ngroups > 0 ? in->ngroups : 1,
	    sizeof *out->group);
	if (out->group == NULL)
		return err_nomem(err);
	for (i = 0; i < in->ngroups; i++) {
		out->ngroups++;
		if (group_in(&in->group[i], &out->group[i]) != 0) {
			store_plan_clear(out);
			return err_nomem(err);
		}
	}
	return 0;
}

/* ---- ends ---- */

static int
end_group_out(const struct store_end_group *in, struct wire_end_group *out)
{
	size_t i;

	out->absent = calloc(in->nabsent > 0 ? in->nabsent : 1,
	    sizeof *out->absent);
	out->entry = convert_entries_out(in->vector.entry, in->vector.n);
	if (out->absent == NULL || out->entry == NULL)
		return -1;
	for (i = 0; i < in->nabsent; i++)
		out->absent[i] = (uint32_t)in->absent[i];
	out->nabsent = in->nabsent;
	out->nentries = in->vector.n;
	out->complete = in->complete;
	memcpy(out->vector_hash, in->vector.hash, sizeof out->vector_hash);
	return 0;
}

int
convert_end_out(const struct store_end *in, struct wire_end *out,
    struct err *err)
{
	size_t i;

	memset(out, 0, sizeof *out);
	memcpy(out->cursor, in->cursor, sizeof out->cursor);
	out->group = calloc(in->ngroups > 0 ? in->ngroups : 1,
	    sizeof *out->group);
	if (out->group == NULL)
		return err_nomem(err);
	for (i = 0; i < in->ngroups; i++) {
		out->ngroups++;
		if (end_group_out(&in->group[i], &out->group[i]) != 0) {
			convert_end_clear(out);
			return err_nomem(err);
		}
	}
	return 0;
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
	memset(e, 0, sizeof *e);
}

static int
end_group_in(const struct wire_end_group *in, struct store_end_group *out)
{
	size_t i;

	out->complete = in->complete;
	memcpy(out->vector.hash, in->vector_hash, sizeof out->vector.hash);
	out->vector.entry = convert_entries_in(in->entry, in->nentries);
	out->absent = calloc(in->nabsent > 0 ? in->nabsent : 1,
	    sizeof *out->absent);
	if (out->vector.entry == NULL || out->absent == NULL)
		return -1;
	out->vector.n = in->nentries;
	for (i = 0; i < in->nabsent; i++)
		out->absent[i] = in->absent[i];
	out->nabsent = in->nabsent;
	return 0;
}

int
convert_end_in(const struct wire_end *in, struct store_end *out,
    struct err *err)
{
	size_t i;

	memset(out, 0, sizeof *out);
	memcpy(out->cursor, in->cursor, sizeof out->cursor);
	out->group = calloc(in->ngroups > 0 ? in->ngroups : 1,
	    sizeof *out->group);
	if (out->group == NULL)
		return err_nomem(err);
	for (i = 0; i < in->ngroups; i++) {
		out->ngroups++;
		if (end_group_in(&in->group[i], &out->group[i]) != 0) {
			store_end_clear(out);
			return err_nomem(err);
		}
	}
	return 0;
}
