// SPDX-License-Identifier: MPL-2.0
/*
 * watch.c - one watch on the database file, one on its WAL, and perhaps one on
 * a directory.  While the WAL does not exist, its directory is watched instead,
 * which also tells of other files: so only then.
 *
 * A commit is several writes, hence several events.  They set a flag only,
 * and a check handle, which runs once in each turn of the loop after all
 * events of that turn, asks the owner to look.
 *
 * What was written can be seen a little later: SQLite syncs the file first,
 * and then says so in shared memory, of which no event tells.  So the owner
 * looks again after a millisecond, after two more, and so on for some seconds
 * after the last event.
 */
#include "node/watch.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

enum { HANDLES = 5, FIRST_MS = 1, LAST_MS = 2048 };

struct watch {
	uv_fs_event_t db, wal, files;
	uv_check_t check;
	uv_timer_t timer;
	char *db_file, *wal_file, *directory;
	bool on_directory;      /* the second watch, for want of a WAL */
	bool closing;
	int open;               /* handles that live */
	unsigned next_ms;       /* to the next look but one */
	void (*changed)(void *owner);
	void *owner;
};

static void
free_watch(struct watch *w)
{
	free(w->db_file);
	free(w->wal_file);
	free(w->directory);
	free(w);
}

static void
handle_closed(uv_handle_t *handle)
{
	struct watch *w = handle->data;

	if (--w->open == 0)
		free_watch(w);
}

static void watch_wal(struct watch *w);

static void
on_timer(uv_timer_t *timer)
{
	struct watch *w = timer->data;

	/* First, so that the owner may wish for another time. */
	if (w->next_ms <= LAST_MS)
		watch_again(w, w->next_ms);
	w->changed(w->owner);
}

static void
on_check(uv_check_t *check)
{
	struct watch *w = check->data;

	uv_check_stop(check);
	if (w->on_directory)
		watch_wal(w);
	watch_again(w, FIRST_MS);
	w->changed(w->owner);
}

static void
look_soon(struct watch *w)
{
	if (!w->closing)
		uv_check_start(&w->check, on_check);
}

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static void
on_event(uv_fs_event_t *handle, const char *name, int events, int status)
{
	struct watch *w = handle->data;

	if (handle == &w->wal && w->on_directory && name != NULL
	    && strcmp(name, base_name(w->wal_file)) != 0)
		return;
	if (handle == &w->files && (events & UV_RENAME) == 0)
		return;
	/* A file that is gone is not watched any more, nor is a new one of its
	 * name, which may be there by now. */
	if (handle == &w->wal && !w->on_directory && (events & UV_RENAME) != 0)
		watch_wal(w);
	look_soon(w);
}

/* Puts the second watch on the WAL if it is there, else on the directory. */
static void
watch_wal(struct watch *w)
{
	uv_fs_event_stop(&w->wal);
	w->on_directory = uv_fs_event_start(&w->wal, on_event, w->wal_file,
	    0) != 0;
	if (!w->on_directory)
		return;
	uv_fs_event_start(&w->wal, on_event, w->directory, 0);
	/* It may have appeared in between. */
	if (access(w->wal_file, F_OK) == 0)
		watch_again(w, 0);
}

static int
copy_paths(struct watch *w, const char *db_file, const char *wal_file)
{
	const char *slash = strrchr(wal_file, '/');

	w->db_file = strdup(db_file);
	w->wal_file = strdup(wal_file);
	w->directory = slash == NULL ? strdup(".") : slash == wal_file
	    ? strdup("/") : strndup(wal_file, (size_t)(slash - wal_file));
	return w->db_file != NULL && w->wal_file != NULL
	    && w->directory != NULL ? 0 : -1;
}

int
watch_open(uv_loop_t *loop, const char *db_file, const char *wal_file,
    void (*changed)(void *owner), void *owner, struct watch **out,
    struct err *err)
{
	struct watch *w = calloc(1, sizeof *w);
	int rc;

	if (w == NULL || copy_paths(w, db_file, wal_file) != 0) {
		if (w != NULL)
			free_watch(w);
		return err_nomem(err);
	}
	w->changed = changed;
	w->owner = owner;
	uv_fs_event_init(loop, &w->db);
	uv_fs_event_init(loop, &w->wal);
	uv_fs_event_init(loop, &w->files);
	uv_check_init(loop, &w->check);
	uv_timer_init(loop, &w->timer);
	w->db.data = w->wal.data = w->files.data = w;
	w->check.data = w->timer.data = w;
	w->open = HANDLES;
	rc = uv_fs_event_start(&w->db, on_event, db_file, 0);
	if (rc != 0) {
		watch_close(w);
		return err_set(err, E_FATAL, NULL, "can't watch %s: %s",
		    db_file, uv_strerror(rc));
	}
	if (strcmp(db_file, wal_file) != 0)
		watch_wal(w);
	*out = w;
	return 0;
}

int
watch_files_of(struct watch *w, const char *directory, struct err *err)
{
	int rc = uv_fs_event_start(&w->files, on_event, directory, 0);

	return rc == 0 ? 0 : err_set(err, E_FATAL, NULL, "can't watch %s: %s",
	    directory, uv_strerror(rc));
}

void
watch_close(struct watch *w)
{
	if (w == NULL)
		return;
	w->closing = true;
	uv_close((uv_handle_t *)&w->db, handle_closed);
	uv_close((uv_handle_t *)&w->wal, handle_closed);
	uv_close((uv_handle_t *)&w->files, handle_closed);
	uv_close((uv_handle_t *)&w->check, handle_closed);
	uv_close((uv_handle_t *)&w->timer, handle_closed);
}

void
watch_again(struct watch *w, unsigned ms)
{
	w->next_ms = ms > 0 ? 2 * ms : FIRST_MS;
	/* A timer of 0 ms runs in the next turn without waiting for events. */
	uv_timer_start(&w->timer, on_timer, ms, 0);
}
