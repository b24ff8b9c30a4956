// SPDX-License-Identifier: MPL-2.0
/* settings.c - crsql_config_set and crsql_config_get: what may be set, and what is
 * done at once when it is. */
#include <string.h>

#include "crdt/capture.h"
#include "crdt/crr.h"
#include "crdt/ledger.h"
#include "crdt/storage.h"

SQLITE_EXTENSION_INIT3

static int
set_merge_equal(struct engine *e, int64_t value)
{
	e->merge_equal_values = value == 1;
	return SQLITE_OK;
}

static int
set_plain_writers(struct engine *e, int64_t value)
{
	e->capture->leave_hook = value != 0;
	return crr_renew_triggers(e);
}

static int
set_capture(struct engine *e, int64_t value)
{
	int rc = capture_choose(e, value != 0);

	return rc == SQLITE_OK ? crr_renew_triggers(e) : rc;
}

static int
set_bulk(struct engine *e, int64_t value)
{
	if (value == 0)
		bulk_stop(e);
	e->capture->bulk.wanted = value != 0;
	return SQLITE_OK;
}

static int
set_fold_at(struct engine *e, int64_t value)
{
	capture_set_fold_at(e, value);
	return SQLITE_OK;
}

/* It is read where it is needed. */
static int
set_nothing(struct engine *e, int64_t value)
{
	return SQLITE_OK;
}

/* Settings are kept as config.NAME in crsql_master. */
static const struct setting {
	const char *name;
	int64_t preset;
	const char *word;       /* of the value 1, which may be given as one */
	int (*apply)(struct engine *e, int64_t value);
} settings[] = {
	{ "merge-equal-values", 0, NULL, set_merge_equal },
	{ "plain-writers", 1, NULL, set_plain_writers },
	{ "capture", 0, "journal", set_capture },
	{ "bulk", 1, NULL, set_bulk },
	{ "fold-at", CAPTURE_FOLD_AT, NULL, set_fold_at },
	{ "conflicts-max", LEDGER_MAX, NULL, set_nothing },
};

static const struct setting *
find_setting(sqlite3_value *name)
{
	const char *text = (const char *)sqlite3_value_text(name);
	size_t i;

	for (i = 0; text != NULL && i < sizeof settings / sizeof *settings; i++) {
		if (strcmp(text, settings[i].name) == 0)
			return &settings[i];
	}
	return NULL;
}

/* Something must note what this connection writes. */
static int
check_setting(struct engine *e, const struct setting *s, int64_t value)
{
	int64_t plain = 1, journal = 0;
	int rc = storage_setting(e, "plain-writers", &plain);

	if (rc == SQLITE_OK)
		rc = storage_setting(e, "capture", &journal);
	if (s->apply == set_plain_writers)
		plain = value;
	else if (s->apply == set_capture)
		journal = value;
	else
		return rc;
	return rc == SQLITE_OK ? capture_check(e, plain, journal) : rc;
}

static bool
read_setting_value(const struct setting *s, sqlite3_value *v, int64_t *out)
{
	const char *text = (const char *)sqlite3_value_text(v);

	if (s->word != NULL && text != NULL && strcmp(text, s->word) == 0) {
		*out = 1;
		return true;
	}
	*out = sqlite3_value_int64(v);
	return sqlite3_value_numeric_type(v) == SQLITE_INTEGER;
}

static void
give(struct engine *e, sqlite3_context *ctx, int rc, int64_t value)
{
	if (rc == SQLITE_OK)
		sqlite3_result_int64(ctx, value);
	else
		engine_result_error(e, ctx, rc);
}

static void
crsql_config_set(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	const struct setting *s = find_setting(argv[0]);
	int64_t value;
	int rc;

	if (s == NULL) {
		sqlite3_result_error(ctx, "Unknown setting name", -1);
		return;
	}
	if (!read_setting_value(s, argv[1], &value)) {
		sqlite3_result_error(ctx, "the value is not an integer", -1);
		return;
	}
	rc = check_setting(e, s, value);
	if (rc == SQLITE_OK)
		rc = engine_exec(e, "INSERT OR REPLACE INTO crsql_master "
		    "VALUES('config.%q', %lld)", s->name, (long long)value);
	if (rc == SQLITE_OK)
		rc = s->apply(e, value);
	give(e, ctx, rc, value);
}

static void
crsql_config_get(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct engine *e = sqlite3_user_data(ctx);
	const struct setting *s = find_setting(argv[0]);
	int64_t value;
	int rc;

	if (s == NULL) {
		sqlite3_result_error(ctx, "Unknown setting name", -1);
		return;
	}
	value = s->preset;
	rc = storage_setting(e, s->name, &value);
	give(e, ctx, rc, value);
}

int
settings_register(struct engine *e)
{
	int rc = sqlite3_create_function(e->db, "crsql_config_set", 2, SQLITE_UTF8, e,
	    crsql_config_set, NULL, NULL);

	return rc == SQLITE_OK ? sqlite3_create_function(e->db, "crsql_config_get", 1,
	    SQLITE_UTF8 | SQLITE_INNOCUOUS, e, crsql_config_get, NULL, NULL) : rc;
}
