// SPDX-License-Identifier: MPL-2.0
/*
 * The program is started by posix_spawn(), and its end is noticed by its standard
 * output: libuv would take SIGCHLD, which belongs to the program that uses this
 * library.
 */
#include "node/veilid_node.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node-paths.h"

extern char **environ;

enum { SAYS_MAX = 200 };        /* of its last words, for people */

enum listener { NOBODY, SOMEBODY, UNKNOWN };

static const char hint_build[] = "make veilid-node builds it, make install "
    "puts it where it is found; or name it: ddcp config veilid.program PATH";

struct veilid_node {
	uv_loop_t *loop;
	uv_timer_t timer;
	uv_pipe_t says;                 /* its standard output */
	char bytes[256];                /* of it, which nobody reads */
	char socket[VEILID_NODE_PATH_MAX];
	char program[PATH_MAX];         /* or "" */
	char state[PATH_MAX], log[PATH_MAX];
	pid_t pid;                      /* 0: none of ours */
	int stdin_fd;
	off_t log_begins;               /* of this one's words */
	uint64_t started_ms, not_before;
	uint32_t wait_ms;
	struct err why;
	bool closing, saying;
};

static void on_timer(uv_timer_t *timer);

/* ---- where ---- */

/* DIR/ddcp/veilid, for this user alone, or "". */
static int
make_directory(const char *dir, const char *below, char *out, size_t max,
    struct err *err)
{
	static const char *const parts[] = { "", "/ddcp", "/veilid" };
	char path[PATH_MAX];
	struct stat st;
	size_t n, i;

	n = (size_t)snprintf(path, sizeof path, "%s%s", dir, below);
	for (i = 0; i < sizeof parts / sizeof *parts; i++) {
		if (n + 16 >= sizeof path || n + 16 >= max)
			return err_set(err, E_FATAL, NULL,
			    "%.60s... is too long a path", dir);
		n += (size_t)snprintf(path + n, sizeof path - n, "%s",
		    parts[i]);
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			return err_set(err, E_FATAL, NULL, "can't make %s: %s",
			    path, strerror(errno));
	}
	if (lstat(path, &st) != 0)
		return err_set(err, E_FATAL, NULL, "can't look at %s: %s", path,
		    strerror(errno));
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return err_set(err, E_FATAL, "chmod 700 it, or remove it",
		    "%s has to be a directory for you alone", path);
	strcpy(out, path);
	return 0;
}

/* What the node keeps, and its log: $XDG_STATE_HOME, or ~/.local/state. */
static int
state_directory(char *out, size_t max, struct err *err)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char path[PATH_MAX];

	if (state != NULL && state[0] == '/')
		return make_directory(state, "", out, max, err);
	if (home == NULL || home[0] != '/' || strlen(home) + 32 >= sizeof path)
		return err_set(err, E_FATAL, "set HOME",
		    "there is no place for a Veilid node's files");
	snprintf(path, sizeof path, "%s/.local", home);
	mkdir(path, 0700);      /* make_directory() says what went wrong */
	return make_directory(home, "/.local/state", out, max, err);
}

int
veilid_node_socket(char out[static VEILID_NODE_PATH_MAX], struct err *err)
{
	static const char hint[] = "name a socket: ddcp config veilid.api "
	    "unix:PATH";
	const char *run = getenv("XDG_RUNTIME_DIR");
	char path[PATH_MAX];
	int n, rc;

	if (run != NULL && run[0] == '/' && access(run, W_OK) == 0)
		rc = make_directory(run, "", path, sizeof path, err);
	else
		rc = state_directory(path, sizeof path, err);
	if (rc != 0)
		return rc;
	n = snprintf(out, VEILID_NODE_PATH_MAX, "%.107s/api", path);
	if (n >= VEILID_NODE_PATH_MAX)
		return err_set(err, E_FATAL, hint, "the path of the Veilid "
		    "node's socket would be too long: %.60s.../api", path);
	return 0;
}

