// SPDX-License-Identifier: MPL-2.0
/*
 * session_state.h - what hub.c, session.c and the files of what a session
 * does for its conversation share.  Nobody else includes it.
 */
#ifndef NODE_SESSION_STATE_H
#define NODE_SESSION_STATE_H

#include "chan/chan.h"
#include "net/net.h"
#include "node/convert.h"
#include "node/session.h"
#include "store/store.h"
#include "sync/sync.h"

/* What a session wants to do when it is its turn. */
enum wish { WISH_NONE, WISH_FETCH, WISH_PULL };

/* A pull of ours that goes on. */
struct pulling {
	bool on;
	bool fetch_only;
	struct store_pull *pull;
	struct store_plan plan;
	struct wire_pull asked;         /* the same, for the wire */
	struct store_result got;
	uint64_t started_ms, bytes;
	bool ended;                     /* got is what END gave */
	bool for_push;                  /* the peer waits to be told */
	bool beside;                    /* slow: it has no turn any more */
	bool silent;                    /* given up, since nothing comes */
	bool put_back;                  /* to go on in another turn */
	uint64_t look_ms;               /* how it comes forward is looked at */
	uint64_t seen_bytes;            /* sync_pull_bytes(), then */
	uint64_t came_ms;               /* some came last */
};

/* A pull of the peer that goes on. */
struct serving {
	struct store_reading *reading;  /* NULL: none */
	struct store_end end;
	struct wire_end said;           /* the same, for the wire */
	uint64_t started_ms, bytes;
	unsigned in_a_row;              /* pages without a look at others */
	uint64_t pause_ms;              /* the reader is slow: then pause */
};

/* A verification, of ours or of the peer. */
struct digesting {
	struct store_digest *digest;    /* NULL: none */
	bool works;                     /* steps are wanted */
	uint64_t told_ms;               /* the peer heard of it then */
	uint64_t silent_ms;             /* of the peer, before that, in all */
	uint64_t started_ms;
};

/* Answers to the actions of one step, to be given after all of them. */
struct talk_answer {
	struct sync_event event;
	struct err why;
};

enum { TALK_ANSWERS_MAX = SYNC_ACTIONS_MAX };

struct talk {
	struct talk_answer answer[TALK_ANSWERS_MAX];
	size_t n;
	struct talk_answer spare;       /* for what is one too many */
	bool full;
};

struct session {
	struct hub *hub;
	struct session *next;
	struct net_conn *conn;          /* NULL once it is over */
	struct chan *chan;
	struct sync *sync;
	struct sync_actions actions;
	bool talking;                   /* inside a step */
	bool pumping;                   /* giving bytes to steps */
	uint64_t talk_ms;               /* sync wants to know the time then */
	bool wants_room;                /* sync waits for ROOM */
	uint64_t again_ms;              /* a pull that failed is due then */
	bool caller;                    /* we called */
	bool identified, known, open;
	struct wire_entry *tokens;      /* of an answer */
	struct convert_hello *hello;    /* same */
	bool dead;                      /* over: the next tick tells and frees */
	struct err why;                 /* it is over */
	bool blocked;                   /* sync was told that we can't send */
	uint64_t slow_ms;               /* it is given up then; or HUB_NEVER */
	struct store_remote remote;     /* valid if known, or caller */
	uint8_t key[KEY_LEN];           /* wanted, or proven */
	char place[PLACE_MAX];
	bool far;                       /* over a network that is slower */
	uint64_t born_ms, open_ms;
	uint64_t timer_ms;              /* session_tick() is due; or HUB_NEVER */
	uint64_t turn;                  /* when it last pulled, or came */
	unsigned silent;                /* pulls that were given up */
	bool held;                      /* the last one, for conflicts */
	uint64_t rest_ms;               /* no other one before, unless asked */
	const struct session_events *events;
	void *owner;
	enum wish wish;
	struct job *jobs;               /* waiting and running, in order */
	struct pulling pulling;
	struct serving serving;
	struct digesting asking, answering;
	bool schema_asked;              /* by us, and not answered */
	uint8_t *described;             /* of an answer to the peer's */
	bool push_asked;                /* the peer wants us to pull now */
	bool push_ready;                /* and can be told of it */
	struct wire_pushed push_said;
	struct err push_why;
	bool pushing;                   /* it was asked to pull */
	bool probe;                     /* is the peer still there? */
};

