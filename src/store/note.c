// SPDX-License-Identifier: MPL-2.0
#include "store/note.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "base/rd.h"
#include "store/statedir.h"

enum { NOTE_LEN = 512, SUM_LEN = 8, MAGIC_LEN = 8 };

static const char magic[] = "ddcpnot1";
static const char file_name[] = "note";

static void
checksum(const uint8_t *data, uint8_t out[static SUM_LEN])
{
	uint8_t full[SHA256_DIGEST_LENGTH];

	SHA256(data, NOTE_LEN - SUM_LEN, full);
	memcpy(out, full, SUM_LEN);
}

int
note_read(int state_dir, struct note *out, bool *found, struct err *err)
{
	uint8_t data[NOTE_LEN], sum[SUM_LEN];
	struct rd r;
	uint64_t n;
	size_t len;
	int rc;

	*found = false;
	memset(out, 0, sizeof *out);
	rc = statedir_read(state_dir, file_name, data, sizeof data, &len, err);
	if (rc != 0 || len != NOTE_LEN || memcmp(data, magic, MAGIC_LEN) != 0)
		return rc;
	checksum(data, sum);
	if (memcmp(sum, data + NOTE_LEN - SUM_LEN, SUM_LEN) != 0)
		return 0;
	rd_init(&r, data + MAGIC_LEN, NOTE_LEN - MAGIC_LEN - SUM_LEN);
	rd_copy(&r, sizeof out->log_id, out->log_id);
	rd_copy(&r, sizeof out->site, out->site);
	out->head = rd_u64(&r);
	rd_copy(&r, sizeof out->head_token, out->head_token);
	n = rd_u64(&r);
	if (n > NOTE_OWN_MAX)
		return 0;
	for (; out->nown < n; out->nown++) {
		out->own[out->nown].version = rd_u64(&r);
		rd_copy(&r, STORE_TOKEN_LEN, out->own[out->nown].token);
	}
	*found = !rd_failed(&r);
	return 0;
}

static void
encode(const struct note *n, uint8_t data[static NOTE_LEN])
{
	struct buf b;
	unsigned i;

	memset(data, 0, NOTE_LEN);
	buf_init(&b, NOTE_LEN - SUM_LEN);
	buf_add(&b, magic, MAGIC_LEN);
	buf_add(&b, n->log_id, sizeof n->log_id);
	buf_add(&b, n->site, sizeof n->site);
	buf_add_u64(&b, n->head);
	buf_add(&b, n->head_token, sizeof n->head_token);
	buf_add_u64(&b, n->nown);
	for (i = 0; i < n->nown; i++) {
		buf_add_u64(&b, n->own[i].version);
		buf_add(&b, n->own[i].token, STORE_TOKEN_LEN);
	}
	if (!b.failed)
		memcpy(data, b.data, b.len);
	buf_clear(&b);
	checksum(data, data + NOTE_LEN - SUM_LEN);
}

int
note_write(int state_dir, const struct note *n, struct err *err)
{
	uint8_t data[NOTE_LEN];
	ssize_t done;
	int fd;

	encode(n, data);
	fd = openat(state_dir, file_name, O_WRONLY | O_CREAT | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, E_FATAL, "check the permissions of the "
		    "state directory", "can't write the note of what was "
		    "sent: %s", strerror(errno));
	done = pwrite(fd, data, sizeof data, 0);
	close(fd);
	if (done != (ssize_t)sizeof data)
		return err_set(err, E_FATAL, "free some space",
		    "can't write the note of what was sent: %s",
		    strerror(errno));
	return 0;
}
