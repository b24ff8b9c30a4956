// SPDX-License-Identifier: MPL-2.0
/*
 * digest_hear.c - what is done at each message of the other side's: digest.c says
 * which follows which, and digest_msg.c has read it.
 */
#include <stdlib.h>
#include <string.h>

#include "store/digest.h"
#include "store/serve.h"

/* -- what follows ----------------------------------------------------------------- */

/* For the other side's plan: from now on pages are what it would get. */
static int
begin_flight(struct store_digest *d, const struct store_plan *theirs,
    struct err *err)
{
	d->work = DIGEST_WORK_FLIGHT;
	return serve_look_for(d->reading, theirs, err);
}

/* The next buckets, as many as have about the rows that fit into an answer. */
static int
want_more(struct store_digest *d, enum store_digest_state *state,
    struct err *err)
{
	struct digest_msg m = { .said = DIGEST_WANT };
	const struct digest_suspect *s;
	uint64_t rows = 0;
	int rc = 0;

	digest_forget_rows(d);
	d->answered = d->asked;
	if (d->asked == d->nsuspects) {
		d->work = DIGEST_WORK_OVER;
		return 0;
	}
	m.want = calloc(d->nsuspects - d->asked, sizeof *m.want);
	if (m.want == NULL)
		return err_nomem(err);
	while (rc == 0 && d->asked < d->nsuspects) {
		s = &d->suspect[d->asked];
		rows += s->n;
		if (m.nwant > 0 && rows > DIGEST_ROWS_WANTED)
			break;
		m.want[m.nwant] = (struct digest_want){ s->table, s->bits,
		    s->bucket };
		rc = digest_want_bucket(d, &m.want[m.nwant++], err);
		d->asked++;
	}
	if (rc == 0)
		rc = digest_begin_reading(d, DIGEST_WORK_ROWS, err);
	if (rc == 0)
		rc = digest_say(d, &m, state, err);
	d->expected = DIGEST_ROWS;
	free(m.want);
	return rc;
}

/* -- message by message ----------------------------------------------------------- */

static struct digest_shape *
find_shape(struct digest_msg *m, const char *name)
{
	size_t i;

	for (i = 0; i < m->nshapes; i++)
		if (sqlite3_stricmp(m->shape[i].name, name) == 0)
			return &m->shape[i];
	return NULL;
}

/* Table t is those shapes, of which the other side's may be missing, or ours. */
static int
set_table(struct store_digest *d, size_t t, struct digest_shape *here,
    struct digest_shape *there, struct err *err)
{
	struct digest_table *table = &d->table[t];

	if ((here != NULL && here->taken) || (there != NULL && there->taken))
		return err_set(err, E_INTEGRITY, NULL,
		    "a DIGEST names a table twice");
	if (here != NULL) {
		table->here = *here;
		here->taken = true;
	}
	if (there != NULL) {
		table->there = *there;
		there->taken = true;
	}
	return digest_match(table, err);
}

static int
hear_ask(struct store_digest *d, struct digest_msg *m, struct err *err)
{
	size_t t;
	int rc;

	memcpy(d->secret, m->key, DIGEST_KEY_LEN);
	rc = digest_make_tables(d, m->nshapes, err);
	for (t = 0; t < d->n && rc == 0; t++)
		rc = set_table(d, t, find_shape(&d->own, m->shape[t].name),
		    &m->shape[t], err);
	return rc == 0 ? begin_flight(d, &m->plan, err) : rc;
}

static int
hear_have(struct store_digest *d, struct digest_msg *m, struct err *err)
{
	size_t t, i;
	int rc = 0;

	for (t = 0; t < d->n && rc == 0; t++) {
		rc = set_table(d, t, &d->own.shape[t],
		    find_shape(m, d->own.shape[t].name), err);
		if (rc == 0)
			rc = digest_found_shape(&d->found, &d->table[t], err);
	}
	for (i = 0; i < m->nshapes && rc == 0; i++)
		if (!m->shape[i].taken)
			rc = digest_found_add(&d->found, STORE_TABLE_THERE,
			    m->shape[i].name, "", err);
	for (i = 0; i < m->nflight && rc == 0; i++)
		rc = digest_flight_add(&d->flight, &m->flight[i], err);
	if (rc == 0)
		rc = digest_begin_reading(d, DIGEST_WORK_SUM, err);
	return rc == 0 ? begin_flight(d, &m->plan, err) : rc;
}

static int
hear_flight(struct store_digest *d, struct digest_msg *m, struct err *err)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < m->nflight && rc == 0; i++)
		rc = digest_flight_add(&d->flight, &m->flight[i], err);
	digest_flight_sort(&d->flight);
	return rc == 0 ? digest_begin_reading(d, DIGEST_WORK_SUM, err) : rc;
}

static int
hear_sums(struct store_digest *d, struct digest_msg *m,
    enum store_digest_state *state, struct err *err)
{
	size_t t;
	int rc = 0;

	if (m->nsums != d->n)
		return digest_out_of_turn(err);
	for (t = 0; t < d->n && rc == 0; t++) {
		d->table[t].theirs = m->sums[t];
		m->sums[t].bucket = NULL;
		rc = digest_compare(d, t, err);
	}
	return rc == 0 ? want_more(d, state, err) : rc;
}

static int
hear_want(struct store_digest *d, struct digest_msg *m, struct err *err)
{
	size_t i;
	int rc = 0;

	/* It costs a reading of the tables, and the snapshot is held. */
	if (m->nwant == 0 || d->nwants++ == DIGEST_WANTS_MAX)
		return err_set(err, E_INTEGRITY, NULL, "a DIGEST wants nothing, "
		    "or too often");
	digest_forget_rows(d);
	for (i = 0; i < m->nwant && rc == 0; i++)
		rc = digest_want_bucket(d, &m->want[i], err);
	return rc == 0 ? digest_begin_reading(d, DIGEST_WORK_ROWS, err) : rc;
}

static int
hear_rows(struct store_digest *d, struct digest_msg *m,
    enum store_digest_state *state, struct err *err)
{
	int rc = digest_check_rows(d, m, err);

	if (rc == 0)
		rc = digest_found_rows(&d->found, d->table, &d->rows, m, err);
	return rc == 0 ? want_more(d, state, err) : rc;
}

int
digest_hear(struct store_digest *d, struct digest_msg *m,
    enum store_digest_state *state, struct err *err)
{
	if (m->said != d->expected)
		return digest_out_of_turn(err);
	switch (m->said) {
	case DIGEST_ASK:
		return hear_ask(d, m, err);
	case DIGEST_HAVE:
		return hear_have(d, m, err);
	case DIGEST_FLIGHT:
		return hear_flight(d, m, err);
	case DIGEST_SUMS:
		return hear_sums(d, m, state, err);
	case DIGEST_WANT:
		return hear_want(d, m, err);
	case DIGEST_ROWS:
		return hear_rows(d, m, state, err);
	}
	return digest_out_of_turn(err);
}
