// SPDX-License-Identifier: MPL-2.0
/* version.c - versions, and where the extension is. */
#include <ddcp.h>

#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ddcp-paths.h"

enum { ABI = 1, WIRE_MIN = 1, WIRE_MAX = 1, FORMAT = 1 };

void
ddcp_get_versions(ddcp_versions *out)
{
	*out = (ddcp_versions){ .library = DDCP_VERSION, .abi = ABI,
		.wire_min = WIRE_MIN, .wire_max = WIRE_MAX, .format = FORMAT,
		.sqlite = sqlite3_libversion() };
}

/* FILE in or near the directory of the running program: PROGRAM/../FILE is
 * where a build tree has it.  Empty if it can't be told. */
static void
near_program(const char *file, char out[static PATH_MAX])
{
	char program[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
	char *slash;

	out[0] = '\0';
	if (n <= 0)
		return;
	program[n] = '\0';
	slash = strrchr(program, '/');
	if (slash == NULL)
		return;
	*slash = '\0';
	if (snprintf(out, PATH_MAX, "%s/%s", program, file) >= PATH_MAX)
		out[0] = '\0';
}

const char *
ddcp_extension_path(void)
{
	static const char installed[] = DDCP_EXTENSION;
	static char near[PATH_MAX];

	/* The build tree first: a program that was not installed must not
	 * load what an installed one left. */
	near_program("../crdt/crsqlite.so", near);
	if (near[0] != '\0' && access(near, R_OK) == 0)
		return near;
	return access(installed, R_OK) == 0 ? installed : NULL;
}
