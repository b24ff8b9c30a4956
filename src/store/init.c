// SPDX-License-Identifier: MPL-2.0
/* init.c - making a database one of ddcp's, and an ordinary one again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rd.h"
#include "store/clone.h"
#include "store/key.h"
#include "store/schema.h"
#include "store/sql.h"
#include "store/statedir.h"
#include "store/store_private.h"

struct init {
	const struct store_init *how;
	char *db_file;          /* real path */
	char *asked_dir;        /* as given or made up */
	char *state_dir;        /* real path */
	int dir;
	sqlite3 *db;
	bool existed;           /* the database file */
	bool initialised;
	enum key_state key;     /* in the state directory: id */
	struct identity id;
	struct lock lock;
};

static void
init_begin(struct init *i, const struct store_init *how)
{
	memset(i, 0, sizeof *i);
	i->how = how;
	i->dir = -1;
	lock_init(&i->lock);
}

static void
init_clear(struct init *i)
{
	lock_drop(&i->lock);
	identity_wipe(&i->id);
	sqlite3_close_v2(i->db);
	if (i->dir >= 0)
		close(i->dir);
	free(i->db_file);
	free(i->asked_dir);
	free(i->state_dir);
}

/* Without a database that names one, any will do. */
static int
find_key(struct init *i, struct err *err)
{
	bool found = false;
	int rc;

	if (i->initialised)
		return key_find(i->db, i->dir, false, &i->id, &i->key, err);
	rc = identity_read(i->dir, &i->id, &found, err);
	i->key = found ? KEY_OTHER : KEY_MISSING;
	return rc;
}

/* Finds out what there is; changes nothing. */
static int
look(struct init *i, const struct store_init *how, bool key_given,
    struct err *err)
{
	int number = 0, rc;

	init_begin(i, how);
	rc = statedir_real_path(how->db_file, &i->db_file, err);
	if (rc == 0)
		rc = statedir_path(i->db_file, how->state_dir, &i->asked_dir,
		    err);
	if (rc != 0)
		return rc;
	i->existed = access(i->db_file, F_OK) == 0;
	rc = store_connect(i->db_file, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_CREATE, how->busy_ms, &i->db, err);
	if (rc == 0)
		rc = schema_number(i->db, &number, err);
	i->initialised = number > 0;
	if (rc == 0 && sqlite3_db_readonly(i->db, "main") == 1)
		rc = sql_fail(i->db, SQLITE_READONLY, err);
	if (rc == 0)
		rc = statedir_open(i->asked_dir, false, &i->dir, err);
	if (rc == 0 && i->dir >= 0)
		rc = find_key(i, err);
	/* A damaged key is no key for who has another one. */
	if (rc == E_INTEGRITY && (how->new_identity || key_given))
		rc = 0;
	return rc;
}

static int
make_state_dir(struct init *i, struct err *err)
{
	int rc = 0;

	if (i->dir < 0)
		rc = statedir_open(i->asked_dir, true, &i->dir, err);
	if (rc != 0)
		return rc;
	i->state_dir = realpath(i->asked_dir, NULL);
	if (i->state_dir == NULL)
		rc = err_set(err, E_FATAL, NULL, "can't look at %s: %s",
		    i->asked_dir, strerror(errno));
	return rc;
}

/* A serve would go on under the key it began with. */
static int
nobody_serves(struct init *i, struct err *err)
{
	int rc = 0;

	if (i->existed)
		rc = lock_take(&i->lock, i->dir, i->db_file, err);
	if (rc == E_EXISTS)
		rc = E_FATAL;
	if (rc != 0 && err != NULL)
		err->code = rc;
	return rc;
}

static int
turn_on_wal(struct init *i, struct err *err)
{
	char mode[3];
	bool found;
	int rc;

	if (i->how->keep_journal_mode)
		return 0;
	rc = sql_bytes(i->db, mode, sizeof mode, &found, err,
	    "PRAGMA journal_mode = WAL", "");
	if (rc != 0)
		return rc;
	if (!found || memcmp(mode, "wal", sizeof mode) != 0)
		return err_set(err, E_FATAL, "use --journal-mode keep",
		    "WAL can't be used where this database lies");
	return sql_do(i->db, err, "PRAGMA synchronous = NORMAL", "");
}

/* -- a new identity --------------------------------------------------------------- */

struct identity_facts {
	uint8_t incarnation[INCARNATION_LEN];
	uint8_t site[STORE_SITE_LEN];
	int64_t after;          /* own changes after it are the new site's; -1:
	                           those to come */
};

