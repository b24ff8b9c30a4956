// SPDX-License-Identifier: MPL-2.0
/* print.c - see print.h. */
#include "cli/print.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

void *
cli_memory(void *p)
{
	if (p == NULL) {
		fputs("error: out of memory\n", stderr);
		exit(-DDCP_EFATAL);
	}
	return p;
}

/* -- values ---------------------------------------------------------------------- */

static char *
hex_of(const uint8_t *data, size_t n)
{
	char *out = cli_memory(malloc(2 * n + 1));
	size_t i;

	for (i = 0; i < n; i++)
		sprintf(out + 2 * i, "%02x", data[i]);
	out[2 * n] = '\0';
	return out;
}

static bool
is_utf8(const char *text, size_t n)
{
	json_t *string = json_stringn(text, n);

	json_decref(string);
	return string != NULL;
}

/* The bytes of a text up to max that are whole characters. */
static size_t
whole(const char *text, size_t n, size_t max)
{
	if (max == 0 || n <= max)
		return n;
	while (max > 0 && ((unsigned char)text[max] & 0xC0) == 0x80)
		max--;
	return max;
}

/* The text in quotes, its own doubled; NULs are shown like other controls. */
static void
put_text(FILE *to, const char *text, size_t n)
{
	size_t i, from;
	char *part, *safe;

	fputc('\'', to);
	for (from = 0; from <= n; from = i + 1) {
		for (i = from; i < n && text[i] != '\0' && text[i] != '\''; i++)
			continue;
		part = cli_memory(strndup(text + from, i - from));
		safe = cli_safe(part);
		fputs(safe, to);
		free(part);
		free(safe);
		if (i < n)
			fputs(text[i] == '\0' ? "\\x00" : "''", to);
	}
	fputc('\'', to);
}

/* The shortest number that is read as the same one, and as a REAL. */
static void
put_real(FILE *to, double real)
{
	char text[40];

	if (isinf(real)) {
		fputs(real < 0 ? "-9e999" : "9e999", to);
		return;
	}
	snprintf(text, sizeof text, "%.15g", real);
	if (strtod(text, NULL) != real)
		snprintf(text, sizeof text, "%.17g", real);
	fprintf(to, "%s%s", text, strpbrk(text, ".e") == NULL ? ".0" : "");
}

static void
put_bytes(FILE *to, const ddcp_value *v, size_t max)
{
	size_t n = max == 0 || v->size <= max / 2 ? v->size : max / 2;
	bool text = v->type == DDCP_TEXT;
	char *hex;

	if (text && is_utf8(v->data, v->size)) {
		n = whole(v->data, v->size, max);
		put_text(to, v->data, n);
	} else {
		hex = hex_of(v->data, n);
		fprintf(to, text ? "CAST(x'%s' AS TEXT)" : "x'%s'", hex);
		free(hex);
	}
	if (n < v->size)
		fprintf(to, "… (%zu bytes)", v->size);
}

static void
put_literal(FILE *to, const ddcp_value *v, size_t max)
{
	switch (v->type) {
	case DDCP_NULL:
		fputs("NULL", to);
		break;
	case DDCP_INTEGER:
		fprintf(to, "%lld", (long long)v->integer);
		break;
	case DDCP_REAL:
		put_real(to, v->real);
		break;
	case DDCP_TEXT:
	case DDCP_BLOB:
		put_bytes(to, v, max);
		break;
	}
}

char *
cli_literal(const ddcp_value *v, size_t max)
{
	ddcp_cell cell = { .column = "", .value = *v };

	return cli_literals(&cell, 1, max);
}

char *
cli_literals(const ddcp_cell *cell, size_t n, size_t max)
{
	char *out = NULL;
	size_t len, i;
	FILE *to = cli_memory(open_memstream(&out, &len));

	for (i = 0; i < n; i++) {
		if (i > 0)
			fputs(", ", to);
		put_literal(to, &cell[i].value, max);
	}
	if (fclose(to) != 0) {
		free(out);
		out = NULL;
	}
	return cli_memory(out);
}

static json_t *
hex_json(const char *kind, const ddcp_value *v)
{
	char *hex = hex_of(v->data, v->size);
	json_t *out = json_pack("{s:s}", kind, hex);

	free(hex);
	return out;
}

json_t *
cli_value_json(const ddcp_value *v)
{
	json_t *out = NULL;

	switch (v->type) {
	case DDCP_NULL:
		out = json_null();
		break;
	case DDCP_INTEGER:
		out = json_integer((json_int_t)v->integer);
		break;
	case DDCP_REAL:
		out = isinf(v->real) ? json_pack("{s:s}", "real",
		    v->real < 0 ? "-9e999" : "9e999") : json_real(v->real);
		break;
	case DDCP_TEXT:
		out = json_stringn(v->data, v->size);
		if (out == NULL)
			out = hex_json("text", v);
		break;
	case DDCP_BLOB:
		out = hex_json("blob", v);
		break;
	}
	return cli_memory(out);
}

