// SPDX-License-Identifier: MPL-2.0
/*
 * pull.c - a pull: pages as they come.  They wait in memory until a
 * transaction ends and a batch is full, and are merged then.  A transaction
 * that is too large for memory waits in the inbox; so does everything that is
 * only fetched.
 */
#include "store/pull.h"

#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "store/durable.h"
#include "store/fetched.h"
#include "store/inbox.h"
#include "store/keep.h"
#include "store/sql.h"
#include "store/store_private.h"
#include "store/vector.h"

/* A page of at least this size is not copied to wait. */
enum { LARGE_PAGE = 1 << 20 };

/* -- pages in memory -------------------------------------------------------- */

static void
free_waiting(struct store_pull *p, struct waiting_page *w)
{
	p->wait_bytes -= w->len;
	p->wait_rows -= w->arrival.rows;
	free(w->data);
	arrival_clear(&w->arrival);
}

static void
drop_waiting(struct store_pull *p, size_t from)
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

/* Merges the whole transactions that wait, then END. */
static int
merge_waiting(struct store_pull *p, const struct store_end *end,
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
	drop_waiting(p, p->nwhole);
	p->inside = false;
	return rc;
}

/* -- pages in ------------------------------------------------------------------- */

/* Merging would delete too much, or make too many conflicts: from here on the pull is
 * one that only fetches, what waits and what is still to come lies in the inbox. */
static int
hold(struct store_pull *p, struct err *err)
{
	int rc;

	p->fetch_only = true;
	p->failed = false;
	rc = fetched_held(p->s, p->remote, &p->result, err);
	return rc == 0 ? stage(p, err) : rc;
}

static int
merge_or_hold(struct store_pull *p, const struct store_end *end,
    struct err *err)
{
	int rc = merge_waiting(p, end, err);