static int
write_facts(struct init *i, const struct identity_facts *f, struct err *err)
{
	uint8_t head[STORE_CURSOR_LEN], own[OWN_LEN];
	bool found;
	int rc;

	rc = schema_set(i->db, "database", i->id.database, DATABASE_ID_LEN,
	    err);
	if (rc == 0)
		rc = schema_set(i->db, "public_key", i->id.key, KEY_LEN, err);
	if (rc == 0)
		rc = schema_set(i->db, "incarnation", f->incarnation,
		    INCARNATION_LEN, err);
	if (rc == 0)
		rc = sql_bytes(i->db, head, sizeof head, &found, err,
		    "SELECT crsql_head()", "");
	if (rc == 0)
		rc = schema_set(i->db, "log_id", head, 8, err);
	if (rc == 0)
		rc = sql_bytes(i->db, own, sizeof own, &found, err,
		    "SELECT crsql_own()", "");
	if (rc == 0)
		rc = schema_set(i->db, "own", own, sizeof own, err);
	return rc != 0 ? rc : sql_do(i->db, err, "INSERT INTO ddcp_meta "
	    "VALUES('state_dir', ?1) ON CONFLICT DO UPDATE SET "
	    "value = excluded.value", "t", i->state_dir);
}

/* In one transaction. */
static int
take_identity(struct init *i, const struct identity_facts *f,
    struct err *err)
{
	int rc = 0;

	if (!i->initialised)
		rc = schema_create(i->db, err);
	/* Incarnations of another key are of no use to peers of this one. */
	if (rc == 0)
		rc = sql_do(i->db, err, "DELETE FROM ddcp_own", "");
	if (rc == 0 && f->after >= 0)
		rc = sql_do(i->db, err, "SELECT crsql_identity(?1, ?2, ?3, ?4)",
		    "bbbi", f->site, (size_t)STORE_SITE_LEN, i->id.key,
		    (size_t)KEY_LEN, f->incarnation, (size_t)INCARNATION_LEN,
		    f->after);
	else if (rc == 0)
		rc = sql_do(i->db, err, "SELECT crsql_identity(?1, ?2, ?3)",
		    "bbb", f->site, (size_t)STORE_SITE_LEN, i->id.key,
		    (size_t)KEY_LEN, f->incarnation, (size_t)INCARNATION_LEN);
	if (rc == 0)
		rc = write_facts(i, f, err);
	return rc == 0 && i->how->clone_of != NULL ? clone_mark(i->db,
	    i->how->clone_of, err) : rc;
}

/* The version up to which this file surely was the other's, whose key it had:
 * what ddcp noted when it wrote last.  Later changes may have been made twice,
 * here and there: they belong to the new identity. */
static int
common_version(struct init *i, int64_t *after, struct err *err)
{
	uint8_t own[OWN_LEN];
	struct rd r;
	bool found;
	int64_t first;
	int rc;

	*after = -1;
	if (!i->initialised)
		return 0;
	rc = schema_get(i->db, "own", own, sizeof own, &found, err);
	if (rc != 0 || !found)
		return rc;
	rc = sql_int(i->db, &first, err, "SELECT max(1, "
	    "coalesce(max(first_dbv), 1)) FROM crsql_me", "");
	rd_init(&r, own + STORE_SITE_LEN, 8);
	*after = (int64_t)rd_u64(&r);
	if (*after < first - 1)
		*after = first - 1;
	return rc;
}

static int
take_key(struct init *i, struct identity_facts *f, struct err *err)
{
	/* on the disk before the old key goes */
	int rc = sql_do(i->db, err, "PRAGMA synchronous = EXTRA", "");

	if (rc == 0)
		rc = sql_begin(i->db, err);
	return rc != 0 ? rc : key_commit(i->db, i->dir, &i->id,
	    take_identity(i, f, err), err);
}

static int
become(struct init *i, bool same_key, struct err *err)
{
	struct identity_facts f = { .after = -1 };
	int rc;

	rc = identity_random(i->id.database, DATABASE_ID_LEN, err);
	/* A key that was in use may have an incarnation of number zero. */
	if (rc == 0 && same_key)
		rc = identity_random(f.incarnation, INCARNATION_LEN, err);
	if (rc == 0)
		rc = make_state_dir(i, err);
	if (rc == 0)
		rc = nobody_serves(i, err);
	if (rc == 0)
		rc = turn_on_wal(i, err);
	if (rc == 0)
		rc = store_load_engine(i->db, err);
	if (rc == 0)
		rc = sql_do(i->db, err, "SELECT crsql_fold()", "");
	if (rc == 0)
		rc = common_version(i, &f.after, err);
	if (rc != 0)
		return rc;
	identity_site(i->id.key, f.incarnation, f.site);
	return take_key(i, &f, err);
}

static int
new_key(struct identity *id, struct err *err)
{
	int rc = identity_random(id->seed, SEED_LEN, err);

	return rc == 0 ? identity_public(id->seed, id->key, err) : rc;
}

/* What a failed init made is removed again: an empty file. */
static void
undo_file(const struct init *i, int rc)
{
	if (rc != 0 && !i->existed && i->db_file != NULL && i->db == NULL)
		unlink(i->db_file);
}

