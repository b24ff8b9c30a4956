// SPDX-License-Identifier: MPL-2.0
#include "store/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

enum { KEPT_ROOM = 1 << 20 };   /* more is freed before the next page */

static const char file_name[] = "inbox.pages";

void
spool_init(struct spool *sp, int dir)
{
	*sp = (struct spool){ .dir = dir, .fd = -1 };
}

void
spool_clear(struct spool *sp)
{
	if (sp->fd >= 0)
		close(sp->fd);
	free(sp->page);
	spool_init(sp, sp->dir);
}

static int
fail(struct err *err, const char *what)
{
	if (errno == ENOSPC || errno == EDQUOT)
		return err_set(err, E_FATAL, "free some space and try again; "
		    "nothing was lost", "the disk is full");
	return err_set(err, E_FATAL, "check the disk and the permissions of "
	    "the state directory", "can't %s the inbox: %s", what,
	    strerror(errno));
}

static int
open_file(struct spool *sp, struct err *err)
{
	if (sp->fd < 0)
		sp->fd = openat(sp->dir, file_name, O_RDWR | O_CREAT |
		    O_NOFOLLOW | O_CLOEXEC, 0600);
	return sp->fd >= 0 ? 0 : fail(err, "open");
}

int
spool_size(struct spool *sp, int64_t *size, struct err *err)
{
	struct stat st;

	*size = 0;
	if (sp->fd >= 0 ? fstat(sp->fd, &st) == 0 :
	    fstatat(sp->dir, file_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		*size = st.st_size;
	else if (errno != ENOENT)
		return fail(err, "look at");
	return 0;
}

static int
hash_page(const uint8_t *data, size_t len, uint8_t hash[SPOOL_HASH_LEN],
    struct err *err)
{
	uint8_t whole[EVP_MAX_MD_SIZE];

	if (EVP_Digest(data, len, whole, NULL, EVP_sha256(), NULL) != 1)
		return err_nomem(err);
	memcpy(hash, whole, SPOOL_HASH_LEN);
	return 0;
}

int
spool_write(struct spool *sp, int64_t at, const uint8_t *data, size_t len,
    uint8_t hash[static SPOOL_HASH_LEN], struct err *err)
{
	ssize_t n;
	int rc = open_file(sp, err);

	if (rc == 0)
		rc = hash_page(data, len, hash, err);
	while (rc == 0 && len > 0) {
		n = pwrite(sp->fd, data, len, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail(err, "write");
		data += n;
		len -= (size_t)n;
		at += n;
	}
	return rc;
}

static int
make_room(struct spool *sp, size_t len, struct err *err)
{
	uint8_t *p;

	if (len <= sp->room && (sp->room <= KEPT_ROOM || len > KEPT_ROOM))
		return 0;
	free(sp->page);
	sp->page = NULL;
	sp->room = 0;
	p = malloc(len > KEPT_ROOM ? len : KEPT_ROOM);
	if (p == NULL)
		return err_nomem(err);
	sp->page = p;
	sp->room = len > KEPT_ROOM ? len : KEPT_ROOM;
	return 0;
}

int
spool_read(struct spool *sp, int64_t at, size_t len,
    const uint8_t hash[static SPOOL_HASH_LEN], const uint8_t **data,
    struct err *err)
{
	uint8_t real[SPOOL_HASH_LEN];
	size_t have = 0;
	ssize_t n;
	int rc = open_file(sp, err);

	if (rc == 0)
		rc = make_room(sp, len, err);
	while (rc == 0 && have < len) {
		n = pread(sp->fd, sp->page + have, len - have,
		    at + (int64_t)have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(err, "read");
		if (n == 0)
			break;
		have += (size_t)n;
	}
	if (rc == 0)
		rc = hash_page(sp->page, have, real, err);
	if (rc != 0)
		return rc;
	if (have < len || memcmp(real, hash, sizeof real) != 0)
		return err_set(err, E_INTEGRITY, "pull again",
		    "the inbox is damaged");
	*data = sp->page;
	return 0;
}

void
spool_cut(struct spool *sp, int64_t at)
{
	/* A file that stays too long is harmless. */
	if (open_file(sp, NULL) == 0 && ftruncate(sp->fd, at) != 0)
		errno = 0;
}

void
spool_remove(int dir)
{
	unlinkat(dir, file_name, 0);
}
