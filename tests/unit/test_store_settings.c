// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_settings.c - what is kept beside a database's rows: remotes, who
 * knocked, and settings.
 */
#include "test_store_site.h"

/* -- remotes and knocks ------------------------------------------------------------------ */

static int
collect_names(void *self, const struct store_remote *r)
{
	char *out = self;

	strcat(out, r->name);
	strcat(out, " ");
	return 0;
}

static void
remotes(void **state)
{
	struct store_remote r;
	char names[200] = "";
	uint8_t k[3][KEY_LEN];
	struct site a;
	struct err err;
	bool already;
	int i;

	for (i = 0; i < 3; i++)
		memset(k[i], i + 1, KEY_LEN);
	site_make(&a, "alice");
	must(store_remote_add(a.store, "bob", k[0], "10.0.0.1:4433", &already,
	    &err));
	assert_false(already);
	must(store_remote_add(a.store, "bob", k[0], "", &already, &err));
	assert_true(already);
	assert_int_equal(store_remote_add(a.store, "bob", k[1], "", &already,
	    &err), E_EXISTS);
	assert_int_equal(store_remote_add(a.store, "rob", k[0], "", &already,
	    &err), E_EXISTS);
	assert_int_equal(store_remote_add(a.store, "bad name", k[1], "",
	    &already, &err), E_USAGE);
	assert_int_equal(store_remote_add(a.store, "-x", k[1], "", &already,
	    &err), E_USAGE);
	assert_int_equal(store_remote_add(a.store, "c", k[1], "nowhere",
	    &already, &err), E_USAGE);
	assert_int_equal(store_remote_add(a.store, "me", a.key, "", &already,
	    &err), E_USAGE);
	must(store_remote_add(a.store, "carol", k[1], "", &already, &err));
	must(store_remote_rename(a.store, "bob", "robert", &err));
	assert_int_equal(store_remote_rename(a.store, "robert", "carol",
	    &err), E_EXISTS);
	assert_int_equal(store_remote_rename(a.store, "nobody", "x", &err),
	    E_NOTFOUND);
	must(store_remote_set(a.store, "robert", "automerge", "no", &err));
	assert_int_equal(store_remote_set(a.store, "robert", "automerge", "2",
	    &err), E_USAGE);
	assert_int_equal(store_remote_set(a.store, "robert", "colour", "2",
	    &err), E_USAGE);
	must(store_remote_by_key(a.store, k[0], &r, &err));
	assert_string_equal(r.name, "robert");
	assert_string_equal(r.place, "10.0.0.1:4433");
	assert_false(r.automerge);
	must(store_remote_note(a.store, r.id, 77, "10.0.0.1:1", NULL, &err));
	must(store_remote_note(a.store, r.id, 78, NULL, "nobody there", &err));
	must(store_remote_by_name(a.store, "robert", &r, &err));
	assert_int_equal(r.last_contact_ms, 77);
	assert_string_equal(r.last_error, "nobody there");
	must(store_remote_each(a.store, collect_names, names, &err));
	assert_string_equal(names, "carol robert ");
	must(store_remote_remove(a.store, "robert", &err));
	assert_int_equal(store_remote_remove(a.store, "robert", &err),
	    E_NOTFOUND);
	site_close(&a);
}

