// SPDX-License-Identifier: MPL-2.0
/* fract.c - the arithmetic of fractional keys; fract_sql.c says it in SQL. */
#include "crdt/fract.h"

#include <string.h>

enum { ZERO = ' ', TOP = '~', BASE = TOP - ZERO + 1, INTEGER_MAX = 27 };

#define TOO_LONG "a fractional key may have at most 65536 bytes"
_Static_assert(FRACT_KEY_MAX == 65536, "TOO_LONG says so");

/* -- what a key is ---------------------------------------------------------- */

/* How long the integer part is; 0: that is no first character. */
static size_t
integer_len(char head)
{
	if (head >= 'a' && head <= 'z')
		return (size_t)(head - 'a') + 2;
	return head >= 'A' && head <= 'Z' ? (size_t)('Z' - head) + 2 : 0;
}

/* 'A' and nothing but zeros: below it is no integer. */
static bool
is_least(const char *integer, size_t len)
{
	size_t i;

	for (i = 1; i < len && integer[i] == ZERO; i++)
		;
	return integer[0] == 'A' && i == len;
}

static bool
has_digits(struct fract_key k)
{
	size_t i;

	for (i = 0; i < k.len && k.text[i] >= ZERO && k.text[i] <= TOP; i++)
		;
	return i == k.len;
}

static const char *
check(struct fract_key k)
{
	size_t len;

	if (k.text == NULL)
		return NULL;
	if (k.len == 0)
		return "an empty text is no fractional key";
	if (k.len > FRACT_KEY_MAX)
		return TOO_LONG;
	len = integer_len(k.text[0]);
	if (len == 0)
		return "head is out of range";
	if (len > k.len)
		return "integer part of key is too long";
	if (!has_digits(k))
		return "invalid digit";
	if (is_least(k.text, k.len))
		return "Key is too small";
	if (k.len > len && k.text[k.len - 1] == ZERO)
		return "Fractional part should not end with ' ' (space)";
	return NULL;
}

static int
compare(struct fract_key a, struct fract_key b)
{
	int c = memcmp(a.text, b.text, a.len < b.len ? a.len : b.len);

	return c != 0 || a.len == b.len ? c : a.len < b.len ? -1 : 1;
}

/* -- integers ---------------------------------------------------------------- */

struct integer {
	char text[INTEGER_MAX];
	size_t len;
};

/* The integer of another head: all its digits are that one. */
static void
set_all(struct integer *n, int head, char digit)
{
	n->text[0] = (char)head;
	n->len = integer_len((char)head);
	memset(n->text + 1, digit, n->len - 1);
}

static struct integer
integer_of(struct fract_key k)
{
	struct integer n = { .len = integer_len(k.text[0]) };

	memcpy(n.text, k.text, n.len);
	return n;
}

/* One more; false at the greatest. */
static bool
increment(struct integer *n)
{
	size_t i = n->len - 1;

	for (; i > 0 && n->text[i] == TOP; i--)
		n->text[i] = ZERO;
	if (i > 0)
		n->text[i]++;
	else if (n->text[0] == 'z')
		return false;
	else
		set_all(n, n->text[0] == 'Z' ? 'a' : n->text[0] + 1, ZERO);
	return true;
}

/* One less; not of the least. */
static void
decrement(struct integer *n)
{
	size_t i = n->len - 1;

	for (; i > 0 && n->text[i] == ZERO; i--)
		n->text[i] = TOP;
	if (i > 0)
		n->text[i]--;
	else
		set_all(n, n->text[0] == 'a' ? 'Z' : n->text[0] - 1, TOP);
}

/* -- fractions ----------------------------------------------------------------- */

static struct fract_key
rest(struct fract_key k, size_t n)
{
	n = n < k.len ? n : k.len;
	return (struct fract_key){ k.text + n, k.len - n };
}

static int
digit(struct fract_key k)
{
	return k.len > 0 ? k.text[0] - ZERO : 0;
}

static void
put_digit(struct buf *out, int d)
{
	buf_add_u8(out, (uint8_t)(ZERO + d));
}

/* Between x and 1. */
static void
above(struct buf *out, struct fract_key x)
{
	size_t n = 0;

	while (n < x.len && x.text[n] == TOP)
		n++;
	buf_add(out, x.text, n);
	put_digit(out, (digit(rest(x, n)) + BASE + 1) / 2);
}

/* Between x and y, x < y, and y does not end in a zero. */
static void
midpoint(struct buf *out, struct fract_key x, struct fract_key y)
{
	size_t n = 0;
	int dx, dy;

	while (n + 1 < y.len && digit(rest(x, n)) == digit(rest(y, n)))
		n++;
	buf_add(out, y.text, n);
	dx = digit(rest(x, n));
	dy = digit(rest(y, n));
	if (dy - dx > 1) {
		put_digit(out, (dx + dy + 1) / 2);
	} else if (y.len > n + 1) {
		put_digit(out, dy);
	} else {
		put_digit(out, dx);
		above(out, rest(x, n + 1));
	}
}

/* -- keys ------------------------------------------------------------------------ */

static void
put_integer(struct buf *out, const struct integer *n)
{
	buf_add(out, n->text, n->len);
}

static void
behind(struct buf *out, struct fract_key a)
{
	struct integer n = integer_of(a);

	if (increment(&n)) {
		put_integer(out, &n);
		return;
	}
	buf_add(out, a.text, n.len);
	above(out, rest(a, n.len));
}

static void
before(struct buf *out, struct fract_key b)
{
	struct integer n = integer_of(b);

	if (is_least(n.text, n.len)) {
		put_integer(out, &n);
		midpoint(out, (struct fract_key){ "", 0 }, rest(b, n.len));
		return;
	}
	if (b.len == n.len)
		decrement(&n);
	put_integer(out, &n);
	/* which is no key alone: there would be no room before it */
	if (is_least(n.text, n.len))
		above(out, (struct fract_key){ "", 0 });
}

static void
between(struct buf *out, struct fract_key a, struct fract_key b)
{
	struct integer x = integer_of(a), y = integer_of(b);
	size_t len = x.len;

	if (len == y.len && memcmp(x.text, y.text, len) == 0) {
		put_integer(out, &x);
		midpoint(out, rest(a, len), rest(b, len));
	} else if (increment(&x) &&
	    compare((struct fract_key){ x.text, x.len }, b) < 0) {
		put_integer(out, &x);
	} else {
		buf_add(out, a.text, len);
		above(out, rest(a, len));
	}
}

const char *
fract_between(struct fract_key a, struct fract_key b, struct buf *out)
{
	const char *why = check(a);

	if (why == NULL)
		why = check(b);
	if (why != NULL)
		return why;
	if (a.text != NULL && b.text != NULL && compare(a, b) >= 0)
		return "key_between - a must be before b";
	if (a.text == NULL && b.text == NULL)
		buf_add(out, "a ", 2);
	else if (b.text == NULL)
		behind(out, a);
	else if (a.text == NULL)
		before(out, b);
	else
		between(out, a, b);
	return out->len > FRACT_KEY_MAX ? TOO_LONG : NULL;
}
