// SPDX-License-Identifier: MPL-2.0
/* doctor.c - ddcp doctor: who can be reached, and why not. */
#include "cli/cli.h"

int
cmd_doctor(struct cli *cli)
{
	struct cli_findings v = { cli, cli->json ? json_array() : NULL, 0 };
	ddcp_error error = { 0 };
	ddcp *d;
	int rc = cli_open(cli, false, &d);

	if (rc == 0) {
		rc = ddcp_doctor(d, cli->nargs ? cli->arg[0] : NULL,
		    cli->timeout_ms, cli_on_finding, &v, &error);
		if (v.array != NULL)
			cli_json(json_incref(v.array));
		if (rc != 0 && error.text[0] != '\0')
			cli_fail(&error);
		ddcp_close(d);
	}
	json_decref(v.array);
	return rc;
}
