// SPDX-License-Identifier: MPL-2.0
/*
 * test_sync.c - the conversation of two nodes, as traces.  A begins, B is
 * called; what they do is in sync_peers.h.  Peers that say what they may not:
 * test_sync_hostile.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sync_peers.h"
#include "how_many.h"

static void
pull_of_nothing_takes_one_round_trip(void **state)
{
	struct pair p;
	size_t before;

	pair_open(&p, 0);
	assert_int_equal(peer_start(&p.a), 0);
	assert_int_equal(peer_pull(&p.a, false), 0);
	assert_int_equal(peer_start(&p.b), 0);
	/* One flight there, one back. */
	while (peer_receive(&p.b, SIZE_MAX) > 0 || peer_answer(&p.b)
	    || peer_room(&p.b))
		;
	while (peer_receive(&p.a, SIZE_MAX) > 0 || peer_answer(&p.a))
		;
	expect_trace(&p, "A send HELLO\nA event PULL\nA send PULL 1 whole\n"
	    "B send HELLO\nB do OPENED\nB do SERVE_BEGIN 1\nB send END 1\n"
	    "B do SERVE_END complete\n"
	    "A do OPENED\nA do TAKE_END\nA do PULL_OVER 0\n");
	assert_in_range(p.a.sent_bytes + p.b.sent_bytes, 1, 1023);
	print_message("# first: %zu bytes\n", p.a.sent_bytes + p.b.sent_bytes);

	before = p.a.sent_bytes + p.b.sent_bytes;
	peer_pull(&p.a, false);
	pair_run(&p);
	expect_trace(&p, "A event PULL\nA send PULL 2 whole\n"
	    "B do SERVE_BEGIN 2\nB send END 2\nB do SERVE_END complete\n"
	    "A do TAKE_END\nA do PULL_OVER 0\n");
	print_message("# next: %zu bytes\n",
	    p.a.sent_bytes + p.b.sent_bytes - before);
	pair_close(&p);
}

static void
pull_brings_page_after_page(void **state)
{
	struct pair p;

	pair_meet(&p, 0);
	peer_write(&p.b, 100);
	peer_write(&p.b, 100);
	peer_pull(&p.a, false);
	pair_run(&p);
	expect_trace(&p, "A event PULL\nA send PULL 1 whole\n"
	    "B do SERVE_BEGIN 1\nB send PAGE 1\nA do TAKE_PAGE 113\n"
	    "B send PAGE 1\nA do TAKE_PAGE 113\nB send END 1\n"
	    "B do SERVE_END complete\nA do TAKE_END\nA do PULL_OVER 0\n");
	assert_true(peers_equal(&p));
	pair_close(&p);
}

static void
both_pull_at_once(void **state)
{
	struct pair p;

	pair_meet(&p, 0);
	peer_write(&p.a, 10);
	peer_write(&p.b, 20);
	peer_pull(&p.a, false);
	peer_pull(&p.b, false);
	pair_run(&p);
	assert_int_equal(p.a.pulls_ended, 1);
	assert_int_equal(p.b.pulls_ended, 1);
	assert_true(peers_equal(&p));
	pair_close(&p);
}

/* A vector of more than a few entries goes by its hash; here B forgets it. */
static void
vectors_go_whole_when_wanted(void **state)
{
	static struct wire_entry many[20];
	struct sync_event pull = { .kind = SYNC_ON_PULL };
	struct sync_event plan = { .kind = SYNC_ON_PLAN };
	struct wire_group group = { .entry = many, .nentries = 20 };
	struct wire_pull asked = { .group = &group, .ngroups = 1 };
	struct pair p;
	size_t i;

	for (i = 0; i < 20; i++)
		many[i].site[0] = (uint8_t)(i % 2 + 1);
	pair_meet(&p, 0);
	memset(p.b.known_hash, 1, WIRE_HASH_LEN);
	pull.plan = plan.plan = &asked;
	assert_int_equal(peer_step(&p.a, &pull), 0);
	peer_receive(&p.b, SIZE_MAX);
	peer_answer(&p.b);
	peer_receive(&p.a, SIZE_MAX);
	expect_trace(&p, "A send PULL 1\nB do SERVE_BEGIN 1\nB send WHOLE 1\n"
	    "A do NEED_PLAN\n");
	p.a.nanswers = 0;
	assert_int_equal(peer_step(&p.a, &plan), 0);
	pair_run(&p);
	expect_trace(&p, "A send PULL 1 whole\nB do SERVE_BEGIN 1\n"
	    "B send END 1\nB do SERVE_END complete\nA do TAKE_END\n"
	    "A do PULL_OVER 0\n");
	assert_int_equal(peer_step(&p.a, &pull), 0);
	pair_run(&p);
	expect_trace(&p, "A send PULL 2\nB do SERVE_BEGIN 2\n"
	    "B send END 2\nB do SERVE_END complete\nA do TAKE_END\n"
	    "A do PULL_OVER 0\n");
	pair_close(&p);
}

