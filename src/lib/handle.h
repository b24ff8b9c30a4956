// SPDX-License-Identifier: MPL-2.0
/*
 * handle.h - what the files of the library share.  Each function of ddcp.h is
 * a thin cover over store or node; nothing is decided here.
 */
#ifndef LIB_HANDLE_H
#define LIB_HANDLE_H

#include <ddcp.h>

#include "base/err.h"
#include "node/stop.h"
#include "store/store.h"

enum { LIB_TIMEOUT_MS = 10000 };

struct ddcp {
	struct store *store;
	struct stop stop;       /* of exchanges */
	int timeout_ms;
	bool busy;              /* serves, or exchanges */
};

/* Tells the caller of the library, who may not want to know; returns rc. */
int lib_error(int rc, const struct err *err, ddcp_error *out);

/* ddcp_open, also of a half-made clone. */
int lib_open(const ddcp_options *options, bool half_clone, ddcp **out,
    struct err *err);

/* How ddcp_init's options are said to the store. */
struct store_init lib_init_how(const ddcp_init_options *o);

/* "VLD0:..." of a key. */
void lib_address(const uint8_t key[static KEY_LEN],
    char out[DDCP_ADDRESS_MAX]);

/* E_USAGE where d serves or exchanges already: what asks the running serve of the
 * database would wait for itself, and an exchange inside another would give up
 * its lock; or where a transaction of the caller's is open. */
int lib_idle(const ddcp *d, struct err *err);

/* E_NOTFOUND where no remote of d has that name (NULL: all are meant). */
int lib_remote_known(ddcp *d, const char *name, struct err *err);

/* Timeout in ms: the one asked for, else the handle's. */
int lib_timeout(const ddcp *d, int asked_ms);

#endif
