// SPDX-License-Identifier: MPL-2.0
/* open.c - connections with our settings; opening and closing a store. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rd.h"
#include "crdt/crdt.h"
#include "store/clone.h"
#include "store/config.h"
#include "store/inbox.h"
#include "store/schema.h"
#include "store/sql.h"
#include "store/statedir.h"
#include "store/store_private.h"

/* Statements are ours, and the schema the user's: neither is longer. */
enum { SQL_LENGTH_MAX = 16 << 20 };

/* The cache bounds what a large merge keeps in memory; the WAL is cut back
 * after one. */
static const char settings[] =
    "PRAGMA cell_size_check = 1;"
    "PRAGMA cache_size = -49152;"
    "PRAGMA journal_size_limit = 16777216;";

/* -- connections --------------------------------------------------------- */

/* What is committed is made durable where it matters (durable.h): in WAL mode
 * a commit need not wait for the disk. */
static int
relax_wal(sqlite3 *db, struct err *err)
{
	char mode[3];
	bool found;
	int rc;

	rc = sql_bytes(db, mode, sizeof mode, &found, err,
	    "PRAGMA journal_mode", "");
	if (rc == 0 && found && memcmp(mode, "wal", sizeof mode) == 0)
		rc = sql_do(db, err, "PRAGMA synchronous = NORMAL", "");
	return rc;
}

static int
connect_to(const char *name, int flags, int busy_ms, sqlite3 **out,
    struct err *err)
{
	sqlite3 *db = NULL;
	int rc;

	rc = sqlite3_open_v2(name, &db, flags, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_busy_timeout(db, busy_ms);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, settings, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, SQL_LENGTH_MAX);
	if (rc != SQLITE_OK)
		rc = sql_fail(db, rc, err);
	else
		rc = relax_wal(db, err);
	if (rc != 0) {
		sqlite3_close(db);
		db = NULL;
	}
	*out = db;
	return rc;
}

/* A file in WAL mode that can't be written, nor anything beside it, is not
 * opened by SQLite as it is.  Where no WAL is there nobody writes it, and it
 * can be read as one that never changes. */
static bool
never_changes(const char *db_file)
{
	char path[PATH_MAX], *slash;
	bool never = false;

	if (snprintf(path, sizeof path, "%s-wal", db_file)
	    >= (int)sizeof path)
		return false;
	if (access(db_file, W_OK) != 0 && access(path, F_OK) != 0) {
		slash = strrchr(path, '/');
		strcpy(slash != NULL ? slash + 1 : path, ".");
		never = access(path, W_OK) != 0;
	}
	return never;
}

/* The file as a URI with that query; the caller frees it.  NULL: no memory. */
static char *
uri_of(const char *db_file, const char *query)
{
	static const char hex[] = "0123456789ABCDEF";
	char *uri = malloc(5 + 3 * strlen(db_file) + strlen(query) + 1), *to;
	unsigned char c;

	if (uri == NULL)
		return NULL;
	to = stpcpy(uri, "file:");
	for (; (c = (unsigned char)*db_file) != '\0'; db_file++) {
		if (isalnum(c) || strchr("/._-", c) != NULL) {
			*to++ = (char)c;
			continue;
		}
		*to++ = '%';
		*to++ = hex[c >> 4];
		*to++ = hex[c & 15];
	}
	strcpy(to, query);
	return uri;
}

int
store_connect(const char *db_file, int flags, int busy_ms, sqlite3 **out,
    struct err *err)
{
	char *uri;
	int rc = connect_to(db_file, flags, busy_ms, out, err);

	if (rc != E_FATAL || !never_changes(db_file))
		return rc;
	uri = uri_of(db_file, "?immutable=1");
	if (uri == NULL)
		return err_nomem(err);
	rc = connect_to(uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI |
	    (flags & SQLITE_OPEN_NOFOLLOW), busy_ms, out, err);
	free(uri);
	if (rc == 0 && err != NULL)
		memset(err, 0, sizeof *err);
	return rc;
}

int
store_load_engine(sqlite3 *db, struct err *err)
{
	char *why = NULL;
	int rc = crdt_load(db, &why);

	if (rc == SQLITE_OK)
		return 0;
	if (why != NULL && (rc & 0xFF) == SQLITE_ERROR)
		rc = err_set(err, E_FATAL, NULL, "%s", why);
	else
		rc = sql_fail(db, rc, err);
	sqlite3_free(why);
	return rc;
}

/* -- opening ------------------------------------------------------------------ */