/* ---- pieces, cuts ---- */

enum { BIG = 5 << 20 };         /* more than a page in memory */

static void
big_page_comes_in_pieces(void **state)
{
	struct pair p;

	pair_meet(&p, 0);
	p.quiet = true;
	peer_write(&p.b, BIG);
	peer_pull(&p.a, false);
	pair_run(&p);
	assert_true(peers_equal(&p));
	assert_in_range(p.a.pieces_taken, 5, 6);
	pair_close(&p);
}

/* What came of a page tells that a pull comes forward, also where it is half of
 * a piece; other messages don't. */
static void
pages_count_as_they_come(void **state)
{
	struct wire_msg ping = { .type = WIRE_PING };
	uint64_t before, half;
	struct pair p;

	pair_meet(&p, 0);
	p.quiet = true;
	peer_write(&p.b, BIG);
	peer_pull(&p.a, false);
	peer_receive(&p.b, SIZE_MAX);
	peer_answer(&p.b);
	assert_int_equal(sync_pull_bytes(p.a.sync), 0);
	peer_hear(&p.a, &ping);
	assert_true(peer_receive(&p.a, SIZE_MAX) > 0);
	assert_int_equal(sync_pull_bytes(p.a.sync), 0);
	while (p.a.in.len == 0)
		assert_true(peer_room(&p.b) || peer_answer(&p.b));
	peer_receive(&p.a, 1000);
	half = sync_pull_bytes(p.a.sync);
	assert_in_range(half, 900, 1000);
	peer_receive(&p.a, 1000);
	assert_int_equal(sync_pull_bytes(p.a.sync), half + 1000);
	pair_run(&p);
	before = sync_pull_bytes(p.a.sync);
	assert_true(before >= BIG);
	peer_hear(&p.a, &ping);
	assert_true(peer_receive(&p.a, 6) > 0);
	assert_int_equal(sync_pull_bytes(p.a.sync), before);
	pair_close(&p);
}

static void
big_page_goes_on_where_it_was_cut(void **state)
{
	struct pair p;
	size_t have, whole;

	pair_meet(&p, 0);
	p.quiet = true;
	peer_write(&p.b, BIG);
	peer_pull(&p.a, false);
	while (p.a.pieces_taken < 3) {
		peer_receive(&p.b, SIZE_MAX);
		peer_answer(&p.b);
		peer_room(&p.b);
		peer_receive(&p.a, SIZE_MAX);
		peer_answer(&p.a);
	}
	have = p.a.partial.len;
	assert_true(have > 0);
	pair_cut(&p);
	assert_int_equal(p.a.pull_why.code, E_UNREACHABLE);
	p.quiet = false;
	buf_clear(&p.trace);
	pair_start(&p);
	pair_run(&p);
	peer_pull(&p.a, false);
	expect_trace(&p, "A send HELLO\nB send HELLO\nA do OPENED\n"
	    "B do OPENED\nA event PULL\nA send PULL 1 whole resume\n");
	p.quiet = true;
	whole = p.b.sent_bytes;
	pair_run(&p);
	assert_true(peers_equal(&p));
	whole = p.b.sent_bytes - whole;
	assert_in_range(whole, BIG - have, BIG - have + 1000);
	pair_close(&p);
}

