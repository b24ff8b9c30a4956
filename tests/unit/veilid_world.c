// SPDX-License-Identifier: MPL-2.0
#include "veilid_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"

struct said {
	uv_write_t req;
	char *text;
};

/* A text for a client, some time later. */
struct later {
	uv_timer_t timer;
	struct world *world;
	uint64_t client;
	json_t *message;        /* NULL: the end of a call */
	uint64_t call;
};

static void
must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "the world: %s\n", what);
	abort();
}

static uint64_t
next_random(struct world *w)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return w->seed;
}

static bool
happens(struct world *w, unsigned percent)
{
	return percent > 0 && next_random(w) % 100 < percent;
}

static unsigned
some_time(struct world *w)
{
	return w->delay == 0 ? 0 : (unsigned)(next_random(w) % (w->delay + 1));
}

static const char *
text_of(const json_t *request, const char *name)
{
	const char *text = json_string_value(json_object_get(request, name));

	must(text != NULL, name);
	return text;
}

/* ---- what clients hear ---- */

static void
free_handle(uv_handle_t *handle)
{
	free(handle);
}

static void
hang_up(struct world_client *c)
{
	if (c->pipe == NULL)
		return;
	uv_close((uv_handle_t *)c->pipe, free_handle);
	c->pipe = NULL;
	free(c->in);
	c->in = NULL;
	c->nin = c->cap = 0;
}

static void
have_said(uv_write_t *req, int status)
{
	struct said *s = req->data;

	free(s->text);
	free(s);
}

static void
say(struct world_client *c, const json_t *message)
{
	struct said *s;
	uv_buf_t buf;
	size_t len;

	if (c->pipe == NULL)
		return;
	s = calloc(1, sizeof *s);
	must(s != NULL, "no memory");
	s->text = json_dumps(message, JSON_COMPACT);
	must(s->text != NULL, "no text");
	len = strlen(s->text);
	s->text[len] = '\n';
	s->req.data = s;
	buf = uv_buf_init(s->text, (unsigned)len + 1);
	if (uv_write(&s->req, (uv_stream_t *)c->pipe, &buf, 1, have_said) < 0)
		have_said(&s->req, -1);
}

static struct world_client *
client(struct world *w, uint64_t id)
{
	size_t i;

	for (i = 0; i < WORLD_CLIENTS; i++)
		if (w->clients[i].pipe != NULL && w->clients[i].id == id)
			return &w->clients[i];
	return NULL;
}

static void
later_gone(uv_handle_t *handle)
{
	struct later *l = handle->data;

	l->world->later--;
	json_decref(l->message);
	free(l);
}

static void answer_error(struct world *w, uint64_t id, const json_t *request,
    const char *kind, unsigned ms);

static struct world_call *
find_call(struct world *w, uint64_t id)
{
	size_t i;

	for (i = 0; i < WORLD_CALLS; i++)
		if (w->calls[i].id == id)
			return &w->calls[i];
	return NULL;
}

static void
end_call(struct world_call *call)
{
	json_decref(call->request);
	*call = (struct world_call){ .id = 0 };
}

static void
later_fired(uv_timer_t *timer)
{
	struct later *l = timer->data;
	struct world *w = l->world;
	struct world_client *c = client(w, l->client);
	struct world_call *call;

	if (l->message == NULL) {
		call = find_call(w, l->call);
		if (call != NULL) {
			answer_error(w, call->client, call->request, "Timeout",
			    0);
			end_call(call);
		}
	} else if (c != NULL) {
		say(c, l->message);
	}
	uv_close((uv_handle_t *)timer, later_gone);
}

static struct later *
later(struct world *w, unsigned ms)
{
	struct later *l = calloc(1, sizeof *l);

	must(l != NULL, "no memory");
	l->world = w;
	uv_timer_init(w->loop, &l->timer);
	l->timer.data = l;
	w->later++;
	uv_timer_start(&l->timer, later_fired, ms, 0);
	/* what is late does not keep a loop alive that has ended */
	return l;
}

/* message's reference is taken */
static void
say_later(struct world *w, uint64_t id, json_t *message, unsigned ms)
{
	struct world_client *c = client(w, id);
	struct later *l;

	must(message != NULL, "no message");
	if (ms == 0) {
		if (c != NULL)
			say(c, message);
		json_decref(message);
		return;
	}
	l = later(w, ms);
	l->client = id;
	l->message = message;
}

