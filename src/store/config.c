// SPDX-License-Identifier: MPL-2.0
/*
 * config.c - settings: one table says which there are.  A value stands in the
 * database, else in the user's file, which concerns all of his databases, else
 * here.
 */
#include "store/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/sql.h"
#include "store/store_private.h"

enum { VALUE_MAX = 512, LINE_MAX_LEN = 1024, LINES_MAX = 1000 };

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
is_on_or_off(const char *value)
{
	return strcmp(value, "on") == 0 || strcmp(value, "off") == 0;
}

static bool
is_auto_or_off(const char *value)
{
	return strcmp(value, "auto") == 0 || strcmp(value, "off") == 0;
}

/* Longer ones than a socket's name can be (108 bytes) help nobody. */
static bool
is_node(const char *value)
{
	if (strncmp(value, "unix:", 5) == 0)
		return value[5] == '/' && strlen(value + 5) < 108;
	return is_place(value);
}

static bool
is_path(const char *value)
{
	return value[0] == '\0' || value[0] == '/';
}

static bool
is_count(const char *value)
{
	size_t len = strlen(value);

	return len > 0 && len <= 12 && strspn(value, "0123456789") == len &&
	    value[0] != '0';
}

static bool
is_days(const char *value)
{
	return is_count(value) && strlen(value) <= 5 && atoi(value) <= 36500;
}

/* "1000,20%" */
static bool
is_share(const char *value)
{
	size_t rows = strspn(value, "0123456789"), percent;

	if (strcmp(value, "no") == 0)
		return true;
	if (rows == 0 || rows > 12 || value[rows] != ',')
		return false;
	value += rows + 1;
	percent = strspn(value, "0123456789");
	return percent > 0 && percent <= 3 && strcmp(value + percent, "%") == 0 &&
	    atoi(value) <= 100;
}

static const struct setting {
	const char *key;
	const char *fallback;
	bool (*check)(const char *value);
	const char *form;
	const char *about;
} settings[] = {
	{ "conflicts.keep-days", "30", is_count, "a number of days",
	    "forget conflicts so long after they were reviewed" },
	{ "conflicts.max", "100000", is_count, "a number",
	    "hold what makes conflicts once so many wait to be reviewed" },
	{ "merge.max-bytes", "8388608", is_count, "a number of bytes",
	    "merge in steps of about so many bytes, and hold so much in memory" },
	{ "merge.max-delete", "1000,20%", is_share, "ROWS,PERCENT%, or no",
	    "hold a merge that deletes more rows of a table, and more of it, than this" },
	{ "merge.max-ms", "500", is_count, "a number of milliseconds",
	    "merge in steps that keep writers waiting about so long" },
	{ "merge.max-rows", "500000", is_count, "a number",
	    "merge in steps of about so many rows" },
	{ "network.direct", "on", is_on_or_off, "on or off",
	    "call, and be called, by the addresses of machines" },
	{ "network.discovery", "yes", is_yes_or_no, "yes or no",
	    "announce this database on the local network and answer there" },
	{ "network.listen", "", is_place, "HOST:PORT or empty",
	    "where to listen; empty: everywhere, port 4433 or the next free" },
	{ "network.veilid", "off", is_on_or_off, "on or off",
	    "call, and be called, over Veilid, where only addresses are known" },
	{ "undo.keep", "30", is_days, "a number of days, up to 36500",
	    "what merges wrote over can be brought back so long" },
	{ "undo.max-bytes", "268435456", is_count, "a number of bytes",
	    "keep about so much for that, the newest" },
	{ "veilid.api", "", is_node, "unix:PATH, HOST:PORT or empty",
	    "where a Veilid node listens; empty: your own, which ddcp starts" },
	{ "veilid.node", "auto", is_auto_or_off, "auto or off",
	    "start your own Veilid node where none runs" },
	{ "veilid.program", "", is_path, "the full path of a program, or empty",
	    "that node; empty: veilid-node beside ddcp, or in the PATH" },
	{ "veilid.trust", "no", is_yes_or_no, "yes or no",
	    "whoever listens at veilid.api may learn this database's key" },
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

static bool
fits(const struct setting *c, const char *value)
{
	return strlen(value) < VALUE_MAX && c->check(value);
}

/* -- the user's file ------------------------------------------------------- */

struct config {
	char *value[SETTINGS];  /* NULL: not there */
};

/* The text without blanks around it. */
static char *
trim(char *text)
{
	size_t n;

	while (isspace((unsigned char)*text))
		text++;
	n = strlen(text);
	while (n > 0 && isspace((unsigned char)text[n - 1]))
		text[--n] = '\0';
	return text;
}

static int
take_line(struct config *c, char *line, const char *file, unsigned number,
    struct err *err)
{
	const struct setting *s;
	char *key = trim(line), *value = strchr(key, '=');
	char **at;

	if (*key == '\0' || *key == '#')
		return 0;
	if (value == NULL)
		return err_set(err, E_USAGE, "write KEY = VALUE",
		    "line %u of %s is no setting", number, file);
	*value++ = '\0';
	key = trim(key);
	value = trim(value);
	s = find(key, NULL);
	if (s == NULL)
		return err_set(err, E_USAGE, "take it out; \"ddcp help config\" "
		    "tells how to see those there are", "line %u of %s: there is "
		    "no setting \"%s\"", number, file, key);
	if (!fits(s, value))
		return err_set(err, E_USAGE, s->form, "line %u of %s: %s can't be "
		    "\"%s\"", number, file, key, value);
	at = &c->value[s - settings];
	free(*at);
	*at = strdup(value);
	return *at != NULL ? 0 : err_nomem(err);
}

/* A pipe that nobody writes keeps nobody waiting. */
static FILE *
open_file(const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;

	if (f == NULL && fd >= 0)
		close(fd);
	return f;
}

int
config_read(const char *file, struct config **out, struct err *err)
{
	FILE *f = file != NULL ? open_file(file) : NULL;
	char line[LINE_MAX_LEN];
	unsigned number = 0;
	int rc = 0;

	*out = NULL;
	if (f == NULL && file != NULL && errno != ENOENT && errno != ENOTDIR)
		return err_set(err, E_FATAL, "check its permissions",
		    "can't read %s: %s", file, strerror(errno));
	if (f == NULL)
		return 0;
	*out = calloc(1, sizeof **out);
	if (*out == NULL)
		rc = err_nomem(err);
	while (rc == 0 && fgets(line, sizeof line, f) != NULL) {
		if (number++ == LINES_MAX)
			rc = err_set(err, E_USAGE, "name a file of settings",
			    "%s has more than %d lines", file, LINES_MAX);
		else if (strlen(line) == sizeof line - 1)
			rc = err_set(err, E_USAGE, "make it shorter",
			    "line %u of %s is too long", number, file);
		else
			rc = take_line(*out, line, file, number, err);
	}
	if (rc == 0 && ferror(f))
		rc = err_set(err, E_FATAL, "name a file, or remove it",
		    "can't read %s: %s", file, strerror(errno));
	fclose(f);
	return rc;
}

void
config_free(struct config *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < SETTINGS; i++)
		free(c->value[i]);
	free(c);
}

