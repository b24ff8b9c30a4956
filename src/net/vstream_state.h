// SPDX-License-Identifier: MPL-2.0
/*
 * vstream_state.h - what the files of a stream share: vstream.h is for all
 * others.
 *
 * vstream.c has its life, times and callbacks; vstream_receive.c what came and
 * is not handed out; vstream_write.c what is given to it; vstream_send.c what
 * is to go and by which calls; vstream_calls.c how calls end; vstream_answer.c
 * what is answered to the peer's.
 *
 * Both directions count bytes from 0; the end of a stream counts as one more,
 * so that it is acknowledged like a byte.  All that the peer says only grows
 * (what it has, how far it takes, which route is the last), so the order of
 * segments and answers makes no difference.
 */
#ifndef NET_VSTREAM_STATE_H
#define NET_VSTREAM_STATE_H

#include "net/net.h"
#include "net/vring.h"
#include "net/vstream.h"

enum {
	VSTREAM_SPANS = 32,             /* pieces received behind a gap; more
					 * than VSTREAM_RANGES */
	VSTREAM_RANGES = 24,            /* pieces sent, not acknowledged */
	VSTREAM_LIMIT_MIN = 2,          /* calls in flight, where many time out */
	VSTREAM_SAME = 3,               /* calls at a time with the same piece */
	VSTREAM_LATE_FIRST_MS = 3000,   /* a call that takes so long has got
					 * lost, until we know better: ... */
	VSTREAM_LATE_MIN_MS = 1000,     /* ... twice what others take, and */
	VSTREAM_LATE_MORE_MS = 500,     /* this, but within these bounds */
	VSTREAM_LATE_MAX_MS = 6000,
	VSTREAM_CLOSED_MS = 1000,       /* the window is closed: asked again,
					 * doubled up to VSTREAM_PROBE_MS */
	VSTREAM_PROBE_OTHER_MS = 10000, /* who did not open it asks later */
	VSTREAM_STALE_MS = 1000         /* between two stale() */
};

/* Bytes of the peer behind a gap. */
struct vspan {
	uint64_t from, to;
};

/* A piece that was sent; all of them lie side by side from una to nxt. */
struct vrange {
	uint64_t from, to;
	uint32_t id;
	unsigned calls;         /* with it now; 0, and neither lost nor held:
				 * it went with an answer */
	bool lost;              /* to be sent again */
	bool held;              /* it came, but something before it had not */
	uint64_t sent;          /* last, at this time */
};

struct vslot {
	bool busy;
	uint64_t seq;           /* counts all calls */
	uint64_t sent;          /* at this time */
	uint32_t range;         /* 0: none */
	uint32_t epoch;         /* of our route that it tells; 0: none */
	uint64_t edge;          /* how far we take, that it tells */
};

enum vstream_ending {
	VSTREAM_LIVES,
	VSTREAM_FLUSHES,        /* what is queued goes yet, and the end */
	VSTREAM_BREAKS          /* the peer is told, if that can be done */
};

struct vstream {
	uint8_t id[VSEGMENT_STREAM_LEN];
	const struct vstream_events *events;
	void *owner;

	/* ---- life ---- */
	bool opener, marked;
	bool opened;            /* the peer knows it */
	bool tell_open, tell_route, tell_drain, tell_stale;
	bool over;              /* the owner has heard of it */
	bool broken;            /* for this reason, which is yet to be told */
	struct err why;
	enum vstream_ending ending;
	uint64_t linger;        /* until then */
	uint64_t heard;         /* last of the peer, at this time */
	bool waits;             /* for an acknowledgement ... */
	uint64_t waits_since;   /* ... since then */
	uint64_t stale_next;

	/* ---- receiving ---- */
	struct vring in;
	uint64_t taken;         /* handed out */
	uint64_t next;          /* received, all in order */
	uint64_t high;          /* received, with gaps */
	struct vspan spans[VSTREAM_SPANS]; /* in order, apart */
	size_t nspans;
	uint64_t fin;           /* the peer's end; VSTREAM_NEVER: not known */
	bool reading;
	bool lent;              /* in is with the owner, and stays in place */
	uint64_t told;          /* how far we take, as far as we know that the
				 * peer knows */
	bool answering;         /* a call of the peer's waits for its answer, ... */
	uint64_t answer_at;     /* ... until then */
	bool owes;              /* what came by an answer is to be acknowledged, ... */
	uint64_t owes_at;       /* ... by an empty call then */
	uint8_t peer_route[VSEGMENT_ROUTE_MAX];
	size_t peer_route_len;
	uint32_t peer_epoch;

