// SPDX-License-Identifier: MPL-2.0
/* doctor_find.h - what the files of the doctor share. */
#ifndef NODE_DOCTOR_FIND_H
#define NODE_DOCTOR_FIND_H

#include "node/doctor.h"
#include "node/node.h"

/* Tells of a finding, unless the doctor was stopped. */
void doctor_find(struct doctor *d, enum doctor_grade grade,
    const char *subject, const char *rule, const char *text,
    const char *hint);

/* Whether this database is on Veilid's network, and how far it got there. */
void doctor_veilid(struct doctor *d, const struct node *n,
    const struct net_status *s);

#endif