/* The page is made anew and is another: from its beginning. */
static void
changed_page_begins_anew(void **state)
{
	struct pair p;

	pair_meet(&p, 0);
	p.quiet = true;
	peer_write(&p.b, BIG);
	memset(p.a.partial_hash, 7, WIRE_HASH_LEN);
	buf_add(&p.a.partial, "old", 3);
	peer_pull(&p.a, false);
	pair_run(&p);
	assert_true(peers_equal(&p));
	pair_close(&p);
}

/* Steps at the beginning each of which is tried as the last one: CUTS in the
 * environment, 20 unless it says otherwise. */
static int
cuts(void)
{
	return how_many("CUTS", 20);
}

/* Any step may be the last one of a connection. */
static void
pull_goes_on_after_any_cut(void **state)
{
	struct pair p;
	int cut, steps, i;

	for (cut = 1; cut < 200; cut++) {
		pair_open(&p, 32000);
		p.quiet = true;
		for (i = 0; i < 4; i++)
			peer_write(&p.b, i == 2 ? BIG : 40);
		pair_start(&p);
		peer_pull(&p.a, false);
		for (steps = 0; steps < cut; steps++) {
			peer_receive(&p.b, SIZE_MAX);
			peer_answer(&p.b);
			peer_room(&p.b);
			if (p.a.pulls_ended > 0)
				break;
			peer_receive(&p.a, 20000);
			peer_answer(&p.a);
		}
		if (p.a.pulls_ended == 0)
			pair_cut(&p);
		else
			cut = 1000;
		pair_connect(&p);
		pair_start(&p);
		peer_pull(&p.a, false);
		pair_run(&p);
		assert_true(peers_equal(&p));
		assert_int_equal(p.a.cursor, 4);
		pair_close(&p);
		if (cut > cuts())
			cut += 23;
	}
}

static void
messages_longer_than_a_frame_go_in_parts(void **state)
{
	static struct wire_view tables[1500];
	static char names[1500][64];
	struct wire_group group = { .table = tables, .ntables = 1500 };
	struct wire_pull asked = { .group = &group, .ngroups = 1 };
	struct sync_event pull = { .kind = SYNC_ON_PULL, .plan = &asked };
	struct pair p;
	int i;

	for (i = 0; i < 1500; i++) {
		snprintf(names[i], sizeof names[i],
		    "a table with a long name %d", i);
		tables[i] = (struct wire_view){ (uint8_t *)names[i],
			strlen(names[i]) };
	}
	pair_meet(&p, 32000);
	assert_int_equal(peer_step(&p.a, &pull), 0);
	assert_true(p.a.out.send.len > 32000);
	while (peer_receive(&p.b, 1000) > 0)
		;
	expect_trace(&p, "A send PULL 1 whole\nB do SERVE_BEGIN 1\n");
	pair_close(&p);
}

/* ---- identity ---- */

static void
copy_finds_the_last_common_version(void **state)
{
	struct pair p;
	int i;

	pair_open(&p, 0);
	for (i = 0; i < 20; i++)
		peer_write(&p.a, 1);
	/* B has others of A's versions from 14 on. */
	p.b.upto[0] = 17;
	p.b.common = 13;
	p.a.is_copy = true;
	assert_int_equal(peer_start(&p.a), 0);
	peer_pull(&p.a, false);
	assert_int_equal(peer_start(&p.b), 0);
	pair_run(&p);
	expect_trace(&p, "A send HELLO\nA event PULL\nA send PULL 1 whole\n"
	    "B send HELLO\nA do CHECK_CLAIMS\nA send STOP 1\nB do OPENED\n"
	    "A send TOKENS 1 from 20, 6\nB do SERVE_BEGIN 1\n"
	    "B do SERVE_END\nB send COMMON 1 at 12\n"
	    "A send TOKENS 2 from 15, 3\nB send COMMON 2 at 13\n"
	    "A do FORK 13\nA do OPENED\nA do NEED_PLAN anew\n"
	    "A send PULL 2 whole\nB do SERVE_BEGIN 2\nB send END 2\n"
	    "B do SERVE_END complete\nA do TAKE_END\nA do PULL_OVER 0\n");
	pair_close(&p);
}

