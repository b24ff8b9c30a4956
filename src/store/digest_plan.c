// SPDX-License-Identifier: MPL-2.0
/*
 * digest_plan.c - what each side of a verification has: its tables, their
 * columns, and where it stands with the other, as a pull would say it.
 */
#include <stdlib.h>
#include <string.h>

#include "store/asked.h"
#include "store/digest.h"
#include "store/sql.h"

static int
by_name(const void *a, const void *b)
{
	return sqlite3_stricmp(*(char *const *)a, *(char *const *)b);
}

static int
add_name(struct digest_names *n, const char *name, struct err *err)
{
	char **more;

	if (n->n % 16 == 0) {
		more = realloc(n->name, (n->n + 16) * sizeof *more);
		if (more == NULL)
			return err_nomem(err);
		n->name = more;
	}
	n->name[n->n] = name != NULL ? strdup(name) : NULL;
	if (n->name[n->n] == NULL)
		return err_nomem(err);
	n->n++;
	return 0;
}

static void
sort(struct digest_names *n)
{
	if (n->n > 0)
		qsort(n->name, n->n, sizeof *n->name, by_name);
}

/* Computed columns are each side's own. */
static int
read_shape(sqlite3 *db, const char *table, struct digest_shape *s,
    struct err *err)
{
	sqlite3_stmt *stmt;
	bool row = true;
	int rc;

	s->name = strdup(table);
	if (s->name == NULL)
		return err_nomem(err);
	rc = sql_open(db, &stmt, err, "SELECT name, pk FROM "
	    "pragma_table_xinfo(?1) WHERE hidden = 0", "t", table);
	while (rc == 0) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		if (sqlite3_column_int(stmt, 1) > 0)
			s->nkey++;
		else
			rc = add_name(&s->columns,
			    (const char *)sqlite3_column_text(stmt, 0), err);
	}
	sqlite3_finalize(stmt);
	sort(&s->columns);
	return rc;
}

static int
read_shapes(sqlite3 *db, struct digest_msg *m, struct err *err)
{
	size_t i, k, n = 0;
	int rc = 0;

	for (i = 0; i < m->plan.ngroups; i++)
		n += m->plan.group[i].ntables;
	m->shape = calloc(n + 1, sizeof *m->shape);
	if (m->shape == NULL)
		return err_nomem(err);
	for (i = 0; i < m->plan.ngroups && rc == 0; i++)
		for (k = 0; k < m->plan.group[i].ntables && rc == 0; k++)
			rc = read_shape(db, m->plan.group[i].table[k],
			    &m->shape[m->nshapes++], err);
	return rc;
}

int
digest_plan(sqlite3 *db, int64_t remote, struct digest_msg *m,
    struct err *err)
{
	struct asked none = { .n = 0 }, a;
	int rc = asked_load(db, remote, &none, &a, err);

	if (rc == 0)
		rc = asked_plan(&a, &m->plan, err);
	asked_clear(&a);
	return rc == 0 ? read_shapes(db, m, err) : rc;
}

int
digest_match(struct digest_table *t, struct err *err)
{
	struct digest_names *a = &t->here.columns, *b = &t->there.columns;
	size_t i = 0, k = 0;
	int order, rc = 0;

	t->compared = t->here.name != NULL && t->there.name != NULL &&
	    t->here.nkey == t->there.nkey;
	if (!t->compared)
		return 0;
	sort(b);
	while (i < a->n && k < b->n && rc == 0) {
		order = sqlite3_stricmp(a->name[i], b->name[k]);
		if (order == 0)
			rc = add_name(&t->common, a->name[i], err);
		i += order <= 0;
		k += order >= 0;
	}
	return rc;
}
