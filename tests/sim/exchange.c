// SPDX-License-Identifier: MPL-2.0
#include "exchange.h"

#include "store/peer.h"

enum { PAGE_BYTES = 4096 };

int64_t
exchange_remote(struct site *s, const struct site *other)
{
	struct store_remote r;

	return store_remote_by_key(s->store, other->key, &r, NULL) == 0 ? r.id :
	    0;
}

struct site *
exchange_other(struct site *s, struct rng *rng)
{
	int i = (int)rng_below(rng, (uint32_t)s->world->nsites), n;

	for (n = 0; n < s->world->nsites; n++, i = (i + 1) % s->world->nsites)
		if (s->linked[i])
			return &s->world->site[i];
	return NULL;
}

static int
take_pages(struct store_pull *to, struct store_reading *from, struct err *err)
{
	const uint8_t *page;
	bool last = false;
	size_t len;
	int rc = 0;

	while (rc == 0 && !last) {
		rc = store_serve_page(from, PAGE_BYTES, &page, &len, &last, err);
		if (rc == 0)
			rc = store_pull_page(to, page, len, err);
	}
	return rc;
}

int
exchange_fetch(struct site *to, struct site *from, struct err *err)
{
	struct store_reading *reading = NULL;
	struct store_pull *pull = NULL;
	struct store_plan plan = { .ngroups = 0 };
	struct store_end end = { .ngroups = 0 };
	struct store_result result;
	bool whole = false;
	int rc = store_pull_begin(to->store, exchange_remote(to, from), true,
	    &pull, &plan, err);

	if (rc != 0)
		return rc;
	rc = store_serve(from->store, exchange_remote(from, to), &plan, &whole,
	    &reading, err);
	if (rc == 0)
		rc = take_pages(pull, reading, err);
	if (rc == 0)
		rc = store_serve_end(reading, &end, err);
	if (rc == 0)
		rc = store_pull_end(pull, &end, &result, err);
	store_pull_close(pull, rc == 0 ? NULL : &result);
	store_serve_close(reading);
	store_plan_clear(&plan);
	store_end_clear(&end);
	return rc;
}
