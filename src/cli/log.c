// SPDX-License-Identifier: MPL-2.0
/* log.c - ddcp log: transactions, the newest first. */
#include "cli/print.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void
print_text(const struct cli *cli, const ddcp_transaction *t)
{
	char *author = cli_author(&t->author, t->version);
	char *words = cli_tallies(t->tally, t->ntally), *padded, *painted;
	char age[32], when[32];

	if (asprintf(&padded, "%-16s", author) < 0)
		padded = NULL;
	painted = cli_paint(cli, CLI_YELLOW, cli_memory(padded));
	printf("%s  %-12s", painted, cli_age(t->time_ms, age));
	if (cli->verbose)
		printf("  %s  version %llu here", cli_time(t->time_ms, when),
		    (unsigned long long)t->db_version);
	printf("  %s\n", t->ntally > 0 ? words : "nothing that is current");
	free(author);
	free(words);
	free(padded);
	free(painted);
}

static void
print_porcelain(const ddcp_transaction *t)
{
	char *name = cli_safe(t->author.name), *table;
	size_t i;

	printf("transaction\t%s\t%llu\t%llu\t%lld\t%s\n", name,
	    (unsigned long long)t->version, (unsigned long long)t->db_version,
	    (long long)t->time_ms, t->author.address);
	free(name);
	for (i = 0; i < t->ntally; i++) {
		table = cli_safe(t->tally[i].table);
		printf("table\t%s\t%llu\t%llu\t%llu\t%llu\n", table,
		    (unsigned long long)t->tally[i].inserted,
		    (unsigned long long)t->tally[i].changed,
		    (unsigned long long)t->tally[i].deleted,
		    (unsigned long long)t->tally[i].parked);
		free(table);
	}
}

void
cli_print_transaction(const struct cli *cli, const ddcp_transaction *t)
{
	if (cli->json)
		cli_json(cli_transaction_json(t));
	else if (cli->porcelain)
		print_porcelain(t);
	else
		print_text(cli, t);
}

static int
on_transaction(void *self, const ddcp_transaction *t)
{
	cli_print_transaction(self, t);
	return ferror(stdout) ? CLI_ENOUGH : 0;
}

/* A count from 1 on; 0 where none is given. */
int
cli_read_count(const struct cli *cli, const char *option, uint64_t *out)
{
	const char *text = cli_given(cli, option);
	char *end;

	*out = 0;
	if (text == NULL)
		return 0;
	errno = 0;
	*out = strtoull(text, &end, 10);
	if (*end != '\0' || errno != 0 || strspn(text, "0123456789") == 0 ||
	    *out == 0)
		return cli_usage(cli, "%s is no count for --%s: give a number from 1 "
		    "on", text, option);
	return 0;
}

int
cmd_log(struct cli *cli)
{
	ddcp_log_options options = { .table = cli_given(cli, "table"),
		.author = cli_given(cli, "author") };
	ddcp_error error = { 0 };
	ddcp *d;
	int rc = cli_read_count(cli, "count", &options.limit);

	if (rc == 0)
		rc = cli_open(cli, false, &d);
	if (rc != 0)
		return rc;
	rc = ddcp_log_each(d, &options, on_transaction, cli, &error);
	ddcp_close(d);
	return rc == 0 || rc == CLI_ENOUGH ? 0 : cli_fail(&error);
}