static json_t *
answer_head(const json_t *request)
{
	json_t *m = json_pack("{s:s s:O s:O}", "type", "Response", "id",
	    json_object_get(request, "id"), "op",
	    json_object_get(request, "op"));

	if (json_object_get(request, "rc_op") != NULL) {
		json_object_set(m, "rc_id", json_object_get(request, "rc_id"));
		json_object_set(m, "rc_op", json_object_get(request, "rc_op"));
	}
	return m;
}

static void
answer(struct world *w, uint64_t id, const json_t *request, json_t *value,
    unsigned ms)
{
	json_t *m = answer_head(request);

	json_object_set_new(m, "value", value);
	say_later(w, id, m, ms);
}

static void
answer_error(struct world *w, uint64_t id, const json_t *request,
    const char *kind, unsigned ms)
{
	json_t *m = answer_head(request);

	json_object_set_new(m, "error", json_pack("{s:s s:s}", "kind", kind,
	    "message", "as the world wants it"));
	say_later(w, id, m, ms);
}

/* An update for all programs of a node; the reference is taken. */
static void
tell_node(struct world *w, int node, json_t *update, unsigned ms)
{
	size_t i;

	for (i = 0; i < WORLD_CLIENTS; i++)
		if (w->clients[i].pipe != NULL && w->clients[i].node == node)
			say_later(w, w->clients[i].id, json_incref(update),
			    ms);
	json_decref(update);
}

/* ---- routes and calls ---- */

size_t
world_routes(const struct world *w)
{
	size_t i, n = 0;

	for (i = 0; i < w->nroutes; i++)
		n += w->routes[i].alive;
	return n;
}

static struct world_route *
find_route(struct world *w, const char *text)
{
	size_t i;

	for (i = 0; i < w->nroutes; i++)
		if (strcmp(w->routes[i].id, text) == 0
		    || strcmp(w->routes[i].blob, text) == 0)
			return &w->routes[i];
	return NULL;
}

static void
new_route(struct world *w, struct world_client *c, const json_t *request)
{
	struct world_route *r = &w->routes[w->nroutes];
	uint8_t bytes[60];
	size_t i;

	if (w->nodes[c->node].routeless || w->nodes[c->node].detached) {
		answer_error(w, c->id, request, "TryAgain", 0);
		return;
	}
	must(w->nroutes < WORLD_ROUTES, "too many routes");
	w->nroutes++;
	for (i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)next_random(w);
	strcpy(r->id, "VLD0:");
	r->id[5 + base64_encode(bytes, 32, r->id + 5)] = '\0';
	r->blob[base64_encode(bytes, sizeof bytes, r->blob)] = '\0';
	r->node = c->node;
	r->alive = true;
	answer(w, c->id, request, json_pack("{s:s s:s}", "route_id", r->id,
	    "blob", r->blob), 0);
}

static void
import_route(struct world *w, struct world_client *c, const json_t *request)
{
	struct world_route *r = find_route(w, text_of(request, "blob"));

	if (r == NULL) {
		answer_error(w, c->id, request, "ParseError", 0);
		return;
	}
	r->imported[c->node] = true;
	answer(w, c->id, request, json_string(r->id), 0);
}

static void
end_route(struct world *w, struct world_route *r, bool told)
{
	r->alive = false;
	if (told)
		tell_node(w, r->node, json_pack("{s:s s:s s:[s] s:[]}", "type",
		    "Update", "kind", "RouteChange", "dead_routes", r->id,
		    "dead_remote_routes"), 0);
}

/* Where it is imported, that is what ends. */
static void
release_route(struct world *w, struct world_client *c, const json_t *request)
{
	struct world_route *r = find_route(w, text_of(request, "route_id"));

	if (r == NULL || (!r->imported[c->node]
	    && (r->node != c->node || !r->alive))) {
		answer_error(w, c->id, request, "InvalidArgument", 0);
		return;
	}
	if (r->imported[c->node])
		r->imported[c->node] = false;
	else
		end_route(w, r, true);
	answer(w, c->id, request, json_null(), 0);
}

void
world_end_routes(struct world *w, int node, bool told)
{
	size_t i;

	for (i = 0; i < w->nroutes; i++)
		if (w->routes[i].node == node && w->routes[i].alive)
			end_route(w, &w->routes[i], told);
}

void
world_forget(struct world *w, int node)
{
	size_t i;

	for (i = 0; i < w->nroutes; i++)
		w->routes[i].imported[node] = false;
}

