// SPDX-License-Identifier: MPL-2.0
/*
 * attached.h - writes to replicated tables of attached databases.  The hook
 * notes changes of the main one only, and the triggers of all are switched off
 * by what a connection says they shall do (char(), capture.c), which does not
 * know whose they are: such a write would be lost, so it is refused.
 */
#ifndef CRDT_ATTACHED_H
#define CRDT_ATTACHED_H

#include "crdt/engine.h"

/* A row of schema.name is written: true if the journal's trigger of it, which
 * follows, is to refuse that. */
bool attached_refuses(struct engine *e, const char *schema, const char *name);

#endif
