// SPDX-License-Identifier: MPL-2.0
/*
 * gc_settle.c - crsql_gc(least, most): when what everybody has may be forgotten.
 *
 * A row made again after its delete was forgotten begins at causal length 1, as a
 * new one.  Another delete of its first life, made by one who did not know of the
 * forgotten one yet, would kill it.  So what all had at a moment (least) becomes
 * the horizon only when all have what anybody had then (most): who made something
 * without knowing of a delete that all had, had made it by that moment.
 *
 * crsql_master has the pair that waits, as `settling`: two horizons.
 */
#include "crdt/gc.h"

#include <stdlib.h>
#include <string.h>

static int
by_id(const void *a, const void *b)
{
	const struct horizon_entry *x = a, *y = b;

	return memcmp(x->id, y->id, SITE_ID_LEN);
}

/* In order of ids, each once, none of version 0; to be freed with sqlite3_free. */
static struct horizon_entry *
sorted(const struct horizon_given *given, int *n)
{
	struct horizon_entry *list = sqlite3_malloc64(sizeof *list *
	    ((size_t)given->n + 1));
	struct rd r = given->entries;
	const uint8_t *id;
	int i, k = 0;

	*n = 0;
	if (list == NULL)
		return NULL;
	for (i = 0; i < given->n; i++) {
		horizon_next(&r, &id, &list[k].version);
		memcpy(list[k].id, id, SITE_ID_LEN);
		k += list[k].version > 0;
	}
	qsort(list, (size_t)k, sizeof *list, by_id);
	for (i = 0; i < k; i++) {
		if (*n > 0 && by_id(&list[*n - 1], &list[i]) == 0) {
			if (list[i].version > list[*n - 1].version)
				list[*n - 1].version = list[i].version;
			continue;
		}
		list[(*n)++] = list[i];
	}
	return list;
}

/* Whether the list, which is sorted, covers all of an ordered one. */
static bool
covers(const struct horizon_entry *list, int n,
    const struct horizon_given *given)
{
	struct rd r = given->entries;
	const uint8_t *id;
	int64_t version;
	int i, k = 0;

	for (i = 0; i < given->n; i++) {
		horizon_next(&r, &id, &version);
		while (k < n && memcmp(list[k].id, id, SITE_ID_LEN) < 0)
			k++;
		if (k == n || memcmp(list[k].id, id, SITE_ID_LEN) != 0 ||
		    list[k].version < version)
			return false;
	}
	return true;
}

/* The pair that waits: `had` and `there` point into the note. */
static int
read_waiting(struct engine *e, struct buf *note, bool *waits,
    struct horizon_given *had, struct horizon_given *there)
{
	sqlite3_stmt *stmt;
	struct rd r;
	int rc = engine_prepare(e, &stmt,
	    "SELECT value FROM crsql_master WHERE key = 'settling'");

	if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		buf_add(note, sqlite3_column_blob(stmt, 0),
		    (size_t)sqlite3_column_bytes(stmt, 0));
	rc = engine_finalize(stmt, rc);
	if (rc == SQLITE_OK && note->failed)
		rc = SQLITE_NOMEM;
	rd_init(&r, note->data, note->len);
	*waits = note->len > 0;
	if (rc == SQLITE_OK && *waits && (!horizon_take(&r, true, had) ||
	    !horizon_take(&r, true, there) || !rd_done(&r)))
		rc = engine_fail(e, SQLITE_CORRUPT,
		    "the note of what is to be forgotten is damaged");
	return rc;
}

static int
write_waiting(struct engine *e, const struct horizon_entry *least, int nleast,
    const struct horizon_entry *most, int nmost)
{
	sqlite3_stmt *stmt = NULL;
	struct buf note;
	int rc;

	buf_init(&note, INT32_MAX);
	horizon_encode(least, nleast, &note);
	horizon_encode(most, nmost, &note);
	rc = note.failed ? SQLITE_NOMEM : engine_prepare(e, &stmt,
	    "INSERT OR REPLACE INTO crsql_master VALUES('settling', ?1)");
	if (rc == SQLITE_OK) {
		sqlite3_bind_blob(stmt, 1, note.data, (int)note.len,
		    SQLITE_STATIC);
		rc = engine_run(e, stmt);
	}
	sqlite3_finalize(stmt);
	buf_clear(&note);
	return rc;
}

int
gc_settle(struct engine *e, const struct horizon_given *least,
    const struct horizon_given *most, struct buf *note,
    struct horizon_given *settled)
{
	struct horizon_given there = { .n = 0 };
	int nleast, nmost, rc;
	struct horizon_entry *a = sorted(least, &nleast);
	struct horizon_entry *b = sorted(most, &nmost);
	bool waits = false, ready;

	settled->n = 0;
	rc = a != NULL && b != NULL ?
	    read_waiting(e, note, &waits, settled, &there) : SQLITE_NOMEM;
	ready = rc == SQLITE_OK && waits && covers(a, nleast, &there);
	if (rc == SQLITE_OK && (ready || !waits))
		rc = write_waiting(e, a, nleast, b, nmost);
	if (!ready)
		settled->n = 0;
	sqlite3_free(a);
	sqlite3_free(b);
	return rc;
}