/* Until a call has come through. */
static unsigned
way(struct world *w)
{
	uint64_t now = uv_now(w->loop);

	if (w->busy_until < now)
		w->busy_until = now;
	w->busy_until += w->pace;
	return (unsigned)(w->busy_until - now) + some_time(w);
}

static void
pass_on(struct world *w, const struct world_route *r, const char *message,
    uint64_t id)
{
	char call[32];

	snprintf(call, sizeof call, "%llu", (unsigned long long)id);
	tell_node(w, r->node, json_pack("{s:s s:s s:n s:s s:s s:s}", "type",
	    "Update", "kind", "AppCall", "sender", "route_id", r->id,
	    "message", message, "call_id", call), way(w));
}

static void
app_call(struct world *w, struct world_client *c, const json_t *request)
{
	struct world_route *r = find_route(w, text_of(json_object_get(request,
	    "target"), "RouteId"));
	const char *message = text_of(request, "message");
	struct world_call *call;

	w->calls_made++;
	must(base64_bytes(strlen(message)) <= 32768, "a call is too long");
	if (r == NULL || !r->imported[c->node] || w->nodes[c->node].detached) {
		answer_error(w, c->id, request, "NoConnection", 0);
		return;
	}
	if (!r->alive || w->nodes[r->node].detached || happens(w, w->lost)) {
		answer_error(w, c->id, request, "Timeout", w->timeout);
		return;
	}
	call = find_call(w, 0);
	must(call != NULL, "too many calls");
	*call = (struct world_call){ .id = ++w->last_id, .client = c->id,
		.request = json_incref((json_t *)(uintptr_t)request) };
	later(w, w->timeout)->call = call->id;
	pass_on(w, r, message, call->id);
	if (happens(w, w->repeated))
		pass_on(w, r, message, ++w->last_id);
}

void
world_call(struct world *w, const struct world_route *r, const void *bytes,
    size_t len)
{
	char *text = malloc(base64_chars(len) + 1);

	must(text != NULL, "no memory");
	text[base64_encode(bytes, len, text)] = '\0';
	pass_on(w, r, text, ++w->last_id);
	free(text);
}

static void
reply(struct world *w, struct world_client *c, const json_t *request)
{
	struct world_call *call = find_call(w, strtoull(text_of(request,
	    "call_id"), NULL, 10));

	answer(w, c->id, request, json_null(), 0);
	if (call == NULL)
		return;
	if (happens(w, w->answers_lost))
		return;         /* it ends when its time is over */
	answer(w, call->client, call->request,
	    json_incref(json_object_get(request, "message")), some_time(w));
	end_call(call);
}

/* ---- records ---- */

static struct world_record *
find_record(struct world *w, const char *key)
{
	size_t i;

	for (i = 0; i < w->nrecords; i++)
		if (strncmp(w->records[i].key, key, 48) == 0)
			return &w->records[i];
	return NULL;
}

static void
create(struct world *w, struct world_client *c, const json_t *request)
{
	const char *owner = text_of(request, "owner");
	char key[WORLD_TEXT];
	struct world_record *r = find_record(w, owner);

	if (r == NULL) {
		must(w->nrecords < WORLD_RECORDS, "too many records");
		r = &w->records[w->nrecords++];
		snprintf(r->key, sizeof r->key, "%.48s", owner);
	} else {
		answer_error(w, c->id, request, "Internal", 0);
		return;
	}
	snprintf(key, sizeof key, "%s:%s", r->key,
	    "pfQEaCJ1PwTo5C59bybvX5ymiHlVDwXzK2aefFqhYLg");
	answer(w, c->id, request, json_pack("{s:s s:s s:s}", "key", key,
	    "owner", r->key, "owner_secret", owner + 49), 0);
}

static json_t *
value_of(const struct world_record *r)
{
	if (r->data == NULL)
		return json_null();
	return json_pack("{s:i s:s s:s}", "seq", r->seq, "data", r->data,
	    "writer", r->key);
}

static void
set(struct world *w, struct world_client *c, const json_t *request,
    struct world_record *r)
{
	int i;

	w->sets++;
	free(r->data);
	r->data = strdup(text_of(request, "data"));
	r->seq++;
	answer(w, c->id, request, json_null(), some_time(w));
	for (i = 0; i < WORLD_NODES; i++)
		if (r->watched[i])
			tell_node(w, i, json_pack("{s:s s:s s:s s:[[i,i]] s:i "
			    "s:o}", "type", "Update", "kind", "ValueChange",
			    "key", r->key, "subkeys", 0, 0, "count", 1000,
			    "value", value_of(r)), 1 + some_time(w));
}

