// SPDX-License-Identifier: MPL-2.0
/* pull.c - a pull from its begin to its end; pages as they come are pull_take.c's. */
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
		rc = pull_hold(p, err);
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
		rc = pull_merge_or_hold(p, end, err);
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
		pull_merge_waiting(p, NULL, NULL);
	if (out != NULL)
		*out = p->result;
	pull_drop_waiting(p, 0);
	free(p->wait);
	asked_clear(&p->asked);
	if (p->result.bytes >= PULL_LARGE_PAGE)
		give_back_memory(p->s->db);
	free(p);
}
