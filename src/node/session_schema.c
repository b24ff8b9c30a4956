// SPDX-License-Identifier: MPL-2.0
/* session_schema.c - how tables are declared: asked of the peer, told to it. */
#include <stdlib.h>

#include "node/session_state.h"

void
schema_time(struct session *s)
{
	struct sync_event event = { .kind = SYNC_ON_SCHEMA_ASK };

	if (s->dead || !s->open || s->schema_asked || !jobs_schema(s))
		return;
	s->schema_asked = true;
	talk(s, &event);
}

void
schema_came(struct session *s, const struct sync_action *a)
{
	s->schema_asked = false;
	jobs_described(s, a->why, a->data, a->len);
}

void
schema_asked(struct session *s, struct talk *t)
{
	struct sync_event *answer;
	struct err err = { .code = 0 };
	size_t len = 0;
	int rc;

	free(s->described);
	s->described = NULL;
	rc = store_describe(s->hub->store, &s->described, &len, &err);
	answer = talk_answer(t, SYNC_ON_SCHEMA, rc != 0 ? &err : NULL);
	answer->data = s->described;
	answer->len = len;
}
