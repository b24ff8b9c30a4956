// SPDX-License-Identifier: MPL-2.0
/* history.h - changes of the store in their public form. */
#ifndef LIB_HISTORY_H
#define LIB_HISTORY_H

#include "lib/handle.h"
#include "store/past.h"

struct lib_change {
	ddcp_change change;
	ddcp_cell *cells;       /* its key and its values */
	char cursor[2 * STORE_CURSOR_LEN + 1];
};

/* Views, as long as what they are of. */
ddcp_value lib_value(const struct store_value *v);
struct store_value lib_store_value(const ddcp_value *v);
ddcp_author lib_author(const struct store_author *a);

/* A view of c: what it points to is c's, but for the list of cells, which
 * lib_change_clear frees. */
int lib_change_init(struct lib_change *out, const struct store_change *c,
    struct err *err);
void lib_change_clear(struct lib_change *c);

#endif
