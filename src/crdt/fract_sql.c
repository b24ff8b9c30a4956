// SPDX-License-Identifier: MPL-2.0
/*
 * fract_sql.c - the triggers and the view of an ordered table.
 *
 * They are SQL and nothing else, so that programs that load nothing can insert,
 * too; what fract.c does is said once more as an expression.  A merge brings keys
 * along: then, and only then, char() is 'merge' (capture.c).
 */
#include "crdt/fract.h"

#include <string.h>

SQLITE_EXTENSION_INIT3

/* -- the arithmetic ----------------------------------------------------------- */

#define SPACES "'                          '"
#define TILDES "'~~~~~~~~~~~~~~~~~~~~~~~~~~'"
#define LEAST "'A                          '"
#define GREATEST "'z~~~~~~~~~~~~~~~~~~~~~~~~~~'"

/* How long the integer part of k is. */
#define LENGTH(k) "CASE WHEN unicode(" k ") >= 97 THEN unicode(" k ") - 95 " \
	"ELSE 92 - unicode(" k ") END"

/* Whether k is a key, i and f being its parts, or NULL. */
#define GOOD(k, i, f) "(" k " IS NULL OR (typeof(" k ") = 'text' AND " \
	"length(" k ") <= 65536 AND instr(" k ", char(0)) = 0 AND " \
	k " NOT GLOB '*[^ -~]*' AND " k " GLOB '[A-Za-z]*' AND " \
	"length(" i ") = " LENGTH(k) " AND " k " <> " LEAST " AND " \
	"(" f " = '' OR substr(" f ", -1) <> ' ')))"

/* The integer i plus 1, and less 1; p and q are its digits without the last ones
 * that carry. */
#define UP "CASE WHEN p <> '' THEN substr(ia, 1, length(p)) || " \
	"char(unicode(substr(p, -1)) + 1) || " \
	"substr(" SPACES ", 1, length(ia) - 1 - length(p)) " \
	"WHEN ia GLOB 'Z*' THEN 'a ' ELSE char(unicode(ia) + 1) || " \
	"substr(" SPACES ", 1, length(ia) - CASE WHEN ia < 'Z' THEN 2 ELSE 0 END) " \
	"END"
#define DOWN "CASE WHEN q <> '' THEN substr(ib, 1, length(q)) || " \
	"char(unicode(substr(q, -1)) - 1) || " \
	"substr(" TILDES ", 1, length(ib) - 1 - length(q)) " \
	"WHEN ib GLOB 'a*' THEN 'Z~' ELSE char(unicode(ib) - 1) || " \
	"substr(" TILDES ", 1, length(ib) - CASE WHEN ib > 'a' THEN 2 ELSE 0 END) " \
	"END"

/* Between the fraction x and 1. */
#define ABOVE(x) "substr(" x ", 1, length(" x ") - length(ltrim(" x ", '~'))) || " \
	"char(32 + (CASE ltrim(" x ", '~') WHEN '' THEN 0 " \
	"ELSE unicode(ltrim(" x ", '~')) - 32 END + 96) / 2)"

/* Between the fractions x and y: how much they have in common is found by
 * halving. */
#define PADDED(x, y) "printf('%-*s', length(" y "), " x ")"
#define HALF "(lo + hi + 1) / 2"
#define COMMON(x, y) "substr(" PADDED(x, y) ", 1, " HALF ") = " \
	"substr(" y ", 1, " HALF ")"
#define MIDPOINT(x, y) "(SELECT substr(" y ", 1, c) || CASE " \
	"WHEN dy - dx > 1 THEN char(32 + (dx + dy + 1) / 2) " \
	"WHEN length(" y ") > c + 1 THEN substr(" y ", c + 1, 1) " \
	"ELSE char(32 + dx) || " ABOVE("substr(" x ", c + 2)") " END FROM (SELECT c, " \
	"unicode(substr(" PADDED(x, y) ", c + 1)) - 32 AS dx, " \
	"unicode(substr(" y ", c + 1)) - 32 AS dy FROM (SELECT max(lo) AS c FROM (" \
	"WITH RECURSIVE s(lo, hi) AS (SELECT 0, length(" y ") - 1 UNION ALL SELECT " \
	"CASE WHEN " COMMON(x, y) " THEN " HALF " ELSE lo END, " \
	"CASE WHEN " COMMON(x, y) " THEN hi ELSE " HALF " - 1 END FROM s " \
	"WHERE lo < hi) SELECT lo FROM s))))"

