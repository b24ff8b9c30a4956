// SPDX-License-Identifier: MPL-2.0
/*
 * verbs.c - the table of verbs: the program is its table.  Usage and help are
 * printed from here.
 */
#include "cli/cli.h"

#include <stddef.h>

static const struct cli_option init_options[] = {
	{ "journal-mode", 0, "keep", "leave the journal mode as it is (else WAL)" },
	{ "new-identity", 0, NULL, "make a new key although there was one" },
	{ NULL, 0, NULL, NULL }
};

static const struct cli_option deinit_options[] = {
	{ "purge", 0, NULL, "remove the key and the state directory too" },
	{ NULL, 0, NULL, NULL }
};

static const struct cli_option serve_options[] = {
	{ "listen", 'l', "HOST:PORT", "listen exactly there (default: all, 4433)" },
	{ "no-discovery", 0, NULL, "don't announce this database on the LAN" },
	{ "log-format", 0, "text|json", "how events are written" },
	{ NULL, 0, NULL, NULL }
};

static const struct cli_option addr_options[] = {
	{ "full", 0, NULL, "with the places where `serve` listens" },
	{ NULL, 0, NULL, NULL }
};

static const struct cli_option log_options[] = {
	{ "count", 'n', "N", "at most so many" },
	{ "table", 0, "TABLE", "only what touches that table" },
	{ "author", 0, "AUTHOR", "only what is by: me, a remote, an address" },
	{ NULL, 0, NULL, NULL }
};

static const struct cli_option diff_options[] = {
	{ "stat", 0, NULL, "only how many rows of each table" },
	{ "exit-code", 0, NULL, "exit 1 if anything would change" },
	{ NULL, 0, NULL, NULL }
};

static const struct cli_option merge_options[] = {
	{ "allow-delete", 0, NULL, "also what merge.max-delete holds" },
	{ "dry-run", 0, NULL, "only say what would change: see diff" },
	{ NULL, 0, NULL, NULL }
};

static const struct cli_option undo_options[] = {
	{ "merge", 0, NULL, "all of the last merge" },
	{ "dry-run", 0, NULL, "only say what it would do" },
	{ NULL, 0, NULL, NULL }
};

static const struct cli_option status_options[] = {
	{ "exit-code", 0, NULL, "exit 1 if something is ahead, behind, held or parked" },
	{ NULL, 0, NULL, NULL }
};

static const struct cli_option wait_options[] = {
	{ "for", 0, "REMOTE", "who is to have merged it" },
	{ NULL, 0, NULL, NULL }
};

static const struct cli_option watch_options[] = {
	{ "from", 0, "CURSOR", "go on behind that one; start: from the beginning" },
	{ "table", 0, "TABLE", "only changes of that table" },
	{ "exec", 0, "CMD", "give them to a program, on its standard input" },
	{ "once", 0, NULL, "end where nothing more is there" },
	{ "count", 'n', "N", "end after so many" },
	{ NULL, 0, NULL, NULL }
};

static const struct cli_option conflicts_options[] = {
	{ "all", 0, NULL, "those that were reviewed, too" },
	{ NULL, 0, NULL, NULL }
};

static const struct cli_option resolve_options[] = {
	{ "ours", 0, NULL, "what this database had" },
	{ "theirs", 0, NULL, "what came from elsewhere" },
	{ "winner", 0, NULL, "leave it as it is" },
	{ "loser", 0, NULL, "write what lost" },
	{ "value", 0, "LITERAL", "write that: a number, 'text', x'00' or NULL" },
	{ "all", 0, NULL, "with --winner: every one that there is" },
	{ NULL, 0, NULL, NULL }
};

static const struct cli_option config_options[] = {
	{ "unset", 0, NULL, "take it out of the database" },
	{ "list", 0, NULL, "show every setting" },
	{ "show-origin", 0, NULL, "and where it stands: database, user, default" },
	{ NULL, 0, NULL, NULL }
};

static const struct cli_option key_options[] = {
	{ "passphrase-file", 0, "FILE", "read the passphrase from FILE (- is stdin)" },
	{ "new-identity", 0, NULL, "replace a key that is there" },
	{ NULL, 0, NULL, NULL }
};

static const struct cli_verb remote_verbs[] = {
	{ "accept", "NAME KEY", "name a caller that knocked", 2, 2,
	    cmd_remote_accept, NULL, NULL, true },
	{ "add", "NAME KEY[@HOST:PORT]", "name a peer by its address", 2, 2,
	    cmd_remote_add, NULL, NULL, true },
	{ "list", "", "all remotes", 0, 0, cmd_remote_list, NULL, NULL, true },
	{ "remove", "NAME", "forget a remote", 1, 1, cmd_remote_remove, NULL,
	    NULL, false },
	{ "rename", "OLD NEW", "give it another name", 2, 2, cmd_remote_rename,
	    NULL, NULL, false },
	{ "set", "NAME SETTING VALUE", "automerge yes|no, place HOST:PORT, network auto|direct|veilid", 3, 3,
	    cmd_remote_set, NULL, NULL, false },
	{ "show", "NAME", "one remote", 1, 1, cmd_remote_show, NULL, NULL, true },
	{ "status", "NAME", "where one remote stands", 1, 1, cmd_remote_status,
	    status_options, NULL, true },
	{ NULL, NULL, NULL, 0, 0, NULL, NULL, NULL, false }
};

