// SPDX-License-Identifier: MPL-2.0
/* handle.c - opening, identity, and what concerns the handle as a whole. */
#include "lib/handle.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define SAME(ours, theirs) \
	_Static_assert((int)(ours) == (int)(theirs), "one list of codes")
SAME(DDCP_OK, E_OK);
SAME(DDCP_EDIFFERENT, E_DIFFERENT);
SAME(DDCP_ENOTFOUND, E_NOTFOUND);
SAME(DDCP_EEXISTS, E_EXISTS);
SAME(DDCP_EUNREACHABLE, E_UNREACHABLE);
SAME(DDCP_EREFUSED, E_REFUSED);
SAME(DDCP_EHELD, E_HELD);
SAME(DDCP_EINTEGRITY, E_INTEGRITY);
SAME(DDCP_EHORIZON, E_HORIZON);
SAME(DDCP_EFATAL, E_FATAL);
SAME(DDCP_EUSAGE, E_USAGE);
SAME(DDCP_EINTERRUPTED, E_INTERRUPTED);
SAME(DDCP_KEY_LEN, KEY_LEN);
_Static_assert((int)DDCP_ADDRESS_MAX > ADDR_TEXT_LEN + (int)PLACE_MAX,
    "a full address fits");
_Static_assert(sizeof((ddcp_error *)0)->text == ERR_TEXT_MAX
    && sizeof((ddcp_error *)0)->hint == ERR_HINT_MAX, "texts fit");

int
lib_error(int rc, const struct err *err, ddcp_error *out)
{
	if (out == NULL)
		return rc;
	memset(out, 0, sizeof *out);
	if (rc == 0)
		return rc;
	out->code = rc;
	memcpy(out->text, err->text, sizeof out->text);
	memcpy(out->hint, err->hint, sizeof out->hint);
	return rc;
}

void
lib_address(const uint8_t key[static KEY_LEN], char out[DDCP_ADDRESS_MAX])
{
	addr_format(key, out);
}

int
lib_timeout(const ddcp *d, int asked_ms)
{
	return asked_ms > 0 ? asked_ms : d->timeout_ms;
}

int
lib_idle(const ddcp *d, struct err *err)
{
	if (d->busy)
		return err_set(err, E_USAGE, "use a handle of another process or "
		    "thread", "this handle serves its database, or exchanges");
	if (!sqlite3_get_autocommit(store_handle(d->store)))
		return err_set(err, E_USAGE, "end it first",
		    "a transaction is open on this handle");
	return 0;
}

int
lib_remote_known(ddcp *d, const char *name, struct err *err)
{
	struct store_remote remote;

	return name != NULL ?
	    store_remote_by_name(d->store, name, &remote, err) : 0;
}

static int
or_default(int timeout_ms)
{
	return timeout_ms > 0 ? timeout_ms : LIB_TIMEOUT_MS;
}

static struct store_open
open_how(const ddcp_options *o)
{
	return (struct store_open){ .db_file = o->db_file,
		.state_dir = o->state_dir, .config_file = o->config_file,
		.readonly = o->readonly,
		.busy_ms = or_default(o->timeout_ms) };
}

struct store_init
lib_init_how(const ddcp_init_options *o)
{
	return (struct store_init){ .db_file = o->open.db_file,
		.state_dir = o->open.state_dir,
		.keep_journal_mode = o->keep_journal_mode,
		.new_identity = o->new_identity,
		.busy_ms = or_default(o->open.timeout_ms) };
}

int
ddcp_init(const ddcp_init_options *options, bool *already, ddcp_error *error)
{
	struct store_init how = lib_init_how(options);
	struct err err = { .code = 0 };
	bool was = false;
	int rc = store_init(&how, &was, &err);

	if (already != NULL)
		*already = was;
	return lib_error(rc, &err, error);
}

int
ddcp_deinit(const ddcp_options *options, bool purge, ddcp_error *error)
{
	struct store_open how = open_how(options);
	struct err err = { .code = 0 };

	return lib_error(store_deinit(&how, purge, &err), &err, error);
}

int
lib_open(const ddcp_options *options, bool half_clone, ddcp **out,
    struct err *err)
{
	struct store_open how = open_how(options);
	ddcp *d = calloc(1, sizeof *d);
	int rc;

	*out = NULL;
	if (d == NULL)
		return err_nomem(err);
	how.half_clone = half_clone;
	d->timeout_ms = or_default(options->timeout_ms);
	rc = stop_init(&d->stop, err);
	if (rc == 0)
		rc = store_open(&how, &d->store, err);
	if (rc != 0) {
		stop_clear(&d->stop);
		free(d);
		return rc;
	}
	*out = d;
	return 0;
}

int
ddcp_open(const ddcp_options *options, ddcp **out, ddcp_error *error)
{
	struct err err = { .code = 0 };

	return lib_error(lib_open(options, false, out, &err), &err, error);
}

void
ddcp_close(ddcp *d)
{
	if (d == NULL)
		return;
	store_close(d->store);
	stop_clear(&d->stop);
	free(d);
}

const char *
ddcp_db_file(const ddcp *d)
{
	return store_db_file(d->store);
}

const char *
ddcp_state_dir(const ddcp *d)
{
	return store_state_dir(d->store);
}

bool
ddcp_was_forked(const ddcp *d)
{
	return store_was_forked(d->store);
}

void
ddcp_address(const ddcp *d, char out[DDCP_ADDRESS_MAX])
{
	uint8_t key[KEY_LEN];

	store_public_key(d->store, key);
	lib_address(key, out);
}

int
ddcp_parse_address(const char *text, uint8_t key[DDCP_KEY_LEN],
    ddcp_error *error)
{
	struct err err = { .code = 0 };
	uint8_t parsed[KEY_LEN];
	char place[PLACE_MAX];
	int rc = addr_parse(text, parsed, place, &err);

	if (rc == 0 && key != NULL)
		memcpy(key, parsed, KEY_LEN);
	return lib_error(rc, &err, error);
}

int
ddcp_key_export(ddcp *d, const char *file, const char *passphrase,
    ddcp_error *error)
{
	struct err err = { .code = 0 };

	return lib_error(store_key_export(d->store, file, passphrase, &err),
	    &err, error);
}

int
ddcp_key_import(const ddcp_init_options *options, const char *file,
    const char *passphrase, ddcp_error *error)
{
	struct store_init how = lib_init_how(options);
	struct err err = { .code = 0 };

	return lib_error(store_key_import(&how, file, passphrase, &err), &err,
	    error);
}

void
ddcp_interrupt(ddcp *d)
{
	stop_ask(&d->stop);
}

struct sqlite3 *
ddcp_sqlite(ddcp *d)
{
	return store_handle(d->store);
}
