// SPDX-License-Identifier: MPL-2.0
/*
 * state.h - what the files of sync share; nobody else includes it.
 *
 * Each file has one part of the conversation: sync.c the connection, time.c
 * whether the peer is there, hello.c who is who, reader.c the pull from the peer,
 * server.c the peer's pull from us, news.c NOTIFY and PUSH, digest.c DIGEST,
 * schema.c SCHEMA.  Functions return 0, or an error of sync_step(); a peer that
 * misbehaves is ended by sync_bad(), which is no error.
 */
#ifndef SYNC_STATE_H
#define SYNC_STATE_H

#include "sync/sync.h"
#include "wire/frame.h"
#include "wire/zip.h"

enum phase {
	PHASE_NEW,              /* before START */
	PHASE_HELLO,            /* ours is sent, the peer's is not here */
	PHASE_CLAIMS,           /* CHECK_CLAIMS is not answered */
	PHASE_FORK,             /* looking for the last common version */
	PHASE_OPEN,
	PHASE_OVER,
};

/* Where the search for the last common version stands: it is at least after
 * and below before. */
struct fork {
	enum { FORK_NONE, FORK_LISTING, FORK_ASKED, FORK_MAKING } state;
	uint64_t after, before;
	uint64_t listed[WIRE_TOKENS_MAX];       /* as asked last */
	size_t nlisted;
	uint32_t id;
};

struct reader {
	enum {
		READER_IDLE,
		READER_WANTED,          /* when identities are settled */
		READER_PLANNING,        /* NEED_PLAN is not answered */
		READER_WAITING,         /* PULL is sent */
		READER_ENDING,          /* END is being taken */
	} state;
	uint32_t id;                    /* of the newest PULL sent */
	uint32_t stopped;               /* answers up to this id are stale */
	bool sent;                      /* PULL of this id is sent */
	bool whole;                     /* the server wants whole vectors */
	bool fetch_only;
	bool taking;                    /* TAKE_* is not answered */
	uint32_t *ntables;              /* of each group asked for */
	size_t ngroups;
	uint8_t resume_page[WIRE_HASH_LEN];
	uint64_t resume_at;             /* 0 once the first page is here */
	struct wire_page page;          /* of which part is here */
	uint64_t got;                   /* 0: none is */
	uint64_t came;                  /* bytes of all pages, see sync.h */
	bool in_pieces;                 /* it goes to the store in pieces */
	struct buf bytes;               /* what is here of it */
	struct buf expanded;
	struct zip zip;
};

struct server {
	enum {
		SERVER_IDLE,
		SERVER_HELD,            /* until identities are settled */
		SERVER_OPENING,         /* SERVE_BEGIN is not answered */
		SERVER_WHOLE,           /* WHOLE is sent */
		SERVER_READY,           /* for the next page, when there's room */
		SERVER_READING,         /* NEED_PAGE is not answered */
		SERVER_SENDING,         /* a page in pieces */
		SERVER_ENDING,          /* NEED_END is not answered */
	} state;
	uint32_t id;
	bool whole;                     /* WHOLE was sent for this id */
	size_t ngroups;
	struct buf held;                /* a PULL that came early */
	uint8_t resume_page[WIRE_HASH_LEN];
	uint64_t resume_at;             /* 0 once the first page is made */
	struct wire_page page;          /* bytes: what is not sent yet */
	bool last_page;
	struct buf zipped;
	struct zip zip;
};

struct news {
	struct wire_entry *entry;       /* to be told of */
	size_t n, cap;
	bool push_wanted, push_sent;    /* by us */
	uint32_t push_id;
	bool push_asked;                /* by the peer, and not answered */
	uint32_t asked_id;
};

struct digests {
	bool asking, waiting;           /* ours; for its answer */
	uint32_t ask_id;                /* of the newest of ours */
	bool answering, working;        /* the peer's; its answer is due */
	uint32_t asked_id;
};

struct schemas {
	bool asking;                    /* ours is not answered */
	uint32_t ask_id;
	bool answering;                 /* the peer's is not */
	uint32_t asked_id;
	unsigned asked;                 /* how often it asked */
};

struct sync {
	enum phase phase;
	size_t frame_max;               /* of the network */
	size_t send_max;                /* and of the peer */
	struct frames in;
	struct wire_msg msg;            /* the message in hand */
	struct buf hello_bytes;         /* the peer's HELLO, until OPENED */
	struct wire_msg hello;
	bool opened_told;
	uint64_t now_ms, start_ms, heard_ms;
	uint64_t probe_ms;              /* PROBE was then; 0: none */
	bool pinged;
	uint64_t timer_ms;              /* wanted last; 0: none */
	unsigned cheap;                 /* small requests answered */
	bool room_asked;
	bool common_asked;              /* FIND_COMMON is not answered */
	uint32_t common_id;
	struct fork fork;
	struct reader reader;
	struct server server;
	struct news news;
	struct digests digests;
	struct schemas schemas;
	struct err why;                 /* that actions point to */
	struct err pull_why, push_why, digest_why, schema_why;
	struct sync_actions *out;       /* of this step */
	struct err *err;
};