/* What the peer asks waits until it is settled who we are. */
static void
copy_serves_nothing_before(void **state)
{
	struct pair p;

	pair_open(&p, 0);
	peer_write(&p.a, 1);
	p.b.upto[0] = 5;
	p.a.is_copy = true;
	pair_start(&p);
	peer_pull(&p.b, false);
	peer_receive(&p.a, SIZE_MAX);
	expect_trace(&p, "A send HELLO\nB send HELLO\nB event PULL\n"
	    "B send PULL 1 whole\nA do CHECK_CLAIMS\n");
	assert_int_equal(peer_receive(&p.a, SIZE_MAX), 0);
	pair_run(&p);
	expect_trace(&p, "B do OPENED\nA send TOKENS 1 from 1, 1\n"
	    "B send COMMON 1 at 0\nA do FORK 0\nA do OPENED\n"
	    "A do SERVE_BEGIN 1\nA send END 1\nA do SERVE_END complete\n"
	    "B do TAKE_END\nB do PULL_OVER 0\n");
	pair_close(&p);
}

static void
versions_must_meet(void **state)
{
	struct wire_msg hello = { .type = WIRE_HELLO };
	struct pair p;

	pair_open(&p, 0);
	assert_int_equal(peer_start(&p.a), 0);
	hello.hello.min_version = 2;
	hello.hello.max_version = 3;
	hello.hello.frame_max = 65536;
	peer_hear(&p.a, &hello);
	peer_receive(&p.a, SIZE_MAX);
	expect_trace(&p, "A send HELLO\nA send ERROR 0 code 1\n"
	    "A do CLOSE -5\n");
	pair_close(&p);
}

static void
stranger_is_refused(void **state)
{
	static const struct err why = { E_REFUSED, "not known here", "" };
	struct sync_event refuse = { .kind = SYNC_ON_REFUSE, .why = &why };
	struct pair p;

	pair_open(&p, 0);
	assert_int_equal(peer_start(&p.a), 0);
	peer_pull(&p.a, false);
	assert_int_equal(peer_step(&p.b, &refuse), 0);
	peer_receive(&p.a, SIZE_MAX);
	expect_trace(&p, "A send HELLO\nA event PULL\nA send PULL 1 whole\n"
	    "B send ERROR 0 code 3\nB do CLOSE -5\nA do PULL_OVER -5\n"
	    "A do CLOSE -5 by peer\n");
	assert_string_equal(p.a.closed_why.text, "not known here");
	pair_close(&p);
}

/* ---- news, push ---- */

static void
news_lead_to_a_pull(void **state)
{
	struct pair p;

	pair_meet(&p, 0);
	peer_write(&p.a, 1);
	peer_changed(&p.a);
	peer_write(&p.a, 1);
	peer_changed(&p.a);
	pair_run(&p);
	/* Those that waited go together. */
	expect_trace(&p, "A event CHANGED\nA event CHANGED\nA send NOTIFY\n"
	    "B do NOTIFIED\n");
	pair_close(&p);
}

/* What makes the peer ask whatever it holds does so also when newer news of that
 * site came before it could be sent. */
static void
r13_news_of_no_version_stay(void **state)
{
	static const uint8_t none[WIRE_TOKEN_LEN];
	struct wire_entry entry = { .site = { 1 }, .version = 1 };
	struct sync_event event = { .kind = SYNC_ON_CHANGED, .entry = &entry,
		.nentries = 1 };
	struct pair p;

	pair_meet(&p, 0);
	peer_step(&p.a, &event);
	peer_write(&p.a, 1);
	peer_changed(&p.a);
	pair_run(&p);
	assert_int_equal(p.b.told.version, p.a.upto[0]);
	assert_memory_equal(p.b.told.token, none, sizeof none);
	peer_changed(&p.a);
	pair_run(&p);
	assert_memory_not_equal(p.b.told.token, none, sizeof none);
	pair_close(&p);
}

