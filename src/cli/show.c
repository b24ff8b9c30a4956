// SPDX-License-Identifier: MPL-2.0
/* show.c - ddcp show: what one transaction did, as far as it is kept. */
#include "cli/print.h"

#include <stdlib.h>
#include <string.h>

struct show {
	struct cli *cli;
	char *table;            /* of the row before, or NULL */
	uint8_t site[DDCP_SITE_LEN];    /* of the transaction */
};

static int
on_transaction(void *self, const ddcp_transaction *t)
{
	struct show *s = self;
	char age[32], when[32], *author;

	free(s->table);
	s->table = NULL;
	memcpy(s->site, t->author.site, DDCP_SITE_LEN);
	if (s->cli->json || s->cli->porcelain) {
		cli_print_transaction(s->cli, t);
		return 0;
	}
	author = cli_author(&t->author, t->version);
	printf("%s, %s (%s), version %llu here\n", author,
	    cli_age(t->time_ms, age), cli_time(t->time_ms, when),
	    (unsigned long long)t->db_version);
	if (t->author.address[0] != '\0' && s->cli->verbose)
		printf("address %s\n", t->author.address);
	free(author);
	return 0;
}

static void
print_porcelain(const ddcp_change *c)
{
	char *table = cli_safe(c->table);
	char *key = cli_json_text(cli_cells_json(c->key, c->nkey));
	char *columns = cli_json_text(cli_cells_json(c->cell, c->ncell));

	printf("row\t%s\t%s\t%s\t%s\n", cli_kind(c->kind), table, key, columns);
	free(table);
	free(key);
	free(columns);
}

static void
print_text(struct show *s, const ddcp_change *c)
{
	char *line = cli_change_line(s->cli, c), *table, *author;

	if (s->table == NULL || strcmp(s->table, c->table) != 0) {
		free(s->table);
		s->table = cli_memory(strdup(c->table));
		table = cli_safe(c->table);
		puts(table);
		free(table);
	}
	fputs(line, stdout);
	free(line);
	/* changes of several sites, written by SQL, may share a version here */
	if (memcmp(c->author.site, s->site, DDCP_SITE_LEN) != 0) {
		author = cli_author(&c->author, c->version);
		printf("   by %s", author);
		free(author);
	}
	putchar('\n');
}

static int
on_change(void *self, const ddcp_change *c)
{
	struct show *s = self;

	if (s->cli->json)
		cli_json(cli_change_json(c));
	else if (s->cli->porcelain)
		print_porcelain(c);
	else
		print_text(s, c);
	return ferror(stdout) ? CLI_ENOUGH : 0;
}

static int
on_end(void *self, uint64_t kept, uint64_t lost)
{
	struct show *s = self;
	char a[48];

	if (s->cli->json)
		cli_json(json_pack("{s:I, s:I}", "kept", (json_int_t)kept, "lost",
		    (json_int_t)lost));
	else if (s->cli->porcelain)
		printf("kept\t%llu\nlost\t%llu\n", (unsigned long long)kept,
		    (unsigned long long)lost);
	else if (kept == 0)
		puts("Nothing that it did is current any more: what it was is not "
		    "kept.");
	else if (lost > 0)
		printf("At least %s more that it set %s overwritten since, or %s of "
		    "tables that are not replicated here: not kept.\n",
		    cli_count(lost, "value", a), lost == 1 ? "was" : "were",
		    lost == 1 ? "is" : "are");
	return 0;
}

int
cmd_show(struct cli *cli)
{
	struct show s = { .cli = cli };
	ddcp_show_calls calls = { on_transaction, on_change, on_end, &s };
	ddcp_error error = { 0 };
	ddcp *d;
	int rc = cli_open(cli, false, &d);

	if (rc != 0)
		return rc;
	rc = ddcp_show(d, cli->arg[0], &calls, &error);
	free(s.table);
	ddcp_close(d);
	return rc == 0 || rc == CLI_ENOUGH ? 0 : cli_fail(&error);
}
