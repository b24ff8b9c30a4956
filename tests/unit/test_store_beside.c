// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_beside.c - two pulls into one database beside each other: pages,
 * pieces of pages and ends come in any order, what both bring overlaps, and one
 * may be cut.  Prints the seed of what fails; DDCP_SEED plays that one alone,
 * BESIDE_SEEDS says how many are played.
 */
#include "test_store_site.h"

#include <openssl/evp.h>

enum { SEEDS = 8, PIECE = 70000, LARGE = 100000, STEPS_MAX = 100000 };

static uint64_t chance;

static unsigned
below(unsigned n)
{
	chance = chance * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(chance >> 33) % n;
}

/* ---- one of the two ---- */

struct side {
	struct site *to, *from;
	struct store_pull *pull;
	struct store_reading *reading;
	struct store_plan plan;
	const uint8_t *page;    /* that goes in pieces */
	size_t len, at;
	uint8_t hash[16];
	bool last, over;
};

static void
side_begin(struct side *s, struct site *to, struct site *from)
{
	bool whole;
	struct err err;

	*s = (struct side){ .to = to, .from = from };
	must(store_pull_begin(to->store, remote_id(to, from), false, &s->pull,
	    &s->plan, &err));
	must(store_serve(from->store, remote_id(from, to), &s->plan, &whole,
	    &s->reading, &err));
	assert_false(whole);
}

static void
side_close(struct side *s)
{
	store_pull_close(s->pull, NULL);
	store_serve_close(s->reading);
	store_plan_clear(&s->plan);
	s->over = true;
}

static void
side_piece(struct side *s)
{
	size_t n = s->len - s->at < PIECE ? s->len - s->at : PIECE;
	uint64_t have;
	struct err err;

	must(store_pull_piece(s->pull, s->hash, s->len, s->len, false, s->at,
	    s->page + s->at, n, &have, &err));
	s->at += n;
	if (s->at < s->len)
		return;
	must(store_pull_pieced(s->pull, &err));
	s->page = NULL;
}

static void
side_end(struct side *s)
{
	struct store_result result;
	struct store_end end;
	struct err err;

	must(store_serve_end(s->reading, &end, &err));
	must(store_pull_end(s->pull, &end, &result, &err));
	store_end_clear(&end);
	side_close(s);
}

/* The next thing that the peer would send. */
static void
side_step(struct side *s)
{
	uint8_t whole[EVP_MAX_MD_SIZE];
	const uint8_t *page;
	struct err err;
	size_t len;

	if (s->page != NULL) {
		side_piece(s);
		return;
	}
	if (s->last) {
		side_end(s);
		return;
	}
	must(store_serve_page(s->reading, 500, &page, &len, &s->last, &err));
	if (len <= LARGE) {
		must(store_pull_page(s->pull, page, len, &err));
		return;
	}
	assert_int_equal(EVP_Digest(page, len, whole, NULL, EVP_sha256(), NULL),
	    1);
	memcpy(s->hash, whole, sizeof s->hash);
	s->page = page;
	s->len = len;
	s->at = 0;
}

/* ---- what they have ---- */

/* Some writes, each a transaction: rows that others write too, rows of its own,
 * some with a value that is larger than a frame would be, and deletes. */
static void
write_some(struct site *s, int n)
{
	sqlite3 *db = open_handle(s->file, true);
	char text[200];
	int i;

	for (i = 0; i < n; i++) {
		switch (below(6)) {
		case 0:
			snprintf(text, sizeof text, "DELETE FROM t WHERE id = "
			    "'%u'", below(20));
			break;
		case 1:
			snprintf(text, sizeof text, "INSERT OR REPLACE INTO t "
			    "VALUES('%s%u', randomblob(%d), 1)", s->name,
			    below(4), 2 * LARGE);
			break;
		case 2:
			snprintf(text, sizeof text, "UPDATE t SET w = '%s%d'",
			    s->name, i);
			break;
		case 3:
			snprintf(text, sizeof text, "WITH RECURSIVE n(i) AS ("
			    "SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
			    "60) INSERT OR IGNORE INTO t SELECT i, '%s', "
			    "hex(randomblob(50)) FROM n", s->name);
			break;
		default:
			snprintf(text, sizeof text, "INSERT INTO t VALUES('%u', "
			    "'%s', %d) ON CONFLICT DO UPDATE SET v = "
			    "excluded.v", below(20), s->name, i);
		}
		exec(db, text);
	}
	close_handle(db);
}

static void
side_by_side(struct site *a, struct site *b, struct site *c, bool cut)
{
	struct side side[2], *s;
	int steps = 0;

	side_begin(&side[0], a, b);
	side_begin(&side[1], a, c);
	while (!side[0].over || !side[1].over) {
		assert_true(steps++ < STEPS_MAX);
		s = &side[below(2)];
		if (s->over)
			continue;
		if (cut && below(40) == 0) {
			cut = false;
			side_close(s);
		} else {
			side_step(s);
		}
	}
}

static void
play(uint64_t seed, const char *max_bytes, bool cut)
{
	struct site a, b, c, d;
	struct err err;

	chance = seed;
	site_make(&a, "a");
	site_make(&b, "b");
	site_make(&c, "c");
	site_make(&d, "d");
	introduce(&a, &b);
	introduce(&a, &c);
	introduce(&b, &c);
	introduce(&b, &d);
	introduce(&c, &d);
	must(store_config_set(a.store, "merge.max-bytes", max_bytes, &err));
	write_some(&d, 5);
	pull(&b, &d);
	write_some(&b, 5);
	pull(&c, &b);
	write_some(&d, 5);
	pull(&c, &d);
	write_some(&b, 5);
	write_some(&c, 5);
	write_some(&a, 3);
	side_by_side(&a, &b, &c, cut);
	if (cut) {
		pull(&a, &b);
		pull(&a, &c);
	}
	/* What a misses now it would never ask for.  Of a row that two inserted
	 * either may stand as its author. */
	pull(&b, &a);
	pull(&b, &c);
	assert_alike(&a, &b);
	/* And what it claims to hold it has for others. */
	write_some(&b, 2);
	pull(&c, &b);
	side_by_side(&a, &b, &c, false);
	pull(&d, &b);
	pull(&d, &c);
	assert_alike(&a, &c);
	assert_alike(&a, &d);
	assert_int_equal(pull(&a, &b).rows, 0);
	assert_int_equal(pull(&a, &c).rows, 0);
	site_close(&a);
	site_close(&b);
	site_close(&c);
	site_close(&d);
}

static void
play_seeds(const char *max_bytes, bool cut)
{
	const char *one = getenv("DDCP_SEED");
	uint64_t seed = one != NULL ? strtoull(one, NULL, 10) : 1;
	const char *count = getenv("BESIDE_SEEDS");
	uint64_t last = one != NULL ? seed :
	    count != NULL ? strtoull(count, NULL, 10) : SEEDS;

	assert_true(seed <= last);

	for (; seed <= last; seed++) {
		print_message("# seed %llu\n", (unsigned long long)seed);
		play(seed, max_bytes, cut);
		assert_int_equal(scratch_remove(NULL), 0);
		assert_int_equal(scratch_make(NULL), 0);
	}
}

static void
r13_two_in_memory(void **state)
{
	play_seeds("8388608", false);
}

/* Transactions that are larger wait in the inbox. */
static void
r13_two_in_the_inbox(void **state)
{
	play_seeds("3000", false);
}

static void
r13_two_of_which_one_is_cut(void **state)
{
	play_seeds("3000", true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(r13_two_in_memory),
		TEST(r13_two_in_the_inbox),
		TEST(r13_two_of_which_one_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
