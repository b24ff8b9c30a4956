// SPDX-License-Identifier: MPL-2.0
/* resolve.c - ddcp resolve: a conflict is settled. */
#include "cli/print.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *option;
	enum ddcp_choice choice;
} choices[] = {
	{ "ours", DDCP_OURS }, { "theirs", DDCP_THEIRS },
	{ "winner", DDCP_WINNER }, { "loser", DDCP_LOSER },
	{ "value", DDCP_GIVEN }
};

static int
read_choice(struct cli *cli, enum ddcp_choice *out)
{
	size_t i, n = 0;

	for (i = 0; i < sizeof choices / sizeof *choices; i++) {
		if (cli_given(cli, choices[i].option) == NULL)
			continue;
		*out = choices[i].choice;
		n++;
	}
	return n == 1 ? 0 : cli_usage(cli, "say one of --ours, --theirs, --winner, "
	    "--loser and --value");
}

static int
read_number(struct cli *cli, uint64_t *out)
{
	const char *text = cli->arg[0];
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	if (*end != '\0' || errno != 0 || strspn(text, "0123456789") == 0 ||
	    *out == 0 || *out > INT64_MAX)
		return cli_usage(cli, "%s is no number of a conflict: \"ddcp "
		    "conflicts\" shows those there are", text);
	return 0;
}

static int
resolve_all(struct cli *cli, enum ddcp_choice choice)
{
	ddcp_error error = { 0 };
	char conflicts[48];
	uint64_t n = 0;
	ddcp *d;
	int rc;

	if (choice != DDCP_WINNER || cli->nargs > 0)
		return cli_usage(cli, "--all goes with --winner alone: everything is "
		    "left as it is");
	rc = cli_open(cli, false, &d);
	if (rc != 0)
		return rc;
	rc = ddcp_resolve_all(d, &n, &error);
	ddcp_close(d);
	if (rc != 0)
		return cli_fail(&error);
	cli_say(cli, "%s left as %s", cli_count(n, "conflict", conflicts), n == 1 ?
	    "it is" : "they are");
	return 0;
}

static int
resolve_one(struct cli *cli, uint64_t id, enum ddcp_choice choice,
    const ddcp_value *value)
{
	ddcp_error error = { 0 };
	ddcp *d;
	int rc = cli_open(cli, false, &d);

	if (rc != 0)
		return rc;
	rc = ddcp_resolve(d, id, choice, value, &error);
	ddcp_close(d);
	return rc == 0 ? 0 : cli_fail(&error);
}

int
cmd_resolve(struct cli *cli)
{
	const char *literal = cli_given(cli, "value");
	enum ddcp_choice choice = DDCP_WINNER;
	ddcp_value value;
	uint64_t id = 0;
	char *bytes = NULL;
	int rc = read_choice(cli, &choice);

	if (rc == 0 && cli_given(cli, "all") != NULL)
		return resolve_all(cli, choice);
	if (rc == 0 && cli->nargs == 0)
		rc = cli_usage(cli, "say which one: \"ddcp conflicts\" shows their "
		    "numbers");
	if (rc == 0)
		rc = read_number(cli, &id);
	if (rc == 0 && literal != NULL && !cli_read_literal(literal, &value, &bytes))
		rc = cli_usage(cli, "%s is no SQL literal: write a number, or \"'%s'\" "
		    "with both quotes for the shell, or x'00'", literal, literal);
	if (rc == 0)
		rc = resolve_one(cli, id, choice, literal != NULL ? &value : NULL);
	free(bytes);
	return rc;
}
