// SPDX-License-Identifier: MPL-2.0
/*
 * event.h - what a node tells its owner, and what an exchange asks and
 * answers.  Strings are never NULL and valid during the callback only.
 */
#ifndef NODE_EVENT_H
#define NODE_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order of enum ddcp_event_kind. */
enum node_event_kind {
	NODE_LISTENING,     /* place: HOST:PORT, or "veilid" */
	NODE_CONNECTED,     /* remote, place */
	NODE_DISCONNECTED,  /* remote, text */
	NODE_CHANGED,       /* transactions: committed here */
	NODE_PULLED,        /* remote: merged from it: transactions, rows */
	NODE_FETCHED,       /* remote: fetched, not merged */
	NODE_SENT,          /* remote: rows sent to it */
	NODE_KNOCK,         /* address, place */
	NODE_TABLES,        /* text: a table is replicated now, or no more */
	NODE_TROUBLE,       /* remote or "", text, hint; place "veilid" where it is
			     * about that network */
	NODE_LOCKED,        /* another program holds the database's lock */
	NODE_UNLOCKED,      /* no more; elapsed_ms */
	NODE_CONFLICTS,     /* remote: rows: conflicts that it brought */
	NODE_PUBLISHED      /* place "veilid": others can find it there; text: the
			     * node's version */
};

struct node_event {
	enum node_event_kind kind;
	const char *remote, *address, *place, *text, *hint;
	uint64_t transactions, rows, bytes;
	int64_t elapsed_ms;
};

typedef void node_event_fn(void *self, const struct node_event *event);

enum exchange_verb {
	EXCHANGE_FETCH, EXCHANGE_MERGE, EXCHANGE_PULL, EXCHANGE_PUSH,
	EXCHANGE_VERIFY, EXCHANGE_WAIT,
	EXCHANGE_SCHEMA         /* how its tables are declared */
};

struct store_compared;

struct exchange_result {        /* of one remote */
	const char *remote;
	int code;               /* 0 or E_* */
	const char *error, *hint, *path;
	uint64_t transactions, rows, bytes, parked, held;
	bool peer_merges;
	bool lost;              /* the connection ended before its end */
	const struct store_compared *compared;  /* verify; else NULL */
	const uint8_t *schema;  /* SCHEMA; else NULL */
	size_t schema_len;
};

struct exchange_progress {
	const char *remote, *stage;
	uint64_t rows, transactions, bytes, total;
	int64_t elapsed_ms;
};

struct exchange {
	enum exchange_verb verb;
	const char *remote;     /* NULL: all */
	uint32_t timeout_ms;    /* without any progress; WAIT: in all, 0: none */
	bool allow_delete;      /* merge: whatever merge.max-delete says */
	/* Either may be NULL; nonzero ends the exchange with that value. */
	int (*progress)(void *self, const struct exchange_progress *p);
	int (*result)(void *self, const struct exchange_result *r);
	void *self;
};

#endif
