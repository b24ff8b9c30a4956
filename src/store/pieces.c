// SPDX-License-Identifier: MPL-2.0
/*
 * pieces.c - a page that is larger than a frame comes in pieces.  They are
 * kept in the inbox, so that a cut loses nothing, and are put together when
 * all are there.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <zstd.h>

#include "store/inbox.h"
#include "store/pull.h"
#include "store/sql.h"
#include "store/store_private.h"

#define PAGE_MAX ((uint64_t)1 << 30)    /* doc/PROTOCOL.md section 6 */
enum { EXPANSION_MAX = 64, HASH_LEN = 16 };

/* -- in the inbox ------------------------------------------------------------- */

int
inbox_part(struct store *s, const uint8_t key[static KEY_LEN],
    struct part *out, struct err *err)
{
	sqlite3_stmt *stmt;
	bool there, row = false;
	int rc;

	memset(out, 0, sizeof *out);
	rc = inbox_open_if_there(s, &there, err);
	if (rc != 0 || !there)
		return rc;
	rc = sql_open(inbox_handle(s), &stmt, err, "SELECT hash, total, raw, "
	    "zipped, have FROM part WHERE remote = ?1", "b", key,
	    (size_t)KEY_LEN);
	if (rc == 0)
		rc = sql_next(stmt, &row, err);
	if (row) {
		sql_column(stmt, 0, out->hash, sizeof out->hash);
		out->total = (uint64_t)sqlite3_column_int64(stmt, 1);
		out->raw = (uint64_t)sqlite3_column_int64(stmt, 2);
		out->zipped = sqlite3_column_int(stmt, 3) != 0;
		out->have = (uint64_t)sqlite3_column_int64(stmt, 4);
	}
	sqlite3_finalize(stmt);
	return rc;
}

static int
remove_part(sqlite3 *db, const uint8_t key[static KEY_LEN], struct err *err)
{
	int rc;

	rc = sql_do(db, err, "DELETE FROM piece WHERE remote = ?1", "b", key,
	    (size_t)KEY_LEN);
	return rc != 0 ? rc : sql_do(db, err,
	    "DELETE FROM part WHERE remote = ?1", "b", key, (size_t)KEY_LEN);
}

int
inbox_part_begin(struct store *s, const uint8_t key[static KEY_LEN],
    const struct part *p, struct err *err)
{
	sqlite3 *db;
	int rc = inbox_open(s, err);

	if (rc != 0)
		return rc;
	db = inbox_handle(s);
	rc = sql_begin(db, err);
	if (rc != 0)
		return rc;
	rc = remove_part(db, key, err);
	if (rc == 0)
		rc = sql_do(db, err, "INSERT INTO part VALUES(?1, ?2, ?3, ?4, "
		    "?5, 0)", "bbiii", key, (size_t)KEY_LEN, p->hash,
		    sizeof p->hash, (int64_t)p->total, (int64_t)p->raw,
		    (int64_t)p->zipped);
	return sql_end(db, rc, err);
}

int
inbox_part_add(struct store *s, const uint8_t key[static KEY_LEN],
    uint64_t offset, const uint8_t *data, size_t len, struct err *err)
{
	sqlite3 *db = inbox_handle(s);
	int rc = sql_begin(db, err);

	if (rc != 0)
		return rc;
	rc = sql_do(db, err, "INSERT INTO piece(remote, at, data) "
	    "VALUES(?1, ?2, ?3)", "bib", key, (size_t)KEY_LEN, (int64_t)offset,
	    data, len);
	if (rc == 0)
		rc = sql_do(db, err, "UPDATE part SET have = ?2 "
		    "WHERE remote = ?1", "bi", key, (size_t)KEY_LEN,
		    (int64_t)(offset + len));
	return sql_end(db, rc, err);
}

int
inbox_part_remove(struct store *s, const uint8_t key[static KEY_LEN],
    struct err *err)
{
	sqlite3 *db = inbox_handle(s);
	int rc = sql_begin(db, err);

	return rc != 0 ? rc : sql_end(db, remove_part(db, key, err), err);
}

int
inbox_part_each(struct store *s, const uint8_t key[static KEY_LEN],
    int (*each)(void *self, const uint8_t *data, size_t len, struct err *err),
    void *self, struct err *err)
{
	sqlite3_stmt *stmt;
	bool row = true;
	int rc;

	rc = sql_open(inbox_handle(s), &stmt, err, "SELECT data FROM piece "
	    "WHERE remote = ?1 ORDER BY at", "b", key, (size_t)KEY_LEN);
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc == 0 && row)
			rc = each(self, sqlite3_column_blob(stmt, 0),
			    (size_t)sqlite3_column_bytes(stmt, 0), err);
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* -- as they come ---------------------------------------------------------------- */

static int
check_part(const struct part *p, uint64_t offset, size_t len,
    struct err *err)
{
	if (p->total == 0 || p->total > PAGE_MAX || p->raw > PAGE_MAX ||
	    p->raw < 1 || p->raw / EXPANSION_MAX > p->total ||
	    (!p->zipped && p->raw != p->total) || len == 0 ||
	    offset > p->total || len > p->total - offset)
		return err_set(err, E_INTEGRITY, NULL,
		    "a page in pieces has impossible lengths");
	return 0;
}

