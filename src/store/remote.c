// SPDX-License-Identifier: MPL-2.0
/* remote.c - peers by name: table ddcp_remote. */
#include <stdlib.h>
#include <string.h>

#include "store/inbox.h"
#include "store/sql.h"
#include "store/store_private.h"

#define COLUMNS "id, name, key, place, automerge, contact_ms, path, error, " \
	"error_ms, (SELECT m.value FROM ddcp_meta AS m WHERE m.key = 'network-' " \
	"|| ddcp_remote.id)"

/* What "network" may be; the first is where nothing was said.  It stands in
 * ddcp_meta, which databases of earlier versions have too. */
static const char *const networks[] = { "auto", "direct", "veilid" };

enum { NETWORKS = sizeof networks / sizeof *networks };

/* The index of the one of that name, 0 if there is none. */
static size_t
find_network(const char *name)
{
	size_t i = NETWORKS - 1;

	while (i > 0 && strcmp(networks[i], name) != 0)
		i--;
	return i;
}

static void
read_remote(sqlite3_stmt *stmt, struct store_remote *r)
{
	char network[STORE_NETWORK_MAX];

	memset(r, 0, sizeof *r);
	r->id = sqlite3_column_int64(stmt, 0);
	sql_column_text(stmt, 1, r->name, sizeof r->name);
	sql_column(stmt, 2, r->key, sizeof r->key);
	sql_column_text(stmt, 3, r->place, sizeof r->place);
	r->automerge = sqlite3_column_int(stmt, 4) != 0;
	r->last_contact_ms = sqlite3_column_int64(stmt, 5);
	sql_column_text(stmt, 6, r->last_path, sizeof r->last_path);
	sql_column_text(stmt, 7, r->last_error, sizeof r->last_error);
	r->last_error_ms = sqlite3_column_int64(stmt, 8);
	sql_column_text(stmt, 9, network, sizeof network);
	strcpy(r->network, networks[find_network(network)]);
}

/* -- finding ------------------------------------------------------------------ */

int
store_remote_by_name(struct store *s, const char *name,
    struct store_remote *out, struct err *err)
{
	sqlite3_stmt *stmt;
	bool row = false;
	int rc;

	rc = sql_open(s->db, &stmt, err, "SELECT " COLUMNS
	    " FROM ddcp_remote WHERE name = ?1", "t", name);
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	if (row)
		read_remote(stmt, out);
	sqlite3_finalize(stmt);
	if (rc == 0 && !row)
		rc = err_set(err, E_NOTFOUND, "\"ddcp remote list\" shows those "
		    "that are known", "there is no remote named %s", name);
	return rc;
}

int
store_remote_by_key(struct store *s, const uint8_t key[static KEY_LEN],
    struct store_remote *out, struct err *err)
{
	sqlite3_stmt *stmt;
	bool row = false;
	int rc;

	rc = sql_open(s->db, &stmt, err, "SELECT " COLUMNS
	    " FROM ddcp_remote WHERE key = ?1", "b", key, (size_t)KEY_LEN);
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	if (row)
		read_remote(stmt, out);
	sqlite3_finalize(stmt);
	if (rc == 0 && !row)
		rc = err_set(err, E_NOTFOUND, NULL,
		    "no remote has that address");
	return rc;
}

/* They are read first, so that the callback may change them. */
int
store_remote_each(struct store *s,
    int (*each)(void *self, const struct store_remote *r), void *self,
    struct err *err)
{
	struct store_remote *list = NULL, *grown;
	sqlite3_stmt *stmt;
	size_t n = 0, i;
	bool row = true;
	int rc;

	rc = sql_open(s->db, &stmt, err, "SELECT " COLUMNS
	    " FROM ddcp_remote ORDER BY name", "");
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		grown = realloc(list, (n + 1) * sizeof *list);
		if (grown == NULL) {
			rc = err_nomem(err);
			break;
		}
		list = grown;
		read_remote(stmt, &list[n++]);
	}
	sqlite3_finalize(stmt);
	for (i = 0; i < n && rc == 0; i++)
		rc = each(self, &list[i]);
	free(list);
	return rc;
}