static int
open_database(struct store *s, const struct store_open *how, struct err *err)
{
	int number, rc;

	if (access(s->db_file, F_OK) != 0)
		return err_set(err, E_NOTFOUND, "make it with \"ddcp init\"",
		    "there is no database %s", s->db_file);
	rc = store_connect(s->db_file, how->readonly ? SQLITE_OPEN_READONLY :
	    SQLITE_OPEN_READWRITE, how->busy_ms, &s->db, err);
	if (rc == 0)
		rc = schema_number(s->db, &number, err);
	if (rc == 0 && number == 0)
		rc = err_set(err, E_NOTFOUND, "initialise it with \"ddcp init\"",
		    "%s is not initialised for ddcp", s->db_file);
	if (rc == 0 && !how->half_clone)
		rc = clone_refuse_half(s->db, s->db_file, err);
	if (rc == 0)
		s->readonly = sqlite3_db_readonly(s->db, "main") != 0;
	return rc;
}

int
store_key_is_gone(sqlite3 *db, const char *db_file, struct err *err)
{
	char *where;
	int rc = schema_get_text(db, "state_dir", &where, err);

	if (rc != 0)
		return rc;
	rc = err_set(err, E_NOTFOUND, "put it back or name it with --state-dir, "
	    "or use \"ddcp key import FILE\" or \"ddcp init --new-identity\"",
	    "the key of %s is not here: its state directory was %s", db_file,
	    where);
	free(where);
	return rc;
}

static int
open_state(struct store *s, const char *asked, struct err *err)
{
	char *path;
	int rc;

	rc = statedir_path(s->db_file, asked, &path, err);
	if (rc != 0)
		return rc;
	rc = statedir_open(path, false, &s->dir, err);
	if (rc == 0 && s->dir >= 0) {
		s->state_dir = realpath(path, NULL);
		if (s->state_dir == NULL)
			rc = err_set(err, E_FATAL, NULL, "can't look at %s: %s",
			    path, strerror(errno));
	}
	free(path);
	return rc;
}

static int
read_identity(struct store *s, struct err *err)
{
	uint8_t key[KEY_LEN], database[DATABASE_ID_LEN];
	uint8_t incarnation[INCARNATION_LEN];
	bool found = false, has;
	int rc = 0;

	if (s->dir >= 0)
		rc = identity_read(s->dir, &s->id, &found, err);
	if (rc == 0 && !found)
		return store_key_is_gone(s->db, s->db_file, err);
	if (rc == 0)
		rc = schema_get(s->db, "public_key", key, sizeof key, &has, err);
	if (rc == 0)
		rc = schema_get(s->db, "database", database, sizeof database,
		    &has, err);
	if (rc == 0)
		rc = schema_get(s->db, "incarnation", incarnation,
		    sizeof incarnation, &has, err);
	if (rc != 0)
		return rc;
	if (memcmp(key, s->id.key, KEY_LEN) != 0 ||
	    memcmp(database, s->id.database, sizeof database) != 0)
		return err_set(err, E_FATAL, "name the right one with "
		    "--state-dir, or use \"ddcp init --new-identity\"",
		    "the state directory %s belongs to another database",
		    s->state_dir);
	identity_site(s->id.key, incarnation, s->site);
	return 0;
}

/* The database remembers where its key was, for the day when it is gone. */
static void
remember_place(struct store *s)
{
	char *where = NULL;

	if (s->readonly || schema_get_text(s->db, "state_dir", &where,
	    NULL) != 0)
		return;
	if (strcmp(where, s->state_dir) != 0) {
		sqlite3_busy_timeout(s->db, 0);
		sql_do(s->db, NULL, "UPDATE ddcp_meta SET value = ?1 "
		    "WHERE key = 'state_dir'", "t", s->state_dir);
		sqlite3_busy_timeout(s->db, s->busy_ms);
	}
	free(where);
}

int
store_open(const struct store_open *how, struct store **out, struct err *err)
{
	struct store *s = calloc(1, sizeof *s);
	int rc;

	*out = NULL;
	if (s == NULL)
		return err_nomem(err);
	s->dir = -1;
	s->busy_ms = how->busy_ms;
	lock_init(&s->lock);
	rc = statedir_real_path(how->db_file, &s->db_file, err);
	if (rc == 0 && asprintf(&s->wal_file, "%s-wal", s->db_file) < 0) {
		s->wal_file = NULL;
		rc = err_nomem(err);
	}
	if (rc == 0)
		rc = config_read(how->config_file, &s->config, err);
	if (rc == 0)
		rc = open_database(s, how, err);
	if (rc == 0)
		rc = open_state(s, how->state_dir, err);
	if (rc == 0)
		rc = read_identity(s, err);
	if (rc == 0)
		rc = store_load_engine(s->db, err);
	if (rc == 0)
		rc = fork_check_note(s, err);
	if (rc == 0)
		rc = store_watch_begin(s, err);
	if (rc != 0) {
		store_close(s);
		return rc;
	}
	remember_place(s);
	*out = s;
	return 0;
}

