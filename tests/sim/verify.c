// SPDX-License-Identifier: MPL-2.0
#include "verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/peer.h"

enum { ROWS = 64 };             /* a step */

/* d[0] asks; each says what it has to say until that one knows. */
static int
talk(struct store_digest *d[2], struct err *err)
{
	enum store_digest_state state = STORE_DIGEST_WORKS;
	const uint8_t *data;
	size_t len;
	int i, rc = 0;

	for (i = 0; rc == 0 && state != STORE_DIGEST_DONE; i = !i) {
		rc = store_digest_step(d[i], ROWS, &state, &data, &len, err);
		if (rc == 0 && state == STORE_DIGEST_SAYS)
			rc = store_digest_take(d[!i], data, len, err);
	}
	return rc;
}

static void
print_found(const struct site *a, const struct site *b,
    const struct store_compared *c)
{
	size_t i;

	for (i = 0; i < c->nfound; i++)
		printf("# %s verifies %s: %s %s, kind %d\n", a->name, b->name,
		    c->found[i].table, c->found[i].name, (int)c->found[i].kind);
}

static int
remote_of(struct site *s, const struct site *other, int64_t *id)
{
	struct store_remote r;
	int rc = store_remote_by_key(s->store, other->key, &r, NULL);

	*id = rc == 0 ? r.id : 0;
	return rc;
}

uint64_t
verify_pair(struct site *a, struct site *b, bool print)
{
	struct store_digest *d[2] = { NULL, NULL };
	struct store_compared c = { .rows = 0 };
	struct err err = { .code = 0 };
	int64_t of_a, of_b;
	int rc;

	if (a->store == NULL || b->store == NULL
	    || remote_of(a, b, &of_a) != 0 || remote_of(b, a, &of_b) != 0)
		return 0;
	rc = store_digest_ask(a->store, of_a, &d[0], &err);
	if (rc == 0)
		rc = store_digest_answer(b->store, of_b, &d[1], &err);
	if (rc == 0)
		rc = talk(d, &err);
	if (rc == 0)
		store_digest_result(d[0], &c);
	else if (print || (rc != E_UNREACHABLE && rc != E_HORIZON))
		printf("# %s verifies %s: %d %s\n", a->name, b->name, rc,
		    err.text);
	if (print)
		print_found(a, b, &c);
	store_digest_close(d[0]);
	store_digest_close(d[1]);
	return c.differ + c.here + c.there;
}

uint64_t
verify_all(struct world *w, bool print)
{
	uint64_t n = 0;
	int i, j;

	for (i = 0; i < w->nsites; i++)
		for (j = 0; j < w->nsites; j++)
			if (i != j)
				n += verify_pair(&w->site[i], &w->site[j],
				    print);
	return n;
}

bool
verify_spoil(struct site *s)
{
	sqlite3 *db;
	bool any = false;

	if (sqlite3_open(s->file, &db) == SQLITE_OK) {
		sqlite3_busy_timeout(db, 1000);
		sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
		any = sqlite3_exec(db, "UPDATE numbers SET x = coalesce(x, '') || "
		    "'spoilt' WHERE id = (SELECT max(id) FROM numbers)", NULL, NULL,
		    NULL) == SQLITE_OK && sqlite3_changes(db) == 1;
	}
	sqlite3_close(db);
	return any;
}
