// SPDX-License-Identifier: MPL-2.0
/* fsck.c - whether a database agrees with itself. */
#include "lib/handle.h"

struct fault_walk {
	int (*each)(void *self, const ddcp_finding *finding);
	void *self;
};

static int
give_fault(void *self, const struct store_fault *f)
{
	const struct fault_walk *w = self;
	ddcp_finding out = { .grade = f->wrong ? DDCP_WARNING : DDCP_NOTE,
		.subject = f->part, .rule = f->rule, .text = f->text,
		.hint = f->hint };

	return w->each(w->self, &out);
}

int
ddcp_fsck(ddcp *d, int (*each)(void *self, const ddcp_finding *finding),
    void *self, ddcp_health *out, ddcp_error *error)
{
	struct fault_walk w = { each, self };
	struct store_health h = { 0 };
	struct err err = { .code = 0 };
	int rc = lib_idle(d, &err);

	if (rc == 0)
		rc = store_fsck(d->store, give_fault, &w, &h, &err);
	if (out != NULL)
		*out = (ddcp_health){ .tables = h.tables, .rows = h.rows,
			.transactions = h.transactions, .pending = h.pending,
			.waiting = h.waiting, .wrong = h.faults };
	if (rc == 0 && h.faults > 0)
		rc = err_set(&err, E_DIFFERENT, NULL,
		    "something is wrong with the database");
	return lib_error(rc, &err, error);
}
