// SPDX-License-Identifier: MPL-2.0
/* watch.c - ddcp watch: a line for each change, as it is committed. */
#include "cli/print.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { PATIENCE = 10 };         /* seconds that a program may take to end */

static ddcp *watched;
static volatile sig_atomic_t told_to_stop;      /* the signal, or 0 */
static volatile sig_atomic_t seconds;           /* since then */

/* Again after a second, for a write that was just about to begin. */
static void
on_stop(int signal_number)
{
	if (signal_number == SIGALRM)
		seconds++;
	else
		told_to_stop = signal_number;
	if (watched != NULL)
		ddcp_interrupt(watched);
	alarm(1);
}

/* Without SA_RESTART: a write to who does not read is given up. */
static void
heed_signals(bool heed)
{
	struct sigaction action = { .sa_handler = heed ? on_stop : SIG_DFL };

	if (!heed)
		alarm(0);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
}

struct watch {
	struct cli *cli;
	const char *command;    /* --exec, or NULL */
	uint64_t left;          /* changes until the end; 0: no end */
	char *cursor;           /* behind all that was given */
	int rc;                 /* with which a callback ended it */
};

/* -- lines ----------------------------------------------------------------------- */

static void
put_change(const struct cli *cli, FILE *to, const ddcp_change *c)
{
	char *line, *table, *key, *columns, *author;

	if (!cli->porcelain) {
		line = cli_json_text(cli_change_json(c));
		fprintf(to, "%s\n", line);
		free(line);
		return;
	}
	table = cli_safe(c->table);
	key = cli_json_text(cli_cells_json(c->key, c->nkey));
	columns = cli_json_text(cli_cells_json(c->cell, c->ncell));
	author = cli_safe(c->author.name);
	fprintf(to, "%s\t%s\t%s\t%s\t%s\t%llu\t%llu\t%lld\t%s\n",
	    cli_kind(c->kind), table, key, columns, author,
	    (unsigned long long)c->version, (unsigned long long)c->db_version,
	    (long long)c->time_ms, c->cursor);
	free(table);
	free(key);
	free(columns);
	free(author);
}

static void
put_changes(const struct cli *cli, FILE *to, const ddcp_change *change,
    size_t n)
{
	size_t i;

	for (i = 0; i < n && !ferror(to); i++)
		put_change(cli, to, &change[i]);
	if (!ferror(to))
		fflush(to);
}

/* -- a program ------------------------------------------------------------------- */

/* Starts it with a pipe as its standard input, of which *out is our end, and in a
 * group of its own: the terminal's signals are for us, who hand them on. */
static int
start_program(const char *command, pid_t *pid, FILE **out)
{
	char *argv[] = { cli_memory(strdup("sh")), cli_memory(strdup("-c")),
		cli_memory(strdup(command)), NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t usual;
	int fd[2], rc, i;

	rc = pipe(fd) == 0 ? 0 : errno;
	if (rc != 0)
		goto out;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd[0], STDIN_FILENO);
	posix_spawn_file_actions_addclose(&actions, fd[0]);
	posix_spawn_file_actions_addclose(&actions, fd[1]);
	sigemptyset(&usual);
	sigaddset(&usual, SIGPIPE);     /* main ignores it */
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &usual);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF |
	    POSIX_SPAWN_SETPGROUP);
	rc = posix_spawn(pid, "/bin/sh", &actions, &attributes, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	close(fd[0]);
	*out = rc == 0 ? fdopen(fd[1], "w") : NULL;
	if (*out == NULL)
		close(fd[1]);
	if (rc == 0 && *out == NULL)
		rc = ENOMEM;
out:
	for (i = 0; argv[i] != NULL; i++)
		free(argv[i]);
	return rc;
}

/* The program, and what it started, are to end with us. */
static void
hand_on(pid_t pid)
{
	if (told_to_stop)
		kill(-pid, seconds < PATIENCE ? told_to_stop : SIGKILL);
}

static int
wait_for(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		hand_on(pid);
	return status;
}

