// SPDX-License-Identifier: MPL-2.0
#include "sync_peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "wire/zip.h"

static void
must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "sync_peers: %s\n", what);
	abort();
}

/* ---- the trace ---- */

static void __attribute__((format(printf, 2, 3)))
note(struct peer *p, const char *fmt, ...)
{
	char line[256];
	va_list ap;
	int n;

	if (p->pair->quiet)
		return;
	n = snprintf(line, sizeof line, "%c ", p->name);
	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof line - (size_t)n, fmt, ap);
	va_end(ap);
	buf_add(&p->pair->trace, line, (size_t)n);
	buf_add(&p->pair->trace, "\n", 1);
}

static void
note_message(struct peer *p, const struct wire_msg *m)
{
	const char *name = wire_name(m->type);

	switch (m->type) {
	case WIRE_PULL:
		note(p, "send %s %u%s%s", name, m->pull.id,
		    m->pull.ngroups > 0 && m->pull.group[0].whole ? " whole"
		    : "", m->pull.resume_at > 0 ? " resume" : "");
		break;
	case WIRE_PAGE:
		note(p, "send %s %u%s", name, m->page.id,
		    m->page.last ? "" : " part");
		break;
	case WIRE_PUSHED:
		note(p, "send %s %u code %u", name, m->pushed.id,
		    m->pushed.code);
		break;
	case WIRE_ERROR:
		note(p, "send %s %u code %u", name, m->error.id,
		    m->error.code);
		break;
	case WIRE_TOKENS:
		note(p, "send %s %u from %llu, %zu", name, m->tokens.id,
		    (unsigned long long)m->tokens.entry[0].version,
		    m->tokens.nentries);
		break;
	case WIRE_COMMON:
		note(p, "send %s %u at %llu", name, m->common.id,
		    (unsigned long long)m->common.version);
		break;
	case WIRE_END: case WIRE_WHOLE: case WIRE_STOP: case WIRE_PUSH:
		note(p, "send %s %u", name, m->end.id);
		break;
	default:
		note(p, "send %s", name);
	}
}

static void
note_sent(struct peer *p)
{
	const uint8_t *data = p->out.send.data;
	size_t len = p->out.send.len;
	struct frame f;
	struct wire_msg m;

	while (len > 0) {
		must(frames_next(&p->sent, &data, &len, &f, NULL) == 1,
		    "frames are sent whole");
		must(wire_decode(f.type, f.body, f.len, &m, NULL) == 0,
		    "what is sent can be read");
		note_message(p, &m);
		wire_msg_clear(&m);
	}
}

void
expect_trace(struct pair *p, const char *expected)
{
	const char *got;

	buf_add(&p->trace, "", 1);
	got = (const char *)p->trace.data;
	if (strcmp(got, expected) != 0) {
		fprintf(stderr, "expected:\n%sgot:\n%s", expected, got);
		abort();
	}
	buf_clear(&p->trace);
}

/* ---- the database ---- */

static struct wire_entry
entry_of(int site, uint32_t version)
{
	struct wire_entry e = { .version = version };

	e.site[0] = (uint8_t)(site + 1);
	e.token[0] = (uint8_t)(site + 1);
	e.token[1] = (uint8_t)version;
	return e;
}

static size_t
fill_vector(const uint32_t *upto, struct wire_entry *out)
{
	size_t n = 0;
	int i;

	for (i = 0; i < SITES; i++)
		if (upto[i] > 0)
			out[n++] = entry_of(i, upto[i]);
	return n;
}

static void
hash_vector(const uint32_t *upto, uint8_t hash[static WIRE_HASH_LEN])
{
	must(zip_hash((const uint8_t *)upto, SITES * sizeof *upto, hash, NULL)
	    == 0, "hash");
}

static void
keep(struct peer *p, const struct item *item)
{
	if (p->nlog == p->log_cap) {
		p->log_cap = p->log_cap == 0 ? 64 : 2 * p->log_cap;
		p->log = realloc(p->log, p->log_cap * sizeof *p->log);
		must(p->log != NULL, "memory");
	}
	must(item->site < SITES && item->version < VERSIONS_MAX, "item");
	p->have[item->site][item->version] = true;
	p->log[p->nlog++] = *item;
}

