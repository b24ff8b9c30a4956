// SPDX-License-Identifier: MPL-2.0
/* hello.c - what two databases tell of themselves first, and NOTIFY. */
#include <string.h>

#include <openssl/evp.h>

#include "store/held.h"
#include "store/split.h"
#include "store/sql.h"
#include "store/store_private.h"
#include "store/vector.h"

enum { SITES_MAX = 64 };

/* -- schema ------------------------------------------------------------------ */

static void
digest_text(EVP_MD_CTX *ctx, const unsigned char *text)
{
	/* The NUL goes in too, so that names can't run into each other. */
	if (text == NULL)
		text = (const unsigned char *)"";
	EVP_DigestUpdate(ctx, text, strlen((const char *)text) + 1);
}

/* Names, types and keys of what is replicated. */
static int
schema_digest(sqlite3 *db, uint8_t out[static 16], struct err *err)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t digest[EVP_MAX_MD_SIZE] = { 0 };
	sqlite3_stmt *stmt = NULL;
	bool any, row = true;
	int i, rc;

	if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(ctx);
		return err_nomem(err);
	}
	rc = sql_has_table(db, "crsql_tbl", &any, err);
	if (rc == 0 && any)
		rc = sql_open(db, &stmt, err, "SELECT t.name, c.name, c.type, "
		    "c.\"notnull\", c.pk FROM crsql_tbl AS t "
		    "JOIN pragma_table_info(t.name) AS c ORDER BY t.name, c.cid",
		    "");
	while (rc == 0 && stmt != NULL && row) {
		rc = sql_next(stmt, &row, err);
		for (i = 0; rc == 0 && row && i < 5; i++)
			digest_text(ctx, sqlite3_column_text(stmt, i));
	}
	sqlite3_finalize(stmt);
	EVP_DigestFinal_ex(ctx, digest, NULL);
	EVP_MD_CTX_free(ctx);
	memcpy(out, digest, 16);
	return rc;
}

/* -- hello --------------------------------------------------------------------- */

static int
own_sites(struct store *s, struct store_hello *out, struct err *err)
{
	struct store_entry own;
	struct store_own_site *o;
	sqlite3_stmt *stmt;
	bool row = true, found;
	int rc;

	/* The newest that end before the current one, oldest first. */
	rc = sql_open(s->db, &stmt, err, "SELECT incarnation, version, token "
	    "FROM (SELECT * FROM ddcp_own ORDER BY n DESC LIMIT ?1) ORDER BY n",
	    "i", (int64_t)SITES_MAX - 1);
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row)
			break;
		o = &out->own[out->nown++];
		sql_column(stmt, 0, o->incarnation, sizeof o->incarnation);
		o->version = (uint64_t)sqlite3_column_int64(stmt, 1);
		sql_column(stmt, 2, o->token, sizeof o->token);
	}
	sqlite3_finalize(stmt);
	if (rc == 0)
		rc = store_own_entry(s->db, &own, err);
	if (rc != 0)
		return rc;
	o = &out->own[out->nown++];
	o->version = own.version;
	memcpy(o->token, own.token, sizeof o->token);
	return sql_bytes(s->db, o->incarnation, sizeof o->incarnation, &found,
	    err, "SELECT value FROM ddcp_meta WHERE key = 'incarnation'", "");
}

/* The newest that was ever merged or held of one site. */
static int
newest_of(struct store *s, const struct store_vector *any,
    struct store_entry *e, struct err *err)
{
	const struct store_entry *held = vector_find(any, e->site);
	sqlite3_stmt *stmt;
	bool row;
	int rc;

	rc = sql_open(s->db, &stmt, err, "SELECT version, token FROM ddcp_site "
	    "WHERE site = ?1", "b", e->site, sizeof e->site);
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	if (rc == 0 && row) {
		e->version = (uint64_t)sqlite3_column_int64(stmt, 0);
		sql_column(stmt, 1, e->token, sizeof e->token);
	}
	sqlite3_finalize(stmt);
	if (rc == 0 && held != NULL && held->version > e->version)
		*e = *held;
	return rc;
}

static int
your_sites(struct store *s, const uint8_t peer[static KEY_LEN],
    struct store_hello *out, struct err *err)
{
	struct store_vector any = { 0 };
	sqlite3_stmt *stmt = NULL;
	struct split split;
	struct held h;
	bool row = true;
	int rc;

	rc = held_load(s->db, &h, err);
	if (rc == 0)
		rc = held_by_any(&h, &any, err);
	if (rc == 0)
		rc = split_load(s->db, &split, err);
	else
		memset(&split, 0, sizeof split);
	if (rc == 0)
		rc = sql_open(s->db, &stmt, err, "SELECT site_id FROM "
		    "crsql_site_id WHERE public_key = ?1 ORDER BY ordinal DESC "
		    "LIMIT ?2", "bi", peer, (size_t)KEY_LEN,
		    (int64_t)SITES_MAX);
	while (rc == 0 && row) {
		struct store_entry e = { .version = 0 };

		rc = sql_next(stmt, &row, err);
		if (rc != 0 || !row || !sql_column(stmt, 0, e.site,
		    sizeof e.site))
			continue;
		rc = newest_of(s, &any, &e, err);
		/* The peer has to become another site, then. */
		if (split_has(&split, e.site))
			split_answer(&e);
		if (rc == 0 && e.version > 0)
			out->yours[out->nyours++] = e;
	}
	sqlite3_finalize(stmt);
	split_clear(&split);
	store_vector_clear(&any);
	held_clear(&h);
	return rc;
}

int
store_hello(struct store *s, const uint8_t peer[static KEY_LEN],
    struct store_hello *out, struct err *err)
{
	bool found;
	int rc;

	memset(out, 0, sizeof *out);
	/* HELLO claims nothing: no reason to fail while somebody writes. */
	rc = fork_look(s, err);
	if (rc != 0 && rc != E_UNREACHABLE)
		return rc;
	store_only_look(s, true);
	rc = sql_bytes(s->db, out->head, sizeof out->head, &found, err,
	    "SELECT crsql_head()", "");
	if (rc == 0)
		rc = schema_digest(s->db, out->schema, err);
	if (rc == 0)
		rc = own_sites(s, out, err);
	if (rc == 0)
		rc = your_sites(s, peer, out, err);
	store_only_look(s, false);
	return rc;
}

/* -- notify --------------------------------------------------------------------- */

int
store_covers(struct store *s, const struct store_entry *entry, size_t n,
    bool *covered, struct err *err)
{
	struct store_vector all = { 0 };
	const struct store_entry *here;
	struct store_entry own;
	struct held h;
	size_t i;
	int rc;

	*covered = true;
	store_only_look(s, true);
	rc = store_own_entry(s->db, &own, err);
	if (rc == 0)
		rc = held_load(s->db, &h, err);
	else
		memset(&h, 0, sizeof h);
	if (rc == 0)
		rc = held_by_all(&h, &all, err);
	for (i = 0; i < n && rc == 0 && h.ntables > 0; i++) {
		here = memcmp(entry[i].site, own.site, STORE_SITE_LEN) == 0 ?
		    &own : vector_find(&all, entry[i].site);
		if (split_told(&entry[i]) || here == NULL ||
		    here->version < entry[i].version)
			*covered = false;
	}
	store_only_look(s, false);
	store_vector_clear(&all);
	held_clear(&h);
	return rc;
}
