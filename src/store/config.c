// SPDX-License-Identifier: MPL-2.0
/* config.c - settings: one table says which there are. */
#include "store/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/sql.h"
#include "store/store_private.h"

enum { VALUE_MAX = 512 };

static bool
is_place(const char *value)
{
	char host[256];
	uint16_t port;

	return value[0] == '\0' ||
	    addr_split_place(value, host, &port, NULL) == 0;
}

static bool
is_yes_or_no(const char *value)
{
	return strcmp(value, "yes") == 0 || strcmp(value, "no") == 0;
}

static bool
is_count(const char *value)
{
	size_t len = strlen(value);

	return len > 0 && len <= 12 && strspn(value, "0123456789") == len &&
	    value[0] != '0';
}

static const struct setting {
	const char *key;
	const char *fallback;
	bool (*check)(const char *value);
	const char *form;
	const char *about;
} settings[] = {
	{ "merge.max-bytes", "8388608", is_count, "a number of bytes",
	    "merge in steps of about so many bytes, and hold so much in memory" },
	{ "merge.max-ms", "500", is_count, "a number of milliseconds",
	    "merge in steps that keep writers waiting about so long" },
	{ "merge.max-rows", "500000", is_count, "a number",
	    "merge in steps of about so many rows" },
	{ "network.discovery", "yes", is_yes_or_no, "yes or no",
	    "announce this database on the local network and answer there" },
	{ "network.listen", "", is_place, "HOST:PORT or empty",
	    "where to listen; empty: everywhere, port 4433 or the next free" },
};

enum { SETTINGS = sizeof settings / sizeof *settings };

static const struct setting *
find(const char *key, struct err *err)
{
	size_t i;

	for (i = 0; i < SETTINGS; i++)
		if (strcmp(settings[i].key, key) == 0)
			return &settings[i];
	err_set(err, E_USAGE, "\"ddcp config --list\" shows those there are",
	    "there is no setting \"%s\"", key);
	return NULL;
}

static int
get(struct store *s, const struct setting *c, char *out, size_t max,
    bool *is_default, struct err *err)
{
	sqlite3_stmt *stmt;
	bool row = false;
	int rc;

	rc = sql_open(s->db, &stmt, err,
	    "SELECT value FROM ddcp_config WHERE key = ?1", "t", c->key);
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	if (row)
		sql_column_text(stmt, 0, out, max);
	else
		snprintf(out, max, "%s", c->fallback);
	if (is_default != NULL)
		*is_default = !row;
	sqlite3_finalize(stmt);
	return rc;
}

int
store_config_get(struct store *s, const char *key, char *out, size_t max,
    bool *is_default, struct err *err)
{
	const struct setting *c = find(key, err);

	return c != NULL ? get(s, c, out, max, is_default, err) : E_USAGE;
}

int
store_config_set(struct store *s, const char *key, const char *value,
    struct err *err)
{
	const struct setting *c = find(key, err);
	int rc;

	if (c == NULL)
		return E_USAGE;
	rc = store_writable(s, err);
	if (rc != 0)
		return rc;
	if (value == NULL)
		return sql_do(s->db, err, "DELETE FROM ddcp_config "
		    "WHERE key = ?1", "t", key);
	if (strlen(value) >= VALUE_MAX || !c->check(value))
		return err_set(err, E_USAGE, c->form, "%s can't be \"%s\"", key,
		    value);
	return sql_do(s->db, err, "INSERT INTO ddcp_config VALUES(?1, ?2) "
	    "ON CONFLICT DO UPDATE SET value = excluded.value", "tt", key,
	    value);
}

int
store_config_each(struct store *s, int (*each)(void *self, const char *key,
    const char *value, const char *about, bool is_default), void *self,
    struct err *err)
{
	char value[VALUE_MAX];
	bool is_default;
	size_t i;
	int rc = 0;

	for (i = 0; i < SETTINGS && rc == 0; i++) {
		rc = get(s, &settings[i], value, sizeof value, &is_default,
		    err);
		if (rc == 0)
			rc = each(self, settings[i].key, value,
			    settings[i].about, is_default);
	}
	return rc;
}

int
config_number(struct store *s, const char *key, uint64_t *out,
    struct err *err)
{
	char value[VALUE_MAX];
	int rc = store_config_get(s, key, value, sizeof value, NULL, err);

	if (rc == 0)
		*out = strtoull(value, NULL, 10);
	return rc;
}