static void
push_is_answered(void **state)
{
	struct pair p;

	pair_open(&p, 0);
	assert_int_equal(peer_start(&p.a), 0);
	peer_event(&p.a, SYNC_ON_PUSH);
	assert_int_equal(peer_start(&p.b), 0);
	pair_run(&p);
	expect_trace(&p, "A send HELLO\nA event PUSH\nB send HELLO\n"
	    "A send PUSH 1\nA do OPENED\nB do OPENED\nB do PUSH_ASKED\n"
	    "B send PUSHED 1 code 0\nA do PUSHED 0, 3 rows\n");
	peer_event(&p.a, SYNC_ON_PUSH);
	peer_stop(&p.b, E_INTERRUPTED, "going away");
	pair_run(&p);
	expect_trace(&p, "A event PUSH\nA send PUSH 2\nB event STOP\n"
	    "B send ERROR 0 code 9\nB do CLOSE -130\nA do PUSHED -4, 0 rows\n"
	    "A do CLOSE -4 by peer\n");
	pair_close(&p);
}

/* ---- verifying ---- */

static int
say(struct peer *p, enum sync_event_kind kind, const char *words)
{
	struct sync_event event = { .kind = kind,
		.data = (const uint8_t *)words, .len = strlen(words) };

	return peer_step(p, &event);
}

static void
stores_talk_in_turn(void **state)
{
	struct pair p;

	pair_meet(&p, 0);
	assert_int_equal(say(&p.a, SYNC_ON_DIGEST_SAY, "ask"), 0);
	/* not before the answer */
	assert_int_equal(say(&p.a, SYNC_ON_DIGEST_SAY, "more"), E_USAGE);
	pair_run(&p);
	assert_int_equal(say(&p.b, SYNC_ON_DIGEST_ANSWER, ""), 0);
	assert_int_equal(say(&p.b, SYNC_ON_DIGEST_ANSWER, "have"), 0);
	assert_int_equal(say(&p.b, SYNC_ON_DIGEST_ANSWER, "x"), E_USAGE);
	pair_run(&p);
	assert_int_equal(say(&p.a, SYNC_ON_DIGEST_SAY, "sums"), 0);
	pair_run(&p);
	peer_event(&p.a, SYNC_ON_DIGEST_STOP);
	pair_run(&p);
	assert_int_equal(say(&p.b, SYNC_ON_DIGEST_ANSWER, "late"), E_USAGE);
	expect_trace(&p, "A send DIGEST\nB do DIGEST_ASKED anew ask\n"
	    "B send DIGEST\nB send DIGEST\n"
	    "A do DIGEST_HEARD \nA do DIGEST_HEARD have\n"
	    "A send DIGEST\nB do DIGEST_ASKED sums\n"
	    "A event DIGEST_STOP\nA send DIGEST\nB do DIGEST_END\n");
	pair_close(&p);
}

/* What goes on ends when it fails, when a new one begins, and with the
 * connection; the connection goes on but for the last. */
static void
digests_end(void **state)
{
	const struct err why = { E_UNREACHABLE, "too much", "" };
	struct sync_event failed = { .kind = SYNC_ON_DIGEST_FAILED,
		.why = &why };
	struct pair p;

	pair_meet(&p, 0);
	p.quiet = true;
	say(&p.a, SYNC_ON_DIGEST_SAY, "ask");
	pair_run(&p);
	p.quiet = false;
	assert_int_equal(peer_step(&p.b, &failed), 0);
	pair_run(&p);
	expect_trace(&p, "B send DIGEST\n"
	    "A do DIGEST_OVER -4\n");
	say(&p.a, SYNC_ON_DIGEST_SAY, "again");
	peer_event(&p.a, SYNC_ON_DIGEST_STOP);
	say(&p.a, SYNC_ON_DIGEST_SAY, "third");
	pair_run(&p);
	expect_trace(&p, "A send DIGEST\nA event DIGEST_STOP\n"
	    "A send DIGEST\nA send DIGEST\nB do DIGEST_ASKED anew again\n"
	    "B do DIGEST_END\nB do DIGEST_ASKED anew third\n");
	pair_cut(&p);
	expect_trace(&p, "A do DIGEST_OVER -4\nA do CLOSE -4\n"
	    "B do DIGEST_END\nB do CLOSE -4\n");
	pair_close(&p);
}

