// SPDX-License-Identifier: MPL-2.0
/*
 * sync.c - the connection: events to their handlers, messages to theirs, and the
 * end.
 */
#include "sync/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEND_MAX = 2 * WIRE_MESSAGE_MAX, SEND_KEPT = 1 << 16 };

void
sync_actions_init(struct sync_actions *a)
{
	memset(a, 0, sizeof *a);
	buf_init(&a->send, SEND_MAX);
}

void
sync_actions_clear(struct sync_actions *a)
{
	buf_clear(&a->send);
	sync_actions_init(a);
}

static void
empty(struct sync_actions *a)
{
	if (a->send.failed || a->send.cap > SEND_KEPT)
		buf_clear(&a->send);
	a->send.len = 0;
	a->used = 0;
	a->n = 0;
}

int
sync_new(const struct sync_config *config, struct sync **out, struct err *err)
{
	struct sync *s = calloc(1, sizeof *s);
	size_t max = config->frame_max;

	if (s == NULL)
		return err_nomem(err);
	if (max == 0 || max > WIRE_FRAME_MAX)
		max = WIRE_FRAME_MAX;
	if (max < WIRE_FRAME_MIN)
		max = WIRE_FRAME_MIN;
	s->frame_max = max;
	s->send_max = max < WIRE_FRAME_FIRST ? max : WIRE_FRAME_FIRST;
	frames_init(&s->in, s->send_max);
	buf_init(&s->hello_bytes, WIRE_FRAME_FIRST);
	buf_init(&s->server.held, WIRE_MESSAGE_MAX);
	buf_init(&s->server.zipped, WIRE_PAGE_MEMORY);
	buf_init(&s->reader.bytes, WIRE_PAGE_MEMORY);
	buf_init(&s->reader.expanded, WIRE_PAGE_MEMORY);
	*out = s;
	return 0;
}

static void
forget_hello(struct sync *s)
{
	wire_msg_clear(&s->hello);
	buf_clear(&s->hello_bytes);
}

void
sync_free(struct sync *s)
{
	if (s == NULL)
		return;
	frames_clear(&s->in);
	wire_msg_clear(&s->msg);
	forget_hello(s);
	sync_reader_clear(&s->reader);
	sync_server_clear(&s->server);
	free(s->news.entry);
	free(s);
}

bool
sync_is_open(const struct sync *s)
{
	return s->phase == PHASE_OPEN;
}

uint64_t
sync_pull_bytes(const struct sync *s)
{
	uint8_t type = frames_begun(&s->in);
	bool counts = type == WIRE_PAGE || type == WIRE_END
	    || type == WIRE_PART;

	return s->reader.came + (counts ? frames_held(&s->in) : 0);
}

bool
sync_holds_page(const struct sync *s)
{
	return s->server.state == SERVER_SENDING;
}

/* ---- what comes out ---- */

struct sync_action *
sync_do(struct sync *s, enum sync_action_kind kind)
{
	static struct sync_action beyond;
	struct sync_actions *out = s->out;
	struct sync_action *a;

	/* No path leads to more than the array holds; step() looks. */
	a = out->n < SYNC_ACTIONS_MAX ? &out->action[out->n] : &beyond;
	out->n++;
	memset(a, 0, sizeof *a);
	a->kind = kind;
	return a;
}

int
sync_send(struct sync *s, const struct wire_msg *m)
{
	return wire_encode(m, s->send_max, &s->out->send, s->err);
}

int
sync_send_words(struct sync *s, enum wire_type type, uint32_t id, bool asks,
    uint16_t code, const void *data, size_t len)
{
	struct wire_msg m = { .type = (uint8_t)type };
	const struct wire_view said = { data, len };

	m.digest.id = id;
	m.digest.asks = asks;
	m.digest.code = code;
	if (code != 0)
		m.digest.text = said;
	else
		m.digest.bytes = said;
	return sync_send(s, &m);
}

int
sync_send_error(struct sync *s, uint32_t id, uint16_t code, const char *text)
{
	struct wire_msg m = { .type = WIRE_ERROR };

	m.error.id = id;
	m.error.code = code;
	m.error.text.data = (const uint8_t *)text;
	m.error.text.len = strlen(text);
	return sync_send(s, &m);
}

