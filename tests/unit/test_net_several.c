// SPDX-License-Identifier: MPL-2.0
/* A network made of a near and a far one, both of them made up: who is asked,
 * and which connection a dial takes when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <uv.h>

#include "net/several.h"

enum { NEVER = -1, SLACK_MS = 250 };

/* ---- a network that is made up ---- */

struct fake {
	struct net net;
	struct net_conn conn;
	uv_timer_t finding, connecting;
	int find_ms, connect_ms;        /* NEVER: nobody is there */
	int listen_rc, announce_rc, resolve_rc;
	bool refuses;                   /* what is called fails then */
	const char *place;
	bool resolving;
	net_place_fn *found;
	net_connected_fn *connected;
	void *find_owner, *connect_owner;
	char called[PLACE_MAX], listened[PLACE_MAX];
	int announced, withdrawn, changed, aborted;
	int handles;
	net_closed_fn *closed;
	void *closed_owner;
};

static uv_loop_t loop;
static struct fake near, far;

static void
fake_send_nothing(struct net_conn *conn, bool flush)
{
	((struct fake *)conn->owner)->aborted++;
}

static const struct net_conn_ops conn_ops = { .close = fake_send_nothing };

static void
handle_closed(uv_handle_t *handle)
{
	struct fake *f = handle->data;

	if (--f->handles == 0 && f->closed != NULL)
		f->closed(f->closed_owner);
}

static void
fake_close(struct net *net, net_closed_fn *closed, void *owner)
{
	struct fake *f = (struct fake *)net;

	f->closed = closed;
	f->closed_owner = owner;
	uv_close((uv_handle_t *)&f->finding, handle_closed);
	uv_close((uv_handle_t *)&f->connecting, handle_closed);
}

static int
fake_listen(struct net *net, const char *place, char actual[static PLACE_MAX],
    net_accept_fn *accepted, void *owner, struct err *err)
{
	struct fake *f = (struct fake *)net;

	snprintf(f->listened, PLACE_MAX, "%s", place != NULL ? place : "any");
	snprintf(actual, PLACE_MAX, "%s", f->place);
	return f->listen_rc == 0 ? 0 : err_set(err, f->listen_rc, NULL,
	    "it can't listen");
}

static void
on_find(uv_timer_t *timer)
{
	struct fake *f = timer->data;

	f->found(f->find_owner, f->place);
}

static int
fake_resolve(struct net *net, const uint8_t key[static KEY_LEN],
    net_place_fn *found, void *owner, struct net_resolve **out,
    struct err *err)
{
	struct fake *f = (struct fake *)net;

	if (f->resolve_rc != 0)
		return err_set(err, f->resolve_rc, NULL, "it can't look");
	f->found = found;
	f->find_owner = owner;
	f->resolving = true;
	if (f->find_ms != NEVER)
		uv_timer_start(&f->finding, on_find, (uint64_t)f->find_ms, 0);
	*out = (struct net_resolve *)f;
	return 0;
}

static void
fake_resolve_stop(struct net_resolve *resolve)
{
	struct fake *f = (struct fake *)resolve;

	f->resolving = false;
	uv_timer_stop(&f->finding);
}

static void
on_connect(uv_timer_t *timer)
{
	struct fake *f = timer->data;
	struct err why;

	err_set(&why, E_UNREACHABLE, NULL, "nobody is there");
	f->conn = (struct net_conn){ .ops = &conn_ops, .owner = f,
		.far = f == &far };
	f->connected(f->connect_owner, f->refuses ? NULL : &f->conn, &why);
}

static int
fake_connect(struct net *net, const char *place, uint32_t timeout_ms,
    net_connected_fn *connected, void *owner, struct net_connect **out,
    struct err *err)
{
	struct fake *f = (struct fake *)net;

	snprintf(f->called, PLACE_MAX, "%s", place);
	f->connected = connected;
	f->connect_owner = owner;
	if (f->connect_ms != NEVER)
		uv_timer_start(&f->connecting, on_connect,
		    (uint64_t)f->connect_ms, 0);
	*out = (struct net_connect *)f;
	return 0;
}

static void
fake_connect_stop(struct net_connect *connect)
{
	uv_timer_stop(&((struct fake *)connect)->connecting);
}

static int
fake_announce(struct net *net, const uint8_t key[static KEY_LEN],
    struct err *err)
{
	struct fake *f = (struct fake *)net;

	f->announced++;
	return f->announce_rc == 0 ? 0 : err_set(err, f->announce_rc, NULL,
	    "it can't announce");
}

