// SPDX-License-Identifier: MPL-2.0
#include "crdt/tx.h"

#include <string.h>

#include "crdt/capture.h"
#include "crdt/columns.h"
#include "crdt/copied.h"
#include "crdt/dropping.h"
#include "crdt/fold.h"
#include "crdt/journal.h"
#include "crdt/ledger.h"
#include "crdt/lost.h"
#include "crdt/merge.h"
#include "crdt/sample.h"
#include "crdt/storage.h"
#include "crdt/triggers.h"

SQLITE_EXTENSION_INIT3

/* -- versions ------------------------------------------------------------------ */

static uint32_t
data_version(struct engine *e)
{
	uint32_t v = 0;

	sqlite3_file_control(e->db, "main", SQLITE_FCNTL_DATA_VERSION, &v);
	return v;
}

/* Others' commits show in data_version once a read transaction begins. */
static int
see_commits(struct engine *e)
{
	sqlite3_stmt *stmt;
	int rc;

	if (sqlite3_txn_state(e->db, "main") != SQLITE_TXN_NONE)
		return SQLITE_OK;
	rc = engine_cached(e, SLOT_SCHEMA, "PRAGMA main.schema_version", &stmt);
	return rc == SQLITE_OK ? engine_run(e, stmt) : rc;
}

/* Reads what another's commit may have changed. */
static int
reload(struct engine *e)
{
	uint32_t now;
	int64_t head = 0;
	int rc = see_commits(e);

	if (rc != SQLITE_OK)
		return rc;
	now = data_version(e);
	if (e->tx.head >= 0 && now == e->tx.data_version)
		return SQLITE_OK;
	table_forget_state(e);
	ledger_forget_runs(e);
	e->tables.others = true;
	e->newest.dbv = 0;
	/* another one may have numbered it, with no change of the schema */
	if (e->tables.mended != e->tables.schema_version && columns_unsaved(e))
		table_doubt(e);
	rc = storage_read_identity(e);
	if (rc == SQLITE_OK && e->has_storage)
		rc = engine_int(e, &head, "SELECT dbv FROM crsql_log ORDER BY dbv DESC "
		    "LIMIT 1");
	if (rc == SQLITE_OK)
		rc = journal_any(e, &e->tx.plain_pending);
	if (rc == SQLITE_OK) {
		e->tx.head = head;
		e->tx.data_version = now;
	}
	return rc;
}

int
tx_head(struct engine *e, int64_t *out)
{
	int rc = e->tx.open ? SQLITE_OK : reload(e);

	*out = e->tx.head;
	return rc;
}

static int64_t
newest(const struct engine *e)
{
	return e->tx.current > e->tx.head ? e->tx.current : e->tx.head;
}

static void
begin_dbv(struct engine *e, int64_t dbv, bool own)
{
	e->tx.current = dbv;
	e->tx.current_own = own;
	e->tx.current_plain = false;
	e->tx.next_pos = 0;
}

void
tx_restore(struct engine *e, const struct tx *then)
{
	e->tx.current = then->current;
	e->tx.current_own = then->current_own;
	e->tx.current_plain = then->current_plain;
	e->tx.next_pos = then->next_pos;
	e->tx.seq = then->seq;
	e->tx.plain_pending = then->plain_pending;
	e->tx.rows_impacted = then->rows_impacted;
	e->tx.wrote = then->wrote;
	e->tx.wrote_changes = then->wrote_changes;
	e->tx.alters = then->alters;
	e->tx.keep_before = then->keep_before;
	e->tables.mended = then->mended;
	e->tables.others = true;        /* or the look for it is undone */
	e->tables.names_changed = then->names_changed;
	e->tables.looked = -1;
	/* another schema may get the number of one that is taken back */
	e->optional.schema = 0;
	ledger_forget(e);
}

int
tx_own_dbv(struct engine *e, int64_t *out)
{
	int64_t dbv = newest(e) + 1;

	if (e->tx.current == 0 || !e->tx.current_own)
		begin_dbv(e, dbv > e->tx.wanted ? dbv : e->tx.wanted, true);
	*out = e->tx.current;
	return SQLITE_OK;
}

