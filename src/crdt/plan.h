// SPDX-License-Identifier: MPL-2.0
/*
 * plan.h - what a reader of the log has and wants: the argument of
 * crsql_export (format: doc/EXTENSION.md section 2), and the question "does
 * this log row go to that reader?".
 */
#ifndef CRDT_PLAN_H
#define CRDT_PLAN_H

#include "crdt/page.h"

enum {
	PLAN_MAX_GROUPS = 1024,
	PLAN_MAX_TABLES = 10000,
	PLAN_MAX_ENTRIES = 65536
};

struct plan_entry {
	const uint8_t *site;
	int64_t version;
};

struct plan_group {             /* tables that share cursor and vector */
	struct cursor cursor;
	bool lost;                      /* it was not of this log */
	int nentry;
	struct plan_entry *entry;       /* by site id */
};

struct plan {
	int ngroup;
	struct plan_group *group;
	struct plan_entry *entries;     /* of all groups */
	int *group_of;          /* by table id; -1 */
	int max_table;          /* highest table id */
	bool has_horizon;       /* of some of them something was forgotten, and */
	bool *unproven;         /* by table id: nothing tells that the reader had it */
	int64_t site;           /* the answer given last: site, its id, */
	uint8_t site_id[SITE_ID_LEN];   /* and for which group what version */
	int site_group;
	int64_t site_version;
	bool lost;              /* a cursor was not of this log */
};

/* Reads a plan; its bytes must stay.  Cursors that are not of this log (R2)
 * become "nothing yet", and lost is set. */
int plan_read(struct engine *e, const uint8_t *data, size_t len,
    struct plan *p);
void plan_clear(struct plan *p);

/* Whether the reader may be told anything of his tables, if something of them was
 * forgotten here (horizon.h): else CRDT_HORIZON. */
int plan_admit(struct engine *e, struct plan *p);

/* True if c is a place of this log; *known false if not. */
int plan_check_cursor(struct engine *e, const struct cursor *c, bool *known);

/* The lowest cursor. */
struct cursor plan_start(const struct plan *p);

/* What the vector of the table's group says of a site: 0 if nothing. */
int plan_version(struct engine *e, struct plan *p, int group, int64_t site,
    int64_t *version);

/* Whether the log row at (dbv, pos), from site and sver, is not wanted.  Rows
 * inside a run where the cursor stands are the caller's to compare. */
int plan_skips(struct engine *e, struct plan *p, int table, int64_t dbv,
    int64_t pos, int64_t site, int64_t sver, bool *skip);

#endif
