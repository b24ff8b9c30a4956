// SPDX-License-Identifier: MPL-2.0
/*
 * exchange.c - ddcp fetch, merge, pull and push: one loop, four verbs.  What they
 * have in common with verify is cli_exchange().
 */
#include "cli/cli.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct exchange {
	struct cli *cli;
	ddcp *d;
	const char *done;       /* "pulled", "fetched" ... */
	json_t *results;        /* --json */
	bool brings;            /* rows of tables, that is: of all? */
	bool merges;            /* them here */
	int nfailed;
};

static ddcp *interruptible;
static bool line_open;          /* a progress line stands on the terminal */

static void
on_interrupt(int signal_number)
{
	(void)signal_number;
	ddcp_interrupt(interruptible);
}

static void
end_progress_line(void)
{
	if (line_open)
		fputc('\n', stderr);
	line_open = false;
}

void
cli_heed_interrupt(ddcp *d)
{
	struct sigaction action = { .sa_handler = d != NULL ? on_interrupt :
		SIG_DFL };

	if (d == NULL)
		end_progress_line();
	else
		interruptible = d;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static int
on_progress(void *self, const ddcp_progress *p)
{
	double mib = (double)p->bytes / (1 << 20);
	double s = (double)p->elapsed_ms / 1000;

	fprintf(stderr, "\r%s: ", p->stage);
	if (p->total > 0)
		fprintf(stderr, "%3.0f%% (%llu/%llu)",
		    100.0 * (double)p->rows / (double)p->total,
		    (unsigned long long)p->rows, (unsigned long long)p->total);
	else
		fprintf(stderr, "%llu rows", (unsigned long long)p->rows);
	fprintf(stderr, ", %.2f MiB | %.2f MiB/s   ", mib,
	    s > 0 ? mib / s : 0.0);
	line_open = true;
	return 0;
}

cli_progress_function *
cli_progress(const struct cli *cli)
{
	return cli->progress && !cli->quiet ? on_progress : NULL;
}

static void
add_json(struct exchange *x, const ddcp_result *r)
{
	json_array_append_new(x->results,
	    json_pack("{s:s, s:i, s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:I, "
	    "s:o}", "remote", r->remote, "code", -r->code, "error",
	    cli_text(r->error), "hint", cli_text(r->hint), "path", r->path,
	    "transactions", (json_int_t)r->transactions, "rows", (json_int_t)r->rows, "bytes",
	    (json_int_t)r->bytes, "parked", (json_int_t)r->parked, "held",
	    (json_int_t)r->held, "only_there", cli_others_json(x->d,
	    r->remote)));
}

static void
say_done(struct exchange *x, const ddcp_result *r)
{
	char transactions[48], rows[48];
	ddcp_state state;
	char *others = x->brings ? cli_others(x->d, r->remote) : cli_safe("");

	if (r->transactions == 0 && r->rows == 0 && r->held > 0) {
		cli_say(x->cli, "%s: nothing %s", r->remote, x->done);
	} else if (r->transactions == 0 && r->rows == 0) {
		cli_say(x->cli, "%s: already up to date", r->remote);
	} else {
		cli_say(x->cli, "%s: %s %s, %s", r->remote, x->done,
		    cli_count(r->transactions, "transaction", transactions),
		    cli_count(r->rows, "row", rows));
	}
	if (r->held > 0 && r->error[0] != '\0')
		cli_note(x->cli, "note: %s: %s\nhint: %s", r->remote, r->error,
		    r->hint);
	else if (r->held > 0)
		cli_note(x->cli, "hint: use \"ddcp merge %s\" to apply what was "
		    "fetched", r->remote);
	if (r->parked > 0)
		cli_note(x->cli, "note: %s can't be applied here yet; see \"ddcp "
		    "status\"", cli_count(r->parked, "change", rows));
	if (others[0] != '\0')
		cli_note(x->cli, "note: %s has tables that are not replicated here: "
		    "%s\nhint: make them and use \"ddcp track\" to get their rows",
		    r->remote, others);
	if (r->rows > 0 && x->merges && ddcp_status(x->d, &state, NULL) == 0
	    && state.conflicts > 0)
		cli_note(x->cli, "note: %s to be reviewed; see \"ddcp conflicts\"",
		    cli_count(state.conflicts, "conflict", rows));
	free(others);
}

void
cli_fail_remote(const ddcp_result *r)
{
	ddcp_error error = { .code = r->code };

	snprintf(error.text, sizeof error.text, "%.60s: %.440s", r->remote,
	    r->error);
	snprintf(error.hint, sizeof error.hint, "%s", r->hint);
	cli_fail(&error);
}

static int
on_result(void *self, const ddcp_result *r)
{
	struct exchange *x = self;

	end_progress_line();
	if (x->results != NULL)
		add_json(x, r);
	if (x->cli->porcelain)
		printf("%s\t%d\t%llu\t%llu\t%llu\t%llu\n", r->remote, -r->code,
		    (unsigned long long)r->transactions,
		    (unsigned long long)r->rows, (unsigned long long)r->parked,
		    (unsigned long long)r->held);
	else if (x->results == NULL && (r->code == 0 || r->code == DDCP_EHELD))
		say_done(x, r);
	if (r->code != 0 && r->code != DDCP_EHELD) {
		cli_fail_remote(r);
		x->nfailed++;
	}
	return 0;
}

/* Codes that a remote's own result explains. */
static bool
is_explained(int rc)
{
	return rc == 0 || rc == DDCP_EHELD || rc == DDCP_EDIFFERENT;
}

int
cli_exchange(struct cli *cli, cli_exchange_function *function,
    ddcp_exchange *how, ddcp **d, const int *nfailed)
{
	ddcp_error error = { 0 };
	bool forked;
	int rc;

	if (how->remote == NULL && cli->nargs > 0)
		how->remote = cli->arg[0];
	how->timeout_ms = cli->timeout_ms;
	how->progress = cli_progress(cli);
	rc = cli_open(cli, false, d);
	if (rc != 0)
		return rc;
	forked = ddcp_was_forked(*d);
	cli_heed_interrupt(*d);
	rc = function(*d, how, &error);
	end_progress_line();
	if (!forked && ddcp_was_forked(*d))
		cli_note_forked(cli);
	/* What failed for one remote was said with its result. */
	if (!is_explained(rc) && *nfailed == 0)
		cli_fail(&error);
	cli_heed_interrupt(NULL);
	ddcp_close(*d);
	return rc;
}

static int
run(struct cli *cli, cli_exchange_function *function, const char *done)
{
	struct exchange x = { .cli = cli, .done = done,
		.brings = function == ddcp_pull || function == ddcp_fetch,
		.merges = function == ddcp_pull || function == ddcp_merge,
		.results = cli->json ? json_array() : NULL };
	ddcp_exchange how = { .result = on_result, .self = &x,
		.allow_delete = function == ddcp_merge &&
		    cli_given(cli, "allow-delete") != NULL };
	int rc = cli_exchange(cli, function, &how, &x.d, &x.nfailed);

	/* One that could not be opened has no answer. */
	if (x.results != NULL && x.d != NULL)
		cli_json(json_incref(x.results));
	json_decref(x.results);
	return rc;
}

int
cmd_fetch(struct cli *cli)
{
	return run(cli, ddcp_fetch, "fetched");
}

int
cmd_merge(struct cli *cli)
{
	return cli_given(cli, "dry-run") != NULL ? cli_merge_dry(cli) :
	    run(cli, ddcp_merge, "merged");
}

int
cmd_pull(struct cli *cli)
{
	return run(cli, ddcp_pull, "pulled");
}

int
cmd_push(struct cli *cli)
{
	return run(cli, ddcp_push, "pushed");
}
