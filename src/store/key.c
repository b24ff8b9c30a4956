// SPDX-License-Identifier: MPL-2.0
#include "store/key.h"

#include <string.h>
#include <unistd.h>

#include "store/schema.h"
#include "store/sql.h"

static int
is_named(sqlite3 *db, const struct identity *id, bool *named, struct err *err)
{
	uint8_t key[KEY_LEN], database[DATABASE_ID_LEN];
	bool found;
	int rc;

	rc = schema_get(db, "public_key", key, sizeof key, &found, err);
	if (rc == 0)
		rc = schema_get(db, "database", database, sizeof database,
		    &found, err);
	*named = rc == 0 && memcmp(key, id->key, KEY_LEN) == 0 &&
	    memcmp(database, id->database, sizeof database) == 0;
	return rc;
}

/* The note is of the old key; it goes first, for only what waits tells that it
 * has to. */
static int
put_in_place(int state_dir, struct err *err)
{
	unlinkat(state_dir, "note", 0);
	return identity_take_next(state_dir, err);
}

/* One that waits and is named: who put it there did not come further. */
static int
find_next(sqlite3 *db, int state_dir, bool readonly, struct identity *out,
    bool *fits, struct err *err)
{
	struct identity next;
	bool found;
	int rc = identity_read_next(state_dir, &next, &found, err);

	*fits = false;
	if (rc == 0 && found)
		rc = is_named(db, &next, fits, err);
	if (rc == 0 && *fits) {
		*out = next;
		rc = readonly ? 0 : put_in_place(state_dir, err);
	}
	identity_wipe(&next);
	return rc;
}

int
key_find(sqlite3 *db, int state_dir, bool readonly, struct identity *out,
    enum key_state *state, struct err *err)
{
	bool found = false, fits = false;
	struct err why = { .code = 0 };
	int rc = identity_read(state_dir, out, &found, err), other = 0;

	*state = KEY_MISSING;
	if (rc == 0 && found)
		rc = is_named(db, out, &fits, err);
	if (!fits && (rc == 0 || rc == E_INTEGRITY)) {
		other = find_next(db, state_dir, readonly, out, &fits, &why);
		if (err != NULL && (fits || other != 0))
			*err = why;
		rc = fits || other != 0 ? other : rc;
	}
	if (rc == 0 && fits)
		*state = KEY_FITS;
	else if (found)
		*state = KEY_OTHER;
	return rc;
}

/* One that is named no more must not be lost before that is on the disk.  What
 * waits stays if the commit fails: nobody knows for sure that it did. */
int
key_commit(sqlite3 *db, int state_dir, const struct identity *id, int rc,
    struct err *err)
{
	if (rc == 0)
		rc = identity_write_next(state_dir, id, err);
	rc = sql_end(db, rc, err);
	return rc == 0 ? put_in_place(state_dir, err) : rc;
}
