// SPDX-License-Identifier: MPL-2.0
/* clock.h - the time of day, as this machine's clock has it: it may jump; for how
 * long something takes see ticks.h. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds since 1970. */
int64_t clock_ms(void);

#endif
