// SPDX-License-Identifier: MPL-2.0
#include "store/fetched.h"

#include <stdio.h>
#include <string.h>

#include "store/keep.h"
#include "store/sql.h"
#include "store/store_private.h"
#include "store/vector.h"

/* -- may it be merged? ---------------------------------------------------------- */

/* The database is the one that asked, and not an older copy of it; and the
 * pages are there. */
static int
same_database(struct store *s, const struct run *r, bool *same,
    struct err *err)
{
	struct store_entry e = r->own;
	uint64_t common;
	int rc;

	*same = !r->lost && memcmp(r->database, s->id.database,
	    sizeof r->database) == 0;
	if (!*same || e.version == 0)
		return 0;
	rc = store_common(s, &e, 1, &common, err);
	*same = common == e.version;
	return rc;
}

static const struct asked_group *
group_of(const struct asked *a, const char *name, int64_t tbl)
{
	size_t i, k;

	for (i = 0; i < a->n; i++)
		for (k = 0; k < a->group[i].n; k++)
			if (a->group[i].tbl[k] == tbl &&
			    strcmp(a->group[i].name[k], name) == 0)
				return &a->group[i];
	return NULL;
}

/* A group of the run fits what its tables have merged so far (here), or will
 * have when the run before is merged (there, may be NULL).  *low is the least
 * far of them; tables that are gone don't count. */
static bool
group_fits(const struct asked_group *g, const struct asked *here,
    const struct asked *there, const uint8_t **low)
{
	const struct asked_group *h, *t;
	const uint8_t *at;
	size_t k;

	*low = NULL;
	for (k = 0; k < g->n; k++) {
		h = group_of(here, g->name[k], g->tbl[k]);
		if (h == NULL)
			continue;
		t = there != NULL ? group_of(there, g->name[k], g->tbl[k]) :
		    NULL;
		at = t != NULL ? t->cursor : h->cursor;
		if (!asked_not_after(g->start, at) ||
		    !vector_covers(&h->vector, &g->vector))
			return false;
		if (*low == NULL || asked_not_after(at, *low))
			*low = at;
	}
	return true;
}

int
fetched_fits(struct store *s, int64_t remote, const struct run *r,
    const struct asked *before, bool *fits, struct err *err)
{
	static const struct asked none;
	const uint8_t *low;
	struct asked here;
	size_t i;
	int rc;

	rc = same_database(s, r, fits, err);
	if (rc != 0 || !*fits)
		return rc;
	rc = asked_load(s->db, remote, &none, &here, err);
	for (i = 0; i < r->asked.n && rc == 0 && *fits; i++)
		*fits = group_fits(&r->asked.group[i], &here, before, &low);
	asked_clear(&here);
	return rc;
}

/* Removes that run and those after it, which went on from it. */
static int
drop_from(struct store *s, const uint8_t key[static KEY_LEN], int64_t run,
    struct err *err)
{
	struct run r;
	int rc;

	do {
		rc = inbox_run(s, key, run - 1, &r, err);
		run = r.id;
		run_clear(&r);
		if (rc == 0 && run != 0)
			rc = inbox_remove_run(s, run, err);
	} while (rc == 0 && run != 0);
	return rc;
}

int
fetched_check(struct store *s, int64_t remote,
    const uint8_t key[static KEY_LEN], struct run *last, struct err *err)
{
	struct run r;
	bool fits;
	int rc;

	memset(last, 0, sizeof *last);
	for (;;) {
		rc = inbox_run(s, key, last->id, &r, err);
		if (rc != 0 || r.id == 0)
			break;
		rc = fetched_fits(s, remote, &r, last->id != 0 ?
		    &last->asked : NULL, &fits, err);
		/* Nothing goes on from a run that has no END. */
		if (rc == 0 && last->id != 0 && !last->ended)
			fits = false;
		if (rc == 0 && !fits)
			rc = drop_from(s, key, r.id, err);
		if (rc != 0 || !fits)
			break;
		run_clear(last);
		*last = r;
	}
	run_clear(&r);
	return rc;
}

