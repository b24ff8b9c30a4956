// SPDX-License-Identifier: MPL-2.0
/* author.c - see author.h. */
#include "store/author.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/sql.h"
#include "store/store_private.h"

enum {
	PREFIX_LEN = 5,         /* "VLD0:", "site:" */
	SHORT_LEN = 8,          /* of a key or site, as it is shown */
	SHORTEST = 4            /* ... and as it is understood */
};

/* -- reading ------------------------------------------------------------------------ */

static void
name_author(struct author *a, const char *remote)
{
	struct store_author *as = &a->as;
	int i, n;

	if (a->has_key)
		addr_format(a->key, as->address);
	if (a->own)
		strcpy(as->name, "me");
	else if (remote != NULL && strcmp(remote, "me") != 0)
		snprintf(as->name, sizeof as->name, "%s", remote);
	else if (a->has_key)
		snprintf(as->name, sizeof as->name, "%.*s", PREFIX_LEN + SHORT_LEN,
		    as->address);
	else
		for (n = sprintf(as->name, "site:"), i = 0; i < SHORT_LEN / 2; i++)
			n += sprintf(as->name + n, "%02x", as->site[i]);
}

static int
add_author(struct authors *a, sqlite3_stmt *stmt, struct err *err)
{
	struct author *p = realloc(a->list, (a->n + 1) * sizeof *p);

	if (p == NULL)
		return err_nomem(err);
	a->list = p;
	p = &a->list[a->n];
	memset(p, 0, sizeof *p);
	if (!sql_column(stmt, 0, p->as.site, STORE_SITE_LEN))
		return 0;
	p->has_key = sql_column(stmt, 1, p->key, KEY_LEN);
	p->own = sqlite3_column_int(stmt, 3) != 0;
	name_author(p, (const char *)sqlite3_column_text(stmt, 2));
	a->n++;
	return 0;
}

int
authors_load(struct store *s, struct authors *a, struct err *err)
{
	return authors_load_of(s, s->db, a, err);
}

int
authors_load_of(const struct store *s, sqlite3 *db, struct authors *a,
    struct err *err)
{
	uint8_t key[KEY_LEN];
	sqlite3_stmt *stmt = NULL;
	bool row = true;
	int rc;

	memset(a, 0, sizeof *a);
	rc = sql_has_table(db, "crsql_me", &row, err);
	store_public_key(s, key);
	if (rc == 0 && row)
		rc = sql_open(db, &stmt, err, "SELECT s.site_id, s.public_key, "
		    "r.name, s.public_key = ?1 OR s.ordinal IN "
		    "(SELECT ordinal FROM crsql_me) FROM crsql_site_id AS s "
		    "LEFT JOIN ddcp_remote AS r ON r.key = s.public_key "
		    "ORDER BY s.ordinal", "b", key, (size_t)KEY_LEN);
	while (rc == 0 && row) {
		rc = sql_next(stmt, &row, err);
		if (rc == 0 && row)
			rc = add_author(a, stmt, err);
	}
	sqlite3_finalize(stmt);
	return rc;
}

void
authors_clear(struct authors *a)
{
	free(a->list);
	memset(a, 0, sizeof *a);
}

static const struct author *
find(const struct authors *a, const uint8_t site[static STORE_SITE_LEN])
{
	size_t i;

	for (i = 0; i < a->n; i++)
		if (memcmp(a->list[i].as.site, site, STORE_SITE_LEN) == 0)
			return &a->list[i];
	return NULL;
}

int
authors_get(struct store *s, struct authors *a,
    const uint8_t site[static STORE_SITE_LEN], struct store_author *out,
    struct err *err)
{
	const struct author *p = find(a, site);
	struct authors now;
	int rc = 0;

	if (p == NULL) {
		rc = authors_load(s, &now, err);
		authors_clear(a);
		*a = now;
		p = find(a, site);
	}
	if (rc == 0 && p == NULL)
		rc = err_set(err, E_FATAL, "look with \"ddcp shell 'SELECT * FROM "
		    "crsql_check'\"", "a change is of a site that nothing is known "
		    "of");
	if (rc == 0)
		*out = p->as;
	return rc;
}

/* -- choosing ----------------------------------------------------------------------- */

/* The beginning of an address, with or without VLD0:, or of a site id. */
static bool
begins_so(const struct author *a, const char *text)
{
	char site[2 * STORE_SITE_LEN + 1];
	size_t len;
	int i;

	if (strncmp(text, "site:", PREFIX_LEN) == 0) {
		for (i = 0; i < STORE_SITE_LEN; i++)
			sprintf(site + 2 * i, "%02x", a->as.site[i]);
		len = strlen(text += PREFIX_LEN);
		return len >= SHORTEST && strncmp(site, text, len) == 0;
	}
	if (strncmp(text, "VLD0:", PREFIX_LEN) == 0)
		text += PREFIX_LEN;
	len = strlen(text);
	return len >= SHORTEST && a->has_key &&
	    strncmp(a->as.address + PREFIX_LEN, text, len) == 0;
}

static bool
same_author(const struct author *a, const struct author *b)
{
	return a->has_key && b->has_key && memcmp(a->key, b->key, KEY_LEN) == 0;
}

int
authors_choose(struct store *s, struct authors *a, const char *text,
    struct err *err)
{
	const struct author *first = NULL;
	struct store_remote remote;
	bool named = false;
	size_t i;

	for (i = 0; i < a->n; i++) {
		a->list[i].chosen = strcmp(a->list[i].as.name, text) == 0;
		named = named || a->list[i].chosen;
	}
	if (named || strcmp(text, "me") == 0 ||
	    store_remote_by_name(s, text, &remote, NULL) == 0)
		return 0;
	for (i = 0; i < a->n; i++) {
		if (!begins_so(&a->list[i], text))
			continue;
		if (first != NULL && !same_author(first, &a->list[i]))
			return err_set(err, E_USAGE, "give more of it",
			    "several begin with %s", text);
		first = &a->list[i];
		a->list[i].chosen = true;
	}
	return first != NULL ? 0 : err_set(err, E_NOTFOUND,
	    "authors are: me, the name of a remote, an address or its beginning",
	    "no change here is by %s", text);
}

bool
authors_chosen(const struct authors *a,
    const uint8_t site[static STORE_SITE_LEN])
{
	const struct author *p = find(a, site);

	return p != NULL && p->chosen;
}
