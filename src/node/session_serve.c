// SPDX-License-Identifier: MPL-2.0
/* session_serve.c - a pull that the peer makes: pages of a snapshot. */
#include <string.h>

#include "node/convert.h"
#include "node/session_state.h"

enum { SLOW_READER_MS = 5000 };

void
serve_begin(struct session *s, const struct wire_pull *pull, struct talk *t)
{
	struct serving *v = &s->serving;
	struct store_plan plan;
	struct err err = { .code = 0 };
	bool need_whole = false;
	int rc;

	serve_over(s, false);
	memset(&plan, 0, sizeof plan);
	rc = convert_plan_in(pull, &plan, &err);
	if (rc == 0)
		rc = store_serve(s->hub->store, s->remote.id, &plan, &need_whole,
		    &v->reading, &err);
	store_plan_clear(&plan);
	jobs_heard(s, NULL, 0);
	v->started_ms = hub_now(s->hub);
	if (rc != 0)
		talk_answer(t, SYNC_ON_SERVE_FAILED, &err);
	else
		talk_answer(t, need_whole ? SYNC_ON_SERVE_WHOLE
		    : SYNC_ON_SERVING, NULL);
}

void
serve_page(struct session *s, size_t max, struct talk *t)
{
	struct sync_event *answer;
	struct err err = { .code = 0 };
	const uint8_t *page = NULL;
	bool last = false;
	size_t len = 0;

	if (store_serve_page(s->serving.reading, max, &page, &len, &last,
	    &err) != 0) {
		talk_answer(t, SYNC_ON_SERVE_FAILED, &err);
		return;
	}
	s->serving.bytes += len;
	answer = talk_answer(t, SYNC_ON_PAGE, NULL);
	answer->data = page;
	answer->len = len;
	answer->last = last;
}

void
serve_end_info(struct session *s, struct talk *t)
{
	struct serving *v = &s->serving;
	struct err err = { .code = 0 };
	int rc = store_serve_end(v->reading, &v->end, &err);

	if (rc == 0)
		rc = convert_end_out(&v->end, &v->said, &err);
	if (rc != 0)
		talk_answer(t, SYNC_ON_SERVE_FAILED, &err);
	else
		talk_answer(t, SYNC_ON_END, NULL)->end = &v->said;
}

void
serve_wait(struct session *s)
{
	if (s->serving.reading == NULL)
		return;
	s->serving.pause_ms = hub_now(s->hub) + SLOW_READER_MS;
	session_wake(s, s->serving.pause_ms);
}

void
serve_time(struct session *s, uint64_t now_ms)
{
	struct serving *v = &s->serving;

	if (v->reading == NULL || v->pause_ms == 0)
		return;
	if (session_has_room(s)) {
		v->pause_ms = 0;
	} else if (sync_holds_page(s->sync)) {
		/* the snapshot is what its bytes lie in */
		serve_wait(s);
	} else if (now_ms >= v->pause_ms) {
		v->pause_ms = 0;
		store_serve_pause(v->reading);
	} else {
		session_wake(s, v->pause_ms);
	}
}

void
serve_over(struct session *s, bool complete)
{
	struct serving *v = &s->serving;
	struct node_event event = { .kind = NODE_SENT,
		.remote = s->remote.name, .place = s->place, .bytes = v->bytes,
		.elapsed_ms = (int64_t)(hub_now(s->hub) - v->started_ms) };

	if (v->reading != NULL) {
		store_serve_counts(v->reading, &event.transactions,
		    &event.rows);
		store_serve_close(v->reading);
	}
	store_end_clear(&v->end);
	convert_end_clear(&v->said);
	if (complete && event.rows > 0)
		hub_emit(s->hub, &event);
	memset(v, 0, sizeof *v);
}
