// SPDX-License-Identifier: MPL-2.0
/* status.c - ddcp status: where this database stands with everyone. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

json_t *
cli_remote_json(ddcp *d, const ddcp_remote *r)
{
	return json_pack("{s:s, s:s, s:o, s:b, s:I, s:o, s:I, s:I, s:I, s:s, s:o, "
	    "s:I, s:b, s:o}",
	    "name", r->name, "address", r->address, "place", cli_text(r->place),
	    "automerge", r->automerge, "ahead", (json_int_t)r->ahead, "behind",
	    r->behind_known ? json_integer((json_int_t)r->behind) : json_null(),
	    "held_transactions", (json_int_t)r->held_transactions, "held_rows",
	    (json_int_t)r->held_rows, "last_contact_ms",
	    (json_int_t)r->last_contact_ms, "last_path", r->last_path,
	    "last_error", cli_text(r->last_error), "last_error_ms",
	    (json_int_t)r->last_error_ms, "pulled", r->pulled, "only_there",
	    cli_others_json(d, r->name));
}

struct view {
	struct cli *cli;
	ddcp *d;
	json_t *remotes, *knocks, *parked;
	bool different;         /* for --exit-code */
};

/* "ahead 12, behind 4", "never pulled, ahead 1", "up to date". */
static void
stand(const ddcp_remote *r, char *out, size_t max)
{
	bool behind = r->behind_known && r->behind > 0;
	size_t n = 0;

	out[0] = '\0';
	if (!r->pulled)
		n = (size_t)snprintf(out, max, "never pulled");
	if (r->ahead > 0)
		n += (size_t)snprintf(out + n, max - n, "%sahead %llu",
		    n > 0 ? ", " : "", (unsigned long long)r->ahead);
	if (behind)
		n += (size_t)snprintf(out + n, max - n, "%sbehind %llu",
		    n > 0 ? ", " : "", (unsigned long long)r->behind);
	if (n == 0)
		snprintf(out, max, "up to date");
}

static void
remote_line(const struct cli *cli, ddcp *d, const ddcp_remote *r)
{
	char where[96], padded[96], ago[32], a[48], b[48];
	char *error, *painted, *others = cli_others(d, r->name);

	stand(r, where, sizeof where);
	snprintf(padded, sizeof padded, "%-24s", where);
	painted = cli_paint(cli, strcmp(where, "up to date") == 0 ? CLI_GREEN :
	    CLI_YELLOW, padded);
	printf("  %-10s %s %-28s seen %s\n", r->name, painted,
	    r->last_path[0] ? r->last_path : "-",
	    cli_ago(r->last_contact_ms, ago));
	free(painted);
	if (r->held_transactions > 0)
		printf("             %s, %s fetched, not merged: use \"ddcp merge "
		    "%s\"\n", cli_count(r->held_transactions, "transaction", a),
		    cli_count(r->held_rows, "row", b), r->name);
	if (others[0] != '\0')
		printf("             not replicated here: %s\n", others);
	free(others);
	if (r->last_error[0] != '\0' && (cli->verbose ||
	    r->last_error_ms > r->last_contact_ms)) {
		error = cli_safe(r->last_error);
		printf("             %s, %s\n", error,
		    cli_ago(r->last_error_ms, ago));
		free(error);
	}
}

static int
on_remote(void *self, const ddcp_remote *r)
{
	struct view *v = self;

	if (r->ahead > 0 || (r->behind_known && r->behind > 0) ||
	    r->held_transactions > 0)
		v->different = true;
	if (v->remotes != NULL)
		json_array_append_new(v->remotes, cli_remote_json(v->d, r));
	else if (v->cli->porcelain)
		printf("remote\t%s\t%s\t%llu\t%llu\t%llu\t%lld\n", r->name,
		    r->address, (unsigned long long)r->ahead,
		    (unsigned long long)(r->behind_known ? r->behind : 0),
		    (unsigned long long)r->held_transactions,
		    (long long)r->last_contact_ms);
	else
		remote_line(v->cli, v->d, r);
	return 0;
}

