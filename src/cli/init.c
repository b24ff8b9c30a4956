// SPDX-License-Identifier: MPL-2.0
/* init.c - ddcp init and ddcp deinit. */
#include "cli/cli.h"

#include <string.h>

static int
report(struct cli *cli, bool already)
{
	char address[DDCP_ADDRESS_MAX];
	ddcp *d;
	int rc = cli_open(cli, true, &d);

	if (rc != 0)
		return rc;
	ddcp_address(d, address);
	if (cli->json)
		cli_json(json_pack("{s:o, s:o, s:s, s:b}", "db_file",
		    cli_text(ddcp_db_file(d)), "state_dir",
		    cli_text(ddcp_state_dir(d)), "address", address, "already",
		    already));
	else if (cli->porcelain)
		printf("%s\t%d\n", address, already);
	else
		cli_say(cli, "%s ddcp for %s\naddress %s",
		    already ? "Already initialized" : "Initialized", cli->shown,
		    address);
	if (!already && !cli->json && !cli->porcelain && cli_veilid_unheard(d))
		cli_note(cli, "%s", CLI_VEILID_HINT);
	ddcp_close(d);
	return 0;
}

int
cmd_init(struct cli *cli)
{
	const char *mode = cli_given(cli, "journal-mode");
	ddcp_init_options options = {
		.open = cli_open_options(cli),
		.keep_journal_mode = mode != NULL,
		.new_identity = cli_given(cli, "new-identity") != NULL,
	};
	ddcp_error error = { 0 };
	bool already;
	int rc;

	if (mode != NULL && strcmp(mode, "keep") != 0)
		return cli_usage(cli, "--journal-mode can only be keep");
	rc = ddcp_init(&options, &already, &error);
	if (rc != 0)
		return cli_fail(&error);
	rc = report(cli, already);
	if (rc == 0 && !already && mode == NULL && !cli->json)
		cli_note(cli, "The database is in WAL mode now, so that programs "
		    "and \"ddcp serve\" can write side by side.");
	return rc;
}

int
cmd_deinit(struct cli *cli)
{
	ddcp_options options = cli_open_options(cli);
	bool purge = cli_given(cli, "purge") != NULL;
	ddcp_error error = { 0 };
	int rc = ddcp_deinit(&options, purge, &error);

	if (rc != 0)
		return cli_fail(&error);
	cli_say(cli, "%s is an ordinary SQLite database again", cli->shown);
	cli_note(cli, "Initialised again, its rows begin at version 1: edits made "
	    "until then may lose against older ones of others.");
	if (!purge)
		cli_note(cli, "The key is kept; --purge removes it too.");
	return 0;
}
