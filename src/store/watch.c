// SPDX-License-Identifier: MPL-2.0
/* watch.c - whether somebody committed, and what is new since. */
#include <string.h>

#include "base/be64.h"
#include "store/held.h"
#include "store/split.h"
#include "store/sql.h"
#include "store/store_private.h"
#include "store/vector.h"

/* Above what versions add up to. */
#define SPLIT_SUM ((uint64_t)1 << 62)

const char *
store_watch_file(const struct store *s)
{
	char mode[3];
	bool found;

	if (sql_bytes(s->db, mode, sizeof mode, &found, NULL,
	    "PRAGMA journal_mode", "") == 0 && found &&
	    memcmp(mode, "wal", sizeof mode) == 0)
		return s->wal_file;
	return s->db_file;
}

/* Takes plain programs' writes in; E_UNREACHABLE if somebody writes now. */
static int
fold(struct store *s, struct err *err)
{
	int64_t pending;
	int rc;

	if (s->readonly || !sqlite3_get_autocommit(s->db))
		return 0;
	rc = sql_int(s->db, &pending, err, "SELECT crsql_pending()", "");
	if (rc == 0 && pending > 0)
		rc = sql_do(s->db, err, "SELECT crsql_fold()", "");
	return rc;
}

/* What was merged of each site: also where it was not whole, so that no vector
 * rose. */
static int
add_merged(sqlite3 *db, struct store_vector *v, struct err *err)
{
	struct store_entry e;
	sqlite3_stmt *stmt;
	bool row = true;
	int rc;

	rc = sql_open(db, &stmt, err,
	    "SELECT site, version, token FROM ddcp_site", "");
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row || !sql_column(stmt, 0, e.site,
		    sizeof e.site))
			continue;
		e.version = (uint64_t)sqlite3_column_int64(stmt, 1);
		sql_column(stmt, 2, e.token, sizeof e.token);
		rc = vector_raise(v, &e, NULL, err);
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* What all tables hold of each site together: the versions added up.  It rises
 * whatever table rises, also one that began empty and reaches what the others
 * have, or where another can't. */
static int
add_up(const struct held *h, struct store_vector *sum, struct err *err)
{
	const struct store_vector *v;
	const struct store_entry *was;
	struct store_entry e;
	size_t i, k;
	int rc = 0;

	for (i = 0; i < h->ntables; i++) {
		v = &h->vector[h->table[i].vector].v;
		for (k = 0; k < v->n && rc == 0; k++) {
			e = v->entry[k];
			memset(e.token, 0, sizeof e.token);
			was = vector_find(sum, e.site);
			e.version += was != NULL ? was->version : 0;
			rc = vector_set(sum, &e, err);
		}
	}
	return rc;
}

/* Of sites with two pasts no version tells whether there is news: it is that
 * there are two, and then each merge that brought something. */
static int
add_splits(sqlite3 *db, struct store_vector *any, struct store_vector *sum,
    struct err *err)
{
	const struct store_entry *known;
	struct store_entry e;
	struct split split;
	size_t i;
	int rc = split_load(db, &split, err);

	for (i = 0; i < split.n && rc == 0; i++) {
		memcpy(e.site, split.site[i].id, sizeof e.site);
		split_answer(&e);
		known = vector_find(any, e.site);
		e.version = known != NULL ? known->version : 1;
		rc = vector_set(any, &e, err);
		e.version = SPLIT_SUM + split.site[i].came;
		if (rc == 0)
			rc = vector_set(sum, &e, err);
	}
	split_clear(&split);
	return rc;
}

/* The newest of each site, our own included, and all of it together. */
static int
newest(struct store *s, struct store_vector *any, struct store_vector *sum,
    struct err *err)
{
	struct store_entry own;
	struct held h;
	int rc;

	memset(any, 0, sizeof *any);
	memset(sum, 0, sizeof *sum);
	rc = held_load(s->db, &h, err);
	if (rc == 0)
		rc = held_by_any(&h, any, err);
	if (rc == 0)
		rc = add_merged(s->db, any, err);
	if (rc == 0)
		rc = add_up(&h, sum, err);
	if (rc == 0)
		rc = add_splits(s->db, any, sum, err);
	if (rc == 0)
		rc = store_own_entry(s->db, &own, err);
	if (rc == 0)
		rc = vector_set(any, &own, err);
	held_clear(&h);
	return rc;
}

static bool
is_among(const struct store_entry *list, size_t n,
    const struct store_entry *e)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (memcmp(&list[i], e, sizeof *e) == 0)
			return true;
	return false;
}

/* Of each site that rose since the last call the newest, as much as fits; the
 * rest comes with the next one, because only what was told is noted. */
