// SPDX-License-Identifier: MPL-2.0
/*
 * stop.h - a request to stop that a signal handler may make and that a loop
 * can wait for.
 */
#ifndef NODE_STOP_H
#define NODE_STOP_H

#include <signal.h>
#include <stdbool.h>

#include "base/err.h"

struct stop {
	volatile sig_atomic_t asked;
	int fd[2];              /* a pipe: [0] is readable once asked */
};

int stop_init(struct stop *s, struct err *err);
void stop_clear(struct stop *s);

/* Asks; async-signal-safe. */
void stop_ask(struct stop *s);

/* Waits that long, or until asked: true then. */
bool stop_wait(struct stop *s, int ms);

/* Makes s as new, for the next run. */
void stop_reset(struct stop *s);

#endif
