// SPDX-License-Identifier: MPL-2.0
/* store_faults.c - see store_faults.h. */
#include "store_faults.h"

#include <dirent.h>

#include "base/buf.h"
#include "fault_calls.h"

static enum fault_kind failing;
static bool in_journal_mode;

void
world_say(struct world *w, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(w->said + w->len, sizeof w->said - w->len, fmt, ap);
	va_end(ap);
	assert_true(n >= 0 && (size_t)n < sizeof w->said - w->len);
	w->len += (size_t)n;
}

/* -- files to begin with -------------------------------------------------------------- */

struct image {
	char *path;
	bool directory;
	unsigned char *data;
	size_t len;
	struct image *next;
};

static struct image *images;            /* the innermost first */

static int
take_image(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct image *i = calloc(1, sizeof *i);
	FILE *f;

	assert_non_null(i);
	i->path = strdup(path);
	i->directory = type == FTW_DP;
	if (!i->directory) {
		i->len = (size_t)st->st_size;
		i->data = malloc(i->len + 1);
		f = fopen(path, "rb");
		assert_non_null(f);
		assert_int_equal(fread(i->data, 1, i->len, f), i->len);
		fclose(f);
	}
	i->next = images;
	images = i;
	return 0;
}

static void
put_back(const struct image *i)
{
	FILE *f;

	if (i->directory) {
		assert_int_equal(mkdir(i->path, 0700), 0);
		return;
	}
	f = fopen(i->path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(i->data, 1, i->len, f), i->len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(i->path, 0600), 0);
}

static void
forget_images(void)
{
	struct image *i;

	while ((i = images) != NULL) {
		images = i->next;
		free(i->path);
		free(i->data);
		free(i);
	}
}

static void
use_journal(const char *file)
{
	sqlite3 *db;

	if (access(file, F_OK) != 0)
		return;
	db = open_handle(file, false);
	exec(db, "PRAGMA journal_mode = delete");
	sqlite3_close(db);
}

