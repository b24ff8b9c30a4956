// SPDX-License-Identifier: MPL-2.0
/*
 * store_scripts.c - what is done while things fail (store_faults.h).  To add a
 * script, write its steps and put it into the table at the end.
 */
#include "store_faults.h"

#include <openssl/sha.h>
#include <sqlite3.h>

#include "store/past.h"

#define DAY ((int64_t)86400000)

void
store_scripts_in(const char *dir)
{
	snprintf(scratch, sizeof scratch, "%s", dir);
}

/* -- what they begin with ------------------------------------------------------------ */

/* Rows, some of them written by a program without the extension, and a table that is
 * not replicated. */
static void
make_one(struct world *w)
{
	site_make(&w->a, "alice");
	sql(&w->a, "INSERT INTO t VALUES('x', 1, 1), ('y', 2, zeroblob(3000)), ('z', "
	    "3, 3); UPDATE t SET v = 4 WHERE id = 'x'; DELETE FROM t WHERE id = 'z'");
	plain_sql(&w->a, "INSERT INTO t VALUES('plain', 1, 1); UPDATE t SET w = 5 "
	    "WHERE id = 'x'; CREATE TABLE u(id INTEGER PRIMARY KEY, v); INSERT "
	    "INTO u VALUES(1, 1), (2, 2)");
}

static void
make_pair(struct world *w)
{
	site_make(&w->a, "alice");
	site_make(&w->b, "bob");
	introduce(&w->a, &w->b);
	w->of_b = remote_id(&w->a, &w->b);
	w->of_a = remote_id(&w->b, &w->a);
	sql(&w->a, "INSERT INTO t VALUES('both', 0, 0), ('gone', 1, 1), ('same', 1, "
	    "1)");
	pull(&w->b, &w->a);
}

/* b has what a does not: of a row that a changed too, and so that some wait. */
static void
make_news(struct world *w)
{
	make_pair(w);
	sql(&w->a, "UPDATE t SET v = 'ours' WHERE id = 'both'; INSERT INTO t "
	    "VALUES('own', 1, 1)");
	sql(&w->b, "UPDATE t SET v = 'zz theirs' WHERE id = 'both'; DELETE FROM t WHERE "
	    "id = 'gone'");
	sql_times(&w->b, 6, "INSERT INTO t VALUES('n%d', %d, randomblob(400))");
	sql(&w->b, "ALTER TABLE t ADD COLUMN more; UPDATE t SET more = 1, v = 9 WHERE "
	    "id = 'same'");
	plain_sql(&w->a, "INSERT INTO t VALUES('plain', 1, 1)");
}

static void
make_fetched(struct world *w)
{
	struct pull p = { .fetch_only = true, .page = 300 };

	make_news(w);
	assert_int_equal(pull_with(&w->a, &w->b, &p), 0);
}

static void
make_merged(struct world *w)
{
	make_news(w);
	pull(&w->a, &w->b);
}

/* More is deleted than may be. */
static void
make_too_much(struct world *w)
{
	struct err err;

	make_pair(w);
	sql_times(&w->b, 30, "INSERT INTO t VALUES('n%d', %d, 1)");
	pull(&w->a, &w->b);
	sql(&w->b, "DELETE FROM t WHERE id LIKE 'n%%'");
	must(store_config_set(w->a.store, "merge.max-delete", "5,10%", &err));
}

/* An older copy than the note beside it tells of. */
static void
make_old_copy(struct world *w)
{
	char old[SITE_PATH_MAX];

	make_pair(w);
	keep(&w->a, old);
	sql(&w->a, "INSERT INTO t VALUES('sent', 1, 1)");
	pull(&w->b, &w->a);
	restore(&w->a, old, NULL);
}

static void
make_plain(struct world *w)
{
	snprintf(w->a.file, sizeof w->a.file, "%s/alice.db", scratch);
	plain_sql(&w->a, "CREATE TABLE u(id INTEGER PRIMARY KEY, v)");
}