static int
failed(const struct watch *w, const char *how, int number)
{
	ddcp_error error = { .code = DDCP_EFATAL };

	snprintf(error.text, sizeof error.text, "%.200s: %s %d; the changes that it "
	    "got count as not told", w->command, how, number);
	snprintf(error.hint, sizeof error.hint, "to go on with them: --from %s",
	    w->cursor);
	return cli_fail(&error);
}

/* We were told to end while it ran: that is no failure. */
static int
stopped(const struct watch *w)
{
	cli_note(w->cli, "the changes that the program had count as not told; to "
	    "go on with them: --from %s", w->cursor);
	return CLI_ENOUGH;
}

/* Gives the changes to a run of the program of their own.  That it did not read
 * them all is its business, how it ended is ours.  CLI_ENOUGH: they were not told,
 * because we are to end. */
static int
run_program(struct watch *w, const ddcp_change *change, size_t n)
{
	FILE *to;
	pid_t pid;
	bool cut;
	int status, rc = start_program(w->command, &pid, &to);

	if (rc != 0)
		return failed(w, "it can't be started, error", rc);
	put_changes(w->cli, to, change, n);
	cut = ferror(to) && told_to_stop;
	if (ferror(to))
		__fpurge(to);
	/* before it sees the end of what it did not get */
	if (cut)
		hand_on(pid);
	fclose(to);
	status = wait_for(pid);
	if (cut || (told_to_stop && status != 0))
		return stopped(w);
	if (WIFSIGNALED(status))
		return failed(w, "it was ended by signal", WTERMSIG(status));
	return WEXITSTATUS(status) == 0 ? 0 :
	    failed(w, "it ended with exit code", WEXITSTATUS(status));
}

/* -- watching -------------------------------------------------------------------- */

static void
keep_cursor(struct watch *w, const char *cursor)
{
	free(w->cursor);
	w->cursor = cli_memory(strdup(cursor));
}

/* True if nobody reads on, or a signal came while we wrote to one who does not:
 * the rest of it is given up then. */
static bool
nobody_reads(void)
{
	if (!ferror(stdout))
		return false;
	if (told_to_stop) {
		__fpurge(stdout);
		clearerr(stdout);
	}
	return true;
}

static int
on_batch(void *self, const ddcp_change *change, size_t n, const char *cursor)
{
	struct watch *w = self;
	bool last = w->left > 0 && n >= w->left;

	if (n == 0) {
		keep_cursor(w, cursor);
		cli_note(w->cli, "watching %s; to begin here another time: --from %s",
		    w->cli->shown, cursor);
		return 0;
	}
	if (last)
		n = (size_t)w->left;
	if (w->command == NULL)
		put_changes(w->cli, stdout, change, n);
	w->rc = w->command != NULL ? run_program(w, change, n) : 0;
	if (w->rc != 0 || (w->command == NULL && nobody_reads()))
		return CLI_ENOUGH;
	keep_cursor(w, last ? change[n - 1].cursor : cursor);
	w->left -= w->left > 0 ? n : 0;
	return last ? CLI_ENOUGH : 0;
}

int
cmd_watch(struct cli *cli)
{
	struct watch w = { .cli = cli, .command = cli_given(cli, "exec") };
	ddcp_watch_options options = { .from = cli_given(cli, "from"),
		.table = cli_given(cli, "table"),
		.once = cli_given(cli, "once") != NULL, .batch = on_batch,
		.self = &w };
	ddcp_error error = { 0 };
	int rc = cli_read_count(cli, "count", &w.left);

	if (rc == 0)
		rc = cli_open(cli, false, &watched);
	if (rc != 0)
		return rc;
	heed_signals(true);
	rc = ddcp_watch(watched, &options, &error);
	heed_signals(false);
	ddcp_close(watched);
	free(w.cursor);
	if (rc == CLI_ENOUGH)
		return w.rc == CLI_ENOUGH ? 0 : w.rc;
	return rc == 0 || rc == DDCP_EINTERRUPTED ? 0 : cli_fail(&error);
}