/* ---- the program ---- */

/* The directory of this program, or "". */
static void
own_directory(char out[static PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 64);
	char *slash;

	out[n > 0 ? n : 0] = '\0';
	slash = strrchr(out, '/');
	if (slash != NULL)
		*slash = '\0';
}

/* The program to start; a name without a slash is looked for in the PATH. */
static void
find_program(const struct veilid_node *n, char out[static PATH_MAX])
{
	static const char *const places[] = { "/veilid-node",
		"/../libexec/ddcp/veilid-node",
		"/../../veilid-node" };         /* where it is built */
	char dir[PATH_MAX];
	size_t i, len;

	snprintf(out, PATH_MAX, "%s", n->program);
	if (out[0] != '\0')
		return;
	own_directory(dir);
	len = strlen(dir);
	for (i = 0; i < sizeof places / sizeof *places && len > 0; i++) {
		if (i == 2 && (len < 8 || strcmp(dir + len - 8, "/src/cli") != 0))
			continue;
		snprintf(out, PATH_MAX, "%.*s%s", PATH_MAX - 40, dir, places[i]);
		if (access(out, X_OK) == 0)
			return;
	}
	/* a program that uses the library may stand anywhere */
	strcpy(out, DDCP_VEILID_NODE);
	if (access(out, X_OK) != 0)
		strcpy(out, "veilid-node");
}

