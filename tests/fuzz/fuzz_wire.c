// SPDX-License-Identifier: MPL-2.0
/*
 * fuzz_wire.c - what a peer may send: bodies of messages, streams of frames,
 * compressed pages, and whole conversations with sync.  The first byte says
 * which; of a conversation it says too what our side is at, and the second
 * how many bytes come at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "sync/sync.h"
#include "wire/frame.h"
#include "wire/zip.h"

enum { BODY, FRAMES, ZIP, FIRST_WORDS, TALK, KINDS };
enum { PULLS = 8, PUSHES = 16, FORKS = 32, MESSAGES = 64, STOPS = 128 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What can be read can be written, and read again as the same. */
static void
body(uint8_t type, const uint8_t *data, size_t size)
{
	struct wire_msg m, again;
	struct buf b, c;

	if (wire_decode(type, data, size, &m, NULL) != 0)
		return;
	buf_init(&b, 2 * WIRE_MESSAGE_MAX);
	buf_init(&c, 2 * WIRE_MESSAGE_MAX);
	if (wire_encode(&m, WIRE_MESSAGE_MAX, &b, NULL) != 0
	    || wire_decode(type, b.data + 5, b.len - 5, &again, NULL) != 0
	    || wire_encode(&again, WIRE_MESSAGE_MAX, &c, NULL) != 0
	    || b.len != c.len || memcmp(b.data, c.data, b.len) != 0)
		abort();
	wire_msg_clear(&m);
	wire_msg_clear(&again);
	buf_clear(&b);
	buf_clear(&c);
}

static void
frames(size_t step, const uint8_t *data, size_t size)
{
	struct frames f;
	struct frame frame;
	size_t n;
	int rc = 0;

	frames_init(&f, 1024);
	frames_allow(&f, 1024, true);
	while (size > 0 && rc >= 0) {
		n = size < step ? size : step;
		size -= n;
		while ((rc = frames_next(&f, &data, &n, &frame, NULL)) == 1)
			body(frame.type, frame.body, frame.len);
		if (rc == 0 && n != 0)
			abort();
	}
	frames_clear(&f);
}

static void
unzip(const uint8_t *data, size_t size)
{
	struct zip z = { NULL, NULL };
	struct buf out;
	uint64_t raw;

	if (size < 3)
		return;
	raw = (uint64_t)data[0] << 16 | (uint64_t)data[1] << 8 | data[2];
	buf_init(&out, WIRE_PAGE_MEMORY);
	if (zip_may_expand(size - 3, raw) && raw <= WIRE_PAGE_MEMORY)
		zip_unpack(&z, data + 3, size - 3, raw, &out, NULL);
	buf_clear(&out);
	zip_clear(&z);
}

/* ---- a conversation ---- */

struct our {
	struct sync *sync;
	struct sync_actions out;
	uint8_t at;
	bool closed;
	struct wire_entry entry[3];
	struct wire_view table;
	struct wire_group group;
	struct wire_pull plan;
	struct wire_end_group *ends;
	struct wire_end end;
	struct wire_pushed pushed;
	int pages;
};

static void
set_up(struct our *o)
{
	size_t i;

	for (i = 0; i < 3; i++) {
		o->entry[i].site[0] = 1;
		o->entry[i].version = 9 - i;
	}
	o->table = (struct wire_view){ (const uint8_t *)"t", 1 };
	o->group.table = &o->table;
	o->group.ntables = 1;
	o->plan.group = &o->group;
	o->plan.ngroups = 1;
}

/* The answer to a question; false if it is none. */
static bool
answer(struct our *o, const struct sync_action *a, struct sync_event *e)
{
	static const uint8_t page[300] = "a page";

	switch (a->kind) {
	case SYNC_DO_WANT_ROOM:
		e->kind = SYNC_ON_ROOM;
		return true;
	case SYNC_DO_NEED_PLAN:
		e->kind = SYNC_ON_PLAN;
		e->plan = &o->plan;
		return true;
	case SYNC_DO_TAKE_PAGE:
	case SYNC_DO_TAKE_PIECE:
	case SYNC_DO_TAKE_END:
		e->kind = SYNC_ON_TAKEN;
		return true;
	case SYNC_DO_SERVE_BEGIN:
		free(o->ends);
		o->end.ngroups = a->pull->ngroups;
		o->ends = calloc(o->end.ngroups + 1, sizeof *o->ends);
		o->end.group = o->ends;
		o->pages = 0;
		e->kind = a->pull->ngroups > 0 && !a->pull->group[0].whole
		    ? SYNC_ON_SERVE_WHOLE : SYNC_ON_SERVING;
		return true;
	case SYNC_DO_NEED_PAGE:
		e->kind = SYNC_ON_PAGE;
		e->data = page;
		e->len = sizeof page;
		e->last = ++o->pages > 2;
		return true;
	case SYNC_DO_NEED_END:
		e->kind = SYNC_ON_END;
		e->end = &o->end;
		return true;
	case SYNC_DO_PUSH_ASKED:
		e->kind = SYNC_ON_PUSH_DONE;
		e->pushed = &o->pushed;
		return true;
	case SYNC_DO_DIGEST_ASKED:
		e->kind = SYNC_ON_DIGEST_ANSWER;
		e->data = (const uint8_t *)"words";
		e->len = o->at & MESSAGES ? 0 : 5;
		return true;
	case SYNC_DO_CHECK_CLAIMS:
		e->kind = SYNC_ON_CLAIMS;
		e->fork = o->at & FORKS;
		return true;
	case SYNC_DO_NEED_TOKENS:
		e->kind = SYNC_ON_TOKENS;
		e->entry = o->entry;
		e->nentries = 3;
		return true;
	case SYNC_DO_FIND_COMMON:
		e->kind = SYNC_ON_COMMON;
		e->version = a->entry[a->nentries - 1].version;
		return true;
	case SYNC_DO_FORK:
		e->kind = SYNC_ON_FORKED;
		return true;
	case SYNC_DO_CLOSE:
		o->closed = true;
		return false;
	default:
		return false;
	}
}

