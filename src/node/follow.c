// SPDX-License-Identifier: MPL-2.0
/* follow.c - see follow.h. */
#include "node/follow.h"

#include <uv.h>

#include "node/watch.h"

enum { LOCKED_AGAIN_MS = 50 };  /* after somebody was found writing */

struct follow {
	struct store *store;
	const struct follow_options *options;
	struct store_follow *log;
	uv_loop_t loop;
	uv_poll_t stopped;
	struct watch *watch;
	struct stop *stop;
	bool done;
	int rc;
	struct err *err;
};

static void
end(struct follow *f, int rc)
{
	f->done = true;
	f->rc = rc;
	uv_stop(&f->loop);
}

static int
interrupted(struct follow *f)
{
	return !f->stop->asked ? 0 : err_set(f->err, E_INTERRUPTED, NULL,
	    "interrupted");
}

/* Some changes, if there are any.  A lock that somebody holds is no failure. */
static int
give_some(struct follow *f, size_t *n, bool *again)
{
	const struct follow_options *o = f->options;
	const struct store_change *change;
	uint8_t place[STORE_CURSOR_LEN];
	struct err err = { .code = 0 };
	int rc = store_still_there(f->store, &err);

	*n = 0;
	*again = false;
	if (rc == 0)
		rc = store_follow_next(f->log, &change, n, again, &err);
	if (rc != 0 && err.locked) {
		*again = true;
		return 0;
	}
	if (rc != 0 && f->err != NULL)
		*f->err = err;
	if (rc != 0 || *n == 0)
		return rc;
	store_follow_place(f->log, place);
	return o->batch(o->self, change, *n, place);
}

static void
look(void *owner)
{
	struct follow *f = owner;
	bool again = false;
	size_t n = 1;
	int rc = 0;

	if (f->done)
		return;
	while (rc == 0 && n > 0) {
		rc = interrupted(f);
		if (rc == 0)
			rc = give_some(f, &n, &again);
	}
	if (rc != 0 || (f->options->once && !again))
		end(f, rc);
	else if (again)
		watch_again(f->watch, LOCKED_AGAIN_MS);
}

static void
on_stop(uv_poll_t *poll, int status, int events)
{
	struct follow *f = poll->data;

	if (!f->done)
		end(f, interrupted(f));
}

static int
begin(struct follow *f)
{
	const struct follow_options *o = f->options;
	uint8_t place[STORE_CURSOR_LEN];
	int rc;

	rc = watch_open(&f->loop, store_db_file(f->store),
	    store_watch_file(f->store), look, f, &f->watch, f->err);
	if (rc == 0)
		rc = store_follow_begin(f->store, o->from, o->table, &f->log,
		    f->err);
	if (rc != 0)
		return rc;
	store_follow_place(f->log, place);
	return o->batch(o->self, NULL, 0, place);
}

int
follow_run(struct store *s, const struct follow_options *options,
    struct stop *stop, struct err *err)
{
	struct follow f = { .store = s, .options = options, .stop = stop,
		.err = err };
	int rc = uv_loop_init(&f.loop);

	if (rc != 0)
		return err_set(err, E_FATAL, NULL, "can't watch: %s",
		    uv_strerror(rc));
	uv_poll_init(&f.loop, &f.stopped, stop->fd[0]);
	f.stopped.data = &f;
	uv_poll_start(&f.stopped, UV_READABLE, on_stop);
	rc = begin(&f);
	if (rc == 0) {
		look(&f);
		if (!f.done)
			uv_run(&f.loop, UV_RUN_DEFAULT);
		rc = f.rc;
	}
	f.done = true;
	watch_close(f.watch);
	uv_close((uv_handle_t *)&f.stopped, NULL);
	/* once more where uv_stop was asked */
	while (uv_run(&f.loop, UV_RUN_DEFAULT) != 0)
		continue;
	uv_loop_close(&f.loop);
	store_follow_end(f.log);
	return rc;
}
