// SPDX-License-Identifier: MPL-2.0
/* marker.c - see marker.h. */
#include "crdt/marker.h"

#include <string.h>

#include "crdt/journal.h"

SQLITE_EXTENSION_INIT3

#define HEAD "CREATE TRIGGER \"%w__crsql_%s\" AFTER UPDATE OF "

int
marker_sql(const struct table *t, char **out)
{
	sqlite3_str *s = sqlite3_str_new(NULL);
	int i;

	sqlite3_str_appendf(s, HEAD, t->name,
	    journal_trigger_suffix(JOURNAL_COLUMNS_TRIGGER));
	for (i = 0; i < t->ncol; i++)
		sqlite3_str_appendf(s, "%s\"%w\"", i ? ", " : "", t->col[i].name);
	/* of keys alone there is nothing to tell */
	for (i = 0; i < t->npk && t->ncol == 0; i++)
		sqlite3_str_appendf(s, "%s\"%w\"", i ? ", " : "", t->pk[i].name);
	sqlite3_str_appendf(s, " ON \"%w\" WHEN 0 BEGIN SELECT '", t->name);
	for (i = 0; i < t->ncol; i++)
		sqlite3_str_appendf(s, "%s%d", i ? "," : "", t->col[i].cid);
	sqlite3_str_appendall(s, "'; END");
	return engine_text(s, SQLITE_OK, out);
}

/* Behind the name in quotes at p. */
static const char *
skip_name(const char *p)
{
	for (p++; *p != '\0' && (*p != '"' || p[1] == '"'); p++)
		p += *p == '"';
	return *p == '"' ? p + 1 : p;
}

bool
marker_begin(struct marker *m, const char *sql, const char *noted)
{
	char *head = sqlite3_mprintf(HEAD, noted,
	    journal_trigger_suffix(JOURNAL_COLUMNS_TRIGGER));
	size_t len = head != NULL ? strlen(head) : 0;
	const char *end = strrchr(sql, '\'');
	bool is = head != NULL && strncmp(sql, head, len) == 0 && end != NULL;

	sqlite3_free(head);
	if (!is)
		return false;
	m->name = sql + len;
	for (m->cid = end; m->cid[-1] != '\''; m->cid--)
		;
	return true;
}

bool
marker_next(struct marker *m, struct marker_column *out)
{
	const char *p;

	if (*m->name != '"' || *m->cid < '0' || *m->cid > '9')
		return false;
	out->quoted = m->name;
	out->cid = 0;
	for (p = m->cid; *p >= '0' && *p <= '9'; p++)
		out->cid = out->cid * 10 + (*p - '0');
	m->cid = p + (*p == ',');
	m->name = skip_name(m->name);
	if (*m->name == ',')
		m->name += strlen(", ");
	return true;
}

bool
marker_is(const struct marker_column *c, const char *name)
{
	const char *p = c->quoted + 1;

	for (; *name != '\0' && *p == *name; name++, p++)
		p += *p == '"';
	return *name == '\0' && *p == '"' && p[1] != '"';
}