/* A step, and the answers to what it asks; how many bytes it used. */
static size_t
step(struct our *o, struct sync_event *event)
{
	struct sync_event next[SYNC_ACTIONS_MAX];
	size_t i, used, n = 0;

	memset(next, 0, sizeof next);
	if (sync_step(o->sync, event, &o->out, NULL) != 0)
		abort();
	used = o->out.used;
	for (i = 0; i < o->out.n; i++)
		n += answer(o, &o->out.action[i], &next[n]);
	for (i = 0; i < n && !o->closed; i++)
		step(o, &next[i]);
	return used;
}

static void
hear(struct our *o, const uint8_t *data, size_t size, size_t max)
{
	struct sync_event e = { .kind = SYNC_ON_BYTES };
	size_t used;

	while (size > 0 && !o->closed) {
		e.data = data;
		e.len = size < max ? size : max;
		used = step(o, &e);
		/* All is answered, so it never refuses to go on. */
		if (used == 0 || used > e.len)
			abort();
		data += used;
		size -= used;
	}
}

static void
talk(uint8_t at, bool hello, size_t max, const uint8_t *data, size_t size)
{
	static const struct err why = { E_INTERRUPTED, "stopped", "" };
	const struct sync_config config = {
		.frame_max = at & MESSAGES ? 2000 : 0 };
	struct wire_hello own = { .nown = 0 };
	struct sync_event start = { .kind = SYNC_ON_START, .hello = &own };
	struct sync_event pull = { .kind = SYNC_ON_PULL };
	struct sync_event push = { .kind = SYNC_ON_PUSH };
	struct sync_event verify = { .kind = SYNC_ON_DIGEST_SAY,
		.data = (const uint8_t *)"words", .len = 5 };
	struct sync_event stop = { .kind = SYNC_ON_PULL_STOP, .why = &why };
	struct sync_event stopped = { .kind = SYNC_ON_STOP, .why = &why };
	struct wire_msg m = { .type = WIRE_HELLO };
	struct our *o = calloc(1, sizeof *o);
	struct buf b;

	buf_init(&b, 4096);
	if (o == NULL || sync_new(&config, &o->sync, NULL) != 0)
		abort();
	o->at = at;
	set_up(o);
	sync_actions_init(&o->out);
	step(o, &start);
	pull.plan = &o->plan;
	if (at & PULLS)
		step(o, &pull);
	if (at & PUSHES)
		step(o, &push);
	if (hello) {
		m.hello.min_version = m.hello.max_version = 1;
		m.hello.frame_max = 65536;
		m.hello.yours = o->entry;
		m.hello.nyours = at & FORKS ? 1 : 0;
		if (wire_encode(&m, 65536, &b, NULL) != 0)
			abort();
		hear(o, b.data, b.len, SIZE_MAX);
	}
	if (at & PUSHES && !o->closed && sync_is_open(o->sync))
		step(o, &verify);
	hear(o, data, size / 2, max);
	if (at & STOPS)
		sync_step(o->sync, &stop, &o->out, NULL);
	hear(o, data + size / 2, size - size / 2, max);
	if (!o->closed)
		step(o, &stopped);
	if (!o->closed)
		abort();
	sync_free(o->sync);
	sync_actions_clear(&o->out);
	free(o->ends);
	free(o);
	buf_clear(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	switch ((data[0] & 7) % KINDS) {
	case BODY:
		body(data[1], data + 2, size - 2);
		break;
	case FRAMES:
		frames(data[1] + 1u, data + 2, size - 2);
		break;
	case ZIP:
		unzip(data + 1, size - 1);
		break;
	case FIRST_WORDS:
		talk(data[0], false, data[1] + 1u, data + 2, size - 2);
		break;
	case TALK:
		talk(data[0], true, 16 * (data[1] + 1u), data + 2, size - 2);
		break;
	}
	return 0;
}