static void
make_nothing(struct world *w)
{
	snprintf(w->a.file, sizeof w->a.file, "%s/alice.db", scratch);
}

static void
make_origin(struct world *w)
{
	site_make(&w->b, "bob");
	sql(&w->b, "INSERT INTO t VALUES('x', 1, 1); CREATE TABLE o(id INTEGER PRIMARY "
	    "KEY, v TEXT COLLATE nocase); SELECT crsql_as_crr('o'); CREATE INDEX i ON "
	    "o(v); CREATE VIEW seen AS SELECT * FROM o");
	make_nothing(w);
}

/* -- opening, making ------------------------------------------------------------------------ */

static int
open_it(struct world *w, struct err *err)
{
	struct store_open how = { .db_file = w->a.file };
	int rc = store_open(&how, &w->a.store, err);

	if (rc == 0)
		world_say(w, "forked %d\n", store_was_forked(w->a.store));
	return rc;
}

/* A new site id stays if it fails later on. */
static int
open_old(struct world *w, struct err *err)
{
	struct store_open how = { .db_file = w->a.file };

	return store_open(&how, &w->a.store, err);
}

static int
close_it(struct world *w, struct err *err)
{
	site_close(&w->a);
	return 0;
}

/* One that fails at its end has been made. */
static int
init_as(struct world *w, struct store_init *how, struct err *err)
{
	bool already;

	how->db_file = w->a.file;
	return store_init(how, &already, err);
}

static int
init_it(struct world *w, struct err *err)
{
	return init_as(w, &(struct store_init){ .busy_ms = 0 }, err);
}

static int
init_again(struct world *w, struct err *err)
{
	struct store_init how = { .db_file = w->a.file };
	bool already;
	int rc = store_init(&how, &already, err);

	if (rc == 0)
		world_say(w, "already %d\n", already);
	return rc;
}

static int
init_anew(struct world *w, struct err *err)
{
	return init_as(w, &(struct store_init){ .new_identity = true }, err);
}

static int
init_clone(struct world *w, struct err *err)
{
	return init_as(w, &(struct store_init){ .clone_of = w->b.key }, err);
}

static int
deinit(struct world *w, struct err *err)
{
	struct store_open how = { .db_file = w->a.file };

	return store_deinit(&how, true, err);
}

/* -- tables ---------------------------------------------------------------------------------- */

static int
track(struct world *w, struct err *err)
{
	bool already;
	int rc = store_track(w->a.store, "u", &already, err);

	if (rc == 0)
		world_say(w, "already %d\n", already);
	return rc;
}

static int
untrack(struct world *w, struct err *err)
{
	return store_untrack(w->a.store, "u", err);
}

static int
on_table(void *self, const char *table, bool tracked)
{
	world_say(self, "%s %d\n", table, tracked);
	return 0;
}

static int
tables(struct world *w, struct err *err)
{
	uint64_t which;
	size_t n;
	int rc = store_table_each(w->a.store, on_table, w, err);

	if (rc == 0)
		rc = store_tables(w->a.store, &n, &which, err);
	if (rc == 0)
		world_say(w, "%zu\n", n);
	return rc;
}

static int
on_finding(void *self, const char *table, enum store_lint_grade grade,
    const char *rule, const char *text)
{
	world_say(self, "%s %d %s: %s\n", table, (int)grade, rule, text);
	return 0;
}

static int
lint(struct world *w, struct err *err)
{
	int rc = store_check(w->a.store, "u", on_finding, w, err);

	return rc == 0 ? store_check(w->a.store, NULL, on_finding, w, err) : rc;
}

/* That a part can't be looked at is no fault. */
static int
on_fault(void *self, const struct store_fault *f)
{
	if (f->wrong)
		world_say(self, "%s %s: %s\n", f->part, f->rule, f->text);
	return 0;
}

static int
fsck(struct world *w, struct err *err)
{
	struct store_health h;
	int rc = store_fsck(w->a.store, on_fault, w, &h, err);

	if (rc == 0)
		world_say(w, "%d %d %d %d\n", (int)h.tables, (int)h.rows,
		    (int)h.transactions, (int)h.faults);
	return rc;
}