static int
tell(struct store_vector *told, const struct store_vector *now,
    const struct store_vector *newest, struct store_entry *out, size_t max,
    size_t *n, struct err *err)
{
	const struct store_entry *was, *e;
	size_t i;
	int rc = 0;

	for (i = 0; i < now->n && rc == 0 && *n < max; i++) {
		was = vector_find(told, now->entry[i].site);
		if (was != NULL && was->version >= now->entry[i].version)
			continue;
		e = vector_find(newest, now->entry[i].site);
		if (e != NULL && !is_among(out, *n, e))
			out[(*n)++] = *e;
		rc = vector_set(told, &now->entry[i], err);
	}
	return rc;
}

/* Where our log ends. */
static int
find_end(sqlite3 *db, struct log_end *end, struct err *err)
{
	uint8_t head[STORE_CURSOR_LEN];
	bool found;
	int rc;

	memset(end, 0, sizeof *end);
	rc = sql_bytes(db, head, sizeof head, &found, err,
	    "SELECT crsql_head()", "");
	if (rc != 0 || !found)
		return rc;
	memcpy(end->id, head, sizeof end->id);
	end->dbv = (int64_t)be64_get(head + sizeof end->id);
	return 0;
}

/* What has no site version (R1) moves no entry: if the log grew by such a thing,
 * peers are to ask.  It is told once, since the log grows by what won only: who
 * asks us because of it and had it already has nothing new to tell. */
static int
tell_unversioned(struct store *s, struct store_entry *out, size_t max,
    size_t *n, struct err *err)
{
	struct log_end *told = &s->told.log, now;
	struct store_entry e;
	int64_t any = 0;
	bool has_log;
	int rc = find_end(s->db, &now, err);

	if (rc == 0)
		rc = sql_has_table(s->db, "crsql_log", &has_log, err);
	if (rc == 0 && (memcmp(now.id, told->id, sizeof now.id) != 0 ||
	    now.dbv < told->dbv))
		memset(told, 0, sizeof *told);
	if (rc == 0 && has_log)
		rc = sql_int(s->db, &any, err, "SELECT EXISTS(SELECT 1 FROM "
		    "crsql_log WHERE dbv > ?1 AND dbv <= ?2 AND sver = 0)",
		    "ii", (int64_t)told->dbv, (int64_t)now.dbv);
	if (rc == 0 && any != 0)
		rc = store_own_entry(s->db, &e, err);
	if (rc != 0 || (any != 0 && *n == max))
		return rc;
	if (any != 0) {
		e.version += e.version == 0;
		split_answer(&e);
		out[(*n)++] = e;
	}
	*told = now;
	return 0;
}

static int
tell_news(struct store *s, struct store_entry *out, size_t max, size_t *n,
    struct err *err)
{
	struct store_vector any, sum;
	int rc = newest(s, &any, &sum, err);

	if (rc == 0)
		rc = tell(&s->told.any, &any, &any, out, max, n, err);
	/* News for who asked before a table had it. */
	if (rc == 0) {
		vector_meet(&s->told.sum, &sum);
		rc = tell(&s->told.sum, &sum, &any, out, max, n, err);
	}
	if (rc == 0)
		rc = tell_unversioned(s, out, max, n, err);
	store_vector_clear(&any);
	store_vector_clear(&sum);
	return rc;
}

static int
look(struct store *s, bool *changed, struct store_entry *out, size_t max,
    size_t *n, struct err *err)
{
	int64_t version;
	int rc;

	rc = fold(s, err);
	if (rc == 0)
		rc = fork_look(s, err);
	if (rc == 0)
		rc = retry_look(s, err);
	if (rc == 0)
		rc = sql_int(s->db, &version, err, "PRAGMA data_version", "");
	if (rc != 0)
		return rc;
	*changed = version != s->told.data_version ||
	    s->merges != s->told.merges;
	if (!*changed && !s->told.more)
		return 0;
	rc = tell_news(s, out, max, n, err);
	if (rc != 0)
		return rc;
	s->told.more = *n == max;
	s->told.data_version = version;
	s->told.merges = s->merges;
	return 0;
}

int
store_watch_begin(struct store *s, struct err *err)
{
	int rc;

	rc = sql_int(s->db, &s->told.data_version, err,
	    "PRAGMA data_version", "");
	if (rc == 0)
		rc = find_end(s->db, &s->told.log, err);
	return rc == 0 ? newest(s, &s->told.any, &s->told.sum, err) : rc;
}

int
store_changed(struct store *s, bool *changed, struct store_entry *out,
    size_t max, size_t *n, struct err *err)
{
	int rc;

	*changed = false;
	*n = 0;
	/* Called again soon if somebody writes: no reason to stand still. */
	sqlite3_busy_timeout(s->db, 0);
	rc = look(s, changed, out, max, n, err);
	sqlite3_busy_timeout(s->db, s->busy_ms);
	acked_write(s);
	heard_write(s);
	return rc;
}
