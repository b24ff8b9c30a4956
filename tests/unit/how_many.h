// SPDX-License-Identifier: MPL-2.0
/* how_many.h - how much a test tries, which the environment may say. */
#ifndef TESTS_HOW_MANY_H
#define TESTS_HOW_MANY_H

#include <stdbool.h>
#include <stdlib.h>

/* The number in that variable if it is above 0, else preset. */
static inline int
how_many(const char *name, int preset)
{
	const char *text = getenv(name);
	int number = text != NULL ? atoi(text) : 0;

	return number > 0 ? number : preset;
}

/* For a test that plays all combinations of something, asked before each: true if
 * this one is left out.  EVERY in the environment: of so many one is played. */
static inline bool
is_left_out(void)
{
	static int nth;

	return nth++ % how_many("EVERY", 1) != 0;
}

#endif
