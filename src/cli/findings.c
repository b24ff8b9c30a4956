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
	static const enum cli_colour colours[] = { CLI_GREEN, CLI_GREEN,
		CLI_YELLOW, CLI_RED };
	struct cli_findings *v = self;
	char grade[16];
	char *text = cli_safe(f->text), *hint = cli_safe(f->hint);
	char *subject = cli_safe(f->subject), *painted;

	v->n++;
	snprintf(grade, sizeof grade, "%-8s", grades[f->grade]);
	painted = cli_paint(v->cli, colours[f->grade], grade);
	if (v->array != NULL)
		json_array_append_new(v->array, json_pack("{s:s, s:o, s:s, s:o, s:o}",
		    "grade", grades[f->grade], "subject", cli_text(f->subject),
		    "rule", f->rule, "text", cli_text(f->text), "hint",
		    cli_text(f->hint)));
	else if (v->cli->porcelain)
		printf("%s\t%s\t%s\n", grades[f->grade], subject, f->rule);
	else
		printf("%s %s: %s\n", painted, subject, text);
	if (v->array == NULL && !v->cli->porcelain && hint[0] != '\0')
		printf("         hint: %s\n", hint);
	free(painted);
	free(subject);
	free(text);
	free(hint);
	return 0;
}
