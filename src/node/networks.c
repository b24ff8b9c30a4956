// SPDX-License-Identifier: MPL-2.0
#include "node/networks.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/several.h"
#include "node/veilid_node.h"
#include "store/store.h"

enum { SETTING_MAX = 512 };

/* Whether the setting has that value; an error is none. */
static bool
is_set(struct store *store, const char *key, const char *value)
{
	char is[SETTING_MAX];

	return store_config_get(store, key, is, sizeof is, NULL) == 0
	    && strcmp(is, value) == 0;
}

static int
open_direct(struct node *n, const struct node_options *options,
    struct net **out, struct err *err)
{
	struct net_options net = { .lan = NET_LAN_AUTO };

	if (options->no_discovery
	    || is_set(n->store, "network.discovery", "no"))
		net.lan = NET_LAN_OFF;
	return net_find("direct")->open(&n->net_env, &net, out, err);
}

/* Where the node is, as net_options has it, and who starts it. */
static int
find_node(struct node *n, const struct node_options *options,
    char api[static SETTING_MAX], struct err *err)
{
	char socket[VEILID_NODE_PATH_MAX], program[SETTING_MAX];
	int rc;

	rc = store_config_get(n->store, "veilid.api", api, SETTING_MAX, err);
	if (rc != 0 || api[0] != '\0')
		return rc;
	rc = veilid_node_socket(socket, err);
	if (rc != 0)
		return rc;
	snprintf(api, SETTING_MAX, "unix:%s", socket);
	if (is_set(n->store, "veilid.node", "off"))
		return 0;
	rc = store_config_get(n->store, "veilid.program", program,
	    sizeof program, err);
	if (rc == 0)
		rc = veilid_node_open(&n->loop, socket, program,
		    options->node_after_ms, &n->veilid_node, err);
	return rc;
}

static int
open_veilid(struct node *n, const struct node_options *options,
    struct net **out, struct err *err)
{
	const struct net_backend *backend = net_find("veilid");
	struct net_options net = {
		.veilid_trusted = is_set(n->store, "veilid.trust", "yes") };
	char api[SETTING_MAX];
	uint8_t seed[32];
	int rc;

	if (backend == NULL)
		return err_set(err, E_FATAL, "ddcp config network.veilid off",
		    "this ddcp was built without Veilid");
	rc = find_node(n, options, api, err);
	if (rc != 0)
		return rc;
	net.veilid = api;
	store_secret_seed(n->store, seed);
	if (options->announces)
		net.seed = seed;
	rc = backend->open(&n->net_env, &net, out, err);
	explicit_bzero(seed, sizeof seed);
	if (rc == E_REFUSED && err != NULL)
		snprintf(err->hint, sizeof err->hint,
		    "if it is yours alone: ddcp config veilid.trust yes");
	if (rc != 0) {
		veilid_node_close(n->veilid_node);
		n->veilid_node = NULL;
	}
	return rc;
}

int
networks_open(struct node *n, const struct node_options *options,
    struct err *err)
{
	struct net *net[2];
	bool veilid = is_set(n->store, "network.veilid", "on");
	bool direct = !is_set(n->store, "network.direct", "off");
	size_t count = 0, i;
	int rc = 0;

	if (!veilid && !direct)
		return err_set(err, E_USAGE, "ddcp config network.direct on",
		    "network.direct and network.veilid are both off");
	if (direct)
		rc = open_direct(n, options, &net[count], err);
	if (rc == 0 && direct)
		count++;
	if (rc == 0 && veilid) {
		rc = open_veilid(n, options, &net[count], direct ?
		    &n->no_veilid : err);
		count += rc == 0;
		rc = direct ? 0 : rc;
	}
	if (rc == 0 && veilid && count > 0 && n->no_veilid.code == 0)
		rc = several_new(net, count, &n->net, err);
	else if (rc == 0)
		n->net = net[0];
	for (i = 0; i < count && rc != 0; i++)
		net[i]->backend->close(net[i], NULL, NULL);
	return rc;
}

void
networks_close(struct node *n)
{
	if (n->net != NULL)
		n->net->backend->close(n->net, NULL, NULL);
	n->net = NULL;
	veilid_node_close(n->veilid_node);
	n->veilid_node = NULL;
}

struct net *
node_part(struct node *n, const char *network, struct err *err)
{
	struct net *net = n->net;

	if (strcmp(network, "auto") != 0)
		net = several_part(n->net, strcmp(network, "veilid") == 0);
	if (net == NULL && n->no_veilid.code != 0 && err != NULL)
		err_set(err, E_NOTFOUND, n->no_veilid.hint, "%s",
		    n->no_veilid.text);
	else if (net == NULL && err != NULL) {
		err_set(err, E_NOTFOUND, NULL, "it is to be called over the "
		    "network \"%s\" only, which is off here", network);
		snprintf(err->hint, sizeof err->hint,
		    "ddcp config network.%s on", network);
	}
	return net;
}

void
node_status(const struct node *n, struct net_status *out)
{
	struct err why = { .code = 0 };

	n->net->backend->status(n->net, out);
	if (n->no_veilid.code != 0) {
		out->veilid.on = true;
		out->veilid.why = n->no_veilid;
	}
	if (n->veilid_node != NULL)
		veilid_node_why(n->veilid_node, &why);
	if (why.code != 0 && !out->veilid.connected)
		out->veilid.why = why;
}
