// SPDX-License-Identifier: MPL-2.0
/*
 * session.c - the life of a session, and the way of its bytes: stream to
 * channel to conversation, and back.  What the conversation asks for is in
 * session_talk.c, and the files named there.
 *
 * A session that is over is dead at once and told of later, by hub_tick(): so
 * nobody is called from inside of his own call, and nothing is freed under
 * the feet of who uses it.
 */
#include "node/session.h"

#include <stdlib.h>
#include <string.h>

#include "node/session_state.h"

enum { CHUNK = 64 << 10 };      /* given to the transport at a time */

static const struct sync_config stream = { .frame_max = 0 };

/* ---- bytes out ---- */

static void
set_blocked(struct session *s, bool blocked)
{
	uint64_t now = hub_now(s->hub);

	if (s->blocked == blocked)
		return;
	s->blocked = blocked;
	s->slow_ms = blocked ? now + SESSION_SLOW_MS : HUB_NEVER;
	if (blocked)
		session_wake(s, s->slow_ms);
	else if (s->wants_room)
		session_wake(s, now);
}

/* A peer may say as often as it likes that it is there: who reads nothing
 * while much waits for it is not.  Where we come late, the fault may be ours. */
static void
check_slow(struct session *s, uint64_t now_ms)
{
	struct err why = { .code = 0 };

	if (now_ms < s->slow_ms)
		return;
	if (now_ms > s->slow_ms + SYNC_LATE_MS) {
		s->slow_ms = now_ms + SESSION_SLOW_MS;
		return;
	}
	err_set(&why, E_UNREACHABLE, NULL, "%s does not read what was sent",
	    s->place);
	session_over(s, &why);
}

bool
session_has_room(const struct session *s)
{
	return !s->blocked;
}

void
session_wake(struct session *s, uint64_t at_ms)
{
	if (at_ms < s->timer_ms)
		s->timer_ms = at_ms;
	hub_wake(s->hub, s->timer_ms);
}

/* Gives the transport what the channel has for it. */
static void
flush(struct session *s)
{
	struct err err = { .code = 0 };
	const uint8_t *bytes;
	size_t len, n;
	int rc;

	if (s->conn == NULL)
		return;
	for (;;) {
		bytes = chan_output(s->chan, &len);
		if (len == 0)
			break;
		n = len < CHUNK ? len : CHUNK;
		rc = net_conn_send(s->conn, bytes, n, &err);
		if (rc == E_HELD)
			break;
		if (rc != 0) {
			session_over(s, &err);
			return;
		}
		chan_output_taken(s->chan, n);
	}
	/* Whatever is left waits for on_drain, which comes: the transport
	 * refuses bytes only far above its low water. */
	if (len > 0 || net_conn_queued(s->conn) > NET_LOW_WATER)
		set_blocked(s, true);
}

void
session_send(struct session *s, const uint8_t *bytes, size_t len)
{
	struct err err = { .code = 0 };

	if (s->dead || len == 0)
		return;
	if (chan_write(s->chan, bytes, len, &err) != 0)
		session_over(s, &err);
	else
		flush(s);
}

static void
on_drain(struct net_conn *conn)
{
	struct session *s = conn->owner;

	flush(s);
	if (s->dead)
		return;
	if (net_conn_queued(s->conn) <= NET_LOW_WATER)
		set_blocked(s, false);
}

/* ---- bytes in ---- */

/* The handshake is done: who is it? */
static void
identify(struct session *s)
{
	struct err err = { .code = 0 };
	int rc;

	s->identified = true;
	if (s->caller) {
		s->known = true;
		talk_start(s);
		return;
	}
	chan_peer_key(s->chan, s->key);
	rc = store_remote_by_key(s->hub->store, s->key, &s->remote, &err);
	if (rc == 0) {
		s->known = true;
		net_conn_mark(s->conn);
		talk_start(s);
	} else if (rc == E_NOTFOUND) {
		hub_knock(s->hub, s->key, s->place);
		talk_refuse(s);
	} else {
		session_over(s, &err);
	}
}

