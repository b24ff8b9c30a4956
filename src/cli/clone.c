// SPDX-License-Identifier: MPL-2.0
/* clone.c - ddcp clone: a database made from somebody else's. */
#include "cli/cli.h"

#include <stdlib.h>

struct clone {
	struct cli *cli;
	json_t *left;           /* --json: what is not made here */
	ddcp_result got;
};

static int
on_left(void *self, const char *table, const char *name, const char *reason)
{
	struct clone *c = self;
	char *safe_table = cli_safe(table), *safe_name = cli_safe(name);

	if (c->left != NULL)
		json_array_append_new(c->left, json_pack("{s:o, s:o, s:s}",
		    "table", cli_text(table), "name", cli_text(name), "reason",
		    reason));
	else
		cli_note(c->cli, "note: %s%s%s%s%s", safe_table,
		    name[0] != '\0' ? "." : "", safe_name,
		    table[0] != '\0' ? ": " : "", reason);
	free(safe_table);
	free(safe_name);
	return 0;
}

static int
on_result(void *self, const ddcp_result *r)
{
	struct clone *c = self;

	c->got = *r;
	return 0;
}

static int
say_done(struct clone *c, ddcp *d, int rc)
{
	struct cli *cli = c->cli;
	char address[DDCP_ADDRESS_MAX], transactions[48], rows[48], tables[48];
	ddcp_error error = { 0 };
	ddcp_state state;

	ddcp_address(d, address);
	if (ddcp_status(d, &state, &error) != 0)
		return cli_fail(&error);
	if (cli->json) {
		cli_json(json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:O}", "db_file",
		    cli_text(ddcp_db_file(d)), "address", address, "tables",
		    (json_int_t)state.tables, "transactions",
		    (json_int_t)c->got.transactions, "rows",
		    (json_int_t)c->got.rows, "parked", (json_int_t)c->got.parked,
		    "left", c->left));
	} else if (cli->porcelain) {
		printf("%s\t%llu\t%llu\t%llu\n", address,
		    (unsigned long long)state.tables,
		    (unsigned long long)c->got.rows,
		    (unsigned long long)c->got.parked);
	} else {
		cli_say(cli, "origin: pulled %s, %s", cli_count(
		    c->got.transactions, "transaction", transactions),
		    cli_count(c->got.rows, "row", rows));
		cli_say(cli, "Cloned into %s, %s\naddress %s", cli->shown,
		    cli_count(state.tables, "table", tables), address);
	}
	if (rc == DDCP_EHELD)
		cli_note(cli, "note: %s can't be applied here yet; see \"ddcp "
		    "status\"", cli_count(c->got.parked, "change", rows));
	return rc;
}

static int
run(struct clone *c, ddcp *d)
{
	struct cli *cli = c->cli;
	ddcp_clone_options how = { .timeout_ms = cli->timeout_ms,
		.progress = cli_progress(cli), .left = on_left,
		.result = on_result, .self = c };
	ddcp_error error = { 0 };
	int rc;

	cli_heed_interrupt(d);
	rc = ddcp_clone(d, &how, &error);
	cli_heed_interrupt(NULL);
	if (rc == 0 || rc == DDCP_EHELD)
		return say_done(c, d, rc);
	cli_fail(&error);
	if (rc == DDCP_EREFUSED)
		cli_note(cli, "Then the same command again, which goes on with this "
		    "key.");
	else
		cli_note(cli, "The same command again goes on from here.");
	return rc;
}

int
cmd_clone(struct cli *cli)
{
	struct clone c = { .cli = cli };
	ddcp_init_options options = { .open = cli_open_options(cli) };
	ddcp_error error = { 0 };
	char *shown = NULL;
	ddcp *d;
	int rc;

	if (cli->nargs > 1) {
		options.open.db_file = cli->arg[1];
		cli->shown = shown = cli_safe(cli->arg[1]);
	}
	rc = ddcp_clone_begin(&options, cli->arg[0], &d, &error);
	if (rc != 0) {
		cli_fail(&error);
	} else {
		c.left = cli->json ? json_array() : NULL;
		rc = run(&c, d);
		json_decref(c.left);
		ddcp_close(d);
	}
	if (shown != NULL)
		cli->shown = "";
	free(shown);
	return rc;
}
