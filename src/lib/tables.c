// SPDX-License-Identifier: MPL-2.0
/* tables.c - which tables are replicated, and what will not merge well. */
#include "lib/handle.h"

int
ddcp_track(ddcp *d, const char *table, bool *already, ddcp_error *error)
{
	struct err err = { .code = 0 };
	bool was = false;
	int rc = store_track(d->store, table, &was, &err);

	if (already != NULL)
		*already = was;
	return lib_error(rc, &err, error);
}

int
ddcp_untrack(ddcp *d, const char *table, ddcp_error *error)
{
	struct err err = { .code = 0 };

	return lib_error(store_untrack(d->store, table, &err), &err, error);
}

struct table_walk {
	int (*each)(void *self, const char *table, bool tracked);
	void *self;
};

static int
show_table(void *self, const char *table, bool tracked)
{
	const struct table_walk *w = self;

	return w->each(w->self, table, tracked);
}

int
ddcp_table_each(ddcp *d,
    int (*each)(void *self, const char *table, bool tracked), void *self,
    ddcp_error *error)
{
	struct table_walk w = { each, self };
	struct err err = { .code = 0 };

	return lib_error(store_table_each(d->store, show_table, &w, &err), &err,
	    error);
}

struct check_walk {
	int (*each)(void *self, const ddcp_finding *finding);
	void *self;
	bool grave;
};

static int
show_finding(void *self, const char *table, enum store_lint_grade grade,
    const char *rule, const char *text)
{
	static const enum ddcp_finding_grade grades[] = {
		[LINT_NOTE] = DDCP_NOTE,
		[LINT_WARNING] = DDCP_WARNING,
		[LINT_REFUSAL] = DDCP_REFUSAL,
	};
	struct check_walk *w = self;
	ddcp_finding f = { .grade = grades[grade], .subject = table,
		.rule = rule, .text = text, .hint = "" };

	w->grave |= grade != LINT_NOTE;
	return w->each(w->self, &f);
}

int
ddcp_check(ddcp *d, const char *table,
    int (*each)(void *self, const ddcp_finding *finding), void *self,
    ddcp_error *error)
{
	struct check_walk w = { each, self, false };
	struct err err = { .code = 0 };
	int rc = store_check(d->store, table, show_finding, &w, &err);

	if (rc == 0 && w.grave)
		rc = err_set(&err, E_DIFFERENT, NULL,
		    "something will not merge well");
	return lib_error(rc, &err, error);
}
