// SPDX-License-Identifier: MPL-2.0
/* follow.c - the log from a place on, for who watches it. */
#include <stdlib.h>
#include <string.h>

#include "store/history.h"
#include "store/rows.h"
#include "store/sql.h"
#include "store/store_private.h"

struct store_follow {
	struct store *s;
	struct authors authors;
	char *table;
	struct rows_wanted wanted;
	struct rows rows;
};

static int
begin(struct store_follow *f, const uint8_t *from, const char *table,
    struct err *err)
{
	bool found;
	int rc = 0;

	if (table != NULL)
		rc = history_table(f->s, table, &f->table, err);
	f->wanted.table = f->table;
	if (rc == 0)
		rc = authors_load(f->s, &f->authors, err);
	if (rc == 0 && from != NULL)
		memcpy(f->wanted.after, from, STORE_CURSOR_LEN);
	else if (rc == 0)
		rc = sql_bytes(f->s->db, f->wanted.after, STORE_CURSOR_LEN, &found,
		    err, "SELECT crsql_head()", "");
	return rc;
}

int
store_follow_begin(struct store *s, const uint8_t *from, const char *table,
    struct store_follow **out, struct err *err)
{
	struct store_follow *f = calloc(1, sizeof *f);
	int rc;

	*out = f;
	if (f == NULL)
		return err_nomem(err);
	f->s = s;
	store_fold(s);
	rc = begin(f, from, table, err);
	if (rc != 0) {
		store_follow_end(f);
		*out = NULL;
	}
	return rc;
}

int
store_follow_next(struct store_follow *f, const struct store_change **out,
    size_t *n, bool *again, struct err *err)
{
	int64_t pending = 0;
	int rc;

	*n = 0;
	rows_clear(&f->rows);
	store_fold(f->s);
	rc = rows_read(f->s, &f->authors, &f->wanted, &f->rows, err);
	if (rc == 0 && !f->s->readonly)
		rc = sql_int(f->s->db, &pending, err, "SELECT crsql_pending()", "");
	*again = pending > 0;
	*out = f->rows.change;
	*n = rc == 0 ? f->rows.n : 0;
	return rc;
}

void
store_follow_place(const struct store_follow *f,
    uint8_t place[static STORE_CURSOR_LEN])
{
	memcpy(place, f->wanted.after, STORE_CURSOR_LEN);
}

void
store_follow_end(struct store_follow *f)
{
	if (f == NULL)
		return;
	rows_clear(&f->rows);
	authors_clear(&f->authors);
	free(f->table);
	free(f);
}