void
store_faults_begin(const struct store_script *s, struct world *w, bool journal)
{
	memset(w, 0, sizeof *w);
	assert_int_equal(scratch_make(NULL), 0);
	store_scripts_in(scratch);
	s->make(w);
	world_close(w);
	if (journal) {
		use_journal(w->a.file);
		use_journal(w->b.file);
	}
	assert_int_equal(nftw(scratch, take_image, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void
store_faults_restore(struct world *w)
{
	const struct image *i;

	scratch_remove(NULL);
	for (i = images; i != NULL; i = i->next)
		put_back(i);
	w->len = 0;
	w->said[0] = '\0';
}

void
store_faults_end(void)
{
	forget_images();
	scratch_remove(NULL);
}

bool
world_is_ours(const struct world *w)
{
	struct store_open how = { .db_file = w->a.file, .busy_ms = 2000,
		.readonly = true, .half_clone = true };
	struct store *s;
	bool ours = store_open(&how, &s, NULL) == 0;

	if (ours)
		store_close(s);
	return ours;
}

static void
open_one(struct site *s)
{
	struct store_open how = { .db_file = s->file, .busy_ms = 0,
		.half_clone = true };
	struct err err;

	must(store_open(&how, &s->store, &err));
	store_public_key(s->store, s->key);
}

void
world_open(struct world *w)
{
	open_one(&w->a);
	if (w->b.file[0] != '\0')
		open_one(&w->b);
}

void
world_close(struct world *w)
{
	site_close(&w->a);
	site_close(&w->b);
}

/* -- what stands there ------------------------------------------------------------------- */

static const char *const looks[] = {
	"SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY "
	    "1, 2",
	"SELECT * FROM ddcp_config ORDER BY 1",
	"SELECT name, place, automerge, pulled, fork_ms FROM "
	    "ddcp_remote ORDER BY 1",
	"SELECT place, first_ms, last_ms, count FROM ddcp_knock ORDER BY 1",
	"SELECT name FROM ddcp_table ORDER BY 1",
	"SELECT count(DISTINCT id), count(DISTINCT site) FROM ddcp_vector",
	"SELECT count(*) FROM ddcp_cursor_table",
	"SELECT version, lost FROM ddcp_own ORDER BY n",
	"SELECT version FROM ddcp_site ORDER BY 1",
	"SELECT count(*) FROM ddcp_split",
	"SELECT name FROM ddcp_other ORDER BY 1",
};

static bool
has_table(sqlite3 *db, const char *name)
{
	return sqlite3_table_column_metadata(db, "main", name, NULL, NULL, NULL,
	    NULL, NULL, NULL) == SQLITE_OK;
}

static void
add(sqlite3_str *out, sqlite3 *db, const char *query)
{
	char *text = text_of(db, query);

	sqlite3_str_appendf(out, "%s\n%s", query, text);
	sqlite3_free(text);
}

static void
add_rows(sqlite3_str *out, sqlite3 *db)
{
	sqlite3_stmt *stmt;
	char *query;

	assert_int_equal(sqlite3_prepare_v2(db, "SELECT name FROM sqlite_schema WHERE "
	    "type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'ddcp_%' "
	    "AND name NOT LIKE '%crsql_%' ORDER BY 1", -1, &stmt, NULL), SQLITE_OK);
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		query = sqlite3_mprintf("SELECT * FROM \"%w\" ORDER BY 1",
		    sqlite3_column_text(stmt, 0));
		add(out, db, query);
		sqlite3_free(query);
	}
	sqlite3_finalize(stmt);
}

char *
world_state(struct world *w)
{
	sqlite3_str *out = sqlite3_str_new(NULL);
	sqlite3 *db;
	size_t i;

	if (w->a.store == NULL && access(w->a.file, F_OK) != 0) {
		sqlite3_str_appendall(out, " ");
		return sqlite3_str_finish(out);
	}
	db = w->a.store != NULL ? store_handle(w->a.store) :
	    open_handle(w->a.file, true);
	add_rows(out, db);
	if (has_table(db, "crsql_tbl"))
		add(out, db, "SELECT \"table\", hex(pk), cid, val, col_version, cl, "
		    "db_version FROM crsql_changes ORDER BY 1, 2, 3");
	for (i = 0; i < sizeof looks / sizeof *looks; i++)
		if (i == 0 || has_table(db, "ddcp_meta"))
			add(out, db, looks[i]);
	if (w->a.store == NULL)
		close_handle(db);
	return sqlite3_str_finish(out);
}

bool world_loses_inbox;

static int
on_fault(void *self, const struct store_fault *f)
{
	if (f->wrong && !(world_loses_inbox && strcmp(f->part, "inbox") == 0))
		fail_msg("%s: %s: %s", f->part, f->rule, f->text);
	return 0;
}

static void
is_well(const struct site *at)
{
	struct store_open how = { .db_file = at->file, .busy_ms = 2000,
		.half_clone = true };
	struct store_health health;
	struct store *s;
	struct err err;

	must(store_open(&how, &s, &err));
	must(store_fsck(s, on_fault, NULL, &health, &err));
	store_close(s);
}

void
world_is_well(struct world *w)
{
	if (world_is_ours(w))
		is_well(&w->a);
	if (w->b.file[0] != '\0')
		is_well(&w->b);
}

/* -- one script, with a place at which it fails -------------------------------------------- */

static struct {
	char *state[STORE_STEPS_MAX + 1];       /* after so many steps */
	size_t said[STORE_STEPS_MAX + 1];       /* what was told up to there */
	char all[sizeof ((struct world *)0)->said];
	long count;             /* of operations that can fail */
	int steps;
} want;

/* Codes that may come of what fails. */
static void
is_excused(int step, int rc, const struct err *err, long at)
{
	bool right = rc == E_FATAL;

	if (failing == FAULT_LOCK)
		right = rc == E_UNREACHABLE && err->locked;
	if (failing == FAULT_MEMORY && strstr(err->text, "memory") == NULL)
		right = false;
	if (failing == FAULT_SPACE && strstr(err->text, "full") == NULL &&
	    strstr(err->text, "space") == NULL)
		right = false;
	if (!right || err->text[0] == '\0' || err->code != rc)
		fail_msg("failed at %ld, step %d: code %d (%d), \"%s\"", at, step, rc,
		    err->code, err->text);
}

static int
open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	if (d == NULL)
		return 0;
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void
nothing_runs(struct store *s)
{
	sqlite3_stmt *stmt = NULL;
	sqlite3 *db;

	if (s == NULL)
		return;
	db = store_handle(s);
	if (!sqlite3_get_autocommit(db))
		fail_msg("a transaction is left open");
	while ((stmt = sqlite3_next_stmt(db, stmt)) != NULL)
		if (sqlite3_stmt_busy(stmt))
			fail_msg("still running: %s", sqlite3_sql(stmt));
}

/* All as before the step: what is changed is changed with the word that it is. */
static void
is_undone(struct world *w, const struct store_step *step, int n, long at)
{
	char *now = world_state(w);

	if (!step->in_parts && strcmp(now, want.state[n]) != 0)
		fail_msg("failed at %ld, step %d: half done, or done though it is "
		    "said that not:\n%s\ninstead of\n%s", at, n, now, want.state[n]);
	sqlite3_free(now);
}

static void
said_right(const struct world *w, int n, long at, const char *when)
{
	size_t from = want.said[n], len = want.said[n + 1] - from;

	if (w->len != want.said[n + 1] ||
	    memcmp(w->said + from, want.all + from, len) != 0)
		fail_msg("failed at %ld, step %d, %s: tells\n%s\ninstead of\n%.*s",
		    at, n, when, w->said + from, (int)len, want.all + from);
}

static void
ends_right(struct world *w, long at)
{
	char *now;

	world_close(w);
	world_is_well(w);
	now = world_state(w);
	if (strcmp(now, want.state[want.steps]) != 0)
		fail_msg("failed at %ld: at the end\n%s\ninstead of\n%s", at, now,
		    want.state[want.steps]);
	sqlite3_free(now);
}

/* A call that only reads is for every other place not made again: the next one has
 * to do with what it left. */
static bool
is_passed_over(const struct store_script *s, struct world *w, int n, long at)
{
	if (at % 2 == 0 || s->closed || s->step[n].in_parts ||
	    strcmp(want.state[n], want.state[n + 1]) != 0)
		return false;
	w->len = want.said[n + 1];
	memcpy(w->said, want.all, w->len);
	return true;
}

/* True if what was to fail was met. */
static bool
run_failing(const struct store_script *s, struct world *w, long at, bool all)
{
	struct err err;
	bool failed = false;
	long left = at;
	int n, rc;

	store_faults_restore(w);
	if (!s->closed)
		world_open(w);
	for (n = 0; s->step[n].run != NULL; n++) {
		memset(&err, 0, sizeof err);
		fault_arm(failed ? 0 : failing, left, all);
		rc = s->step[n].run(w, &err);
		left -= fault_count();
		if (!failed && !(failed = fault_disarm()) && rc != 0)
			fail_msg("step %d: %d %s", n, rc, err.text);
		fault_disarm();
		if (rc != 0) {
			is_excused(n, rc, &err, at);
			nothing_runs(w->a.store);
			nothing_runs(w->b.store);
			is_undone(w, &s->step[n], n, at);
			w->len = want.said[n];
			memset(&err, 0, sizeof err);
			if (is_passed_over(s, w, n, at))
				continue;
			rc = s->step[n].run(w, &err);
			if (rc != 0)
				fail_msg("failed at %ld, step %d, again: %d %s", at,
				    n, rc, err.text);
		}
		said_right(w, n, at, failed ? "then" : "before");
		nothing_runs(w->a.store);
	}
	ends_right(w, at);
	return failed;
}

static void
run_well(const struct store_script *s, struct world *w)
{
	struct err err;
	int n, rc;

	memset(&want, 0, sizeof want);
	store_faults_restore(w);
	if (!s->closed)
		world_open(w);
	want.state[0] = world_state(w);
	for (n = 0; s->step[n].run != NULL; n++) {
		memset(&err, 0, sizeof err);
		fault_arm(failing, -1, false);
		rc = s->step[n].run(w, &err);
		want.count += fault_count();
		fault_disarm();
		if (rc != 0)
			fail_msg("step %d: %d %s", n, rc, err.text);
		want.said[n + 1] = w->len;
		want.state[n + 1] = world_state(w);
	}
	want.steps = n;
	memcpy(want.all, w->said, w->len);
	world_close(w);
	world_is_well(w);
}

static long
places(void)
{
	const char *text = getenv("PLACES");

	return text != NULL ? atol(text) : 3;
}

static void
fail_everywhere(void **state)
{
	const struct store_script *s = *state;
	static struct world w;
	long at, step, before = 0, times = 0;
	int all, files = 0;
	sqlite3_int64 used = 0;

	store_faults_begin(s, &w, in_journal_mode);
	run_well(s, &w);
	/* the places of another script are others */
	step = places() > 0 ? want.count / places() + 1 : 1;
	for (all = 0; all <= 1; all++)
		for (at = (s - store_scripts) % step; at < want.count; at += step) {
			run_failing(s, &w, at, all);
			if (times++ == 0) {
				files = open_files();
				used = sqlite3_memory_used();
				before = fault_calls_unfreed();
			}
			if (open_files() != files ||
			    sqlite3_memory_used() != used ||
			    fault_calls_unfreed() != before)
				fail_msg("failed at %ld: leaked %d files, %lld bytes of "
				    "SQLite's, %ld pieces", at, open_files() - files,
				    (long long)(sqlite3_memory_used() - used),
				    fault_calls_unfreed() - before);
		}
	print_message("%ld places, failed %ld times\n", want.count, times);
}

static int
clean_up(void **state)
{
	int i;

	fault_disarm();
	for (i = 0; i <= STORE_STEPS_MAX; i++) {
		sqlite3_free(want.state[i]);
		want.state[i] = NULL;
	}
	store_faults_end();
	return 0;
}

int
store_faults_run(const char *name, enum fault_kind kind, bool journal)
{
	struct CMUnitTest *tests = calloc((size_t)nstore_scripts, sizeof *tests);
	union {
		const struct store_script *in;
		void *out;
	} state;
	int i, bad;

	assert_non_null(tests);
	failing = kind;
	in_journal_mode = journal;
	for (i = 0; i < nstore_scripts; i++) {
		state.in = &store_scripts[i];
		tests[i] = (struct CMUnitTest){ store_scripts[i].name,
			fail_everywhere, NULL, clean_up, state.out };
	}
	cmocka_set_test_filter(getenv("ONLY"));
	bad = _cmocka_run_group_tests(name, tests, (size_t)nstore_scripts, NULL,
	    NULL);
	free(tests);
	return bad;
}