void
peer_write(struct peer *p, uint32_t len)
{
	struct item item = { (uint8_t)p->site, ++p->upto[p->site], len };

	keep(p, &item);
}

bool
peers_equal(const struct pair *p)
{
	return memcmp(p->a.have, p->b.have, sizeof p->a.have) == 0;
}

static void
make_plan(struct peer *p)
{
	struct wire_group *g = &p->group;
	bool fetch_only = p->plan.fetch_only;

	p->table = (struct wire_view){ (const uint8_t *)"items", 5 };
	memset(g, 0, sizeof *g);
	g->table = &p->table;
	g->ntables = 1;
	memcpy(g->cursor, &p->cursor, sizeof p->cursor);
	hash_vector(p->upto, g->vector_hash);
	g->entry = p->vector;
	g->nentries = fill_vector(p->upto, p->vector);
	memset(&p->plan, 0, sizeof p->plan);
	p->plan.fetch_only = fetch_only;
	p->plan.group = g;
	p->plan.ngroups = 1;
	memcpy(p->plan.resume_page, p->partial_hash, WIRE_HASH_LEN);
	p->plan.resume_at = p->partial.len;
}

/* A page: where it ends in the log, then items, each with its bytes. */
static void
take_page(struct peer *p, const uint8_t *data, size_t len)
{
	struct item item;
	struct rd r;
	uint32_t end;

	rd_init(&r, data, len);
	end = rd_u32(&r);
	while (rd_left(&r) > 0) {
		item.site = rd_u8(&r);
		item.version = rd_u32(&r);
		item.len = rd_u32(&r);
		rd_bytes(&r, item.len);
		must(!rd_failed(&r), "a page is whole");
		must(item.site < SITES && item.version < VERSIONS_MAX,
		    "an item is one of ours");
		if (!p->have[item.site][item.version])
			keep(p, &item);
	}
	must(rd_done(&r), "a page is whole");
	p->cursor = end;
}

static void
take_piece(struct peer *p, const struct wire_page *piece)
{
	struct zip zip = { NULL, NULL };
	uint8_t hash[WIRE_HASH_LEN];
	struct buf raw;

	if (piece->offset == 0)
		p->partial.len = 0;
	must(piece->offset == p->partial.len, "pieces follow each other");
	memcpy(p->partial_hash, piece->hash, WIRE_HASH_LEN);
	buf_add(&p->partial, piece->bytes.data, piece->bytes.len);
	must(!p->partial.failed, "memory");
	p->pieces_taken++;
	if (!piece->last)
		return;
	must(zip_hash(p->partial.data, p->partial.len, hash, NULL) == 0
	    && memcmp(hash, piece->hash, sizeof hash) == 0, "hash of pieces");
	buf_init(&raw, piece->raw);
	if (piece->zipped)
		must(zip_unpack(&zip, p->partial.data, p->partial.len,
		    piece->raw, &raw, NULL) == 0, "pieces expand");
	take_page(p, piece->zipped ? raw.data : p->partial.data,
	    piece->zipped ? raw.len : p->partial.len);
	buf_clear(&raw);
	zip_clear(&zip);
	buf_clear(&p->partial);
	memset(p->partial_hash, 0, WIRE_HASH_LEN);
}

static void
take_end(struct peer *p, const struct wire_end *end)
{
	const struct wire_entry *e;
	size_t i;

	must(end->ngroups == 1 && end->group[0].complete, "END");
	memcpy(&p->cursor, end->cursor, sizeof p->cursor);
	for (i = 0; i < end->group[0].nentries; i++) {
		e = &end->group[0].entry[i];
		if (p->upto[e->site[0] - 1] < e->version)
			p->upto[e->site[0] - 1] = (uint32_t)e->version;
	}
}

/* ---- serving ---- */