enum { HUB_SEEN_MAX = 64 };

struct hub_seen {
	uint8_t site[STORE_SITE_LEN];
	uint64_t version;
};

struct hub {
	struct store *store;
	struct hub_env env;
	struct hub_options options;
	struct chan_identity *identity;
	struct session *sessions;
	size_t nsessions;
	uint64_t last_turn;             /* counts turns, see session.turn */
	struct {                        /* hub_lock.c */
		bool on;
		uint64_t since_ms;
		uint64_t look_ms;       /* not before that */
		struct err why;
	} lock;
	bool look;                      /* we merged: peers want to know */
	uint64_t tables;                /* hash of the names replicated */
	bool tables_known;
	uint64_t conflict;              /* the newest one that was told of */
	uint64_t wake_ms;
	uint64_t knock_minute;
	unsigned knocks;
	struct hub_seen seen[HUB_SEEN_MAX]; /* newest version told of */
	size_t nseen;
};

/* ---- hub.c ---- */

static inline uint64_t
hub_now(const struct hub *h)
{
	return h->env.now_ms(h->env.self);
}

static inline int64_t
hub_date(const struct hub *h)
{
	return h->env.date_ms(h->env.self);
}

/* Makes hub_tick() come at that time at the latest. */
void hub_wake(struct hub *h, uint64_t at_ms);

void hub_emit(struct hub *h, const struct node_event *event);

/* A stranger called. */
void hub_knock(struct hub *h, const uint8_t key[static KEY_LEN],
    const char *place);

/* s is open.  Of two sessions with one peer only one is kept: false if that is
 * the other, and s is to end. */
bool hub_admit(struct hub *h, struct session *s);

/* What is new here, to all peers; ours: by our own merge, of which no event
 * is made. */
void hub_look(struct hub *h, bool ours, bool *again);

/* ---- hub_turn.c: whose turn it is to pull ---- */

/* Whether another pull may begin now. */
bool hub_may_pull(struct hub *h);
void hub_take_turn(struct hub *h, struct session *s);

/* Lets pull who may. */
void hub_give_turns(struct hub *h);

/* When that is to be done again; HUB_NEVER. */
uint64_t hub_turns_due(struct hub *h);

/* ---- hub_lock.c: the database is locked by another program ---- */

/* A pull found it locked: why. */
void hub_lock_found(struct hub *h, const struct err *why);

/* Whether somebody may pull now. */
bool hub_lock_allows(struct hub *h);

/* Something was written, or is not to be any more. */
void hub_lock_over(struct hub *h);

/* ---- session.c ---- */

/* Time has passed. */
void session_tick(struct session *s, uint64_t now_ms);

/* It is over; the next tick tells whom it concerns.  Flushes what the channel
 * holds if that is any use. */
void session_over(struct session *s, const struct err *why);

/* Encrypts and sends; bytes that the transport does not take now wait in the
 * channel. */
void session_send(struct session *s, const uint8_t *bytes, size_t len);

/* The peer is known and said HELLO. */
void session_opened(struct session *s);

/* Frees s; it is over, or the hub is. */
void session_free(struct session *s);

/* Tells of the end; before session_free(), from hub_tick() only. */
void session_report(struct session *s);

/* Makes session_tick() come at that time at the latest. */
void session_wake(struct session *s, uint64_t at_ms);

/* Whether the transport takes a page now. */
bool session_has_room(const struct session *s);

/* Gives what has been decrypted to the conversation. */
void session_pump(struct session *s);

/* ---- session_talk.c: events to sync, and what comes of them ---- */

/* The first event: the peer may come in, or may not. */
void talk_start(struct session *s);
void talk_refuse(struct session *s);

/* One event, and all that follows from it. */
void talk(struct session *s, const struct sync_event *event);

/* Bytes of the peer; how many were used. */
size_t talk_bytes(struct session *s, const uint8_t *bytes, size_t len);