/* Between 0 and the fraction y. */
#define NONZERO(y) "ltrim(" y ", ' ')"
#define BELOW(y) "substr(" y ", 1, length(" y ") - length(" NONZERO(y) ")) || " \
	"CASE WHEN unicode(" NONZERO(y) ") > 33 THEN " \
	"char(32 + (unicode(" NONZERO(y) ") - 31) / 2) " \
	"WHEN length(" NONZERO(y) ") > 1 THEN '!' ELSE ' P' END"

/* max() keeps a query from being drawn into the one around it, where it would
 * be run again for each time that its column is named. */
#define KEY_BEGIN "(SELECT CASE WHEN length(r) > 65536 THEN RAISE(ABORT, " \
	"'a fractional key may have at most 65536 bytes') ELSE r END FROM (SELECT " \
	"max(CASE WHEN a IS NULL AND b IS NULL THEN 'a ' " \
	"WHEN NOT " GOOD("a", "ia", "fa") " OR NOT " GOOD("b", "ib", "fb") \
	" THEN RAISE(ABORT, 'a row of the list, beside which one is put, has no " \
	"fractional key: give it one first') " \
	"WHEN b IS NULL AND ia = " GREATEST " THEN ia || " ABOVE("fa") \
	" WHEN b IS NULL THEN up " \
	"WHEN a IS NULL AND ib = " LEAST " THEN ib || " BELOW("fb") \
	" WHEN a IS NULL AND fb <> '' THEN ib " \
	"WHEN a IS NULL THEN down || CASE down WHEN " LEAST " THEN 'P' ELSE '' END "
#define KEY_BETWEEN "WHEN ia = ib THEN ia || " MIDPOINT("fa", "fb") \
	" WHEN up < b THEN up ELSE ia || " ABOVE("fa")
#define KEY_FROM " END) AS r FROM (" \
	"SELECT max(a) AS a, max(b) AS b, max(ia) AS ia, max(fa) AS fa, " \
	"max(ib) AS ib, max(fb) AS fb, max(" UP ") AS up, max(" DOWN ") AS down FROM (" \
	"SELECT max(a) AS a, max(b) AS b, max(ia) AS ia, max(fa) AS fa, " \
	"max(ib) AS ib, max(fb) AS fb, max(rtrim(substr(ia, 2), '~')) AS p, " \
	"max(rtrim(substr(ib, 2), ' ')) AS q FROM (" \
	"SELECT max(a) AS a, max(b) AS b, max(substr(a, 1, " LENGTH("a") ")) AS ia, " \
	"max(substr(a, 1 + " LENGTH("a") ")) AS fa, " \
	"max(substr(b, 1, " LENGTH("b") ")) AS ib, " \
	"max(substr(b, 1 + " LENGTH("b") ")) AS fb FROM (" \
	"SELECT max(v) AS a, max(w) AS b FROM (SELECT "
#define KEY_AND " AS v, "
#define KEY_END " AS w)))))))"

/* Between two keys, or before or behind one: what follows is both, NULL where
 * there is none. */
#define BETWEEN KEY_BEGIN KEY_BETWEEN KEY_FROM
#define BESIDE KEY_BEGIN KEY_FROM

/* -- parts of statements ---------------------------------------------------------- */

static const char *
order_name(const struct fract_order *o)
{
	return o->column[o->order].name;
}

/* -1 and 1 are no keys yet. */
#define PENDING(prefix) "CAST(" prefix "\"%w\" AS INTEGER) IN (-1, 1)"
#define NOT_MERGING "char() <> 'merge'"

/* Rows of new's list that have a key: begins a condition on the table. */
static void
in_list(sqlite3_str *s, const struct fract_order *o)
{
	int i;

	for (i = 0; i < o->n; i++)
		if (o->column[i].list)
			sqlite3_str_appendf(s, "\"%w\" IS new.\"%w\" AND ",
			    o->column[i].name, o->column[i].name);
	sqlite3_str_appendf(s, "\"%w\" > '' AND NOT " PENDING(""), order_name(o),
	    order_name(o));
}

