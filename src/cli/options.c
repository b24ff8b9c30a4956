// SPDX-License-Identifier: MPL-2.0
/*
 * options.c - the command line: which verb, which flags.  Global flags stand
 * before or after the verb, and mean the same for every verb.
 */
#include "cli/cli.h"

#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { GLOBALS = 12, FIRST_LONG = 256 };

static const struct cli_option globals[GLOBALS + 1] = {
	{ "db-file", 'f', "FILE", "the database (DDCP_DB_FILE)" },
	{ "state-dir", 's', "DIR", "key and inbox (DDCP_STATE_DIR)" },
	{ "ext-file", 0, "FILE", "the extension that `shell` loads (DDCP_EXT_FILE)" },
	{ "timeout", 0, "SECONDS", "how long to wait for peers and locks (10)" },
	{ "json", 0, NULL, "answer as JSON" },
	{ "porcelain", 0, NULL, "answer in lines that never change" },
	{ "quiet", 'q', NULL, "say nothing that was not asked" },
	{ "verbose", 'v', NULL, "say more" },
	{ "progress", 0, NULL, "show progress though stderr is no terminal" },
	{ "color", 0, "WHEN", "auto, always or never" },
	{ "help", 'h', NULL, "show usage" },
	{ "version", 0, NULL, "what the verb of that name tells" },
	{ NULL, 0, NULL, NULL }
};

int
cli_usage(const struct cli *cli, const char *fmt, ...)
{
	char text[512], *safe;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	safe = cli_safe(text);
	fprintf(stderr, "error: %s\nhint: see \"ddcp help%s%s%s%s\"\n",
	    safe, cli->group ? " " : "", cli->group ? cli->group->name : "",
	    cli->verb ? " " : "", cli->verb ? cli->verb->name : "");
	free(safe);
	return DDCP_EUSAGE;
}

/* The global option of that letter, else (0) the one whose name begins so, as
 * getopt takes them; NULL if there is none. */
static const struct cli_option *
find_global(char letter, const char *beginning)
{
	const struct cli_option *o;

	for (o = globals; o->name != NULL; o++)
		if (letter != 0 ? o->letter == letter :
		    strncmp(o->name, beginning, strlen(beginning)) == 0)
			return o;
	return NULL;
}

/* True if arg is a global option whose value is the next argument, or letters of
 * which the last one is. */
static bool
takes_next(const char *arg)
{
	const struct cli_option *o = NULL;

	if (strncmp(arg, "--", 2) == 0) {
		o = find_global(0, arg + 2);
		return o != NULL && o->value != NULL;
	}
	for (arg++; *arg != '\0' && (o == NULL || o->value == NULL); arg++) {
		o = find_global(*arg, "");
		if (o == NULL)
			return false;
	}
	return *arg == '\0' && o != NULL && o->value != NULL;
}

/* The index of the first word from `from` on that is no option; argc if there
 * is none. */
static int
next_word(int from, int argc, char **argv)
{
	int i;

	for (i = from; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0)
			return argc;
		if (argv[i][0] != '-' || argv[i][1] == '\0')
			return i;
		if (takes_next(argv[i]))
			i++;
	}
	return argc;
}

static void
drop_word(int at, int *argc, char **argv)
{
	memmove(argv + at, argv + at + 1,
	    (size_t)(*argc - at) * sizeof *argv);
	(*argc)--;
}

/* Number of single-letter edits between two words, as far as it matters. */
static int
distance(const char *a, const char *b)
{
	int row[32], above, left, i, j;
	int n = (int)strlen(b);

	if (strlen(a) > 30 || n > 30)
		return INT_MAX;
	for (j = 0; j <= n; j++)
		row[j] = j;
	for (i = 1; a[i - 1] != '\0'; i++) {
		left = row[0];
		row[0] = i;
		for (j = 1; j <= n; j++) {
			above = row[j];
			row[j] = left + (a[i - 1] != b[j - 1]);
			if (above + 1 < row[j])
				row[j] = above + 1;
			if (row[j - 1] + 1 < row[j])
				row[j] = row[j - 1] + 1;
			left = above;
		}
	}
	return row[n];
}

static int
unknown_verb(const struct cli *cli, const struct cli_verb *verbs,
    const char *word)
{
	const char *group = cli->verb != NULL ? cli->verb->name : "";
	const char *blank = cli->verb != NULL ? " " : "";
	const struct cli_verb *v, *best = NULL;
	char *safe = cli_safe(word);
	int d, least = (int)strlen(word) < 6 ? 3 : 4;

	for (v = verbs; v->name != NULL; v++) {
		d = distance(word, v->name);
		if (d < least) {
			least = d;
			best = v;
		}
	}
	fprintf(stderr, "error: '%s' is not a verb of ddcp%s%s\n", safe, blank,
	    group);
	free(safe);
	if (best != NULL)
		fprintf(stderr, "hint: the most similar one is \"%s\"\n",
		    best->name);
	else
		fprintf(stderr, "hint: see \"ddcp help%s%s\"\n", blank, group);
	return DDCP_EUSAGE;
}