/* -- one value ------------------------------------------------------------- */

static int
get(struct store *s, const struct setting *c, char *out, size_t max,
    enum store_origin *origin, struct err *err)
{
	const char *user = s->config != NULL ? s->config->value[c - settings] :
	    NULL;
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
		snprintf(out, max, "%s", user != NULL ? user : c->fallback);
	*origin = row ? STORE_DATABASE : user != NULL ? STORE_USER :
	    STORE_DEFAULT;
	sqlite3_finalize(stmt);
	return rc;
}

int
store_config_get(struct store *s, const char *key, char *out, size_t max,
    struct err *err)
{
	const struct setting *c = find(key, err);
	enum store_origin origin;

	return c != NULL ? get(s, c, out, max, &origin, err) : E_USAGE;
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
	if (!fits(c, value))
		return err_set(err, E_USAGE, c->form, "%s can't be \"%s\"", key,
		    value);
	return sql_do(s->db, err, "INSERT INTO ddcp_config VALUES(?1, ?2) "
	    "ON CONFLICT DO UPDATE SET value = excluded.value", "tt", key,
	    value);
}

int
store_config_each(struct store *s, int (*each)(void *self, const char *key,
    const char *value, const char *about, enum store_origin origin),
    void *self, struct err *err)
{
	char value[VALUE_MAX];
	enum store_origin origin;
	size_t i;
	int rc = 0;

	for (i = 0; i < SETTINGS && rc == 0; i++) {
		rc = get(s, &settings[i], value, sizeof value, &origin, err);
		if (rc == 0)
			rc = each(self, settings[i].key, value,
			    settings[i].about, origin);
	}
	return rc;
}

int
config_number(struct store *s, const char *key, uint64_t *out,
    struct err *err)
{
	char value[VALUE_MAX];
	int rc = store_config_get(s, key, value, sizeof value, err);

	if (rc == 0)
		*out = strtoull(value, NULL, 10);
	return rc;
}
