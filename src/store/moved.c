// SPDX-License-Identifier: MPL-2.0
/*
 * moved.c - is the database still the file of that name?  One that was removed
 * or replaced stays open for who has it open, and what he writes to it nobody
 * will ever see.
 */
#include <sys/stat.h>

#include "store/store_private.h"

/* SQLite leaves the WAL of a file that has moved where it lies, and it goes by
 * name: whatever database gets that name next would take our commits for its
 * own.  So they go where they belong, and leave it empty. */
void
moved_leave(struct store *s)
{
	sqlite3_busy_timeout(s->db, 0);
	sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
	    NULL);
}

int
store_still_there(struct store *s, struct err *err)
{
	struct stat now, opened;
	int moved = 0;

	if (sqlite3_file_control(s->db, "main", SQLITE_FCNTL_HAS_MOVED,
	    &moved) == SQLITE_OK && moved) {
		s->moved = true;
		return err_set(err, E_FATAL, "look what is there now, and start "
		    "ddcp again", "%s was removed or replaced while it was in "
		    "use", s->db_file);
	}
	if (stat(s->state_dir, &now) == 0 && fstat(s->dir, &opened) == 0 &&
	    now.st_dev == opened.st_dev && now.st_ino == opened.st_ino)
		return 0;
	return err_set(err, E_FATAL, "put it back, or use \"ddcp key import\" or "
	    "\"ddcp init --new-identity\"", "the state directory %s was removed "
	    "or replaced while it was in use", s->state_dir);
}
