// SPDX-License-Identifier: MPL-2.0
/*
 * pull_take.c - pages as they come.  They wait in memory until a transaction ends and
 * a batch is full, and are merged then.  A transaction that is too large for memory
 * waits in the inbox; so does everything that is only fetched.
 */
#include "store/pull.h"

#include <stdlib.h>
#include <string.h>

#include "store/fetched.h"
#include "store/inbox.h"
#include "store/store_private.h"

/* -- pages in memory -------------------------------------------------------- */

static void
free_waiting(struct store_pull *p, struct waiting_page *w)
{
	p->wait_bytes -= w->len;
	p->wait_rows -= w->arrival.rows;
	free(w->data);
	arrival_clear(&w->arrival);
}

void
pull_drop_waiting(struct store_pull *p, size_t from)
{
	size_t i;

	for (i = from; i < p->nwait; i++)
		free_waiting(p, &p->wait[i]);
	p->nwait = from < p->nwait ? from : p->nwait;
	if (p->nwhole > p->nwait)
		p->nwhole = p->nwait;
}

/* Takes the first n, which are dealt with, out of the list. */
static void
shift_waiting(struct store_pull *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		free_waiting(p, &p->wait[i]);
	p->nwait -= n;
	p->nwhole -= n < p->nwhole ? n : p->nwhole;
	if (p->nwait > 0)
		memmove(p->wait, p->wait + n, p->nwait * sizeof *p->wait);
}

/* Adds a page to the list; the arrival goes over to it. */
static int
add_waiting(struct store_pull *p, uint8_t *owned, const uint8_t *bytes,
    size_t len, struct arrival *a, struct err *err)
{
	struct waiting_page *w;
	size_t room = p->wait_room != 0 ? p->wait_room * 2 : 16;

	if (p->nwait == p->wait_room) {
		w = realloc(p->wait, room * sizeof *w);
		if (w == NULL)
			return err_nomem(err);
		p->wait = w;
		p->wait_room = room;
	}
	w = &p->wait[p->nwait++];
	*w = (struct waiting_page){ .data = owned, .bytes = bytes,
	    .len = len, .arrival = *a };
	memset(a, 0, sizeof *a);
	p->wait_bytes += len;
	p->wait_rows += w->arrival.rows;
	if (!w->arrival.ends_inside)
		p->nwhole = p->nwait;
	return 0;
}

/* -- merging from memory ------------------------------------------------------- */

/* One SQLite transaction: pages from the front, at most n; *done is how many
 * it took.  With end it also takes what END said, if it gets to it. */
static int
merge_batch(struct store_pull *p, size_t n, const struct store_end *end,
    size_t *done, struct err *err)
{
	uint64_t transactions = 0, rows = 0;
	struct merge m;
	size_t i = 0;
	int rc;

	*done = 0;
	rc = merge_begin(&m, p->s, p->remote, &p->asked, err);
	/* Who has waited for a lock in vain does not wait again at the end. */
	p->failed = rc != 0;
	if (rc != 0)
		return rc;
	while (rc == 0 && i < n) {
		struct waiting_page *w = &p->wait[i++];

		rc = merge_page(&m, w->bytes, w->len, &w->arrival, err);
		transactions += w->arrival.transactions;
		rows += w->arrival.rows;
		if (!w->arrival.ends_inside && merge_full(&m, &p->limits))
			break;
	}
	if (rc == 0 && end != NULL && i == n)
		rc = merge_complete(&m, end, err);
	rc = merge_end(&m, rc, err);
	p->failed = rc != 0;
	if (rc != 0)
		return rc;
	*done = i;
	p->result.transactions += transactions;
	p->result.rows += rows;
	return 0;
}

int
pull_merge_waiting(struct store_pull *p, const struct store_end *end,
    struct err *err)
{
	bool ended = end == NULL;
	size_t done;
	int rc = 0;

	while (rc == 0 && (p->nwhole > 0 || !ended)) {
		bool all;

		rc = merge_batch(p, p->nwhole, end, &done, err);
		all = done == p->nwhole;
		shift_waiting(p, done);
		if (rc == 0 && all)
			ended = true;
	}
	return rc;
}

/* -- the inbox ------------------------------------------------------------------ */

static int
to_inbox(struct store_pull *p, const uint8_t *page, size_t len,
    const struct arrival *a, struct err *err)
{
	int rc = 0;

	if (p->run == 0)
		rc = inbox_begin(p->s, p->key, &p->asked, &p->run, err);
	if (rc != 0)
		return rc;
	asked_advance(&p->asked, a->end);
	asked_settle(&p->asked, true);
	return inbox_add(p->s, p->run, page, len, a, &p->asked, err);
}