/* -- changing ------------------------------------------------------------------ */

/* Names are typed in shells and shown in lines. */
static int
check_name(const char *name, struct err *err)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t len = strlen(name);

	if (len > 0 && len < STORE_NAME_MAX && strspn(name, good) == len &&
	    name[0] != '-' && name[0] != '.')
		return 0;
	return err_set(err, E_USAGE, "use letters, digits, _ . and -, and begin "
	    "with a letter, digit or _", "\"%s\" can't be the name of a remote",
	    name);
}

static int
check_place(const char *place, struct err *err)
{
	char host[256];
	uint16_t port;

	if (place[0] == '\0')
		return 0;
	if (strlen(place) >= PLACE_MAX)
		return err_set(err, E_USAGE, NULL, "the place is too long");
	return addr_split_place(place, host, &port, err);
}

static int
check_free(struct store *s, const char *name,
    const uint8_t key[static KEY_LEN], bool *already, struct err *err)
{
	struct store_remote r;
	int rc;

	*already = false;
	rc = store_remote_by_key(s, key, &r, err);
	if (rc == 0 && strcmp(r.name, name) == 0) {
		*already = true;
		return 0;
	}
	if (rc == 0)
		return err_set(err, E_EXISTS, "use that name, or \"ddcp remote "
		    "rename\"", "that address is known already as %s", r.name);
	if (rc != E_NOTFOUND)
		return rc;
	rc = store_remote_by_name(s, name, &r, err);
	if (rc == 0)
		return err_set(err, E_EXISTS, "choose another name, or remove "
		    "that remote first", "there is a remote named %s with another "
		    "address", name);
	return rc == E_NOTFOUND ? 0 : rc;
}

int
store_remote_add(struct store *s, const char *name,
    const uint8_t key[static KEY_LEN], const char *place, bool *already,
    struct err *err)
{
	int rc;

	*already = false;
	place = place != NULL ? place : "";
	rc = check_name(name, err);
	if (rc == 0)
		rc = check_place(place, err);
	if (rc == 0 && memcmp(key, s->id.key, KEY_LEN) == 0)
		rc = err_set(err, E_USAGE, "give the address of the other "
		    "database", "that is the address of this database itself");
	if (rc == 0)
		rc = store_writable(s, err);
	if (rc == 0)
		rc = check_free(s, name, key, already, err);
	if (rc == 0 && *already && place[0] != '\0')
		rc = sql_do(s->db, err, "UPDATE ddcp_remote SET place = ?2 "
		    "WHERE name = ?1 AND place <> ?2", "tt", name, place);
	else if (rc == 0 && !*already)
		rc = sql_do(s->db, err, "INSERT INTO ddcp_remote(name, key, "
		    "place) VALUES(?1, ?2, ?3)", "tbt", name, key,
		    (size_t)KEY_LEN, place);
	return rc;
}

static int
delete_remote(struct store *s, int64_t id, struct err *err)
{
	static const char *const sql[] = {
		"DELETE FROM ddcp_cursor_table WHERE remote = ?1",
		"DELETE FROM ddcp_cursor WHERE remote = ?1",
		"DELETE FROM ddcp_other WHERE remote = ?1",
		"DELETE FROM ddcp_meta WHERE key = 'network-' || ?1",
		"DELETE FROM ddcp_remote WHERE id = ?1" };
	size_t i;
	int rc = 0;

	for (i = 0; i < sizeof sql / sizeof *sql && rc == 0; i++)
		rc = sql_do(s->db, err, sql[i], "i", id);
	return rc;
}

int
store_remote_remove(struct store *s, const char *name, struct err *err)
{
	struct store_remote r;
	int rc;

	rc = store_writable(s, err);
	if (rc == 0)
		rc = store_remote_by_name(s, name, &r, err);
	if (rc == 0)
		rc = sql_begin(s->db, err);
	if (rc == 0)
		rc = sql_end(s->db, delete_remote(s, r.id, err), err);
	/* What was fetched from it goes too; later if that fails now. */
	if (rc == 0)
		inbox_forget(s, r.key, NULL);
	if (rc == 0 && s->ack.remote == r.id)
		s->ack.remote = 0;
	if (rc == 0 && s->heard.remote == r.id)
		s->heard.remote = 0;
	return rc;
}

