// SPDX-License-Identifier: MPL-2.0
/* storage.h - see storage.c; most of it is declared in engine.h. */
#ifndef CRDT_STORAGE_H
#define CRDT_STORAGE_H

#include "crdt/engine.h"

/* Reads again who this database is: after a rollback or another's commit. */
int storage_read_identity(struct engine *e);

#endif
