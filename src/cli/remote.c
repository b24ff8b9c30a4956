// SPDX-License-Identifier: MPL-2.0
/* remote.c - ddcp remote add, accept, list, remove, rename, set, show. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

typedef int name_function(ddcp *, const char *name, const char *address,
    bool *already, ddcp_error *);

static int
name_a_key(struct cli *cli, name_function *function)
{
	ddcp_error error = { 0 };
	bool already = false;
	ddcp *d;
	int rc = cli_open(cli, false, &d);

	if (rc != 0)
		return rc;
	if (function(d, cli->arg[0], cli->arg[1], &already, &error) != 0)
		rc = cli_fail(&error);
	else if (cli->json)
		cli_json(json_pack("{s:s, s:b}", "name", cli->arg[0], "already",
		    already));
	else if (cli->porcelain)
		printf("%s\t%d\n", cli->arg[0], already);
	else
		cli_say(cli, "%s%s: may pull from this database, and its changes and "
		    "those it hands on are accepted", already ? "already " : "",
		    cli->arg[0]);
	ddcp_close(d);
	return rc;
}

int
cmd_remote_add(struct cli *cli)
{
	return name_a_key(cli, ddcp_remote_add);
}

int
cmd_remote_accept(struct cli *cli)
{
	return name_a_key(cli, ddcp_remote_accept);
}

int
cmd_remote_remove(struct cli *cli)
{
	ddcp_error error = { 0 };
	ddcp *d;
	int rc = cli_open(cli, false, &d);

	if (rc != 0)
		return rc;
	if (ddcp_remote_remove(d, cli->arg[0], &error) != 0)
		rc = cli_fail(&error);
	else
		cli_say(cli, "%s is no remote any more", cli->arg[0]);
	ddcp_close(d);
	return rc;
}

int
cmd_remote_rename(struct cli *cli)
{
	ddcp_error error = { 0 };
	ddcp *d;
	int rc = cli_open(cli, false, &d);

	if (rc != 0)
		return rc;
	if (ddcp_remote_rename(d, cli->arg[0], cli->arg[1], &error) != 0)
		rc = cli_fail(&error);
	else
		cli_say(cli, "%s is now %s", cli->arg[0], cli->arg[1]);
	ddcp_close(d);
	return rc;
}

int
cmd_remote_set(struct cli *cli)
{
	ddcp_error error = { 0 };
	ddcp *d;
	int rc = cli_open(cli, false, &d);

	if (rc != 0)
		return rc;
	if (ddcp_remote_set(d, cli->arg[0], cli->arg[1], cli->arg[2], &error) != 0)
		rc = cli_fail(&error);
	else
		cli_say(cli, "%s: %s = %s", cli->arg[0], cli->arg[1], cli->arg[2]);
	ddcp_close(d);
	return rc;
}

struct listing {
	struct cli *cli;
	ddcp *d;
	json_t *array;
};

static int
list_one(void *self, const ddcp_remote *r)
{
	struct listing *l = self;

	if (l->array != NULL)
		json_array_append_new(l->array, cli_remote_json(l->d, r));
	else if (l->cli->porcelain)
		printf("%s\t%s\t%s\n", r->name, r->address, r->place);
	else
		printf("%-12s %s%s%s\n", r->name, r->address,
		    r->place[0] ? "@" : "", r->place);
	return 0;
}

int
cmd_remote_list(struct cli *cli)
{
	struct listing l = { cli, NULL, cli->json ? json_array() : NULL };
	ddcp_error error = { 0 };
	ddcp *d;
	int rc = cli_open(cli, true, &d);

	if (rc != 0) {
		json_decref(l.array);
		return rc;
	}
	l.d = d;
	if (ddcp_remote_each(d, NULL, list_one, &l, &error) != 0)
		rc = cli_fail(&error);
	if (l.array != NULL)
		cli_json(l.array);
	ddcp_close(d);
	return rc;
}

static int
show_one(void *self, const ddcp_remote *r)
{
	struct listing *l = self;
	struct cli *cli = l->cli;
	char ago[32], count[48];
	char *error, *others;

	if (cli->json) {
		cli_json(cli_remote_json(l->d, r));
		return 0;
	}
	if (cli->porcelain) {
		printf("%s\t%s\t%s\n", r->name, r->address, r->place);
		return 0;
	}
	printf("%s\n  address     %s\n", r->name, r->address);
	if (r->place[0])
		printf("  place       %s\n", r->place);
	printf("  pulled      %s\n", r->pulled ? "yes" : "never");
	if (strcmp(r->network, "auto") != 0)
		printf("  network     %s\n", r->network);
	printf("  automerge   %s\n", r->automerge ? "yes" : "no");
	printf("  ahead       %llu\n", (unsigned long long)r->ahead);
	if (r->behind_known)
		printf("  behind      %llu\n", (unsigned long long)r->behind);
	if (r->held_transactions)
		printf("  fetched     %s, not merged\n",
		    cli_count(r->held_transactions, "transaction", count));
	others = cli_others(l->d, r->name);
	if (others[0] != '\0')
		printf("  only there  %s\n", others);
	free(others);
	printf("  seen        %s%s%s\n", cli_ago(r->last_contact_ms, ago),
	    r->last_path[0] ? " at " : "", r->last_path);
	if (r->last_error[0]) {
		error = cli_safe(r->last_error);
		printf("  last error  %s, %s\n", error,
		    cli_ago(r->last_error_ms, ago));
		free(error);
	}
	return 0;
}

int
cmd_remote_show(struct cli *cli)
{
	struct listing l = { cli, NULL, NULL };
	ddcp_error error = { 0 };
	ddcp *d;
	int rc = cli_open(cli, true, &d);

	if (rc != 0)
		return rc;
	l.d = d;
	if (ddcp_remote_each(d, cli->arg[0], show_one, &l, &error) != 0)
		rc = cli_fail(&error);
	ddcp_close(d);
	return rc;
}