static void
fake_withdraw(struct net *net, const uint8_t key[static KEY_LEN])
{
	((struct fake *)net)->withdrawn++;
}

static void
fake_changed(struct net *net, const uint8_t key[static KEY_LEN])
{
	((struct fake *)net)->changed++;
}

static void
fake_status(const struct net *net, struct net_status *out)
{
	memset(out, 0, sizeof *out);
	if (net == &far.net) {
		out->veilid.on = true;
		out->veilid.streams = 3;
		return;
	}
	out->nlistening = 1;
	snprintf(out->listening[0], PLACE_MAX, "%s", near.place);
	out->accepted = 2;
}

static bool
knows(const char *place)
{
	return strncmp(place, "far:", 4) == 0;
}

#define FUNCTIONS .close = fake_close, .listen = fake_listen, \
	.resolve = fake_resolve, .resolve_stop = fake_resolve_stop, \
	.connect = fake_connect, .connect_stop = fake_connect_stop, \
	.announce = fake_announce, .withdraw = fake_withdraw, \
	.status = fake_status

static const struct net_backend near_backend = { .name = "near", FUNCTIONS };
static const struct net_backend far_backend = { .name = "far", .far = true,
	.knows = knows, .changed = fake_changed, FUNCTIONS };

static void
fake_new(struct fake *f, const struct net_backend *backend, const char *place)
{
	*f = (struct fake){ .net = { backend }, .place = place, .find_ms = NEVER,
		.handles = 2 };
	uv_timer_init(&loop, &f->finding);
	uv_timer_init(&loop, &f->connecting);
	f->finding.data = f->connecting.data = f;
}

/* ---- both ---- */

static struct net *both;
static const uint8_t key[KEY_LEN];
static int nclosed;

static struct net *
begin(void)
{
	struct net *children[] = { &near.net, &far.net };
	struct err err;

	nclosed = 0;
	assert_int_equal(uv_loop_init(&loop), 0);
	fake_new(&near, &near_backend, "10.0.0.1:4433");
	fake_new(&far, &far_backend, "far:key");
	assert_int_equal(several_new(children, 2, &both, &err), 0);
	return both;
}

static void
on_closed(void *owner)
{
	nclosed++;
}

