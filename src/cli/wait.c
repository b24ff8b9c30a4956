// SPDX-License-Identifier: MPL-2.0
/* wait.c - ddcp wait: until a peer has merged what is here now. */
#include "cli/cli.h"

struct wait {
	struct cli *cli;
	ddcp *d;
	int nfailed;
};

static int
on_result(void *self, const ddcp_result *r)
{
	struct wait *w = self;

	if (w->cli->json)
		cli_json(json_pack("{s:s, s:i, s:b, s:o, s:o, s:s}", "remote",
		    r->remote, "code", -r->code, "merged", r->code == 0, "error",
		    cli_text(r->error), "hint", cli_text(r->hint), "path",
		    r->path));
	else if (w->cli->porcelain)
		printf("%s\t%d\n", r->remote, -r->code);
	else if (r->code == 0)
		cli_say(w->cli, "%s has merged what is here", r->remote);
	if (r->code != 0) {
		cli_fail_remote(r);
		w->nfailed++;
	}
	return 0;
}

int
cmd_wait(struct cli *cli)
{
	struct wait w = { .cli = cli };
	ddcp_exchange how = { .result = on_result, .self = &w,
		.remote = cli_given(cli, "for") };

	if (how.remote == NULL)
		return cli_usage(cli, "wait wants to know for whom: --for REMOTE");
	return cli_exchange(cli, ddcp_wait, &how, &w.d, &w.nfailed);
}