void
sync_want_room(struct sync *s)
{
	if (s->room_asked)
		return;
	s->room_asked = true;
	sync_do(s, SYNC_DO_WANT_ROOM);
}

int
sync_misused(struct sync *s, const struct sync_event *ev)
{
	return err_set(s->err, E_USAGE, NULL,
	    "event %s can't be at this point", sync_event_name(ev->kind));
}

/* ---- the end ---- */

/* Everything that goes on ends with the connection. */
static void
close_all(struct sync *s, const struct err *why, bool by_peer)
{
	struct sync_action *a;

	s->why = *why;
	sync_reader_over(s, why);
	sync_server_over(s, false);
	sync_news_over(s);
	sync_digest_over(s, why);
	sync_schema_over(s, why);
	s->phase = PHASE_OVER;
	a = sync_do(s, SYNC_DO_CLOSE);
	a->why = &s->why;
	a->by_peer = by_peer;
}

int
sync_end(struct sync *s, uint16_t code, const struct err *why)
{
	int rc = sync_send_error(s, 0, code, why->text);

	close_all(s, why, false);
	return rc;
}

int
sync_bad(struct sync *s, const char *fmt, ...)
{
	struct err why = { .code = E_INTEGRITY };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why.text, sizeof why.text, fmt, ap);
	va_end(ap);
	return sync_end(s, WIRE_E_MALFORMED, &why);
}

bool
sync_is_cheap(struct sync *s)
{
	if (++s->cheap <= SYNC_CHEAP_MAX)
		return true;
	/* A failure to tell the peer is seen by sync_step(). */
	(void)sync_bad(s, "too many requests at a time");
	return false;
}

static int
on_refuse(struct sync *s, const struct sync_event *ev)
{
	if (s->phase != PHASE_NEW)
		return sync_misused(s, ev);
	return sync_end(s, WIRE_E_UNKNOWN, ev->why);
}

static int
on_stop(struct sync *s, const struct sync_event *ev)
{
	return sync_end(s, wire_code_of(ev->why->code), ev->why);
}

static int
on_gone(struct sync *s, const struct sync_event *ev)
{
	close_all(s, ev->why, false);
	return 0;
}

/* ---- messages ---- */

void
sync_peer_err(uint16_t code, const struct wire_view *text, struct err *out)
{
	memset(out, 0, sizeof *out);
	err_set(out, wire_code_error(code), NULL, "%.*s", (int)text->len,
	    (const char *)text->data);
}

static int
got_error(struct sync *s)
{
	struct err why;

	if (s->msg.error.id != 0)
		return sync_got_pull_error(s);
	sync_peer_err(s->msg.error.code, &s->msg.error.text, &why);
	if (why.code == 0)
		why.code = E_UNREACHABLE;
	close_all(s, &why, true);
	return 0;
}

static int
got_ping(struct sync *s)
{
	if (!sync_is_cheap(s))
		return 0;
	s->msg.type = WIRE_PONG;
	return sync_send(s, &s->msg);
}

static int
got_pong(struct sync *s)
{
	return 0;       /* that it came is all it says */
}

static int (*const handlers[])(struct sync *s) = {
	[WIRE_PAGE] = sync_got_page,
	[WIRE_END] = sync_got_end,
	[WIRE_NOTIFY] = sync_got_notify,
	[WIRE_PUSH] = sync_got_push,
	[WIRE_PUSHED] = sync_got_pushed,
	[WIRE_WHOLE] = sync_got_whole,
	[WIRE_ERROR] = got_error,
	[WIRE_PING] = got_ping,
	[WIRE_PONG] = got_pong,
	[WIRE_TOKENS] = sync_got_tokens,
	[WIRE_COMMON] = sync_got_common,
	[WIRE_DIGEST] = sync_got_digest,
	[WIRE_STOP] = sync_got_stop,
	[WIRE_SCHEMA] = sync_got_schema,
};

