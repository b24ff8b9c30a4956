// SPDX-License-Identifier: MPL-2.0
/*
 * tcp.c - one TCP connection as a struct net_conn.  Who may have one is
 * decided in listen.c, how one is made in connect.c.
 *
 * A struct tcp lives until its owner has given it up and its handle is
 * closed, whichever is later.  A connection given up with bytes in its queue
 * flushes them, ends its side, and throws away what still comes, since
 * closing with unread bytes makes the kernel reset the stream and the other
 * end lose what it has not read yet.
 */
#include "net/direct.h"

#include <stdlib.h>
#include <string.h>

#include "net/place.h"

struct write {
	uv_write_t req;
	uint8_t bytes[];
};

static struct tcp *
of_conn(const struct net_conn *conn)
{
	return (struct tcp *)(uintptr_t)conn;
}

static uv_stream_t *
stream(struct tcp *t)
{
	return (uv_stream_t *)&t->handle;
}

void
tcp_move(struct tcp *t, struct tcp_list *list)
{
	struct tcp_list *old = t->list;

	if (old != NULL) {
		if (t->prev != NULL)
			t->prev->next = t->next;
		else
			old->first = t->next;
		if (t->next != NULL)
			t->next->prev = t->prev;
		else
			old->last = t->prev;
		old->n--;
	}
	t->list = list;
	t->prev = t->next = NULL;
	if (list == NULL)
		return;
	t->prev = list->last;
	if (list->last != NULL)
		list->last->next = t;
	else
		list->first = t;
	list->last = t;
	list->n++;
	t->since = uv_now(t->direct->env.loop);
}

static void
handle_closed(uv_handle_t *handle)
{
	struct tcp *t = handle->data;
	struct direct *d = t->direct;

	t->closed = true;
	if (!t->owned)
		free(t);
	direct_release(d);
}

static void
close_handle(struct tcp *t)
{
	tcp_move(t, t->owned ? &t->direct->failed : NULL);
	t->over = true;
	if (t->closing)
		return;
	t->closing = true;
	uv_close((uv_handle_t *)&t->handle, handle_closed);
}

void
tcp_destroy(struct tcp *t)
{
	t->owned = false;
	if (t->closed) {
		tcp_move(t, NULL);
		free(t);
	} else {
		close_handle(t);
	}
}

void
tcp_fail(struct tcp *t, const struct err *why)
{
	if (t->over)
		return;
	/* The descriptor is freed now, even if the owner takes its time. */
	close_handle(t);
	if (t->owned && t->conn.events != NULL)
		t->conn.events->on_close(&t->conn, why);
}

static void
fail_uv(struct tcp *t, int status)
{
	struct err why = { .code = 0 };

	if (status != UV_EOF)
		err_set(&why, E_UNREACHABLE, NULL,
		    "the connection with %s broke: %s", t->place,
		    uv_strerror(status));
	tcp_fail(t, &why);
}

static void
give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct tcp *t = handle->data;

	buf->base = t->direct->read_buf;
	buf->len = sizeof t->direct->read_buf;
}

static void
have_read(uv_stream_t *handle, ssize_t n, const uv_buf_t *buf)
{
	struct tcp *t = handle->data;

	if (n == 0 || t->closing)
		return;
	if (!t->owned) {
		if (n < 0)
			close_handle(t);
		return;
	}
	if (n < 0)
		fail_uv(t, (int)n);
	else
		t->conn.events->on_data(&t->conn,
		    (const uint8_t *)buf->base, (size_t)n);
}

static void
tcp_read(struct net_conn *conn, bool on)
{
	struct tcp *t = of_conn(conn);

	if (t->over || on == t->reading)
		return;
	t->reading = on;
	if (on)
		uv_read_start(stream(t), give_buffer, have_read);
	else
		uv_read_stop(stream(t));
}

static size_t
tcp_queued(const struct net_conn *conn)
{
	const struct tcp *t = of_conn(conn);

	return t->over ? 0
	    : uv_stream_get_write_queue_size(
		(const uv_stream_t *)&t->handle);
}

static void
have_written(uv_write_t *req, int status)
{
	struct write *w = req->data;
	struct tcp *t = req->handle->data;

	free(w);
	if (t->over)
		return;
	if (status < 0) {
		if (t->owned)
			fail_uv(t, status);
		else
			close_handle(t);
	} else if (t->owned && t->above
	    && tcp_queued(&t->conn) <= NET_LOW_WATER) {
		t->above = false;
		t->conn.events->on_drain(&t->conn);
	}
}