/* True if the vector behind the hash is known. */
static bool
begin_serving(struct peer *p, const struct wire_pull *pull)
{
	const struct wire_group *g = pull->group;
	size_t i;

	must(pull->ngroups == 1, "one group");
	memset(p->serve_upto, 0, sizeof p->serve_upto);
	if (!g->whole) {
		if (memcmp(g->vector_hash, p->known_hash, WIRE_HASH_LEN) != 0)
			return false;
		memcpy(p->serve_upto, p->known_upto, sizeof p->serve_upto);
	}
	for (i = 0; i < g->nentries; i++)
		p->serve_upto[g->entry[i].site[0] - 1] =
		    (uint32_t)g->entry[i].version;
	memcpy(p->known_hash, g->vector_hash, WIRE_HASH_LEN);
	memcpy(p->known_upto, p->serve_upto, sizeof p->serve_upto);
	memcpy(&p->serve_pos, g->cursor, sizeof p->serve_pos);
	p->serve_end = (uint32_t)p->nlog;
	memcpy(p->served_upto, p->upto, sizeof p->upto);
	return true;
}

/* Bytes that do not compress, the same each time. */
static void
put_bytes(struct buf *b, const struct item *item)
{
	uint64_t x = item->version * UINT64_C(0x9E3779B97F4A7C15) + item->site;
	uint8_t *to = buf_reserve(b, item->len);
	uint32_t i;

	must(to != NULL, "memory");
	for (i = 0; i < item->len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		to[i] = (uint8_t)x;
	}
	b->len += item->len;
}

static bool
make_page(struct peer *p)
{
	const struct item *item;
	struct buf b;
	uint32_t i;

	buf_init(&b, 64 << 20);
	buf_add_u32(&b, 0);
	while (p->serve_pos < p->serve_end
	    && (b.len == 4 || b.len < p->page_max)) {
		item = &p->log[p->serve_pos++];
		if (item->version <= p->serve_upto[item->site])
			continue;
		buf_add_u8(&b, item->site);
		buf_add_u32(&b, item->version);
		buf_add_u32(&b, item->len);
		put_bytes(&b, item);
	}
	free(p->page);
	for (i = 0; i < 4; i++)
		b.data[i] = (uint8_t)(p->serve_pos >> (24 - 8 * i));
	if (b.len == 4)
		b.len = 0;
	p->page = buf_take(&b, &p->page_len);
	return p->serve_pos == p->serve_end;
}

static void
make_end(struct peer *p)
{
	memset(&p->end, 0, sizeof p->end);
	memset(&p->end_group, 0, sizeof p->end_group);
	memcpy(p->end.cursor, &p->serve_end, sizeof p->serve_end);
	p->end.group = &p->end_group;
	p->end.ngroups = 1;
	p->end_group.complete = true;
	hash_vector(p->served_upto, p->end_group.vector_hash);
	p->end_group.entry = p->served_vector;
	p->end_group.nentries = fill_vector(p->served_upto, p->served_vector);
}

/* ---- answers ---- */

static struct sync_event *
answer(struct peer *p, int whose, enum sync_event_kind kind)
{
	struct answer *a = &p->answers[p->nanswers++];

	must(p->nanswers <= ANSWERS_MAX, "few questions at a time");
	memset(a, 0, sizeof *a);
	a->whose = whose;
	a->event.kind = kind;
	return &a->event;
}

/* Questions that are void. */
static void
forget_answers(struct peer *p, int whose)
{
	size_t i, kept = 0;

	for (i = 0; i < p->nanswers; i++)
		if ((int)p->answers[i].whose != whose)
			p->answers[kept++] = p->answers[i];
	p->nanswers = kept;
}

static void
drop_page(struct peer *p)
{
	free(p->page);
	p->page = NULL;
}

static void
taken(struct peer *p)
{
	static const struct err full = { E_FATAL, "the disk is full", "" };

	if (p->fail_take)
		answer(p, FOR_PULL, SYNC_ON_PULL_STOP)->why = &full;
	else
		answer(p, FOR_PULL, SYNC_ON_TAKEN);
}

static void
list_tokens(struct peer *p, uint64_t after, uint64_t before)
{
	struct sync_event *e = answer(p, FOR_REST, SYNC_ON_TOKENS);
	uint64_t top = p->upto[p->site], distance = 0;
	size_t n = 0;

	if (before <= top)
		top = before - 1;
	while (top > after + distance && n < WIRE_TOKENS_MAX) {
		p->own[n++] = entry_of(p->site, (uint32_t)(top - distance));
		distance = distance == 0 ? 1 : 2 * distance;
	}
	e->entry = p->own;
	e->nentries = n;
}