/* "id" IS left."id" AND ...: the primary key. */
static void
same_row(sqlite3_str *s, const struct fract_order *o, const char *row)
{
	const char *and = "";
	int i;

	if (o->rowid != NULL && *row == 'n') {
		sqlite3_str_appendf(s, "%s = new.%s", o->rowid, o->rowid);
		return;
	}
	for (i = 0; i < o->n; i++)
		if (o->column[i].pk > 0) {
			sqlite3_str_appendf(s, "%s\"%w\" IS %s.\"%w\"", and,
			    o->column[i].name, row, o->column[i].name);
			and = " AND ";
		}
}

/* ... of the row behind which new is put, which has to be of its list. */
static void
is_target(sqlite3_str *s, const struct fract_order *o)
{
	int i;

	for (i = 0; i < o->n; i++)
		if (o->column[i].pk > 0)
			sqlite3_str_appendf(s, "\"%w\" = new.\"after_%w\" AND ",
			    o->column[i].name, o->column[i].name);
	in_list(s, o);
}

/* (SELECT its key). */
static void
target(sqlite3_str *s, const struct fract_order *o)
{
	sqlite3_str_appendf(s, "(SELECT \"%w\" FROM \"%w\" WHERE ", order_name(o),
	    o->table);
	is_target(s, o);
	sqlite3_str_appendall(s, ")");
}

/* The last key of the list for a row that is to go behind it, the first for one
 * that is to go before it: NULL where it is the other. */
static void
end_of_list(sqlite3_str *s, const struct fract_order *o, bool last)
{
	const char *order = order_name(o);

	sqlite3_str_appendf(s, "CASE CAST(new.\"%w\" AS INTEGER) WHEN %s THEN "
	    "(SELECT %s(\"%w\") FROM \"%w\" WHERE ", order, last ? "1" : "-1",
	    last ? "max" : "min", order, o->table);
	in_list(s, o);
	sqlite3_str_appendall(s, ") END");
}

/* The next key on one side of the target's; without a target the first. */
static void
neighbour(sqlite3_str *s, const struct fract_order *o, bool next)
{
	sqlite3_str_appendf(s, "(SELECT %s(\"%w\") FROM \"%w\" WHERE ",
	    next ? "min" : "max", order_name(o), o->table);
	in_list(s, o);
	sqlite3_str_appendf(s, " AND \"%w\" %s ", order_name(o), next ?
	    "> coalesce(" : "<");
	target(s, o);
	sqlite3_str_appendall(s, next ? ", ''))" : ")");
}

static void
key_behind_target(sqlite3_str *s, const struct fract_order *o)
{
	sqlite3_str_appendall(s, BETWEEN);
	target(s, o);
	sqlite3_str_appendall(s, KEY_AND);
	neighbour(s, o, true);
	sqlite3_str_appendall(s, KEY_END);
}

/* Where several rows have the target's key, there is no room behind it alone: it
 * moves to just before itself, once. */
static void
part_target(sqlite3_str *s, const struct fract_order *o)
{
	sqlite3_str_appendf(s, "UPDATE \"%w\" SET \"%w\" = ", o->table,
	    order_name(o));
	sqlite3_str_appendall(s, BETWEEN);
	neighbour(s, o, false);
	sqlite3_str_appendall(s, KEY_AND);
	target(s, o);
	sqlite3_str_appendall(s, KEY_END " WHERE ");
	is_target(s, o);
	sqlite3_str_appendf(s, " AND (SELECT count(*) FROM (SELECT 1 FROM \"%w\" "
	    "WHERE ", o->table);
	in_list(s, o);
	sqlite3_str_appendf(s, " AND \"%w\" = ", order_name(o));
	target(s, o);
	sqlite3_str_appendall(s, " LIMIT 2)) = 2; ");
}

/* "a", "b": names of columns, the table's own or new's. */
static void
names(sqlite3_str *s, const struct fract_order *o, bool pk, const char *format)
{
	const char *comma = "";
	int i;

	for (i = 0; i < o->n; i++)
		if (pk ? o->column[i].pk > 0 : !o->column[i].generated) {
			sqlite3_str_appendall(s, comma);
			sqlite3_str_appendf(s, format, o->column[i].name);
			comma = ", ";
		}
}