/* -- settings, remotes ------------------------------------------------------------------------ */

static int
set(struct world *w, struct err *err)
{
	return store_config_set(w->a.store, "merge.max-rows", "77", err);
}

static int
unset(struct world *w, struct err *err)
{
	return store_config_set(w->a.store, "merge.max-rows", NULL, err);
}

static int
on_setting(void *self, const char *key, const char *value, const char *about,
    enum store_origin origin)
{
	world_say(self, "%s %s %d\n", key, value, (int)origin);
	return 0;
}

static int
settings(struct world *w, struct err *err)
{
	char value[100];
	int rc = store_config_get(w->a.store, "merge.max-rows", value,
	    sizeof value, err);

	if (rc == 0)
		world_say(w, "%s\n", value);
	return rc == 0 ? store_config_each(w->a.store, on_setting, w, err) : rc;
}

static const uint8_t stranger[KEY_LEN] = "a key of thirty-two bytes.....";

static int
remote_add(struct world *w, struct err *err)
{
	bool already;
	int rc = store_remote_add(w->a.store, "carol", stranger, "c.example:1",
	    &already, err);

	if (rc == 0)
		world_say(w, "already %d\n", already);
	return rc;
}

static int
remote_rename(struct world *w, struct err *err)
{
	return store_remote_rename(w->a.store, "carol", "dave", err);
}

static int
remote_set(struct world *w, struct err *err)
{
	return store_remote_set(w->a.store, "dave", "automerge", "no", err);
}

/* Where somebody else writes it is let be. */
static int
remote_note(struct world *w, struct err *err)
{
	struct store_remote r;
	int rc = store_remote_by_key(w->a.store, stranger, &r, err);

	return rc == 0 ? store_remote_note(w->a.store, r.id, 1000, "path",
	    "an error", err) : rc;
}

static int
on_remote(void *self, const struct store_remote *r)
{
	world_say(self, "%s %s %d\n", r->name, r->place, r->automerge);
	return 0;
}

static int
remotes(struct world *w, struct err *err)
{
	struct store_remote r;
	int rc = store_remote_by_name(w->a.store, "dave", &r, err);

	return rc == 0 ? store_remote_each(w->a.store, on_remote, w, err) : rc;
}

static int
remote_remove(struct world *w, struct err *err)
{
	return store_remote_remove(w->a.store, "dave", err);
}

static int
knock(struct world *w, struct err *err)
{
	bool first;
	int rc = store_knock(w->a.store, stranger, "far", 1000, &first, err);

	if (rc == 0)
		world_say(w, "first %d\n", first);
	return rc;
}

static int
on_knock(void *self, const struct store_knock *k)
{
	world_say(self, "%s %d\n", k->place, (int)k->count);
	return 0;
}

static int
knocks(struct world *w, struct err *err)
{
	return store_knock_each(w->a.store, on_knock, w, err);
}

static int
knock_forget(struct world *w, struct err *err)
{
	return store_knock_forget(w->a.store, stranger, err);
}

/* -- status ----------------------------------------------------------------------------------- */

static int
changed(struct world *w, struct err *err)
{
	struct store_entry entry[8];
	bool is;
	size_t n;
	int rc = store_changed(w->a.store, &is, entry, 8, &n, err);

	if (rc == 0)
		world_say(w, "%zu\n", n);
	return rc;
}

static int
status(struct world *w, struct err *err)
{
	struct store_status s;
	int rc = store_status(w->a.store, &s, err);

	if (rc == 0)
		world_say(w, "%d %d %d %d %d\n", (int)s.version, (int)s.pending,
		    (int)s.parked, (int)s.conflicts, (int)s.tables);
	return rc;
}

