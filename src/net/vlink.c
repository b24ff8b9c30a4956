// SPDX-License-Identifier: MPL-2.0
#include "net/vlink.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

#include "base/addr.h"
#include "net/place.h"
#include "net/vmsg.h"

struct vlink {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_pipe_t pipe;
		uv_tcp_t tcp;
	};
	uv_connect_t connecting;
	struct vlines lines;
	const struct vlink_events *events;
	void *owner;
	bool local, trusted;
	bool over;              /* on_broken was called, or close() */
	char read_buf[64 << 10];
};

struct write {
	uv_write_t req;
	size_t len;
	char bytes[];
};

/* ---- where ---- */

static bool
on_this_machine(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in *in = (const void *)addr;
	const struct sockaddr_in6 *in6 = (const void *)addr;

	if (addr->ss_family == AF_INET)
		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

static int
parse_place(const char *text, struct vwhere *out, struct err *err)
{
	static const char hint[] = "say unix:PATH, or 127.0.0.1:PORT";
	char host[256];
	uint16_t port;

	if (addr_split_place(text, host, &port, NULL) < 0)
		return err_set(err, E_USAGE, hint,
		    "'%.80s' does not say where a Veilid node is", text);
	if (strcmp(host, "localhost") == 0)
		strcpy(host, "127.0.0.1");
	if (place_numeric(host, port, &out->addr) < 0
	    || !on_this_machine(&out->addr))
		return err_set(err, E_USAGE, hint,
		    "the Veilid node has to be on this machine, '%.80s' is not",
		    host);
	if (!out->trusted)
		return err_set(err, E_REFUSED,
		    "allow it expressly, or use a unix socket",
		    "whoever listens at %.80s would learn this database's key",
		    text);
	return 0;
}

int
vwhere_parse(const char *text, bool trusted, struct vwhere *out,
    struct err *err)
{
	const char *path;

	*out = (struct vwhere){ .trusted = trusted };
	if (strncmp(text, "unix:", 5) != 0)
		return parse_place(text, out, err);
	path = text + 5;
	out->local = true;
	if (path[0] == '\0')
		return err_set(err, E_USAGE, NULL,
		    "'unix:' lacks the path of a socket");
	if (strlen(path) >= sizeof out->path)
		return err_set(err, E_USAGE, NULL,
		    "the path of the Veilid node's socket is longer than %zu "
		    "bytes", sizeof out->path - 1);
	strcpy(out->path, path);
	return 0;
}

/* ---- the connection ---- */

static void
fail(struct vlink *l, const struct err *why)
{
	if (l->over)
		return;
	l->over = true;
	uv_read_stop(&l->stream);
	l->events->on_broken(l->owner, why);
}

static void
fail_uv(struct vlink *l, const char *what, int status)
{
	struct err why = { .code = 0 };

	err_set(&why, E_UNREACHABLE, NULL, "%s: %s", what,
	    status == UV_EOF ? "the node closed the connection"
	    : uv_strerror(status));
	fail(l, &why);
}

static void
give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct vlink *l = handle->data;

	buf->base = l->read_buf;
	buf->len = sizeof l->read_buf;
}

static void
have_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct vlink *l = stream->data;
	struct err why = { .code = 0 };
	const char *line;
	size_t len;
	int rc;

	if (n < 0)
		fail_uv(l, "the connection with the Veilid node broke",
		    (int)n);
	if (n <= 0)
		return;
	rc = vlines_add(&l->lines, buf->base, (size_t)n, &why);
	/* any line may be the one after which the owner closes */
	while (rc >= 0 && !l->over) {
		rc = vlines_next(&l->lines, &line, &len, &why);
		if (rc <= 0)
			break;
		l->events->on_line(l->owner, line, len);
	}
	if (rc < 0)
		fail(l, &why);
}

/* Whether a unix socket is of this user or of root: somebody else may have been
 * first at a path that all can write to. */
