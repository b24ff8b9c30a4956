// SPDX-License-Identifier: MPL-2.0
#include "store/statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY_HINT "it must belong to you and have mode 0700"
#define FILE_HINT "it must belong to you and have mode 0600"

static int
fail_errno(struct err *err, const char *what, const char *path)
{
	return err_set(err, E_FATAL, "check permissions and free space",
	    "can't %s %s: %s", what, path, strerror(errno));
}

/* -- where -------------------------------------------------------------- */

/* A database is a file; of anything else SQLite says little, or waits for
 * ever. */
static int
check_file(const char *db_file, const char *real, struct err *err)
{
	struct stat st;

	if (stat(real, &st) != 0 || S_ISREG(st.st_mode))
		return 0;
	return err_set(err, E_FATAL, "name the file of a database, or one "
	    "that is still to be made", S_ISDIR(st.st_mode) ?
	    "%s is a directory, not a database" :
	    "%s is no plain file, hence no database", db_file);
}

/* The directory of a path; NULL without memory. */
static char *
directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? strdup(".") : slash == path ? strdup("/") :
	    strndup(path, (size_t)(slash - path));
}

/* *to is what a symbolic link names, NULL if that is no link. */
static int
follow_link(const char *link, char **to, struct err *err)
{
	char target[PATH_MAX], *dir = NULL;
	ssize_t n = readlink(link, target, sizeof target - 1);
	int rc = 0;

	*to = NULL;
	if (n < 0)
		return 0;
	target[n] = '\0';
	if (target[0] == '/') {
		*to = strdup(target);
	} else if ((dir = directory_of(link)) != NULL &&
	    asprintf(to, "%s/%s", dir, target) < 0) {
		*to = NULL;
	}
	if (*to == NULL)
		rc = err_nomem(err);
	free(dir);
	return rc;
}

int
statedir_real_path(const char *db_file, char **out, struct err *err)
{
	const char *slash = strrchr(db_file, '/');
	const char *name = slash != NULL ? slash + 1 : db_file;
	char *dir = NULL, *real_dir = NULL, *to = NULL;
	int rc = 0;

	*out = realpath(db_file, NULL);
	if (*out != NULL)
		return check_file(db_file, *out, err);
	if (errno == ENOMEM)
		return err_nomem(err);
	if (errno != ENOENT || *name == '\0' || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return err_set(err, E_NOTFOUND, "name an existing directory",
		    "can't find %s: %s", db_file, strerror(errno));
	/* a link to a file that is still to be made: realpath has seen that links
	 * end somewhere */
	rc = follow_link(db_file, &to, err);
	if (rc == 0 && to != NULL)
		rc = statedir_real_path(to, out, err);
	if (rc != 0 || to != NULL) {
		free(to);
		return rc;
	}
	dir = directory_of(db_file);
	if (dir == NULL)
		return err_nomem(err);
	real_dir = realpath(dir, NULL);
	if (real_dir == NULL && errno == ENOMEM)
		rc = err_nomem(err);
	else if (real_dir == NULL)
		rc = err_set(err, E_NOTFOUND, "make the directory first",
		    "there is no directory %s", dir);
	else if (asprintf(out, "%s/%s", strcmp(real_dir, "/") == 0 ? "" :
	    real_dir, name) < 0) {
		*out = NULL;
		rc = err_nomem(err);
	}
	free(real_dir);
	free(dir);
	return rc;
}

int
statedir_path(const char *real_db_file, const char *asked, char **out,
    struct err *err)
{
	const char *slash = strrchr(real_db_file, '/');

	if (asked != NULL && asked[0] != '\0') {
		*out = strdup(asked);
		return *out != NULL ? 0 : err_nomem(err);
	}
	if (asprintf(out, "%.*s/.ddcp/%s", (int)(slash - real_db_file),
	    real_db_file, slash + 1) < 0) {
		*out = NULL;
		return err_nomem(err);
	}
	return 0;
}

/* -- opening --------------------------------------------------------------- */

static int
check_owner(const struct stat *st, const char *path, struct err *err)
{
	const char *hint = S_ISDIR(st->st_mode) ? DIRECTORY_HINT : FILE_HINT;

	if (st->st_uid != geteuid())
		return err_set(err, E_FATAL, hint,
		    "%s belongs to another user", path);
	if ((st->st_mode & 077) != 0)
		return err_set(err, E_FATAL, hint,
		    "%s is open to other users", path);
	return 0;
}

static int
check_private(int fd, const char *path, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail_errno(err, "look at", path);
	return check_owner(&st, path, err);
}

int
statedir_look(int dir, const char *name, struct err *err)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : fail_errno(err, "look at", name);
	if (S_ISLNK(st.st_mode))
		return err_set(err, E_FATAL, FILE_HINT, "%s is a link", name);
	return check_owner(&st, name, err);
}

