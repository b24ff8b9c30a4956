// SPDX-License-Identifier: MPL-2.0
/*
 * crdt_faults.h - scripts of SQL that run while something fails at each place in
 * turn: what fails says so and has done nothing, done again it does all, and
 * nothing is broken after it.  What fails is the test program's matter, what is
 * done stands in crdt_scripts.c.
 */
#ifndef TESTS_CRDT_FAULTS_H
#define TESTS_CRDT_FAULTS_H

#include "crdt_nodes.h"

struct fault {
	/* A database that begins with these bytes of a file. */
	void (*open)(struct node *n, const void *image, size_t len);
	void (*close)(struct node *n);
	/* From now on the operation after `at` others fails, and, if `all`, those
	 * that follow; none if at < 0. */
	void (*arm)(long at, bool all);
	/* Ends that; true if one failed. */
	bool (*disarm)(void);
	/* True for a code that may come of it. */
	bool (*excuses)(int rc);
	/* Run on each file that is begun with; "" for nothing. */
	const char *begin;
	int least;              /* so often at least it is met */
	bool locks_out;         /* it is another's lock: a read does without the
	                         * fold that it would begin with */
};

/* What is done: in a transaction of its own if it begins with BEGIN, else each
 * statement for itself. */
struct script {
	const char *name;
	const char *tables;     /* run on the file that is begun with */
	const char *plainly;    /* and by a program without the extension, behind or
	                         * instead of it */
	bool copied;            /* it is a copy made as text */
	const char *first;      /* run on each connection before anything fails */
	const char *sql;
	char *(*make)(const char *base);        /* or what returns it */
	const char *look;       /* what it is judged by, beside the changes */
	bool loading;           /* putting the engine there is part of it */
	bool reading;           /* nothing is written */
	bool folding;           /* it reads what waits for a fold */
	bool altering;          /* statements can't be said twice */
	bool finalizing;        /* afterwards there are the tables only */
};

/* What crdt_scripts.c has. */
extern const struct script scripts[];
extern const int nscripts;

/* Runs all, or those whose name fits the pattern ONLY in the environment; the
 * number of tests that failed.  PLACES in the environment: of the operations of
 * a script so many at the beginning fail one by one, and one in so many behind
 * (12). */
int faults_run(const char *name, const struct fault *fault);

#endif