static int
got_message(struct sync *s, const struct frame *f)
{
	struct err why;
	int rc;

	if ((s->phase == PHASE_HELLO) != (f->type == WIRE_HELLO)
	    && f->type != WIRE_ERROR)
		return sync_bad(s, "HELLO comes first, and once");
	if (!wire_known(f->type)) {
		if (f->type < WIRE_MUST_KNOW)
			return 0;
		return sync_bad(s, "message %u is not known", f->type);
	}
	if (f->type == WIRE_HELLO)
		return sync_got_hello(s, f);
	if (f->type == WIRE_PULL)
		return sync_got_pull(s, f);
	wire_msg_clear(&s->msg);
	rc = wire_decode(f->type, f->body, f->len, &s->msg, &why);
	if (rc == E_INTEGRITY)
		return sync_bad(s, "%s", why.text);
	return rc != 0 ? err_nomem(s->err) : handlers[f->type](s);
}

/* Whether the next message has to wait for an answer of our own side. */
static bool
is_waiting(const struct sync *s)
{
	return s->phase == PHASE_CLAIMS || s->reader.taking
	    || s->common_asked || s->fork.state == FORK_LISTING
	    || s->fork.state == FORK_MAKING;
}

static int
on_bytes(struct sync *s, const struct sync_event *ev)
{
	const uint8_t *data = ev->data;
	size_t len = ev->len;
	struct frame f;
	struct err why;
	int rc = 0;

	if (s->phase == PHASE_NEW)
		return sync_misused(s, ev);
	if (len > 0) {
		s->heard_ms = s->now_ms;
		s->pinged = false;
		s->probe_ms = 0;
	}
	/* One message that gives anything to do at a time: what it points to
	 * is in the one buffer there is. */
	while (rc == 0 && s->out->n == 0 && !is_waiting(s)) {
		rc = frames_next(&s->in, &data, &len, &f, &why);
		if (rc == 0)
			break;
		if (rc == 1)
			rc = got_message(s, &f);
		else if (rc == E_INTEGRITY)
			rc = sync_bad(s, "%s", why.text);
	}
	s->out->used = s->phase == PHASE_OVER ? ev->len : ev->len - len;
	return rc;
}

static int
on_room(struct sync *s, const struct sync_event *ev)
{
	int rc;

	if (!s->room_asked)
		return 0;
	s->room_asked = false;
	rc = sync_news_room(s);
	return rc != 0 ? rc : sync_server_room(s);
}

/* ---- one step ---- */

static const struct {
	const char *name;
	int (*handle)(struct sync *s, const struct sync_event *ev);
} events[] = {
	[SYNC_ON_START] = { "START", sync_on_start },
	[SYNC_ON_REFUSE] = { "REFUSE", on_refuse },
	[SYNC_ON_BYTES] = { "BYTES", on_bytes },
	[SYNC_ON_ROOM] = { "ROOM", on_room },
	[SYNC_ON_TIME] = { "TIME", sync_on_time },
	[SYNC_ON_PROBE] = { "PROBE", sync_on_probe },
	[SYNC_ON_STOP] = { "STOP", on_stop },
	[SYNC_ON_GONE] = { "GONE", on_gone },
	[SYNC_ON_PULL] = { "PULL", sync_on_pull },
	[SYNC_ON_PLAN] = { "PLAN", sync_on_plan },
	[SYNC_ON_TAKEN] = { "TAKEN", sync_on_taken },
	[SYNC_ON_PULL_STOP] = { "PULL_STOP", sync_on_pull_stop },
	[SYNC_ON_SERVING] = { "SERVING", sync_on_serving },
	[SYNC_ON_SERVE_WHOLE] = { "SERVE_WHOLE", sync_on_serve_whole },
	[SYNC_ON_SERVE_FAILED] = { "SERVE_FAILED", sync_on_serve_failed },
	[SYNC_ON_PAGE] = { "PAGE", sync_on_page },
	[SYNC_ON_END] = { "END", sync_on_end },
	[SYNC_ON_CHANGED] = { "CHANGED", sync_on_changed },
	[SYNC_ON_PUSH] = { "PUSH", sync_on_push },
	[SYNC_ON_PUSH_DONE] = { "PUSH_DONE", sync_on_push_done },
	[SYNC_ON_DIGEST_SAY] = { "DIGEST_SAY", sync_on_digest_say },
	[SYNC_ON_DIGEST_STOP] = { "DIGEST_STOP", sync_on_digest_stop },
	[SYNC_ON_DIGEST_ANSWER] = { "DIGEST_ANSWER", sync_on_digest_answer },
	[SYNC_ON_DIGEST_FAILED] = { "DIGEST_FAILED", sync_on_digest_failed },
	[SYNC_ON_SCHEMA_ASK] = { "SCHEMA_ASK", sync_on_schema_ask },
	[SYNC_ON_SCHEMA] = { "SCHEMA", sync_on_schema },
	[SYNC_ON_CLAIMS] = { "CLAIMS", sync_on_claims },
	[SYNC_ON_TOKENS] = { "TOKENS", sync_on_tokens },
	[SYNC_ON_COMMON] = { "COMMON", sync_on_common },
	[SYNC_ON_FORKED] = { "FORKED", sync_on_forked },
};