json_t *
cli_cells_json(const ddcp_cell *cell, size_t n)
{
	json_t *out = cli_memory(json_object());
	char *name;
	size_t i;

	for (i = 0; i < n; i++) {
		if (json_object_set_new(out, cell[i].column,
		    cli_value_json(&cell[i].value)) == 0)
			continue;
		name = cli_safe(cell[i].column);        /* no UTF-8 */
		json_object_set_new_nocheck(out, name,
		    cli_value_json(&cell[i].value));
		free(name);
	}
	return out;
}

/* -- reading ------------------------------------------------------------------------ */

/* 'text', from behind the first quote to the last. */
static bool
read_text(const char *text, ddcp_value *v, char *out)
{
	bool closed = false;
	size_t n = 0;

	for (; *text != '\0'; text++) {
		closed = *text == '\'' && *++text != '\'';
		if (closed)
			break;
		out[n++] = *text;
	}
	v->type = DDCP_TEXT;
	v->size = n;
	return closed && *text == '\0';
}

static int
digit_of(char c)
{
	return isdigit((unsigned char)c) ? c - '0' :
	    isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

static bool
read_blob(const char *text, ddcp_value *v, char *out)
{
	size_t n = 0;

	for (; digit_of(text[0]) >= 0 && digit_of(text[1]) >= 0; text += 2)
		out[n++] = (char)(digit_of(text[0]) << 4 | digit_of(text[1]));
	v->type = DDCP_BLOB;
	v->size = n;
	return text[0] == '\'' && text[1] == '\0';
}

/* As SQLite reads them: what is too large for an integer is a real one. */
static bool
read_number(const char *text, ddcp_value *v)
{
	const char *p = text + (*text == '-' || *text == '+');
	char *end;

	if (!isdigit((unsigned char)*p) &&
	    !(*p == '.' && isdigit((unsigned char)p[1])))
		return false;
	if (strspn(p, "0123456789.eE+-") != strlen(p))
		return false;
	errno = 0;
	v->type = DDCP_INTEGER;
	v->integer = strtoll(text, &end, 10);
	if (*end == '\0' && errno == 0)
		return true;
	v->type = DDCP_REAL;
	v->real = strtod(text, &end);
	return *end == '\0';
}

bool
cli_read_literal(const char *text, ddcp_value *v, char **bytes)
{
	*v = (ddcp_value){ .type = DDCP_NULL };
	*bytes = cli_memory(malloc(strlen(text) + 1));
	v->data = *bytes;
	if (strcasecmp(text, "NULL") == 0)
		return true;
	if (text[0] == '\'')
		return read_text(text + 1, v, *bytes);
	if ((text[0] == 'x' || text[0] == 'X') && text[1] == '\'')
		return read_blob(text + 2, v, *bytes);
	return read_number(text, v);
}

/* -- who and when ------------------------------------------------------------------- */

char *
cli_author(const ddcp_author *author, uint64_t version)
{
	char *name = cli_safe(author->name), *out;

	if (version == 0)
		return name;
	if (asprintf(&out, "%s@%llu", name, (unsigned long long)version) < 0)
		out = NULL;
	free(name);
	return cli_memory(out);
}

void
cli_author_json(json_t *object, const ddcp_author *author, uint64_t version,
    int64_t time_ms)
{
	char *site = hex_of(author->site, DDCP_SITE_LEN);

	json_object_set_new(object, "author", cli_text(author->name));
	json_object_set_new(object, "version",
	    json_integer((json_int_t)version));
	json_object_set_new(object, "address", json_string(author->address));
	json_object_set_new(object, "site", json_string(site));
	json_object_set_new(object, "time_ms", json_integer(time_ms));
	free(site);
}

const char *
cli_time(int64_t ms, char out[32])
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;

	if (ms == 0 || localtime_r(&s, &tm) == NULL ||
	    strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		strcpy(out, "unknown");
	return out;
}

const char *
cli_age(int64_t ms, char out[32])
{
	return ms == 0 ? strcpy(out, "at an unknown time") : cli_ago(ms, out);
}

void
cli_heading(char **last, const char *table)
{
	char *line;

	if (*last != NULL && strcmp(*last, table) == 0)
		return;
	free(*last);
	*last = cli_memory(strdup(table));
	line = cli_safe(table);
	puts(line);
	free(line);
}