	return rc == E_HELD ? hold(p, err) : rc;
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
		return merge_or_hold(p, NULL, err);
	if (p->wait_bytes < p->limits.bytes && owned != NULL)
		return 0;
	/* The begin of a transaction is what is too much: what lies before
	 * it may make room. */
	rc = merge_or_hold(p, NULL, err);
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
			rc = hold(p, err);
	} else {
		if (owned == NULL && len < LARGE_PAGE) {
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
		rc = merge_or_hold(p, NULL, err);
	if (rc == 0 && p->nwait > 0)
		rc = stage(p, err);
	return rc;
}

void
store_pull_progress(const struct store_pull *p, struct store_result *out)
{
	size_t i;

	*out = p->result;
	for (i = 0; i < p->nwait; i++) {
		out->transactions += p->wait[i].arrival.transactions;
		out->rows += p->wait[i].arrival.rows;
	}
}

/* -- begin ------------------------------------------------------------------------ */

/* What the inbox has of this remote: its place to go on from, and for a pull
 * it is merged first. */
static int
look_into_inbox(struct store_pull *p, struct err *err)
{
	struct run last;
	int rc;

	if (p->fetch_only)
		rc = fetched_check(p->s, p->remote, p->key, &last, err);
	else
		rc = fetched_merge(p->s, p->remote, p->key, &p->limits, &last,
		    &p->result, err);
	if (rc == E_HELD) {
		/* what comes is put to what lies there */
		run_clear(&last);
		rc = hold(p, err);
		if (rc == 0)
			rc = fetched_check(p->s, p->remote, p->key, &last, err);
	}
	if (rc == 0 && last.id != 0 && !last.ended) {
		/* Cut before END: it goes on. */
		p->run = last.id;
		p->inside = last.last > last.whole;
		p->asked = last.asked;
		memset(&last.asked, 0, sizeof last.asked);
		asked_settle(&p->asked, false);
	} else if (rc == 0) {
		rc = asked_load(p->s->db, p->remote, &last.asked, &p->asked, err);
	}
	run_clear(&last);
	return rc;
}

static int
begin(struct store_pull *p, struct store_plan *plan, struct err *err)
{
	struct asked merged;
	struct store_plan truth = { .ngroups = 0 };
	bool found;
	int rc;

	rc = p->fetch_only ? 0 : store_writable(p->s, err);
	if (rc == 0)
		rc = fork_look(p->s, err);
	if (rc == 0 && !p->fetch_only)
		rc = retry_look(p->s, err);
	if (rc == 0)
		rc = sql_bytes(p->s->db, p->key, KEY_LEN, &found, err,
		    "SELECT key FROM ddcp_remote WHERE id = ?1", "i", p->remote);
	if (rc == 0 && !found)
		rc = err_set(err, E_NOTFOUND, NULL, "there is no such remote");
	if (rc == 0)
		rc = merge_limits(p->s, &p->limits, err);
	if (rc == 0 && !p->fetch_only)
		rc = merge_parked(p->s->db, &p->parked_before, err);
	if (rc == 0)
		rc = look_into_inbox(p, err);
	if (rc == 0)
		rc = asked_plan(&p->asked, plan, err);
	if (rc != 0)
		return rc;
	/* The acknowledgement is of what is merged, and durable (R14, R23). */
	rc = asked_load(p->s->db, p->remote, &(struct asked){ .n = 0 }, &merged,
	    err);
	if (rc == 0)
		rc = asked_plan(&merged, &truth, err);
	if (rc == 0)
		rc = durable_sync(p->s, p->s->db, err);
	if (rc == 0)
		memcpy(plan->merged, truth.merged, STORE_CURSOR_LEN);
	store_plan_clear(&truth);
	asked_clear(&merged);
	return rc;
}

int
store_pull_begin(struct store *s, int64_t remote, bool fetch_only,
    struct store_pull **out, struct store_plan *plan, struct err *err)
{
	struct store_pull *p = calloc(1, sizeof *p);
	int rc;

	*out = NULL;
	memset(plan, 0, sizeof *plan);
	if (p == NULL)
		return err_nomem(err);
	p->s = s;
	p->remote = remote;
	p->fetch_only = fetch_only;
	rc = store_still_there(s, err);
	if (rc == 0)
		rc = keep_next(s, remote, err);
	if (rc == 0)
		rc = begin(p, plan, err);
	if (rc != 0) {
		store_plan_clear(plan);
		store_pull_close(p, NULL);
		return rc;
	}
	*out = p;
	return 0;
}

/* -- end ------------------------------------------------------------------------- */

static int
end_fetch(struct store_pull *p, const struct store_end *end,
    struct err *err)
{
	/* Nothing came, and nothing lies there: there is nothing to merge. */
	if (p->run == 0)
		return 0;
	asked_arrive(&p->asked, end->cursor);
	asked_settle(&p->asked, true);
	return inbox_end(p->s, p->run, &p->asked, end, err);
}

static int
end_pull(struct store_pull *p, const struct store_end *end, struct err *err)
{
	bool news = p->nwait > 0;
	int rc = 0;

	if (!news)
		rc = merge_has_news(p->s, p->remote, &p->asked, end, &news,
		    err);
	if (rc == 0 && news)
		rc = merge_or_hold(p, end, err);
	if (rc == 0 && p->fetch_only)
		rc = end_fetch(p, end, err);
	if (rc == 0)
		rc = durable_sync(p->s, p->s->db, err);
	return rc;
}

/* What the caller is told at the end. */
static int
complete_result(struct store_pull *p, struct err *err)
{
	uint64_t parked, rows;
	int rc;

	rc = inbox_held(p->s, p->key, &p->result.held, &rows, err);
	if (rc != 0 || p->fetch_only)
		return rc;
	rc = merge_parked(p->s->db, &parked, err);
	p->result.parked = parked > p->parked_before ?
	    parked - p->parked_before : 0;
	return rc;
}

int
store_pull_end(struct store_pull *p, const struct store_end *end,
    struct store_result *out, struct err *err)
{
	int rc;

	rc = merge_check_end(&p->asked, end, err);
	if (rc == 0 && p->inside)
		rc = err_set(err, E_INTEGRITY, "pull again", "the pull ended "
		    "inside a transaction");
	if (rc == 0)
		rc = p->fetch_only ? end_fetch(p, end, err) :
		    end_pull(p, end, err);
	if (rc == 0)
		other_note(p->s, p->remote, end);
	if (rc == 0)
		rc = complete_result(p, err);
	*out = p->result;
	return rc;
}

/* The cache of a large merge is not needed while nothing goes on. */
static void
give_back_memory(sqlite3 *db)
{
	sqlite3_db_release_memory(db);
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

void
store_pull_close(struct store_pull *p, struct store_result *out)
{
	if (p == NULL)
		return;
	/* Else a connection that is cut often would never get on. */
	if (p->nwhole > 0 && !p->failed)
		merge_waiting(p, NULL, NULL);
	if (out != NULL)
		*out = p->result;
	drop_waiting(p, 0);
	free(p->wait);
	asked_clear(&p->asked);
	if (p->result.bytes >= LARGE_PAGE)
		give_back_memory(p->s->db);
	free(p);
}
