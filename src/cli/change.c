// SPDX-License-Identifier: MPL-2.0
/* change.c - how transactions, and what they did to rows, look; print.h. */
#include "cli/print.h"

#include <stdlib.h>
#include <string.h>

/* -- transactions ---------------------------------------------------------------- */

static json_t *
tally_json(const ddcp_tally *t)
{
	return json_pack("{s:o, s:I, s:I, s:I, s:I}", "table", cli_text(t->table),
	    "inserted", (json_int_t)t->inserted, "changed",
	    (json_int_t)t->changed, "deleted", (json_int_t)t->deleted, "parked",
	    (json_int_t)t->parked);
}

json_t *
cli_transaction_json(const ddcp_transaction *t)
{
	json_t *out = cli_memory(json_object()), *tables = json_array();
	char token[2 * DDCP_TOKEN_LEN + 1];
	size_t i;

	cli_author_json(out, &t->author, t->version, t->time_ms);
	for (i = 0; i < DDCP_TOKEN_LEN; i++)
		sprintf(token + 2 * i, "%02x", t->token[i]);
	for (i = 0; i < t->ntally; i++)
		json_array_append_new(tables, tally_json(&t->tally[i]));
	json_object_set_new(out, "db_version",
	    json_integer((json_int_t)t->db_version));
	json_object_set_new(out, "token", json_string(token));
	json_object_set_new(out, "tables", tables);
	return out;
}

static void
put_tally(FILE *to, const ddcp_tally *t)
{
	const struct { uint64_t n; const char *what; } counts[] = {
		{ t->inserted, "inserted" }, { t->changed, "changed" },
		{ t->deleted, "deleted" }, { t->parked, "parked" } };
	char *table = cli_safe(t->table);
	const char *between = ": ";
	size_t i;

	fputs(table, to);
	for (i = 0; i < sizeof counts / sizeof *counts; i++) {
		if (counts[i].n == 0)
			continue;
		fprintf(to, "%s%llu %s", between, (unsigned long long)counts[i].n,
		    counts[i].what);
		between = ", ";
	}
	free(table);
}

char *
cli_tallies(const ddcp_tally *tally, size_t n)
{
	char *out = NULL;
	size_t len, i;
	FILE *to = cli_memory(open_memstream(&out, &len));

	for (i = 0; i < n; i++) {
		if (i > 0)
			fputs("; ", to);
		put_tally(to, &tally[i]);
	}
	fclose(to);
	return cli_memory(out);
}

/* -- rows ------------------------------------------------------------------------ */

const char *
cli_kind(enum ddcp_change_kind kind)
{
	return kind == DDCP_INSERTED ? "insert" : kind == DDCP_DELETED ?
	    "delete" : "update";
}

json_t *
cli_change_json(const ddcp_change *c)
{
	json_t *out = cli_memory(json_pack("{s:s, s:o, s:o, s:o}", "change",
	    cli_kind(c->kind), "table", cli_text(c->table), "key",
	    cli_cells_json(c->key, c->nkey), "columns",
	    cli_cells_json(c->cell, c->ncell)));

	cli_author_json(out, &c->author, c->version, c->time_ms);
	json_object_set_new(out, "db_version",
	    json_integer((json_int_t)c->db_version));
	json_object_set_new(out, "cursor", json_string(c->cursor));
	return out;
}

static void
put_cells(FILE *to, const ddcp_cell *cell, size_t n)
{
	char *name, *value;
	size_t i;

	for (i = 0; i < n; i++) {
		name = cli_safe(cell[i].column);
		value = cli_literal(&cell[i].value, CLI_SHORT);
		fprintf(to, "%s%s: %s", i > 0 ? ", " : "", name, value);
		free(name);
		free(value);
	}
}

char *
cli_sign(const struct cli *cli, enum ddcp_change_kind kind)
{
	static const struct { const char *sign; enum cli_colour colour; } kinds[] = {
		[DDCP_INSERTED] = { "+", CLI_GREEN },
		[DDCP_CHANGED] = { "~", CLI_YELLOW },
		[DDCP_DELETED] = { "-", CLI_RED } };

	return cli_paint(cli, kinds[kind].colour, kinds[kind].sign);
}

char *
cli_change_line(const struct cli *cli, const ddcp_change *c)
{
	char *key = cli_literals(c->key, c->nkey, CLI_SHORT), *out = NULL;
	char *sign = cli_sign(cli, c->kind);
	size_t len;
	FILE *to = cli_memory(open_memstream(&out, &len));

	fprintf(to, "%s %s%s", sign, key, c->ncell > 0 ? "   " : "");
	put_cells(to, c->cell, c->ncell);
	fclose(to);
	free(sign);
	free(key);
	return cli_memory(out);
}
