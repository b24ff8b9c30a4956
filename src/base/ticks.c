// SPDX-License-Identifier: MPL-2.0
#include "base/ticks.h"

#include <time.h>

int64_t
ticks_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