static void
networks_of_remotes(void **state)
{
	static const char *const wrong[] = { "", "radio", "Veilid", "directly" };
	struct store_remote r;
	uint8_t k[KEY_LEN] = { 1 };
	struct site a;
	struct err err;
	bool already;
	size_t i;

	site_make(&a, "alice");
	must(store_remote_add(a.store, "bob", k, "", &already, &err));
	must(store_remote_by_name(a.store, "bob", &r, &err));
	assert_string_equal(r.network, "auto");
	for (i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(store_remote_set(a.store, "bob", "network",
		    wrong[i], &err), E_USAGE);
	must(store_remote_set(a.store, "bob", "network", "direct", &err));
	must(store_remote_set(a.store, "bob", "network", "veilid", &err));
	must(store_remote_by_key(a.store, k, &r, &err));
	assert_string_equal(r.network, "veilid");
	must(store_remote_set(a.store, "bob", "network", "auto", &err));
	must(store_remote_by_name(a.store, "bob", &r, &err));
	assert_string_equal(r.network, "auto");
	/* nor does the next one of its number inherit it */
	must(store_remote_set(a.store, "bob", "network", "veilid", &err));
	must(store_remote_remove(a.store, "bob", &err));
	must(store_remote_add(a.store, "carol", k, "", &already, &err));
	must(store_remote_by_name(a.store, "carol", &r, &err));
	assert_string_equal(r.network, "auto");
	site_close(&a);
}

static void
settings_of_networks(void **state)
{
	static const struct {
		const char *key, *value;
		bool good;
	} tries[] = {
		{ "network.veilid", "on", true },
		{ "network.veilid", "yes", false },
		{ "network.direct", "off", true },
		{ "network.direct", "", false },
		{ "veilid.node", "auto", true },
		{ "veilid.node", "on", false },
		{ "veilid.api", "unix:/run/user/1/api", true },
		{ "veilid.api", "unix:api", false },
		{ "veilid.api", "127.0.0.1:5959", true },
		{ "veilid.api", "here", false },
		{ "veilid.api", "", true },
		{ "veilid.program", "/usr/bin/veilid-node", true },
		{ "veilid.program", "veilid-node", false },
		{ "veilid.trust", "yes", true },
		{ "veilid.trust", "maybe", false },
	};
	struct site a;
	struct err err;
	size_t i;

	site_make(&a, "alice");
	for (i = 0; i < sizeof tries / sizeof *tries; i++) {
		assert_int_equal(store_config_set(a.store, tries[i].key,
		    tries[i].value, &err), tries[i].good ? 0 : E_USAGE);
		if (!tries[i].good)
			assert_string_not_equal(err.hint, "");
	}
	site_close(&a);
}

/* A remote that is removed leaves nothing that the next one would inherit. */
static void
a_removed_remote_leaves_nothing(void **state)
{
	struct pull fetch = { .fetch_only = true };
	struct site a, b, c;
	struct err err;
	bool already;

	site_make(&a, "alice");
	site_make(&b, "bob");
	site_make(&c, "carol");
	introduce(&a, &b);
	sql(&a, "INSERT INTO t VALUES('x', 1, 1)");
	pull(&b, &a);
	sql(&a, "INSERT INTO t VALUES('y', 1, 1)");
	assert_int_equal(pull_with(&b, &a, &fetch), 0);
	must(store_remote_remove(b.store, "alice", &err));
	must(store_remote_add(b.store, "alice", c.key, "", &already, &err));
	must(store_remote_add(c.store, "bob", b.key, "", &already, &err));
	sql(&c, "INSERT INTO t VALUES('z', 1, 1)");
	pull(&b, &c);
	expect(&b, "SELECT id FROM t ORDER BY 1", "x\nz\n");
	must(store_remote_remove(b.store, "alice", &err));
	must(store_remote_add(b.store, "alice", a.key, "", &already, &err));
	pull(&b, &a);
	expect(&b, "SELECT id FROM t ORDER BY 1", "x\ny\nz\n");
	site_close(&a);
	site_close(&b);
	site_close(&c);
}

static int
count_knock(void *self, const struct store_knock *k)
{
	int *n = self;

	if (*n == 0) {
		assert_int_equal(k->key[0], 99);
		assert_int_equal(k->count, 2);
		assert_string_equal(k->place, "b:2");
	}
	++*n;
	return 0;
}

static void
r29_knocks_are_bounded(void **state)
{
	uint8_t key[KEY_LEN] = { 0 };
	struct site a;
	struct err err;
	bool first;
	int i, n = 0;

	site_make(&a, "alice");
	for (i = 0; i < 100; i++) {
		key[0] = (uint8_t)i;
		must(store_knock(a.store, key, "a:1", 1000 + i, &first, &err));
		assert_true(first);
	}
	must(store_knock(a.store, key, "b:2", 2000, &first, &err));
	assert_false(first);
	must(store_knock_each(a.store, count_knock, &n, &err));
	assert_int_equal(n, 64);
	must(store_knock_forget(a.store, key, &err));
	must(store_knock_forget(a.store, key, &err));
	expect(&a, "SELECT count(*) FROM ddcp_knock", "63\n");
	site_close(&a);
}

/* -- settings --------------------------------------------------------------------------- */

static int
note_rows_origin(void *self, const char *key, const char *value,
    const char *about, enum store_origin origin)
{
	char *out = self;

	if (strcmp(key, "merge.max-rows") == 0)
		sprintf(out, "%s from %d", value, (int)origin);
	return 0;
}

static void
settings(void **state)
{
	char value[64];
	struct site a;
	struct err err;

	site_make(&a, "alice");
	must(store_config_each(a.store, note_rows_origin, value, &err));
	assert_string_equal(value, "500000 from 0");
	must(store_config_set(a.store, "merge.max-rows", "17", &err));
	must(store_config_get(a.store, "merge.max-rows", value, sizeof value,
	    &err));
	assert_string_equal(value, "17");
	must(store_config_each(a.store, note_rows_origin, value, &err));
	assert_string_equal(value, "17 from 2");
	assert_int_equal(store_config_set(a.store, "merge.max-rows", "x",
	    &err), E_USAGE);
	assert_int_equal(store_config_set(a.store, "merge.max-rows", "0",
	    &err), E_USAGE);
	assert_int_equal(store_config_set(a.store, "no.such", "1", &err),
	    E_USAGE);
	assert_int_equal(store_config_get(a.store, "no.such", value,
	    sizeof value, &err), E_USAGE);
	must(store_config_set(a.store, "merge.max-rows", NULL, &err));
	must(store_config_each(a.store, note_rows_origin, value, &err));
	assert_string_equal(value, "500000 from 0");
	site_close(&a);
}

static void
write_file(const char *file, const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
settings_of_the_user(void **state)
{
	static const char *const wrong[] = { "no.such = 1\n", "merge.max-rows\n",
		"merge.max-rows = many\n" };
	char file[SITE_PATH_MAX], value[1200];
	struct store_open how = { .busy_ms = 100 };
	struct store *s;
	struct site a;
	struct err err;
	size_t i;

	site_make(&a, "alice");
	site_close(&a);
	snprintf(file, sizeof file, "%s/config", scratch);
	how.db_file = a.file;
	how.config_file = file;
	/* That there is none is no error. */
	must(store_open(&how, &s, &err));
	store_close(s);
	write_file(file, "# mine\n\n  merge.max-rows=17 \nnetwork.listen =\n"
	    "merge.max-ms = 3");
	must(store_open(&how, &s, &err));
	must(store_config_each(s, note_rows_origin, value, &err));
	assert_string_equal(value, "17 from 1");
	must(store_config_get(s, "merge.max-ms", value, sizeof value, &err));
	assert_string_equal(value, "3");
	/* What stands in the database wins. */
	must(store_config_set(s, "merge.max-rows", "18", &err));
	must(store_config_each(s, note_rows_origin, value, &err));
	assert_string_equal(value, "18 from 2");
	must(store_config_set(s, "merge.max-rows", NULL, &err));
	must(store_config_each(s, note_rows_origin, value, &err));
	assert_string_equal(value, "17 from 1");
	store_close(s);
	for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		write_file(file, wrong[i]);
		assert_int_equal(store_open(&how, &s, &err), E_USAGE);
		assert_non_null(strstr(err.text, "line 1 of"));
		assert_string_not_equal(err.hint, "");
	}
	memset(value, 'x', sizeof value);
	value[sizeof value - 1] = '\0';
	write_file(file, value);
	assert_int_equal(store_open(&how, &s, &err), E_USAGE);
	assert_int_equal(remove(file), 0);
	assert_int_equal(mkdir(file, 0700), 0);
	assert_int_equal(store_open(&how, &s, &err), E_FATAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(remotes),
		TEST(a_removed_remote_leaves_nothing),
		TEST(r29_knocks_are_bounded),
		TEST(settings),
		TEST(networks_of_remotes),
		TEST(settings_of_networks),
		TEST(settings_of_the_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
