// SPDX-License-Identifier: MPL-2.0
#include "node/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

int
stop_init(struct stop *s, struct err *err)
{
	s->asked = 0;
	if (pipe2(s->fd, O_CLOEXEC | O_NONBLOCK) != 0) {
		s->fd[0] = s->fd[1] = -1;
		return err_set(err, E_FATAL, NULL, "can't make a pipe: %s",
		    strerror(errno));
	}
	return 0;
}

void
stop_clear(struct stop *s)
{
	if (s->fd[0] >= 0)
		close(s->fd[0]);
	if (s->fd[1] >= 0)
		close(s->fd[1]);
	s->fd[0] = s->fd[1] = -1;
}

void
stop_ask(struct stop *s)
{
	int saved = errno;
	ssize_t n;

	s->asked = 1;
	/* A full pipe is as readable as one byte makes it. */
	n = write(s->fd[1], "", 1);
	(void)n;
	errno = saved;
}

bool
stop_wait(struct stop *s, int ms)
{
	struct pollfd polled = { .fd = s->fd[0], .events = POLLIN };

	poll(&polled, 1, ms);
	return s->asked;
}

void
stop_reset(struct stop *s)
{
	char bytes[64];

	s->asked = 0;
	while (read(s->fd[0], bytes, sizeof bytes) > 0)
		continue;
}
