// SPDX-License-Identifier: MPL-2.0
/*
 * sync.h - what two nodes say to each other on one connection, as a pure state
 * machine: events go in, things to do come out.  No socket, clock, random
 * number or database inside; the same events give the same actions.
 *
 * Both sides are alike: each may pull from the other and serve it at the same
 * time, one pull per direction.  The order of things:
 *
 *   START, and at once PULL if that is wanted (both then go in one flight);
 *   BYTES come; the peer's HELLO gives CHECK_CLAIMS (if it claims anything),
 *   then OPENED.
 *
 *   Reading: PULL -> TAKE_PAGE or TAKE_PIECE, TAKEN ... -> TAKE_END, TAKEN ->
 *   PULL_OVER.  The server may want the vectors whole, or we turn out to be a
 *   copy: then NEED_PLAN -> PLAN comes before.
 *
 *   Serving: SERVE_BEGIN -> SERVING -> WANT_ROOM -> ROOM -> NEED_PAGE -> PAGE
 *   -> WANT_ROOM ... -> NEED_END -> END -> SERVE_END.
 *
 *   Verifying: DIGEST_SAY -> DIGEST_HEARD -> DIGEST_SAY ... -> DIGEST_STOP; the
 *   other side: DIGEST_ASKED -> DIGEST_ANSWER ... -> DIGEST_END.
 *
 *   Describing: SCHEMA_ASK -> SCHEMA; the other side: SCHEMA_ASKED -> SCHEMA.
 *
 * How to drive it: call sync_step(); send out->send; do out->action[] in
 * order; then, for each action that asks something, step with the answer
 * (later is fine, but each question has one answer, unless SERVE_END or
 * PULL_OVER has made it void).  A step with BYTES may use fewer bytes than it
 * is given: keep the rest, and give it again when the actions are done and
 * answered, as long as any is used.  Don't answer from inside the loop over
 * the actions with the same struct sync_actions: the step empties it.
 *
 * Pointers in an event are borrowed for the call, those in PAGE until the
 * next NEED_PAGE, NEED_END or SERVE_END.  Pointers in actions are valid until
 * the next step, and while the bytes of BYTES are.
 */
#ifndef SYNC_SYNC_H
#define SYNC_SYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "wire/limits.h"
#include "wire/msg.h"

struct sync;

enum {
	SYNC_HELLO_MS = 10000,          /* the peer's HELLO must be here */
	SYNC_KEEPALIVE_MS = 30000,      /* silence after which we ask */
	SYNC_DEAD_MS = 60000,           /* silence after which we give up */
	SYNC_PROBE_MS = 10000,          /* the same after PROBE */
	SYNC_LATE_MS = 5000,            /* a TIME later than that means that we
	                                   did not listen: no fault of the peer */
	SYNC_NEWS_MAX = 1024,           /* entries to be told of, not yet sent */
	SYNC_CHEAP_MAX = 256,           /* small requests answered between two
	                                   events TIME: more is an attack */
	SYNC_ACTIONS_MAX = 12,
};

enum sync_event_kind {
	/* -- the connection ---------------------------------------------- */

	/* The peer is who it should be and may come in. hello: what to say;
	 * its versions and frame_max are filled in here. */
	SYNC_ON_START,
	/* Instead of START: it may not. why: code and text go to it. */
	SYNC_ON_REFUSE,
	/* Decrypted bytes from the peer: data, len. */
	SYNC_ON_BYTES,
	/* Answers WANT_ROOM: the transport takes more. */
	SYNC_ON_ROOM,
	/* The time of the last TIMER has come (or just so). */
	SYNC_ON_TIME,
	/* The machine slept or has a new address: is the peer still there? */
	SYNC_ON_PROBE,
	/* End it, and tell the peer: why. */
	SYNC_ON_STOP,
	/* The transport has ended by itself: why. Nothing can be sent. */
	SYNC_ON_GONE,

	/* -- reading ------------------------------------------------------ */

	/* Pull now. plan: from the store, with whole vectors and their
	 * hashes, what to resume and the merged cursor; fetch_only; its id is
	 * filled in here. E_USAGE while another pull goes on. */
	SYNC_ON_PULL,
	/* Answers NEED_PLAN: plan. */
	SYNC_ON_PLAN,
	/* Answers TAKE_PAGE, TAKE_PIECE, TAKE_END: it is done. */
	SYNC_ON_TAKEN,
	/* The pull is given up, by the user or because the store failed (also
	 * an answer to NEED_PLAN and TAKE_*): why. PULL_OVER says the same. */
	SYNC_ON_PULL_STOP,