static void
hear_digest(struct peer *p, uint32_t id, bool asks, const char *words)
{
	struct wire_msg m = { .type = WIRE_DIGEST, .digest = { .id = id,
		.asks = asks, .bytes = { (const uint8_t *)words,
		strlen(words) } } };

	peer_hear(p, &m);
	pair_run(p->pair);
}

static void
digests_out_of_turn_end_the_connection(void **state)
{
	struct pair p;
	int i;

	for (i = 0; i < 4; i++) {
		pair_meet(&p, 0);
		p.quiet = true;
		if (i == 0) {
			hear_digest(&p.a, 1, false, "no question");
		} else if (i == 1) {
			hear_digest(&p.a, 2, true, "ask");
			hear_digest(&p.a, 2, true, "too early");
		} else if (i == 2) {
			hear_digest(&p.a, 2, true, "ask");
			hear_digest(&p.a, 1, true, "an old one");
		} else {
			say(&p.a, SYNC_ON_DIGEST_SAY, "ask");
			hear_digest(&p.a, 2, false, "another one");
		}
		assert_true(p.a.closed);
		assert_int_equal(p.a.closed_why.code, E_INTEGRITY);
		pair_close(&p);
	}
}

/* ---- how tables are declared ---- */

static void
schemas_are_asked_for_and_told(void **state)
{
	const struct err why = { E_FATAL, "no", "" };
	struct sync_event failed = { .kind = SYNC_ON_SCHEMA, .why = &why };
	struct pair p;

	pair_meet(&p, 0);
	assert_int_equal(say(&p.b, SYNC_ON_SCHEMA, "unasked"), E_USAGE);
	peer_event(&p.a, SYNC_ON_SCHEMA_ASK);
	assert_int_equal(say(&p.a, SYNC_ON_SCHEMA_ASK, ""), E_USAGE);
	pair_run(&p);
	assert_int_equal(say(&p.b, SYNC_ON_SCHEMA, "tables"), 0);
	assert_int_equal(say(&p.b, SYNC_ON_SCHEMA, "twice"), E_USAGE);
	pair_run(&p);
	expect_trace(&p, "A event SCHEMA_ASK\nA send SCHEMA\n"
	    "B do SCHEMA_ASKED\nB send SCHEMA\nA do SCHEMA 0 tables\n");
	peer_event(&p.a, SYNC_ON_SCHEMA_ASK);
	pair_run(&p);
	assert_int_equal(peer_step(&p.b, &failed), 0);
	pair_run(&p);
	peer_event(&p.a, SYNC_ON_SCHEMA_ASK);
	pair_run(&p);
	expect_trace(&p, "A event SCHEMA_ASK\nA send SCHEMA\n"
	    "B do SCHEMA_ASKED\nB send SCHEMA\nA do SCHEMA -4 \n"
	    "A event SCHEMA_ASK\nA send SCHEMA\nB do SCHEMA_ASKED\n");
	pair_cut(&p);
	expect_trace(&p, "A do SCHEMA -4 \nA do CLOSE -4\nB do CLOSE -4\n");
	pair_close(&p);
}

static void
hear_schema(struct peer *p, uint32_t id, bool asks)
{
	struct wire_msg m = { .type = WIRE_SCHEMA, .digest = { .id = id,
		.asks = asks, .bytes = { (const uint8_t *)"x", 1 } } };

	peer_hear(p, &m);
	pair_run(p->pair);
}

/* An answer to nothing, a question before the answer, and too many questions. */
static void
schemas_out_of_turn_end_the_connection(void **state)
{
	struct pair p;
	int i, n;

	for (i = 0; i < 3; i++) {
		pair_meet(&p, 0);
		p.quiet = true;
		if (i == 0)
			hear_schema(&p.a, 1, false);
		for (n = 0; i == 1 && n < 2; n++)
			hear_schema(&p.a, 1, true);
		for (n = 0; i == 2 && n < 5; n++) {
			assert_false(p.a.closed);
			peer_event(&p.b, SYNC_ON_SCHEMA_ASK);
			pair_run(&p);
			say(&p.a, SYNC_ON_SCHEMA, "tables");
			pair_run(&p);
		}
		assert_true(p.a.closed);
		assert_int_equal(p.a.closed_why.code, E_INTEGRITY);
		pair_close(&p);
	}
}

