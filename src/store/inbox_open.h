// SPDX-License-Identifier: MPL-2.0
/* inbox_open.h - the inbox, open: for inbox.c and inbox_open.c. */
#ifndef STORE_INBOX_OPEN_H
#define STORE_INBOX_OPEN_H

#include <sqlite3.h>

#include "store/spool.h"

struct inbox {
	sqlite3 *db;
	sqlite3_stmt *add;
	struct spool spool;
};

#endif
