// SPDX-License-Identifier: MPL-2.0
/* findings.c - how the findings of check, track and doctor are shown. */
#include "cli/cli.h"

#include <stdlib.h>

static const char *const grades[] = {
	[DDCP_FINE] = "ok",
	[DDCP_NOTE] = "note",
	[DDCP_WARNING] = "warning",
	[DDCP_REFUSAL] = "refused",
};

int
cli_on_finding(void *self, const ddcp_finding *f)
{
	struct cli_findings *v = self;
	char *text = cli_safe(f->text), *hint = cli_safe(f->hint);

	if (v->array != NULL)
		json_array_append_new(v->array, json_pack("{s:s, s:s, s:s, s:s, s:s}",
		    "grade", grades[f->grade], "subject", f->subject, "rule",
		    f->rule, "text", f->text, "hint", f->hint));
	else if (v->cli->porcelain)
		printf("%s\t%s\t%s\n", grades[f->grade], f->subject, f->rule);
	else
		printf("%-8s %s: %s\n", grades[f->grade], f->subject, text);
	if (v->array == NULL && !v->cli->porcelain && hint[0] != '\0')
		printf("         hint: %s\n", hint);
	free(text);
	free(hint);
	return 0;
}
