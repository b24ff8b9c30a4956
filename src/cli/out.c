// SPDX-License-Identifier: MPL-2.0
/*
 * out.c - how answers, notes and errors look.  stdout is the answer, stderr is
 * everything else.
 */
#include "cli/print.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The character at s if it is one that breaks lines or turns the direction of what
 * follows, so that it reads other than it is: U+2028 to U+202E, U+2066 to U+2069.
 * Else 0. */
static unsigned
turning(const char *s)
{
	unsigned c;

	if (s[0] != '\xE2' || (s[1] != '\x80' && s[1] != '\x81') ||
	    (s[2] & 0xC0) != 0x80)
		return 0;
	c = 0x2000 | (s[1] & 1u) << 6 | (s[2] & 0x3Fu);
	return (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) ?
	    c : 0;
}

char *
cli_safe(const char *text)
{
	size_t len = strlen(text), n = 0, i;
	char *out = malloc(4 * len + 1);
	unsigned char c;

	if (out == NULL) {
		fputs("error: out of memory\n", stderr);
		exit(-DDCP_EFATAL);
	}
	for (i = 0; i < len; i++) {
		c = (unsigned char)text[i];
		/* C1 controls are U+0080..U+009F: C2 80..C2 9F in UTF-8 */
		if (c < 0x20 || c == 0x7F)
			n += (size_t)sprintf(out + n, "\\x%02x", c);
		else if (c == 0xC2 && ((unsigned char)text[i + 1] & 0xE0) == 0x80)
			n += (size_t)sprintf(out + n, "\\x%02x",
			    (unsigned char)text[++i]);
		else if (turning(text + i) != 0) {
			n += (size_t)sprintf(out + n, "\\u%04x", turning(text + i));
			i += 2;
		} else
			out[n++] = (char)c;
	}
	out[n] = '\0';
	return out;
}

char *
cli_paint(const struct cli *cli, enum cli_colour colour, const char *text)
{
	char *out;

	if (!cli->color)
		out = strdup(text);
	else if (asprintf(&out, "\x1b[%dm%s\x1b[0m", (int)colour, text) < 0)
		out = NULL;
	if (out == NULL) {
		fputs("error: out of memory\n", stderr);
		exit(-DDCP_EFATAL);
	}
	return out;
}

int
cli_fail(const ddcp_error *error)
{
	char *text = cli_safe(error->text[0] ? error->text : "it failed");
	char *hint = cli_safe(error->hint);

	fflush(stdout);
	fprintf(stderr, "error: %s\n", text);
	if (hint[0] != '\0')
		fprintf(stderr, "hint: %s\n", hint);
	free(text);
	free(hint);
	return error->code != 0 ? error->code : DDCP_EFATAL;
}

void
cli_say(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	if (cli->quiet)
		return;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

void
cli_note(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	if (cli->quiet)
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

json_t *
cli_text(const char *text)
{
	json_t *string = json_string(text);
	char *safe, *p;

	if (string != NULL)
		return string;
	safe = cli_safe(text);
	for (p = safe; *p != '\0'; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	string = json_string(safe);
	free(safe);
	return string;
}

/* Escapes the one control character that JSON's ASCII leaves as it is; frees it. */
static char *
escape_del(char *text)
{
	static const char escaped[] = "\\u007f";
	size_t n = 0, len = strlen(escaped);
	const char *p;
	char *out, *q;

	for (p = text; *p != '\0'; p++)
		n += *p == 0x7F;
	if (n == 0)
		return text;
	out = q = cli_memory(malloc((size_t)(p - text) + n * len + 1));
	for (p = text; *p != '\0'; p++) {
		if (*p == 0x7F) {
			memcpy(q, escaped, len);
			q += len;
		} else
			*q++ = *p;
	}
	*q = '\0';
	free(text);
	return out;
}

char *
cli_json_text(json_t *document)
{
	char *out = cli_memory(json_dumps(document, JSON_COMPACT |
	    JSON_PRESERVE_ORDER | JSON_ENCODE_ANY | JSON_ENSURE_ASCII));

	json_decref(document);
	return escape_del(out);
}

void
cli_json(json_t *document)
{
	char *text = cli_json_text(document);

	puts(text);
	fflush(stdout);
	free(text);
}

const char *
cli_ago(int64_t then_ms, char out[32])
{
	struct timespec now;
	int64_t s;

	if (then_ms == 0)
		return strcpy(out, "never");
	clock_gettime(CLOCK_REALTIME, &now);
	s = now.tv_sec - then_ms / 1000;
	if (s < 1)
		strcpy(out, "just now");
	else if (s < 120)
		snprintf(out, 32, "%lld s ago", (long long)s);
	else if (s < 2 * 3600)
		snprintf(out, 32, "%lld min ago", (long long)(s / 60));
	else if (s < 2 * 86400)
		snprintf(out, 32, "%lld h ago", (long long)(s / 3600));
	else
		snprintf(out, 32, "%lld days ago", (long long)(s / 86400));
	return out;
}

const char *
cli_count(uint64_t n, const char *one, char out[48])
{
	snprintf(out, 48, "%llu %.30s%s", (unsigned long long)n, one,
	    n == 1 ? "" : "s");
	return out;
}

void
cli_note_forked(const struct cli *cli)
{
	cli_note(cli, "note: %s is a copy or an old state of its database; "
	    "what is written from now on has a new site id", cli->shown);
}

ddcp_options
cli_open_options(const struct cli *cli)
{
	return (ddcp_options){ .db_file = cli->db_file,
		.state_dir = cli->state_dir, .config_file = cli->config_file,
		.timeout_ms = cli->timeout_ms };
}

int
cli_open(const struct cli *cli, bool readonly, ddcp **out)
{
	ddcp_options options = cli_open_options(cli);
	ddcp_error error = { 0 };

	options.readonly = readonly;
	if (ddcp_open(&options, out, &error) != 0)
		return cli_fail(&error);
	if (ddcp_was_forked(*out))
		cli_note_forked(cli);
	return 0;
}
