// SPDX-License-Identifier: MPL-2.0
/*
 * veilid_script.h - a Veilid node that a test plays by: a stand-in that answers
 * as the real one does, with one record, routes and calls, and fails where it is
 * told to.  Time is the test's: it stands still while anything happens, and goes
 * on to the next timer when nothing does.
 */
#ifndef TESTS_VEILID_SCRIPT_H
#define TESTS_VEILID_SCRIPT_H

#include "veilid_party.h"
#include "veilid_stand_in.h"

enum script_fault {
	SCRIPT_NONE,
	SCRIPT_ERROR,           /* of that kind */
	SCRIPT_NULL,            /* null instead of the value */
	SCRIPT_ODD,             /* a value of another type */
	SCRIPT_LACKS,           /* an object without what belongs into it */
	SCRIPT_SILENCE,
	SCRIPT_LATE,            /* after the next answer, or 1 s */
	SCRIPT_NONSENSE,        /* what is no message */
	SCRIPT_HANG_UP,         /* the connection ends */
	SCRIPT_HALF,            /* within the answer */
	SCRIPT_INVALID_ID,      /* of the context */
	SCRIPT_FAULTS
};

#define SCRIPT_PLACE "VLD0:RRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRR"

struct script {
	/* what it does wrong: times answers to op, after skip that are right */
	const char *op, *kind;
	enum script_fault fault;
	size_t skip, times;

	bool attached;
	bool crosses;           /* an update that it is not attached goes before
				 * the first answer to GetState */
	bool other_names;       /* imported routes are named otherwise */
	bool hides;             /* calls by own routes are not told */
	size_t newer;           /* so many sets find something newer */
	size_t long_routes;     /* so many are longer than any that is known */

	/* the record */
	bool exists, open, watched, encrypted;
	char data[8192];        /* base64url, "" if never set */
	char writer[100];       /* of the last set */
	uint64_t until;         /* the watch, microseconds */

	size_t contexts, routes, released, imports, sets, gets, fresh, watches,
	    opens, makes, replies;
	char reply[64];         /* the last, base64url */
	char log[4096];         /* the operations, in order */

	struct stand_in at;
	struct party party;
	uv_loop_t loop;
	long late;              /* id of an answer that waits */
	char late_value[9000];
	long call;              /* id of a request that waits for a reply */
};

/* One at a time; party is at it. */
extern struct script s;

void script_init(void);
void script_clear(void);

/* The same as fixtures of cmocka. */
int script_set_up(void **state);
int script_tear_down(void **state);

/* Says an update: kind and members. */
void script_update(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A call by a route, as from elsewhere. */
void script_calls(const char *route, const char *bytes);

/* What a record of the party of that seed would be. */
void script_record(uint8_t seed, uint64_t expires, uint8_t token,
    size_t route_len, char out[static 8192]);

/* One turn; time goes on if nothing else does. */
void script_turn(void);

/* Milliseconds that have passed since SCRIPT_EPOCH (seconds since 1970). */
enum { SCRIPT_EPOCH = 1800000000 };
uint64_t script_ms(void);

/* Ends the program if it takes longer than a day. */
#define script_until(condition) do { \
	uint64_t from_ = script_ms(); \
	while (!(condition)) { \
		script_turn(); \
		if (script_ms() - from_ > 86400000) \
			fail_msg("never: %s; %s", #condition, s.log); \
	} \
} while (0)

void script_pass(uint64_t ms);

#endif
