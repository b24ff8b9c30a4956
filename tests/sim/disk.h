// SPDX-License-Identifier: MPL-2.0
/*
 * disk.h - a disk that forgets: a VFS over the ordinary one that remembers what
 * was overwritten since the last sync of a file, so that a power cut can be
 * played.  Knows nothing of databases but the names of their files.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include <stdbool.h>

#include "rng.h"

/* Makes it the default VFS of this process; aborts where that fails. */
void disk_register(void);

/* From now on writes are remembered (it costs time and memory). */
void disk_watch(bool on);

/* The power goes: of every watched file whose path begins with prefix, what it
 * would hold is written beside it as PATH.cut; of the writes since its last
 * sync only some of the first, drawn from rng, arrived.  To be called while
 * the files are open, because closing them syncs.  The number of writes that
 * are lost. */
unsigned disk_power_cut(const char *prefix, struct rng *rng);

/* Everything is closed: the files are what the power cut left. */
void disk_power_back(const char *prefix);

/* Forgets all files. */
void disk_clear(void);

#endif