static uint64_t
find_common(const struct peer *p, const struct sync_action *a)
{
	uint64_t best = 0;
	size_t i;

	for (i = 0; i < a->nentries; i++)
		if (a->entry[i].version <= p->common
		    && a->entry[i].version > best)
			best = a->entry[i].version;
	return best;
}

/* Does what an action says; a line in the trace for most. */
static void
act(struct peer *p, const struct sync_action *a)
{
	static struct wire_pushed pushed = { .transactions = 2, .rows = 3 };
	const char *name = sync_action_name(a->kind);
	struct sync_event *e;

	switch (a->kind) {
	case SYNC_DO_TIMER:
		p->timer_ms = a->at_ms;
		return;
	case SYNC_DO_WANT_ROOM:
		must(!p->wants_room, "room is wanted once");
		p->wants_room = true;
		return;
	case SYNC_DO_CLOSE:
		note(p, "do CLOSE %d%s", a->why->code,
		    a->by_peer ? " by peer" : "");
		p->closed = true;
		p->closed_why = *a->why;
		return;
	case SYNC_DO_NEED_PLAN:
		note(p, "do NEED_PLAN%s", a->anew ? " anew" : "");
		make_plan(p);
		answer(p, FOR_PULL, SYNC_ON_PLAN)->plan = &p->plan;
		return;
	case SYNC_DO_TAKE_PAGE:
		note(p, "do TAKE_PAGE %zu", a->len);
		take_page(p, a->data, a->len);
		taken(p);
		return;
	case SYNC_DO_TAKE_PIECE:
		note(p, "do TAKE_PIECE at %llu%s",
		    (unsigned long long)a->piece->offset,
		    a->piece->last ? " last" : "");
		take_piece(p, a->piece);
		taken(p);
		return;
	case SYNC_DO_TAKE_END:
		note(p, "do TAKE_END");
		take_end(p, a->end);
		taken(p);
		return;
	case SYNC_DO_PULL_OVER:
		note(p, "do PULL_OVER %d", a->why->code);
		forget_answers(p, FOR_PULL);
		p->pull_why = *a->why;
		if (a->why->code == 0)
			p->pulls_ended++;
		else
			p->pulls_failed++;
		return;
	case SYNC_DO_SERVE_BEGIN:
		note(p, "do SERVE_BEGIN %u", a->pull->id);
		answer(p, FOR_SERVE, begin_serving(p, a->pull)
		    ? SYNC_ON_SERVING : SYNC_ON_SERVE_WHOLE);
		return;
	case SYNC_DO_NEED_PAGE:
		e = answer(p, FOR_SERVE, SYNC_ON_PAGE);
		e->last = make_page(p);
		e->data = p->page;
		e->len = p->page_len;
		return;
	case SYNC_DO_NEED_END:
		drop_page(p);
		make_end(p);
		answer(p, FOR_SERVE, SYNC_ON_END)->end = &p->end;
		return;
	case SYNC_DO_SERVE_END:
		note(p, "do SERVE_END%s", a->complete ? " complete" : "");
		drop_page(p);
		forget_answers(p, FOR_SERVE);
		return;
	case SYNC_DO_PUSH_ASKED:
		note(p, "do PUSH_ASKED");
		answer(p, FOR_REST, SYNC_ON_PUSH_DONE)->pushed = &pushed;
		return;
	case SYNC_DO_PUSHED:
		note(p, "do PUSHED %d, %llu rows", a->why->code,
		    a->pushed ? (unsigned long long)a->pushed->rows : 0);
		return;
	case SYNC_DO_DIGEST_HEARD:
		note(p, "do DIGEST_HEARD %.*s", (int)a->len,
		    a->len > 0 ? (const char *)a->data : "");
		return;
	case SYNC_DO_DIGEST_OVER:
		note(p, "do DIGEST_OVER %d", a->why->code);
		return;
	case SYNC_DO_DIGEST_ASKED:
		note(p, "do DIGEST_ASKED%s %.*s", a->anew ? " anew" : "",
		    (int)a->len, (const char *)a->data);
		return;
	case SYNC_DO_DIGEST_END:
		note(p, "do DIGEST_END");
		return;
	case SYNC_DO_SCHEMA:
		note(p, "do SCHEMA %d %.*s", a->why->code, (int)a->len,
		    a->len > 0 ? (const char *)a->data : "");
		return;
	case SYNC_DO_SCHEMA_ASKED:
		note(p, "do SCHEMA_ASKED");
		return;
	case SYNC_DO_CHECK_CLAIMS:
		note(p, "do CHECK_CLAIMS");
		answer(p, FOR_REST, SYNC_ON_CLAIMS)->fork = p->is_copy;
		return;
	case SYNC_DO_NEED_TOKENS:
		list_tokens(p, a->after, a->before);
		return;
	case SYNC_DO_FIND_COMMON:
		answer(p, FOR_REST, SYNC_ON_COMMON)->version
		    = find_common(p, a);
		return;
	case SYNC_DO_FORK:
		note(p, "do FORK %llu", (unsigned long long)a->version);
		p->is_copy = false;
		answer(p, FOR_REST, SYNC_ON_FORKED);
		return;
	case SYNC_DO_NOTIFIED:
		p->told = a->entry[0];
		/* fall through */
	case SYNC_DO_OPENED:
		note(p, "do %s", name);
		return;
	}
}

