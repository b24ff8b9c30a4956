// SPDX-License-Identifier: MPL-2.0
/*
 * vfind.c - one request after the other, in this order: the record's place,
 * opening it, watching it, its value.
 *
 * A node has one opening and one watch of a record for all its programs.  So
 * nothing is closed or cancelled here, which would blind others: the watch ends
 * by itself some time after nobody asks for it again, which each of them does
 * with each poll.  A node tells of no value that it knows already, because one
 * of its own programs has set or read it; such are found by looking into what it
 * holds, which costs no network, every LOOK_MS.
 */
#include "net/vfind.h"

#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "net/vdht.h"
#include "net/vpublish.h"

enum {
	LOOK_MS = 30000,                /* into what the node holds */
	WATCH_MS = 3600000,             /* watches end half an hour after a full
					 * hour, so that most that are asked for
					 * are the one that there is, which costs
					 * no network */
	SKEW_S = 24 * 3600              /* clocks may differ by so much */
};

#define NEVER UINT64_MAX

enum step { PLACE, OPEN, WATCH, READ };

/* A record and the bytes that it points into. */
struct copy {
	uint8_t *bytes;
	struct vrecord record;
};

struct vfind {
	struct vnode *node;
	struct net_env env;
	uv_timer_t timer;
	uint8_t key[KEY_LEN];
	char address[ADDR_TEXT_LEN + 1];
	char place[VDHT_PLACE_MAX];     /* of the record, "" if not known */
	vfind_fn *found;
	void *owner;

	bool ready;
	enum step step;                 /* the next one */
	struct vapi_call *call;
	bool fresh;                     /* READ is from the network */
	bool opened;                    /* since the timer fired */
	bool watched;
	bool again;                     /* something new while that went on */
	uint64_t due, poll;             /* the next step; the next fresh one */
	uint64_t last;                  /* something was asked for */
	uint32_t wait;

	struct copy now;                /* bytes is NULL: none yet */
	bool tell;
	struct err why;
};

/* ---- time ---- */

static void timer_fired(uv_timer_t *timer);

static void
arm(struct vfind *f)
{
	uint64_t now = uv_now(f->env.loop);
	uint64_t due = f->ready && f->call == NULL ? f->due : NEVER;

	if (f->tell)
		due = now;
	if (due == NEVER)
		uv_timer_stop(&f->timer);
	else
		uv_timer_start(&f->timer, timer_fired,
		    due > now ? due - now : 0, 0);
}

/* From that step on as soon as may be. */
static void
soon(struct vfind *f, enum step step)
{
	uint64_t now = uv_now(f->env.loop), rest = f->last + VFIND_REST_MS;

	f->step = step;
	f->fresh = true;
	f->due = f->last > 0 && rest > now ? rest : now;
	arm(f);
}

/* Waits longer after each failure. */
static void
failed(struct vfind *f, enum step next, const struct err *why)
{
	f->why = *why;
	f->step = next;
	f->fresh = true;
	f->again = false;
	f->due = uv_now(f->env.loop) + f->wait;
	f->wait = f->wait < VFIND_AGAIN_MAX_MS / 2 ? f->wait * 2
	    : VFIND_AGAIN_MAX_MS;
	arm(f);
}

/* All is well: until the next look, or poll. */
static void
rest(struct vfind *f)
{
	uint64_t now = uv_now(f->env.loop);

	f->wait = VFIND_AGAIN_MIN_MS;
	if (f->fresh)
		f->poll = now + VFIND_POLL_MS;
	if (f->again) {
		f->again = false;
		soon(f, WATCH);
		return;
	}
	f->fresh = f->poll <= now + LOOK_MS;
	f->step = f->fresh || !f->watched ? WATCH : READ;
	f->due = f->fresh ? f->poll : now + LOOK_MS;
	arm(f);
}

/* ---- records ---- */

static void
clear(struct copy *c)
{
	free(c->bytes);
	*c = (struct copy){ .bytes = NULL };
}

