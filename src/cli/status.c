// SPDX-License-Identifier: MPL-2.0
/* status.c - ddcp status: where this database stands with everyone. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

/* What comes next, in one word that never changes. */
static const char *const plans[] = {
	[DDCP_PLAN_UNKNOWN] = "unknown",
	[DDCP_PLAN_NONE] = "none",
	[DDCP_PLAN_CONNECTED] = "connected",
	[DDCP_PLAN_CALLING] = "calling",
	[DDCP_PLAN_AGAIN] = "again",
	[DDCP_PLAN_HEARS] = "hears",
};

json_t *
cli_remote_json(ddcp *d, const ddcp_remote *r)
{
	return json_pack("{s:s, s:s, s:o, s:b, s:I, s:I, s:b, s:o, s:I, s:I, s:I, "
	    "s:I, s:s, s:o, s:I, s:s, s:o, s:b, s:s, s:o}",
	    "name", r->name, "address", r->address, "place", cli_text(r->place),
	    "automerge", r->automerge, "ahead", (json_int_t)r->ahead,
	    "ahead_rows", (json_int_t)r->ahead_rows, "ahead_exact",
	    !r->ahead_more, "behind",
	    r->behind_known ? json_integer((json_int_t)r->behind) : json_null(),
	    "behind_rows", (json_int_t)r->behind_rows,
	    "held_transactions", (json_int_t)r->held_transactions, "held_rows",
	    (json_int_t)r->held_rows, "last_contact_ms",
	    (json_int_t)r->last_contact_ms, "last_path", r->last_path,
	    "last_error", cli_text(r->last_error), "last_error_ms",
	    (json_int_t)r->last_error_ms, "plan", plans[r->plan], "next_try_ms",
	    r->plan == DDCP_PLAN_AGAIN ? json_integer(r->next_ms) :
	    json_null(), "pulled", r->pulled, "network", r->network, "only_there",
	    cli_others_json(d, r->name));
}

struct view {
	struct cli *cli;
	ddcp *d;
	json_t *remotes, *knocks, *parked;
	bool different;         /* for --exit-code */
};

/* "ahead 12 (30 rows), behind 4 (9 rows)", "never pulled, ahead 1 (1 row)", "up
 * to date". */
static void
stand(const ddcp_remote *r, char *out, size_t max)
{
	const char *more = r->ahead_more ? "+" : "";
	bool behind = r->behind_known && r->behind > 0;
	char rows[48];
	size_t n = 0;

	out[0] = '\0';
	if (!r->pulled)
		n = (size_t)snprintf(out, max, "never pulled");
	if (r->ahead > 0 || r->ahead_more)
		n += (size_t)snprintf(out + n, max - n, "%sahead %llu%s (%s%s)",
		    n > 0 ? ", " : "", (unsigned long long)r->ahead, more,
		    cli_count(r->ahead_rows, "row", rows),
		    r->ahead_more ? " or more" : "");
	if (behind)
		n += (size_t)snprintf(out + n, max - n, "%sbehind %llu (%s)",
		    n > 0 ? ", " : "", (unsigned long long)r->behind,
		    cli_count(r->behind_rows, "row", rows));
	if (n == 0)
		snprintf(out, max, "up to date");
}

/* What the user may wait for, or do. */
static void
say_plan(const ddcp_remote *r)
{
	char ago[32];

	switch (r->plan) {
	case DDCP_PLAN_CALLING:
		printf("; calling it now");
		break;
	case DDCP_PLAN_AGAIN:
		snprintf(ago, sizeof ago, "%.0f s", (double)r->next_ms / 1000);
		printf("; the next try is in %s", ago);
		break;
	case DDCP_PLAN_HEARS:
		printf("; the next try is when it announces itself or calls");
		break;
	case DDCP_PLAN_NONE:
		printf("; try again with \"ddcp pull %s\"", r->name);
		break;
	case DDCP_PLAN_UNKNOWN:
	case DDCP_PLAN_CONNECTED:
		break;
	}
}

static void
remote_line(const struct cli *cli, ddcp *d, const ddcp_remote *r)
{
	char where[160], padded[160], ago[32], a[48], b[48];
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
		printf("             held: %s, %s fetched, not merged: use \"ddcp merge "
		    "%s\"\n", cli_count(r->held_transactions, "transaction", a),
		    cli_count(r->held_rows, "row", b), r->name);
	if (others[0] != '\0')
		printf("             not replicated here: %s\n", others);
	free(others);
	if (r->last_error[0] != '\0' && (cli->verbose ||
	    r->last_error_ms > r->last_contact_ms)) {
		error = cli_safe(r->last_error);
		printf("             %s, %s", error,
		    cli_ago(r->last_error_ms, ago));
		say_plan(r);
		putchar('\n');
		free(error);
	}
}

