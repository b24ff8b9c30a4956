// SPDX-License-Identifier: MPL-2.0
/*
 * control_call.h - asks a running `serve` of the same database, and waits.
 * It needs no loop.
 */
#ifndef NODE_CONTROL_CALL_H
#define NODE_CONTROL_CALL_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "node/stop.h"

/* A line of the answer that is not the last.  Nonzero ends the call with that
 * value; the serve then stops what it was asked for. */
typedef int control_line_fn(void *self, const json_t *line);

/* Sends the request (and drops the reference to it), hands over each line,
 * and returns the code of the last one.  *ran is false, and 0 returned, where
 * no serve runs.  E_INTERRUPTED once stop is asked; stop may be NULL. */
int control_call(const char *state_dir, json_t *request,
    control_line_fn *line, void *self, struct stop *stop, bool *ran,
    struct err *err);

/* The same for what is only nice to know: who does not answer within that time
 * is left alone, with E_UNREACHABLE. */
int control_peek(const char *state_dir, json_t *request,
    control_line_fn *line, void *self, int patience_ms, bool *ran,
    struct err *err);

/* Whether one runs. */
bool control_is_served(const char *state_dir);

/* "" where the line has no such text; 0 where it has no such number. */
const char *control_text(const json_t *line, const char *key);
int64_t control_number(const json_t *line, const char *key);

#endif
