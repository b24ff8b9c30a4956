// SPDX-License-Identifier: MPL-2.0
#include "node/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <uv.h>

#include "base/buf.h"

static const char socket_name[] = "control";

struct control {
	uv_pipe_t listener;
	int dir_fd;
	const struct control_events *events;
	void *owner;
	struct control_client *clients;
	size_t n;
};

struct control_client {
	uv_pipe_t pipe;
	struct control *control;        /* NULL: given up by the owner */
	struct control_client *next;
	struct buf in;
	bool asked;             /* the request was handed over */
	bool closing;
	void *data;
	char read_buf[4096];
};

struct line {
	uv_write_t req;
	char text[];
};

int
control_address(const char *state_dir, int dir_fd, struct sockaddr_un *out,
    struct err *err)
{
	int n;

	memset(out, 0, sizeof *out);
	out->sun_family = AF_UNIX;
	n = snprintf(out->sun_path, sizeof out->sun_path, "%s/%s", state_dir,
	    socket_name);
	if (n >= (int)sizeof out->sun_path)
		n = snprintf(out->sun_path, sizeof out->sun_path,
		    "/proc/self/fd/%d/%s", dir_fd, socket_name);
	if (n < 0 || n >= (int)sizeof out->sun_path)
		return err_set(err, E_FATAL, NULL, "the path %.300s is too long",
		    state_dir);
	return 0;
}

/* ---- clients ---- */

static void
client_closed(uv_handle_t *handle)
{
	struct control_client *c = handle->data;

	buf_clear(&c->in);
	free(c);
}

/* Takes c off its control; its handle closes now, or after a last write. */
static void
unlink_client(struct control_client *c)
{
	struct control_client **at;

	if (c->control == NULL)
		return;
	for (at = &c->control->clients; *at != c; at = &(*at)->next)
		continue;
	*at = c->next;
	c->control->n--;
	c->control = NULL;
}

static void
close_client(struct control_client *c)
{
	unlink_client(c);
	if (c->closing)
		return;
	c->closing = true;
	uv_close((uv_handle_t *)&c->pipe, client_closed);
}

static void
client_gone(struct control_client *c)
{
	struct control *control = c->control;

	if (control != NULL && c->asked)
		control->events->on_gone(control->owner, c);
	close_client(c);
}

static void
line_written(uv_write_t *req, int status)
{
	struct control_client *c = req->handle->data;

	free(req->data);
	if (c->closing)
		return;
	if (status < 0)
		client_gone(c);
	else if (c->control == NULL && c->pipe.write_queue_size == 0)
		close_client(c);
}

static void
send_line(struct control_client *c, const json_t *answer)
{
	size_t len = json_dumpb(answer, NULL, 0, JSON_COMPACT);
	struct line *line;
	uv_buf_t bytes;

	if (c->closing || len == 0 || len > CONTROL_ANSWER_MAX
	    || c->pipe.write_queue_size > CONTROL_QUEUE_MAX)
		return;
	line = malloc(sizeof *line + len + 1);
	if (line == NULL)
		return;
	json_dumpb(answer, line->text, len, JSON_COMPACT);
	line->text[len] = '\n';
	line->req.data = line;
	bytes = uv_buf_init(line->text, (unsigned)len + 1);
	if (uv_write(&line->req, (uv_stream_t *)&c->pipe, &bytes, 1,
	    line_written) != 0)
		free(line);
}

void
control_send(struct control_client *c, json_t *answer)
{
	if (answer != NULL)
		send_line(c, answer);
	json_decref(answer);
}

void
control_end(struct control_client *c, const struct err *why)
{
	control_send(c, json_pack("{s:i, s:s, s:s}", "done",
	    why != NULL ? why->code : 0, "error", why != NULL ? why->text : "",
	    "hint", why != NULL ? why->hint : ""));
	unlink_client(c);
	if (!c->closing && c->pipe.write_queue_size == 0)
		close_client(c);
}

void
control_set_data(struct control_client *c, void *data)
{
	c->data = data;
}

void *
control_data(const struct control_client *c)
{
	return c->data;
}

