// SPDX-License-Identifier: MPL-2.0
/* addr.c - ddcp addr. */
#include "cli/cli.h"

static int
add_place(void *self, const char *address)
{
	json_array_append_new(self, json_string(address));
	return 0;
}

static int
print_place(void *self, const char *address)
{
	(void)self;
	puts(address);
	return 0;
}

/* The places where a running `serve` listens. */
static int
full(struct cli *cli, ddcp *d, const char *address)
{
	ddcp_error error = { 0 };
	json_t *places;
	int rc;

	if (!cli->json) {
		rc = ddcp_full_addresses(d, print_place, NULL, &error);
		return rc == 0 ? 0 : cli_fail(&error);
	}
	places = json_array();
	rc = ddcp_full_addresses(d, add_place, places, &error);
	if (rc != 0) {
		json_decref(places);
		return cli_fail(&error);
	}
	cli_json(json_pack("{s:s, s:o}", "address", address, "full", places));
	return 0;
}

int
cmd_addr(struct cli *cli)
{
	char address[DDCP_ADDRESS_MAX];
	ddcp *d;
	int rc = cli_open(cli, true, &d);

	if (rc != 0)
		return rc;
	ddcp_address(d, address);
	if (cli_given(cli, "full") != NULL)
		rc = full(cli, d, address);
	else if (cli->json)
		cli_json(json_pack("{s:s}", "address", address));
	else
		puts(address);
	ddcp_close(d);
	return rc;
}
