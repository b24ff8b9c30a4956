// SPDX-License-Identifier: MPL-2.0
/*
 * cli.h - what the verbs of the command line share.
 *
 * A verb is one function in a file of its own, one line in the table of
 * verbs.c, one test in tests/cli and one entry in doc/ddcp.1.  The program
 * reaches everything else through ddcp.h alone.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <ddcp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct cli_option {
	const char *name;       /* long name */
	char letter;            /* short one, or 0 */
	const char *value;      /* name of its value in help; NULL: a flag */
	const char *about;
};

struct cli;

struct cli_verb {
	const char *name;
	const char *usage;      /* arguments, as help shows them */
	const char *about;      /* one line */
	int min_args, max_args; /* -1: any number */
	int (*run)(struct cli *cli);
	const struct cli_option *options;   /* ends with a NULL name; or NULL */
	const struct cli_verb *sub;         /* subverbs, NULL name ends; or NULL */
	bool answers;           /* --json and --porcelain mean something */
};

enum { CLI_OPTIONS_MAX = 32 };

struct cli {
	const char *db_file;    /* never NULL after main's set-up */
	const char *shown;      /* the same, for people to read */
	const char *state_dir;  /* or NULL */
	const char *ext_file;   /* or NULL */
	const char *config_file;        /* of the user, or NULL */
	bool json, porcelain, quiet, verbose, progress, color, version;
	int timeout_ms;         /* 0: default */
	const struct cli_verb *group;   /* of which verb is a subverb, or NULL */
	const struct cli_verb *verb;
	char **arg;             /* what stands after verb and subverb */
	int nargs;
	int nbehind;            /* the last of them stand behind "--" */
	const char *given[CLI_OPTIONS_MAX];  /* by index in verb->options: value,
	                                        "" for a flag, NULL */
};

extern const struct cli_verb cli_verbs[];

/* -- options.c -------------------------------------------------------------- */

/* Reads the command line into cli; 0, or DDCP_EUSAGE after saying why.
 * *help is set where --help was given. */
int cli_parse(struct cli *cli, int argc, char **argv, bool *help);

/* The value of the verb's option, "" for a flag that was given, NULL. */
const char *cli_given(const struct cli *cli, const char *name);