	/* -- serving ------------------------------------------------------ */

	/* Answers SERVE_BEGIN: the snapshot is open. */
	SYNC_ON_SERVING,
	/* Answers SERVE_BEGIN: a vector is not known by its hash; SERVE_BEGIN
	 * comes again when the peer has sent it. */
	SYNC_ON_SERVE_WHOLE,
	/* Answers SERVE_BEGIN, NEED_PAGE or NEED_END: it failed. why: code and
	 * text go to the peer. SERVE_END follows. */
	SYNC_ON_SERVE_FAILED,
	/* Answers NEED_PAGE: data, len (0: no page, only with last), last. */
	SYNC_ON_PAGE,
	/* Answers NEED_END: end, with as many groups as the pull had; its id
	 * is filled in here. */
	SYNC_ON_END,

	/* -- news, pushing ------------------------------------------------ */

	/* New here: entry, nentries. The peer is told, unless the connection
	 * is not open yet (then it asks anyway). */
	SYNC_ON_CHANGED,
	/* Ask the peer to fetch now; PUSHED follows. E_USAGE while another
	 * goes on. */
	SYNC_ON_PUSH,
	/* Answers PUSH_ASKED: pushed, without id. */
	SYNC_ON_PUSH_DONE,

	/* -- verifying: what is said is the store's business -------------- */

	/* We ask: data, len. Begins a new one if none of ours goes on. E_USAGE
	 * before OPENED. */
	SYNC_ON_DIGEST_SAY,
	/* We are done with ours, if there is one. */
	SYNC_ON_DIGEST_STOP,
	/* Answers DIGEST_ASKED: data, len. len 0: it is being worked on. */
	SYNC_ON_DIGEST_ANSWER,
	/* The peer's failed, or is given up: why. */
	SYNC_ON_DIGEST_FAILED,

	/* -- how tables are declared: the store's business, too ------------ */

	/* Ask the peer; SCHEMA follows. E_USAGE before OPENED, and while
	 * another goes on. */
	SYNC_ON_SCHEMA_ASK,
	/* Answers SCHEMA_ASKED: data, len; or why not. */
	SYNC_ON_SCHEMA,

	/* -- identity (R16) ----------------------------------------------- */

	/* Answers CHECK_CLAIMS: fork. */
	SYNC_ON_CLAIMS,
	/* Answers NEED_TOKENS: entry, nentries; none if there is none. */
	SYNC_ON_TOKENS,
	/* Answers FIND_COMMON: version. */
	SYNC_ON_COMMON,
	/* Answers DO_FORK: done. */
	SYNC_ON_FORKED,
};

struct sync_event {
	enum sync_event_kind kind;
	uint64_t now_ms;                /* always; never goes back */
	const struct wire_hello *hello;
	const struct err *why;
	const uint8_t *data;
	size_t len;
	const struct wire_pull *plan;
	bool last, fork;
	const struct wire_end *end;
	const struct wire_entry *entry;
	size_t nentries;
	const struct wire_pushed *pushed;
	uint64_t version;
};

enum sync_action_kind {
	/* The peer's HELLO is accepted and identities are settled: hello. */
	SYNC_DO_OPENED,
	/* Give TIME at at_ms; replaces the time wanted before. */
	SYNC_DO_TIMER,
	/* Give ROOM as soon as less than a page or two waits in the transport:
	 * at once, if that is so now. */
	SYNC_DO_WANT_ROOM,
	/* It is over: flush what is to be sent, then close. why; by_peer: it
	 * is the peer who said so. Comes once, as the last action of all. */
	SYNC_DO_CLOSE,

	/* Close the pull in hand, if any is left from before, and begin it
	 * anew (anew), or only say the same plan again. -> PLAN or PULL_STOP */
	SYNC_DO_NEED_PLAN,
	/* A page, checked and expanded: data, len; transferred bytes.
	 * -> TAKEN or PULL_STOP */
	SYNC_DO_TAKE_PAGE,
	/* Part of a page too large for memory: piece (its hash, total, raw,
	 * zipped, offset, bytes), not checked; with piece->last the page is
	 * complete. -> TAKEN or PULL_STOP */
	SYNC_DO_TAKE_PIECE,
	/* end, with as many groups as the plan had. -> TAKEN or PULL_STOP */
	SYNC_DO_TAKE_END,
	/* The pull is over: why->code 0, or why not. Until now the store must
	 * keep it open. */
	SYNC_DO_PULL_OVER,

