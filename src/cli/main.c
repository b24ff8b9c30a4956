// SPDX-License-Identifier: MPL-2.0
/*
 * main.c - the program: finds the database, runs the verb, turns its result
 * into the exit code.  What verbs do does not belong here.
 */
#include "cli/cli.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The environment variable with the DDCP_ prefix wins over the plain one,
 * which ddcp 0.2.4 used. */
static const char *
from_environment(const char *prefixed)
{
	const char *value = getenv(prefixed);

	if (value == NULL || *value == '\0')
		value = getenv(prefixed + strlen("DDCP_"));
	return value != NULL && *value != '\0' ? value : NULL;
}

/* $XDG_CONFIG_HOME/ddcp/config, which is ~/.config/ddcp/config by default. */
static const char *
user_config(void)
{
	static char file[PATH_MAX];
	const char *dir = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int n = 0;

	/* by the rules of that variable, what is no full path does not count */
	if (dir != NULL && dir[0] == '/')
		n = snprintf(file, sizeof file, "%s/ddcp/config", dir);
	else if (home != NULL && home[0] == '/')
		n = snprintf(file, sizeof file, "%s/.config/ddcp/config", home);
	return n > 0 && n < (int)sizeof file ? file : NULL;
}

/* The database whose state directory is the only one in ./.ddcp, else
 * ddcp.db. */
static const char *
default_db_file(void)
{
	static char only[NAME_MAX + 1];
	struct dirent *entry;
	int found = 0;
	DIR *dir = opendir(".ddcp");

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.' || access(entry->d_name, F_OK) != 0)
			continue;
		found++;
		snprintf(only, sizeof only, "%s", entry->d_name);
	}
	if (dir != NULL)
		closedir(dir);
	return found == 1 ? only : "ddcp.db";
}

/* Where stdin, stdout or stderr is closed, the next file that is opened would
 * take its place, and what we say would be written into it.  What takes it
 * fails as a closed one does. */
static bool
fill_closed(void)
{
	int fd = STDIN_FILENO;

	while (fd <= STDERR_FILENO && fd >= 0)
		fd = fcntl(fd, F_GETFD) >= 0 ? fd + 1 : open("/dev/null",
		    fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
	return fd >= 0;
}

/* Runs the verb, or shows the help that was asked for or is needed. */
static int
answer(struct cli *cli, bool help)
{
	char *shown;
	int rc;

	if (help && cli->verb != NULL) {
		cli_print_usage(cli->group, cli->verb, stdout);
		return 0;
	}
	if (cli->verb == NULL) {
		cli_print_verbs(help ? stdout : stderr);
		return help ? 0 : DDCP_EUSAGE;
	}
	if (cli->db_file == NULL)
		cli->db_file = default_db_file();
	cli->shown = shown = cli_safe(cli->db_file);
	rc = cli->verb->run(cli);
	free(shown);
	return rc;
}

int
main(int argc, char **argv)
{
	struct cli cli = {
		.db_file = from_environment("DDCP_DB_FILE"),
		.state_dir = from_environment("DDCP_STATE_DIR"),
		.ext_file = from_environment("DDCP_EXT_FILE"),
		.config_file = user_config(),
		.progress = isatty(STDERR_FILENO),
		.color = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL,
	};
	bool help;
	int rc;

	if (!fill_closed())
		return -DDCP_EFATAL;
	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);
	rc = cli_parse(&cli, argc, argv, &help);
	if (rc == 0)
		rc = answer(&cli, help);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fputs("error: could not write the answer\n", stderr);
		return -DDCP_EFATAL;
	}
	return -rc;
}