static int
size(struct world *w, struct err *err)
{
	struct store_size s;
	int rc = store_size(w->a.store, &s, err);

	if (rc == 0)
		world_say(w, "%d %d %d\n", s.bytes > 0, (int)s.tombstones,
		    s.known);
	return rc;
}

static int
on_parked(void *self, const char *table, const char *reason, uint64_t n)
{
	world_say(self, "%s %s %d\n", table, reason, (int)n);
	return 0;
}

static int
parked(struct world *w, struct err *err)
{
	return store_parked_each(w->a.store, on_parked, w, err);
}

static int
on_other(void *self, const char *table)
{
	world_say(self, "%s\n", table);
	return 0;
}

static int
remote_status(struct world *w, struct err *err)
{
	struct store_remote_status s;
	int rc = store_remote_status(w->a.store, w->of_b, &s, err);

	if (rc == 0)
		world_say(w, "%d %d %d %d %d %d\n", (int)s.held_rows, (int)s.ahead,
		    (int)s.ahead_rows, (int)s.behind, s.behind_known,
		    s.ever_pulled);
	return rc == 0 ? store_other_each(w->a.store, w->of_b, on_other, w,
	    err) : rc;
}

static int
want(struct world *w, struct err *err)
{
	struct store_want *it;
	bool met = false;
	int rc = store_want_new(w->a.store, w->of_b, &it, err);

	if (rc != 0)
		return rc;
	rc = store_want_met(it, &met, err);
	store_want_free(it);
	if (rc == 0)
		world_say(w, "met %d\n", met);
	return rc;
}

static int
hello(struct world *w, struct err *err)
{
	struct store_hello h;
	struct store_entry token[64];
	uint64_t common;
	bool fork, covered;
	size_t n;
	int rc = store_hello(w->b.store, w->a.key, &h, err);

	if (rc == 0)
		rc = store_check_claims(w->a.store, h.yours, h.nyours, &fork,
		    err);
	if (rc == 0)
		rc = store_own_tokens(w->a.store, 0, UINT64_MAX, token, 64, &n,
		    err);
	if (rc == 0)
		rc = store_common(w->b.store, token, n, &common, err);
	if (rc == 0)
		rc = store_covers(w->a.store, h.yours, h.nyours, &covered, err);
	if (rc == 0)
		world_say(w, "fork %d, %d of %zu, %zu, covered %d\n", fork,
		    (int)common, n, h.nown, covered);
	return rc;
}

static int
fork_it(struct world *w, struct err *err)
{
	return store_fork(w->a.store, w->of_b, 10 * DAY, 1, err);
}

static int
behind(struct world *w, struct err *err)
{
	world_say(w, "behind %d\n", store_is_behind(w->a.store));
	return 0;
}

/* -- pulling -------------------------------------------------------------------------------- */

struct pulling {
	struct store_pull *pull;
	struct store_reading *reading;
	struct store_plan plan;
	struct store_end end;
	struct store_result result;
	uint8_t hash[16];
	bool in_pieces;
};

static int
pass_page(struct pulling *p, const uint8_t *page, size_t len, struct err *err)
{
	uint8_t whole[SHA256_DIGEST_LENGTH], part[16];
	uint64_t have = 0;
	size_t half = len / 2;
	int rc = 0;

	if (!p->in_pieces || len < 2)
		return store_pull_page(p->pull, page, len, err);
	SHA256(page, len, whole);
	memcpy(p->hash, whole, sizeof p->hash);
	rc = store_pull_partial(p->pull, part, &have, err);
	if (rc == 0 && have == 0)
		rc = store_pull_piece(p->pull, p->hash, len, len, false, 0, page,
		    half, &have, err);
	if (rc == 0)
		rc = store_pull_piece(p->pull, p->hash, len, len, false, half,
		    page + half, len - half, &have, err);
	return rc == 0 ? store_pull_pieced(p->pull, err) : rc;
}

