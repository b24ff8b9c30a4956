// SPDX-License-Identifier: MPL-2.0
/* conflicts.c - ddcp conflicts: what lost, to what, and why. */
#include "cli/print.h"

#include <stdlib.h>
#include <string.h>

/* -- JSON -------------------------------------------------------------------------- */

static json_t *
author_json(const ddcp_author *a, uint64_t version)
{
	json_t *out = cli_memory(json_object());

	json_object_set_new(out, "author", cli_text(a->name));
	json_object_set_new(out, "address", json_string(a->address));
	json_object_set_new(out, "version", json_integer((json_int_t)version));
	return out;
}

static json_t *
lost_json(const ddcp_lost *l)
{
	return json_pack("{s:o, s:o, s:o}", "column", cli_text(l->column),
	    "winner", cli_value_json(&l->winner), "loser",
	    cli_value_json(&l->loser));
}

static json_t *
conflict_json(const ddcp_conflict *c)
{
	json_t *lost = cli_memory(json_array());
	size_t i;

	for (i = 0; i < c->nlost; i++)
		json_array_append_new(lost, lost_json(&c->lost[i]));
	return json_pack("{s:I, s:o, s:o, s:s, s:b, s:o, s:o, s:o, s:I, s:o}", "id",
	    (json_int_t)c->id, "table", cli_text(c->table), "key",
	    cli_cells_json(c->key, c->nkey), "rule", c->rule, "row", c->row,
	    "winner", author_json(&c->winner, c->winner_version), "loser",
	    author_json(&c->loser, c->loser_version), "lost", lost, "time_ms",
	    (json_int_t)c->time_ms, "reviewed_ms", c->reviewed_ms != 0 ?
	    json_integer((json_int_t)c->reviewed_ms) : json_null());
}

/* -- text -------------------------------------------------------------------------- */

static void
print_porcelain(const ddcp_conflict *c)
{
	char *table = cli_safe(c->table);
	char *key = cli_json_text(cli_cells_json(c->key, c->nkey));
	char *winner = cli_author(&c->winner, c->winner_version);
	char *loser = cli_author(&c->loser, c->loser_version);
	char *column, *kept, *lost;
	size_t i;

	printf("conflict\t%llu\t%s\t%s\t%s\t%s\t%s\t%lld\t%lld\n",
	    (unsigned long long)c->id, table, key, c->rule, winner, loser,
	    (long long)c->time_ms, (long long)c->reviewed_ms);
	for (i = 0; i < c->nlost; i++) {
		column = cli_safe(c->lost[i].column);
		kept = cli_json_text(cli_value_json(&c->lost[i].winner));
		lost = cli_json_text(cli_value_json(&c->lost[i].loser));
		printf("lost\t%s\t%s\t%s\n", column, kept, lost);
		free(column);
		free(kept);
		free(lost);
	}
	free(table);
	free(key);
	free(winner);
	free(loser);
}

/* What was done, in a few words. */
static const char *
words(const ddcp_conflict *c)
{
	if (strcmp(c->rule, "version") == 0)
		return "which was changed more often";
	if (strcmp(c->rule, "value") == 0)
		return "which is the greater value";
	return strcmp(c->rule, "delete") == 0 ? "who deleted the row" :
	    "who deleted the row and wrote it again";
}

static void
print_lost(const ddcp_conflict *c, const ddcp_lost *l)
{
	char *column = cli_safe(l->column), *kept, *lost;

	kept = cli_literal(&l->winner, CLI_SHORT);
	lost = cli_literal(&l->loser, CLI_SHORT);
	if (strcmp(c->rule, "delete") == 0)
		printf("      %s: %s\n", column, lost);
	else
		printf("      %s: %s stays, %s lost\n", column, kept, lost);
	free(column);
	free(kept);
	free(lost);
}

static void
print_text(const struct cli *cli, const ddcp_conflict *c)
{
	char *table = cli_safe(c->table), *painted, number[32], age[32];
	char *key = cli_literals(c->key, c->nkey, CLI_SHORT);
	char *winner = cli_author(&c->winner, c->winner_version);
	char *loser = cli_author(&c->loser, c->loser_version);
	size_t i;

	snprintf(number, sizeof number, "%4llu", (unsigned long long)c->id);
	painted = cli_paint(cli, CLI_YELLOW, number);
	printf("%s  %s %s, %s%s\n", painted, table, key, cli_age(c->time_ms, age),
	    c->reviewed_ms != 0 ? ", reviewed" : "");
	printf("      %s won, %s; %s lost%s\n", winner, words(c), loser,
	    c->row && c->nlost == 0 ? ", who deleted it" : "");
	for (i = 0; i < c->nlost; i++)
		print_lost(c, &c->lost[i]);
	free(painted);
	free(table);
	free(key);
	free(winner);
	free(loser);
}

static int
on_conflict(void *self, const ddcp_conflict *c)
{
	struct cli *cli = self;

	if (cli->json)
		cli_json(conflict_json(c));
	else if (cli->porcelain)
		print_porcelain(c);
	else
		print_text(cli, c);
	return ferror(stdout) ? CLI_ENOUGH : 0;
}

int
cmd_conflicts(struct cli *cli)
{
	ddcp_conflict_options options = {
		.table = (const char *const *)cli->arg,
		.ntables = (size_t)cli->nargs,
		.all = cli_given(cli, "all") != NULL };
	ddcp_error error = { 0 };
	ddcp *d;
	int rc = cli_open(cli, false, &d);

	if (rc != 0)
		return rc;
	rc = ddcp_conflict_each(d, &options, on_conflict, cli, &error);
	ddcp_close(d);
	return rc == 0 || rc == CLI_ENOUGH ? 0 : cli_fail(&error);
}
