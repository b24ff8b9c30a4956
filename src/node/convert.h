// SPDX-License-Identifier: MPL-2.0
/*
 * convert.h - the same things as the store and as the wire see them.  What is
 * made here is cleared by the functions beside it; texts and entries are
 * copied only where the two need them in another shape.
 */
#ifndef NODE_CONVERT_H
#define NODE_CONVERT_H

#include "store/peer.h"
#include "wire/msg.h"

void convert_entry_out(const struct store_entry *in, struct wire_entry *out);
void convert_entry_in(const struct wire_entry *in, struct store_entry *out);

/* Arrays of n, to be freed; NULL without memory (never for n == 0). */
struct wire_entry *convert_entries_out(const struct store_entry *in,
    size_t n);
struct store_entry *convert_entries_in(const struct wire_entry *in,
    size_t n);

/* own and yours of a HELLO, which out points to. */
struct convert_hello {
	struct wire_hello hello;
	struct wire_own own[64];
	struct wire_entry yours[64];
};
void convert_hello(const struct store_hello *in, struct convert_hello *out);

/* Table names stay the plan's. */
int convert_plan_out(const struct store_plan *in, struct wire_pull *out,
    struct err *err);
void convert_pull_clear(struct wire_pull *p);

/* Clear with store_plan_clear(). */
int convert_plan_in(const struct wire_pull *in, struct store_plan *out,
    struct err *err);

int convert_end_out(const struct store_end *in, struct wire_end *out,
    struct err *err);
void convert_end_clear(struct wire_end *e);

/* Clear with store_end_clear(). */
int convert_end_in(const struct wire_end *in, struct store_end *out,
    struct err *err);

#endif
