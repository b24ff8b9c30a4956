// SPDX-License-Identifier: MPL-2.0
/* help.c - ddcp help and ddcp version. */
#include "cli/cli.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Shows the manual page; false if there is no man or no page. */
static bool
show_manual(void)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return false;
	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		if (freopen("/dev/null", "w", stderr) != NULL)
			execlp("man", "man", "ddcp", (char *)NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	    WEXITSTATUS(status) == 0;
}

int
cmd_help(struct cli *cli)
{
	const struct cli_verb *v = cli_verbs;
	const struct cli_verb *found = NULL, *group = NULL;
	int i;

	if (isatty(STDOUT_FILENO) && show_manual())
		return 0;
	for (i = 0; i < cli->nargs && v != NULL; i++) {
		for (; v->name != NULL; v++)
			if (strcmp(v->name, cli->arg[i]) == 0)
				break;
		if (v->name == NULL)
			return cli_usage(cli, "'%s' is not a verb of ddcp",
			    cli->arg[i]);
		group = found;
		found = v;
		v = v->sub;
	}
	if (found != NULL)
		cli_print_usage(group, found, stdout);
	else
		cli_print_verbs(stdout);
	return 0;
}

int
cmd_version(struct cli *cli)
{
	ddcp_versions v;

	ddcp_get_versions(&v);
	if (cli->json)
		cli_json(json_pack("{s:s, s:i, s:i, s:i, s:i, s:s}", "ddcp",
		    v.library, "abi", v.abi, "wire_min", v.wire_min, "wire_max",
		    v.wire_max, "format", v.format, "sqlite", v.sqlite));
	else if (cli->porcelain)
		printf("ddcp\t%s\nabi\t%d\nwire\t%d\t%d\nformat\t%d\n"
		    "sqlite\t%s\n", v.library, v.abi, v.wire_min, v.wire_max,
		    v.format, v.sqlite);
	else
		printf("ddcp %s (ABI %d, wire %d to %d, format %d, SQLite %s)\n",
		    v.library, v.abi, v.wire_min, v.wire_max, v.format, v.sqlite);
	return 0;
}
