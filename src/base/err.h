// SPDX-License-Identifier: MPL-2.0
/*
 * err.h - error codes, and the sentence and hint that go with one.
 *
 * Every function that can fail returns int: 0 is success, a negative E_* is
 * the error.  The code is the negated exit code of the command line, so
 * there is one list of kinds for program, library and user.  What went wrong
 * in words is put into a struct err at the place where it was noticed, and
 * nowhere else; callers pass it on untouched.  Nothing here prints.
 *
 * Argument order, here and in all of ddcp: object, inputs, outputs; a length
 * follows its pointer; struct err * is last.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

enum {
	E_OK = 0,
	E_DIFFERENT = -1,   /* the answer is "different" */
	E_NOTFOUND = -2,    /* remote, table, key */
	E_EXISTS = -3,      /* name or thing is there already */
	E_UNREACHABLE = -4, /* nobody there, locked, timed out: try again */
	E_REFUSED = -5,     /* the other side said no */
	E_HELD = -6,        /* done, but something was held, parked, refused */
	E_INTEGRITY = -7,   /* wrong key, broken data; nothing was applied */
	E_HORIZON = -8,     /* too far behind: clone again */
	E_FATAL = -128,     /* read-only, disk full, no memory, not a database */
	E_USAGE = -129,     /* bad key, bad argument, unknown verb */
	E_INTERRUPTED = -130
};

enum { ERR_TEXT_MAX = 512, ERR_HINT_MAX = 256 };

struct err {
	int code;                 /* E_*; 0 while nothing was noticed */
	char text[ERR_TEXT_MAX];  /* a plain sentence without full stop */
	char hint[ERR_HINT_MAX];  /* what to do about it; "" for none */
	bool locked;              /* somebody held a lock: it may be free soon;
	                           * set after err_set() */
};

/* Notes code, sentence (printf-like) and hint (NULL for none) in err, which
 * may be NULL, and returns code.  Text that is too long is cut at a UTF-8
 * boundary; bytes that are no UTF-8 become question marks. */
int err_set(struct err *err, int code, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* err_set for "out of memory" (E_FATAL). */
int err_nomem(struct err *err);

/* Forgets what was noted. */
void err_clear(struct err *err);

/* The gravest of two codes, in the order the manual gives for several
 * remotes: integrity, horizon, refused, unreachable, held, others, 0. */
int err_gravest(int a, int b);

#endif