static bool
same_part(const struct part *a, const struct part *b)
{
	return memcmp(a->hash, b->hash, HASH_LEN) == 0 &&
	    a->total == b->total && a->raw == b->raw &&
	    a->zipped == b->zipped;
}

int
store_pull_piece(struct store_pull *p, const uint8_t hash[static 16],
    uint64_t total, uint64_t raw, bool zipped, uint64_t offset,
    const uint8_t *data, size_t len, uint64_t *have, struct err *err)
{
	struct part part = { .total = total, .raw = raw, .zipped = zipped };
	struct part here;
	int rc;

	*have = 0;
	memcpy(part.hash, hash, HASH_LEN);
	rc = check_part(&part, offset, len, err);
	if (rc == 0)
		rc = inbox_part(p->s, p->key, &here, err);
	if (rc == 0 && offset == 0) {
		/* The pages before it must not be lost by a cut, or the peer
		 * could not make this page again. */
		rc = pull_secure(p, err);
		if (rc == 0)
			rc = inbox_part_begin(p->s, p->key, &part, err);
	} else if (rc == 0 && (!same_part(&part, &here) ||
	    here.have != offset)) {
		rc = err_set(err, E_INTEGRITY, NULL,
		    "a piece of a page does not fit those before it");
	}
	if (rc == 0)
		rc = inbox_part_add(p->s, p->key, offset, data, len, err);
	if (rc == 0) {
		*have = offset + len;
		p->result.bytes += len;
	}
	return rc;
}

int
store_pull_partial(struct store_pull *p, uint8_t hash[static 16],
    uint64_t *have, struct err *err)
{
	struct part part;
	int rc = inbox_part(p->s, p->key, &part, err);

	memset(hash, 0, HASH_LEN);
	*have = rc == 0 && part.have < part.total ? part.have : 0;
	if (*have > 0)
		memcpy(hash, part.hash, HASH_LEN);
	return rc;
}

/* -- putting together --------------------------------------------------------------- */

struct joining {
	EVP_MD_CTX *hash;
	ZSTD_DStream *zip;      /* NULL: bytes are as they are */
	uint8_t *out;
	size_t len, max;
	bool ended;             /* the zstd frame is complete */
};

static int
broken(struct err *err)
{
	return err_set(err, E_INTEGRITY, "pull again",
	    "a page in pieces is damaged");
}

static int
expand(struct joining *j, const uint8_t *data, size_t len, struct err *err)
{
	ZSTD_inBuffer in = { data, len, 0 };
	ZSTD_outBuffer out = { j->out, j->max, j->len };
	size_t left, before;

	while (in.pos < in.size) {
		if (j->ended)
			return broken(err);
		before = in.pos + out.pos;
		left = ZSTD_decompressStream(j->zip, &out, &in);
		if (ZSTD_isError(left))
			return broken(err);
		j->ended = left == 0;
		/* No progress: there is more than was announced. */
		if (in.pos + out.pos == before)
			return broken(err);
	}
	j->len = out.pos;
	return 0;
}

static int
join_piece(void *self, const uint8_t *data, size_t len, struct err *err)
{
	struct joining *j = self;

	EVP_DigestUpdate(j->hash, data, len);
	if (j->zip != NULL)
		return expand(j, data, len, err);
	if (len > j->max - j->len)
		return broken(err);
	memcpy(j->out + j->len, data, len);
	j->len += len;
	return 0;
}

static int
join_all(struct store_pull *p, const struct part *part, struct joining *j,
    struct err *err)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	int rc;

	j->max = part->raw;
	j->out = malloc(part->raw);
	j->hash = EVP_MD_CTX_new();
	j->zip = part->zipped ? ZSTD_createDStream() : NULL;
	if (j->out == NULL || j->hash == NULL ||
	    (part->zipped && j->zip == NULL) ||
	    EVP_DigestInit_ex(j->hash, EVP_sha256(), NULL) != 1)
		return err_nomem(err);
	rc = inbox_part_each(p->s, p->key, join_piece, j, err);
	if (rc != 0)
		return rc;
	EVP_DigestFinal_ex(j->hash, digest, NULL);
	if (j->len != part->raw || (part->zipped && !j->ended) ||
	    memcmp(digest, part->hash, HASH_LEN) != 0)
		return broken(err);
	return 0;
}

int
store_pull_pieced(struct store_pull *p, struct err *err)
{
	struct joining j = { .out = NULL };
	struct part part;
	int rc, removed;

	rc = inbox_part(p->s, p->key, &part, err);
	if (rc == 0 && (part.total == 0 || part.have != part.total))
		rc = err_set(err, E_INTEGRITY, NULL,
		    "a page in pieces is not complete");
	if (rc == 0)
		rc = join_all(p, &part, &j, err);
	EVP_MD_CTX_free(j.hash);
	ZSTD_freeDStream(j.zip);
	/* Damaged or taken over: the pieces are of no more use. */
	if (rc == 0) {
		p->result.bytes -= part.raw;    /* counted as pieces */
		rc = pull_take(p, j.out, j.len, err);
		j.out = NULL;
	}
	free(j.out);
	if (rc == 0 || rc == E_INTEGRITY) {
		removed = inbox_part_remove(p->s, p->key, rc == 0 ? err : NULL);
		rc = rc == 0 ? removed : rc;
	}
	return rc;
}
