// SPDX-License-Identifier: MPL-2.0
/* watch.c - changes as they are committed. */
#include "lib/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/follow.h"

static int
digit_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ?
	    c - 'a' + 10 : -1;
}

static int
read_cursor(const char *text, uint8_t out[static STORE_CURSOR_LEN],
    struct err *err)
{
	bool good = strlen(text) == 2 * (size_t)STORE_CURSOR_LEN;
	int i, high, low;

	memset(out, 0, STORE_CURSOR_LEN);
	if (strcmp(text, "start") == 0)
		return 0;
	for (i = 0; i < STORE_CURSOR_LEN && good; i++) {
		high = digit_of(text[2 * i]);
		low = digit_of(text[2 * i + 1]);
		good = high >= 0 && low >= 0;
		out[i] = (uint8_t)(good ? high << 4 | low : 0);
	}
	return good ? 0 : err_set(err, E_USAGE, "a cursor is what a change came "
	    "with; \"start\" is before the first", "%s is no cursor", text);
}

struct batch_walk {
	const ddcp_watch_options *options;
	struct err *err;
};

static int
give_batch(void *self, const struct store_change *change, size_t n,
    const uint8_t place[static STORE_CURSOR_LEN])
{
	const struct batch_walk *w = self;
	struct lib_change *own = calloc(n + 1, sizeof *own);
	ddcp_change *list = calloc(n + 1, sizeof *list);
	char cursor[2 * STORE_CURSOR_LEN + 1];
	size_t i;
	int rc = own != NULL && list != NULL ? 0 : err_nomem(w->err);

	for (i = 0; i < n && rc == 0; i++) {
		rc = lib_change_init(&own[i], &change[i], w->err);
		list[i] = own[i].change;
	}
	for (i = 0; i < STORE_CURSOR_LEN; i++)
		sprintf(cursor + 2 * i, "%02x", place[i]);
	if (rc == 0)
		rc = w->options->batch(w->options->self, list, n, cursor);
	for (i = 0; i < n && own != NULL; i++)
		lib_change_clear(&own[i]);
	free(own);
	free(list);
	return rc;
}

int
ddcp_watch(ddcp *d, const ddcp_watch_options *options, ddcp_error *error)
{
	struct err err = { .code = 0 };
	struct batch_walk w = { options, &err };
	struct follow_options how = { .table = options->table,
		.once = options->once, .batch = give_batch, .self = &w };
	uint8_t from[STORE_CURSOR_LEN];
	int rc = lib_idle(d, &err);

	if (rc == 0 && options->from != NULL) {
		rc = read_cursor(options->from, from, &err);
		how.from = from;
	}
	if (rc == 0) {
		d->busy = true;
		rc = follow_run(d->store, &how, &d->stop, &err);
		d->busy = false;
	}
	stop_reset(&d->stop);
	return lib_error(rc, &err, error);
}
