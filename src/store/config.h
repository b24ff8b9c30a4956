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

struct config;

/* Reads a user's file: lines KEY = VALUE, empty ones, and comments that begin
 * with #.  *out is NULL where there is no file, or none is named.  E_USAGE
 * names the line that is wrong. */
int config_read(const char *file, struct config **out, struct err *err);
void config_free(struct config *c);

/* The value of a setting that is a number. */
int config_number(struct store *s, const char *key, uint64_t *out,
    struct err *err);

#endif
