// SPDX-License-Identifier: MPL-2.0
/* cleanup.c - ddcp cleanup. */
#include "cli/cli.h"

int
cmd_cleanup(struct cli *cli)
{
	ddcp_error error = { 0 };
	ddcp_cleaned cleaned;
	char pages[48];
	ddcp *d;
	int rc = cli_open(cli, false, &d);

	if (rc != 0)
		return rc;
	rc = ddcp_cleanup(d, &cleaned, &error);
	ddcp_close(d);
	if (rc != 0)
		return cli_fail(&error);
	if (cli->json)
		cli_json(json_pack("{s:I, s:I}", "pages", (json_int_t)cleaned.pages,
		    "bytes", (json_int_t)cleaned.bytes));
	else if (cli->porcelain)
		printf("%llu\t%llu\n", (unsigned long long)cleaned.pages,
		    (unsigned long long)cleaned.bytes);
	else if (cleaned.pages == 0)
		cli_say(cli, "Nothing to clean up");
	else
		cli_say(cli, "Removed %s of the inbox (%llu bytes)",
		    cli_count(cleaned.pages, "page", pages),
		    (unsigned long long)cleaned.bytes);
	return 0;
}