static int
on_knock(void *self, const ddcp_knock *k)
{
	struct view *v = self;
	char ago[32];

	if (v->knocks != NULL)
		json_array_append_new(v->knocks, json_pack("{s:s, s:s, s:I, s:I}",
		    "address", k->address, "place", k->place, "last_ms",
		    (json_int_t)k->last_ms, "count", (json_int_t)k->count));
	else if (v->cli->porcelain)
		printf("knock\t%s\t%lld\n", k->address, (long long)k->last_ms);
	else
		printf("Knock: %s from %s, %s: use \"ddcp remote accept NAME "
		    "KEY\" to let it in\n", k->address, k->place,
		    cli_ago(k->last_ms, ago));
	return 0;
}

static int
on_parked(void *self, const ddcp_parked *p)
{
	struct view *v = self;
	char changes[48];
	char *table, *reason;

	v->different = true;
	if (v->parked != NULL) {
		json_array_append_new(v->parked, json_pack("{s:o, s:o, s:I}",
		    "table", cli_text(p->table), "reason", cli_text(p->reason),
		    "changes",
		    (json_int_t)p->changes));
		return 0;
	}
	table = cli_safe(p->table);
	reason = cli_safe(p->reason);
	if (v->cli->porcelain)
		printf("parked_by\t%s\t%llu\t%s\n", table,
		    (unsigned long long)p->changes, reason);
	else
		printf("Parked: %s of %s can't be applied here yet: %s\n",
		    cli_count(p->changes, "change", changes), table, reason);
	free(table);
	free(reason);
	return 0;
}

static void
print_head(struct cli *cli, const ddcp_state *state, const char *address)
{
	char unfolded[64], tables[48];

	if (cli->porcelain) {
		printf("version\t%llu\ntables\t%llu\npending\t%llu\nparked\t%llu\n"
		    "conflicts\t%llu\nserving\t%d\n", (unsigned long long)state->version,
		    (unsigned long long)state->tables,
		    (unsigned long long)state->pending,
		    (unsigned long long)state->parked,
		    (unsigned long long)state->conflicts, state->serving);
		return;
	}
	if (state->pending > 0)
		snprintf(unfolded, sizeof unfolded, "%s unfolded",
		    cli_count(state->pending, "write", tables));
	else
		strcpy(unfolded, "nothing unfolded");
	printf("On %s as %s, version %llu, %s, %s%s\n", cli->shown,
	    address, (unsigned long long)state->version,
	    cli_count(state->tables, "table", tables), unfolded,
	    state->serving ? ", serving" : "");
	if (state->conflicts > 0)
		printf("%s: use \"ddcp conflicts\" to see and \"ddcp resolve\" to "
		    "settle\n", cli_count(state->conflicts, "conflict", tables));
}

int
cmd_status(struct cli *cli)
{
	struct view v = { .cli = cli };
	char address[DDCP_ADDRESS_MAX];
	ddcp_error error = { 0 };
	ddcp_state state;
	ddcp *d;
	int rc = cli_open(cli, true, &d);

	if (rc != 0)
		return rc;
	v.d = d;
	ddcp_address(d, address);
	rc = ddcp_status(d, &state, &error);
	if (rc != 0)
		goto out;
	if (cli->json) {
		v.remotes = json_array();
		v.knocks = json_array();
		v.parked = json_array();
	} else {
		print_head(cli, &state, address);
	}
	rc = ddcp_remote_each(d, NULL, on_remote, &v, &error);
	if (rc == 0 && state.parked > 0)
		rc = ddcp_parked_each(d, on_parked, &v, &error);
	if (rc == 0)
		rc = ddcp_knock_each(d, on_knock, &v, &error);
	if (rc == 0 && cli->json)
		cli_json(json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:O, "
		    "s:O, s:O}", "db_file", cli_text(ddcp_db_file(d)), "address",
		    address,
		    "version", (json_int_t)state.version, "tables",
		    (json_int_t)state.tables, "pending", (json_int_t)state.pending,
		    "parked", (json_int_t)state.parked, "conflicts",
		    (json_int_t)state.conflicts, "file_bytes",
		    (json_int_t)state.file_bytes, "serving", state.serving,
		    "remotes", v.remotes, "knocks", v.knocks, "parked_by",
		    v.parked));
out:
	json_decref(v.remotes);
	json_decref(v.knocks);
	json_decref(v.parked);
	ddcp_close(d);
	if (rc != 0)
		return cli_fail(&error);
	return v.different && cli_given(cli, "exit-code") ? DDCP_EDIFFERENT : 0;
}