int
store_remote_rename(struct store *s, const char *name, const char *to,
    struct err *err)
{
	struct store_remote r, other;
	int rc;

	rc = check_name(to, err);
	if (rc == 0)
		rc = store_writable(s, err);
	if (rc == 0)
		rc = store_remote_by_name(s, name, &r, err);
	if (rc != 0)
		return rc;
	if (strcmp(name, to) == 0)
		return 0;
	if (store_remote_by_name(s, to, &other, NULL) == 0)
		return err_set(err, E_EXISTS, "choose another name",
		    "there is a remote named %s", to);
	return sql_do(s->db, err, "UPDATE ddcp_remote SET name = ?2 "
	    "WHERE id = ?1", "it", r.id, to);
}

static int
yes_or_no(const char *value, int64_t *out, struct err *err)
{
	if (strcmp(value, "yes") == 0 || strcmp(value, "no") == 0) {
		*out = value[0] == 'y';
		return 0;
	}
	return err_set(err, E_USAGE, "yes or no", "automerge can't be \"%s\"",
	    value);
}

static int
set_network(struct store *s, int64_t id, const char *value, struct err *err)
{
	size_t which = find_network(value);

	if (which == 0 && strcmp(value, networks[0]) != 0)
		return err_set(err, E_USAGE, "auto, direct or veilid",
		    "network can't be \"%s\"", value);
	if (which == 0)
		return sql_do(s->db, err, "DELETE FROM ddcp_meta WHERE key = "
		    "'network-' || ?1", "i", id);
	return sql_do(s->db, err, "INSERT INTO ddcp_meta VALUES('network-' || ?1, "
	    "?2) ON CONFLICT(key) DO UPDATE SET value = excluded.value", "it", id,
	    networks[which]);
}

int
store_remote_set(struct store *s, const char *name, const char *setting,
    const char *value, struct err *err)
{
	struct store_remote r;
	int64_t automerge = 0;
	int rc;

	rc = store_writable(s, err);
	if (rc == 0)
		rc = store_remote_by_name(s, name, &r, err);
	if (rc != 0)
		return rc;
	if (strcmp(setting, "automerge") == 0) {
		rc = yes_or_no(value, &automerge, err);
		if (rc == 0)
			rc = sql_do(s->db, err, "UPDATE ddcp_remote SET "
			    "automerge = ?2 WHERE id = ?1", "ii", r.id,
			    automerge);
		return rc;
	}
	if (strcmp(setting, "network") == 0)
		return set_network(s, r.id, value, err);
	if (strcmp(setting, "place") != 0)
		return err_set(err, E_USAGE, "automerge, network or place",
		    "remotes have no setting \"%s\"", setting);
	rc = check_place(value, err);
	if (rc == 0)
		rc = sql_do(s->db, err, "UPDATE ddcp_remote SET place = ?2 "
		    "WHERE id = ?1", "it", r.id, value);
	return rc;
}

int
store_remote_note(struct store *s, int64_t id, int64_t now_ms,
    const char *path, const char *error, struct err *err)
{
	int rc;

	if (s->readonly)
		return 0;
	/* Not worth waiting for: what is noted is for people to read. */
	sqlite3_busy_timeout(s->db, 0);
	if (error != NULL && error[0] != '\0')
		rc = sql_do(s->db, err, "UPDATE ddcp_remote SET error = ?2, "
		    "error_ms = ?3 WHERE id = ?1", "iti", id, error, now_ms);
	else
		rc = sql_do(s->db, err, "UPDATE ddcp_remote SET contact_ms = ?2, "
		    "path = coalesce(?3, path), error = '', error_ms = 0 "
		    "WHERE id = ?1", "iit", id, now_ms, path);
	sqlite3_busy_timeout(s->db, s->busy_ms);
	return rc == E_UNREACHABLE ? 0 : rc;
}