/* ---- events ---- */

int
peer_step(struct peer *p, struct sync_event *event)
{
	struct err err;
	size_t i;
	int rc;

	event->now_ms = p->pair->now_ms;
	rc = sync_step(p->sync, event, &p->out, &err);
	if (rc != 0)
		return rc;
	if (p->out.send.len > 0 && !p->pair->quiet)
		note_sent(p);
	p->sent_bytes += p->out.send.len;
	if (!p->other->closed)
		buf_add(&p->other->in, p->out.send.data, p->out.send.len);
	for (i = 0; i < p->out.n; i++)
		act(p, &p->out.action[i]);
	return 0;
}

int
peer_event(struct peer *p, enum sync_event_kind kind)
{
	struct sync_event event = { .kind = kind };

	note(p, "event %s", sync_event_name(kind));
	return peer_step(p, &event);
}

int
peer_start(struct peer *p)
{
	struct wire_own own = { .version = p->upto[p->site] };
	struct wire_entry yours;
	struct wire_hello hello = { .own = &own, .nown = 1 };
	struct sync_event event = { .kind = SYNC_ON_START, .hello = &hello };

	if (p->upto[1 - p->site] > 0) {
		yours = entry_of(1 - p->site, p->upto[1 - p->site]);
		hello.yours = &yours;
		hello.nyours = 1;
	}
	return peer_step(p, &event);
}

int
peer_pull(struct peer *p, bool fetch_only)
{
	struct sync_event event = { .kind = SYNC_ON_PULL, .plan = &p->plan };

	note(p, "event PULL");
	p->plan.fetch_only = fetch_only;
	make_plan(p);
	return peer_step(p, &event);
}

int
peer_stop(struct peer *p, int code, const char *text)
{
	struct sync_event event = { .kind = SYNC_ON_STOP };
	struct err why;

	err_set(&why, code, NULL, "%s", text);
	event.why = &why;
	note(p, "event STOP");
	return peer_step(p, &event);
}

int
peer_changed(struct peer *p)
{
	struct wire_entry entry = entry_of(p->site, p->upto[p->site]);
	struct sync_event event = { .kind = SYNC_ON_CHANGED,
		.entry = &entry, .nentries = 1 };

	note(p, "event CHANGED");
	return peer_step(p, &event);
}

size_t
peer_receive(struct peer *p, size_t max)
{
	struct sync_event event = { .kind = SYNC_ON_BYTES };
	size_t len = p->in.len < max ? p->in.len : max;
	uint8_t *bytes;

	if (len == 0 || p->closed)
		return 0;
	/* Exactly so many bytes, so that reading past them is noticed. */
	bytes = malloc(len);
	must(bytes != NULL, "memory");
	memcpy(bytes, p->in.data, len);
	event.data = bytes;
	event.len = len;
	must(peer_step(p, &event) == 0, "BYTES is taken");
	must(p->out.used <= len, "used of what was given");
	buf_consume(&p->in, p->out.used);
	free(bytes);
	return p->out.used;
}