/* -- merging ---------------------------------------------------------------------- */

struct step {
	struct store *s;
	int64_t remote;
	struct run *run;
	const struct merge_limits *limits;
	struct store_result *result;
	struct merge merge;
	bool open;              /* a transaction is */
	uint64_t transactions, rows;    /* in it */
};

static int
step_begin(struct step *t, struct err *err)
{
	int rc;

	if (t->open)
		return 0;
	t->transactions = t->rows = 0;
	rc = merge_begin(&t->merge, t->s, t->remote, &t->run->asked, err);
	t->open = rc == 0;
	return rc;
}

/* Commits, then removes what is merged; killed in between, it is merged once
 * more, which changes nothing. */
static int
step_end(struct step *t, int64_t seq, int rc, struct err *err)
{
	if (!t->open)
		return rc;
	t->open = false;
	rc = merge_end(&t->merge, rc, err);
	if (rc != 0)
		return rc;
	t->result->transactions += t->transactions;
	t->result->rows += t->rows;
	return seq > 0 ? inbox_remove_pages(t->s, t->run->id, seq, err) : 0;
}

/* True if every group stands behind that place already. */
static bool
is_behind(const struct asked *a, const uint8_t end[STORE_CURSOR_LEN])
{
	size_t i;

	for (i = 0; i < a->n; i++)
		if (!asked_not_after(end, a->group[i].cursor))
			return false;
	return a->n > 0;
}

static int
step_page(struct step *t, int64_t seq, const uint8_t *page, size_t len,
    struct err *err)
{
	struct arrival a;
	int rc;

	rc = arrival_read(t->s, page, len, &a, err);
	if (rc == 0 && (t->open || a.ends_inside ||
	    !is_behind(&t->run->asked, a.end))) {
		rc = step_begin(t, err);
		if (rc == 0)
			rc = merge_page(&t->merge, page, len, &a, err);
		t->transactions += a.transactions;
		t->rows += a.rows;
		if (rc == 0 && !a.ends_inside && seq < t->run->whole &&
		    merge_full(&t->merge, t->limits))
			rc = step_end(t, seq, 0, err);
	}
	arrival_clear(&a);
	return rc;
}

static int
step_complete(struct step *t, struct err *err)
{
	bool news = false;
	int rc;

	if (!t->run->ended)
		return 0;
	rc = merge_check_end(&t->run->asked, &t->run->end, err);
	if (rc == 0 && !t->open)
		rc = merge_has_news(t->s, t->remote, &t->run->asked,
		    &t->run->end, &news, err);
	if (rc == 0 && news)
		rc = step_begin(t, err);
	return rc == 0 && t->open ?
	    merge_complete(&t->merge, &t->run->end, err) : rc;
}

static int
merge_run(struct store *s, int64_t remote, struct run *r,
    const struct merge_limits *limits, struct store_result *result,
    struct err *err)
{
	struct step t = { .s = s, .remote = remote, .run = r,
		.limits = limits, .result = result };
	const uint8_t *page;
	int64_t seq, done = 0;
	size_t len;
	int rc = 0;

	while (rc == 0 && done < r->whole) {
		rc = inbox_page(s, r->id, done, &seq, &page, &len, err);
		if (rc == 0 && seq == 0 && done > 0)
			rc = err_set(err, E_INTEGRITY, "pull again", "the inbox "
			    "was emptied during the merge");
		if (rc != 0 || seq == 0 || seq > r->whole)
			break;
		rc = step_page(&t, seq, page, len, err);
		if (rc == 0)
			done = seq;
	}
	if (rc == 0)
		rc = step_complete(&t, err);
	rc = step_end(&t, done, rc, err);
	/* Pages that were merged in an earlier life. */
	if (rc == 0 && done > 0)
		rc = inbox_remove_pages(s, r->id, done, err);
	return rc;
}

/* Puts the cursors of the run to where the database stands. */
static int
take_place(struct store *s, int64_t remote, struct run *r, bool *fits,
    struct err *err)
{
	static const struct asked none;
	const uint8_t *low;
	struct asked here;
	size_t i;
	int rc;

