// SPDX-License-Identifier: MPL-2.0
/* serve.c - ddcp serve: one line an event, until it is told to stop. */
#include "cli/cli.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static ddcp_server *running;
static volatile sig_atomic_t told_to_stop;

static void
on_stop(int signal_number)
{
	(void)signal_number;
	told_to_stop = 1;
	if (running != NULL)
		ddcp_serve_stop(running);
}

/* From before the first line that says that we serve, since whoever read it may
 * tell us to stop; a line that is being written is not cut. */
static void
heed_signals(bool heed)
{
	struct sigaction action = { .sa_handler = heed ? on_stop : SIG_DFL,
		.sa_flags = SA_RESTART };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

struct log {
	struct cli *cli;
	bool json;
	char address[DDCP_ADDRESS_MAX];
};

static const char *const event_names[] = {
	[DDCP_EVENT_LISTENING] = "listening",
	[DDCP_EVENT_CONNECTED] = "connected",
	[DDCP_EVENT_DISCONNECTED] = "disconnected",
	[DDCP_EVENT_CHANGED] = "changed",
	[DDCP_EVENT_PULLED] = "pulled",
	[DDCP_EVENT_FETCHED] = "fetched",
	[DDCP_EVENT_SENT] = "sent",
	[DDCP_EVENT_KNOCK] = "knock",
	[DDCP_EVENT_TABLES] = "tables",
	[DDCP_EVENT_TROUBLE] = "trouble",
	[DDCP_EVENT_LOCKED] = "locked",
	[DDCP_EVENT_UNLOCKED] = "unlocked",
	[DDCP_EVENT_CONFLICTS] = "conflicts",
	[DDCP_EVENT_PUBLISHED] = "published",
};

static void
log_json(const ddcp_event *e)
{
	cli_json(json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:I, s:I, s:I, s:I}",
	    "event", event_names[e->kind], "remote", e->remote, "address",
	    e->address, "place", e->place, "text", cli_text(e->text), "hint",
	    cli_text(e->hint), "transactions", (json_int_t)e->transactions, "rows",
	    (json_int_t)e->rows, "bytes", (json_int_t)e->bytes, "elapsed_ms",
	    (json_int_t)e->elapsed_ms));
}

/* "on HOST:PORT", "over Veilid" */
static const char *
where(const ddcp_event *e, const char *preposition, char out[300])
{
	if (strcmp(e->place, "veilid") == 0)
		return "over Veilid";
	snprintf(out, 300, "%s %s", preposition, e->place);
	return out;
}

static void
log_text(struct log *log, const ddcp_event *e)
{
	struct cli *cli = log->cli;
	char a[48], b[48], on[300];
	const char *whom;
	char *text = cli_safe(e->text), *hint = cli_safe(e->hint);

	cli_count(e->transactions, "transaction", a);
	cli_count(e->rows, "row", b);
	switch (e->kind) {
	case DDCP_EVENT_LISTENING:
		cli_say(cli, "Serving %s at address %s, listening %s", cli->shown,
		    log->address, where(e, "on", on));
		break;
	case DDCP_EVENT_CONNECTED:
		cli_say(cli, "%s: connected %s", e->remote,
		    where(e, "at", on));
		break;
	case DDCP_EVENT_DISCONNECTED:
		cli_say(cli, "%s: disconnected%s%s", e->remote,
		    text[0] ? ": " : "", text);
		break;
	case DDCP_EVENT_CHANGED:
		cli_say(cli, "changed here: %s", a);
		break;
	case DDCP_EVENT_PULLED:
		cli_say(cli, "%s: pulled %s, %s", e->remote, a, b);
		break;
	case DDCP_EVENT_FETCHED:
		cli_say(cli, "%s: fetched %s, %s; not merged", e->remote, a, b);
		break;
	case DDCP_EVENT_SENT:
		cli_say(cli, "%s: sent %s", e->remote, b);
		break;
	case DDCP_EVENT_KNOCK:
		cli_say(cli, "knock: %s %s; to let it in: ddcp remote accept "
		    "NAME %s", e->address, where(e, "from", on), e->address);
		break;
	case DDCP_EVENT_TABLES:
		cli_say(cli, "%s", text);
		break;
	case DDCP_EVENT_CONFLICTS:
		cli_say(cli, "%s: %s", e->remote, cli_count(e->rows, "new conflict",
		    a));
		break;
	case DDCP_EVENT_TROUBLE:
		whom = e->remote[0] != '\0' ? e->remote : e->place;
		cli_note(cli, "%s%s%s", whom, whom[0] ? ": " : "", text);
		if (hint[0] != '\0')
			cli_note(cli, "hint: %s", hint);
		break;
	case DDCP_EVENT_PUBLISHED:
		cli_say(cli, "veilid: published; who knows the address finds this "
		    "database (node %s)", text);
		break;
	case DDCP_EVENT_LOCKED:
		cli_note(cli, "locked by another program, trying again");
		break;
	case DDCP_EVENT_UNLOCKED:
		cli_note(cli, "no longer locked, after %.3g s",
		    (double)e->elapsed_ms / 1000);
		break;
	}
	free(text);
	free(hint);
}

static void
on_event(void *self, const ddcp_event *event)
{
	struct log *log = self;

	if (log->json)
		log_json(event);
	else
		log_text(log, event);
}

int
cmd_serve(struct cli *cli)
{
	const char *format = cli_given(cli, "log-format");
	struct log log = { .cli = cli, .json = cli->json };
	ddcp_serve_options options = {
		.listen = cli_given(cli, "listen"),
		.no_discovery = cli_given(cli, "no-discovery") != NULL,
		.event = on_event, .self = &log };
	ddcp_error error = { 0 };
	ddcp *d;
	int rc;

	if (format != NULL && strcmp(format, "json") == 0)
		log.json = true;
	else if (format != NULL && strcmp(format, "text") != 0)
		return cli_usage(cli, "--log-format is text or json");
	rc = cli_open(cli, false, &d);
	if (rc != 0)
		return rc;
	ddcp_address(d, log.address);
	if (!log.json && cli_veilid_unheard(d))
		cli_note(cli, "%s", CLI_VEILID_HINT);
	heed_signals(true);
	rc = ddcp_serve_start(d, &options, &running, &error);
	if (rc == 0) {
		if (!told_to_stop)
			rc = ddcp_serve_run(running, &error);
		heed_signals(false);
		ddcp_serve_close(running);
	}
	ddcp_close(d);
	return rc == 0 ? 0 : cli_fail(&error);
}
