// SPDX-License-Identifier: MPL-2.0
/*
 * load.c - the engine on a handle of the program that it is linked into, by
 * the same entry that SQLite calls in crsqlite.so.  Not part of that file: this
 * one names SQLite's functions themselves.
 */
#define SQLITE_CORE 1   /* sqlite3ext.h: the functions, not the table */
#include <sqlite3ext.h>
#include <stddef.h>

#include "crdt/crdt.h"

int sqlite3_crsqlite_init(sqlite3 *db, char **why,
    const sqlite3_api_routines *api);

/* What the engine calls; tests/sql/api compares with its sources. */
static const sqlite3_api_routines routines = {
	.bind_blob = sqlite3_bind_blob,
	.bind_double = sqlite3_bind_double,
	.bind_int = sqlite3_bind_int,
	.bind_int64 = sqlite3_bind_int64,
	.bind_null = sqlite3_bind_null,
	.bind_text = sqlite3_bind_text,
	.bind_value = sqlite3_bind_value,
	.changes = sqlite3_changes,
	.clear_bindings = sqlite3_clear_bindings,
	.column_blob = sqlite3_column_blob,
	.column_bytes = sqlite3_column_bytes,
	.column_double = sqlite3_column_double,
	.column_int = sqlite3_column_int,
	.column_int64 = sqlite3_column_int64,
	.column_text = sqlite3_column_text,
	.column_type = sqlite3_column_type,
	.column_value = sqlite3_column_value,
	.commit_hook = sqlite3_commit_hook,
	.context_db_handle = sqlite3_context_db_handle,
	.create_function = sqlite3_create_function,
	.create_module = sqlite3_create_module,
	.create_module_v2 = sqlite3_create_module_v2,
	.db_readonly = sqlite3_db_readonly,
	.declare_vtab = sqlite3_declare_vtab,
	.errmsg = sqlite3_errmsg,
	.exec = sqlite3_exec,
	.extended_errcode = sqlite3_extended_errcode,
	.file_control = sqlite3_file_control,
	.finalize = sqlite3_finalize,
	.free = sqlite3_free,
	.get_autocommit = sqlite3_get_autocommit,
	.last_insert_rowid = sqlite3_last_insert_rowid,
	.libversion = sqlite3_libversion,
	.strlike = sqlite3_strlike,
	.strnicmp = sqlite3_strnicmp,
	.sql = sqlite3_sql,
	.stmt_busy = sqlite3_stmt_busy,
	.stmt_readonly = sqlite3_stmt_readonly,
	.next_stmt = sqlite3_next_stmt,
	.db_config = sqlite3_db_config,
	.close = sqlite3_close,
	.limit = sqlite3_limit,
	.log = sqlite3_log,
	.malloc = sqlite3_malloc,
	.malloc64 = sqlite3_malloc64,
	.mprintf = sqlite3_mprintf,
	.open_v2 = sqlite3_open_v2,
	.prepare_v2 = sqlite3_prepare_v2,
	.prepare_v3 = sqlite3_prepare_v3,
	.randomness = sqlite3_randomness,
	.realloc64 = sqlite3_realloc64,
	.reset = sqlite3_reset,
	.rollback_hook = sqlite3_rollback_hook,
	.result_blob = sqlite3_result_blob,
	.result_blob64 = sqlite3_result_blob64,
	.result_double = sqlite3_result_double,
	.result_error = sqlite3_result_error,
	.result_error_code = sqlite3_result_error_code,
	.result_error_nomem = sqlite3_result_error_nomem,
	.result_error_toobig = sqlite3_result_error_toobig,
	.result_int = sqlite3_result_int,
	.result_int64 = sqlite3_result_int64,
	.result_null = sqlite3_result_null,
	.result_text = sqlite3_result_text,
	.result_value = sqlite3_result_value,
	.xsnprintf = sqlite3_snprintf,
	.set_last_insert_rowid = sqlite3_set_last_insert_rowid,
	.step = sqlite3_step,
	.str_appendall = sqlite3_str_appendall,
	.str_appendf = sqlite3_str_appendf,
	.str_errcode = sqlite3_str_errcode,
	.str_finish = sqlite3_str_finish,
	.str_new = sqlite3_str_new,
	.stricmp = sqlite3_stricmp,
	.table_column_metadata = sqlite3_table_column_metadata,
	.total_changes = sqlite3_total_changes,
	.txn_state = sqlite3_txn_state,
	.user_data = sqlite3_user_data,
	.value_blob = sqlite3_value_blob,
	.value_bytes = sqlite3_value_bytes,
	.value_double = sqlite3_value_double,
	.value_dup = sqlite3_value_dup,
	.value_free = sqlite3_value_free,
	.value_int = sqlite3_value_int,
	.value_int64 = sqlite3_value_int64,
	.value_numeric_type = sqlite3_value_numeric_type,
	.value_text = sqlite3_value_text,
	.value_type = sqlite3_value_type,
	.vmprintf = sqlite3_vmprintf,
	.vtab_collation = sqlite3_vtab_collation,
	.vtab_config = sqlite3_vtab_config,
};

int
crdt_load(sqlite3 *db, char **why)
{
	if (why != NULL)
		*why = NULL;
	return sqlite3_crsqlite_init(db, why, &routines);
}
