// SPDX-License-Identifier: MPL-2.0
/* storage.h - see storage.c; most of it is declared in engine.h. */
#ifndef CRDT_STORAGE_H
#define CRDT_STORAGE_H

#include "crdt/engine.h"

/* True if main has a table of that name. */
int storage_has_table(struct engine *e, const char *name, bool *has);

/* Fills e->optional; looks anew only where the schema is another one. */
int storage_optional(struct engine *e);

/* A setting, config.NAME in crsql_master; *value stays as it is where it was
 * never set. */
int storage_setting(struct engine *e, const char *name, int64_t *value);

/* Fills e->encoding: main's, which stays what it is once it has a table. */
int storage_read_encoding(struct engine *e);

/* Reads again who this database is: after a rollback or another's commit. */
int storage_read_identity(struct engine *e);

/* The small tables of a file of cr-sqlite become ours; the large ones are
 * made. */
int storage_take_over(struct engine *e);

/* Another site of this database's own, with a random id, from that db_version
 * on. */
int storage_begin_site(struct engine *e, int64_t first_dbv);

#endif
