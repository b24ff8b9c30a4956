// SPDX-License-Identifier: MPL-2.0
/* key.c - ddcp key export and import. */
#include "cli/cli.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { PASSPHRASE_MAX = 1024 };

static int
fail(int code, const char *text, const char *hint)
{
	ddcp_error error = { .code = code };

	snprintf(error.text, sizeof error.text, "%s", text);
	snprintf(error.hint, sizeof error.hint, "%s", hint);
	return cli_fail(&error);
}

static volatile sig_atomic_t stopped_by;

static void
on_stop(int signal_number)
{
	stopped_by = signal_number;
}

/* The first line of a file.  No buffer of stdio keeps it. */
static int
read_line(FILE *from, char out[PASSPHRASE_MAX])
{
	size_t n;

	if (from == NULL)
		return fail(errno == ENOENT ? DDCP_ENOTFOUND : DDCP_EFATAL,
		    "can't open the passphrase file", "name one that you may "
		    "read, or - for stdin");
	setvbuf(from, NULL, _IONBF, 0);
	if (fgets(out, PASSPHRASE_MAX, from) == NULL)
		out[0] = '\0';
	n = strcspn(out, "\r\n");
	if (n == PASSPHRASE_MAX - 1)
		return fail(DDCP_EUSAGE, "the passphrase is too long",
		    "use one of less than 1023 bytes");
	out[n] = '\0';
	if (out[0] == '\0')
		return fail(DDCP_EUSAGE, "the passphrase is empty",
		    "it is the first line of what is typed, or of the file");
	return 0;
}

/* Waits until a line is typed, or one of those signals comes that are blocked
 * but here. */
static void
await_line(int tty, const sigset_t *unblocked)
{
	struct pollfd line = { .fd = tty, .events = POLLIN };

	while (ppoll(&line, 1, NULL, unblocked) < 0 && errno == EINTR &&
	    stopped_by == 0)
		continue;
}

/* What is typed there without being shown.  A signal ends the program only when
 * the terminal shows again what is typed. */
static int
read_hidden(FILE *tty, const char *question, char out[PASSPHRASE_MAX])
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	enum { NSIGNALS = sizeof signals / sizeof *signals };
	struct sigaction stop = { .sa_handler = on_stop }, was[NSIGNALS];
	struct termios old, silent;
	sigset_t blocked, mask;
	int i, rc;

	sigemptyset(&blocked);
	for (i = 0; i < NSIGNALS; i++)
		sigaddset(&blocked, signals[i]);
	sigprocmask(SIG_BLOCK, &blocked, &mask);
	for (i = 0; i < NSIGNALS; i++)
		sigaction(signals[i], &stop, &was[i]);
	tcgetattr(fileno(tty), &old);
	silent = old;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(fileno(tty), TCSAFLUSH, &silent);
	fprintf(tty, "%s: ", question);
	await_line(fileno(tty), &mask);
	rc = stopped_by != 0 ? DDCP_EINTERRUPTED : read_line(tty, out);
	tcsetattr(fileno(tty), TCSAFLUSH, &old);
	fputc('\n', tty);
	for (i = 0; i < NSIGNALS; i++)
		sigaction(signals[i], &was[i], NULL);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (stopped_by != 0)
		raise(stopped_by);
	return rc;
}

static int
ask(const char *question, char out[PASSPHRASE_MAX])
{
	FILE *tty = fopen("/dev/tty", "r+");
	int rc;

	if (tty == NULL)
		return fail(DDCP_EUSAGE, "there is no terminal to ask for the "
		    "passphrase", "use --passphrase-file FILE, or - for stdin");
	setvbuf(tty, NULL, _IONBF, 0);
	rc = read_hidden(tty, question, out);
	fclose(tty);
	return rc;
}

static int
get_passphrase(struct cli *cli, bool twice, char out[PASSPHRASE_MAX])
{
	const char *file = cli_given(cli, "passphrase-file");
	char again[PASSPHRASE_MAX] = "";
	FILE *from;
	int rc;

	if (file != NULL) {
		from = strcmp(file, "-") == 0 ? stdin : fopen(file, "r");
		rc = read_line(from, out);
		if (from != NULL && from != stdin)
			fclose(from);
		return rc;
	}
	rc = ask("Passphrase", out);
	if (rc == 0 && twice) {
		rc = ask("The same again", again);
		if (rc == 0 && strcmp(out, again) != 0)
			rc = fail(DDCP_EUSAGE, "the two are not the same",
			    "type the same one twice");
		explicit_bzero(again, sizeof again);
	}
	return rc;
}

int
cmd_key_export(struct cli *cli)
{
	char passphrase[PASSPHRASE_MAX] = "";
	ddcp_error error = { 0 };
	ddcp *d;
	int rc = cli_open(cli, true, &d);

	if (rc != 0)
		return rc;
	rc = get_passphrase(cli, true, passphrase);
	if (rc == 0 && ddcp_key_export(d, cli->arg[0], passphrase, &error) != 0)
		rc = cli_fail(&error);
	else if (rc == 0)
		cli_say(cli, "The key is in %s; who has it and the passphrase is "
		    "you", cli->arg[0]);
	explicit_bzero(passphrase, sizeof passphrase);
	ddcp_close(d);
	return rc;
}

int
cmd_key_import(struct cli *cli)
{
	char passphrase[PASSPHRASE_MAX] = "";
	ddcp_init_options options = {
		.open = cli_open_options(cli),
		.new_identity = cli_given(cli, "new-identity") != NULL };
	ddcp_error error = { 0 };
	int rc = get_passphrase(cli, false, passphrase);

	if (rc == 0 &&
	    ddcp_key_import(&options, cli->arg[0], passphrase, &error) != 0)
		rc = cli_fail(&error);
	else if (rc == 0)
		cli_say(cli, "%s has the key of %s now", cli->shown, cli->arg[0]);
	explicit_bzero(passphrase, sizeof passphrase);
	return rc;
}
