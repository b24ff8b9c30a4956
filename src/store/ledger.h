// SPDX-License-Identifier: MPL-2.0
/* ledger.h - conflicts of crsql_conflicts, read into memory. */
#ifndef STORE_LEDGER_H
#define STORE_LEDGER_H

#include <sqlite3.h>

#include "store/rows.h"

struct conflict {
	struct store_conflict is;
	struct store_lost *lost;        /* is.lost, as it grows */
	struct rows rows;       /* memory of what it points to */
};

/* What reads them: statements that are prepared once, and are not running
 * outside of a call. */
struct ledger {
	struct store *s;
	struct authors authors;
	sqlite3_stmt *one;      /* a conflict by its number */
	sqlite3_stmt *names;    /* of the columns of a table's key */
	sqlite3_stmt *values;   /* of a key */
};

/* ledger_close frees, also after failure. */
int ledger_open(struct ledger *l, struct store *s, struct err *err);
void ledger_close(struct ledger *l);

/* Reads the one of that number; conflict_clear frees, also after failure.
 * E_NOTFOUND. */
int conflict_read(struct ledger *l, uint64_t id, struct conflict *out,
    struct err *err);
void conflict_clear(struct conflict *c);

#endif