int
store_init(const struct store_init *how, bool *already, struct err *err)
{
	struct init i;
	int rc;

	*already = false;
	rc = look(&i, how, false, err);
	if (rc == 0 && how->clone_of != NULL)
		rc = clone_may_begin(i.db, i.db_file, i.initialised,
		    how->clone_of, err);
	else if (rc == 0 && i.initialised)
		rc = clone_refuse_half(i.db, i.db_file, err);
	if (rc == 0 && i.initialised && !how->new_identity) {
		if (i.key != KEY_FITS)
			rc = store_key_is_gone(i.db, i.db_file, err);
		*already = rc == 0;
		goto out;
	}
	/* A key that is there without a database is kept, unless a new one is
	 * wanted. */
	if (rc == 0 && (how->new_identity || i.key == KEY_MISSING)) {
		rc = new_key(&i.id, err);
		i.key = KEY_MISSING;
	}
	if (rc == 0)
		rc = become(&i, i.key != KEY_MISSING, err);
out:
	undo_file(&i, rc);
	init_clear(&i);
	return rc;
}

int
store_key_import(const struct store_init *how, const char *file,
    const char *pass, struct err *err)
{
	uint8_t seed[SEED_LEN], key[KEY_LEN], was[KEY_LEN];
	struct init i;
	bool found = false;
	int rc;

	rc = identity_import(file, pass, seed, err);
	if (rc != 0)
		return rc;
	rc = identity_public(seed, key, err);
	if (rc == 0)
		rc = look(&i, how, true, err);
	else
		init_begin(&i, how);
	if (rc == 0 && i.initialised)
		rc = schema_get(i.db, "public_key", was, sizeof was, &found,
		    err);
	if (rc == 0 && found && memcmp(was, key, KEY_LEN) != 0 &&
	    !how->new_identity)
		rc = err_set(err, E_EXISTS, "give up the key it has with "
		    "--new-identity", "this database has another key");
	/* The same key in the same place: nothing to do. */
	if (rc == 0 && !(i.key == KEY_FITS && memcmp(i.id.key, key, KEY_LEN) == 0)) {
		memcpy(i.id.seed, seed, SEED_LEN);
		memcpy(i.id.key, key, KEY_LEN);
		rc = become(&i, true, err);
	}
	explicit_bzero(seed, sizeof seed);
	init_clear(&i);
	return rc;
}

/* -- deinit ------------------------------------------------------------------------- */

/* Tables become ordinary ones; the engine folds what is pending first. */
static int
untrack_all(struct store *s, struct err *err)
{
	char *name;
	bool more = true, exists = false;
	sqlite3_stmt *stmt;
	int rc;

	rc = sql_do(s->db, err, "SELECT crsql_fold()", "");
	if (rc == 0)
		rc = sql_has_table(s->db, "crsql_tbl", &exists, err);
	while (rc == 0 && exists && more) {
		rc = sql_open(s->db, &stmt, err, "SELECT t.name FROM crsql_tbl "
		    "AS t JOIN sqlite_schema AS m ON m.type = 'table' AND "
		    "m.name = t.name LIMIT 1", "");
		if (rc == 0)
			rc = sql_next(stmt, &more, err);
		name = rc == 0 && more ?
		    strdup((const char *)sqlite3_column_text(stmt, 0)) : NULL;
		sqlite3_finalize(stmt);
		if (name != NULL)
			rc = sql_do(s->db, err, "SELECT crsql_as_table(?1)", "t",
			    name);
		else if (rc == 0 && more)
			rc = err_nomem(err);
		free(name);
	}
	return rc;
}

/* On a connection of its own, without the engine. */
static int
drop_tables(const char *db_file, int busy_ms, struct err *err)
{
	sqlite3 *db;
	int rc;

	rc = store_connect(db_file, SQLITE_OPEN_READWRITE, busy_ms, &db, err);
	if (rc != 0)
		return rc;
	rc = sql_begin(db, err);
	if (rc == 0)
		rc = sql_end(db, schema_drop(db, err), err);
	sqlite3_close(db);
	return rc;
}

int
store_deinit(const struct store_open *how, bool purge, struct err *err)
{
	struct store *s;
	char *db_file = NULL, *state_dir = NULL;
	int dir = -1, rc;

	rc = store_open(how, &s, err);
	if (rc != 0)
		return rc;
	rc = store_writable(s, err);
	if (rc == 0)
		rc = store_serve_lock(s, err);
	if (rc == 0)
		rc = untrack_all(s, err);
	if (rc == 0) {
		db_file = strdup(s->db_file);
		state_dir = strdup(s->state_dir);
		dir = dup(s->dir);
		if (db_file == NULL || state_dir == NULL || dir < 0)
			rc = err_nomem(err);
	}
	store_close(s);
	if (rc == 0)
		rc = drop_tables(db_file, how->busy_ms, err);
	if (rc == 0)
		statedir_remove(state_dir, dir, purge);
	if (dir >= 0)
		close(dir);
	free(db_file);
	free(state_dir);
	return rc;
}