/* ---- sync.c ---- */

/* Adds an action. */
struct sync_action *sync_do(struct sync *s, enum sync_action_kind kind);

/* Sends m to the peer. */
int sync_send(struct sync *s, const struct wire_msg *m);

/* Says something of a talk of two stores, of a type that has their codec: our
 * question if asks, else an answer; with a code data is why it ends. */
int sync_send_words(struct sync *s, enum wire_type type, uint32_t id, bool asks,
    uint16_t code, const void *data, size_t len);

/* Asks for ROOM, once. */
void sync_want_room(struct sync *s);

/* Ends the connection with ERROR: code and why->text go to the peer; CLOSE
 * gets why. */
int sync_end(struct sync *s, uint16_t code, const struct err *why);

/* The peer misbehaves: the sentence says how. */
int sync_bad(struct sync *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Counts a small request; false (and the connection is over) where there were
 * too many. */
bool sync_is_cheap(struct sync *s);

/* An event that can't be now. */
int sync_misused(struct sync *s, const struct sync_event *ev);

/* Sends ERROR for a pull. */
int sync_send_error(struct sync *s, uint32_t id, uint16_t code,
    const char *text);

/* Text of a peer as an err with the code that ours is. */
void sync_peer_err(uint16_t code, const struct wire_view *text,
    struct err *out);

/* ---- hello.c ---- */

int sync_on_start(struct sync *s, const struct sync_event *ev);
int sync_on_claims(struct sync *s, const struct sync_event *ev);
int sync_on_tokens(struct sync *s, const struct sync_event *ev);
int sync_on_common(struct sync *s, const struct sync_event *ev);
int sync_on_forked(struct sync *s, const struct sync_event *ev);
int sync_got_hello(struct sync *s, const struct frame *f);
int sync_got_tokens(struct sync *s);
int sync_got_common(struct sync *s);

/* ---- time.c ---- */

int sync_on_time(struct sync *s, const struct sync_event *ev);
int sync_on_probe(struct sync *s, const struct sync_event *ev);
void sync_set_timer(struct sync *s);    /* asks for one where it is due sooner */

/* ---- reader.c ---- */

int sync_on_pull(struct sync *s, const struct sync_event *ev);
int sync_on_plan(struct sync *s, const struct sync_event *ev);
int sync_on_taken(struct sync *s, const struct sync_event *ev);
int sync_on_pull_stop(struct sync *s, const struct sync_event *ev);
int sync_got_page(struct sync *s);
int sync_got_end(struct sync *s);
int sync_got_whole(struct sync *s);
int sync_got_pull_error(struct sync *s);
int sync_reader_hold(struct sync *s);   /* a fork: what is asked is void */
void sync_reader_go_on(struct sync *s); /* settled: ask again */
void sync_reader_over(struct sync *s, const struct err *why);
void sync_reader_clear(struct reader *r);

/* ---- server.c ---- */

int sync_on_serving(struct sync *s, const struct sync_event *ev);
int sync_on_serve_whole(struct sync *s, const struct sync_event *ev);
int sync_on_serve_failed(struct sync *s, const struct sync_event *ev);
int sync_on_page(struct sync *s, const struct sync_event *ev);
int sync_on_end(struct sync *s, const struct sync_event *ev);
int sync_got_pull(struct sync *s, const struct frame *f);
int sync_got_stop(struct sync *s);
int sync_server_room(struct sync *s);
int sync_server_go_on(struct sync *s);  /* settled: serve what was held */
void sync_server_over(struct sync *s, bool complete);
void sync_server_clear(struct server *v);

/* ---- news.c ---- */

int sync_on_changed(struct sync *s, const struct sync_event *ev);
int sync_on_push(struct sync *s, const struct sync_event *ev);
int sync_on_push_done(struct sync *s, const struct sync_event *ev);
int sync_got_notify(struct sync *s);
int sync_got_push(struct sync *s);
int sync_got_pushed(struct sync *s);
int sync_news_room(struct sync *s);
int sync_news_go_on(struct sync *s);
void sync_news_over(struct sync *s);

/* ---- digest.c ---- */

int sync_on_digest_say(struct sync *s, const struct sync_event *ev);
int sync_on_digest_stop(struct sync *s, const struct sync_event *ev);
int sync_on_digest_answer(struct sync *s, const struct sync_event *ev);
int sync_on_digest_failed(struct sync *s, const struct sync_event *ev);
int sync_got_digest(struct sync *s);
void sync_digest_over(struct sync *s, const struct err *why);

/* ---- schema.c ---- */

int sync_on_schema_ask(struct sync *s, const struct sync_event *ev);
int sync_on_schema(struct sync *s, const struct sync_event *ev);
int sync_got_schema(struct sync *s);
void sync_schema_over(struct sync *s, const struct err *why);

#endif