static void
in_context(struct world *w, struct world_client *c, const json_t *request)
{
	const char *op = text_of(request, "rc_op");
	int id = (int)json_integer_value(json_object_get(request, "rc_id"));
	struct world_record *r;
	json_t *m;

	if (id < 1 || id > c->contexts) {
		m = answer_head(request);
		json_object_set_new(m, "rc_op", json_string("InvalidId"));
		say_later(w, c->id, m, 0);
		return;
	}
	if (strcmp(op, "AppCall") == 0) {
		app_call(w, c, request);
		return;
	}
	if (strcmp(op, "CreateDhtRecord") == 0) {
		create(w, c, request);
		return;
	}
	if (strcmp(op, "Release") == 0) {
		answer(w, c->id, request, json_null(), 0);
		return;
	}
	r = find_record(w, text_of(request, "key"));
	if (r == NULL) {
		answer_error(w, c->id, request, "KeyNotFound", w->not_found);
	} else if (strcmp(op, "OpenDhtRecord") == 0) {
		answer(w, c->id, request, json_pack("{s:s s:s s:n}", "key",
		    r->key, "owner", r->key, "owner_secret"), some_time(w));
	} else if (strcmp(op, "SetDhtValue") == 0) {
		set(w, c, request, r);
	} else if (strcmp(op, "GetDhtValue") == 0) {
		answer(w, c->id, request, value_of(r), some_time(w));
	} else if (strcmp(op, "WatchDhtValues") == 0) {
		r->watched[c->node] = true;
		answer(w, c->id, request, json_true(), 0);
	} else {
		answer(w, c->id, request, json_null(), 0);
	}
}

/* ---- nodes ---- */

static json_t *
state_of(const struct world *w, int node)
{
	bool ready = !w->nodes[node].detached;

	return json_pack("{s:s s:b s:b}", "state", ready ? "AttachedGood"
	    : "Attaching", "public_internet_ready", ready,
	    "local_network_ready", 0);
}

static void
plain(struct world *w, struct world_client *c, const json_t *request)
{
	const char *op = text_of(request, "op");
	json_t *m;

	if (strcmp(op, "VeilidVersion") == 0) {
		m = answer_head(request);
		json_object_set_new(m, "major", json_integer(0));
		json_object_set_new(m, "minor", json_integer(5));
		json_object_set_new(m, "patch", json_integer(8));
		say_later(w, c->id, m, 0);
	} else if (strcmp(op, "GetState") == 0) {
		answer(w, c->id, request, json_pack("{s:o}", "attachment",
		    state_of(w, c->node)), 0);
	} else if (strcmp(op, "NewRoutingContext") == 0) {
		answer(w, c->id, request, json_integer(++c->contexts), 0);
	} else if (strcmp(op, "NewPrivateRoute") == 0
	    || strcmp(op, "NewCustomPrivateRoute") == 0) {
		new_route(w, c, request);
	} else if (strcmp(op, "ImportRemotePrivateRoute") == 0) {
		import_route(w, c, request);
	} else if (strcmp(op, "ReleasePrivateRoute") == 0) {
		release_route(w, c, request);
	} else if (strcmp(op, "AppCallReply") == 0) {
		reply(w, c, request);
	} else if (strcmp(op, "GetDhtRecordKey") == 0) {
		answer(w, c->id, request, json_string(text_of(request,
		    "owner")), 0);
	} else if (strcmp(op, "RoutingContext") == 0) {
		in_context(w, c, request);
	} else {
		answer(w, c->id, request, json_null(), 0);
	}
}

static void
have_request(struct world_client *c, const json_t *request)
{
	struct world *w = c->world;
	bool cut = ++w->requests == w->cut_at;

	if (!cut || w->cut_after) {
		if (w->watch == NULL || !w->watch(w, c, request))
			plain(w, c, request);
	}
	if (cut) {
		hang_up(c);
		w->cut_ended++;
	}
}

static void
give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct world_client *c = handle->data;

	if (c->cap - c->nin < 65536) {
		c->cap += 1 << 18;
		c->in = realloc(c->in, c->cap);
		must(c->in != NULL, "no memory");
	}
	*buf = uv_buf_init(c->in + c->nin, (unsigned)(c->cap - c->nin));
}