static int
pass_pages(struct pulling *p, struct err *err)
{
	const uint8_t *page;
	bool last = false;
	size_t len;
	int rc = 0;

	while (rc == 0 && !last) {
		rc = store_serve_page(p->reading, p->in_pieces ? 65536 : 700, &page,
		    &len, &last, err);
		if (rc == 0)
			rc = pass_page(p, page, len, err);
		store_serve_pause(p->reading);
	}
	return rc;
}

static int
pull_as(struct world *w, bool fetch_only, bool in_pieces, struct err *err)
{
	struct pulling p = { .in_pieces = in_pieces };
	bool whole = false;
	int rc = store_pull_begin(w->a.store, w->of_b, fetch_only, &p.pull,
	    &p.plan, err);

	if (rc != 0)
		return rc;
	rc = store_serve(w->b.store, w->of_a, &p.plan, &whole, &p.reading, err);
	if (rc == 0)
		rc = pass_pages(&p, err);
	if (rc == 0)
		rc = store_serve_end(p.reading, &p.end, err);
	if (rc == 0)
		rc = store_pull_end(p.pull, &p.end, &p.result, err);
	store_pull_close(p.pull, rc == 0 ? NULL : &p.result);
	store_serve_close(p.reading);
	store_plan_clear(&p.plan);
	store_end_clear(&p.end);
	if (rc == 0)
		world_say(w, "held %d, %s\n", (int)p.result.held, p.result.why);
	return rc;
}

static int
pull_it(struct world *w, struct err *err)
{
	return pull_as(w, false, false, err);
}

static int
pull_pieces(struct world *w, struct err *err)
{
	return pull_as(w, false, true, err);
}

static int
fetch_it(struct world *w, struct err *err)
{
	return pull_as(w, true, false, err);
}

static int
merge_it(struct world *w, struct err *err)
{
	struct store_result r;
	int rc = store_merge_inbox(w->a.store, w->of_b, &r, err);

	if (rc == 0)
		world_say(w, "held %d, %s\n", (int)r.held, r.why);
	return rc;
}

static int
merge_all(struct world *w, struct err *err)
{
	store_allow_delete(w->a.store, true);
	return merge_it(w, err);
}

static int
cleanup(struct world *w, struct err *err)
{
	uint64_t pages, bytes;
	int rc = store_cleanup(w->a.store, &pages, &bytes, err);

	if (rc == 0)
		world_say(w, "%d pages\n", (int)pages);
	return rc;
}

/* -- before and after a merge ------------------------------------------------------------------ */

static void
say_value(struct world *w, const struct store_value *v)
{
	switch (v->type) {
	case STORE_NULL:
		world_say(w, " null");
		break;
	case STORE_INTEGER:
		world_say(w, " %d", (int)v->integer);
		break;
	case STORE_REAL:
		world_say(w, " %g", v->real);
		break;
	case STORE_TEXT:
		world_say(w, " '%.*s'", (int)v->size, (const char *)v->data);
		break;
	case STORE_BLOB:
		world_say(w, " %zu bytes", v->size);
	}
}

static int
on_diff(void *self, const struct store_diff_row *r)
{
	struct world *w = self;
	size_t i;

	world_say(w, "%d %s", (int)r->kind, r->author.name);
	say_value(w, &r->key[0].value);
	for (i = 0; i < r->ncell; i++) {
		world_say(w, " %s", r->cell[i].column);
		if (r->kind != STORE_INSERTED)
			say_value(w, &r->cell[i].before);
		if (r->kind != STORE_DELETED)
			say_value(w, &r->cell[i].after);
	}
	world_say(w, "\n");
	return 0;
}

static int
diff(struct world *w, struct err *err)
{
	struct store_diff what = { .remote = NULL };
	struct store_diff_sum sum;
	int rc = store_diff(w->a.store, &what, on_diff, w, &sum, err);

	if (rc == 0)
		world_say(w, "%d %d %d\n", (int)sum.transactions, (int)sum.rows,
		    (int)sum.parked);
	return rc;
}

static int
on_undone(void *self, const struct store_undone *u)
{
	world_say(self, "left %zu %s ", u->nleft, u->why != NULL ? u->why : "");
	return on_diff(self, &u->row);
}