/* ---- trouble ---- */

static void
full_disk_stops_the_pull_only(void **state)
{
	struct pair p;
	int i;

	pair_meet(&p, 0);
	for (i = 0; i < 3; i++)
		peer_write(&p.b, 100);
	p.a.fail_take = true;
	peer_pull(&p.a, false);
	pair_run(&p);
	assert_int_equal(p.a.pulls_failed, 1);
	assert_int_equal(p.a.pull_why.code, E_FATAL);
	assert_false(p.a.closed || p.b.closed);
	p.a.fail_take = false;
	peer_pull(&p.a, false);
	pair_run(&p);
	assert_int_equal(p.a.pulls_ended, 1);
	assert_true(peers_equal(&p));
	pair_close(&p);
}

static void
failed_server_says_why(void **state)
{
	static const struct err why = { E_HORIZON, "clone again", "" };
	struct sync_event failed = { .kind = SYNC_ON_SERVE_FAILED,
		.why = &why };
	struct pair p;

	pair_meet(&p, 0);
	peer_pull(&p.a, false);
	peer_receive(&p.b, SIZE_MAX);
	p.b.nanswers = 0;
	assert_int_equal(peer_step(&p.b, &failed), 0);
	pair_run(&p);
	expect_trace(&p, "A event PULL\nA send PULL 1 whole\n"
	    "B do SERVE_BEGIN 1\nB send ERROR 1 code 6\nB do SERVE_END\n"
	    "A do PULL_OVER -8\n");
	pair_close(&p);
}

/* Without room nothing is produced: so much waits, and no more. */
static void
slow_reader_bounds_what_waits(void **state)
{
	struct pair p;
	int i;

	pair_meet(&p, 0);
	p.quiet = true;
	for (i = 0; i < 100; i++)
		peer_write(&p.b, i == 50 ? 3 * BIG : 100000);
	p.b.no_room = true;
	peer_pull(&p.a, false);
	pair_run(&p);
	assert_int_equal(p.a.in.len, 0);
	for (i = 0; i < 200 && p.a.pulls_ended == 0; i++) {
		p.b.no_room = false;
		peer_room(&p.b);
		p.b.no_room = true;
		while (peer_answer(&p.b))
			;
		assert_in_range(p.a.in.len, 0, 1500000);
		while (peer_receive(&p.a, SIZE_MAX) > 0 || peer_answer(&p.a))
			;
	}
	assert_int_equal(p.a.pulls_ended, 1);
	assert_true(peers_equal(&p));
	pair_close(&p);
}

static void
silence_is_noticed(void **state)
{
	struct pair p;

	pair_meet(&p, 0);
	p.now_ms += SYNC_KEEPALIVE_MS - 1;
	assert_in_range(p.a.timer_ms, 0, p.now_ms + 1);
	peer_event(&p.a, SYNC_ON_TIME);
	p.now_ms += 1;
	peer_event(&p.a, SYNC_ON_TIME);
	pair_run(&p);
	expect_trace(&p, "A event TIME\nA event TIME\nA send PING\n"
	    "B send PONG\n");
	p.now_ms += SYNC_KEEPALIVE_MS;
	assert_int_equal(p.a.timer_ms, p.now_ms);
	peer_event(&p.a, SYNC_ON_TIME);
	p.now_ms += SYNC_KEEPALIVE_MS;
	peer_event(&p.a, SYNC_ON_TIME);
	expect_trace(&p, "A event TIME\nA send PING\nA event TIME\n"
	    "A send ERROR 0 code 9\nA do CLOSE -4\n");
	pair_close(&p);

	pair_meet(&p, 0);
	peer_event(&p.a, SYNC_ON_PROBE);
	p.now_ms = p.a.timer_ms;
	assert_int_equal(p.now_ms, 1000 + SYNC_PROBE_MS);
	peer_event(&p.a, SYNC_ON_TIME);
	expect_trace(&p, "A event PROBE\nA send PING\nA event TIME\n"
	    "A send ERROR 0 code 9\nA do CLOSE -4\n");
	pair_close(&p);

	pair_open(&p, 0);
	assert_int_equal(peer_start(&p.a), 0);
	p.now_ms += SYNC_HELLO_MS;
	peer_event(&p.a, SYNC_ON_TIME);
	expect_trace(&p, "A send HELLO\nA event TIME\n"
	    "A send ERROR 0 code 9\nA do CLOSE -4\n");
	pair_close(&p);
}