static const char *const action_names[] = {
	[SYNC_DO_OPENED] = "OPENED",
	[SYNC_DO_TIMER] = "TIMER",
	[SYNC_DO_WANT_ROOM] = "WANT_ROOM",
	[SYNC_DO_CLOSE] = "CLOSE",
	[SYNC_DO_NEED_PLAN] = "NEED_PLAN",
	[SYNC_DO_TAKE_PAGE] = "TAKE_PAGE",
	[SYNC_DO_TAKE_PIECE] = "TAKE_PIECE",
	[SYNC_DO_TAKE_END] = "TAKE_END",
	[SYNC_DO_PULL_OVER] = "PULL_OVER",
	[SYNC_DO_SERVE_BEGIN] = "SERVE_BEGIN",
	[SYNC_DO_NEED_PAGE] = "NEED_PAGE",
	[SYNC_DO_NEED_END] = "NEED_END",
	[SYNC_DO_SERVE_END] = "SERVE_END",
	[SYNC_DO_NOTIFIED] = "NOTIFIED",
	[SYNC_DO_PUSH_ASKED] = "PUSH_ASKED",
	[SYNC_DO_PUSHED] = "PUSHED",
	[SYNC_DO_DIGEST_HEARD] = "DIGEST_HEARD",
	[SYNC_DO_DIGEST_OVER] = "DIGEST_OVER",
	[SYNC_DO_DIGEST_ASKED] = "DIGEST_ASKED",
	[SYNC_DO_DIGEST_END] = "DIGEST_END",
	[SYNC_DO_SCHEMA] = "SCHEMA",
	[SYNC_DO_SCHEMA_ASKED] = "SCHEMA_ASKED",
	[SYNC_DO_CHECK_CLAIMS] = "CHECK_CLAIMS",
	[SYNC_DO_NEED_TOKENS] = "NEED_TOKENS",
	[SYNC_DO_FIND_COMMON] = "FIND_COMMON",
	[SYNC_DO_FORK] = "FORK",
};

const char *
sync_event_name(enum sync_event_kind kind)
{
	return events[kind].name;
}

const char *
sync_action_name(enum sync_action_kind kind)
{
	return action_names[kind];
}

int
sync_step(struct sync *s, const struct sync_event *event,
    struct sync_actions *out, struct err *err)
{
	int rc;

	empty(out);
	if (s->phase == PHASE_OVER) {
		out->used = event->len;
		return 0;
	}
	s->out = out;
	s->err = err;
	if (event->now_ms > s->now_ms)
		s->now_ms = event->now_ms;
	if (s->opened_told)
		forget_hello(s);
	rc = events[event->kind].handle(s, event);
	if (rc == 0)
		sync_set_timer(s);
	if (out->n > SYNC_ACTIONS_MAX)
		rc = err_set(err, E_FATAL, NULL, "too many actions of sync");
	if (rc == 0 && out->send.failed)
		rc = err_nomem(err);
	s->out = NULL;
	s->err = NULL;
	return rc;
}