static void
end(void)
{
	both->backend->close(both, on_closed, NULL);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(nclosed, 1);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void
nobody(void *owner, struct net_conn *conn)
{
}

static void
nowhere(void *owner, const char *place)
{
}

static void
not_called(void *owner, struct net_conn *conn, const struct err *why)
{
}

static void
a_place_goes_to_who_knows_it(void **state)
{
	struct net *net = begin();
	struct net_connect *connect;
	struct err err;

	assert_ptr_equal(several_for(net, "far:x"), &far.net);
	assert_ptr_equal(several_for(net, "h:1"), &near.net);
	assert_ptr_equal(several_part(net, true), &far.net);
	assert_ptr_equal(several_part(net, false), &near.net);
	assert_ptr_equal(several_for(&near.net, "far:x"), &near.net);
	assert_ptr_equal(several_part(&near.net, false), &near.net);
	assert_null(several_part(&near.net, true));
	near.connect_ms = far.connect_ms = NEVER;
	assert_int_equal(net->backend->connect(net, "far:x", 100, not_called,
	    NULL, &connect, &err), 0);
	assert_string_equal(far.called, "far:x");
	net->backend->connect_stop(connect);
	assert_int_equal(net->backend->connect(net, "h:1", 100, not_called,
	    NULL, &connect, &err), 0);
	assert_string_equal(near.called, "h:1");
	net->backend->connect_stop(connect);
	end();
}

static void
all_listen_and_announce(void **state)
{
	struct net *net = begin();
	struct net_status status;
	char actual[PLACE_MAX];
	struct err err = { .code = 0 };

	assert_int_equal(net->backend->listen(net, "10.0.0.1:4433", actual,
	    nobody, NULL, &err), 0);
	assert_string_equal(actual, near.place);
	assert_string_equal(far.listened, "any");
	assert_int_equal(net->backend->announce(net, key, &err), 0);
	assert_int_equal(near.announced + far.announced, 2);
	net->backend->changed(net, key);
	net->backend->withdraw(net, key);
	assert_int_equal(far.changed, 1);
	assert_int_equal(near.withdrawn + far.withdrawn, 2);
	near.announce_rc = E_NOTFOUND;
	assert_int_equal(net->backend->announce(net, key, &err), 0);
	far.announce_rc = E_NOTFOUND;
	assert_int_equal(net->backend->announce(net, key, &err), E_NOTFOUND);
	net->backend->status(net, &status);
	assert_true(status.veilid.on && status.veilid.streams == 3);
	assert_int_equal(status.accepted, 2);
	assert_string_equal(status.listening[0], near.place);
	end();
}

static void
a_far_one_that_cannot_listen_is_told_only(void **state)
{
	struct net *net = begin();
	struct net_status status;
	char actual[PLACE_MAX];
	struct err err = { .code = 0 };

	far.listen_rc = E_REFUSED;
	assert_int_equal(net->backend->listen(net, NULL, actual, nobody, NULL,
	    &err), 0);
	assert_int_equal(net->backend->announce(net, key, &err), 0);
	assert_int_equal(far.announced, 0);
	net->backend->status(net, &status);
	assert_int_equal(status.veilid.why.code, E_REFUSED);
	near.listen_rc = E_EXISTS;
	assert_int_equal(net->backend->listen(net, NULL, actual, nobody, NULL,
	    &err), E_EXISTS);
	end();
}

/* A second place is one of the near one; the far one goes on as it was. */
static void
a_far_one_listens_once(void **state)
{
	struct net *net = begin();
	struct net_status status;
	char actual[PLACE_MAX];
	struct err err = { .code = 0 };

	assert_int_equal(net->backend->listen(net, "h:1", actual, nobody, NULL,
	    &err), 0);
	far.listen_rc = E_EXISTS;       /* as Veilid's says then */
	assert_int_equal(net->backend->listen(net, "h:2", actual, nobody, NULL,
	    &err), 0);
	assert_string_equal(near.listened, "h:2");
	assert_int_equal(net->backend->announce(net, key, &err), 0);
	assert_int_equal(far.announced, 1);
	net->backend->status(net, &status);
	assert_int_equal(status.veilid.why.code, 0);
	end();
	/* one that could not is asked again */
	net = begin();
	far.listen_rc = E_REFUSED;
	assert_int_equal(net->backend->listen(net, "h:1", actual, nobody, NULL,
	    &err), 0);
	far.listen_rc = 0;
	assert_int_equal(net->backend->listen(net, "h:2", actual, nobody, NULL,
	    &err), 0);
	assert_int_equal(net->backend->announce(net, key, &err), 0);
	assert_int_equal(far.announced, 1);
	end();
}

static void
alone_a_far_one_has_to_listen(void **state)
{
	struct net *children[] = { &far.net };
	char actual[PLACE_MAX];
	struct err err = { .code = 0 };

	assert_int_equal(uv_loop_init(&loop), 0);
	fake_new(&far, &far_backend, "far:key");
	assert_int_equal(several_new(children, 1, &both, &err), 0);
	assert_int_equal(both->backend->listen(both, "h:1", actual, nobody, NULL,
	    &err), 0);
	assert_string_equal(actual, "far:key");
	far.listen_rc = E_REFUSED;
	assert_int_equal(both->backend->listen(both, NULL, actual, nobody, NULL,
	    &err), E_REFUSED);
	assert_null(several_for(both, "h:1"));
	nclosed = 0;
	end();
}

static void
one_that_can_look_is_enough(void **state)
{
	struct net *net = begin();
	struct net_resolve *r;
	struct err err = { .code = 0 };

	near.resolve_rc = E_NOTFOUND;
	assert_int_equal(net->backend->resolve(net, key, nowhere, NULL, &r,
	    &err), 0);
	assert_true(far.resolving);
	net->backend->resolve_stop(r);
	/* who does not want to know why */
	assert_int_equal(net->backend->resolve(net, key, nowhere, NULL, &r,
	    NULL), 0);
	net->backend->resolve_stop(r);
	assert_false(far.resolving);
	far.resolve_rc = E_FATAL;
	near.resolve_rc = 0;
	assert_int_equal(net->backend->resolve(net, key, nowhere, NULL, &r,
	    &err), E_FATAL);
	assert_false(near.resolving);
	near.resolve_rc = far.resolve_rc = E_NOTFOUND;
	assert_int_equal(net->backend->resolve(net, key, nowhere, NULL, &r,
	    &err), E_NOTFOUND);
	end();
}

/* ---- dialling ---- */

static struct {
	struct net_dial *dial;
	int conns, fails;
	bool far;
	uint64_t ms;            /* from the beginning */
	uint64_t began;
	struct err why;
} d;

static void
on_conn(void *owner, struct net_conn *conn, const char *place, bool named)
{
	d.conns++;
	d.far = conn->far;
	d.ms = uv_now(&loop) - d.began;
	uv_stop(&loop);
}

static void
on_fail(void *owner, const struct err *why)
{
	d.fails++;
	d.why = *why;
	uv_stop(&loop);
}

static void
dial(struct net *net, bool named, uint32_t timeout_ms)
{
	static const struct net_dial_events events = { on_conn, on_fail };
	struct net_env env = net_env_system(&loop);
	const char *places[] = { near.place };
	struct err err;

	memset(&d, 0, sizeof d);
	uv_update_time(&loop);
	d.began = uv_now(&loop);
	assert_int_equal(net_dial(net, &env, key, places, named, timeout_ms,
	    &events, NULL, &d.dial, &err), 0);
	uv_run(&loop, UV_RUN_DEFAULT);
}

/* near_ms, far_ms: until they answer; which is taken, after how long. */
static void
takes(bool named, int near_ms, bool refuses, int far_ms, bool want_far,
    uint64_t want_ms)
{
	struct net *net = begin();

	near.connect_ms = near_ms;
	near.refuses = refuses;
	far.connect_ms = far_ms;
	far.find_ms = 0;
	dial(net, named, 5000);
	assert_int_equal(d.conns, 1);
	assert_int_equal(d.far, want_far);
	assert_in_range(d.ms, want_ms, want_ms + SLACK_MS);
	net_dial_stop(d.dial);
	end();
}

static void
a_near_one_is_kept_when_it_answers(void **state)
{
	takes(true, 500, false, 0, false, 500);
	takes(true, 0, false, 0, false, 0);
}

static void
a_far_one_waits_no_longer_than_it_has_to(void **state)
{
	takes(true, 4000, false, 0, true, NET_FAR_MS);
	takes(true, 400, true, 0, true, 400);
	takes(true, 0, true, 0, true, NET_NEAR_MS);
	takes(false, 0, false, 0, true, NET_NEAR_MS);
	takes(true, NEVER, false, 2000, true, 2000);
}

static void
a_near_one_that_is_found_meanwhile_is_taken(void **state)
{
	struct net *net = begin();

	near.find_ms = 200;
	near.connect_ms = 300;
	far.find_ms = far.connect_ms = 0;
	dial(net, false, 5000);
	assert_false(d.far);
	/* and the far one stays, if that is the wrong one */
	net_dial_next(d.dial);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(d.conns == 2 && d.far);
	net_dial_stop(d.dial);
	end();
}

static void
a_part_is_dialled_alone(void **state)
{
	struct net *net = begin();

	far.find_ms = far.connect_ms = 0;
	near.find_ms = near.connect_ms = 0;
	dial(several_part(net, true), false, 5000);
	assert_true(d.far && d.ms < SLACK_MS && near.called[0] == '\0');
	net_dial_stop(d.dial);
	dial(several_part(net, false), false, 5000);
	assert_true(!d.far && d.ms < SLACK_MS);
	net_dial_stop(d.dial);
	end();
}

static void
what_is_left_is_given_up(void **state)
{
	struct net *net = begin();

	near.connect_ms = NEVER;
	far.find_ms = 0;
	far.connect_ms = NEVER;
	dial(net, true, 200);
	assert_int_equal(d.fails, 1);
	assert_int_equal(d.why.code, E_UNREACHABLE);
	/* half of a short time is left for the far one */
	far.connect_ms = 0;
	dial(net, true, 200);
	assert_true(d.conns == 1 && d.far && d.ms < 150);
	net_dial_stop(d.dial);
	dial(net, true, 5000);
	assert_true(d.far);
	far.connect_ms = 0;
	net_dial_stop(d.dial);
	assert_int_equal(far.aborted, 0);
	assert_false(near.resolving || far.resolving);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_place_goes_to_who_knows_it),
		cmocka_unit_test(all_listen_and_announce),
		cmocka_unit_test(a_far_one_that_cannot_listen_is_told_only),
		cmocka_unit_test(a_far_one_listens_once),
		cmocka_unit_test(alone_a_far_one_has_to_listen),
		cmocka_unit_test(one_that_can_look_is_enough),
		cmocka_unit_test(a_near_one_is_kept_when_it_answers),
		cmocka_unit_test(a_far_one_waits_no_longer_than_it_has_to),
		cmocka_unit_test(a_near_one_that_is_found_meanwhile_is_taken),
		cmocka_unit_test(a_part_is_dialled_alone),
		cmocka_unit_test(what_is_left_is_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
