// SPDX-License-Identifier: MPL-2.0
/* others.c - the tables that only a remote has, for pull, status and remote. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

static int
add_name(void *self, const char *table)
{
	json_array_append_new(self, cli_text(table));
	return 0;
}

json_t *
cli_others_json(ddcp *d, const char *remote)
{
	json_t *names = json_array();

	ddcp_other_tables(d, remote, add_name, names, NULL);
	return names;
}

char *
cli_others(ddcp *d, const char *remote)
{
	json_t *names = cli_others_json(d, remote), *name;
	char *words = NULL, *safe;
	size_t i, len = 0;
	FILE *to = open_memstream(&words, &len);

	if (to != NULL) {
		json_array_foreach(names, i, name) {
			safe = cli_safe(json_string_value(name));
			fprintf(to, "%s%s", i > 0 ? ", " : "", safe);
			free(safe);
		}
		fclose(to);
	}
	json_decref(names);
	return words != NULL ? words : cli_safe("");
}
