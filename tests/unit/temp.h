// SPDX-License-Identifier: MPL-2.0
/* temp.h - where tests put their files: in TMPDIR, else in /tmp. */
#ifndef TESTS_TEMP_H
#define TESTS_TEMP_H

#include <stdio.h>
#include <stdlib.h>

enum { TEMP_MAX = 100 };

/* The name of a file or directory there, for mkstemp or mkdtemp. */
static inline void
temp_name(char path[static TEMP_MAX], const char *name)
{
	const char *dir = getenv("TMPDIR");
	int n = snprintf(path, TEMP_MAX, "%s/%s.XXXXXX",
	    dir != NULL && *dir != '\0' ? dir : "/tmp", name);

	if (n >= TEMP_MAX) {
		fprintf(stderr, "TMPDIR is too long: %s\n", dir);
		exit(1);
	}
}

#endif
