// SPDX-License-Identifier: MPL-2.0
/* shell.c - ddcp shell: the sqlite3 program with the extension loaded. */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* .load "FILE" with FILE quoted as the shell of SQLite reads it. */
static char *
load_command(const char *file)
{
	char *out = malloc(2 * strlen(file) + 16), *p;

	if (out == NULL)
		return NULL;
	p = stpcpy(out, ".load \"");
	for (; *file != '\0'; file++) {
		if (*file == '"' || *file == '\\')
			*p++ = '\\';
		*p++ = *file;
	}
	strcpy(p, "\"");
	return out;
}

static int
missing(const char *what, const char *hint)
{
	ddcp_error error = { .code = DDCP_EFATAL };

	snprintf(error.text, sizeof error.text, "%.300s: %s", what,
	    strerror(errno));
	snprintf(error.hint, sizeof error.hint, "%s", hint);
	return cli_fail(&error);
}

/* Becomes the sqlite3 program; returns only if that fails. */
static int
become_sqlite3(const struct cli *cli, const char *db_file, const char *load)
{
	/* serve folds and merges in between: wait for it, as it does for us */
	static const char *const fixed[] = { "sqlite3", "-cmd", ".timeout 5000",
		"-cmd" };
	enum { NFIXED = sizeof fixed / sizeof *fixed };
	const char **argv = calloc((size_t)cli->nargs + NFIXED + 3, sizeof *argv);
	int i, n = 0, rc;

	if (argv == NULL)
		return missing("sqlite3", "");
	for (i = 0; i < NFIXED; i++)
		argv[n++] = fixed[i];
	argv[n++] = load;
	/* The first word that is no option is a database, the next ones SQL.  Its
	 * whole path can't be taken for an option, a URI or :memory:. */
	argv[n++] = db_file;
	for (i = 0; i < cli->nargs; i++)
		argv[n++] = cli->arg[i];
	/* whoever reads its answer may end it by reading no further */
	signal(SIGPIPE, SIG_DFL);
	/* execvp does not change the strings, whatever its type says */
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	rc = missing("sqlite3", "install the sqlite3 program "
	    "(apt-get install sqlite3)");
	free(argv);
	return rc;
}

int
cmd_shell(struct cli *cli)
{
	const char *extension = cli->ext_file ? cli->ext_file
	    : ddcp_extension_path();
	char *load, *db_file;
	ddcp *d;
	int rc = cli_open(cli, true, &d);       /* is it initialised at all? */

	if (rc != 0)
		return rc;
	db_file = strdup(ddcp_db_file(d));
	ddcp_close(d);
	load = extension != NULL ? load_command(extension) : NULL;
	errno = ENOENT;
	if (extension == NULL || access(extension, R_OK) != 0)
		rc = missing(extension ? extension : "crsqlite.so",
		    "name the extension with --ext-file or DDCP_EXT_FILE");
	else if (load == NULL || db_file == NULL)
		rc = missing("sqlite3", "free some memory");
	else
		rc = become_sqlite3(cli, db_file, load);
	free(db_file);
	free(load);
	return rc;
}
