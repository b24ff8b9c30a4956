// SPDX-License-Identifier: MPL-2.0
/* tables.c - ddcp track, untrack and check. */
#include "cli/cli.h"

#include <stdlib.h>

int
cmd_check(struct cli *cli)
{
	struct cli_findings v = { cli, cli->json ? json_array() : NULL, 0 };
	ddcp_error error = { 0 };
	ddcp *d;
	int rc = cli_open(cli, true, &d);

	if (rc == 0) {
		rc = ddcp_check(d, cli->nargs ? cli->arg[0] : NULL, cli_on_finding,
		    &v, &error);
		if (rc != 0 && rc != DDCP_EDIFFERENT)
			cli_fail(&error);
		else if (v.array != NULL)
			cli_json(json_incref(v.array));
		else if (v.n == 0 && !cli->porcelain)
			cli_say(cli, "Nothing will merge badly");
		ddcp_close(d);
	}
	json_decref(v.array);
	return rc;
}

static int
list_table(void *self, const char *table, bool tracked)
{
	struct cli_findings *v = self;
	char *name = cli_safe(table);

	if (v->array != NULL)
		json_array_append_new(v->array, json_pack("{s:o, s:b}", "table",
		    cli_text(table), "tracked", tracked));
	else if (v->cli->porcelain)
		printf("%d\t%s\n", tracked, name);
	else
		printf("%s %s\n", tracked ? "tracked  " : "untracked", name);
	free(name);
	return 0;
}

static int
list_tables(struct cli *cli, ddcp *d)
{
	struct cli_findings v = { cli, cli->json ? json_array() : NULL, 0 };
	ddcp_error error = { 0 };
	int rc = ddcp_table_each(d, list_table, &v, &error);

	if (rc != 0)
		cli_fail(&error);
	else if (v.array != NULL)
		cli_json(json_incref(v.array));
	json_decref(v.array);
	return rc;
}

static void
say_tracked(struct cli_findings *v, const char *table, bool already)
{
	char *name = cli_safe(table);

	if (v->array != NULL)
		json_array_append_new(v->array, json_pack("{s:o, s:b, s:b}",
		    "table", cli_text(table), "tracked", true, "already", already));
	else if (v->cli->porcelain)
		list_table(v, table, true);
	else
		cli_say(v->cli, "%s%s is replicated", already ? "already: " : "",
		    name);
	free(name);
}

int
cmd_track(struct cli *cli)
{
	struct cli_findings said = { cli, NULL, 0 };
	struct cli_findings v = { cli, NULL, 0 };
	ddcp_error error = { 0 };
	bool already;
	ddcp *d;
	int i, rc = cli_open(cli, cli->nargs == 0, &d);

	if (rc != 0)
		return rc;
	if (cli->nargs == 0)
		rc = list_tables(cli, d);
	else if (cli->json)
		said.array = json_array();
	for (i = 0; i < cli->nargs && rc == 0; i++) {
		rc = ddcp_track(d, cli->arg[i], &already, &error);
		if (rc != 0) {
			cli_fail(&error);
			break;
		}
		say_tracked(&said, cli->arg[i], already);
		if (!already && !cli->quiet && !cli->json && !cli->porcelain)
			ddcp_check(d, cli->arg[i], cli_on_finding, &v, &error);
	}
	if (said.array != NULL)
		cli_json(said.array);
	ddcp_close(d);
	return rc;
}

int
cmd_untrack(struct cli *cli)
{
	ddcp_error error = { 0 };
	char *name;
	ddcp *d;
	int i, rc = cli_open(cli, false, &d);

	if (rc != 0)
		return rc;
	for (i = 0; i < cli->nargs && rc == 0; i++) {
		name = cli_safe(cli->arg[i]);
		rc = ddcp_untrack(d, cli->arg[i], &error);
		if (rc != 0)
			cli_fail(&error);
		else
			cli_say(cli, "%s is not replicated any more; its rows stay",
			    name);
		free(name);
	}
	if (rc == 0)
		cli_note(cli, "Replicated again, its rows begin at version 1: "
		    "edits made until then may lose against older ones of others.");
	ddcp_close(d);
	return rc;
}