/* A node that slept does not blame its peer at once. */
static void
own_sleep_is_no_silence(void **state)
{
	struct pair p;

	pair_meet(&p, 0);
	p.now_ms = p.a.timer_ms + SYNC_LATE_MS + SYNC_DEAD_MS;
	peer_event(&p.a, SYNC_ON_TIME);
	expect_trace(&p, "A event TIME\nA send PING\n");
	assert_int_equal(p.a.timer_ms, p.now_ms + SYNC_PROBE_MS);
	p.now_ms = p.a.timer_ms;
	peer_event(&p.a, SYNC_ON_TIME);
	expect_trace(&p, "A event TIME\nA send ERROR 0 code 9\n"
	    "A do CLOSE -4\n");
	pair_close(&p);
}

/* What the caller may not do is said, and nothing happens. */
static void
misuse_is_refused(void **state)
{
	static const enum sync_event_kind kinds[] = { SYNC_ON_TAKEN,
		SYNC_ON_PLAN, SYNC_ON_PULL_STOP, SYNC_ON_SERVING,
		SYNC_ON_SERVE_WHOLE, SYNC_ON_SERVE_FAILED, SYNC_ON_PAGE,
		SYNC_ON_END, SYNC_ON_PUSH_DONE, SYNC_ON_CLAIMS,
		SYNC_ON_TOKENS, SYNC_ON_COMMON, SYNC_ON_FORKED,
		SYNC_ON_START, SYNC_ON_REFUSE };
	struct pair p;
	size_t i;

	pair_meet(&p, 0);
	p.quiet = true;
	for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
		assert_int_equal(peer_event(&p.a, kinds[i]), E_USAGE);
	peer_pull(&p.a, false);
	assert_int_equal(peer_pull(&p.a, false), E_USAGE);
	pair_run(&p);
	assert_int_equal(p.a.pulls_ended, 1);
	pair_close(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pull_of_nothing_takes_one_round_trip),
		cmocka_unit_test(pull_brings_page_after_page),
		cmocka_unit_test(both_pull_at_once),
		cmocka_unit_test(vectors_go_whole_when_wanted),
		cmocka_unit_test(big_page_comes_in_pieces),
		cmocka_unit_test(pages_count_as_they_come),
		cmocka_unit_test(big_page_goes_on_where_it_was_cut),
		cmocka_unit_test(changed_page_begins_anew),
		cmocka_unit_test(pull_goes_on_after_any_cut),
		cmocka_unit_test(messages_longer_than_a_frame_go_in_parts),
		cmocka_unit_test(copy_finds_the_last_common_version),
		cmocka_unit_test(copy_serves_nothing_before),
		cmocka_unit_test(versions_must_meet),
		cmocka_unit_test(stranger_is_refused),
		cmocka_unit_test(news_lead_to_a_pull),
		cmocka_unit_test(r13_news_of_no_version_stay),
		cmocka_unit_test(push_is_answered),
		cmocka_unit_test(stores_talk_in_turn),
		cmocka_unit_test(digests_end),
		cmocka_unit_test(digests_out_of_turn_end_the_connection),
		cmocka_unit_test(schemas_are_asked_for_and_told),
		cmocka_unit_test(schemas_out_of_turn_end_the_connection),
		cmocka_unit_test(full_disk_stops_the_pull_only),
		cmocka_unit_test(failed_server_says_why),
		cmocka_unit_test(slow_reader_bounds_what_waits),
		cmocka_unit_test(silence_is_noticed),
		cmocka_unit_test(own_sleep_is_no_silence),
		cmocka_unit_test(misuse_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
