// SPDX-License-Identifier: MPL-2.0
/* verify.c - ddcp verify: whether others have the same rows. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

struct verify {
	struct cli *cli;
	ddcp *d;
	json_t *results;        /* --json */
	json_t *differences;    /* of the remote at hand */
	unsigned long long named;
	int nfailed;
};

static const struct {
	const char *word;       /* never changes */
	const char *text;
} kinds[] = {
	[DDCP_ROW_DIFFERS] = { "differs", "differs" },
	[DDCP_ROW_HERE] = { "here", "only here" },
	[DDCP_ROW_THERE] = { "there", "only there" },
	[DDCP_COLUMN_HERE] = { "column-here", "column only here" },
	[DDCP_COLUMN_THERE] = { "column-there", "column only there" },
	[DDCP_KEY_DIFFERS] = { "key", "primary keys differ: not compared" },
	[DDCP_TABLE_HERE] = { "table-here", "replicated only here" },
	[DDCP_TABLE_THERE] = { "table-there", "replicated only there" },
};

static int
on_difference(void *self, const ddcp_difference *d)
{
	struct verify *v = self;
	char *table = cli_safe(d->table), *name = cli_safe(d->name);

	v->named += d->kind <= DDCP_ROW_THERE;
	if (v->differences != NULL)
		json_array_append_new(v->differences, json_pack(
		    "{s:s, s:o, s:o}", "kind", kinds[d->kind].word, "table",
		    cli_text(d->table), "name", cli_text(d->name)));
	else if (v->cli->porcelain)
		printf("%s\t%s\t%s\t%s\n", d->remote, kinds[d->kind].word, table,
		    name);
	else if (d->kind == DDCP_TABLE_HERE || d->kind == DDCP_TABLE_THERE)
		cli_note(v->cli, "note: %s is %s", table, kinds[d->kind].text);
	else
		cli_say(v->cli, "%s%s%s  %s", table, name[0] != '\0' ? "  " : "",
		    name, kinds[d->kind].text);
	free(table);
	free(name);
	return 0;
}

static void
add_json(struct verify *v, const ddcp_result *r)
{
	const ddcp_compared none = { 0 };
	const ddcp_compared *c = r->compared != NULL ? r->compared : &none;

	json_array_append_new(v->results, json_pack("{s:s, s:i, s:o, s:o, s:s, "
	    "s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "remote", r->remote,
	    "code", -r->code, "error", cli_text(r->error), "hint",
	    cli_text(r->hint), "path", r->path, "identical", r->code == 0,
	    "tables", (json_int_t)c->tables, "rows", (json_int_t)c->rows,
	    "in_flight", (json_int_t)c->in_flight, "differ",
	    (json_int_t)c->differ, "here", (json_int_t)c->here, "there",
	    (json_int_t)c->there, "others", (json_int_t)c->others,
	    "differences", v->differences));
	v->differences = json_array();
}

/* "2 rows differ, 1 only here, 3 only there". */
static void
count_rows(const ddcp_compared *c, char *out, size_t max)
{
	char rows[48];
	size_t n = 0;

	out[0] = '\0';
	if (c->differ > 0)
		n += (size_t)snprintf(out, max, ", %s", cli_count(c->differ,
		    "row differs", rows));
	if (c->differ > 1)
		n = (size_t)snprintf(out, max, ", %llu rows differ",
		    (unsigned long long)c->differ);
	if (c->here > 0)
		n += (size_t)snprintf(out + n, max - n, ", %s only here",
		    cli_count(c->here, "row", rows));
	if (c->there > 0)
		n += (size_t)snprintf(out + n, max - n, ", %s only there",
		    cli_count(c->there, "row", rows));
	if (c->others > 0)
		snprintf(out + n, max - n, ", %llu columns or keys don't fit",
		    (unsigned long long)c->others);
}

static void
say(struct verify *v, const ddcp_result *r)
{
	const ddcp_compared *c = r->compared;
	unsigned long long all = c->differ + c->here + c->there;
	char tables[48], rows[48], flight[64] = "", counts[256] = "", *painted;

	cli_count(c->tables, "table", tables);
	cli_count(c->rows, "row", rows);
	if (c->in_flight > 0)
		snprintf(flight, sizeof flight, ", %llu in flight",
		    (unsigned long long)c->in_flight);
	if (all > v->named)
		cli_say(v->cli, "... and %llu more rows", all - v->named);
	count_rows(c, counts, sizeof counts);
	painted = cli_paint(v->cli, r->code == 0 ? CLI_GREEN : CLI_RED,
	    r->code == 0 ? "identical" : "different");
	cli_say(v->cli, "%s: %s (%s, %s%s%s)", r->remote, painted, tables, rows,
	    flight, counts);
	free(painted);
}

static int
on_result(void *self, const ddcp_result *r)
{
	struct verify *v = self;
	const ddcp_compared *c = r->compared;

	if (v->results != NULL)
		add_json(v, r);
	if (v->cli->porcelain)
		printf("%s\t%d\t%llu\t%llu\t%llu\n", r->remote, -r->code,
		    c != NULL ? (unsigned long long)c->tables : 0,
		    c != NULL ? (unsigned long long)c->rows : 0,
		    c != NULL ? (unsigned long long)c->in_flight : 0);
	else if (v->results == NULL && c != NULL)
		say(v, r);
	if (c == NULL) {
		cli_fail_remote(r);
		v->nfailed++;
	}
	v->named = 0;
	return 0;
}

int
cmd_verify(struct cli *cli)
{
	struct verify v = { .cli = cli,
		.results = cli->json ? json_array() : NULL,
		.differences = cli->json ? json_array() : NULL };
	ddcp_exchange how = { .result = on_result, .self = &v,
		.difference = on_difference };
	int rc = cli_exchange(cli, ddcp_verify, &how, &v.d, &v.nfailed);

	if (v.results != NULL && v.d != NULL)
		cli_json(json_incref(v.results));
	json_decref(v.results);
	json_decref(v.differences);
	return rc;
}
