// SPDX-License-Identifier: MPL-2.0
/*
 * vstream.h - a byte stream in both directions over calls that may fail, come
 * twice or in any order, and be done although they failed.  How a call gets to
 * the peer is its owner's business; there is no loop, clock or randomness here.
 *
 * Each side calls the other one by that one's private route, up to
 * VSTREAM_CALLS at a time; the answer to a call acknowledges.  A segment that
 * was not acknowledged is sent again, by whatever route is known then; what
 * comes twice is known by its offset.  An idle stream sends nothing but one
 * empty call each VSTREAM_PROBE_MS, by which it learns that the peer is gone.
 *
 * A call and its answer are one round trip, and a second call from the other
 * side is one more.  So the answer to a call that comes alone waits for a very
 * short time, and takes with it what is written until then.  Bytes in an answer
 * are acknowledged by whatever goes next, or else by an empty call; if they are
 * not, they are sent again by a call.
 *
 * Functions but vstream_run() change the state only; callbacks come from
 * inside of vstream_run(), and any function but vstream_run() and
 * vstream_free() may be called from inside of them.  After each call into this
 * header the owner asks vstream_due() when to run it.
 *
 * Times are milliseconds of a clock that never goes back.
 * Argument order: stream, inputs, time, outputs, err.
 */
#ifndef NET_VSTREAM_H
#define NET_VSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/vmsg.h"
#include "net/vsegment.h"

enum {
	VSTREAM_CALLS = 8,              /* in flight in one direction */
	VSTREAM_WINDOW = 512 << 10,     /* bytes received and not handed out, in
					 * order or not, of a marked stream */
	VSTREAM_WINDOW_UNKNOWN = 64 << 10,
	VSTREAM_AGAIN_MIN_MS = 100,     /* after a call that failed, doubled ... */
	VSTREAM_AGAIN_MAX_MS = 5000,    /* ... up to this */
	VSTREAM_ANSWER_MS = 10,         /* an answer waits for bytes to take with
					 * it */
	VSTREAM_ACK_MS = 200,           /* bytes of an answer wait for something
					 * that acknowledges them anyway */
	VSTREAM_PROBE_MS = 60000,
	VSTREAM_DEAD_MS = 60000         /* without any acknowledgement, while one
					 * is waited for: the stream is broken */
};

#define VSTREAM_NEVER UINT64_MAX

struct vstream;

struct vstream_events {
	/* Makes the call of that slot (0 to VSTREAM_CALLS - 1) to the peer's
	 * present route; bytes are valid during this.  Ended by
	 * vstream_answered() or vstream_failed().  False: there is no route, or
	 * no node, or no room; asked again after vstream_route_known() or
	 * vstream_resume(). */
	bool (*call)(void *owner, unsigned slot, const uint8_t *bytes,
	    size_t len);
	/* The answer that vstream_message() did not give; at most VSEGMENT_MAX
	 * bytes, valid during this. */
	void (*answer)(void *owner, const uint8_t *bytes, size_t len);
	/* Calls fail: another route of the peer should be looked for, or the
	 * same one be imported again.  At most once a second. */
	void (*stale)(void *owner);
	/* The peer says by which route it is reached from now on. */
	void (*route)(void *owner, const uint8_t *blob, size_t len);
	/* The peer has answered for the first time, or sent. */
	void (*open)(void *owner);
	/* 1 to NET_READ_MAX bytes, valid during this. */
	void (*data)(void *owner, const uint8_t *bytes, size_t len);
	/* queued was above NET_LOW_WATER and no longer is */
	void (*drain)(void *owner);
	/* The last callback.  why->code is 0: the peer ended in order, all of
	 * it was handed out; or it was ended here and all has been taken, or
	 * the peer has ended too.  The former comes while reading only. */
	void (*over)(void *owner, const struct err *why);
};

/* opener: made here; else by the peer's first segment, which is given to
 * vstream_message() next.  Openers are marked.  NULL without memory. */
struct vstream *vstream_new(const uint8_t id[static VSEGMENT_STREAM_LEN],
    bool opener, uint64_t now, const struct vstream_events *events,
    void *owner);

/* Calls that are in flight are forgotten by the owner. */
void vstream_free(struct vstream *v);

/* What is due: calls, what came, the end. */
void vstream_run(struct vstream *v, uint64_t now);

/* When that is to be called: at once if it is not above now; or
 * VSTREAM_NEVER. */
uint64_t vstream_due(const struct vstream *v);

/* A segment of this stream came: what to answer, if it returns true.  False, and
 * only if it may_wait: answer() will be called for it; until then no other one
 * waits.  The segment is taken whole, or not at all where it passes the window. */
bool vstream_message(struct vstream *v, const struct vsegment *s,
    bool may_wait, uint64_t now, struct vsegment_answer *out);

/* The call of that slot has an answer, whose payload is taken as a segment's; or
 * failed. */
void vstream_answered(struct vstream *v, unsigned slot,
    const struct vsegment_answer *answer, uint64_t now);
void vstream_failed(struct vstream *v, unsigned slot, enum vfault fault,
    uint64_t now);

/* Calls can be made (again): by another route, or the node is back. */
void vstream_route_known(struct vstream *v, uint64_t now);

/* Calls can be made again by the route that there was: there was no room for
 * them.  What is under way is as good as it was. */
void vstream_resume(struct vstream *v, uint64_t now);

/* By which route we are reached from now on; copied, told to the peer until it
 * was acknowledged, and with the first segment of an opener (who sends nothing
 * before it has one).  E_FATAL without memory. */
int vstream_set_route(struct vstream *v, const uint8_t *blob, size_t len,
    uint64_t now, struct err *err);

/* As net_conn_send(), _queued(), _read() and _mark().  Queued is what was never
 * sent; what was sent is kept until it is acknowledged, and counts among
 * NET_SEND_MAX.  To one who has ended its side, bytes get lost without an
 * error, as they would on their way. */
int vstream_write(struct vstream *v, const void *bytes, size_t len,
    uint64_t now, struct err *err);
size_t vstream_queued(const struct vstream *v);
void vstream_read(struct vstream *v, bool on, uint64_t now);
void vstream_mark(struct vstream *v, uint64_t now);

/* Ends it: nothing is handed out any more.  flush: what is queued is sent yet,
 * for NET_LINGER_MS at most; else the peer is told once that it is over.  Then
 * over() comes. */
void vstream_end(struct vstream *v, bool flush, uint64_t now);

#endif
