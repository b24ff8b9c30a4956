// SPDX-License-Identifier: MPL-2.0
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crdt/crdt.h"
#include "disk.h"
#include "history.h"
#include "model.h"
#include "node/hub.h"
#include "node/session.h"
#include "rng.h"
#include "store/store.h"

enum { REDIAL_MS = 400, CONNECT_MS = 5000, BUSY_MS = 1000 };

static void dial(struct site *from, int to);

static void __attribute__((format(printf, 1, 2), noreturn))
broken(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("simulation: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	abort();
}

static void
must(int rc, const struct err *err, const char *what)
{
	if (rc != 0)
		broken("%s: %s", what, err->text);
}

/* -- the world as the node sees it -------------------------------------- */

static uint64_t
site_now(void *self)
{
	struct site *s = self;

	return memnet_now(s->world->memnet);
}

static int64_t
site_date(void *self)
{
	struct site *s = self;

	return 1800000000000 + s->clock_offset_ms +
	    (int64_t)memnet_now(s->world->memnet);
}

struct alarm {
	struct site *site;
	int epoch;
	uint64_t at;
};

static void
on_alarm(void *owner)
{
	struct alarm *a = owner;
	struct site *s = a->site;

	if (a->epoch == s->epoch && a->at == s->wake_at && s->hub != NULL) {
		s->wake_at = HUB_NEVER;
		hub_tick(s->hub);
	}
	free(a);
}

static void
site_wake(void *self, uint64_t at)
{
	struct site *s = self;
	uint64_t now = memnet_now(s->world->memnet);
	struct alarm *a;

	if (at == s->wake_at)
		return;
	s->wake_at = at;
	if (at == HUB_NEVER)
		return;
	a = malloc(sizeof *a);
	if (a == NULL)
		broken("out of memory");
	*a = (struct alarm){ s, s->epoch, at };
	if (memnet_after(s->world->memnet, at > now ? at - now : 0, on_alarm,
	    a) != 0)
		broken("out of memory");
}

static void
on_event(void *self, const struct node_event *e)
{
	struct site *s = self;

	if (!s->world->verbose)
		return;
	printf("# %8llu %s: event %d %s %s %s t=%llu r=%llu\n",
	    (unsigned long long)memnet_now(s->world->memnet), s->name, e->kind,
	    e->remote, e->text, e->hint, (unsigned long long)e->transactions,
	    (unsigned long long)e->rows);
}

/* -- connections ------------------------------------------------------------ */

/* An attempt to connect one site to another, and the connection it became. */
struct link {
	struct site *from;
	int to;
	int epoch;
	struct link *next;      /* all of the world's, freed at its end */
};

static void
on_redial(void *owner)
{
	struct link *l = owner;

	if (l->epoch == l->from->epoch) {
		l->from->dialling[l->to] = false;
		dial(l->from, l->to);
	}
}

/* Tries again after a moment. */
static void
redial(struct link *l)
{
	if (memnet_after(l->from->world->memnet, REDIAL_MS, on_redial, l) != 0)
		broken("out of memory");
}

static void
on_session_open(void *owner, struct session *session)
{
	(void)owner;
	(void)session;
}

static void
on_session_close(void *owner, struct session *session, const struct err *why)
{
	struct link *l = owner;

	(void)session;
	if (l->from->world->verbose)
		printf("# %8llu %s-%d closed: %s\n",
		    (unsigned long long)memnet_now(l->from->world->memnet),
		    l->from->name, l->to, why->text);
	redial(l);
}

static const struct session_events session_events = {
	on_session_open, on_session_close
};

static void
on_connected(void *owner, struct net_conn *conn, const struct err *why)
{
	struct link *l = owner;
	struct store_remote remote;
	struct session *session;
	struct err err;

	(void)why;
	if (l->epoch != l->from->epoch) {
		if (conn != NULL)
			net_conn_abort(conn);
		return;
	}
	if (conn == NULL) {
		redial(l);
		return;
	}
	must(store_remote_by_key(l->from->store,
	    l->from->world->site[l->to].key, &remote, &err), &err, "remote");
	if (session_call(l->from->hub, conn, &remote, &session_events, l,
	    &session, &err) != 0)
		redial(l);
}

static void
dial(struct site *from, int to)
{
	char place[ADDR_TEXT_LEN + 1];
	struct net_connect *connect;
	struct link *l;
	struct err err;

	if (from->dialling[to])
		return;
	l = malloc(sizeof *l);
	if (l == NULL)
		broken("out of memory");
	*l = (struct link){ from, to, from->epoch, from->world->links };
	from->world->links = l;
	from->dialling[to] = true;
	addr_format(from->world->site[to].key, place);
	if (from->net->backend->connect(from->net, place, CONNECT_MS,
	    on_connected, l, &connect, &err) != 0)
		redial(l);
}

static void
on_accept(void *owner, struct net_conn *conn)
{
	struct site *s = owner;
	struct err err;

	session_answer(s->hub, conn, &err);
}

/* -- sites ---------------------------------------------------------------------- */

static sqlite3 *
open_handle(const char *file, bool with_extension)
{
	char *why = NULL;
	sqlite3 *db;

	if (sqlite3_open(file, &db) != SQLITE_OK ||
	    sqlite3_busy_timeout(db, BUSY_MS) != SQLITE_OK ||
	    sqlite3_exec(db, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL) !=
	    SQLITE_OK)
		broken("%s: %s", file, sqlite3_errmsg(db));
	if (with_extension && crdt_load(db, &why) != SQLITE_OK)
		broken("extension: %s", why ? why : "");
	return db;
}

static void
open_store(struct site *s)
{
	struct store_open how = { .db_file = s->file, .busy_ms = BUSY_MS };
	struct err err;

	must(store_open(&how, &s->store, &err), &err, "open");
}

/* A node begins to run. */
static void
begin(struct site *s)
{
	struct net_env env = memnet_env(s->world->memnet);
	struct net_options net_options = { .memnet = s->world->memnet,
		.key = s->key };
	struct hub_env hub_env = { site_now, site_date, site_wake, s };
	struct hub_options hub_options = { .follow = true, .event = on_event,
		.self = s };
	char place[PLACE_MAX];
	struct err err;

	s->wake_at = HUB_NEVER;
	must(net_memory.open(&env, &net_options, &s->net, &err), &err, "net");
	must(hub_new(s->store, &hub_env, &hub_options, &s->hub, &err), &err,
	    "hub");
	must(s->net->backend->listen(s->net, NULL, place, on_accept, s, &err),
	    &err, "listen");
}

static void
end(struct site *s)
{
	hub_free(s->hub);
	memnet_crash(s->net);
	s->hub = NULL;
	s->net = NULL;
	s->epoch++;
	memset(s->dialling, 0, sizeof s->dialling);
}

static void
start(struct site *s)
{
	struct world_watch *watch = &s->world->watch;

	open_store(s);
	s->app = open_handle(s->file, true);
	s->plain = open_handle(s->file, false);
	if (watch->opened != NULL)
		watch->opened(watch->self, s);
	begin(s);
}

static void
stop(struct site *s)
{
	end(s);
	/* as programs with the extension do last */
	world_sql(s, s->app, "SELECT crsql_finalize()");
	if (sqlite3_close(s->app) != SQLITE_OK)
		broken("%s: can't close", s->name);
	sqlite3_close(s->plain);
	store_close(s->store);
	s->store = NULL;
}

static void
dial_all(struct site *s)
{
	int i;

	for (i = s->number + 1; i < s->world->nsites; i++)
		if (s->linked[i])
			dial(s, i);
	for (i = 0; i < s->number; i++)
		if (s->linked[i])
			dial(&s->world->site[i], s->number);
}

/* What stands in the file: a schema change may have been lost, or put back. */
static void
read_schema(struct site *s)
{
	static const char column[] =
	    "SELECT count(*) FROM pragma_table_info('words') WHERE name = '%s'";
	char query[200];
	int i;

	for (i = 0; i < HISTORY_NTABLES; i++) {
		snprintf(query, sizeof query, "SELECT count(*) FROM sqlite_schema "
		    "WHERE name = '%s'", history_tables[i].name);
		if (world_int(s, query) == 0)
			world_sql(s, s->app, "%s", history_tables[i].create);
		snprintf(query, sizeof query, "SELECT count(*) FROM crsql_tbl "
		    "WHERE name = '%s'", history_tables[i].name);
		s->schema.untracked[i] = world_int(s, query) == 0;
	}
	snprintf(query, sizeof query, column, "d");
	s->schema.shape.renamed = world_int(s, query) > 0;
	snprintf(query, sizeof query, column, "e");
	s->schema.shape.widened = world_int(s, query) > 0;
}

void
world_stop(struct site *s)
{
	stop(s);
}

void
world_start(struct site *s)
{
	start(s);
	read_schema(s);
	dial_all(s);
}

void
world_offline(struct site *s)
{
	end(s);
}

void
world_online(struct site *s)
{
	begin(s);
	dial_all(s);
}

void
world_restart(struct site *s)
{
	if (s->world->verbose)
		printf("# %8llu %s: restart\n",
		    (unsigned long long)memnet_now(s->world->memnet), s->name);
	world_stop(s);
	world_start(s);
}

/* -- what else happens to a site ------------------------------------------- */

static void __attribute__((format(printf, 1, 2)))
shell(const char *fmt, ...)
{
	char command[1600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof command, fmt, ap);
	va_end(ap);
	if (system(command) != 0)
		broken("failed: %s", command);
}

void
world_copy(struct site *s)
{
	sqlite3_backup *backup;
	char old[300];
	sqlite3 *to;

	snprintf(old, sizeof old, "%s.old", s->file);
	unlink(old);
	if (sqlite3_open(old, &to) != SQLITE_OK)
		broken("%s: %s", old, sqlite3_errmsg(to));
	backup = sqlite3_backup_init(to, "main", s->plain, "main");
	if (backup == NULL || sqlite3_backup_step(backup, -1) != SQLITE_DONE ||
	    sqlite3_backup_finish(backup) != SQLITE_OK)
		broken("%s: %s", old, sqlite3_errmsg(to));
	sqlite3_close(to);
	shell("rm -rf '%s.state' && cp -a '%s/.ddcp/%s.db' '%s.state'",
	    s->file, s->world->dir, s->name, s->file);
	s->has_copy = true;
}

void
world_put_back(struct site *s, bool with_state)
{
	shell("rm -f '%s-wal' '%s-shm' && cp '%s.old' '%s'", s->file, s->file,
	    s->file, s->file);
	if (with_state)
		shell("rm -rf '%s/.ddcp/%s.db' && cp -a '%s.state' "
		    "'%s/.ddcp/%s.db'", s->world->dir, s->name, s->file,
		    s->world->dir, s->name);
}

void
world_sql(struct site *s, sqlite3 *db, const char *fmt, ...)
{
	va_list ap;
	char *sql;

	va_start(ap, fmt);
	sql = sqlite3_vmprintf(fmt, ap);
	va_end(ap);
	if (s->world->verbose)
		printf("# %8llu %s: %s\n",
		    (unsigned long long)memnet_now(s->world->memnet), s->name,
		    sql);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		broken("%s: %s: %s", s->name, sql, sqlite3_errmsg(db));
	sqlite3_free(sql);
}

int64_t
world_int(struct site *s, const char *query)
{
	sqlite3_stmt *stmt;
	int64_t n = 0;

	if (sqlite3_prepare_v2(s->app, query, -1, &stmt, NULL) != SQLITE_OK ||
	    sqlite3_step(stmt) != SQLITE_ROW)
		broken("%s: %s: %s", s->name, query, sqlite3_errmsg(s->app));
	n = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return n;
}

void
world_track(struct site *s, int table, bool on)
{
	const char *name = history_tables[table].name;
	struct err err;
	bool already;

	if (s->world->verbose)
		printf("# %8llu %s: %s %s\n",
		    (unsigned long long)memnet_now(s->world->memnet), s->name,
		    on ? "track" : "untrack", name);
	if (on)
		must(store_track(s->store, name, &already, &err), &err,
		    "track");
	else
		must(store_untrack(s->store, name, &err), &err, "untrack");
	s->schema.untracked[table] = !on;
}

/* Sites like those that every world begins with; one is copied sooner than
 * made. */
static char templates[128];

static void
name_site(struct site *s, int number, const char *dir)
{
	s->number = number;
	snprintf(s->name, sizeof s->name, "s%d", number);
	snprintf(s->file, sizeof s->file, "%s/s%d.db", dir, number);
}

static void
make_template(int number)
{
	struct site site = { .number = number }, *s = &site;
	struct store_init init = { .db_file = s->file, .busy_ms = BUSY_MS };
	struct err err;
	bool already;
	int i;

	name_site(s, number, templates);
	must(store_init(&init, &already, &err), &err, "init");
	s->app = open_handle(s->file, true);
	for (i = 0; i < HISTORY_NTABLES; i++)
		if (sqlite3_exec(s->app, history_tables[i].create, NULL, NULL,
		    NULL) != SQLITE_OK)
			broken("schema: %s", sqlite3_errmsg(s->app));
	sqlite3_close(s->app);
	open_store(s);
	for (i = 0; i < HISTORY_NTABLES; i++)
		must(store_track(s->store, history_tables[i].name, &already,
		    &err), &err, "track");
	store_close(s->store);
}

static void
make_directory(char dir[static 128])
{
	const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	snprintf(dir, 128, "%s/ddcp-sim-XXXXXX", tmp);
	if (mkdtemp(dir) == NULL)
		broken("can't make %s", dir);
}

void
world_begin(void)
{
	int i;

	make_directory(templates);
	for (i = 0; i < WORLD_SITES_MAX; i++)
		make_template(i);
	disk_clear();
}

void
world_end(void)
{
	shell("rm -rf '%s'", templates);
}

static void
make_site(struct world *w, int number)
{
	struct site *s = &w->site[number];

	s->world = w;
	name_site(s, number, w->dir);
	open_store(s);
	store_public_key(s->store, s->key);
}

static void
link_sites(struct world *w, int a, int b)
{
	struct site *x = &w->site[a], *y = &w->site[b];
	struct err err;
	bool already;

	if (a == b || x->linked[b])
		return;
	x->linked[b] = y->linked[a] = true;
	must(store_remote_add(x->store, y->name, y->key, "", &already, &err),
	    &err, "remote add");
	must(store_remote_add(y->store, x->name, x->key, "", &already, &err),
	    &err, "remote add");
}

void
world_open(struct world *w, uint64_t seed, int nsites, bool verbose)
{
	static const struct memnet_faults faults = { .latency_min_ms = 1,
		.latency_max_ms = 80, .loss = 50000, .split = 100000,
		.cut = 8000, .refuse = 50000 };
	struct rng rng = { seed ^ 0x5EED };
	int i;

	memset(w, 0, sizeof *w);
	w->seed = seed;
	w->nsites = nsites;
	w->verbose = verbose;
	make_directory(w->dir);
	shell("cp -a '%s/.' '%s'", templates, w->dir);
	w->memnet = memnet_new(seed, &faults);
	if (w->memnet == NULL)
		broken("out of memory");
	for (i = 0; i < nsites; i++)
		make_site(w, i);
	for (i = 1; i < nsites; i++)
		link_sites(w, i, (int)rng_below(&rng, (uint32_t)i));
	for (i = 0; i < nsites / 2; i++)
		link_sites(w, (int)rng_below(&rng, (uint32_t)nsites),
		    (int)rng_below(&rng, (uint32_t)nsites));
	for (i = 0; i < nsites; i++) {
		store_close(w->site[i].store);
		start(&w->site[i]);
	}
	for (i = 0; i < nsites; i++)
		dial_all(&w->site[i]);
}

void
world_close(struct world *w)
{
	struct link *l;
	int i;

	for (i = 0; i < w->nsites; i++)
		stop(&w->site[i]);
	/* what still waits in the world frees itself */
	while (memnet_step(w->memnet))
		;
	memnet_free(w->memnet);
	while ((l = w->links) != NULL) {
		w->links = l->next;
		free(l);
	}
	disk_clear();
	if (w->verbose)
		printf("# the databases are in %s\n", w->dir);
	else
		shell("rm -rf '%s'", w->dir);
}

void
world_wrote(struct site *s)
{
	bool again;

	hub_changed(s->hub, &again);
	if (again)
		broken("%s is locked, and nobody writes", s->name);
}

void
world_run(struct world *w, uint64_t ms)
{
	uint64_t until = memnet_now(w->memnet) + ms;

	while (memnet_now(w->memnet) < until && memnet_step(w->memnet))
		;
}

void
world_taken(struct site *s)
{
	s->taken = world_int(s, "SELECT crsql_db_version()");
}

void
world_take(struct site *s, struct model *m)
{
	if (model_take(m, s->app, s->taken) != SQLITE_OK)
		broken("%s: can't read its changes", s->name);
	world_taken(s);
}
