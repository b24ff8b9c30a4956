// SPDX-License-Identifier: MPL-2.0
/* fsck.c - ddcp fsck: whether this database, alone, agrees with itself. */
#include "cli/cli.h"

static void
say(struct cli *cli, const ddcp_health *h)
{
	char tables[48], rows[48], transactions[48], wrong[48];

	cli_count(h->tables, "table", tables);
	cli_count(h->rows, "row", rows);
	cli_count(h->transactions, "transaction", transactions);
	if (h->wrong == 0)
		cli_say(cli, "All is well: %s, %s, %s", tables, rows,
		    transactions);
	else
		cli_say(cli, "%s wrong: %s, %s, %s", cli_count(h->wrong,
		    "thing", wrong), tables, rows, transactions);
}

static json_t *
to_json(const ddcp_health *h, json_t *findings)
{
	return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:O}", "well",
	    h->wrong == 0, "wrong", (json_int_t)h->wrong, "tables",
	    (json_int_t)h->tables, "rows", (json_int_t)h->rows,
	    "transactions", (json_int_t)h->transactions, "pending",
	    (json_int_t)h->pending, "waiting", (json_int_t)h->waiting,
	    "findings", findings);
}

int
cmd_fsck(struct cli *cli)
{
	struct cli_findings v = { cli, cli->json ? json_array() : NULL, 0 };
	ddcp_health health = { 0 };
	ddcp_error error = { 0 };
	ddcp *d;
	int rc = cli_open(cli, true, &d);

	if (rc == 0) {
		rc = ddcp_fsck(d, cli_on_finding, &v, &health, &error);
		if (rc != 0 && rc != DDCP_EDIFFERENT)
			cli_fail(&error);
		else if (v.array != NULL)
			cli_json(to_json(&health, v.array));
		else if (!cli->porcelain)
			say(cli, &health);
		ddcp_close(d);
	}
	json_decref(v.array);
	return rc;
}