/* -- triggers and view ------------------------------------------------------------ */

char *
fract_name(enum fract_object i, const char *table)
{
	static const char *const formats[FRACT_OBJECTS] = {
		"__crsql_%s_fractindex_pend_trig", "__crsql_%s_fractindex_ezmove",
		"%s_fractindex", "%s_fractindex_insert_trig",
		"%s_fractindex_update_trig", "%s_fractindex_set_trig"
	};

	return sqlite3_mprintf(formats[i], table);
}

/* A new row is touched, and the trigger of updates does the rest: what that
 * needs room for is not made ready for each row that is inserted. */
static void
pend(sqlite3_str *s, const struct fract_order *o)
{
	const char *order = order_name(o);

	sqlite3_str_appendf(s, "AFTER INSERT ON \"%w\" WHEN " PENDING("new.")
	    " AND " NOT_MERGING " BEGIN UPDATE \"%w\" SET \"%w\" = \"%w\" WHERE ",
	    o->table, order, o->table, order, order);
	same_row(s, o, "new");
	sqlite3_str_appendall(s, "; END");
}

#define TRIGGER "CREATE TRIGGER "
#define MOVE_HEAD "AFTER UPDATE OF "

/* The names in front, which SQLite renames with the columns, are all there is to
 * tell how the table is ordered. */
static void
move_head(sqlite3_str *s, const struct fract_order *o)
{
	int i;

	sqlite3_str_appendf(s, MOVE_HEAD "\"%w\"", order_name(o));
	for (i = 0; i < o->n; i++)
		if (o->column[i].list)
			sqlite3_str_appendf(s, ", \"%w\"", o->column[i].name);
	sqlite3_str_appendf(s, " ON \"%w\" WHEN ", o->table);
}

static void
move(sqlite3_str *s, const struct fract_order *o)
{
	const char *order = order_name(o);

	move_head(s, o);
	sqlite3_str_appendf(s, PENDING("new.") " AND " NOT_MERGING " BEGIN UPDATE "
	    "\"%w\" SET \"%w\" = ", order, o->table, order);
	sqlite3_str_appendall(s, BESIDE);
	end_of_list(s, o, true);
	sqlite3_str_appendall(s, KEY_AND);
	end_of_list(s, o, false);
	sqlite3_str_appendall(s, KEY_END " WHERE ");
	same_row(s, o, "new");
	sqlite3_str_appendall(s, "; END");
}

/* Its columns keep their names while the table's are renamed: its triggers name
 * them. */
static void
view(sqlite3_str *s, const struct fract_order *o)
{
	int i;

	sqlite3_str_appendall(s, "SELECT ");
	for (i = 0; i < o->n; i++)
		sqlite3_str_appendf(s, "\"%w\" AS \"%w\", ", o->column[i].name,
		    o->column[i].name);
	names(s, o, true, "NULL AS \"after_%w\"");
	sqlite3_str_appendf(s, " FROM \"%w\"", o->table);
}

static void
insert(sqlite3_str *s, const struct fract_order *o)
{
	const struct fract_column *c;
	const char *comma = "";
	int i;

	sqlite3_str_appendf(s, "INSTEAD OF INSERT ON \"%w_fractindex\" BEGIN ",
	    o->table);
	part_target(s, o);
	sqlite3_str_appendf(s, "INSERT INTO \"%w\"(", o->table);
	names(s, o, false, "\"%w\"");
	sqlite3_str_appendall(s, ") VALUES(");
	for (i = 0; i < o->n; i++) {
		c = &o->column[i];
		if (c->generated)
			continue;
		sqlite3_str_appendall(s, comma);
		comma = ", ";
		if (i == o->order)
			key_behind_target(s, o);
		else if (c->preset != NULL)
			sqlite3_str_appendf(s, "coalesce(new.\"%w\", %s)", c->name,
			    c->preset);
		else
			sqlite3_str_appendf(s, "new.\"%w\"", c->name);
	}
	sqlite3_str_appendall(s, "); END");
}

/* Which of the two triggers of an UPDATE runs first is not defined: the row may
 * have its new key by now. */
