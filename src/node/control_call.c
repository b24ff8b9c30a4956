// SPDX-License-Identifier: MPL-2.0
#include "node/control_call.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "node/control.h"

const char *
control_text(const json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	return text != NULL ? text : "";
}

int64_t
control_number(const json_t *line, const char *key)
{
	return json_integer_value(json_object_get(line, key));
}

/* -1 where nobody listens; *full where somebody does, who stands still while
 * others wait for him.  A connect() that waits would wait for ever. */
static int
connect_to(const char *state_dir, bool *full)
{
	struct sockaddr_un address;
	int dir_fd, fd = -1;

	*full = false;
	dir_fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return -1;
	if (control_address(state_dir, dir_fd, &address, NULL) == 0)
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC
		    | SOCK_NONBLOCK, 0);
	if (fd >= 0 && (connect(fd, (struct sockaddr *)&address,
	    sizeof address) != 0 || fcntl(fd, F_SETFL, 0) != 0)) {
		*full = errno == EAGAIN;
		close(fd);
		fd = -1;
	}
	close(dir_fd);
	return fd;
}

bool
control_is_served(const char *state_dir)
{
	bool full;
	int fd = connect_to(state_dir, &full);

	if (fd >= 0)
		close(fd);
	return fd >= 0 || full;
}

static int
send_request(int fd, const json_t *request, struct err *err)
{
	char *text = json_dumps(request, JSON_COMPACT);
	size_t len, at = 0;
	ssize_t n = 0;

	if (text == NULL)
		return err_nomem(err);
	len = strlen(text);
	text[len++] = '\n';
	while (at < len && n >= 0) {
		n = send(fd, text + at, len - at, MSG_NOSIGNAL);
		if (n > 0)
			at += (size_t)n;
		else if (n < 0 && errno == EINTR)
			n = 0;
	}
	free(text);
	return at == len ? 0 : err_set(err, E_UNREACHABLE, NULL,
	    "the running serve hung up: %s", strerror(errno));
}

/* Waits for bytes, for that long at most (-1: for ever), and adds them to in. */
static int
receive(int fd, struct stop *stop, int patience_ms, struct buf *in,
    struct err *err)
{
	struct pollfd polled[2] = { { .fd = fd, .events = POLLIN },
		{ .fd = stop != NULL ? stop->fd[0] : -1, .events = POLLIN } };
	uint8_t bytes[4096];
	ssize_t n;
	int ready;

	while ((ready = poll(polled, 2, patience_ms)) < 0)
		if (errno != EINTR)
			return err_set(err, E_FATAL, NULL, "can't wait: %s",
			    strerror(errno));
	if (ready == 0)
		return err_set(err, E_UNREACHABLE, "try again",
		    "the running serve of this database does not answer");
	if (stop != NULL && stop->asked)
		return err_set(err, E_INTERRUPTED, NULL, "interrupted");
	n = recv(fd, bytes, sizeof bytes, 0);
	if (n < 0 && errno == EINTR)
		return 0;
	if (n <= 0)
		return err_set(err, E_UNREACHABLE, "try again",
		    "the running serve of this database ended");
	buf_add(in, bytes, (size_t)n);
	return in->failed ? err_set(err, E_FATAL, NULL,
	    "the running serve of this database answers nonsense") : 0;
}

/* *done is set with the last line. */
static int
take_line(const uint8_t *bytes, size_t len, control_line_fn *line, void *self,
    bool *done, struct err *err)
{
	json_t *parsed = json_loadb((const char *)bytes, len, 0, NULL);
	int rc = 0;

	if (json_object_get(parsed, "done") != NULL) {
		*done = true;
		rc = (int)control_number(parsed, "done");
		if (rc != 0)
			err_set(err, rc, control_text(parsed, "hint"), "%s",
			    control_text(parsed, "error"));
	} else if (json_is_object(parsed)) {
		rc = line(self, parsed);
	} else {
		rc = err_set(err, E_FATAL, NULL,
		    "the running serve of this database answers nonsense");
	}
	json_decref(parsed);
	return rc;
}

static int
take_lines(struct buf *in, control_line_fn *line, void *self, bool *done,
    struct err *err)
{
	const uint8_t *end;
	size_t len;
	int rc = 0;

	while (rc == 0 && !*done && in->len > 0
	    && (end = memchr(in->data, '\n', in->len)) != NULL) {
		len = (size_t)(end - in->data);
		rc = take_line(in->data, len, line, self, done, err);
		buf_consume(in, len + 1);
	}
	return rc;
}

static int
call(const char *state_dir, json_t *request, control_line_fn *line,
    void *self, struct stop *stop, int patience_ms, bool *ran,
    struct err *err)
{
	struct buf in;
	bool done = false, full = false;
	int fd, rc;

	*ran = false;
	buf_init(&in, 2 * CONTROL_ANSWER_MAX);
	fd = request != NULL ? connect_to(state_dir, &full) : -1;
	if (request == NULL) {
		rc = err_nomem(err);
		goto out;
	}
	rc = full ? err_set(err, E_UNREACHABLE, "try again, or look what it waits "
	    "for", "the running serve of this database does not answer") : 0;
	if (fd < 0)
		goto out;
	*ran = true;
	rc = send_request(fd, request, err);
	while (rc == 0 && !done) {
		rc = receive(fd, stop, patience_ms, &in, err);
		if (rc == 0)
			rc = take_lines(&in, line, self, &done, err);
	}
out:
	if (fd >= 0)
		close(fd);
	buf_clear(&in);
	json_decref(request);
	return rc;
}

int
control_call(const char *state_dir, json_t *request, control_line_fn *line,
    void *self, struct stop *stop, bool *ran, struct err *err)
{
	return call(state_dir, request, line, self, stop, -1, ran, err);
}

int
control_peek(const char *state_dir, json_t *request, control_line_fn *line,
    void *self, int patience_ms, bool *ran, struct err *err)
{
	return call(state_dir, request, line, self, NULL, patience_ms, ran,
	    err);
}
