// SPDX-License-Identifier: MPL-2.0
/* undo.c - ddcp undo: what somebody's transaction, or the last merge, wrote over is
 * written back. */
#include "cli/print.h"

#include <stdlib.h>
#include <string.h>

struct undo {
	struct cli *cli;
	bool dry;
	char *table;            /* of the row before, or NULL */
};

static json_t *
row_json(const ddcp_undone *u)
{
	const ddcp_diff_row *r = &u->row;
	ddcp_cell *cell = cli_memory(calloc(r->ncell + 1, sizeof *cell));
	json_t *out;
	size_t i;

	for (i = 0; i < r->ncell; i++)
		cell[i] = (ddcp_cell){ r->cell[i].column, r->cell[i].after };
	out = cli_memory(json_pack("{s:s, s:o, s:o, s:o, s:I, s:s?}", "change",
	    cli_kind(r->kind), "table", cli_text(r->table), "key",
	    cli_cells_json(r->key, r->nkey), "columns", r->kind == DDCP_DELETED ?
	    json_null() : cli_cells_json(cell, r->ncell), "left",
	    (json_int_t)u->nleft, "why", u->why));
	free(cell);
	return out;
}

static void
print_cells(const ddcp_diff_row *r)
{
	char *name, *value;
	size_t i;

	for (i = 0; i < r->ncell && r->kind != DDCP_DELETED; i++) {
		name = cli_safe(r->cell[i].column);
		value = cli_literal(&r->cell[i].after, CLI_SHORT);
		printf("%s%s: %s", i > 0 ? ", " : "   ", name, value);
		free(name);
		free(value);
	}
}

static void
print_text(struct undo *d, const ddcp_undone *u)
{
	const ddcp_diff_row *r = &u->row;
	char *key = cli_literals(r->key, r->nkey, CLI_SHORT), left[48];

	cli_heading(&d->table, r->table);
	printf("%s %s", u->why != NULL ? "!" : r->kind == DDCP_INSERTED ? "+" :
	    r->kind == DDCP_DELETED ? "-" : "~", key);
	if (u->why != NULL)
		printf("   left: %s", u->why);
	else
		print_cells(r);
	if (u->why == NULL && u->nleft > 0)
		printf("   (%s left: changed since)",
		    cli_count(u->nleft, "column", left));
	putchar('\n');
	free(key);
}

static int
on_row(void *self, const ddcp_undone *u)
{
	struct undo *d = self;
	char *line;

	if (d->cli->json) {
		cli_json(row_json(u));
	} else if (d->cli->porcelain) {
		line = cli_json_text(row_json(u));
		puts(line);
		free(line);
	} else if (!d->cli->quiet) {
		print_text(d, u);
	}
	return ferror(stdout) ? CLI_ENOUGH : 0;
}

static void
say_end(const struct undo *d, const ddcp_undo_sum *sum)
{
	char done[48], left[48];

	if (d->cli->json || d->cli->porcelain)
		return;
	if (sum->done + sum->partly + sum->left == 0)
		cli_note(d->cli, "There is nothing to take back.");
	else
		cli_note(d->cli, "%s %s", cli_count(sum->done + sum->partly, "row",
		    done), d->dry ? "would be taken back" : "taken back");
	if (sum->left > 0)
		cli_note(d->cli, "%s left as %s", cli_count(sum->left, "row", left),
		    sum->left == 1 ? "it is" : "they are");
}

int
cmd_undo(struct cli *cli)
{
	struct undo d = { .cli = cli, .dry = cli_given(cli, "dry-run") != NULL };
	bool merge = cli_given(cli, "merge") != NULL;
	ddcp_undo_options how = { .name = merge ? NULL : cli->arg[0],
		.dry_run = d.dry };
	ddcp_undo_sum sum = { .done = 0 };
	ddcp_error error = { 0 };
	ddcp *db;
	int rc;

	if (merge == (cli->nargs > 0))
		return cli_usage(cli, "undo wants AUTHOR@VERSION, or --merge for the "
		    "last merge");
	rc = cli_open(cli, false, &db);
	if (rc != 0)
		return rc;
	rc = ddcp_undo(db, &how, on_row, &d, &sum, &error);
	if (rc == 0)
		say_end(&d, &sum);
	else
		rc = rc == CLI_ENOUGH ? 0 : cli_fail(&error);
	/* something was left */
	if (rc == 0 && sum.left + sum.partly > 0)
		rc = DDCP_EHELD;
	free(d.table);
	ddcp_close(db);
	return rc;
}
