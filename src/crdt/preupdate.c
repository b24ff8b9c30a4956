// SPDX-License-Identifier: MPL-2.0
/* preupdate.c - finds the hook's functions, and how they count. */
#include "crdt/preupdate.h"

#include <dlfcn.h>
#include <string.h>

#include "crdt/capture.h"

SQLITE_EXTENSION_INIT3

static void *
find_symbol(const char *name)
{
	void *p = dlsym(RTLD_DEFAULT, name), *lib;
	Dl_info info;

	if (p != NULL)
		return p;
	/* loaded RTLD_LOCAL, as Python does */
	if (!dladdr((void *)(uintptr_t)sqlite3_libversion, &info) ||
	    info.dli_fname == NULL)
		return NULL;
	lib = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
	if (lib == NULL)
		return NULL;
	p = dlsym(lib, name);
	dlclose(lib);
	return p;
}

const struct preupdate *
preupdate_find(void)
{
	static struct preupdate p;

	*(void **)&p.hook = find_symbol("sqlite3_preupdate_hook");
	*(void **)&p.old_value = find_symbol("sqlite3_preupdate_old");
	*(void **)&p.new_value = find_symbol("sqlite3_preupdate_new");
	*(void **)&p.blobwrite = find_symbol("sqlite3_preupdate_blobwrite");
	return p.hook && p.old_value && p.new_value ? &p : NULL;
}

/* -- how it counts ------------------------------------------------------------- */

struct trial {
	const struct preupdate *preupdate;
	bool stored;
};

static void
try_count(void *self, sqlite3 *db, int op, char const *schema,
    char const *name, sqlite3_int64 old_key, sqlite3_int64 key)
{
	struct trial *t = self;
	sqlite3_value *v;

	(void)op, (void)schema, (void)name, (void)old_key, (void)key;
	t->stored = t->preupdate->new_value(db, 1, &v) == SQLITE_OK &&
	    sqlite3_value_type(v) == SQLITE_TEXT;
}

int
capture_counts_stored(struct engine *e, bool *stored)
{
	struct trial t = { e->preupdate, false };
	sqlite3 *db;
	int rc = SQLITE_OK;

	if (e->preupdate == NULL)
		return rc;
	rc = sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK)
		e->preupdate->hook(db, try_count, &t);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "CREATE TABLE t(a, g AS (1) VIRTUAL, b); "
		    "INSERT INTO t(a, b) VALUES(0, 'b')", NULL, NULL, NULL);
	sqlite3_close(db);
	*stored = t.stored;
	return rc;
}
