// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_pieces.c - pages that come in pieces, and what a peer may not say
 * of pieces, pages and ends.
 */
#include "test_store_site.h"

#include <openssl/sha.h>
#include <zstd.h>

/* -- pages in pieces -------------------------------------------------------------------- */

struct sent {
	uint8_t *bytes;
	size_t total, raw;
	bool zipped;
	uint8_t hash[32];
};

static void
pack(struct sent *s, const uint8_t *page, size_t len, bool zipped)
{
	size_t room = ZSTD_compressBound(len);

	s->raw = len;
	s->zipped = zipped;
	s->bytes = malloc(room);
	if (zipped) {
		s->total = ZSTD_compress(s->bytes, room, page, len, 1);
		assert_false(ZSTD_isError(s->total));
	} else {
		memcpy(s->bytes, page, len);
		s->total = len;
	}
	SHA256(s->bytes, s->total, s->hash);
}

/* Pulls the only page in pieces of 1,000 bytes, from where the reader has
 * some, at most max of them. */
static int
pull_pieces(struct site *to, struct site *from, bool zipped, int max,
    int *pieces, struct err *err)
{
	struct store_reading *reading;
	struct store_pull *pull;
	struct store_plan plan;
	struct store_end end;
	struct store_result result;
	struct sent s;
	uint8_t hash[16];
	const uint8_t *page;
	uint64_t have;
	bool whole, last;
	size_t len, n;
	int rc = 0;

	must_at(store_pull_begin(to->store, remote_id(to, from), false, &pull,
	    &plan, err), err, "begin", __LINE__);
	must_at(store_pull_partial(pull, hash, &have, err), err, "partial",
	    __LINE__);
	must_at(store_serve(from->store, remote_id(from, to), &plan, &whole,
	    &reading, err), err, "serve", __LINE__);
	must_at(store_serve_page(reading, 262144, &page, &len, &last, err),
	    err, "page", __LINE__);
	pack(&s, page, len, zipped);
	if (have > 0)
		assert_memory_equal(hash, s.hash, sizeof hash);
	for (*pieces = 0; rc == 0 && have < s.total; ++*pieces) {
		if (*pieces == max) {
			rc = E_INTERRUPTED;
			break;
		}
		n = s.total - have < 1000 ? s.total - have : 1000;
		rc = store_pull_piece(pull, s.hash, s.total, s.raw, s.zipped,
		    have, s.bytes + have, n, &have, err);
	}
	if (rc == 0)
		rc = store_pull_pieced(pull, err);
	if (rc == 0 && !last) {
		must_at(store_serve_page(reading, 262144, &page, &len, &last,
		    err), err, "page", __LINE__);
		rc = store_pull_page(pull, page, len, err);
	}
	if (rc == 0)
		rc = store_serve_end(reading, &end, err);
	if (rc == 0) {
		rc = store_pull_end(pull, &end, &result, err);
		store_end_clear(&end);
	}
	free(s.bytes);
	store_pull_close(pull, NULL);
	store_plan_clear(&plan);
	store_serve_close(reading);
	return rc;
}

static void
pieces(bool zipped)
{
	struct site a, b;
	struct err err;
	int n, all = 0;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql(&a, "INSERT INTO t VALUES('x', hex(randomblob(20000)), 1)");
	while (pull_pieces(&b, &a, zipped, 7, &n, &err) == E_INTERRUPTED) {
		all += n;
		site_close(&b);
		site_open(&b);
	}
	all += n;
	assert_same(&a, &b);
	assert_in_range(all, zipped ? 18 : 40, zipped ? 30 : 42);
	print_message("# %d pieces\n", all);
	expect(&b, "SELECT count(*) FROM t", "1\n");
	site_close(&a);
	site_close(&b);
}

static void
a_page_in_pieces(void **state)
{
	pieces(false);
}

static void
a_zipped_page_in_pieces(void **state)
{
	pieces(true);
}