static void
remote_fields(const ddcp_remote *r)
{
	char *error = cli_safe(r->last_error);

	printf("remote\t%s\t%s\t%llu\t%llu\t%llu\t%lld\n", r->name, r->address,
	    (unsigned long long)r->ahead,
	    (unsigned long long)(r->behind_known ? r->behind : 0),
	    (unsigned long long)r->held_transactions,
	    (long long)r->last_contact_ms);
	printf("remote_rows\t%s\t%llu\t%llu\t%llu\t%d\n", r->name,
	    (unsigned long long)r->ahead_rows,
	    (unsigned long long)r->behind_rows,
	    (unsigned long long)r->held_rows, !r->ahead_more);
	printf("remote_path\t%s\t%s\t%s\t%lld\n", r->name, r->last_path,
	    plans[r->plan], (long long)r->next_ms);
	if (r->last_error[0] != '\0')
		printf("remote_error\t%s\t%lld\t%s\n", r->name,
		    (long long)r->last_error_ms, error);
	free(error);
}

static int
on_remote(void *self, const ddcp_remote *r)
{
	struct view *v = self;

	if (r->ahead > 0 || r->ahead_more || (r->behind_known && r->behind > 0) ||
	    r->held_transactions > 0)
		v->different = true;
	if (v->remotes != NULL)
		json_array_append_new(v->remotes, cli_remote_json(v->d, r));
	else if (v->cli->porcelain)
		remote_fields(r);
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

/* "1.5 MiB" into out. */
static const char *
size_text(uint64_t bytes, char out[32])
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	double n = (double)bytes / 1024;
	size_t i = 0;

	while (n >= 1024 && i + 1 < sizeof units / sizeof *units) {
		n /= 1024;
		i++;
	}
	snprintf(out, 32, "%.*f %s", n < 10 ? 1 : 0, n, units[i]);
	return out;
}

static void
print_size(const struct cli *cli, const ddcp_state *state)
{
	const char *about = state->metadata_exact ? "" : "about ";
	char size[32], file[32], dead[48];

	if (!state->metadata_known)
		return;
	if (cli->porcelain)
		printf("metadata\t%llu\t%llu\t%llu\t%d\n",
		    (unsigned long long)state->metadata_bytes,
		    (unsigned long long)state->file_bytes,
		    (unsigned long long)state->tombstones,
		    state->metadata_exact);
	else
		printf("Metadata: %s%s of %s, %s%s\n", about,
		    size_text(state->metadata_bytes, size),
		    size_text(state->file_bytes, file),
		    state->tombstones > 0 ? about : "",
		    cli_count(state->tombstones, "tombstone", dead));
}

static json_t *
size_json(const ddcp_state *state)
{
	if (!state->metadata_known)
		return json_null();
	return json_pack("{s:I, s:I, s:b}", "bytes",
	    (json_int_t)state->metadata_bytes, "tombstones",
	    (json_int_t)state->tombstones, "exact", state->metadata_exact);
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
	if (rc == 0 && !cli->json)
		print_size(cli, &state);
	if (rc == 0 && cli->json)
		cli_json(json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:O, "
		    "s:O, s:O, s:o}", "db_file", cli_text(ddcp_db_file(d)), "address",
		    address,
		    "version", (json_int_t)state.version, "tables",
		    (json_int_t)state.tables, "pending", (json_int_t)state.pending,
		    "parked", (json_int_t)state.parked, "conflicts",
		    (json_int_t)state.conflicts, "file_bytes",
		    (json_int_t)state.file_bytes, "serving", state.serving,
		    "remotes", v.remotes, "knocks", v.knocks, "parked_by",
		    v.parked, "metadata", size_json(&state)));
out:
	json_decref(v.remotes);
	json_decref(v.knocks);
	json_decref(v.parked);
	ddcp_close(d);
	if (rc != 0)
		return cli_fail(&error);
	return v.different && cli_given(cli, "exit-code") ? DDCP_EDIFFERENT : 0;
}

/* The same for one. */
int
cmd_remote_status(struct cli *cli)
{
	struct view v = { .cli = cli };
	ddcp_error error = { 0 };
	json_t *one;
	int rc = cli_open(cli, true, &v.d);

	if (rc != 0)
		return rc;
	if (cli->json)
		v.remotes = json_array();
	rc = ddcp_remote_each(v.d, cli->arg[0], on_remote, &v, &error);
	one = json_array_get(v.remotes, 0);
	if (one != NULL)
		cli_json(json_incref(one));
	json_decref(v.remotes);
	ddcp_close(v.d);
	if (rc != 0)
		return cli_fail(&error);
	return v.different && cli_given(cli, "exit-code") ? DDCP_EDIFFERENT : 0;
}