	/* The peer pulls: pull. Its tables and vectors are borrowed.
	 * -> SERVING, SERVE_WHOLE or SERVE_FAILED */
	SYNC_DO_SERVE_BEGIN,
	/* -> PAGE of about max bytes, or SERVE_FAILED */
	SYNC_DO_NEED_PAGE,
	/* -> END or SERVE_FAILED */
	SYNC_DO_NEED_END,
	/* Close the snapshot, if there is one; complete: END is on its way.
	 * It may come before SERVE_BEGIN is answered, which then is void. */
	SYNC_DO_SERVE_END,

	/* The peer says that this is new: entry, nentries. */
	SYNC_DO_NOTIFIED,
	/* The peer asks us to pull now. -> PUSH_DONE */
	SYNC_DO_PUSH_ASKED,
	/* The answer to our PUSH: why (code 0 or E_*, text), and pushed for
	 * the numbers if the peer answered at all, else NULL. */
	SYNC_DO_PUSHED,

	/* The answer to DIGEST_SAY: data, len (0: it is being worked on). */
	SYNC_DO_DIGEST_HEARD,
	/* Ours is over: why. Not after DIGEST_STOP. */
	SYNC_DO_DIGEST_OVER,
	/* The peer asks: data, len; anew: a new one, what was before is over.
	 * -> DIGEST_ANSWER or DIGEST_FAILED, in time */
	SYNC_DO_DIGEST_ASKED,
	/* The peer's is over; DIGEST_ANSWER can't be any more. */
	SYNC_DO_DIGEST_END,

	/* The answer to SCHEMA_ASK: why (code 0, or why not); data, len. */
	SYNC_DO_SCHEMA,
	/* The peer asks. -> SCHEMA */
	SYNC_DO_SCHEMA_ASKED,

	/* Does what the peer holds of us exist here? entry, nentries.
	 * -> CLAIMS, or STOP */
	SYNC_DO_CHECK_CLAIMS,
	/* Own headers of the current incarnation with after < version <
	 * before: the newest, then at distances 1, 2, 4 ..., at most
	 * WIRE_TOKENS_MAX. -> TOKENS, or STOP */
	SYNC_DO_NEED_TOKENS,
	/* The highest of entry (all of one site) that is here with that
	 * token. -> COMMON, or STOP */
	SYNC_DO_FIND_COMMON,
	/* Continue as a new incarnation after version. -> FORKED, or STOP */
	SYNC_DO_FORK,
};

struct sync_action {
	enum sync_action_kind kind;
	const struct wire_hello *hello;
	uint64_t at_ms;
	const struct err *why;
	bool by_peer, anew, complete;
	const uint8_t *data;
	size_t len, transferred;
	const struct wire_page *piece;
	const struct wire_end *end;
	const struct wire_pull *pull;
	size_t max;
	const struct wire_entry *entry;
	size_t nentries;
	const struct wire_pushed *pushed;
	uint64_t after, before, version;
};

struct sync_actions {
	struct buf send;                /* first of all: to be sent */
	size_t used;                    /* of the bytes of BYTES */
	struct sync_action action[SYNC_ACTIONS_MAX];
	size_t n;
};

void sync_actions_init(struct sync_actions *a);
void sync_actions_clear(struct sync_actions *a);

struct sync_config {
	size_t frame_max;       /* that the network carries; 0: a stream */
};

int sync_new(const struct sync_config *config, struct sync **out,
    struct err *err);
void sync_free(struct sync *s);

/* One event. out is emptied and filled. 0; E_USAGE for an event that can't be
 * now (nothing happened); E_FATAL without memory, or where what the store gave
 * is beyond a limit: the connection is of no use then. A peer that misbehaves
 * is no error here but an action CLOSE. After CLOSE steps do nothing. */
int sync_step(struct sync *s, const struct sync_event *event,
    struct sync_actions *out, struct err *err);

/* Whether the peer's HELLO came and all is settled. */
bool sync_is_open(const struct sync *s);

/* How many bytes of pages the peer has sent so far, and what is here of a page, or
 * of an END or another message that comes in parts, whose end is not: while a
 * pull comes forward this changes. */
uint64_t sync_pull_bytes(const struct sync *s);

/* True while a page given by PAGE is not sent to its end: its bytes must stay. */
bool sync_holds_page(const struct sync *s);

/* Names, for traces. */
const char *sync_event_name(enum sync_event_kind kind);
const char *sync_action_name(enum sync_action_kind kind);

#endif