static void
pieces_that_lie(void **state)
{
	static const uint8_t hash[16] = "no hash of these";
	struct store_pull *p;
	struct store_plan plan;
	uint8_t data[1000] = { 0 };
	struct site a, b;
	struct err err;
	uint64_t have;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	must(store_pull_begin(b.store, remote_id(&b, &a), false, &p, &plan,
	    &err));
	/* Longer than announced, too much expansion, too large, in between. */
	assert_int_equal(store_pull_piece(p, hash, 10, 10, false, 0, data, 11,
	    &have, &err), E_INTEGRITY);
	assert_int_equal(store_pull_piece(p, hash, 10, 100000, true, 0, data,
	    10, &have, &err), E_INTEGRITY);
	assert_int_equal(store_pull_piece(p, hash, UINT64_MAX, UINT64_MAX,
	    false, 0, data, 10, &have, &err), E_INTEGRITY);
	assert_int_equal(store_pull_piece(p, hash, 100, 100, false, 50, data,
	    10, &have, &err), E_INTEGRITY);
	assert_int_equal(store_pull_piece(p, hash, 100, 100, false,
	    UINT64_MAX - 5, data, 10, &have, &err), E_INTEGRITY);
	/* Not complete, then complete with the wrong hash. */
	must(store_pull_piece(p, hash, 1000, 1000, false, 0, data, 500, &have,
	    &err));
	assert_int_equal(have, 500);
	assert_int_equal(store_pull_pieced(p, &err), E_INTEGRITY);
	must(store_pull_piece(p, hash, 1000, 1000, false, 0, data, 500, &have,
	    &err));
	must(store_pull_piece(p, hash, 1000, 1000, false, 500, data, 500,
	    &have, &err));
	assert_int_equal(store_pull_pieced(p, &err), E_INTEGRITY);
	store_pull_close(p, NULL);
	store_plan_clear(&plan);
	pull(&b, &a);
	site_close(&a);
	site_close(&b);
}

/* -- what a peer may not say ---------------------------------------------------------------- */

static void
pages_that_lie(void **state)
{
	struct store_reading *reading;
	struct store_pull *p;
	struct store_plan plan;
	const uint8_t *page;
	uint8_t *copy;
	struct site a, b;
	struct err err;
	bool whole, last;
	size_t len, i;
	int refused = 0;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	sql_times(&a, 3, "INSERT INTO t VALUES('x-%d', hex(randomblob(20)), %d)");
	must(store_pull_begin(b.store, remote_id(&b, &a), false, &p, &plan,
	    &err));
	must(store_serve(a.store, remote_id(&a, &b), &plan, &whole, &reading,
	    &err));
	must(store_serve_page(reading, 262144, &page, &len, &last, &err));
	copy = malloc(len);
	for (i = 0; i < len; i++) {
		memcpy(copy, page, len);
		if (store_pull_page(p, copy, i, &err) != 0)
			refused++;
		assert_int_equal(err.code, E_INTEGRITY);
	}
	assert_int_equal(refused, len);
	free(copy);
	store_pull_close(p, NULL);
	store_plan_clear(&plan);
	store_serve_close(reading);
	expect(&b, "SELECT count(*) FROM t", "0\n");
	pull(&b, &a);
	assert_same(&a, &b);
	site_close(&a);
	site_close(&b);
}

static void
ends_that_lie(void **state)
{
	struct store_entry twice[2] = { { .site = "same", .version = 1 },
		{ .site = "same", .version = 2 } };
	struct store_entry huge = { .site = "huge", .version = UINT64_MAX };
	size_t absent = 7;
	struct store_end_group group = { .complete = true };
	struct store_end end = { .ngroups = 0 };
	struct store_result result;
	struct store_plan plan;
	struct store_pull *p;
	struct site a, b;
	struct err err;

	site_make(&a, "alice");
	site_make(&b, "bob");
	introduce(&a, &b);
	must(store_pull_begin(b.store, remote_id(&b, &a), false, &p, &plan,
	    &err));
	assert_int_equal(store_pull_end(p, &end, &result, &err), E_INTEGRITY);
	end.group = &group;
	end.ngroups = 1;
	group.vector.entry = twice;
	group.vector.n = 2;
	assert_int_equal(store_pull_end(p, &end, &result, &err), E_INTEGRITY);
	group.vector.entry = &huge;
	group.vector.n = 1;
	assert_int_equal(store_pull_end(p, &end, &result, &err), E_INTEGRITY);
	group.vector.n = 0;
	group.absent = &absent;
	group.nabsent = 1;
	assert_int_equal(store_pull_end(p, &end, &result, &err), E_INTEGRITY);
	store_pull_close(p, NULL);
	store_plan_clear(&plan);
	expect(&b, "SELECT count(*) FROM ddcp_vector", "0\n");
	site_close(&a);
	site_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_page_in_pieces),
		TEST(a_zipped_page_in_pieces),
		TEST(pieces_that_lie),
		TEST(pages_that_lie),
		TEST(ends_that_lie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