static void
have_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct world_client *c = stream->data;
	size_t begin = 0;
	json_t *request;
	char *end;

	if (c->pipe != (uv_pipe_t *)stream)
		return;
	if (n < 0)
		hang_up(c);
	if (n <= 0)
		return;
	c->nin += (size_t)n;
	while ((end = memchr(c->in + begin, '\n', c->nin - begin)) != NULL) {
		request = json_loadb(c->in + begin, (size_t)(end - c->in)
		    - begin, JSON_REJECT_DUPLICATES, NULL);
		must(json_is_object(request), "that is no request");
		begin = (size_t)(end - c->in) + 1;
		have_request(c, request);
		json_decref(request);
		if (c->pipe != (uv_pipe_t *)stream)
			return;
	}
	c->nin -= begin;
	memmove(c->in, c->in + begin, c->nin);
}

static void
have_client(uv_stream_t *server, int status)
{
	struct world *w = server->data;
	uv_pipe_t *pipe = calloc(1, sizeof *pipe);
	size_t i;
	int node;

	must(status == 0 && pipe != NULL, "cannot accept");
	for (i = 0; i < WORLD_CLIENTS && w->clients[i].pipe != NULL; i++)
		;
	must(i < WORLD_CLIENTS, "too many programs");
	for (node = 0; (uv_stream_t *)w->nodes[node].server != server; node++)
		;
	uv_pipe_init(w->loop, pipe, 0);
	w->clients[i] = (struct world_client){ .world = w, .node = node,
		.id = ++w->last_id, .pipe = pipe };
	pipe->data = &w->clients[i];
	must(uv_accept(server, (uv_stream_t *)pipe) == 0, "cannot accept");
	uv_read_start((uv_stream_t *)pipe, give_buffer, have_read);
}

void
world_start(struct world *w, int node)
{
	uv_pipe_t *server = calloc(1, sizeof *server);

	must(server != NULL, "no memory");
	uv_pipe_init(w->loop, server, 0);
	server->data = w;
	w->nodes[node].server = server;
	must(uv_pipe_bind(server, w->nodes[node].where + 5) == 0
	    && uv_listen((uv_stream_t *)server, 8, have_client) == 0,
	    "cannot listen");
}

void
world_hang_up(struct world *w, int node)
{
	size_t i;

	for (i = 0; i < WORLD_CLIENTS; i++)
		if (w->clients[i].node == node)
			hang_up(&w->clients[i]);
}

void
world_kill(struct world *w, int node)
{
	size_t i;

	world_hang_up(w, node);
	world_forget(w, node);
	world_end_routes(w, node, false);
	for (i = 0; i < w->nrecords; i++)
		w->records[i].watched[node] = false;
	if (w->nodes[node].server != NULL)
		uv_close((uv_handle_t *)w->nodes[node].server, free_handle);
	w->nodes[node].server = NULL;
}

void
world_attach(struct world *w, int node, bool attached)
{
	json_t *update;

	w->nodes[node].detached = !attached;
	update = state_of(w, node);
	json_object_set_new(update, "type", json_string("Update"));
	json_object_set_new(update, "kind", json_string("Attachment"));
	tell_node(w, node, update, 0);
}

void
world_init(struct world *w, uv_loop_t *loop)
{
	int i;

	memset(w, 0, sizeof *w);
	w->loop = loop;
	w->seed = 88172645463325252;
	w->timeout = 300;
	w->not_found = 300;
	temp_name(w->dir, "world");
	must(mkdtemp(w->dir) != NULL, "cannot make a directory");
	for (i = 0; i < WORLD_NODES; i++) {
		snprintf(w->nodes[i].where, sizeof w->nodes[i].where,
		    "unix:%s/%d", w->dir, i);
		world_start(w, i);
	}
}

void
world_clear(struct world *w)
{
	size_t i;

	for (i = 0; i < WORLD_NODES; i++) {
		world_kill(w, (int)i);
		unlink(w->nodes[i].where + 5);
	}
	for (i = 0; i < w->nrecords; i++)
		free(w->records[i].data);
	for (i = 0; i < WORLD_CALLS; i++)
		if (w->calls[i].id != 0)
			end_call(&w->calls[i]);
	rmdir(w->dir);
}

bool
world_gone(const struct world *w)
{
	return w->later == 0;
}