static int
check_peer(struct vlink *l, struct err *err)
{
	int rc = 0;
#ifdef SO_PEERCRED
	struct ucred peer;
	socklen_t len = sizeof peer;
	uv_os_fd_t fd;

	if (!l->local || l->trusted)
		return 0;
	if (uv_fileno(&l->handle, &fd) < 0
	    || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		rc = err_set(err, E_UNREACHABLE, NULL,
		    "the owner of the Veilid node's socket can't be told");
	else if (peer.uid != geteuid() && peer.uid != 0)
		rc = err_set(err, E_REFUSED, "allow it expressly",
		    "the Veilid node is another user's, who would learn this "
		    "database's key");
#endif
	return rc;
}

static void
have_connected(uv_connect_t *req, int status)
{
	struct vlink *l = req->data;
	struct err why = { .code = 0 };

	if (l->over)
		return;
	if (status < 0) {
		fail_uv(l, "no Veilid node answers", status);
	} else if (check_peer(l, &why) < 0) {
		fail(l, &why);
	} else {
		if (!l->local)
			uv_tcp_nodelay(&l->tcp, 1);
		uv_read_start(&l->stream, give_buffer, have_read);
		l->events->on_open(l->owner);
	}
}

static void
link_closed(uv_handle_t *handle)
{
	struct vlink *l = handle->data;

	l->events->on_gone(l->owner);
	vlines_clear(&l->lines);
	free(l);
}

int
vlink_open(struct uv_loop_s *loop, const struct vwhere *where,
    const struct vlink_events *events, void *owner, struct vlink **out,
    struct err *err)
{
	struct vlink *l = calloc(1, sizeof *l);
	int rc = 0;

	*out = NULL;
	if (l == NULL)
		return err_nomem(err);
	vlines_init(&l->lines);
	l->events = events;
	l->owner = owner;
	l->local = where->local;
	l->trusted = where->trusted;
	l->connecting.data = l;
	if (where->local) {
		uv_pipe_init(loop, &l->pipe, 0);
		uv_pipe_connect(&l->connecting, &l->pipe, where->path,
		    have_connected);
	} else {
		uv_tcp_init(loop, &l->tcp);
		rc = uv_tcp_connect(&l->connecting, &l->tcp,
		    (const struct sockaddr *)&where->addr, have_connected);
	}
	l->handle.data = l;
	if (rc < 0) {
		l->over = true;
		rc = err_set(err, E_UNREACHABLE, NULL,
		    "no Veilid node answers: %s", uv_strerror(rc));
	}
	*out = l;
	return rc;
}

/* What was sent may be a key. */
static void
free_write(struct write *w)
{
	explicit_bzero(w->bytes, w->len);
	free(w);
}

static void
have_written(uv_write_t *req, int status)
{
	struct vlink *l = req->handle->data;

	free_write(req->data);
	if (status < 0)
		fail_uv(l, "the connection with the Veilid node broke",
		    status);
}

int
vlink_send(struct vlink *l, const char *text, size_t len, struct err *err)
{
	size_t queued = uv_stream_get_write_queue_size(&l->stream);
	struct write *w;
	uv_buf_t buf;
	int rc;

	if (len >= VLINK_QUEUE_MAX || queued > VLINK_QUEUE_MAX - len - 1)
		return err_set(err, E_HELD, NULL,
		    "the Veilid node does not read fast enough");
	w = malloc(sizeof *w + len + 1);
	if (w == NULL)
		return err_nomem(err);
	w->len = len;
	memcpy(w->bytes, text, len);
	w->bytes[len] = '\n';
	w->req.data = w;
	buf = uv_buf_init(w->bytes, (unsigned)len + 1);
	rc = uv_write(&w->req, &l->stream, &buf, 1, have_written);
	if (rc < 0) {
		free_write(w);
		return err_set(err, E_UNREACHABLE, NULL,
		    "the connection with the Veilid node broke: %s",
		    uv_strerror(rc));
	}
	return 0;
}

void
vlink_close(struct vlink *l)
{
	l->over = true;
	uv_close(&l->handle, link_closed);
}
