// SPDX-License-Identifier: MPL-2.0
/*
 * diff.c - ddcp diff: what merging what was fetched would change, row by row; and
 * `merge --dry-run`, the same in short.
 */
#include "cli/print.h"

#include <stdlib.h>
#include <string.h>

struct count {
	char *table;
	uint64_t n[3];          /* by enum ddcp_change_kind */
};

struct diff {
	struct cli *cli;
	bool rows, stat;        /* what is printed */
	char *table;            /* of the row before, or NULL */
	struct count *count;    /* by table, as they come: sorted */
	size_t ncount;
	uint64_t n;
};

/* -- rows ------------------------------------------------------------------------- */

static json_t *
cells_json(const ddcp_diff_row *r, bool after)
{
	ddcp_cell *cell = cli_memory(calloc(r->ncell + 1, sizeof *cell));
	json_t *out;
	size_t i, n = 0;

	for (i = 0; i < r->ncell; i++)
		if (after || r->cell[i].was_known)
			cell[n++] = (ddcp_cell){ r->cell[i].column, after ?
			    r->cell[i].after : r->cell[i].before };
	out = cli_cells_json(cell, n);
	free(cell);
	return out;
}

static json_t *
row_json(const ddcp_diff_row *r)
{
	json_t *out = cli_memory(json_pack("{s:s, s:o, s:o, s:o, s:o}", "change",
	    cli_kind(r->kind), "table", cli_text(r->table), "key",
	    cli_cells_json(r->key, r->nkey), "before", r->kind == DDCP_INSERTED ?
	    json_null() : cells_json(r, false), "after", r->kind == DDCP_DELETED ?
	    json_null() : cells_json(r, true)));

	cli_author_json(out, &r->author, r->version, r->time_ms);
	return out;
}

static void
print_cell(const ddcp_diff_row *r, const ddcp_diff_cell *c)
{
	char *name = cli_safe(c->column);
	char *before = c->was_known ? cli_literal(&c->before, CLI_SHORT) :
	    cli_safe("?");
	char *after = cli_literal(&c->after, CLI_SHORT);

	if (r->kind == DDCP_CHANGED)
		printf("%s: %s \u2192 %s", name, before, after);
	else
		printf("%s: %s", name, r->kind == DDCP_DELETED ? before : after);
	free(name);
	free(before);
	free(after);
}

static void
print_text(struct diff *d, const ddcp_diff_row *r)
{
	char *sign = cli_sign(d->cli, r->kind);
	char *key = cli_literals(r->key, r->nkey, CLI_SHORT);
	char *author = cli_author(&r->author, r->version), age[32];
	size_t i;

	cli_heading(&d->table, r->table);
	printf("%s %s%s", sign, key, r->ncell > 0 ? "   " : "");
	for (i = 0; i < r->ncell; i++) {
		fputs(i > 0 ? ", " : "", stdout);
		print_cell(r, &r->cell[i]);
	}
	printf("   %s, %s\n", author, cli_age(r->time_ms, age));
	free(sign);
	free(key);
	free(author);
}

static void
print_porcelain(const ddcp_diff_row *r)
{
	char *table = cli_safe(r->table);
	char *key = cli_json_text(cli_cells_json(r->key, r->nkey));
	char *before = cli_json_text(cells_json(r, false));
	char *after = cli_json_text(cells_json(r, true));
	char *author = cli_author(&r->author, r->version);

	printf("%s\t%s\t%s\t%s\t%s\t%s\t%lld\n", cli_kind(r->kind), table, key,
	    r->kind == DDCP_INSERTED ? "null" : before, r->kind == DDCP_DELETED ?
	    "null" : after, author, (long long)r->time_ms);
	free(table);
	free(key);
	free(before);
	free(after);
	free(author);
}

/* -- counts ------------------------------------------------------------------------ */

/* Rows come by table. */
static void
count_row(struct diff *d, const ddcp_diff_row *r)
{
	struct count *c = d->ncount > 0 ? &d->count[d->ncount - 1] : NULL;

	if (c == NULL || strcmp(c->table, r->table) != 0) {
		d->count = cli_memory(realloc(d->count, (d->ncount + 1) *
		    sizeof *d->count));
		c = &d->count[d->ncount++];
		*c = (struct count){ .table = cli_memory(strdup(r->table)) };
	}
	c->n[r->kind]++;
	d->n++;
}

static json_t *
counts_json(const struct diff *d)
{
	json_t *out = cli_memory(json_array());
	size_t i;

	for (i = 0; i < d->ncount; i++)
		json_array_append_new(out, json_pack("{s:o, s:I, s:I, s:I}", "table",
		    cli_text(d->count[i].table), "inserted",
		    (json_int_t)d->count[i].n[DDCP_INSERTED], "changed",
		    (json_int_t)d->count[i].n[DDCP_CHANGED], "deleted",
		    (json_int_t)d->count[i].n[DDCP_DELETED]));
	return out;
}

