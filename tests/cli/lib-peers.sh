#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# lib-peers.sh - databases that know each other, for tests that begin there.
# Sourced after lib.sh.
#
#   make_db NAME           NAME.db, initialised, with table t(id, v)
#   introduce A B          both name each other
#   sql NAME SQL           writes as a plain program
#   key_of NAME            the 43 characters

make_db() {
	ddcp -f "$1.db" init -q &&
		rows "$1.db" 'create table t(id text primary key, v text)' &&
		ddcp -f "$1.db" track -q t
}

key_of() {
	local address
	address=$(address "$1.db") && echo "${address#VLD0:}"
}

introduce() {
	ddcp -f "$1.db" remote add -q "$2" "$(key_of "$2")" &&
		ddcp -f "$2.db" remote add -q "$1" "$(key_of "$1")"
}

sql() { rows "$1.db" "$2"; }

# serve NAME [OPTIONS]: until it listens; PLACE is where.
serve() {
	local name=$1
	shift
	start "$name" "$DDCP" -f "$name.db" serve "$@" &&
		wait_line "$name" '^Serving '
}

port_of() { sed -n 's/^Serving .*:\([0-9]*\)$/\1/p' "$1.log" | head -n 1; }