bool
peer_answer(struct peer *p)
{
	struct sync_event event;

	if (p->nanswers == 0 || p->closed)
		return false;
	event = p->answers[0].event;
	p->nanswers--;
	memmove(p->answers, p->answers + 1, p->nanswers * sizeof *p->answers);
	must(peer_step(p, &event) == 0, "an answer is taken");
	return true;
}

bool
peer_room(struct peer *p)
{
	struct sync_event event = { .kind = SYNC_ON_ROOM };

	if (!p->wants_room || p->no_room || p->closed)
		return false;
	p->wants_room = false;
	must(peer_step(p, &event) == 0, "ROOM is taken");
	return true;
}

void
peer_hear(struct peer *p, const struct wire_msg *m)
{
	must(wire_encode(m, WIRE_FRAME_MAX, &p->in, NULL) == 0, "encode");
}

void
peer_hear_bytes(struct peer *p, const void *bytes, size_t len)
{
	buf_add(&p->in, bytes, len);
}

/* ---- the pair ---- */

static void
open_peer(struct pair *pair, struct peer *p, char name, int site)
{
	memset(p, 0, sizeof *p);
	p->pair = pair;
	p->name = name;
	p->site = site;
	p->other = site == 0 ? &pair->b : &pair->a;
	p->page_max = 64;
	buf_init(&p->in, 256 << 20);
	buf_init(&p->partial, 64 << 20);
	sync_actions_init(&p->out);
}

static void
disconnect(struct peer *p)
{
	sync_free(p->sync);
	p->sync = NULL;
	frames_clear(&p->sent);
	p->in.len = 0;
	p->nanswers = 0;
	p->wants_room = false;
	p->no_room = false;
	p->closed = true;
	drop_page(p);
}

static void
connect_peer(struct peer *p)
{
	const struct sync_config config = { .frame_max = p->pair->frame_max };

	must(sync_new(&config, &p->sync, NULL) == 0, "sync_new");
	frames_init(&p->sent, WIRE_FRAME_MAX);
	frames_allow(&p->sent, WIRE_FRAME_MAX, true);
	p->closed = false;
	p->sent_bytes = 0;
}

void
pair_open(struct pair *p, size_t frame_max)
{
	memset(p, 0, sizeof *p);
	p->frame_max = frame_max;
	p->now_ms = 1000;
	buf_init(&p->trace, 1 << 20);
	open_peer(p, &p->a, 'A', 0);
	open_peer(p, &p->b, 'B', 1);
	pair_connect(p);
}

void
pair_connect(struct pair *p)
{
	disconnect(&p->a);
	disconnect(&p->b);
	connect_peer(&p->a);
	connect_peer(&p->b);
}

void
pair_start(struct pair *p)
{
	must(peer_start(&p->a) == 0 && peer_start(&p->b) == 0, "START");
}

void
pair_meet(struct pair *p, size_t frame_max)
{
	pair_open(p, frame_max);
	pair_start(p);
	pair_run(p);
	expect_trace(p, "A send HELLO\nB send HELLO\nA do OPENED\n"
	    "B do OPENED\n");
}

void
pair_cut(struct pair *p)
{
	static const struct err gone = { E_UNREACHABLE, "cut", "" };
	struct sync_event event = { .kind = SYNC_ON_GONE, .why = &gone };

	must(peer_step(&p->a, &event) == 0 && peer_step(&p->b, &event) == 0,
	    "GONE is taken");
	pair_connect(p);
}

void
pair_run(struct pair *p)
{
	bool any;

	do {
		any = peer_receive(&p->a, SIZE_MAX) > 0;
		any |= peer_answer(&p->a);
		any |= peer_room(&p->a);
		any |= peer_receive(&p->b, SIZE_MAX) > 0;
		any |= peer_answer(&p->b);
		any |= peer_room(&p->b);
	} while (any);
}

void
pair_close(struct pair *p)
{
	disconnect(&p->a);
	disconnect(&p->b);
	sync_actions_clear(&p->a.out);
	sync_actions_clear(&p->b.out);
	buf_clear(&p->a.in);
	buf_clear(&p->b.in);
	buf_clear(&p->a.partial);
	buf_clear(&p->b.partial);
	free(p->a.log);
	free(p->b.log);
	buf_clear(&p->trace);
}
