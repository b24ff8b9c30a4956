// SPDX-License-Identifier: MPL-2.0
/*
 * digest.c - a verification: whether two databases have the same rows, told by
 * sums of hashes instead of the rows themselves.
 *
 *   asker: ASK            answerer: what is in flight to the asker; HAVE
 *   asker: the same to the answerer; FLIGHT, the union
 *   both:  sums of all rows but those        answerer: SUMS
 *   asker: WANT, some of the buckets that differ
 *   both:  their rows' hashes                answerer: ROWS; WANT again ...
 *
 * Rows whose changes not both have are left out (R27): what a pull would bring
 * either way now, in these two snapshots, is exactly that.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "store/digest.h"
#include "store/serve.h"

enum { PAGE_BYTES = 65536 };

int
digest_out_of_turn(struct err *err)
{
	return err_set(err, E_INTEGRITY, NULL, "a DIGEST that was not its turn");
}

sqlite3 *
digest_db(const struct store_digest *d)
{
	return serve_handle(d->reading);
}

/* -- opening and closing ---------------------------------------------------- */

static int
open_digest(struct store *s, int64_t remote, bool asks,
    struct store_digest **out, struct err *err)
{
	struct store_digest *d = calloc(1, sizeof *d);
	int rc;

	*out = NULL;
	if (d == NULL)
		return err_nomem(err);
	d->s = s;
	d->remote = remote;
	d->asks = asks;
	d->per_bucket = DIGEST_PER_BUCKET;
	d->work = asks ? DIGEST_WORK_SAY : DIGEST_WORK_HEAR;
	d->expected = asks ? DIGEST_HAVE : DIGEST_ASK;
	rc = serve_look(s, remote, &d->reading, err);
	if (rc == 0)
		rc = digest_plan(digest_db(d), remote, &d->own, err);
	if (rc != 0)
		store_digest_close(d);
	else
		*out = d;
	return rc;
}

int
digest_make_tables(struct store_digest *d, size_t n, struct err *err)
{
	d->table = calloc(n + 1, sizeof *d->table);
	if (d->table == NULL)
		return err_nomem(err);
	d->n = n;
	return 0;
}

int
store_digest_ask(struct store *s, int64_t remote, struct store_digest **out,
    struct err *err)
{
	int rc = open_digest(s, remote, true, out, err);

	if (rc == 0) {
		randombytes_buf((*out)->secret, DIGEST_KEY_LEN);
		rc = digest_make_tables(*out, (*out)->own.nshapes, err);
	}
	if (rc != 0 && *out != NULL) {
		store_digest_close(*out);
		*out = NULL;
	}
	return rc;
}

int
store_digest_answer(struct store *s, int64_t remote,
    struct store_digest **out, struct err *err)
{
	return open_digest(s, remote, false, out, err);
}

static void
clear_table(struct digest_table *t)
{
	digest_names_clear(&t->common);
	free(t->ours.bucket);
	free(t->theirs.bucket);
	free(t->wanted);
	free(t->given);
}

void
store_digest_close(struct store_digest *d)
{
	size_t t;

	if (d == NULL)
		return;
	digest_scan_close(&d->scan);
	store_serve_close(d->reading);
	for (t = 0; t < d->n; t++)
		clear_table(&d->table[t]);
	digest_msg_clear(&d->own);
	digest_msg_clear(&d->theirs);
	digest_msg_clear(&d->rows);
	digest_flight_clear(&d->flight);
	digest_found_clear(&d->found);
	buf_clear(&d->out);
	free(d->table);
	free(d->fine.bucket);
	free(d->pks);
	free(d->suspect);
	free(d->came);
	free(d);
}

/* -- saying ------------------------------------------------------------------- */

int
digest_say(struct store_digest *d, const struct digest_msg *m,
    enum store_digest_state *state, struct err *err)
{
	int rc;

	buf_clear(&d->out);
	rc = digest_encode(m, &d->out, err);
	*state = STORE_DIGEST_SAYS;
	return rc;
}

static int
say_plan(struct store_digest *d, enum digest_said said,
    enum store_digest_state *state, struct err *err)
{
	struct digest_msg m = d->own;

	m.said = said;
	memcpy(m.key, d->secret, DIGEST_KEY_LEN);
	m.flight = d->flight.hash;
	m.nflight = d->flight.n;
	return digest_say(d, &m, state, err);
}

static int
say_flight(struct store_digest *d, enum store_digest_state *state,
    struct err *err)
{
	const struct digest_msg m = { .said = DIGEST_FLIGHT,
		.flight = d->flight.hash, .nflight = d->flight.n };

	return digest_say(d, &m, state, err);
}

static int
say_sums(struct store_digest *d, enum store_digest_state *state,
    struct err *err)
{
	struct digest_bucket none = { .n = 0 };
	struct digest_msg m = { .said = DIGEST_SUMS, .nsums = d->n };
	size_t t;
	int rc;

