// SPDX-License-Identifier: MPL-2.0
/*
 * model.h - what databases that have seen a set of changes must hold: the
 * merge rule at its most naive.  All changes ever made are kept, each as its
 * author's crsql_changes gave it, in one in-memory table; the state is a query
 * over all of them.  No order, no log, no clocks of its own.
 *
 * Where changes can be lost, because a disk or a table is, what remains is not
 * predicted, but bounded: all sites are equal, hold nothing that was never
 * made, and all that was somewhere after the loss.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "history.h"

struct model;

struct model *model_new(void);
void model_free(struct model *m);

/* Takes the changes that `site` itself made in db_versions above `after`
 * (call it right after a commit). */
int model_take(struct model *m, sqlite3 *site, int64_t after);

/* What was made in a table (NULL: in all) may be lost from now on, except what
 * the sites given to model_witness() right after it hold. */
int model_doubt(struct model *m, const char *table);
int model_witness(struct model *m, sqlite3 *site, const char *table);

/* Everybody has what lies at or below a vector, a query by `from` of sites in hex and
 * versions: rows that were deleted there may be forgotten, and begin anew. */
int model_forget(struct model *m, sqlite3 *from, const char *vector);

/* Compares a site's tables, and its crsql_changes (but for db_version and
 * seq), with those of the site that was compared as the first, and with what
 * follows from all changes; the number of differences, each printed with name
 * in front unless name is NULL. */
int model_compare(struct model *m, sqlite3 *site, struct history_shape shape,
    bool first, const char *name);

/* Cells for which different sites made different changes of one version. */
int model_conflicts(struct model *m);

#endif