static const struct cli_verb *
find_verb(const char *name)
{
	const struct cli_verb *v = cli_verbs;

	while (v->name != NULL && strcmp(v->name, name) != 0)
		v++;
	return v;
}

/* Takes verb and subverb out of argv. */
static int
take_verb(struct cli *cli, int *argc, char **argv)
{
	const struct cli_verb *verbs = cli_verbs;
	const struct cli_verb *v;
	int at = 1;

	while (verbs != NULL) {
		at = next_word(at, *argc, argv);
		if (at >= *argc)
			return 0;
		for (v = verbs; v->name != NULL; v++)
			if (strcmp(v->name, argv[at]) == 0)
				break;
		if (v->name == NULL)
			return unknown_verb(cli, verbs, argv[at]);
		drop_word(at, argc, argv);
		cli->group = cli->verb;
		cli->verb = v;
		verbs = v->sub;
	}
	return 0;
}

static int
take_timeout(struct cli *cli, const char *value)
{
	char *end;
	double seconds = strtod(value, &end);

	if (end == value || *end != '\0' || !(seconds > 0) || seconds > 86400)
		return cli_usage(cli, "'%s' is not a number of seconds", value);
	cli->timeout_ms = (int)(seconds * 1000);
	if (cli->timeout_ms == 0)
		cli->timeout_ms = 1;
	return 0;
}

static int
take_color(struct cli *cli, const char *value)
{
	if (strcmp(value, "always") == 0)
		cli->color = true;
	else if (strcmp(value, "never") == 0)
		cli->color = false;
	else if (strcmp(value, "auto") != 0)
		return cli_usage(cli, "--color is auto, always or never");
	return 0;
}

static int
take_global(struct cli *cli, int index, const char *value, bool *help)
{
	switch (index) {
	case 0: cli->db_file = value; break;
	case 1: cli->state_dir = value; break;
	case 2: cli->ext_file = value; break;
	case 3: return take_timeout(cli, value);
	case 4: cli->json = true; break;
	case 5: cli->porcelain = true; break;
	case 6: cli->quiet = true; break;
	case 7: cli->verbose = true; break;
	case 8: cli->progress = true; break;
	case 9: return take_color(cli, value);
	case 10: *help = true; break;
	case 11: cli->version = true; break;
	}
	return 0;
}

struct option_set {
	struct option longs[GLOBALS + CLI_OPTIONS_MAX + 1];
	char shorts[2 * (GLOBALS + CLI_OPTIONS_MAX) + 2];
	int nglobals, nown;
};

static void
add_option(struct option_set *set, int n, const struct cli_option *o)
{
	char *s = set->shorts + strlen(set->shorts);

	set->longs[n].name = o->name;
	set->longs[n].has_arg = o->value ? required_argument : no_argument;
	set->longs[n].val = FIRST_LONG + n;
	if (o->letter != 0) {
		*s++ = o->letter;
		if (o->value != NULL)
			*s++ = ':';
		*s = '\0';
	}
}

static void
make_options(const struct cli *cli, struct option_set *set)
{
	const struct cli_option *own = cli->verb ? cli->verb->options : NULL;

	memset(set, 0, sizeof *set);
	strcpy(set->shorts, ":");
	for (; globals[set->nglobals].name != NULL; set->nglobals++)
		add_option(set, set->nglobals, &globals[set->nglobals]);
	for (; own != NULL && own[set->nown].name != NULL; set->nown++)
		add_option(set, set->nglobals + set->nown, &own[set->nown]);
}

/* Index of the option that getopt gave, by its letter or number. */
static int
option_index(const struct cli *cli, const struct option_set *set, int got)
{
	int i;

	if (got >= FIRST_LONG)
		return got - FIRST_LONG;
	for (i = 0; i < set->nglobals; i++)
		if (globals[i].letter == got)
			return i;
	for (i = 0; i < set->nown; i++)
		if (cli->verb->options[i].letter == got)
			return set->nglobals + i;
	return -1;
}

/* Words behind the first "--"; called before anything is put in another order. */
static int
count_behind(int argc, char **argv)
{
	int i;

	for (i = 0; i < argc; i++)
		if (strcmp(argv[i], "--") == 0)
			return argc - i - 1;
	return 0;
}