/* The engine asks for a last call before the connection goes. */
static void
close_connection(sqlite3 *db)
{
	if (db == NULL)
		return;
	sqlite3_exec(db, "SELECT crsql_finalize()", NULL, NULL, NULL);
	sqlite3_close_v2(db);
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	if (s->db != NULL) {
		acked_write(s);
		heard_write(s);
	}
	inbox_close(s->inbox);
	close_connection(s->spare);
	if (s->moved)
		moved_leave(s);
	close_connection(s->db);
	lock_drop(&s->lock);
	config_free(s->config);
	known_clear(&s->known);
	store_vector_clear(&s->told.any);
	store_vector_clear(&s->told.sum);
	identity_wipe(&s->id);
	if (s->dir >= 0)
		close(s->dir);
	free(s->db_file);
	free(s->state_dir);
	free(s->wal_file);
	free(s);
}

/* -- small answers --------------------------------------------------------------- */

int
store_writable(const struct store *s, struct err *err)
{
	if (!s->readonly)
		return 0;
	return err_set(err, E_FATAL, "check the permissions of the file and of "
	    "its directory", "the database can't be written: it is read-only");
}

int
store_own_entry(sqlite3 *db, struct store_entry *out, struct err *err)
{
	uint8_t data[OWN_LEN];
	struct rd r;
	bool found;
	int rc;

	memset(out, 0, sizeof *out);
	rc = sql_bytes(db, data, sizeof data, &found, err,
	    "SELECT crsql_own()", "");
	if (rc != 0 || !found)
		return rc;
	rd_init(&r, data, sizeof data);
	rd_copy(&r, STORE_SITE_LEN, out->site);
	out->version = rd_u64(&r);
	rd_copy(&r, STORE_TOKEN_LEN, out->token);
	return 0;
}

void
store_only_look(struct store *s, bool on)
{
	sqlite3_exec(s->db, on ? "PRAGMA query_only = 1" :
	    "PRAGMA query_only = 0", NULL, NULL, NULL);
}

void
store_fold(struct store *s)
{
	int64_t pending;

	if (s->readonly || !sqlite3_get_autocommit(s->db))
		return;
	if (sql_int(s->db, &pending, NULL, "SELECT crsql_pending()", "") != 0 ||
	    pending == 0)
		return;
	sqlite3_busy_timeout(s->db, 0);
	sql_do(s->db, NULL, "SELECT crsql_fold()", "");
	sqlite3_busy_timeout(s->db, s->busy_ms);
}

void
store_public_key(const struct store *s, uint8_t key[static KEY_LEN])
{
	memcpy(key, s->id.key, KEY_LEN);
}

void
store_secret_seed(const struct store *s, uint8_t seed[static 32])
{
	memcpy(seed, s->id.seed, SEED_LEN);
}

bool
store_was_forked(const struct store *s)
{
	return s->forked;
}

const char *
store_db_file(const struct store *s)
{
	return s->db_file;
}

const char *
store_state_dir(const struct store *s)
{
	return s->state_dir;
}

struct sqlite3 *
store_handle(struct store *s)
{
	return s->db;
}

int
store_patience(struct store *s, int busy_ms)
{
	int before = s->busy_ms;

	s->busy_ms = busy_ms;
	sqlite3_busy_timeout(s->db, busy_ms);
	return before;
}

bool
store_lock_is_free(struct store *s)
{
	struct err err = { .code = 0 };

	sqlite3_busy_timeout(s->db, 0);
	if (sql_begin(s->db, &err) == 0)
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_busy_timeout(s->db, s->busy_ms);
	return !err.locked;
}

int
store_serve_lock(struct store *s, struct err *err)
{
	int rc = lock_take(&s->lock, s->dir, s->db_file, err);

	if (rc == E_EXISTS && err != NULL)
		err->code = E_FATAL;
	return rc == E_EXISTS ? E_FATAL : rc;
}

int
store_exchange_lock(struct store *s, bool writes, struct err *err)
{
	int rc = writes ? store_writable(s, err) : 0;

	if (rc == 0)
		rc = lock_take(&s->lock, s->dir, s->db_file, err);
	if (rc != E_EXISTS)
		return rc;
	rc = err_set(err, E_UNREACHABLE, "try again, or wait longer with "
	    "--timeout", "another ddcp exchanges for this database right now");
	if (err != NULL)
		err->locked = true;
	return rc;
}

void
store_serve_unlock(struct store *s)
{
	lock_drop(&s->lock);
}

int
store_key_export(struct store *s, const char *file, const char *pass,
    struct err *err)
{
	return identity_export(file, pass, s->id.seed, err);
}
