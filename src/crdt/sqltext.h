// SPDX-License-Identifier: MPL-2.0
/*
 * sqltext.h - finding one's way in the text of a CREATE that SQLite has taken:
 * blanks, comments, names, parentheses.  Not a parser of SQL.
 */
#ifndef CRDT_SQLTEXT_H
#define CRDT_SQLTEXT_H

#include <stdbool.h>

/* Behind blanks and comments. */
const char *sqltext_blank(const char *p);

/* Behind the word, the quoted name or text, or the character at p. */
const char *sqltext_token(const char *p);

/* True if the token from..to is that word, in either case. */
bool sqltext_is(const char *from, const char *to, const char *word);

/* Item n, from 0, of the first list in parentheses: a column of a CREATE TABLE,
 * from its name to its last constraint.  False if there are not so many. */
bool sqltext_item(const char *sql, int n, const char **from, const char **to);

/* Appends a DEFAULT, as table_xinfo tells it, as an expression.  What was written
 * as a bare word is a string, constants by name and numbers excepted. */
struct sqlite3_str;
void sqltext_add_default(struct sqlite3_str *s, const char *text);

#endif
