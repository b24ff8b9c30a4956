// SPDX-License-Identifier: MPL-2.0
/* config.c - settings of the database. */
#include "lib/handle.h"

#include <string.h>

struct config_walk {
	const char *key;        /* this one only, or NULL */
	bool found;
	int (*each)(void *self, const ddcp_setting *setting);
	void *self;
};

static int
show_setting(void *self, const char *key, const char *value,
    const char *about, enum store_origin origin)
{
	static const char *const origins[] = {
		[STORE_DEFAULT] = "default",
		[STORE_USER] = "user",
		[STORE_DATABASE] = "database",
	};
	struct config_walk *w = self;
	ddcp_setting s = { .key = key, .value = value, .about = about,
		.is_default = origin == STORE_DEFAULT,
		.origin = origins[origin] };

	if (w->key != NULL && strcmp(w->key, key) != 0)
		return 0;
	w->found = true;
	return w->each(w->self, &s);
}

int
ddcp_config_each(ddcp *d, const char *key,
    int (*each)(void *self, const ddcp_setting *setting), void *self,
    ddcp_error *error)
{
	struct config_walk w = { key, false, each, self };
	struct err err = { .code = 0 };
	int rc = store_config_each(d->store, show_setting, &w, &err);

	if (rc == 0 && key != NULL && !w.found)
		rc = err_set(&err, E_USAGE, "ddcp config --list shows all",
		    "there is no setting '%.80s'", key);
	return lib_error(rc, &err, error);
}

int
ddcp_config_set(ddcp *d, const char *key, const char *value,
    ddcp_error *error)
{
	struct err err = { .code = 0 };

	return lib_error(store_config_set(d->store, key, value, &err), &err,
	    error);
}