void
session_pump(struct session *s)
{
	struct err err = { .code = 0 };
	const uint8_t *bytes;
	size_t len, used;

	if (s->pumping || !s->known)
		return;
	s->pumping = true;
	do {
		if (s->dead)
			break;
		bytes = chan_input(s->chan, &len);
		used = len > 0 ? talk_bytes(s, bytes, len) : 0;
		if (!s->dead && used > 0
		    && chan_input_taken(s->chan, used, &err) != 0)
			session_over(s, &err);
	} while (used > 0);
	s->pumping = false;
	if (!s->dead)
		/* What the conversation does not use now fills the channel;
		 * then the peer has to wait. */
		net_conn_read(s->conn, len < CHAN_INPUT_MAX);
}

static void
on_data(struct net_conn *conn, const uint8_t *bytes, size_t len)
{
	struct session *s = conn->owner;
	struct err err = { .code = 0 };
	int rc = chan_feed(s->chan, bytes, len, &err);

	flush(s);
	if (!s->dead && !s->identified && chan_state(s->chan) == CHAN_OPEN)
		identify(s);
	session_pump(s);
	if (s->dead)
		return;
	if (rc == 0 && chan_state(s->chan) == CHAN_CLOSED)
		rc = err_set(&err, E_UNREACHABLE, NULL,
		    "the other side ended the connection");
	if (rc != 0)
		session_over(s, &err);
}

static void
on_close(struct net_conn *conn, const struct err *why)
{
	struct session *s = conn->owner;
	struct err err = *why;

	if (why->code == 0 && chan_eof(s->chan, &err) == 0)
		err_set(&err, E_UNREACHABLE, NULL,
		    "the other side ended the connection");
	session_over(s, &err);
}

static const struct net_conn_events conn_events = {
	.on_data = on_data,
	.on_drain = on_drain,
	.on_close = on_close,
};

/* ---- life ---- */

static int
session_new(struct hub *h, struct net_conn *conn, struct session **out,
    struct err *err)
{
	struct session *s;

	if (h->nsessions >= HUB_SESSIONS_MAX)
		return err_set(err, E_UNREACHABLE, "try again later",
		    "there are too many connections");
	s = calloc(1, sizeof *s);
	if (s == NULL)
		return err_nomem(err);
	s->hub = h;
	s->conn = conn;
	s->born_ms = hub_now(h);
	s->turn = ++h->last_turn;       /* behind all others */
	s->timer_ms = s->born_ms + SESSION_HANDSHAKE_MS;
	s->talk_ms = s->again_ms = s->slow_ms = HUB_NEVER;
	sync_actions_init(&s->actions);
	net_conn_place(conn, s->place);
	s->far = conn->far;
	/* by which network says enough: the rest is the key */
	if (s->far)
		s->place[strcspn(s->place, ":")] = '\0';
	*out = s;
	return 0;
}

/* One that was never more than a try; or NULL. */
static void
throw_away(struct session *s)
{
	if (s == NULL)
		return;
	chan_free(s->chan);
	sync_free(s->sync);
	sync_actions_clear(&s->actions);
	free(s->tokens);
	free(s->hello);
	free(s->described);
	free(s);
}

static void
join(struct session *s)
{
	struct hub *h = s->hub;

	s->next = h->sessions;
	h->sessions = s;
	h->nsessions++;
	s->conn->events = &conn_events;
	s->conn->owner = s;
	net_conn_read(s->conn, true);
	hub_wake(h, s->timer_ms);
	flush(s);
}

int
session_call(struct hub *h, struct net_conn *conn,
    const struct store_remote *remote, const struct session_events *events,
    void *owner, struct session **out, struct err *err)
{
	struct session *s = NULL;
	int rc = session_new(h, conn, &s, err);

	if (rc == 0)
		rc = sync_new(&stream, &s->sync, err);
	if (rc == 0)
		rc = chan_new_client(h->identity, remote->key, &s->chan, err);
	if (rc != 0) {
		net_conn_abort(conn);
		throw_away(s);
		return rc;
	}
	s->caller = true;
	s->remote = *remote;
	memcpy(s->key, remote->key, KEY_LEN);
	s->events = events;
	s->owner = owner;
	join(s);
	*out = s;
	return 0;
}

int
session_answer(struct hub *h, struct net_conn *conn, struct err *err)
{
	const struct chan_identity *ids[] = { h->identity };
	struct session *s = NULL;
	int rc = session_new(h, conn, &s, err);

	if (rc == 0)
		rc = sync_new(&stream, &s->sync, err);
	if (rc == 0)
		rc = chan_new_server(ids, 1, &s->chan, err);
	if (rc != 0) {
		net_conn_abort(conn);
		throw_away(s);
		return rc;
	}
	join(s);
	return 0;
}