/* Opens its log; what an earlier one said is kept once. */
static int
open_log(struct veilid_node *n)
{
	char old[PATH_MAX + 8];
	struct stat st;
	int fd;

	if (stat(n->log, &st) == 0 && st.st_size > VEILID_NODE_LOG_MAX / 2) {
		snprintf(old, sizeof old, "%s.1", n->log);
		rename(n->log, old);
	}
	fd = open(n->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	n->log_begins = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
	return fd;
}

/* A node that talks much begins its log anew. */
static void
bound_log(const struct veilid_node *n)
{
	struct stat st;

	if (stat(n->log, &st) == 0 && st.st_size > VEILID_NODE_LOG_MAX)
		truncate(n->log, 0);
}

/* The last line that it wrote, or "". */
static void
last_words(const struct veilid_node *n, char out[static SAYS_MAX])
{
	int fd = open(n->log, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
	off_t from = end - n->log_begins > SAYS_MAX - 1 ? end - (SAYS_MAX - 1)
	    : n->log_begins;
	ssize_t len = 0;
	char *line;

	out[0] = '\0';
	if (fd < 0)
		return;
	if (end > from && from >= 0)
		len = pread(fd, out, SAYS_MAX - 1, from);
	close(fd);
	while (len > 0 && out[len - 1] == '\n')
		len--;
	out[len > 0 ? len : 0] = '\0';
	line = strrchr(out, '\n');
	if (line != NULL)
		memmove(out, line + 1, strlen(line + 1) + 1);
}

/* The error of the first that fails. */
static int
give_files(posix_spawn_file_actions_t *files, int in, int out, int log)
{
	int rc = posix_spawn_file_actions_adddup2(files, in, 0);

	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(files, out, 1);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(files, log >= 0 ? log
		    : out, 2);
	return rc;
}

static int
give_signals(posix_spawnattr_t *attr)
{
	sigset_t none, pipe;
	int rc;

	sigemptyset(&none);
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	rc = posix_spawnattr_setsigmask(attr, &none);
	if (rc == 0)
		rc = posix_spawnattr_setsigdefault(attr, &pipe);
	/* Ctrl-C is for who started it, whose end is its own. */
	if (rc == 0)
		rc = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK
		    | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	return rc;
}

/* Returns an errno. */
static int
spawn(struct veilid_node *n, const char *program, int in, int out, int log)
{
	char state[PATH_MAX + 8];
	char name[] = "veilid-node", api[] = "--api", in_dir[] = "--state";
	char until_eof[] = "--until-eof";
	char *argv[] = { name, api, n->socket, in_dir, state, until_eof, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int rc;

	snprintf(state, sizeof state, "%s/node", n->state);
	rc = posix_spawn_file_actions_init(&files);
	if (rc != 0)
		return rc;
	rc = posix_spawnattr_init(&attr);
	if (rc != 0)
		goto done;
	rc = give_files(&files, in, out, log);
	if (rc == 0)
		rc = give_signals(&attr);
	if (rc == 0)
		rc = posix_spawnp(&n->pid, program, &files, &attr, argv,
		    environ);
	posix_spawnattr_destroy(&attr);
done:
	posix_spawn_file_actions_destroy(&files);
	if (rc != 0)
		n->pid = 0;
	return rc;
}

/* ---- its life ---- */

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void
freed(uv_handle_t *handle)
{
	free(handle->data);
}

static void
says_closed(uv_handle_t *handle)
{
	struct veilid_node *n = handle->data;

	n->saying = false;
	if (n->closing)
		uv_close((uv_handle_t *)&n->timer, freed);
}

/* It is about to be gone, or does not want to be. */
static void
reap(struct veilid_node *n)
{
	pid_t rc = waitpid(n->pid, NULL, WNOHANG);

	if (rc == 0)
		kill(-n->pid, SIGKILL);
	while (rc == 0 || (rc < 0 && errno == EINTR))
		rc = waitpid(n->pid, NULL, 0);
	n->pid = 0;
}

/* It has ended, or was ended. */
static void
bury(struct veilid_node *n)
{
	char said[SAYS_MAX];

	uv_timer_stop(&n->timer);
	reap(n);
	close_fd(&n->stdin_fd);
	uv_close((uv_handle_t *)&n->says, says_closed);
	if (n->closing)
		return;
	if (uv_now(n->loop) - n->started_ms >= VEILID_NODE_STEADY_MS)
		n->wait_ms = 0;
	n->wait_ms = n->wait_ms == 0 ? VEILID_NODE_AGAIN_MIN_MS : 2 * n->wait_ms;
	if (n->wait_ms > VEILID_NODE_AGAIN_MAX_MS)
		n->wait_ms = VEILID_NODE_AGAIN_MAX_MS;
	n->not_before = uv_now(n->loop) + n->wait_ms;
	last_words(n, said);
	err_set(&n->why, E_FATAL, NULL, "the Veilid node ended%s%s; its log is %s",
	    said[0] != '\0' ? ": " : "", said, n->log);
	uv_timer_start(&n->timer, on_timer, VEILID_NODE_AGAIN_MIN_MS, 0);
}

static void
give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct veilid_node *n = handle->data;

	buf->base = n->bytes;
	buf->len = sizeof n->bytes;
}

static void
on_says(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
	struct veilid_node *n = stream->data;

	if (len < 0)
		bury(n);
	else if (len > 0)
		err_clear(&n->why);     /* it says that it listens */
}

static void
no_program(struct veilid_node *n, const char *program, int rc)
{
	if (rc == ENOENT)
		err_set(&n->why, E_NOTFOUND, hint_build,
		    "there is no program %s to be the Veilid node", program);
	else
		err_set(&n->why, E_FATAL, hint_build, "can't start %s: %s",
		    program, strerror(rc));
	n->not_before = uv_now(n->loop) + VEILID_NODE_AGAIN_MAX_MS;
}

/* Takes the end of its standard output; returns an errno. */
static int
hear(struct veilid_node *n, int *fd)
{
	int rc;

	uv_pipe_init(n->loop, &n->says, 0);
	n->says.data = n;
	n->saying = true;
	rc = -uv_pipe_open(&n->says, *fd);
	if (rc == 0)
		*fd = -1;
	return rc;
}

static void
start(struct veilid_node *n)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, log = -1, rc = 0;
	char program[PATH_MAX];

	find_program(n, program);
	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
		rc = errno;
	if (rc == 0)
		rc = hear(n, &out[0]);
	if (rc == 0) {
		log = open_log(n);
		rc = spawn(n, program, in[0], out[1], log);
	}
	if (rc == 0) {
		n->stdin_fd = in[1];
		in[1] = -1;
		n->started_ms = uv_now(n->loop);
		rc = -uv_read_start((uv_stream_t *)&n->says, give_buffer,
		    on_says);
	}
	close_fd(&in[0]);
	close_fd(&in[1]);
	close_fd(&out[0]);
	close_fd(&out[1]);
	close_fd(&log);
	if (rc == 0)
		return;
	if (n->pid != 0)
		bury(n);
	else if (n->saying)
		uv_close((uv_handle_t *)&n->says, says_closed);
	no_program(n, program, rc);
}

/* Where that can't be told, nobody is to be started beside whoever may listen. */
static enum listener
who_listens(struct veilid_node *n)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	enum listener who = UNKNOWN;

	strcpy(at.sun_path, n->socket);
	if (fd >= 0 && (connect(fd, (const struct sockaddr *)&at,
	    sizeof at) == 0 || errno == EAGAIN))
		who = SOMEBODY;
	else if (fd >= 0 && (errno == ENOENT || errno == ECONNREFUSED))
		who = NOBODY;
	else
		err_set(&n->why, E_FATAL, NULL,
		    "can't look who listens at %s: %s", n->socket,
		    strerror(errno));
	close_fd(&fd);
	return who;
}

