// SPDX-License-Identifier: MPL-2.0
/* cleanup.c - ddcp cleanup. */
#include "cli/cli.h"

static const char *const withdrawn[] = {
	[DDCP_WITHDRAWN_NONE] = "none",
	[DDCP_WITHDRAWN_KEPT] = "kept",
	[DDCP_WITHDRAWN_DONE] = "done",
	[DDCP_WITHDRAWN_LATER] = "later",
};

static void
tell_withdrawn(const struct cli *cli, const ddcp_cleaned *c)
{
	switch (c->withdrawn) {
	case DDCP_WITHDRAWN_NONE:
		break;
	case DDCP_WITHDRAWN_KEPT:
		cli_say(cli, "What is published over Veilid is in use by the serve "
		    "that runs");
		break;
	case DDCP_WITHDRAWN_DONE:
		cli_say(cli, "Withdrew what was published over Veilid");
		break;
	case DDCP_WITHDRAWN_LATER:
		cli_say(cli, "What was published over Veilid ends by itself within 2 "
		    "hours: %s", c->why);
		break;
	}
}

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
		cli_json(json_pack("{s:I, s:I, s:s}", "pages",
		    (json_int_t)cleaned.pages, "bytes",
		    (json_int_t)cleaned.bytes, "withdrawn",
		    withdrawn[cleaned.withdrawn]));
	else if (cli->porcelain)
		printf("%llu\t%llu\n", (unsigned long long)cleaned.pages,
		    (unsigned long long)cleaned.bytes);
	else if (cleaned.pages == 0)
		cli_say(cli, "Nothing to clean up");
	else
		cli_say(cli, "Removed %s of the inbox (%llu bytes)",
		    cli_count(cleaned.pages, "page", pages),
		    (unsigned long long)cleaned.bytes);
	if (!cli->json && !cli->porcelain)
		tell_withdrawn(cli, &cleaned);
	return 0;
}