void
session_opened(struct session *s)
{
	struct node_event event = { .kind = NODE_CONNECTED,
		.remote = s->remote.name, .place = s->place };
	const struct err twice = { E_EXISTS, "there is another connection",
		"" };

	const struct session *other = hub_find(s->hub, s->key);
	bool replaces = other != NULL && other->far == s->far;

	s->open_ms = hub_now(s->hub);
	if (!hub_admit(s->hub, s)) {
		session_over(s, &twice);
		return;
	}
	s->open = true;
	store_remote_note(s->hub->store, s->remote.id, hub_date(s->hub),
	    s->place, NULL, NULL);
	if (!replaces)
		hub_emit(s->hub, &event);
	hub_wake(s->hub, s->open_ms);
	if (s->events != NULL)
		s->events->on_open(s->owner, s);
	if (s->hub->options.opened != NULL && !s->dead)
		s->hub->options.opened(s->hub->options.self, s);
}

void
session_over(struct session *s, const struct err *why)
{
	if (s->dead)
		return;
	s->dead = true;
	s->why = *why;
	pull_over(s, why);
	serve_over(s, false);
	digest_over(s, why);
	digest_end(s);
	if (s->conn != NULL) {
		chan_close(s->chan);
		flush(s);
		net_conn_close(s->conn);
		s->conn = NULL;
	}
	hub_wake(s->hub, hub_now(s->hub));
}

void
session_end(struct session *s, int code, const char *text)
{
	struct err why = { .code = 0 };

	s->events = NULL;
	if (s->dead)
		return;
	err_set(&why, code, NULL, "%s", text);
	if (!s->talking)
		talk_end(s, &why);
	session_over(s, &why);
}

void
session_release(struct session *s)
{
	s->events = NULL;
}

void
session_report(struct session *s)
{
	struct node_event event = { .kind = NODE_DISCONNECTED,
		.remote = s->remote.name, .text = s->why.text,
		.hint = s->why.hint };
	const struct session_events *events = s->events;
	struct hub *h = s->hub;

	jobs_over(s, &s->why);
	if (events != NULL) {
		s->events = NULL;
		events->on_close(s->owner, s, &s->why);
	}
	if (!s->open)
		return;
	s->open = false;
	store_remote_note(h->store, s->remote.id, hub_date(h), s->place, NULL,
	    NULL);
	/* Of two connections that crossed people hear as of one. */
	if (hub_find(h, s->key) == NULL)
		hub_emit(h, &event);
	if (h->options.closed != NULL)
		h->options.closed(h->options.self, s, &s->why);
}

void
session_free(struct session *s)
{
	const struct err bye = { E_UNREACHABLE, "this side ends", "" };

	session_over(s, &bye);
	throw_away(s);
}

void
session_tick(struct session *s, uint64_t now_ms)
{
	struct err why = { .code = 0 };
	uint64_t due = s->born_ms + SESSION_HANDSHAKE_MS;

	s->timer_ms = HUB_NEVER;
	if (!s->open && now_ms >= due) {
		err_set(&why, E_UNREACHABLE, NULL,
		    "%s does not answer as ddcp does", s->place);
		session_over(s, &why);
		return;
	}
	if (!s->open)
		s->timer_ms = due;
	check_slow(s, now_ms);
	if (s->dead)
		return;
	if (s->known)
		talk_time(s, now_ms);
	if (s->talk_ms < s->timer_ms)
		s->timer_ms = s->talk_ms;
	if (s->again_ms < s->timer_ms)
		s->timer_ms = s->again_ms;
	if (s->slow_ms < s->timer_ms)
		s->timer_ms = s->slow_ms;
	if (s->pulling.on && s->pulling.look_ms < s->timer_ms)
		s->timer_ms = s->pulling.look_ms;
}

/* ---- what it is ---- */

int64_t
session_remote(const struct session *s)
{
	return s->remote.id;
}

const char *
session_name(const struct session *s)
{
	return s->remote.name;
}

const uint8_t *
session_key(const struct session *s)
{
	return s->key;
}

const char *
session_place(const struct session *s)
{
	return s->place;
}

bool
session_is_far(const struct session *s)
{
	return s->far;
}

bool
session_is_caller(const struct session *s)
{
	return s->caller;
}

uint64_t
session_since(const struct session *s)
{
	return s->open_ms;
}