static void
on_timer(uv_timer_t *timer)
{
	struct veilid_node *n = timer->data;
	uint64_t next = VEILID_NODE_LOOK_MS;
	enum listener who;

	if (n->closing) {
		/* if it has not ended by itself meanwhile */
		if (n->pid != 0)
			bury(n);
		return;
	}
	who = n->pid != 0 ? SOMEBODY : who_listens(n);
	if (who == SOMEBODY)
		next = VEILID_NODE_REST_MS;
	if (n->pid != 0) {
		bound_log(n);
	} else if (who == SOMEBODY) {
		err_clear(&n->why);
		n->wait_ms = 0;
	} else if (who == NOBODY && !n->saying
	    && uv_now(n->loop) >= n->not_before) {
		start(n);
	}
	uv_timer_start(timer, on_timer, next, 0);
}

int
veilid_node_open(uv_loop_t *loop, const char *socket, const char *program,
    unsigned after_ms, struct veilid_node **out, struct err *err)
{
	struct veilid_node *n = calloc(1, sizeof *n);
	int rc;

	if (n == NULL)
		return err_nomem(err);
	rc = state_directory(n->state, sizeof n->state - 16, err);
	if (rc != 0) {
		free(n);
		return rc;
	}
	n->loop = loop;
	n->stdin_fd = -1;
	snprintf(n->socket, sizeof n->socket, "%s", socket);
	snprintf(n->program, sizeof n->program, "%s", program);
	snprintf(n->log, sizeof n->log, "%.*s/log", PATH_MAX - 8, n->state);
	uv_timer_init(loop, &n->timer);
	n->timer.data = n;
	uv_timer_start(&n->timer, on_timer, after_ms, 0);
	*out = n;
	return 0;
}

void
veilid_node_why(const struct veilid_node *n, struct err *out)
{
	*out = n->why;
}

void
veilid_node_close(struct veilid_node *n)
{
	if (n == NULL)
		return;
	n->closing = true;
	/* it has its time from now on, not from the loop's last turn */
	uv_update_time(n->loop);
	close_fd(&n->stdin_fd);
	if (n->pid != 0)
		uv_timer_start(&n->timer, on_timer, VEILID_NODE_END_MS, 0);
	else if (!n->saying)
		uv_close((uv_handle_t *)&n->timer, freed);
}