static int
undo_as(struct world *w, bool dry_run, struct err *err)
{
	struct store_undo what = { .dry_run = dry_run };
	struct store_undo_sum sum;
	int rc = store_undo(w->a.store, &what, on_undone, w, &sum, err);

	if (rc == 0)
		world_say(w, "%d %d %d\n", (int)sum.done, (int)sum.partly,
		    (int)sum.left);
	return rc;
}

static int
undo_dry(struct world *w, struct err *err)
{
	return undo_as(w, true, err);
}

static int
on_taken_back(void *self, const struct store_undone *u)
{
	return 0;
}

/* It tells afterwards, and says so if it can't. */
static int
undo(struct world *w, struct err *err)
{
	struct store_undo what = { .dry_run = false };
	struct store_undo_sum sum;
	int rc = store_undo(w->a.store, &what, on_taken_back, w, &sum, err);

	return rc != 0 && strstr(err->text, "it is taken back, but") != NULL ? 0 :
	    rc;
}

static int
forget(struct world *w, struct err *err)
{
	bool more;

	return store_forget(w->a.store, &more, err);
}

/* -- conflicts ----------------------------------------------------------------------------------- */

static int
on_conflict(void *self, const struct store_conflict *c)
{
	world_say(self, "%d %s %s, %s over %s, %d\n", (int)c->id, c->table, c->rule,
	    c->winner.name, c->loser.name, (int)c->nlost);
	return 0;
}

static int
conflicts(struct world *w, struct err *err)
{
	struct store_conflicts which = { .all = true };
	uint64_t count, newest = 0, n;
	bool room;
	int rc = store_conflict_each(w->a.store, &which, on_conflict, w, err);

	if (rc == 0)
		rc = store_conflict_count(w->a.store, &count, err);
	if (rc == 0)
		rc = store_conflict_news(w->a.store, &newest, &n, err);
	if (rc == 0)
		rc = store_conflict_room(w->a.store, &room, err);
	if (rc == 0)
		world_say(w, "%d, %d new, room %d\n", (int)count, (int)n, room);
	return rc;
}

static int
resolve(struct world *w, struct err *err)
{
	return store_resolve(w->a.store, 1, STORE_LOSER, NULL, err);
}

static int
review(struct world *w, struct err *err)
{
	uint64_t n;
	int rc = store_review_all(w->a.store, &n, err);

	if (rc == 0)
		world_say(w, "%d reviewed\n", (int)n);
	return rc;
}

static int
forget_reviewed(struct world *w, struct err *err)
{
	return store_forget_reviewed(w->a.store, err);
}

/* -- the past ------------------------------------------------------------------------------------ */

static int
on_transaction(void *self, const struct store_transaction *t)
{
	size_t i;

	world_say(self, "%s@%d", t->author.name, (int)t->version);
	for (i = 0; i < t->ntally; i++)
		world_say(self, " %s+%d~%d-%d", t->tally[i].table,
		    (int)t->tally[i].inserted, (int)t->tally[i].changed,
		    (int)t->tally[i].deleted);
	world_say(self, "\n");
	return 0;
}

static int
log_it(struct world *w, struct err *err)
{
	struct store_log which = { .table = "t" };

	return store_log_each(w->a.store, &which, on_transaction, w, err);
}

static int
on_change(void *self, const struct store_change *c)
{
	world_say(self, "%d %s %d", (int)c->kind, c->author.name, (int)c->ncell);
	say_value(self, &c->key[0].value);
	world_say(self, "\n");
	return 0;
}

static int
on_end(void *self, uint64_t kept, uint64_t lost)
{
	world_say(self, "%d kept, %d lost\n", (int)kept, (int)lost);
	return 0;
}

static int
show(struct world *w, struct err *err)
{
	struct store_show calls = { on_transaction, on_change, on_end, w };

	return store_show(w->a.store, "@1", &calls, err);
}