static const struct cli_verb key_verbs[] = {
	{ "export", "FILE", "write the key, encrypted with a passphrase", 1, 1,
	    cmd_key_export, key_options, NULL, false },
	{ "import", "FILE", "give this database that key", 1, 1, cmd_key_import,
	    key_options, NULL, false },
	{ NULL, NULL, NULL, 0, 0, NULL, NULL, NULL, false }
};

const struct cli_verb cli_verbs[] = {
	{ "addr", "", "print this database's address", 0, 0, cmd_addr,
	    addr_options, NULL, true },
	{ "blame", "TABLE KEY ...", "who set each column of a row, and when", 2, -1,
	    cmd_blame, NULL, NULL, true },
	{ "check", "[TABLE]", "what will not merge well, and why", 0, 1, cmd_check,
	    NULL, NULL, true },
	{ "cleanup", "", "remove inbox leftovers", 0, 0, cmd_cleanup, NULL, NULL,
	    true },
	{ "clone", "KEY[@HOST:PORT] [FILE]", "make a database from somebody else's",
	    1, 2, cmd_clone, NULL, NULL, true },
	{ "config", "[KEY [VALUE]]", "show or change settings", 0, 2, cmd_config,
	    config_options, NULL, true },
	{ "conflicts", "[TABLE ...]", "what lost to a change that did not know of it",
	    0, -1, cmd_conflicts, conflicts_options, NULL, true },
	{ "deinit", "", "leave an ordinary SQLite file", 0, 0, cmd_deinit,
	    deinit_options, NULL, false },
	{ "diff", "[REMOTE] [-- TABLE...]", "what merging would change", 0, -1,
	    cmd_diff, diff_options, NULL, true },
	{ "doctor", "[REMOTE]", "who can be reached, and why not", 0, 1,
	    cmd_doctor, NULL, NULL, true },
	{ "fetch", "[REMOTE]", "get changes, leave the tables alone", 0, 1,
	    cmd_fetch, NULL, NULL, true },
	{ "fsck", "", "whether this database agrees with itself", 0, 0, cmd_fsck,
	    NULL, NULL, true },
	{ "help", "[VERB]", "show the manual", 0, 2, cmd_help, NULL, NULL, false },
	{ "init", "", "give a database a key and bookkeeping", 0, 0, cmd_init,
	    init_options, NULL, true },
	{ "key", "export|import FILE", "move the key", 0, 0, NULL, NULL, key_verbs,
	    false },
	{ "log", "", "transactions, the newest first", 0, 0, cmd_log, log_options,
	    NULL, true },
	{ "merge", "[REMOTE]", "apply what was fetched", 0, 1, cmd_merge,
	    merge_options, NULL, true },
	{ "pull", "[REMOTE]", "fetch and merge", 0, 1, cmd_pull, NULL, NULL, true },
	{ "push", "[REMOTE]", "make the peer fetch now", 0, 1, cmd_push, NULL,
	    NULL, true },
	{ "remote", "add|accept|list|...", "the peers of this database", 0, 0,
	    NULL, NULL, remote_verbs, true },
	{ "resolve", "[NUMBER]", "settle a conflict: what won, or what lost", 0, 1,
	    cmd_resolve, resolve_options, NULL, false },
	{ "serve", "", "let remotes pull, and pull what they have", 0, 0,
	    cmd_serve, serve_options, NULL, true },
	{ "shell", "[SQL] [-- OPTIONS]", "sqlite3 with the extension loaded", 0, -1,
	    cmd_shell, NULL, NULL, false },
	{ "show", "AUTHOR@VERSION", "what a transaction did", 1, 1, cmd_show, NULL,
	    NULL, true },
	{ "status", "", "where this database stands with everyone", 0, 0,
	    cmd_status, status_options, NULL, true },
	{ "track", "[TABLE ...]", "replicate tables; without one: list them", 0, -1,
	    cmd_track, NULL, NULL, true },
	{ "undo", "AUTHOR@VERSION", "take back what it did here", 0, 1, cmd_undo,
	    undo_options, NULL, true },
	{ "untrack", "TABLE ...", "replicate them no longer", 1, -1, cmd_untrack,
	    NULL, NULL, false },
	{ "verify", "[REMOTE]", "whether others have the same rows", 0, 1,
	    cmd_verify, NULL, NULL, true },
	{ "version", "", "versions of program, wire, format, SQLite", 0, 0,
	    cmd_version, NULL, NULL, true },
	{ "wait", "--for REMOTE", "until a peer has merged what is here now", 0, 0,
	    cmd_wait, wait_options, NULL, true },
	{ "watch", "", "a line for each change, as it is committed", 0, 0,
	    cmd_watch, watch_options, NULL, true },
	{ NULL, NULL, NULL, 0, 0, NULL, NULL, NULL, false }
};
