// SPDX-License-Identifier: MPL-2.0
/*
 * config.h - settings of a database: those the store itself reads.  All of
 * them stand in the table of config.c.
 */
#ifndef STORE_CONFIG_H
#define STORE_CONFIG_H

#include <stdint.h>

#include "base/err.h"

struct store;

/* The value of a setting that is a number. */
int config_number(struct store *s, const char *key, uint64_t *out,
    struct err *err);

#endif
