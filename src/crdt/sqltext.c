// SPDX-License-Identifier: MPL-2.0
/* sqltext.c - see sqltext.h. */
#include "crdt/sqltext.h"

#include <string.h>

#include "crdt/engine.h"

SQLITE_EXTENSION_INIT3

static bool
is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '_' || c == '$' || (c & 0x80) != 0;
}

const char *
sqltext_blank(const char *p)
{
	const char *end;

	for (;;) {
		while (*p != '\0' && strchr(" \t\n\r\f", *p) != NULL)
			p++;
		if (p[0] == '-' && p[1] == '-') {
			end = strchr(p, '\n');
		} else if (p[0] == '/' && p[1] == '*') {
			end = strstr(p + 2, "*/");
			end = end ? end + 1 : NULL;
		} else {
			return p;
		}
		p = end ? end + 1 : p + strlen(p);
	}
}

const char *
sqltext_token(const char *p)
{
	char close = *p == '[' ? ']' : *p;

	if (is_word(*p)) {
		while (is_word(*p))
			p++;
		return p;
	}
	if (*p != '\0' && strchr("'\"`[", *p) != NULL)
		for (p++; *p != '\0' && *p != close; p++)
			;       /* a doubled quote is one more token */
	return *p != '\0' ? p + 1 : p;
}

bool
sqltext_is(const char *from, const char *to, const char *word)
{
	return to - from == (ptrdiff_t)strlen(word) &&
	    sqlite3_strnicmp(from, word, (int)(to - from)) == 0;
}

/* What ends the item at p; *to is behind its last token. */
static const char *
skip_item(const char *p, const char **to)
{
	int depth = 0;

	*to = p;
	while (*p != '\0' && (depth > 0 || (*p != ',' && *p != ')'))) {
		depth += (*p == '(') - (*p == ')');
		*to = sqltext_token(p);
		p = sqltext_blank(*to);
	}
	return p;
}

bool
sqltext_item(const char *sql, int n, const char **from, const char **to)
{
	int i;

	sql = sqltext_blank(sql);
	while (*sql != '\0' && *sql != '(')
		sql = sqltext_blank(sqltext_token(sql));
	for (i = 0; *sql != '\0' && *sql != ')'; i++) {
		*from = sqltext_blank(sql + 1);
		sql = skip_item(*from, to);
		if (i == n)
			return true;
	}
	return false;
}

/* -- a default ------------------------------------------------------------- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_bare_word(const char *text)
{
	for (; *text != '\0'; text++) {
		if (!is_digit(*text) && *text != '_' &&
		    !(*text >= 'a' && *text <= 'z') &&
		    !(*text >= 'A' && *text <= 'Z'))
			return false;
	}
	return true;
}

void
sqltext_add_default(sqlite3_str *s, const char *text)
{
	static const char *const constants[] = { "null", "true", "false",
		"current_time", "current_date", "current_timestamp" };
	size_t i, n = sizeof constants / sizeof *constants;

	for (i = 0; i < n && sqlite3_stricmp(text, constants[i]) != 0; i++)
		;
	if (*text == '\0')
		sqlite3_str_appendall(s, "NULL");
	else if (i < n)
		sqlite3_str_appendall(s, text);
	else
		sqlite3_str_appendf(s, !is_bare_word(text) || is_digit(*text) ?
		    "(%s)" : "%Q", text);
}
