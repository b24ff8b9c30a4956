// SPDX-License-Identifier: MPL-2.0
#include "store/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/sql.h"
#include "store/store_private.h"

/* Syncs one of the files that SQLite has open; in WAL mode the "journal" is
 * the WAL. */
static int
sync_file(sqlite3 *db, int which, struct err *err)
{
	sqlite3_file *file = NULL;
	int rc;

	rc = sqlite3_file_control(db, "main", which, &file);
	if (rc == SQLITE_OK && file != NULL && file->pMethods != NULL)
		rc = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
	if (rc != SQLITE_OK)
		return err_set(err, E_FATAL, "check the disk", "what was "
		    "committed can't be made durable: %s", sqlite3_errstr(rc));
	return 0;
}

static int
sync_directory(const char *db_file, struct err *err)
{
	char *copy = strdup(db_file);
	int fd, rc = 0;

	if (copy == NULL)
		return err_nomem(err);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Some file systems have no sync of directories: nothing to gain. */
	if (fd >= 0 && fsync(fd) != 0 && errno == EIO)
		rc = err_set(err, E_FATAL, "check the disk",
		    "the directory of the database can't be made durable");
	if (fd >= 0)
		close(fd);
	free(copy);
	return rc;
}

int
durable_sync(struct store *s, sqlite3 *db, struct err *err)
{
	bool wal, found;
	char mode[4];
	int rc;

	if (s->readonly && sqlite3_db_readonly(db, "main") == 1 &&
	    access(s->db_file, W_OK) != 0)
		return 0;       /* nobody here can have written */
	rc = sql_bytes(db, mode, 3, &found, err, "PRAGMA journal_mode", "");
	if (rc != 0)
		return rc;
	wal = found && memcmp(mode, "wal", 3) == 0;
	rc = sync_file(db, SQLITE_FCNTL_JOURNAL_POINTER, err);
	if (rc == 0)
		rc = sync_file(db, SQLITE_FCNTL_FILE_POINTER, err);
	/* A rollback journal commits by vanishing from the directory. */
	if (rc == 0 && (!wal || !s->directory_synced))
		rc = sync_directory(s->db_file, err);
	s->directory_synced = rc == 0;
	return rc;
}
