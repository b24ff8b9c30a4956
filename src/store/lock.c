// SPDX-License-Identifier: MPL-2.0
#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/statedir.h"

void
lock_init(struct lock *l)
{
	l->state_fd = -1;
	l->run_fd = -1;
	l->run_path[0] = '\0';
}

static int
taken(struct err *err)
{
	return err_set(err, E_EXISTS, "stop the other \"ddcp serve\", or use it",
	    "this database is served by another process already");
}

/* Opens and locks a file; *fd = -1 and E_EXISTS if it is held. */
static int
lock_file(int dir, const char *name, int *fd, struct err *err)
{
	*fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
	    0600);
	if (*fd < 0)
		return err_set(err, E_FATAL, "check the permissions of the "
		    "state directory", "can't make the lock %s: %s", name,
		    strerror(errno));
	if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	close(*fd);
	*fd = -1;
	return taken(err);
}

/* The directory does not depend on the environment, so that two shells of one
 * user agree on it. */
static int
open_run_dir(char path[static 96], int *fd, struct err *err)
{
	unsigned uid = (unsigned)geteuid();
	struct stat st;

	snprintf(path, 96, "/run/user/%u", uid);
	if (uid == 0)
		snprintf(path, 96, "/run/ddcp");
	else if (stat(path, &st) == 0 && st.st_uid == uid)
		snprintf(path, 96, "/run/user/%u/ddcp", uid);
	else
		snprintf(path, 96, "/tmp/ddcp-%u", uid);
	return statedir_private(path, fd, err);
}

/* True if the locked file still has its name: its last holder removes it. */
static bool
still_named(int dir, const char *name, int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 &&
	    fstatat(dir, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	    a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static int
lock_by_inode(struct lock *l, const char *db_file, struct err *err)
{
	char path[96], name[64];
	struct stat st;
	int dir, rc;

	if (stat(db_file, &st) != 0)
		return err_set(err, E_FATAL, NULL, "can't look at %s: %s",
		    db_file, strerror(errno));
	snprintf(name, sizeof name, "%llx-%llx",
	    (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	rc = open_run_dir(path, &dir, err);
	if (rc != 0)
		return rc;
	do {
		if (l->run_fd >= 0)
			close(l->run_fd);
		rc = lock_file(dir, name, &l->run_fd, err);
	} while (rc == 0 && !still_named(dir, name, l->run_fd));
	close(dir);
	if (rc == 0)
		snprintf(l->run_path, sizeof l->run_path, "%s/%s", path, name);
	return rc;
}

int
lock_take(struct lock *l, int state_dir, const char *db_file, struct err *err)
{
	int rc;

	if (l->state_fd >= 0)
		return 0;
	rc = lock_file(state_dir, "lock", &l->state_fd, err);
	if (rc == 0)
		rc = lock_by_inode(l, db_file, err);
	if (rc != 0)
		lock_drop(l);
	return rc;
}

void
lock_drop(struct lock *l)
{
	if (l->run_fd >= 0) {
		unlink(l->run_path);
		close(l->run_fd);
	}
	if (l->state_fd >= 0)
		close(l->state_fd);
	lock_init(l);
}