static void
print_counts(const struct diff *d)
{
	char *line;
	size_t i;

	for (i = 0; i < d->ncount; i++) {
		const struct count *c = &d->count[i];
		ddcp_tally t = { .table = c->table, .inserted = c->n[DDCP_INSERTED],
			.changed = c->n[DDCP_CHANGED], .deleted = c->n[DDCP_DELETED] };

		if (d->cli->porcelain) {
			line = cli_safe(c->table);
			printf("%s\t%llu\t%llu\t%llu\n", line,
			    (unsigned long long)t.inserted,
			    (unsigned long long)t.changed,
			    (unsigned long long)t.deleted);
		} else {
			line = cli_tallies(&t, 1);
			puts(line);
		}
		free(line);
	}
}

/* -- the verbs ----------------------------------------------------------------------- */

static int
on_row(void *self, const ddcp_diff_row *r)
{
	struct diff *d = self;

	count_row(d, r);
	if (!d->rows)
		return 0;
	if (d->cli->json)
		cli_json(row_json(r));
	else if (d->cli->porcelain)
		print_porcelain(r);
	else
		print_text(d, r);
	return ferror(stdout) ? CLI_ENOUGH : 0;
}

static void
clear(struct diff *d)
{
	size_t i;

	for (i = 0; i < d->ncount; i++)
		free(d->count[i].table);
	free(d->count);
	free(d->table);
}

static void
say_parked(const struct cli *cli, const ddcp_diff_sum *sum)
{
	char changes[48];

	if (sum->parked > 0)
		cli_note(cli, "note: %s would be parked: they can't be applied here "
		    "yet", cli_count(sum->parked, "change", changes));
}

static void
say_end(const struct diff *d, const ddcp_diff_sum *sum)
{
	if (d->stat && d->cli->json)
		cli_json(json_pack("{s:o, s:I, s:I, s:I}", "tables",
		    counts_json(d), "transactions", (json_int_t)sum->transactions,
		    "rows", (json_int_t)sum->rows, "parked",
		    (json_int_t)sum->parked));
	else if (d->stat)
		print_counts(d);
	if (d->n == 0 && !d->cli->json && !d->cli->porcelain)
		cli_note(d->cli, sum->transactions > 0 ? "What was fetched changes "
		    "nothing here." : "Nothing is fetched that is not merged.");
	say_parked(d->cli, sum);
}

/* "[REMOTE] [-- TABLE...]": what stands behind "--" are tables. */
int
cmd_diff(struct cli *cli)
{
	struct diff d = { .cli = cli, .stat = cli_given(cli, "stat") != NULL };
	int first = cli->nargs - cli->nbehind;
	ddcp_diff_options how = { .remote = first > 0 ? cli->arg[0] : NULL,
		.table = (const char *const *)cli->arg + first,
		.ntables = (size_t)(cli->nargs - first) };
	ddcp_diff_sum sum = { .rows = 0 };
	ddcp_error error = { 0 };
	ddcp *db;
	int rc;

	if (first > 1)
		return cli_usage(cli, "one remote can be named; tables stand behind "
		    "\"--\"");
	d.rows = !d.stat;
	rc = cli_open(cli, false, &db);
	if (rc != 0)
		return rc;
	rc = ddcp_diff(db, &how, on_row, &d, &sum, &error);
	if (rc == 0)
		say_end(&d, &sum);
	else if (rc != CLI_ENOUGH)
		rc = cli_fail(&error);
	else
		rc = 0;
	if (rc == 0 && d.n > 0 && cli_given(cli, "exit-code") != NULL)
		rc = DDCP_EDIFFERENT;
	clear(&d);
	ddcp_close(db);
	return rc;
}

int
cli_merge_dry(struct cli *cli)
{
	struct diff d = { .cli = cli, .stat = true };
	ddcp_diff_options how = { .remote = cli->nargs > 0 ? cli->arg[0] : NULL };
	ddcp_diff_sum sum = { .rows = 0 };
	char transactions[48], rows[48];
	ddcp_error error = { 0 };
	ddcp *db;
	int rc = cli_open(cli, false, &db);

	if (rc != 0)
		return rc;
	rc = ddcp_diff(db, &how, on_row, &d, &sum, &error);
	if (rc == 0 && sum.transactions > 0 && !cli->json && !cli->porcelain)
		cli_say(cli, "would merge %s, %s",
		    cli_count(sum.transactions, "transaction", transactions),
		    cli_count(sum.rows, "row", rows));
	if (rc == 0)
		say_end(&d, &sum);
	else
		rc = cli_fail(&error);
	clear(&d);
	ddcp_close(db);
	return rc;
}