static int
on_blamed(void *self, const struct store_blamed *b)
{
	world_say(self, "%s %s@%d", b->column, b->known ? b->author.name : "nobody",
	    (int)b->version);
	say_value(self, &b->value);
	world_say(self, "\n");
	return 0;
}

static int
blame(struct world *w, struct err *err)
{
	struct store_value key = { .type = STORE_TEXT, .data = "both", .size = 4 };

	return store_blame(w->a.store, "t", &key, 1, on_blamed, w, err);
}

static int
follow(struct world *w, struct err *err)
{
	const struct store_change *change;
	struct store_follow *f;
	size_t i, n = 1;
	bool again;
	int rc = store_follow_begin(w->a.store, NULL, "t", &f, err);

	if (rc != 0)
		return rc;
	while (rc == 0 && n > 0) {
		rc = store_follow_next(f, &change, &n, &again, err);
		for (i = 0; rc == 0 && i < n; i++)
			on_change(w, &change[i]);
	}
	store_follow_end(f);
	return rc;
}

/* -- verify ---------------------------------------------------------------------------------------- */

static int
talk(struct store_digest *d[2], struct err *err)
{
	enum store_digest_state state[2] = { STORE_DIGEST_WORKS,
		STORE_DIGEST_WORKS };
	const uint8_t *data;
	size_t len;
	int i, rc = 0;

	while (rc == 0 && state[0] != STORE_DIGEST_DONE)
		for (i = 0; i < 2 && rc == 0; i++) {
			rc = store_digest_step(d[i], 100, &state[i], &data, &len,
			    err);
			if (rc != 0 || state[i] != STORE_DIGEST_SAYS)
				continue;
			rc = store_digest_take(d[!i], data, len, err);
			state[0] = state[1] = STORE_DIGEST_WORKS;
		}
	return rc;
}

static int
verify(struct world *w, struct err *err)
{
	struct store_digest *d[2] = { NULL, NULL };
	struct store_compared c;
	int rc = store_digest_ask(w->a.store, w->of_b, &d[0], err);

	if (rc == 0)
		rc = store_digest_answer(w->b.store, w->of_a, &d[1], err);
	if (rc == 0)
		rc = talk(d, err);
	if (rc == 0) {
		store_digest_result(d[0], &c);
		world_say(w, "%d rows, %d differ, %d here, %d there\n", (int)c.rows,
		    (int)c.differ, (int)c.here, (int)c.there);
	}
	store_digest_close(d[0]);
	store_digest_close(d[1]);
	return rc;
}

/* -- clones, locks, keys --------------------------------------------------------------------------- */

static int
on_left(void *self, const char *table, const char *name, const char *reason)
{
	world_say(self, "left %s %s: %s\n", table, name, reason);
	return 0;
}

static int
clone_as(struct world *w, bool finish, struct err *err)
{
	struct store_clone_calls calls = { on_left, w };
	struct store_open how = { .db_file = w->a.file, .half_clone = true };
	struct store *b = NULL, *a = NULL;
	uint8_t *data = NULL;
	size_t len;
	int rc;

	rc = store_open(&how, &a, err);
	how.db_file = w->b.file;
	if (rc == 0)
		rc = store_open(&how, &b, err);
	if (rc == 0)
		rc = store_describe(b, &data, &len, err);
	if (rc == 0)
		rc = finish ? store_clone_finish(a, data, len, err) :
		    store_clone_make(a, data, len, &calls, err);
	free(data);
	store_close(a);
	store_close(b);
	return rc;
}

static int
clone_make(struct world *w, struct err *err)
{
	return clone_as(w, false, err);
}

static int
clone_finish(struct world *w, struct err *err)
{
	return clone_as(w, true, err);
}

static int
lock(struct world *w, struct err *err)
{
	int rc = store_serve_lock(w->a.store, err);

	store_serve_unlock(w->a.store);
	if (rc == 0)
		rc = store_exchange_lock(w->a.store, true, err);
	store_serve_unlock(w->a.store);
	return rc == 0 ? store_still_there(w->a.store, err) : rc;
}

