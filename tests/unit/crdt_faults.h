// SPDX-License-Identifier: MPL-2.0
/*
 * crdt_faults.h - all that the engine does, done while something fails at each
 * place in turn: what fails says so and has done nothing, done again it does
 * all, and nothing is broken after it.  What fails is the test program's matter.
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
	bool spares_readers;    /* who writes nothing never meets it */
};

/* Runs all; the number of tests that failed. */
int faults_run(const char *name, const struct fault *fault);

#endif