	m.sums = calloc(d->n + 1, sizeof *m.sums);
	if (m.sums == NULL)
		return err_nomem(err);
	for (t = 0; t < d->n; t++) {
		m.sums[t] = d->table[t].ours;
		if (!d->table[t].compared)
			m.sums[t].bucket = &none;
	}
	rc = digest_say(d, &m, state, err);
	free(m.sums);
	return rc;
}

/* -- what is in flight ----------------------------------------------------------- */

static int
end_flight(struct store_digest *d, enum store_digest_state *state,
    struct err *err)
{
	int rc = digest_flight_here(&d->flight, digest_db(d), d->table, d->n,
	    d->secret, err);

	if (rc == 0)
		digest_flight_sort(&d->flight);
	if (rc == 0 && d->flight.n > DIGEST_FLIGHT_MAX)
		rc = err_set(err, E_UNREACHABLE, "pull on both sides, then "
		    "verify again", "more than %d rows are in flight",
		    (int)DIGEST_FLIGHT_MAX);
	if (rc != 0)
		return rc;
	d->result.in_flight = d->flight.n;
	if (!d->asks) {
		d->work = DIGEST_WORK_HEAR;
		d->expected = DIGEST_FLIGHT;
		return say_plan(d, DIGEST_HAVE, state, err);
	}
	d->work = DIGEST_WORK_SUM;
	d->expected = DIGEST_SUMS;
	return say_flight(d, state, err);
}

static int
step_flight(struct store_digest *d, enum store_digest_state *state,
    struct err *err)
{
	const uint8_t *page;
	bool last;
	size_t len;
	int rc;

	rc = store_serve_page(d->reading, PAGE_BYTES, &page, &len, &last, err);
	if (rc == 0)
		rc = digest_flight_page(&d->flight, digest_db(d), d->table, d->n,
		    d->secret, page, len, err);
	return rc == 0 && last ? end_flight(d, state, err) : rc;
}

/* -- reading rows ------------------------------------------------------------------ */

static int
step_reading(struct store_digest *d, size_t max,
    enum store_digest_state *state, struct err *err)
{
	enum digest_work work = d->work;
	bool done;
	int rc = digest_read_some(d, max, &done, err);

	if (rc != 0 || !done)
		return rc;
	d->work = DIGEST_WORK_HEAR;
	if (d->asks)
		return 0;
	d->expected = DIGEST_WANT;
	if (work == DIGEST_WORK_SUM)
		return say_sums(d, state, err);
	d->rows.said = DIGEST_ROWS;
	return digest_say(d, &d->rows, state, err);
}

/* -- hearing --------------------------------------------------------------------------- */

static int
hear_came(struct store_digest *d, enum store_digest_state *state,
    struct err *err)
{
	struct digest_msg m;
	int rc;

	if (d->came == NULL) {
		*state = STORE_DIGEST_WAITS;
		return 0;
	}
	rc = digest_decode(d->came, d->came_len, &m, err);
	if (rc == 0)
		rc = digest_hear(d, &m, state, err);
	if (m.nshapes > 0 && d->theirs.nshapes == 0)
		d->theirs = m;          /* the tables have views of it */
	else
		digest_msg_clear(&m);
	free(d->came);
	d->came = NULL;
	return rc;
}

int
store_digest_take(struct store_digest *d, const uint8_t *data, size_t len,
    struct err *err)
{
	/* The one who asked reads rows while the other does. */
	if (d->came != NULL || len == 0 || data[0] != d->expected ||
	    d->work == DIGEST_WORK_SAY || d->work == DIGEST_WORK_FLIGHT ||
	    d->work == DIGEST_WORK_OVER || (d->work != DIGEST_WORK_HEAR && !d->asks))
		return digest_out_of_turn(err);
	d->came = malloc(len);
	if (d->came == NULL)
		return err_nomem(err);
	memcpy(d->came, data, len);
	d->came_len = len;
	return 0;
}

int
store_digest_step(struct store_digest *d, size_t rows,
    enum store_digest_state *state, const uint8_t **data, size_t *len,
    struct err *err)
{
	int rc = 0;

	*state = STORE_DIGEST_WORKS;
	switch (d->work) {
	case DIGEST_WORK_SAY:
		d->work = DIGEST_WORK_HEAR;
		rc = say_plan(d, DIGEST_ASK, state, err);
		break;
	case DIGEST_WORK_HEAR:
		rc = hear_came(d, state, err);
		break;
	case DIGEST_WORK_FLIGHT:
		rc = step_flight(d, state, err);
		break;
	case DIGEST_WORK_SUM:
	case DIGEST_WORK_ROWS:
		rc = step_reading(d, rows, state, err);
		break;
	case DIGEST_WORK_OVER:
		*state = STORE_DIGEST_DONE;
		break;
	}
	*data = d->out.data;
	*len = d->out.len;
	return rc;
}

void
store_digest_result(const struct store_digest *d, struct store_compared *out)
{
	*out = d->result;
	out->differ = d->found.differ;
	out->here = d->found.here;
	out->there = d->found.there;
	out->others = d->found.others;
	out->found = d->found.item;
	out->nfound = d->found.n;
}
