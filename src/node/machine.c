// SPDX-License-Identifier: MPL-2.0
/*
 * machine.c - a timer far in the future that the kernel cancels when the
 * clock is set, which it is on waking up, and the descriptor by which the
 * network tells of addresses.
 */
#include "node/machine.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <uv.h>

#include "net/lan_if.h"

struct watched {
	struct machine *machine;
	uv_poll_t poll;
	int fd;                 /* -1: the system has none */
};

struct machine {
	struct watched clock, addresses;
	int open;
	void (*changed)(void *owner);
	void *owner;
};

static bool
arm_clock(int fd)
{
	/* The last second a signed number of 32 bits holds. */
	struct itimerspec far = { .it_value = { .tv_sec = INT32_MAX } };

	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
	    &far, NULL) == 0;
}

static void
on_clock(uv_poll_t *poll, int status, int events)
{
	struct watched *w = poll->data;
	uint64_t n;

	if (read(w->fd, &n, sizeof n) < 0 && errno != ECANCELED)
		return;
	if (!arm_clock(w->fd))
		uv_poll_stop(poll);
	w->machine->changed(w->machine->owner);
}

static void
on_addresses(uv_poll_t *poll, int status, int events)
{
	struct watched *w = poll->data;

	if (lan_if_watch_read(w->fd))
		w->machine->changed(w->machine->owner);
}

static void
poll_closed(uv_handle_t *handle)
{
	struct watched *w = handle->data;

	close(w->fd);
	if (--w->machine->open == 0)
		free(w->machine);
}

static void
start(struct machine *m, struct watched *w, uv_loop_t *loop, uv_poll_cb cb)
{
	w->machine = m;
	if (w->fd < 0)
		return;
	if (uv_poll_init(loop, &w->poll, w->fd) != 0) {
		close(w->fd);
		w->fd = -1;
		return;
	}
	w->poll.data = w;
	m->open++;
	uv_poll_start(&w->poll, UV_READABLE, cb);
}

struct machine *
machine_open(uv_loop_t *loop, void (*changed)(void *owner), void *owner)
{
	struct machine *m = calloc(1, sizeof *m);

	if (m == NULL)
		return NULL;
	m->changed = changed;
	m->owner = owner;
	m->clock.fd = timerfd_create(CLOCK_REALTIME,
	    TFD_CLOEXEC | TFD_NONBLOCK);
	if (m->clock.fd >= 0 && !arm_clock(m->clock.fd)) {
		close(m->clock.fd);
		m->clock.fd = -1;
	}
	m->addresses.fd = lan_if_watch();
	start(m, &m->clock, loop, on_clock);
	start(m, &m->addresses, loop, on_addresses);
	return m;
}

static void
stop(struct watched *w)
{
	if (w->fd >= 0)
		uv_close((uv_handle_t *)&w->poll, poll_closed);
}

void
machine_close(struct machine *m)
{
	if (m == NULL)
		return;
	if (m->open == 0) {
		free(m);
		return;
	}
	stop(&m->clock);
	stop(&m->addresses);
}
