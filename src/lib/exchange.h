// SPDX-License-Identifier: MPL-2.0
/* exchange.h - what is told of an exchange in its public form. */
#ifndef LIB_EXCHANGE_H
#define LIB_EXCHANGE_H

#include "lib/handle.h"
#include "node/event.h"

/* Views of what the node has; out.compared is left to the caller. */
ddcp_progress lib_progress(const struct exchange_progress *p);
ddcp_result lib_result(const struct exchange_result *r);

#endif
