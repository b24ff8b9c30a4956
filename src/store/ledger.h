// SPDX-License-Identifier: MPL-2.0
/* ledger.h - a conflict of crsql_conflicts in memory. */
#ifndef STORE_LEDGER_H
#define STORE_LEDGER_H

#include <sqlite3.h>

#include "store/author.h"

struct conflict {
	struct store_conflict is;       /* points into what follows */
	struct store_cell *key;
	struct store_lost *lost;
	sqlite3_value **value;          /* copies, that those are views of */
	char **text;
	size_t nvalues, ntexts;
};

/* Reads the one of that number; conflict_clear frees, also after failure.
 * E_NOTFOUND. */
int conflict_read(struct store *s, struct authors *a, uint64_t id,
    struct conflict *out, struct err *err);
void conflict_clear(struct conflict *c);

#endif