/* Says good-bye with that code and text. */
void talk_end(struct session *s, const struct err *why);

/* What has waited for its time, or for room. */
void talk_time(struct session *s, uint64_t now_ms);

/* Notes an answer to the step that goes on; its text is why, if any. */
struct sync_event *talk_answer(struct talk *t, enum sync_event_kind kind,
    const struct err *why);

/* ---- session_pull.c ---- */

/* Whether s has something to ask of its peer, and is not at it. */
bool session_wants_turn(const struct session *s);

/* Wants to pull as its remote is set. */
void session_follow(struct session *s);

/* It is its turn to pull. */
void session_take_turn(struct session *s);

/* Looks how the pull comes forward: it may lose its turn, or be given up. */
void pull_time(struct session *s, uint64_t now_ms);

/* Others wait: it goes on in another turn. */
void pull_put_back(struct session *s);

/* The peer has something that is new here, or wants to be pulled from. */
void pull_notified(struct session *s, const struct wire_entry *entry,
    size_t n);
void pull_push_asked(struct session *s, struct talk *t);

void pull_need_plan(struct session *s, bool anew, struct talk *t);
void pull_take_page(struct session *s, const struct sync_action *a,
    struct talk *t);
void pull_take_piece(struct session *s, const struct sync_action *a,
    struct talk *t);
void pull_take_end(struct session *s, const struct sync_action *a,
    struct talk *t);
void pull_over(struct session *s, const struct err *why);

/* ---- session_job.c: what the owner of the node asked for ---- */

/* Jobs that a pull of this kind answers are running from now on. */
void jobs_start(struct session *s, bool fetch_only);
bool jobs_want(const struct session *s, enum exchange_verb verb);
void jobs_progress(struct session *s, const struct exchange_progress *p);
void jobs_pulled(struct session *s, const struct err *why);
/* The pull is to be made again; what it got counts. */
void jobs_again(struct session *s);
void jobs_pushed(struct session *s, const struct err *why,
    const struct wire_pushed *pushed);
/* Asks the peer to pull, if somebody wants that. */
void jobs_push(struct session *s);
/* The session is over: so are they. */
void jobs_over(struct session *s, const struct err *why);

/* The peer said what it holds, or how far it has merged us (n 0): who waits for
 * that is told, or asks the peer to pull. */
void jobs_heard(struct session *s, const struct store_entry *entry,
    size_t n);

/* A verification is answered: compared, or why not. */
void jobs_verified(struct session *s, const struct err *why,
    const struct store_compared *compared);
/* Jobs that want one are running from now on; whether any is. */
bool jobs_verify(struct session *s);
bool jobs_verifying(const struct session *s);
void jobs_compared(struct session *s, const struct exchange_progress *p);

/* Jobs that want to know how the peer's tables are declared are running from now
 * on; whether any is.  And the answer. */
bool jobs_schema(struct session *s);
void jobs_described(struct session *s, const struct err *why,
    const uint8_t *data, size_t len);

/* ---- session_schema.c ---- */

void schema_time(struct session *s);
void schema_came(struct session *s, const struct sync_action *a);
void schema_asked(struct session *s, struct talk *t);

/* ---- session_digest.c ---- */

/* Works on, for a slice of time. */
void digest_time(struct session *s, uint64_t now_ms);

void digest_heard(struct session *s, const struct sync_action *a,
    struct talk *t);
void digest_over(struct session *s, const struct err *why);
void digest_asked(struct session *s, const struct sync_action *a,
    struct talk *t);
void digest_end(struct session *s);

/* ---- session_serve.c ---- */

void serve_begin(struct session *s, const struct wire_pull *pull,
    struct talk *t);
void serve_page(struct session *s, size_t max, struct talk *t);
void serve_end_info(struct session *s, struct talk *t);
void serve_over(struct session *s, bool complete);
/* The reader takes nothing for a while: a snapshot that is held makes the WAL
 * grow. */
void serve_wait(struct session *s);
void serve_time(struct session *s, uint64_t now_ms);

/* Something new is here. */
void session_notify(struct session *s, const struct store_entry *entry,
    size_t n);

#endif
