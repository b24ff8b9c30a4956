// SPDX-License-Identifier: MPL-2.0
/* config.c - ddcp config. */
#include "cli/cli.h"

struct shown {
	struct cli *cli;
	json_t *object;
	bool value_only, origin;
};

static int
show(void *self, const ddcp_setting *s)
{
	struct shown *v = self;
	const char *origin = v->origin ? s->origin : "";
	const char *tab = v->origin ? "\t" : "";

	if (v->object != NULL && v->origin)
		json_object_set_new(v->object, s->key, json_pack("{s:o, s:s}",
		    "value", cli_text(s->value), "origin", s->origin));
	else if (v->object != NULL)
		json_object_set_new(v->object, s->key, cli_text(s->value));
	else if (v->value_only)
		printf("%s%s%s\n", origin, tab, s->value);
	else if (v->cli->porcelain)
		printf("%s%s%s\t%s\n", origin, tab, s->key, s->value);
	else
		printf("%-9s %-18s %-10s %s\n", s->origin, s->key, s->value,
		    s->about);
	return 0;
}

static int
take_default(void *self, const ddcp_setting *s)
{
	*(bool *)self = s->is_default;
	return 0;
}

bool
cli_veilid_unheard(ddcp *d)
{
	bool unheard = false;

	ddcp_config_each(d, "network.veilid", take_default, &unheard, NULL);
	return unheard;
}

int
cmd_config(struct cli *cli)
{
	bool unset = cli_given(cli, "unset") != NULL;
	struct shown v = { cli, NULL, cli->nargs == 1,
		cli_given(cli, "show-origin") != NULL };
	ddcp_error error = { 0 };
	ddcp *d;
	int rc;

	if (unset != (cli->nargs == 1) && unset)
		return cli_usage(cli, "--unset wants exactly one key");
	if (cli_given(cli, "list") != NULL && cli->nargs > 0)
		return cli_usage(cli, "--list wants no key");
	rc = cli_open(cli, cli->nargs < 2 && !unset, &d);
	if (rc != 0)
		return rc;
	if (unset || cli->nargs == 2) {
		rc = ddcp_config_set(d, cli->arg[0], unset ? NULL : cli->arg[1],
		    &error);
	} else {
		v.object = cli->json ? json_object() : NULL;
		rc = ddcp_config_each(d, cli->nargs ? cli->arg[0] : NULL, show, &v,
		    &error);
		if (rc == 0 && cli->json)
			cli_json(json_incref(v.object));
		json_decref(v.object);
	}
	ddcp_close(d);
	return rc == 0 ? 0 : cli_fail(&error);
}