static int
parse_options(struct cli *cli, int argc, char **argv, bool *help)
{
	struct option_set set;
	int got, i, rc = 0;

	make_options(cli, &set);
	opterr = 0;
	cli->nbehind = count_behind(argc, argv);
	optind = 0;
	while (rc == 0 &&
	    (got = getopt_long(argc, argv, set.shorts, set.longs, NULL)) != -1) {
		if (got == '?')
			return cli_usage(cli, "unknown option %s", argv[optind - 1]);
		if (got == ':')
			return cli_usage(cli, "%s wants a value", argv[optind - 1]);
		i = option_index(cli, &set, got);
		if (i < set.nglobals)
			rc = take_global(cli, i, optarg, help);
		else
			cli->given[i - set.nglobals] = optarg ? optarg : "";
	}
	cli->arg = argv + optind;
	cli->nargs = argc - optind;
	if (cli->version) {     /* whatever else was asked */
		cli->group = NULL;
		cli->verb = find_verb("version");
		cli->nargs = 0;
	}
	return rc;
}

/* An address may begin with '-': it gets its prefix, by which it is a word
 * and no option.  Nothing else that begins so is 43 characters of an
 * address. */
static int
prefix_addresses(const struct cli *cli, int argc, char **argv)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789-_";
	enum { KEY_CHARS = 43 };
	size_t n;
	char *word;
	int i;

	for (i = 1; i < argc; i++) {
		if (argv[i][0] != '-')
			continue;
		n = strspn(argv[i], alphabet);
		if (n != KEY_CHARS || (argv[i][n] != '\0' && argv[i][n] != '@'))
			continue;
		if (asprintf(&word, "VLD0:%s", argv[i]) < 0)
			return cli_usage(cli, "out of memory");
		argv[i] = word;         /* lives as long as the program */
	}
	return 0;
}

int
cli_parse(struct cli *cli, int argc, char **argv, bool *help)
{
	int rc;

	*help = false;
	rc = prefix_addresses(cli, argc, argv);
	if (rc == 0)
		rc = take_verb(cli, &argc, argv);
	if (rc == 0)
		rc = parse_options(cli, argc, argv, help);
	if (rc != 0 || *help || cli->verb == NULL)
		return rc;
	if (cli->verb->sub != NULL && cli->verb->run == NULL) {
		cli_print_usage(NULL, cli->verb, stderr);
		return DDCP_EUSAGE;
	}
	if (cli->nargs < cli->verb->min_args ||
	    (cli->verb->max_args >= 0 && cli->nargs > cli->verb->max_args))
		return cli_usage(cli, "%s%s%s wants: %s",
		    cli->group ? cli->group->name : "", cli->group ? " " : "",
		    cli->verb->name,
		    cli->verb->usage[0] ? cli->verb->usage : "no arguments");
	if ((cli->json || cli->porcelain) && !cli->verb->answers)
		return cli_usage(cli, "%s has no answer to show as %s",
		    cli->verb->name, cli->json ? "JSON" : "lines");
	return 0;
}

const char *
cli_given(const struct cli *cli, const char *name)
{
	int i;

	for (i = 0; cli->verb->options[i].name != NULL; i++)
		if (strcmp(cli->verb->options[i].name, name) == 0)
			return cli->given[i];
	return NULL;
}

static void
print_options(const struct cli_option *o, FILE *to)
{
	char left[48];

	for (; o->name != NULL; o++) {
		snprintf(left, sizeof left, "--%s%s%s", o->name,
		    o->value ? " " : "", o->value ? o->value : "");
		if (o->letter != 0)
			fprintf(to, "  -%c, %-24s %s\n", o->letter, left, o->about);
		else
			fprintf(to, "      %-24s %s\n", left, o->about);
	}
}

void
cli_print_usage(const struct cli_verb *group, const struct cli_verb *verb,
    FILE *to)
{
	const struct cli_verb *v;

	fprintf(to, "usage: ddcp %s%s%s%s%s\n%s\n", group ? group->name : "",
	    group ? " " : "", verb->name, verb->usage[0] ? " " : "", verb->usage,
	    verb->about);
	for (v = verb->sub; v != NULL && v->name != NULL; v++)
		fprintf(to, "  %-8s %-22s %s\n", v->name, v->usage, v->about);
	if (verb->options != NULL) {
		fputs("\noptions:\n", to);
		print_options(verb->options, to);
	}
	fputs("\noptions of every verb:\n", to);
	print_options(globals, to);
}

void
cli_print_verbs(FILE *to)
{
	const struct cli_verb *v;

	fputs("usage: ddcp VERB [ARGUMENTS]\n"
	      "Copies, merges and shares SQLite databases between people.\n\n", to);
	for (v = cli_verbs; v->name != NULL; v++)
		fprintf(to, "  %-8s %-24s %s\n", v->name, v->usage, v->about);
	fputs("\noptions of every verb:\n", to);
	print_options(globals, to);
}