/* Whether what was seen last forbids the other one: who keeps records may give
 * an old one out.  A last one from beyond any honest clock forbids nothing, so
 * that a clock that was wrong once is no harm for ever. */
static bool
is_older(const struct vfind *f, const struct vrecord *r)
{
	uint64_t last = f->now.record.expires;
	uint64_t honest = (f->env.now_ms(f->env.self) + VPUBLISH_LIFE_MS) / 1000
	    + SKEW_S;

	return f->now.bytes != NULL && last <= honest && r->expires < last;
}

static bool
is_same(const struct vrecord *a, const struct vrecord *b)
{
	return a->expires == b->expires && a->route_len == b->route_len
	    && memcmp(a->token, b->token, sizeof a->token) == 0
	    && (a->route_len == 0
	    || memcmp(a->route, b->route, a->route_len) == 0);
}

/* Takes what is said to be the record. */
static int
take(struct vfind *f, const char *text, struct err *err)
{
	struct copy c = { .bytes = NULL };
	size_t len;
	int rc = vmsg_bytes(text, VRECORD_MAX, &c.bytes, &len, err);

	if (rc == 0)
		rc = vrecord_decode(c.bytes, len, f->key, &c.record, err);
	if (rc == 0 && !is_older(f, &c.record)
	    && (f->now.bytes == NULL || !is_same(&c.record, &f->now.record))) {
		clear(&f->now);
		f->now = c;
		c = (struct copy){ .bytes = NULL };
		f->tell = true;
		arm(f);
	}
	if (rc == 0)
		err_clear(&f->why);
	clear(&c);
	return rc;
}

/* ---- the requests ---- */

static void next(struct vfind *f);

static void
ask(struct vfind *f, json_t *request, uint32_t ms, vapi_done_fn *done)
{
	struct err why = { .code = 0 };

	if (vnode_request(f->node, request, ms, done, f, &f->call, &why) < 0) {
		f->call = NULL;
		failed(f, f->step, &why);
	}
}

static void
have_place(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vfind *f = owner;
	struct err no = { .code = 0 };

	f->call = NULL;
	if (why == NULL && vdht_place_read(value, f->place, &no) < 0)
		why = &no;
	if (why != NULL) {
		failed(f, PLACE, why);
		return;
	}
	f->step = OPEN;
	next(f);
}

static void
nothing_there(struct err *out)
{
	err_set(out, E_NOTFOUND, "it may be offline for long, or not use Veilid",
	    "there is no record of it in Veilid's network");
}

static void
have_opened(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vfind *f = owner;
	struct err no = { .code = 0 };

	f->call = NULL;
	if (fault == VFAULT_NOT_FOUND) {
		nothing_there(&no);
		why = &no;
	}
	if (why != NULL) {
		failed(f, OPEN, why);
		return;
	}
	f->opened = true;
	f->step = WATCH;
	next(f);
}

/* Whether the record is to be opened: "refused" is said of one that somebody has
 * closed.  But of other things, too, so once in a row. */
static bool
is_closed(const struct vfind *f, enum vfault fault)
{
	return !f->opened
	    && (fault == VFAULT_REFUSED || fault == VFAULT_NOT_FOUND);
}

static void
have_watched(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vfind *f = owner;

	f->call = NULL;
	f->watched = why == NULL;
	/* without a watch the poll has to do, until it can be had */
	f->step = is_closed(f, fault) ? OPEN : READ;
	next(f);
}

static void
have_read(void *owner, const json_t *value, enum vfault fault,
    const struct err *why)
{
	struct vfind *f = owner;
	const char *text = json_string_value(json_object_get(value, "data"));
	struct err no = { .code = 0 };

	f->call = NULL;
	if (is_closed(f, fault)) {
		f->step = OPEN;
		next(f);
		return;
	}
	if (why != NULL) {
		failed(f, OPEN, why);
		return;
	}
	if (text == NULL)
		nothing_there(&no);
	if (text == NULL || take(f, text, &no) < 0)
		failed(f, READ, &no);
	else
		rest(f);
}

