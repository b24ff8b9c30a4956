// SPDX-License-Identifier: MPL-2.0
/* blame.c - ddcp blame: who set each column of a row, and when. */
#include "cli/print.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 255 };

struct blame {
	struct cli *cli;
	json_t *columns;        /* --json: collected here, else NULL */
	json_t *row;            /* of the row itself */
	bool deleted;
};

/* -- the answer ------------------------------------------------------------------ */

static json_t *
blamed_json(const ddcp_blamed *b)
{
	json_t *out = cli_memory(json_object());

	if (b->column[0] != '\0') {
		json_object_set_new(out, "column", cli_text(b->column));
		json_object_set_new(out, "value", b->known ?
		    cli_value_json(&b->value) : json_null());
	} else
		json_object_set_new(out, "change",
		    json_string(cli_kind(b->kind)));
	json_object_set_new(out, "known", json_boolean(b->known));
	if (!b->known)
		return out;
	cli_author_json(out, &b->author, b->version, b->time_ms);
	json_object_set_new(out, "db_version",
	    json_integer((json_int_t)b->db_version));
	return out;
}

static void
print_porcelain(const ddcp_blamed *b)
{
	char *column = cli_safe(b->column), *author, *value;

	if (!b->known) {
		printf("default\t%s\n", column);
		free(column);
		return;
	}
	author = cli_safe(b->author.name);
	value = cli_json_text(cli_value_json(&b->value));
	printf("%s\t%s\t%s\t%llu\t%llu\t%lld\t%s\n", cli_kind(b->kind), column,
	    author, (unsigned long long)b->version,
	    (unsigned long long)b->db_version, (long long)b->time_ms, value);
	free(column);
	free(author);
	free(value);
}

static void
print_row(const ddcp_blamed *b, const char *author, const char *age)
{
	printf("the row was %s by %s, %s\n", b->kind == DDCP_DELETED ?
	    "deleted" : "brought to life", author, age);
}

static void
print_text(struct blame *x, const ddcp_blamed *b)
{
	char *author = b->known ? cli_author(&b->author, b->version) : NULL;
	char *column = cli_safe(b->column), *value, age[32], when[32];

	cli_age(b->time_ms, age);
	if (b->column[0] == '\0') {
		print_row(b, author, age);
	} else if (!b->known) {
		printf("%-16s by nobody since the column was added: its default\n",
		    column);
	} else {
		value = cli_literal(&b->value, CLI_SHORT);
		printf("%-16s %-16s %-12s", column, author, age);
		if (x->cli->verbose)
			printf("  %s  version %llu here",
			    cli_time(b->time_ms, when),
			    (unsigned long long)b->db_version);
		printf("  %s\n", value);
		free(value);
	}
	free(author);
	free(column);
}

static int
on_blamed(void *self, const ddcp_blamed *b)
{
	struct blame *x = self;

	x->deleted = x->deleted || (b->known && b->kind == DDCP_DELETED);
	if (x->columns != NULL && b->column[0] == '\0')
		x->row = blamed_json(b);
	else if (x->columns != NULL)
		json_array_append_new(x->columns, blamed_json(b));
	else if (x->cli->porcelain)
		print_porcelain(b);
	else
		print_text(x, b);
	return 0;
}

/* -- the question ---------------------------------------------------------------- */

/* Reads the key: bytes are to be freed, as many as were read. */
static int
read_key(const struct cli *cli, ddcp_value *key, char **bytes)
{
	int i;

	for (i = 0; i + 1 < cli->nargs; i++)
		if (!cli_read_literal(cli->arg[i + 1], &key[i], &bytes[i]))
			return cli_usage(cli, "%s is no SQL literal: write a number, "
			    "or \"'%s'\" with both quotes for the shell, or x'00'",
			    cli->arg[i + 1], cli->arg[i + 1]);
	return 0;
}

static int
blame(struct cli *cli, const ddcp_value *key)
{
	struct blame x = { .cli = cli };
	ddcp_error error = { 0 };
	ddcp *d;
	int rc = cli_open(cli, false, &d);

	if (rc != 0)
		return rc;
	if (cli->json)
		x.columns = cli_memory(json_array());
	rc = ddcp_blame(d, cli->arg[0], key, (size_t)cli->nargs - 1, on_blamed, &x,
	    &error);
	ddcp_close(d);
	if (rc == 0 && cli->json)
		cli_json(json_pack("{s:o, s:b, s:o, s:O}", "table",
		    cli_text(cli->arg[0]), "deleted", x.deleted, "row",
		    x.row != NULL ? json_incref(x.row) : json_null(), "columns",
		    x.columns));
	json_decref(x.columns);
	json_decref(x.row);
	return rc == 0 ? 0 : cli_fail(&error);
}

int
cmd_blame(struct cli *cli)
{
	ddcp_value key[KEY_MAX];
	char *bytes[KEY_MAX] = { NULL };
	int i, rc;

	if (cli->nargs - 1 > KEY_MAX)
		return cli_usage(cli, "a key has at most %d columns", KEY_MAX);
	rc = read_key(cli, key, bytes);
	if (rc == 0)
		rc = blame(cli, key);
	for (i = 0; i < KEY_MAX; i++)
		free(bytes[i]);
	return rc;
}