static int
broken(struct tcp *t, int status, struct err *err)
{
	return err_set(err, E_UNREACHABLE, NULL,
	    "the connection with %s broke: %s", t->place,
	    uv_strerror(status));
}

/* Queues what the kernel did not take at once. */
static int
queue(struct tcp *t, const uint8_t *bytes, size_t len, struct err *err)
{
	struct write *w = malloc(sizeof *w + len);
	uv_buf_t buf;
	int rc;

	if (w == NULL)
		return err_nomem(err);
	memcpy(w->bytes, bytes, len);
	w->req.data = w;
	buf = uv_buf_init((char *)w->bytes, (unsigned)len);
	rc = uv_write(&w->req, stream(t), &buf, 1, have_written);
	if (rc < 0) {
		free(w);
		return broken(t, rc, err);
	}
	t->above |= tcp_queued(&t->conn) > NET_LOW_WATER;
	return 0;
}

static int
tcp_send(struct net_conn *conn, const void *bytes, size_t len,
    struct err *err)
{
	struct tcp *t = of_conn(conn);
	size_t max = t->marked ? NET_SEND_MAX : NET_SEND_MAX_UNKNOWN;
	size_t queued = tcp_queued(conn);
	const uint8_t *from = bytes;
	uv_buf_t buf;
	int n;

	if (t->over)
		return broken(t, UV_ENOTCONN, err);
	if (len > max || queued > max - len)
		return err_set(err, E_HELD, NULL,
		    "%s does not read fast enough", t->place);
	if (queued == 0 && len > 0) {
		buf = uv_buf_init((char *)(uintptr_t)from, (unsigned)len);
		n = uv_try_write(stream(t), &buf, 1);
		if (n < 0 && n != UV_EAGAIN)
			return broken(t, n, err);
		if (n > 0) {
			from += n;
			len -= (size_t)n;
		}
	}
	return len > 0 ? queue(t, from, len, err) : 0;
}

static void
tcp_mark(struct net_conn *conn)
{
	struct tcp *t = of_conn(conn);

	t->marked = true;
	if (t->over)
		return;
	tcp_move(t, &t->direct->known);
	direct_arm_reaper(t->direct);
}

static void
tcp_place(const struct net_conn *conn, char out[static PLACE_MAX])
{
	strcpy(out, of_conn(conn)->place);
}

static void
have_shut_down(uv_shutdown_t *req, int status)
{
	struct tcp *t = req->handle->data;

	if (status < 0 && !t->closing)
		close_handle(t);
}

/* Flushes and ends our side; the other end, or the reaper, does the rest. */
static void
linger(struct tcp *t)
{
	struct direct *d = t->direct;

	t->owned = false;
	if (uv_shutdown(&t->shutdown, stream(t), have_shut_down) < 0) {
		close_handle(t);
		return;
	}
	if (!t->reading) {
		t->reading = true;
		uv_read_start(stream(t), give_buffer, have_read);
	}
	if (d->lingering.n >= NET_LINGERING_MAX)
		tcp_destroy(d->lingering.first);
	tcp_move(t, &d->lingering);
	direct_arm_reaper(d);
}

static void
tcp_close(struct net_conn *conn, bool flush)
{
	struct tcp *t = of_conn(conn);

	if (flush && !t->over)
		linger(t);
	else
		tcp_destroy(t);
}

static const struct net_conn_ops tcp_ops = {
	.send = tcp_send,
	.queued = tcp_queued,
	.read = tcp_read,
	.mark = tcp_mark,
	.place = tcp_place,
	.close = tcp_close,
};

struct tcp *
tcp_new(struct direct *d, struct err *err)
{
	struct tcp *t = calloc(1, sizeof *t);

	if (t == NULL) {
		err_nomem(err);
		return NULL;
	}
	t->conn.ops = &tcp_ops;
	t->direct = d;
	t->owned = true;
	uv_tcp_init(d->env.loop, &t->handle);
	t->handle.data = t;
	d->handles++;
	return t;
}

void
tcp_ready(struct tcp *t)
{
	struct sockaddr_storage addr;
	int len = sizeof addr;

	uv_tcp_nodelay(&t->handle, 1);
	/* Finds a peer that is gone for good when all above is silent. */
	uv_tcp_keepalive(&t->handle, 1, 60);
	if (uv_tcp_getpeername(&t->handle, (struct sockaddr *)&addr,
	    &len) == 0)
		place_format((struct sockaddr *)&addr, t->place);
	else
		strcpy(t->place, "?");
}
