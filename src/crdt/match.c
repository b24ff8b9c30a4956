// SPDX-License-Identifier: MPL-2.0
/* match.c - columns of a page and of this database; see match.h. */
#include "crdt/match.h"

#include <string.h>

#include "crdt/columns.h"

struct work {
	struct engine *e;
	struct table *here;
	const struct page_table *t;
	struct match *m;
	int *owner;             /* by index here: the page's column, or -1 */
};

void
match_clear(struct match *m)
{
	sqlite3_free(m->column);
	memset(m, 0, sizeof *m);
}

/* -- the same name -------------------------------------------------------------- */

/* Names that are not here must differ too: what is parked stands under them. */
static int
check_unknown(struct work *w)
{
	struct column_name *name;
	bool differ;
	int i, n = 0;

	name = sqlite3_malloc64(((size_t)w->t->ncol + 1) * sizeof *name);
	if (name == NULL)
		return SQLITE_NOMEM;
	for (i = 0; i < w->t->ncol; i++)
		if (w->m->column[i].col < 0)
			name[n++] = (struct column_name){
			    w->m->column[i].name, w->m->column[i].nname };
	differ = columns_differ(name, n);
	sqlite3_free(name);
	return differ ? SQLITE_OK : page_malformed(w->e);
}

static int
match_names(struct work *w)
{
	struct rd r = w->t->columns;
	struct match_column *c = w->m->column;
	int i, unknown = 0;

	for (i = 0; i < w->t->ncol; i++, c++) {
		page_text(&r, NAME_MAX_BYTES, &c->name, &c->nname);
		c->col = table_column(w->here, c->name, c->nname);
		if (c->nname == 0 || (c->col >= 0 && w->owner[c->col] >= 0))
			return page_malformed(w->e);
		if (c->col >= 0)
			w->owner[c->col] = i;
		else
			c->col = COLUMN_UNKNOWN;
		unknown += c->col < 0;
	}
	return unknown > 1 ? check_unknown(w) : SQLITE_OK;
}

/* -- a name that it had here, or there ---------------------------------------------- */

/* The one column here that has, or had, a name of column i, which has none of
 * the same name. */
static int
candidate(const struct work *w, int i)
{
	const struct match_column *c = &w->m->column[i];
	int k, len, at, found = columns_find(w->here, c->name, c->nname);
	struct rd r = w->t->old;
	const char *name;

	for (k = 0; k < w->t->nold; k++) {
		page_read_old(&r, w->t, &at, &name, &len);
		at = at == i ? columns_find(w->here, name, len) : -1;
		if (at >= 0 && found >= 0 && at != found)
			return COLUMN_UNKNOWN;
		found = at >= 0 ? at : found;
	}
	return found >= 0 ? found : COLUMN_UNKNOWN;
}

/* The page has by two names what would be one column here: there it is two, and
 * an old name of ours is another column's. */
static int
forget_shared(struct work *w, const struct match_column *c)
{
	return columns_find(w->here, c->name, c->nname) < 0 ? SQLITE_OK :
	    columns_forget_name(w->e, w->here, c->name, c->nname);
}

static int
match_old_names(struct work *w)
{
	struct match_column *c = w->m->column;
	int i, j, rc = SQLITE_OK;
	int *found;

	if (w->here->nold == 0 && w->t->nold == 0)
		return SQLITE_OK;
	found = sqlite3_malloc64(((size_t)w->t->ncol + 1) * sizeof *found);
	if (found == NULL)
		return SQLITE_NOMEM;
	for (i = 0; i < w->t->ncol; i++)
		found[i] = c[i].col < 0 ? candidate(w, i) : COLUMN_UNKNOWN;
	for (i = 0; i < w->t->ncol && rc == SQLITE_OK; i++) {
		if (found[i] < 0)
			continue;
		for (j = 0; j < w->t->ncol; j++)
			if (j != i && found[j] == found[i])
				break;
		if (j < w->t->ncol || w->owner[found[i]] >= 0)
			rc = forget_shared(w, &c[i]);
		else
			c[i].col = found[i];
	}
	sqlite3_free(found);
	return rc;
}

/* -- learning --------------------------------------------------------------------- */

static bool
page_has(const struct work *w, const char *name, int len)
{
	const struct match_column *c = w->m->column;
	int i;

	for (i = 0; i < w->t->ncol; i++)
		if (c[i].nname == len &&
		    sqlite3_strnicmp(c[i].name, name, len) == 0)
			return true;
	return false;
}

static int
learn(struct work *w, const char *name, int len, int col)
{
	if (len == 0 || memchr(name, '\0', (size_t)len) != NULL ||
	    columns_knows(w->here, name, len) ||
	    w->here->nold >= OLD_NAMES_MAX)
		return SQLITE_OK;
	w->m->learned = true;
	return columns_add_name(w->e, w->here, name, len, col);
}

static int
learn_names(struct work *w)
{
	const struct match_column *c = w->m->column;
	struct rd r = w->t->old;
	const char *name;
	int i, at, len, rc = SQLITE_OK;

	for (i = 0; i < w->t->ncol && rc == SQLITE_OK; i++)
		if (c[i].col >= 0)
			rc = learn(w, c[i].name, c[i].nname, c[i].col);
	for (i = 0; i < w->t->nold && rc == SQLITE_OK; i++) {
		page_read_old(&r, w->t, &at, &name, &len);
		if (c[at].col >= 0 && !page_has(w, name, len))
			rc = learn(w, name, len, c[at].col);
	}
	return rc;
}

int
match_table(struct engine *e, struct table *here, const struct page_table *t,
    struct match *m)
{
	struct work w = { e, here, t, m, NULL };
	int i, rc = SQLITE_NOMEM;

	memset(m, 0, sizeof *m);
	m->column = sqlite3_malloc64(((size_t)t->ncol + 1) * sizeof *m->column);
	w.owner = sqlite3_malloc64(((size_t)here->ncol + 1) * sizeof *w.owner);
	if (m->column != NULL && w.owner != NULL) {
		memset(w.owner, 0xFF, (size_t)here->ncol * sizeof *w.owner);
		rc = match_names(&w);
	}
	if (rc == SQLITE_OK)
		rc = match_old_names(&w);
	if (rc == SQLITE_OK)
		rc = learn_names(&w);
	m->same = rc == SQLITE_OK && t->ncol == here->ncol;
	for (i = 0; i < t->ncol && m->same; i++)
		m->same = m->column[i].col == i;
	sqlite3_free(w.owner);
	return rc;
}