static int
open_directory(const char *path, int *fd, struct err *err)
{
	int rc;

	*fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0 && errno == ENOENT)
		return 0;
	if (*fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return err_set(err, E_FATAL, DIRECTORY_HINT,
		    "%s is a link, or no directory", path);
	if (*fd < 0)
		return fail_errno(err, "open", path);
	rc = check_private(*fd, path, err);
	if (rc != 0) {
		close(*fd);
		*fd = -1;
	}
	return rc;
}

int
statedir_private(const char *path, int *fd, struct err *err)
{
	int rc;

	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return fail_errno(err, "make the directory", path);
	rc = open_directory(path, fd, err);
	if (rc == 0 && *fd < 0)
		rc = err_set(err, E_FATAL, NULL, "%s vanished", path);
	return rc;
}

static int
write_gitignore(int dir, struct err *err)
{
	int fd = openat(dir, ".gitignore", O_WRONLY | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, 0600);
	ssize_t n;

	if (fd < 0 && errno == EEXIST)
		return 0;
	if (fd < 0)
		return fail_errno(err, "write", ".gitignore");
	n = write(fd, "*\n", 2);
	close(fd);
	return n == 2 ? 0 : fail_errno(err, "write", ".gitignore");
}

/* Makes the directory above, if it is missing too: .ddcp. */
static int
make_parent(const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	char *parent;
	int fd, rc = 0;

	if (slash == NULL || slash == path)
		return 0;
	parent = strndup(path, (size_t)(slash - path));
	if (parent == NULL)
		return err_nomem(err);
	if (mkdir(parent, 0700) == 0) {
		rc = open_directory(parent, &fd, err);
		if (rc == 0 && fd >= 0) {
			rc = write_gitignore(fd, err);
			close(fd);
		}
	} else if (errno != EEXIST) {
		rc = fail_errno(err, "make the directory", parent);
	}
	free(parent);
	return rc;
}

int
statedir_open(const char *path, bool create, int *fd, struct err *err)
{
	int rc;

	*fd = -1;
	if (!create)
		return open_directory(path, fd, err);
	rc = make_parent(path, err);
	if (rc == 0)
		rc = statedir_private(path, fd, err);
	if (rc == 0)
		rc = write_gitignore(*fd, err);
	if (rc != 0 && *fd >= 0) {
		close(*fd);
		*fd = -1;
	}
	return rc;
}

/* -- files --------------------------------------------------------------------- */

int
statedir_read(int dir, const char *name, uint8_t *out, size_t max, size_t *len,
    struct err *err)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC |
	    O_NONBLOCK);
	struct stat st;
	ssize_t n;
	int rc;

	*len = 0;
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return fail_errno(err, "open the state file", name);
	rc = check_private(fd, name, err);
	if (rc == 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)))
		rc = err_set(err, E_FATAL, FILE_HINT, "%s is no plain file",
		    name);
	while (rc == 0 && *len < max) {
		n = read(fd, out + *len, max - *len);
		if (n < 0)
			rc = fail_errno(err, "read", name);
		if (n <= 0)
			break;
		*len += (size_t)n;
	}
	close(fd);
	return rc;
}

static int
write_all(int fd, const uint8_t *data, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(fd, data, len);
		if (n < 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return fsync(fd);
}

int
statedir_write(int dir, const char *name, const uint8_t *data, size_t len,
    struct err *err)
{
	char temporary[64];
	int fd, rc = 0;

	snprintf(temporary, sizeof temporary, "%s.new", name);
	unlinkat(dir, temporary, 0);
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (fd < 0)
		return fail_errno(err, "write", name);
	if (write_all(fd, data, len) != 0)
		rc = fail_errno(err, "write", name);
	close(fd);
	if (rc == 0 && (renameat(dir, temporary, dir, name) != 0 ||
	    fsync(dir) != 0))
		rc = fail_errno(err, "write", name);
	if (rc != 0)
		unlinkat(dir, temporary, 0);
	return rc;
}

int
statedir_rename(int dir, const char *from, const char *to, struct err *err)
{
	if (renameat(dir, from, dir, to) != 0)
		return errno == ENOENT ? 0 : fail_errno(err, "write", to);
	return fsync(dir) == 0 ? 0 : fail_errno(err, "write", to);
}

void
statedir_remove(const char *path, int dir, bool key_too)
{
	/* .new: whoever wrote it died at that (statedir_write) */
	static const char *const of_key[] = { "key", "key.new", "key.next",
		"key.next.new", "lock", ".gitignore" };
	static const char *const names[] = { "note", "note.new", "inbox.db",
		"inbox.db-wal", "inbox.db-shm", "inbox.db-journal", "inbox.pages",
		"control" };
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names; i++)
		unlinkat(dir, names[i], 0);
	if (!key_too)
		return;
	for (i = 0; i < sizeof of_key / sizeof *of_key; i++)
		unlinkat(dir, of_key[i], 0);
	rmdir(path);
}