/* Says what is wrong with the arguments; returns DDCP_EUSAGE. */
int cli_usage(const struct cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* -- out.c ------------------------------------------------------------------- */

/* Prints "error: text" and "hint: hint" to stderr; returns error->code. */
int cli_fail(const ddcp_error *error);

/* A line on stdout unless --quiet; one on stderr; control characters that come
 * from outside must have gone through cli_safe. */
void cli_say(const struct cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void cli_note(const struct cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Text with control characters escaped (\x1b), also those of Unicode that break
 * lines or turn the direction (\u202e); to be freed; never NULL. */
char *cli_safe(const char *text);

/* Text as a JSON string; what is no UTF-8 shows question marks. */
json_t *cli_text(const char *text);

/* A JSON document as text, ASCII only and without control characters, so that it
 * may go to a terminal; frees it.  To be freed; never NULL. */
char *cli_json_text(json_t *document);

/* Prints that and a newline on stdout. */
void cli_json(json_t *document);

/* The text as it is, or in that colour where --color wants it; to be freed;
 * never NULL. */
enum cli_colour { CLI_RED = 31, CLI_GREEN = 32, CLI_YELLOW = 33 };
char *cli_paint(const struct cli *cli, enum cli_colour colour,
    const char *text);

/* "8 s ago", "3 min ago", "never" into out. */
const char *cli_ago(int64_t then_ms, char out[32]);

/* "1 row", "2 rows" into out. */
const char *cli_count(uint64_t n, const char *one, char out[48]);

/* -- used by most verbs ------------------------------------------------------- */

/* Opens the database of the command line. */
int cli_open(const struct cli *cli, bool readonly, ddcp **out);

/* Says that ddcp_was_forked(): at once where opening found it. */
void cli_note_forked(const struct cli *cli);
ddcp_options cli_open_options(const struct cli *cli);

/* Shows a finding; self is a struct cli_findings (findings.c). */
struct cli_findings {
	struct cli *cli;
	json_t *array;          /* --json: collected here, else NULL */
	size_t n;               /* so far */
};
int cli_on_finding(void *self, const ddcp_finding *finding);

/* Does an exchange with the remote that is named, or with all, until it is done
 * or interrupted; how->remote (unless it is there), timeout_ms and progress are filled in.  *d is open
 * meanwhile.  What went wrong with one remote is for how->result to say (*nfailed
 * counts those); all else is said here (exchange.c). */
typedef int cli_exchange_function(ddcp *, const ddcp_exchange *,
    ddcp_error *);
int cli_exchange(struct cli *cli, cli_exchange_function *function,
    ddcp_exchange *how, ddcp **d, const int *nfailed);

/* Signals interrupt what d does; NULL: they end the program again, and a line of
 * progress is ended. */
void cli_heed_interrupt(ddcp *d);

/* What shows progress, or NULL where nobody looks. */
typedef int cli_progress_function(void *self, const ddcp_progress *progress);
cli_progress_function *cli_progress(const struct cli *cli);

/* Says what went wrong with that remote. */
void cli_fail_remote(const ddcp_result *r);

/* merge --dry-run (diff.c). */
int cli_merge_dry(struct cli *cli);

/* Whether nobody has said anything of network.veilid: then it is worth a hint
 * (config.c). */
bool cli_veilid_unheard(ddcp *d);
#define CLI_VEILID_HINT "Whoever is not on the local network finds it over Veilid " \
	"with: ddcp config network.veilid on"

/* One remote as JSON (status.c). */
json_t *cli_remote_json(ddcp *d, const ddcp_remote *remote);

/* Tables that only that remote has: as a JSON array; as words, "" for none, to
 * be freed (others.c). */
json_t *cli_others_json(ddcp *d, const char *remote);
char *cli_others(ddcp *d, const char *remote);

/* -- the verbs ------------------------------------------------------------------ */
int cmd_addr(struct cli *cli);
int cmd_blame(struct cli *cli);
int cmd_check(struct cli *cli);
int cmd_cleanup(struct cli *cli);
int cmd_clone(struct cli *cli);
int cmd_config(struct cli *cli);
int cmd_conflicts(struct cli *cli);
int cmd_resolve(struct cli *cli);
int cmd_deinit(struct cli *cli);
int cmd_diff(struct cli *cli);
int cmd_doctor(struct cli *cli);
int cmd_fetch(struct cli *cli);
int cmd_fsck(struct cli *cli);
int cmd_help(struct cli *cli);
int cmd_init(struct cli *cli);
int cmd_key_export(struct cli *cli);
int cmd_key_import(struct cli *cli);
int cmd_log(struct cli *cli);
int cmd_merge(struct cli *cli);
int cmd_pull(struct cli *cli);
int cmd_push(struct cli *cli);
int cmd_remote_accept(struct cli *cli);
int cmd_remote_add(struct cli *cli);
int cmd_remote_list(struct cli *cli);
int cmd_remote_remove(struct cli *cli);
int cmd_remote_rename(struct cli *cli);
int cmd_remote_set(struct cli *cli);
int cmd_remote_show(struct cli *cli);
int cmd_remote_status(struct cli *cli);
int cmd_serve(struct cli *cli);
int cmd_shell(struct cli *cli);
int cmd_show(struct cli *cli);
int cmd_status(struct cli *cli);
int cmd_track(struct cli *cli);
int cmd_undo(struct cli *cli);
int cmd_untrack(struct cli *cli);
int cmd_verify(struct cli *cli);
int cmd_version(struct cli *cli);
int cmd_wait(struct cli *cli);
int cmd_watch(struct cli *cli);

/* help.c: usage of a verb (of a group, or NULL), or of all, on the stream. */
void cli_print_usage(const struct cli_verb *group, const struct cli_verb *verb,
    FILE *to);
void cli_print_verbs(FILE *to);

#endif