/* R15: the own entry is at the head, or in crsql_me.  The UPDATE is of one row by
 * its key, so that it has no journal of its own: it may run where a statement of
 * the user's is about to begin its one (enlist_savepoint), which would begin with
 * ours, and take back what is written after. */
static int
keep_own_entry(struct engine *e)
{
	sqlite3_stmt *stmt, *update = NULL;
	int rc = engine_cached(e, SLOT_OWN_ENTRY, "SELECT m.first_dbv, l.dbv, "
	    "substr(l.hdr, 7, 8) FROM crsql_log l, crsql_me m WHERE l.dbv = ?1 AND "
	    "l.pos = 0 AND l.site IS NULL AND m.first_dbv = (SELECT max(first_dbv) "
	    "FROM crsql_me) AND m.first_dbv <= l.dbv", &stmt);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, newest(e));
	if (sqlite3_step(stmt) == SQLITE_ROW)
		rc = engine_cached(e, SLOT_OWN_KEEP, "UPDATE crsql_me SET sver = ?2, "
		    "token = ?3 WHERE first_dbv = ?1", &update);
	if (update != NULL) {
		sqlite3_bind_int64(update, 1, sqlite3_column_int64(stmt, 0));
		sqlite3_bind_int64(update, 2, sqlite3_column_int64(stmt, 1));
		sqlite3_bind_blob(update, 3, sqlite3_column_blob(stmt, 2),
		    sqlite3_column_bytes(stmt, 2), SQLITE_TRANSIENT);
		rc = engine_run(e, update);
	}
	return engine_reset(stmt, rc);
}

int
tx_import_dbv(struct engine *e, int64_t *out)
{
	int rc = SQLITE_OK;

	if (e->tx.current == 0 || e->tx.current_own)
		rc = keep_own_entry(e);
	begin_dbv(e, newest(e) + 1, false);
	*out = e->tx.current;
	return rc;
}

int
tx_changes_dbv(struct engine *e, int64_t sender, int64_t *out)
{
	int64_t dbv = e->tx.current && !e->tx.current_plain ? e->tx.current
	    : newest(e) + 1;
	int rc = SQLITE_OK;

	dbv = e->tx.wanted > dbv ? e->tx.wanted : dbv;
	dbv = sender > dbv ? sender : dbv;
	if (dbv != e->tx.current) {
		if (e->tx.current == 0 || e->tx.current_own)
			rc = keep_own_entry(e);
		begin_dbv(e, dbv, false);
	}
	*out = e->tx.current;
	return rc;
}

int
tx_look(struct engine *e)
{
	int rc;

	if (e->tx.head >= 0 && data_version(e) == e->tx.data_version)
		return SQLITE_OK;
	rc = reload(e);
	return rc == SQLITE_OK ? table_refresh(e) : rc;
}

/* -- a transaction --------------------------------------------------------------- */

int
tx_begin(struct engine *e)
{
	int64_t known = e->tables.schema_version;
	sqlite3_stmt *stmt;
	int rc;

	if (e->tx.open)
		return SQLITE_OK;
	if (e->finalized)
		return engine_fail(e, SQLITE_MISUSE, "crsql_finalize() was called");
	rc = reload(e);
	if (rc == SQLITE_OK)
		rc = table_refresh(e);
	if (rc == SQLITE_OK)
		rc = engine_cached(e, SLOT_ENLIST, "INSERT INTO crsql_tx VALUES(0)",
		    &stmt);
	if (rc != SQLITE_OK)
		return rc;
	e->tx.open = true;
	e->tx.current = 0;
	e->tx.current_own = e->tx.current_plain = false;
	e->tx.seq = 0;
	e->tx.wrote = false;
	e->tx.wrote_changes = false;
	e->tx.before_bytes = 0;
	e->tx.mended = e->tables.mended;
	e->tx.schema = known >= 0 ? known : e->tables.schema_version;
	e->tx.alters = 0;
	rc = engine_run(e, stmt);
	if (rc != SQLITE_OK)
		e->tx.open = false;
	return rc;
}

enum how {
	AS_IS,          /* nothing follows from the schema */
	COLUMNS,        /* those that are new or renamed are written down */
	MEND            /* all */
};

