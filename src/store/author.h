// SPDX-License-Identifier: MPL-2.0
/*
 * author.h - sites as people name them: "me", a remote's name, the beginning of
 * an address, or of a site id where no key is known.
 */
#ifndef STORE_AUTHOR_H
#define STORE_AUTHOR_H

#include <sqlite3.h>

#include "store/past.h"

struct authors {
	struct author {
		struct store_author as;
		bool own, has_key;
		uint8_t key[KEY_LEN];
		bool chosen;            /* by authors_choose */
	} *list;
	size_t n;
};

/* Reads all that are known; authors_clear frees, also after failure. */
int authors_load(struct store *s, struct authors *a, struct err *err);
/* The same, as another connection sees it. */
int authors_load_of(const struct store *s, sqlite3 *db, struct authors *a,
    struct err *err);
void authors_clear(struct authors *a);

/* Copies who a site is; what was not known at authors_load is read anew. */
int authors_get(struct store *s, struct authors *a,
    const uint8_t site[static STORE_SITE_LEN], struct store_author *out,
    struct err *err);

/* Marks those that text names: one name or key may have several sites, and a
 * remote of which there is no change has none.  E_NOTFOUND, E_USAGE if it is the
 * beginning of two addresses. */
int authors_choose(struct store *s, struct authors *a, const char *text,
    struct err *err);
bool authors_chosen(const struct authors *a,
    const uint8_t site[static STORE_SITE_LEN]);

#endif
