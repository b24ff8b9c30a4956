// SPDX-License-Identifier: MPL-2.0
/*
 * doctor.h - examines the network side of a node: listening where, what
 * discovery hears, which remotes can be reached and why not.
 */
#ifndef NODE_DOCTOR_H
#define NODE_DOCTOR_H

#include <stdint.h>

#include "node/node.h"
#include "node/stop.h"

/* In the order of enum ddcp_finding_grade. */
enum doctor_grade { DOCTOR_FINE, DOCTOR_NOTE, DOCTOR_WARNING, DOCTOR_REFUSAL };

struct doctor_finding {
	enum doctor_grade grade;
	const char *subject, *rule, *text, *hint;
};

struct doctor;

struct doctor_events {
	/* Nonzero ends it with that value. */
	int (*finding)(void *owner, const struct doctor_finding *f);
	/* 0, or E_UNREACHABLE if a remote can't be reached.  It is gone. */
	void (*done)(void *owner, int code);
};

/* Examines on n, of a serve (serving) or of nobody, that remote or, if NULL,
 * all.  Callbacks come from the loop. */
int doctor_start(struct node *n, bool serving, const char *remote,
    uint32_t timeout_ms, const struct doctor_events *events, void *owner,
    struct doctor **out, struct err *err);

/* Ends it without callback. */
void doctor_stop(struct doctor *d);

/* The same where no serve runs; blocks. */
int doctor_run(struct store *store, const char *remote, uint32_t timeout_ms,
    int (*finding)(void *self, const struct doctor_finding *f), void *self,
    struct stop *stop, struct err *err);

#endif