static int
fold(struct engine *e, enum how how)
{
	bool journal = false, captured;
	int64_t before = e->tx.current;
	sqlite3_int64 rowid = sqlite3_last_insert_rowid(e->db);
	int rc = SQLITE_OK;

	if (e->tx.folding || !e->tx.open)
		return SQLITE_OK;
	e->tx.folding = true;
	e->merging++;           /* what is written now is not captured */
	if (how != AS_IS)
		rc = how == MEND ? table_mend(e) : table_save_columns(e);
	if (rc == SQLITE_OK && (e->tx.plain_pending || e->capture->by_journal))
		rc = journal_any(e, &journal);
	captured = e->capture->list.n > e->capture->folded;
	if (rc == SQLITE_OK && (journal || captured ||
	    e->capture->rc != SQLITE_OK))
		rc = fold_all(e, journal);
	/* that samples are due is known until a rollback, or until triggers are made */
	if (rc == SQLITE_OK && (journal || captured))
		rc = sample_follow(e);
	if (rc == SQLITE_OK && how == MEND)
		rc = table_mend_triggers(e);
	if (rc == SQLITE_OK)
		e->tx.plain_pending = false;
	if (journal || captured)
		e->tx.current_plain = !captured && e->tx.current != before &&
		    sqlite3_get_autocommit(e->db);
	sqlite3_set_last_insert_rowid(e->db, rowid);
	e->merging--;
	e->tx.folding = false;
	return rc;
}

int
tx_fold(struct engine *e)
{
	return fold(e, MEND);
}

/* Whether a fold finds all as the log knows it, when what waits is written. */
static int
flush(struct engine *e, bool *as_is)
{
	int rc = incoming_flush(e);     /* its rows are of the version before */

	*as_is = false;
	return rc == SQLITE_OK ? lost_nothing(e, as_is) : rc;
}

int
tx_fold_within(struct engine *e)
{
	bool as_is;
	int rc = flush(e, &as_is);

	return rc == SQLITE_OK && as_is ? fold(e, AS_IS) : rc;
}

int
tx_fold_before_drop(struct engine *e)
{
	bool as_is;
	int rc = flush(e, &as_is);

	return rc == SQLITE_OK ? fold(e, as_is ? AS_IS : COLUMNS) : rc;
}

/* Takes the write lock, so that the snapshot is the newest. */
static int
lock(struct engine *e)
{
	sqlite3_stmt *stmt;
	int rc;

	if (sqlite3_txn_state(e->db, "main") == SQLITE_TXN_WRITE)
		return SQLITE_OK;
	rc = engine_cached(e, SLOT_LOCK, "DELETE FROM crsql_master WHERE key = ''",
	    &stmt);
	return rc == SQLITE_OK ? engine_run(e, stmt) : rc;
}

int
tx_begin_merge(struct engine *e)
{
	int rc = SQLITE_OK;

	if (e->tx.open && e->capture->look_at_schema)
		rc = table_refresh(e);
	if (rc == SQLITE_OK)
		e->capture->look_at_schema = false;
	e->temp_may_fail = false;
	if (rc == SQLITE_OK && !e->capture->bulk.on)    /* none fires */
		rc = triggers_look_for_temp_fail(e);
	if (rc != SQLITE_OK || (e->tx.open && !e->tx.plain_pending &&
	    e->capture->list.n == e->capture->folded && !e->capture->by_journal))
		return rc;
	rc = lock(e);
	if (rc == SQLITE_OK)
		rc = tx_begin(e);
	if (rc == SQLITE_OK)
		rc = incoming_flush(e);
	return rc == SQLITE_OK ? tx_fold(e) : rc;
}

/* Another writer, or an old snapshot: the log is read without the journal. */
static int
may_read_as_is(int rc)
{
	int code = rc & 0xFF;

	return code == SQLITE_BUSY || code == SQLITE_LOCKED ||
	    code == SQLITE_READONLY ? SQLITE_OK : rc;
}

/* With PRAGMA legacy_alter_table, SQLite leaves the old name in the triggers of a
 * table it renames: nobody can write it until they are made anew. */
static bool
renamed(const struct engine *e)
{
	int i;

	for (i = 0; i < e->tables.n; i++)
		if (strcmp(e->tables.table[i].name, e->tables.table[i].noted) != 0)
			return true;
	return false;
}