/* A file that is there is no place for another one. */
static int
key_export(struct world *w, struct err *err)
{
	char file[SITE_PATH_MAX];
	int rc;

	snprintf(file, sizeof file, "%s/exported", scratch);
	remove(file);
	rc = store_key_export(w->a.store, file, "a passphrase", err);
	if (rc == 0)
		world_say(w, "exported %d\n", access(file, F_OK) == 0);
	return rc;
}

static int
key_import(struct world *w, struct err *err)
{
	struct store_init how = { .db_file = w->a.file };
	char file[SITE_PATH_MAX];

	snprintf(file, sizeof file, "%s/exported", scratch);
	return store_key_import(&how, file, "a passphrase", err);
}

/* -- the table ------------------------------------------------------------------------------------ */

#define PART(f) { f, true }
#define STEP(f) { f, false }

const struct store_script store_scripts[] = {
	{ "open", make_one, { STEP(open_it), STEP(close_it) }, true },
	{ "open an old copy", make_old_copy, { PART(open_old), STEP(close_it) }, true },
	{ "init", make_nothing, { PART(init_it), STEP(init_again) }, true },
	{ "init of a plain file", make_plain, { PART(init_it) }, true },
	{ "init --new-identity", make_one, { PART(init_anew), STEP(open_it),
	    STEP(close_it) }, true },
	{ "deinit", make_one, { PART(deinit) }, true },
	{ "tables", make_one, { STEP(lint), STEP(track), STEP(track), STEP(tables),
	    STEP(lint), STEP(untrack), STEP(tables) } },
	{ "fsck", make_one, { STEP(fsck) } },
	{ "settings", make_one, { STEP(settings), STEP(set), STEP(settings),
	    STEP(unset) } },
	{ "remotes", make_pair, { STEP(remote_add), STEP(remote_add),
	    STEP(remote_rename), STEP(remote_set), STEP(remote_note), STEP(remotes),
	    STEP(remote_remove) } },
	{ "knocks", make_one, { STEP(knock), STEP(knock), STEP(knocks),
	    STEP(knock_forget) } },
	{ "status", make_fetched, { STEP(status), STEP(size), STEP(parked),
	    STEP(remote_status), STEP(want), STEP(hello), PART(changed),
	    STEP(status), STEP(fsck) } },
	{ "fork", make_pair, { STEP(hello), STEP(fork_it), STEP(hello),
	    STEP(behind) } },
	{ "pull", make_news, { PART(pull_it), STEP(parked), STEP(status) } },
	{ "pull in pieces", make_news, { PART(pull_pieces), STEP(status) } },
	{ "fetch", make_news, { PART(fetch_it), STEP(diff), PART(merge_it),
	    STEP(diff), PART(cleanup) } },
	{ "cleanup", make_fetched, { PART(cleanup), STEP(fsck) } },
	{ "held", make_too_much, { PART(pull_it), STEP(remote_status),
	    PART(merge_all) } },
	{ "undo", make_merged, { STEP(undo_dry), STEP(undo), STEP(forget),
	    STEP(log_it) } },
	{ "conflicts", make_merged, { STEP(conflicts), STEP(resolve), STEP(conflicts),
	    STEP(review), STEP(forget_reviewed) } },
	{ "past", make_merged, { STEP(log_it), STEP(show), STEP(blame),
	    STEP(follow) } },
	{ "verify", make_news, { STEP(verify) } },
	{ "clone", make_origin, { PART(init_clone), PART(init_clone), STEP(clone_make),
	    STEP(clone_finish), STEP(open_it), STEP(close_it) }, true },
	{ "lock and key", make_one, { STEP(lock), STEP(key_export) } },
	{ "key import", make_one, { STEP(open_it), STEP(key_export), STEP(close_it),
	    PART(key_import), STEP(open_it), STEP(close_it) }, true },
};

const int nstore_scripts = sizeof store_scripts / sizeof *store_scripts;