/* When a watch is to end, in microseconds since 1970. */
static uint64_t
watch_until(const struct vfind *f)
{
	uint64_t hour = f->env.now_ms(f->env.self) / WATCH_MS;

	return ((hour + 1) * WATCH_MS + WATCH_MS / 2) * 1000;
}

/* Goes on where it stands. */
static void
next(struct vfind *f)
{
	f->last = uv_now(f->env.loop);
	switch (f->step) {
	case PLACE:
		ask(f, vdht_place(f->address), VDHT_LOCAL_MS, have_place);
		break;
	case OPEN:
		ask(f, vdht_open(f->place, NULL), VDHT_MS, have_opened);
		break;
	case WATCH:
		ask(f, vdht_watch(f->place, watch_until(f)), VDHT_LOCAL_MS,
		    have_watched);
		break;
	case READ:
		ask(f, vdht_get(f->place, f->fresh), VDHT_MS, have_read);
		break;
	}
}

static void
timer_fired(uv_timer_t *timer)
{
	struct vfind *f = timer->data;

	if (f->ready && f->call == NULL && f->due <= uv_now(f->env.loop)) {
		f->opened = false;
		next(f);
	}
	arm(f);
	if (f->tell) {
		f->tell = false;
		arm(f);
		f->found(f->owner, &f->now.record);
	}
}

/* ---- open and close ---- */

int
vfind_open(struct vnode *n, const struct net_env *env,
    const uint8_t key[static KEY_LEN], vfind_fn *found, void *owner,
    struct vfind **out, struct err *err)
{
	struct vfind *f = calloc(1, sizeof *f);

	if (f == NULL)
		return err_nomem(err);
	f->node = n;
	f->env = *env;
	memcpy(f->key, key, sizeof f->key);
	addr_format(key, f->address);
	f->found = found;
	f->owner = owner;
	f->wait = VFIND_AGAIN_MIN_MS;
	f->fresh = true;
	err_set(&f->why, E_UNREACHABLE, NULL,
	    "its record in Veilid's network was not read yet");
	uv_timer_init(env->loop, &f->timer);
	f->timer.data = f;
	*out = f;
	return 0;
}

static void
timer_gone(uv_handle_t *timer)
{
	struct vfind *f = timer->data;

	clear(&f->now);
	free(f);
}

void
vfind_close(struct vfind *f)
{
	if (f->call != NULL)
		vapi_forget(f->call);
	uv_close((uv_handle_t *)&f->timer, timer_gone);
}

const struct vrecord *
vfind_record(const struct vfind *f)
{
	return f->now.bytes != NULL ? &f->now.record : NULL;
}

void
vfind_why(const struct vfind *f, struct err *out)
{
	*out = f->why;
}

void
vfind_again(struct vfind *f)
{
	if (!f->ready)
		return;         /* read anyway when it is */
	if (f->call != NULL)
		f->again = true;
	else if (f->now.bytes != NULL)
		soon(f, f->step > WATCH ? WATCH : f->step);
	/* else it waits for there to be one, and asks often enough */
}

void
vfind_ready(struct vfind *f, bool ready)
{
	f->ready = ready;
	if (f->call != NULL)
		vapi_forget(f->call);
	f->call = NULL;
	f->again = false;
	/* the node may be another one */
	f->wait = VFIND_AGAIN_MIN_MS;
	soon(f, PLACE);
}

/* Whether a record's name is that of ours: others may have it with the key that
 * encrypts its values behind. */
static bool
is_it(const struct vfind *f, const char *key)
{
	size_t len = strlen(f->place);

	return len > 0 && strncmp(key, f->place, len) == 0
	    && (key[len] == '\0' || key[len] == ':');
}

void
vfind_value(struct vfind *f, const struct vupdate *update)
{
	struct err no = { .code = 0 };

	if (!f->ready || !is_it(f, update->key))
		return;
	/* what is told is taken; what is not, or is over, is asked for */
	if (update->bytes != NULL && take(f, update->bytes, &no) == 0
	    && !update->over)
		return;
	vfind_again(f);
}