/* Without a transaction of the caller's, in one of its own. */
static int
fold_alone(struct engine *e)
{
	struct undo u;
	int rc;

	/* refused inside a statement that writes: of that one, then */
	if (engine_savepoint(e, "crsql_fold", &u) != SQLITE_OK)
		return tx_begin_merge(e);
	rc = tx_begin_merge(e);
	if (rc == SQLITE_OK)
		rc = engine_release(e, &u);
	if (rc != SQLITE_OK)
		engine_undo(e, &u);
	return rc;
}

/* Folds the journal for a reader, where that is possible without waiting. */
static int
fold_for_reader(struct engine *e, bool rebuilt)
{
	bool writable = false;
	int rc = SQLITE_OK;

	if (e->tx.plain_pending || e->tables.rebuilt || renamed(e) || rebuilt ||
	    table_any_overtaken(&e->tables))
		rc = engine_writable(e, &writable);
	if (rc != SQLITE_OK || !writable)
		return rc;
	return may_read_as_is(sqlite3_get_autocommit(e->db) ? fold_alone(e) :
	    tx_begin_merge(e));
}

int
tx_begin_read(struct engine *e)
{
	bool rebuilt;
	int rc;

	if (e->finalized)
		return engine_fail(e, SQLITE_MISUSE, "crsql_finalize() was called");
	if (e->tx.open) {
		rc = incoming_flush(e);
		return rc == SQLITE_OK ? tx_fold(e) : rc;
	}
	rc = reload(e);
	if (rc == SQLITE_OK)
		rc = table_refresh(e);
	if (rc != SQLITE_OK || !e->has_storage)
		return rc;
	/* what was made anew is mended by the fold, a copy is not */
	rc = copied_check_reader(e);
	rebuilt = rc == SQLITE_ERROR;
	if (rc == SQLITE_OK || rebuilt)
		rc = fold_for_reader(e, rebuilt);
	return rc == SQLITE_OK && rebuilt ? copied_check_reader(e) : rc;
}

int
tx_begin_snapshot(struct engine *e, sqlite3_stmt **hold)
{
	int rc = tx_begin_read(e);

	*hold = NULL;
	if (rc == SQLITE_OK)
		rc = engine_prepare(e, hold, "SELECT 1 FROM main.sqlite_schema");
	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(*hold);
	rc = rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK :
	    sqlite3_reset(*hold);
	/* others may have committed since tx_begin_read: that is not folded, but read
	 * as it is */
	if (rc == SQLITE_OK && !e->tx.open)
		rc = tx_look(e);
	return rc == SQLITE_OK && !e->tx.open && e->has_storage ?
	    copied_check_reader(e) : rc;
}

/* -- its end ------------------------------------------------------------------------- */

void
tx_committed(struct engine *e)
{
	e->tx.open = e->tx.keep_before = false;
	e->tx.alters = 0;
	dropping_forget(e);
	if (e->tx.wrote && e->tx.current > e->tx.head)
		e->tx.head = e->tx.current;
	e->tx.wanted = 0;
	e->tx.seq = 0;
	e->tx.ledger = LEDGER_UNKNOWN;
	ledger_rest(e);
	e->tables.epoch++;
	if (e->tables.half)
		table_unmend(e);
	if (e->tx.wrote_changes)
		e->tx.rows_impacted = 0;
	e->tx.data_version = data_version(e);
	capture_clear(e);
	bulk_end(e);
}

void
tx_rolled_back(struct engine *e)
{
	e->tx.open = e->tx.keep_before = false;
	e->tx.alters = 0;
	e->tx.wanted = 0;
	e->tx.seq = 0;
	dropping_forget(e);
	e->tx.rows_impacted = 0;
	e->tx.ledger = LEDGER_UNKNOWN;
	ledger_forget(e);
	e->tx.head = -1;        /* all is read anew */
	e->newest.dbv = 0;
	e->optional.schema = 0;
	incoming_drop(e);
	capture_clear(e);
	table_forget_state(e);
	table_forget_births(e);
	e->tables.mended = e->tx.mended;
	table_doubt(e);
	e->tables.looked = -1;
	e->tables.names_changed = e->tables.half = false;
	bulk_end(e);
}
