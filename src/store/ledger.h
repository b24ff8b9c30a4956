// SPDX-License-Identifier: MPL-2.0
/* ledger.h - a conflict of crsql_conflicts in memory. */
#ifndef STORE_LEDGER_H
#define STORE_LEDGER_H

#include <sqlite3.h>

#include "store/rows.h"

struct conflict {
	struct store_conflict is;
	struct store_lost *lost;        /* is.lost, as it grows */
	struct rows rows;       /* memory of what it points to */
};

/* Reads the one of that number; conflict_clear frees, also after failure.
 * E_NOTFOUND. */
int conflict_read(struct store *s, struct authors *a, uint64_t id,
    struct conflict *out, struct err *err);
void conflict_clear(struct conflict *c);

#endif
