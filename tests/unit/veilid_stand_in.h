// SPDX-License-Identifier: MPL-2.0
/*
 * veilid_stand_in.h - stands in for a Veilid node's socket, on the test's own
 * loop: says what a test wants it to, and ends connections where it wants.
 */
#ifndef TESTS_VEILID_STAND_IN_H
#define TESTS_VEILID_STAND_IN_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>
#include <uv.h>

#include "temp.h"

struct stand_in {
	/* set by the test at any time; request is the stand-in's */
	void (*on_request)(struct stand_in *s, const json_t *request);
	bool deaf;              /* new connections are not read */
	size_t cut;             /* a new connection ends after so many bytes
				 * that it said; SIZE_MAX: goes on */
	void *owner;

	/* to look at */
	char dir[TEMP_MAX], where[TEMP_MAX + 20];
	size_t connections;     /* so far */
	size_t requests;
	bool connected;

	uv_loop_t *loop;
	uv_pipe_t *server, *conn; /* NULL: none */
	char in[1 << 20], chunk[1 << 16];
	size_t nin, said;
};

/* Makes a directory and listens in it. */
void stand_in_init(struct stand_in *s, uv_loop_t *loop);

/* Ends listening, as a node that is killed; listens again. */
void stand_in_stop(struct stand_in *s);
void stand_in_start(struct stand_in *s);

/* Ends all, and removes the directory; the loop has to run once more. */
void stand_in_clear(struct stand_in *s);

/* Says bytes, or printf-like text, on the newest connection, if it still is. */
void stand_in_say(struct stand_in *s, const void *bytes, size_t len);
void stand_in_sayf(struct stand_in *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Ends the newest connection. */
void stand_in_hang_up(struct stand_in *s);

#endif