	rc = same_database(s, r, fits, err);
	if (rc != 0 || !*fits)
		return rc;
	rc = asked_load(s->db, remote, &none, &here, err);
	for (i = 0; i < r->asked.n && rc == 0 && *fits; i++) {
		struct asked_group *g = &r->asked.group[i];

		*fits = group_fits(g, &here, NULL, &low);
		memcpy(g->cursor, *fits && low != NULL ? low : g->start,
		    STORE_CURSOR_LEN);
	}
	asked_settle(&r->asked, false);
	asked_clear(&here);
	return rc;
}

int
fetched_merge(struct store *s, int64_t remote,
    const uint8_t key[static KEY_LEN], const struct merge_limits *limits,
    struct run *left, struct store_result *result, struct err *err)
{
	bool fits, first = true;
	struct run r;
	int rc;

	memset(left, 0, sizeof *left);
	for (;; first = false) {
		rc = inbox_run(s, key, 0, &r, err);
		left->dropped = rc == 0 && r.id == 0 && first;
		if (rc != 0 || r.id == 0)
			break;
		rc = take_place(s, remote, &r, &fits, err);
		if (rc == 0 && !fits) {
			rc = drop_from(s, key, r.id, err);
			left->dropped = true;
			break;
		}
		if (rc == 0)
			rc = merge_run(s, remote, &r, limits, result, err);
		if (rc == 0 && !r.ended && r.last > r.whole) {
			run_clear(&r);
			return inbox_run(s, key, 0, left, err);
		}
		/* What can't be read or applied is of no use later. */
		if (rc == 0 || rc == E_INTEGRITY || rc == E_HORIZON)
			inbox_remove_run(s, r.id, rc == 0 ? err : NULL);
		if (rc != 0)
			break;
		run_clear(&r);
	}
	run_clear(&r);
	return rc == 0 ? keep_over(s, remote, err) : rc;
}

int
fetched_held(struct store *s, int64_t remote, struct store_result *result,
    struct err *err)
{
	snprintf(result->why, sizeof result->why, "%s", err != NULL ? err->text :
	    "");
	snprintf(result->hint, sizeof result->hint, "%s", err != NULL ? err->hint :
	    "");
	err_clear(err);
	return keep_held(s, remote, err);
}

void
store_allow_delete(struct store *s, bool allow)
{
	s->allow_delete = allow;
}

int
store_merge_inbox(struct store *s, int64_t remote, struct store_result *out,
    struct err *err)
{
	uint8_t key[KEY_LEN];
	struct merge_limits limits;
	uint64_t before, after;
	struct run left;
	bool found;
	int rc;

	memset(out, 0, sizeof *out);
	memset(&left, 0, sizeof left);
	rc = store_writable(s, err);
	if (rc == 0)
		rc = keep_next(s, remote, err);
	if (rc == 0)
		rc = sql_bytes(s->db, key, sizeof key, &found, err,
		    "SELECT key FROM ddcp_remote WHERE id = ?1", "i", remote);
	if (rc == 0 && !found)
		rc = err_set(err, E_NOTFOUND, NULL, "there is no such remote");
	if (rc == 0)
		rc = merge_limits(s, &limits, err);
	if (rc == 0)
		rc = merge_parked(s->db, &before, err);
	if (rc == 0)
		rc = fetched_merge(s, remote, key, &limits, &left, out, err);
	if (rc == E_HELD)
		rc = fetched_held(s, remote, out, err);
	if (rc == 0)
		rc = merge_parked(s->db, &after, err);
	if (rc == 0 && after > before)
		out->parked = after - before;
	if (rc == 0)
		rc = inbox_held(s, key, &out->held, &before, err);
	run_clear(&left);
	return rc;
}

int
store_cleanup(struct store *s, uint64_t *pages, uint64_t *bytes,
    struct err *err)
{
	return inbox_count(s, true, pages, bytes, err);
}
