// SPDX-License-Identifier: MPL-2.0
/* ticks.h - time that only goes on, to measure how long something takes; the
 * time of day is not its business. */
#ifndef BASE_TICKS_H
#define BASE_TICKS_H

#include <stdint.h>

/* Milliseconds since some moment of this machine's run. */
int64_t ticks_ms(void);

#endif
