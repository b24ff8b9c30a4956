// SPDX-License-Identifier: MPL-2.0
/*
 * model.h - what databases that have seen a set of changes must hold: the
 * merge rule at its most naive.  All changes ever made are kept, each as its
 * author's crsql_changes gave it, in one in-memory table; the state is a query
 * over all of them.  No order, no log, no clocks of its own.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include <sqlite3.h>
#include <stdint.h>

struct model;

struct model *model_new(void);
void model_free(struct model *m);

/* Takes the changes that `site` itself made in db_versions above `after`
 * (call it right after a commit). */
int model_take(struct model *m, sqlite3 *site, int64_t after);

/* Compares a site's tables, and its crsql_changes (but for db_version and
 * seq), with what follows from all changes; the number of differences, each printed
 * with name in front unless name is NULL. */
int model_compare(struct model *m, sqlite3 *site, const char *name);

/* Cells for which different sites made different changes of one version. */
int model_conflicts(struct model *m);

#endif