	/* ---- sending ---- */
	struct vring out;
	uint64_t una;           /* before it all is acknowledged */
	uint64_t nxt;           /* before it all was sent */
	uint64_t end;           /* before it all was written */
	uint64_t edge;          /* the peer takes so far */
	bool deaf;              /* the peer has ended and takes nothing more */
	bool above;             /* queued was above NET_LOW_WATER */
	struct vrange ranges[VSTREAM_RANGES];
	size_t nranges;
	uint32_t last_id;
	uint8_t *route;         /* ours */
	size_t route_len;
	uint32_t epoch, epoch_told;

	/* ---- calls ---- */
	struct vslot slots[VSTREAM_CALLS];
	unsigned nbusy;
	bool routed;            /* calls can be made, as far as we know */
	uint64_t seq;           /* calls made */
	uint64_t seq_good;      /* the last of those that were answered */
	uint64_t seq_failed;    /* made before the last failure that counted */
	unsigned limit;         /* in flight: halved where calls take too long,
				 * and one more after as many good ones */
	unsigned earned;
	uint64_t seq_cut;       /* made before it was halved last */
	uint64_t again, again_ms; /* no call before; and after the next
				 * failure for so long */
	uint64_t rtt;           /* what calls take, rather too much; 0: not
				 * known */
	bool probe;             /* an answer is wanted, whatever it be */
	bool closed;            /* nothing goes as the window is closed */
	uint64_t closed_at, closed_ms; /* it is asked, and after how long again */
};

/* ---- vstream.c ---- */

/* It is over for this reason, unless it is already. */
void vstream_break(struct vstream *v, int code, const char *text);

/* What the peer said can't be.  Breaks the stream. */
void vstream_violated(struct vstream *v);

/* The peer is gone: how that ends. */
void vstream_gone(struct vstream *v, int code, const char *text);

/* Whether nothing is to be done but to tell the owner. */
static inline bool
vstream_dead(const struct vstream *v)
{
	return v->over || v->broken;
}

/* Notes what follows from a change of the state. */
void vstream_settle(struct vstream *v, uint64_t now);

/* ---- vstream_receive.c ---- */

/* All of the peer has come, to its end. */
bool vstream_complete(const struct vstream *v);

/* How far we take. */
uint64_t vstream_edge(const struct vstream *v);

/* What we have, to be told. */
uint64_t vstream_have(const struct vstream *v);

/* Whether there is something to be handed out, or to be dropped. */
bool vstream_deliverable(const struct vstream *v);

void vstream_deliver(struct vstream *v);

/* Takes the payload of an answer. */
void vstream_take_answer(struct vstream *v, const struct vsegment_answer *a,
    uint64_t now);

/* ---- vstream_answer.c ---- */

/* What is answered at this time, without bytes.  The peer knows it then. */
struct vsegment_answer vstream_plain_answer(struct vstream *v);

/* s was taken, which brought something: its answer waits, or does not. */
bool vstream_answer_waits(struct vstream *v, const struct vsegment *s,
    uint64_t now);

/* When the one that waits is given, or VSTREAM_NEVER; it is then. */
uint64_t vstream_answer_due(const struct vstream *v);
void vstream_answer(struct vstream *v, uint64_t now);

/* ---- vstream_send.c ---- */

/* Bytes that were never sent, of which the peer takes so many, but at most
 * room; and makes a piece of them. */
size_t vstream_fresh(const struct vstream *v, size_t room);
struct vrange *vstream_cut(struct vstream *v, size_t len);

/* The peer has all before ack, and takes window more.  False: it can't. */
bool vstream_acked(struct vstream *v, uint64_t ack, uint32_t window,
    uint64_t now);

/* The peer has ended: nothing is sent any more. */
void vstream_deafen(struct vstream *v);

/* Nothing is left that the peer would take. */
bool vstream_flushed(const struct vstream *v);

/* Whether an acknowledgement is wanted. */
bool vstream_wants(const struct vstream *v);

/* The window keeps something back, and nothing is on the way. */
bool vstream_blocked(const struct vstream *v);

/* When an answer is wanted for its own sake, or VSTREAM_NEVER; it is then. */
uint64_t vstream_probe_due(const struct vstream *v);
void vstream_probe(struct vstream *v, uint64_t now);

/* When the next call is to be made, or VSTREAM_NEVER. */
uint64_t vstream_call_due(const struct vstream *v);

/* Makes those that are due; in the end, the one that breaks the stream. */
void vstream_send(struct vstream *v, uint64_t now);
bool vstream_send_reset(struct vstream *v, uint64_t now);

/* ---- vstream_calls.c ---- */

/* No call for a while, longer each time. */
void vstream_back_off(struct vstream *v, uint64_t now);

#endif
