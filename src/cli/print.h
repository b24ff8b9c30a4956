// SPDX-License-Identifier: MPL-2.0
/*
 * print.h - how rows and their past are shown and read: values as SQL literals
 * and as JSON, who and when.  What is returned as char * is to be freed, has no
 * control characters, and is never NULL.
 */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include "cli/cli.h"

enum {
	CLI_SHORT = 60,         /* of a value, in one line among others */
	CLI_ENOUGH = 1          /* from a callback: nobody reads on, as main says */
};

/* A value as an SQL literal.  Of a text or blob of more than max bytes only the
 * beginning is shown, an ellipsis, and how long it is; 0: all of it. */
char *cli_literal(const ddcp_value *v, size_t max);

/* A value in JSON: null, number, string.  What JSON has no words for is an object
 * of one field: {"blob": HEX}, {"text": HEX} for a text that is no UTF-8,
 * {"real": "9e999"} for what is infinite. */
json_t *cli_value_json(const ddcp_value *v);

/* Cells as an object of name and value. */
json_t *cli_cells_json(const ddcp_cell *cell, size_t n);

/* Values of cells as literals, one after the other with ", " between. */
char *cli_literals(const ddcp_cell *cell, size_t n, size_t max);

/* Reads an SQL literal: NULL, a number, 'text', x'hex'.  false if it is none.
 * *bytes, to be freed, holds what v points to. */
bool cli_read_literal(const char *text, ddcp_value *v, char **bytes);

/* "bob@92"; the name alone where the version is not known. */
char *cli_author(const ddcp_author *author, uint64_t version);

/* Fields of an object that tell who and when: author, address, site, version,
 * time_ms. */
void cli_author_json(json_t *object, const ddcp_author *author,
    uint64_t version, int64_t time_ms);

/* "2026-11-27 06:50:01", by the clock of here; "unknown" for 0. */
const char *cli_time(int64_t ms, char out[32]);

/* "5 min ago"; "at an unknown time" for 0. */
const char *cli_age(int64_t ms, char out[32]);

/* -- change.c: transactions, and what they did ---------------------------------- */

/* A transaction: author, version, address, site, time_ms, db_version, token,
 * tables. */
json_t *cli_transaction_json(const ddcp_transaction *t);

/* Its counts in words: "tasks: 2 inserted, 1 changed; people: 1 deleted". */
char *cli_tallies(const ddcp_tally *tally, size_t n);

/* The table's name in a line of its own, if it is not the one before: *last, which
 * the caller frees at the end. */
void cli_heading(char **last, const char *table);

/* A change of one row: change, table, key, columns, author ..., db_version,
 * cursor. */
json_t *cli_change_json(const ddcp_change *c);
const char *cli_kind(enum ddcp_change_kind kind);       /* "insert" ... */

/* "+", "~" or "-", painted if that is wanted. */
char *cli_sign(const struct cli *cli, enum ddcp_change_kind kind);

/* A change of one row in a line: "~ 't1'  title: 'buy oat milk', done: 0". */
char *cli_change_line(const struct cli *cli, const ddcp_change *c);

/* A transaction as `log` shows it, in whichever form is asked for (log.c); the
 * count that an option gives, 0 for none, or DDCP_EUSAGE after saying why. */
void cli_print_transaction(const struct cli *cli, const ddcp_transaction *t);
int cli_read_count(const struct cli *cli, const char *option, uint64_t *out);

/* Never NULL: ends the program where memory is out. */
void *cli_memory(void *p);

#endif