/* What waits in memory goes to the inbox. */
static int
stage(struct store_pull *p, struct err *err)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < p->nwait && rc == 0; i++)
		rc = to_inbox(p, p->wait[i].bytes, p->wait[i].len,
		    &p->wait[i].arrival, err);
	shift_waiting(p, i);
	/* What lies behind one that got lost here would move the cursor past it. */
	if (rc != 0)
		p->failed = true;
	return rc;
}

/* The transaction that was staged is complete: everything there is merged. */
static int
merge_staged(struct store_pull *p, struct err *err)
{
	struct run left;
	int rc;

	rc = fetched_merge(p->s, p->remote, p->key, &p->limits, &left,
	    &p->result, err);
	if (rc == 0 && left.dropped)
		rc = err_set(err, E_INTEGRITY, "pull again", "the changes that "
		    "waited in the inbox don't fit the database any more");
	run_clear(&left);
	/* Then nothing that follows may move the cursor. */
	p->failed = rc != 0;
	if (rc == 0)
		p->run = 0;
	return rc;
}

/* The peer's log is another one now: what was begun never ends. */
static int
drop_begun(struct store_pull *p, struct err *err)
{
	static const uint8_t nothing[STORE_CURSOR_LEN];
	int rc = 0;

	if (p->run != 0 && !p->fetch_only) {
		rc = inbox_remove_run(p->s, p->run, err);
		p->run = 0;
		asked_arrive(&p->asked, nothing);
		asked_settle(&p->asked, true);
	}
	pull_drop_waiting(p, p->nwhole);
	p->inside = false;
	return rc;
}

/* -- pages in ------------------------------------------------------------------- */

int
pull_hold(struct store_pull *p, struct err *err)
{
	int rc;

	p->fetch_only = true;
	p->failed = false;
	rc = fetched_held(p->s, p->remote, &p->result, err);
	return rc == 0 ? stage(p, err) : rc;
}

int
pull_merge_or_hold(struct store_pull *p, const struct store_end *end,
    struct err *err)
{
	int rc = pull_merge_waiting(p, end, err);

	return rc == E_HELD ? pull_hold(p, err) : rc;
}

static int
keep_in_memory(struct store_pull *p, uint8_t *owned, const uint8_t *page,
    size_t len, struct arrival *a, struct err *err)
{
	bool inside = a->ends_inside;
	int rc;

	rc = add_waiting(p, owned, page, len, a, err);
	if (rc != 0) {
		free(owned);
		return rc;
	}
	if (!inside && (p->wait_bytes >= p->limits.bytes ||
	    p->wait_rows >= p->limits.rows || owned == NULL))
		return pull_merge_or_hold(p, NULL, err);
	if (p->wait_bytes < p->limits.bytes && owned != NULL)
		return 0;
	/* The begin of a transaction is what is too much: what lies before
	 * it may make room. */
	rc = pull_merge_or_hold(p, NULL, err);
	if (rc == 0 && !p->fetch_only && (p->wait_bytes >= p->limits.bytes || owned == NULL))
		rc = stage(p, err);
	return rc;
}

/* owned: freed here, in any case; NULL: page is the caller's. */
static int
take(struct store_pull *p, uint8_t *owned, const uint8_t *page, size_t len,
    struct err *err)
{
	struct arrival a;
	int rc;

	rc = arrival_read(p->s, page, len, &a, err);
	if (rc == 0 && a.lost && p->inside)
		rc = drop_begun(p, err);
	if (rc != 0)
		goto out;
	p->inside = a.ends_inside;
	p->result.bytes += len;
	if (p->fetch_only) {
		rc = to_inbox(p, page, len, &a, err);
		if (rc == 0) {
			p->result.transactions += a.transactions;
			p->result.rows += a.rows;
		}
	} else if (p->run != 0) {
		rc = to_inbox(p, page, len, &a, err);
		if (rc == 0 && !a.ends_inside)
			rc = merge_staged(p, err);
		if (rc == E_HELD)
			rc = pull_hold(p, err);
	} else {
		if (owned == NULL && len < PULL_LARGE_PAGE) {
			owned = malloc(len);
			if (owned == NULL) {
				rc = err_nomem(err);
				goto out;
			}
			memcpy(owned, page, len);
			page = owned;
		}
		rc = keep_in_memory(p, owned, page, len, &a, err);
		owned = NULL;
	}
out:
	free(owned);
	arrival_clear(&a);
	return rc;
}

int
store_pull_page(struct store_pull *p, const uint8_t *page, size_t len,
    struct err *err)
{
	return take(p, NULL, page, len, err);
}

int
pull_take(struct store_pull *p, uint8_t *page, size_t len, struct err *err)
{
	return take(p, page, page, len, err);
}

int
pull_secure(struct store_pull *p, struct err *err)
{
	int rc = 0;

	if (!p->fetch_only && p->run == 0)
		rc = pull_merge_or_hold(p, NULL, err);
	if (rc == 0 && p->nwait > 0)
		rc = stage(p, err);
	return rc;
}