static void
update(sqlite3_str *s, const struct fract_order *o)
{
	struct fract_order by_key = *o;

	by_key.rowid = NULL;
	sqlite3_str_appendall(s, "INSTEAD OF UPDATE OF ");
	names(s, o, true, "\"after_%w\"");
	sqlite3_str_appendf(s, " ON \"%w_fractindex\" BEGIN ", o->table);
	part_target(s, o);
	sqlite3_str_appendf(s, "UPDATE \"%w\" SET \"%w\" = ", o->table,
	    order_name(o));
	key_behind_target(s, o);
	sqlite3_str_appendall(s, " WHERE (");
	same_row(s, &by_key, "old");
	sqlite3_str_appendall(s, ") OR (");
	same_row(s, &by_key, "new");
	sqlite3_str_appendall(s, "); END");
}

/* What else an UPDATE of the view says; the order's column only if it is said. */
static void
set(sqlite3_str *s, const struct fract_order *o)
{
	const char *name, *comma = "";
	int i;

	sqlite3_str_appendall(s, "INSTEAD OF UPDATE OF ");
	names(s, o, false, "\"%w\"");
	sqlite3_str_appendf(s, " ON \"%w_fractindex\" BEGIN UPDATE \"%w\" SET ",
	    o->table, o->table);
	for (i = 0; i < o->n; i++) {
		name = o->column[i].name;
		if (o->column[i].generated)
			continue;
		sqlite3_str_appendf(s, "%s\"%w\" = ", comma, name);
		comma = ", ";
		if (i == o->order)
			sqlite3_str_appendf(s, "CASE WHEN new.\"%w\" IS old.\"%w\" "
			    "THEN \"%w\" ELSE new.\"%w\" END", name, name, name, name);
		else
			sqlite3_str_appendf(s, "new.\"%w\"", name);
	}
	sqlite3_str_appendall(s, " WHERE ");
	same_row(s, o, "old");
	sqlite3_str_appendall(s, "; END");
}

static void
lean(sqlite3_str *s, const struct fract_order *o)
{
	move_head(s, o);
	sqlite3_str_appendall(s, "0 AND " NOT_MERGING " BEGIN SELECT 1; END");
}

int
fract_sql(const struct fract_order *o, enum fract_object i, char **out)
{
	static void (*const texts[])(sqlite3_str *, const struct fract_order *) = {
		pend, move, view, insert, update, set, lean
	};
	char *name = fract_name(i == FRACT_LEAN ? FRACT_MOVE : i, o->table);
	sqlite3_str *s = sqlite3_str_new(NULL);
	int rc = name != NULL ? SQLITE_OK : SQLITE_NOMEM;

	sqlite3_str_appendf(s, i == FRACT_VIEW ? "CREATE VIEW \"%w\" AS " :
	    TRIGGER "\"%w\" ", name);
	texts[i](s, o);
	rc = engine_text(s, rc, out);
	sqlite3_free(name);
	return rc;
}

/* -- and read again ------------------------------------------------------------------ */

bool
fract_is_ours(const char *sql)
{
	return strstr(sql, " AND " NOT_MERGING " BEGIN ") != NULL;
}

/* The name in quotes at p, and what is behind it. */
static char *
unquote(const char *p, const char **end)
{
	sqlite3_str *s = sqlite3_str_new(NULL);

	for (p++; *p != '\0' && (*p != '"' || p[1] == '"'); p++) {
		sqlite3_str_appendf(s, "%c", *p);
		p += *p == '"';
	}
	*end = *p == '"' ? p + 1 : p;
	return sqlite3_str_finish(s);
}

/* Behind the text, if p begins with it. */
static const char *
skip(const char *p, const char *text)
{
	size_t len = strlen(text);

	return strncmp(p, text, len) == 0 ? p + len : p;
}

int
fract_next_name(const char *sql, const char **at, char **name)
{
	const char *p = *at;

	*name = NULL;
	if (p == NULL) {
		p = skip(sql, TRIGGER);
		if (*p == '"')
			sqlite3_free(unquote(p, &p));
		p = skip(p, " " MOVE_HEAD);
	} else {
		p = skip(p, ", ");
	}
	if (*p != '"')
		return SQLITE_OK;
	*name = unquote(p, at);
	return *name != NULL ? SQLITE_OK : SQLITE_NOMEM;
}