static void
take_request(struct control_client *c, size_t len)
{
	struct err why = { .code = 0 };
	json_t *request = json_loadb((const char *)c->in.data, len,
	    JSON_REJECT_DUPLICATES, NULL);

	c->asked = true;
	buf_clear(&c->in);
	if (!json_is_object(request)) {
		err_set(&why, E_USAGE, NULL, "that is no request");
		control_end(c, &why);
	} else {
		c->control->events->on_request(c->control->owner, c, request);
	}
	json_decref(request);
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
	struct control_client *c = stream->data;
	const uint8_t *end;

	if (n < 0) {
		client_gone(c);
		return;
	}
	/* One request a connection: what follows it is not read. */
	if (n == 0 || c->asked || c->control == NULL)
		return;
	buf_add(&c->in, bytes->base, (size_t)n);
	if (c->in.failed) {
		client_gone(c);
		return;
	}
	end = memchr(c->in.data, '\n', c->in.len);
	if (end != NULL)
		take_request(c, (size_t)(end - c->in.data));
}

static void
on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
	struct control_client *c = handle->data;

	*out = uv_buf_init(c->read_buf, sizeof c->read_buf);
}

static bool
is_one_of_us(uv_pipe_t *pipe)
{
	struct ucred cred;
	socklen_t len = sizeof cred;
	uv_os_fd_t fd;

	return uv_fileno((uv_handle_t *)pipe, &fd) == 0
	    && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0
	    && (cred.uid == geteuid() || cred.uid == 0);
}

static void
on_connection(uv_stream_t *listener, int status)
{
	struct control *control = listener->data;
	struct control_client *c;

	if (status < 0)
		return;
	c = calloc(1, sizeof *c);
	if (c == NULL)
		return;
	buf_init(&c->in, CONTROL_LINE_MAX);
	uv_pipe_init(listener->loop, &c->pipe, 0);
	c->pipe.data = c;
	if (uv_accept(listener, (uv_stream_t *)&c->pipe) != 0
	    || control->n == CONTROL_CLIENTS_MAX || !is_one_of_us(&c->pipe)
	    || uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) != 0) {
		close_client(c);
		return;
	}
	c->control = control;
	c->next = control->clients;
	control->clients = c;
	control->n++;
}

/* ---- the socket ---- */

static void
listener_closed(uv_handle_t *handle)
{
	struct control *c = handle->data;

	close(c->dir_fd);
	free(c);
}

static int
bind_socket(const char *state_dir, int dir_fd, int *out, struct err *err)
{
	struct sockaddr_un address;
	int fd = -1, rc;

	rc = control_address(state_dir, dir_fd, &address, err);
	if (rc < 0)
		return rc;
	unlinkat(dir_fd, socket_name, 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Nobody else can reach it in between: the directory is 0700. */
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0
	    || fchmodat(dir_fd, socket_name, 0600, 0) != 0) {
		rc = err_set(err, E_FATAL, NULL,
		    "can't make the control socket in %.300s: %s", state_dir,
		    strerror(errno));
		if (fd >= 0)
			close(fd);
		return rc;
	}
	*out = fd;
	return 0;
}

int
control_open(uv_loop_t *loop, const char *state_dir,
    const struct control_events *events, void *owner, struct control **out,
    struct err *err)
{
	struct control *c = calloc(1, sizeof *c);
	int fd = -1, rc;

	if (c == NULL)
		return err_nomem(err);
	c->events = events;
	c->owner = owner;
	c->dir_fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->dir_fd < 0) {
		rc = err_set(err, E_FATAL, NULL, "can't open %.300s: %s",
		    state_dir, strerror(errno));
		free(c);
		return rc;
	}
	rc = bind_socket(state_dir, c->dir_fd, &fd, err);
	if (rc < 0) {
		close(c->dir_fd);
		free(c);
		return rc;
	}
	uv_pipe_init(loop, &c->listener, 0);
	c->listener.data = c;
	rc = uv_pipe_open(&c->listener, fd);
	if (rc == 0)
		rc = uv_listen((uv_stream_t *)&c->listener, CONTROL_CLIENTS_MAX,
		    on_connection);
	if (rc != 0) {
		rc = err_set(err, E_FATAL, NULL,
		    "can't listen on the control socket: %s", uv_strerror(rc));
		uv_close((uv_handle_t *)&c->listener, listener_closed);
		return rc;
	}
	*out = c;
	return 0;
}

void
control_close(struct control *c)
{
	if (c == NULL)
		return;
	while (c->clients != NULL)
		close_client(c->clients);
	unlinkat(c->dir_fd, socket_name, 0);
	uv_close((uv_handle_t *)&c->listener, listener_closed);
}
