// SPDX-License-Identifier: MPL-2.0
/*
 * store_faults.h - scripts of calls of the store that run while something fails at
 * each place in turn (fault_count.h): a call gives the right answer, or an error of
 * the right code with a sentence.  After an error nothing is half done, nothing is
 * leaked or left running, and the same call again, on the same handle, does all; a
 * new handle sees the same.  What is done stands in store_scripts.c: a script is
 * added there.
 */
#ifndef TESTS_STORE_FAULTS_H
#define TESTS_STORE_FAULTS_H

#include "fault_count.h"
#include "test_store_site.h"

/* Two databases, and what a script has told so far. */
struct world {
	struct site a, b;       /* b.file is "" where there is none */
	int64_t of_b, of_a;     /* as remotes of the other one */
	char said[16384];
	size_t len;
};

void world_say(struct world *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

struct store_step {
	/* 0 or the error; allocates nothing of its own. */
	int (*run)(struct world *w, struct err *err);
	bool in_parts;          /* if it fails a part may be done */
};

enum { STORE_STEPS_MAX = 14 };

struct store_script {
	const char *name;
	void (*make)(struct world *w);  /* files; what is open is closed then */
	struct store_step step[STORE_STEPS_MAX];
	bool closed;            /* the steps open what they need */
};

extern const struct store_script store_scripts[];
extern const int nstore_scripts;
/* Where they put their files. */
void store_scripts_in(const char *dir);

/* Runs all, or those whose name fits the pattern ONLY in the environment, while
 * things of that kind fail; those are written in rollback journal mode if so asked.
 * The number of tests that failed.  PLACES in the environment: so many places of a
 * script are tried, alone and with all that follow (3); 0: every one. */
int store_faults_run(const char *name, enum fault_kind kind, bool journal);

/* -- for who does something else with scripts ----------------------------------- */

/* Makes what the script begins with, and keeps it. */
void store_faults_begin(const struct store_script *s, struct world *w,
    bool journal);
/* Puts that back as it was; nothing is open. */
void store_faults_restore(struct world *w);
void store_faults_end(void);
void world_open(struct world *w);
void world_close(struct world *w);

/* What stands in a, as text, to be freed with sqlite3_free; "" if there is no such
 * file.  It is read by the open handle, else by one of its own. */
char *world_state(struct world *w);

/* Whether a opens, as a database with its key does. */
bool world_is_ours(const struct world *w);

/* Nothing is wrong with a and b, on handles of their own; not if a is no
 * database of ours. */
void world_is_well(struct world *w);

/* From now on the inbox may be damaged: what was not synced is lost with the power,
 * and it is fetched again. */
extern bool world_loses_inbox;

#endif
