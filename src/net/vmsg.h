// SPDX-License-Identifier: MPL-2.0
/*
 * vmsg.h - what a Veilid node says through its JSON API, as seen in one line:
 * an answer to a request, or an update.  Sockets and requests are not its
 * business.
 *
 * What is not known is left out of account: members, updates, whole kinds of
 * messages.  Errors are told apart by their kind, never by their text.  Bytes
 * are base64url, numbers of 64 bits are strings.
 *
 * Lines are bounded before anything is made of them, in length, depth and in
 * how many values they hold.
 */
#ifndef NET_VMSG_H
#define NET_VMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

enum {
	VMSG_LINE_MAX = 4 << 20,        /* the state of a node of 512 peers is
					 * below 1 MiB */
	VMSG_DEPTH_MAX = 64,            /* arrays and objects in each other */
	VMSG_VALUES_MAX = 1 << 17
};

/* ---- lines ---- */

/* Bytes as they come, and the lines in them. */
struct vlines {
	struct buf in;
	size_t taken;           /* bytes of lines that were handed out */
	size_t searched;        /* there is no line's end before */
};

void vlines_init(struct vlines *l);
void vlines_clear(struct vlines *l);

/* Appends bytes, which invalidates lines handed out.  E_FATAL without
 * memory. */
int vlines_add(struct vlines *l, const void *bytes, size_t len,
    struct err *err);

/* The next whole line, without its end: 1, or 0 if there is none yet.
 * E_INTEGRITY: it is, or will be, longer than VMSG_LINE_MAX. */
int vlines_next(struct vlines *l, const char **line, size_t *len,
    struct err *err);

/* ---- messages ---- */

enum vmsg_type {
	VMSG_OTHER,     /* not known: to be ignored */
	VMSG_ANSWER,
	VMSG_UPDATE
};

/* root is owned, the rest is part of it. */
struct vmsg {
	json_t *root;
	enum vmsg_type type;
	uint32_t id;            /* of an answer: the request's */
	const char *kind;       /* of an update */
};

/* Reads a line (blanks only: VMSG_OTHER).  E_INTEGRITY: it is no message, or
 * passes a bound; m is empty then. */
int vmsg_parse(const char *line, size_t len, struct vmsg *m,
    struct err *err);

/* Frees root; m may be empty, or zero. */
void vmsg_clear(struct vmsg *m);

/* ---- answers ---- */

enum vfault {
	VFAULT_NONE,
	VFAULT_TIMEOUT,         /* may have been done all the same */
	VFAULT_TRY_AGAIN,
	VFAULT_NO_CONNECTION,
	VFAULT_TARGET,          /* no such route */
	VFAULT_NOT_FOUND,       /* no such record */
	VFAULT_DOWN,            /* the node ends, or has not begun */
	VFAULT_HANDLE,          /* no such routing context */
	VFAULT_CLOSED,          /* the connection with the node broke; may have
				 * been done all the same */
	VFAULT_REFUSED          /* all others: repeating it won't help */
};

/* The value of an answer: 0, and what stands at "value", NULL if nothing does;
 * it is part of m.  Otherwise the node's error: *fault says which, and E_* is
 * E_NOTFOUND, E_REFUSED or, where trying again may help, E_UNREACHABLE. */
int vmsg_value(const struct vmsg *m, const json_t **value,
    enum vfault *fault, struct err *err);

/* ---- updates ---- */

enum vupdate_kind {
	VUPDATE_OTHER,          /* not known, or of no use here */
	VUPDATE_ATTACHMENT,
	VUPDATE_CALL,
	VUPDATE_MESSAGE,
	VUPDATE_ROUTES,
	VUPDATE_VALUE,
	VUPDATE_SHUTDOWN
};

/* All is part of the message; texts end in NUL and hold none. */
struct vupdate {
	enum vupdate_kind kind;
	bool ready;             /* ATTACHMENT: the public network is usable */
	const char *state;      /* ATTACHMENT: for people */
	const char *route;      /* CALL, MESSAGE: by which of our routes it
				 * came, "" if by none */
	const char *call;       /* CALL: what the answer has to name */
	const char *bytes;      /* CALL, MESSAGE: what was sent; VALUE: the
				 * first changed value, NULL if not said */
	const char *key;        /* VALUE: the record */
	const json_t *subkeys;  /* VALUE: an array of [first, last] */
	bool over;              /* VALUE: the record is watched no more */
	const json_t *dead;     /* ROUTES: array of our routes' ids */
	const json_t *dead_remote; /* ROUTES: of those imported */
};

/* What m, an update, says.  One that lacks what its kind has is OTHER. */
void vmsg_update(const struct vmsg *m, struct vupdate *out);

/* Whether text stands in an array of strings. */
bool vmsg_has(const json_t *array, const char *text);

/* The bytes of a base64url text, in new memory that the caller frees (never
 * NULL on success, also for none).  E_INTEGRITY: it is none, or more than
 * max bytes. */
int vmsg_bytes(const char *text, size_t max, uint8_t **out, size_t *len,
    struct err *err);

#endif
