// SPDX-License-Identifier: MPL-2.0
#include "veilid_stand_in.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct said {
	uv_write_t req;
	char bytes[];
};

static void
must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "the stand-in: %s\n", what);
	abort();
}

static void
free_handle(uv_handle_t *handle)
{
	free(handle);
}

void
stand_in_hang_up(struct stand_in *s)
{
	if (s->conn == NULL)
		return;
	uv_close((uv_handle_t *)s->conn, free_handle);
	s->conn = NULL;
	s->connected = false;
}

static void
have_said(uv_write_t *req, int status)
{
	free(req->data);
}

void
stand_in_say(struct stand_in *s, const void *bytes, size_t len)
{
	size_t n = len < s->cut - s->said ? len : s->cut - s->said;
	struct said *w;
	uv_buf_t buf;

	if (s->conn == NULL)
		return;
	w = malloc(sizeof *w + n);
	must(w != NULL, "no memory");
	memcpy(w->bytes, bytes, n);
	w->req.data = w;
	buf = uv_buf_init(w->bytes, (unsigned)n);
	/* writes at once what the kernel takes */
	if (uv_write(&w->req, (uv_stream_t *)s->conn, &buf, 1, have_said) < 0)
		free(w);
	s->said += n;
	if (n < len || s->said == s->cut)
		stand_in_hang_up(s);
}

void
stand_in_sayf(struct stand_in *s, const char *fmt, ...)
{
	char text[4096];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	must(n >= 0 && (size_t)n < sizeof text, "text is too long");
	stand_in_say(s, text, (size_t)n);
}

static void
give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct stand_in *s = handle->data;

	*buf = uv_buf_init(s->chunk, sizeof s->chunk);
}

static void
have_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct stand_in *s = stream->data;
	json_t *request;
	char *end;

	if (stream != (uv_stream_t *)s->conn)
		return;
	if (n < 0)
		stand_in_hang_up(s);
	if (n <= 0)
		return;
	must((size_t)n <= sizeof s->in - s->nin, "a request is too long");
	memcpy(s->in + s->nin, buf->base, (size_t)n);
	s->nin += (size_t)n;
	while ((end = memchr(s->in, '\n', s->nin)) != NULL) {
		request = json_loadb(s->in, (size_t)(end - s->in),
		    JSON_REJECT_DUPLICATES, NULL);
		must(json_is_object(request), "that is no request");
		s->nin -= (size_t)(end + 1 - s->in);
		memmove(s->in, end + 1, s->nin);
		s->requests++;
		s->on_request(s, request);
		json_decref(request);
		if (stream != (uv_stream_t *)s->conn)
			return;
	}
}

static void
have_client(uv_stream_t *server, int status)
{
	struct stand_in *s = server->data;
	uv_pipe_t *conn = calloc(1, sizeof *conn);

	must(status == 0 && conn != NULL, "cannot accept");
	stand_in_hang_up(s);
	uv_pipe_init(s->loop, conn, 0);
	conn->data = s;
	must(uv_accept(server, (uv_stream_t *)conn) == 0, "cannot accept");
	s->conn = conn;
	s->connected = true;
	s->connections++;
	s->nin = s->said = 0;
	if (s->cut == 0)
		stand_in_hang_up(s);
	else if (!s->deaf)
		uv_read_start((uv_stream_t *)conn, give_buffer, have_read);
}

void
stand_in_start(struct stand_in *s)
{
	s->server = calloc(1, sizeof *s->server);
	must(s->server != NULL, "no memory");
	uv_pipe_init(s->loop, s->server, 0);
	s->server->data = s;
	must(uv_pipe_bind(s->server, s->where + 5) == 0
	    && uv_listen((uv_stream_t *)s->server, 8, have_client) == 0,
	    "cannot listen");
}

void
stand_in_init(struct stand_in *s, uv_loop_t *loop)
{
	memset(s, 0, sizeof *s);
	s->loop = loop;
	s->cut = SIZE_MAX;
	temp_name(s->dir, "stand-in");
	must(mkdtemp(s->dir) != NULL, "cannot make a directory");
	snprintf(s->where, sizeof s->where, "unix:%s/api", s->dir);
	stand_in_start(s);
}

void
stand_in_stop(struct stand_in *s)
{
	stand_in_hang_up(s);
	/* libuv removes the socket's file */
	uv_close((uv_handle_t *)s->server, free_handle);
	s->server = NULL;
}

void
stand_in_clear(struct stand_in *s)
{
	if (s->server != NULL)
		stand_in_stop(s);
	unlink(s->where + 5);
	rmdir(s->dir);
}
