// SPDX-License-Identifier: MPL-2.0
/* doctor_veilid.c - what doctor says of the network "veilid", step by step: the
 * first step that is not done is the one to see to. */
#include <inttypes.h>
#include <stdio.h>

#include "node/doctor_find.h"
#include "node/networks.h"

static const char subject[] = "veilid";

static void
examine_node(struct doctor *d, const struct net_status *s)
{
	char text[160];
	const struct err *why = &s->veilid.why;

	if (!s->veilid.connected) {
		doctor_find(d, DOCTOR_WARNING, subject, "no-node", why->code != 0
		    ? why->text : "no Veilid node was reached yet",
		    why->hint[0] != '\0' ? why->hint :
		    "it may still be starting: try again in some seconds");
		return;
	}
	snprintf(text, sizeof text, "connected with a Veilid node, version %s, "
	    "its attachment: %s", s->veilid.version[0] != '\0' ?
	    s->veilid.version : "unknown", s->veilid.state[0] != '\0' ?
	    s->veilid.state : "unknown");
	doctor_find(d, DOCTOR_FINE, subject, "node", text, "");
	if (!s->veilid.ready) {
		doctor_find(d, DOCTOR_WARNING, subject, "not-ready",
		    why->code != 0 ? why->text
		    : "the node is not ready for calls yet", why->hint[0] !=
		    '\0' ? why->hint : "it needs the internet, and some "
		    "seconds after it was started");
		return;
	}
	doctor_find(d, s->veilid.routed ? DOCTOR_FINE : DOCTOR_WARNING, subject,
	    s->veilid.routed ? "route" : "no-route", s->veilid.routed
	    ? "the node is ready, and has a private route to us"
	    : "the node has no private route to us yet: nobody can call us",
	    s->veilid.routed ? "" : "wait some seconds; it asks again by itself");
}

static void
examine_record(struct doctor *d, const struct net_status *s, uint64_t now_ms)
{
	char text[160];
	uint64_t ago = now_ms > s->veilid.published_ms
	    ? (now_ms - s->veilid.published_ms) / 1000 : 0;

	if (!s->veilid.announced)
		return;
	if (s->veilid.published_ms != 0) {
		snprintf(text, sizeof text, "the record by which others find this "
		    "database was written %" PRIu64 " s ago; %zu connections",
		    ago, s->veilid.streams);
		doctor_find(d, DOCTOR_FINE, subject, "published", text, "");
	} else if (s->veilid.ready) {
		doctor_find(d, DOCTOR_WARNING, subject, "not-published",
		    s->veilid.why.code != 0 ? s->veilid.why.text
		    : "the record by which others find this database is not "
		    "written yet", "it is tried again by itself");
	}
}

void
doctor_veilid(struct doctor *d, const struct node *n,
    const struct net_status *s)
{
	if (!s->veilid.on) {
		doctor_find(d, DOCTOR_FINE, subject, "off",
		    "this database is not on Veilid's network",
		    "to be found without any place: ddcp config network.veilid on");
		return;
	}
	examine_node(d, s);
	if (s->veilid.ready)
		examine_record(d, s, n->net_env.now_ms(n->net_env.self));
}
