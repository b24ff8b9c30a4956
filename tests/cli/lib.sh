#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# lib.sh - what the tests of the command line share. Sourced by bash scripts
# that stand beside it; each runs in a scratch directory of its own, speaks TAP
# and is ended by test_done. Needs DDCP (the program) and FIXTURES.
#
#   test_expect_success 'what holds' 'commands'   commands joined by &&
#   test_must_fail COMMAND      fails, but not by a signal or 127
#   test_code N COMMAND         ends with exactly N
#   test_says N SENTENCE COMMAND  the same, with one line of error, which holds
#                               the sentence, and a hint; they are in err
#   test_cmp EXPECT ACTUAL      equal files, else a diff
#   start NAME COMMAND          in the background, output in NAME.log
#   stop NAME                   SIGTERM, and its exit code
#   wait_line NAME PATTERN [N]  until NAME.log has N lines (1) like that
#   rows DB SQL                 what sqlite3 answers
set -u
export LC_ALL=C.UTF-8
unset DDCP_DB_FILE DB_FILE DDCP_STATE_DIR STATE_DIR DDCP_EXT_FILE EXT_FILE

: "${DDCP:?the program under test}" "${FIXTURES:?the fixtures}"
TEST_LIB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TEST_DIR=$(mktemp -d "${TMPDIR:-/tmp}/ddcp-test.XXXXXX")
export XDG_CONFIG_HOME=$TEST_DIR/.config
test_count=0
test_failed=0
declare -A test_pid=()

test_cleanup() {
	local pids
	mapfile -t pids <<<"$(jobs -p)"
	if [ -n "${pids[*]}" ]; then
		# for these only: wait alone would wait for a tail of wait_line
		kill -KILL "${pids[@]}" 2>/dev/null
		wait "${pids[@]}" 2>/dev/null
	fi
	cd / && rm -rf "$TEST_DIR"
}
trap test_cleanup EXIT
# else bash would run the trap above in the midst of what was interrupted, and hang
trap 'exit 130' INT
cd "$TEST_DIR" || exit 1

ddcp() { "$DDCP" "$@"; }

# mortal ddcp ARGUMENTS...: as one who may not write what file modes forbid, as root may
mortal() {
	shift
	if [ "$(id -u)" = 0 ]; then
		setpriv --bounding-set=-dac_override,-dac_read_search "$DDCP" "$@"
	else
		"$DDCP" "$@"
	fi
}

# A function of its own, so that the commands may say `return 1`.
test_commands() { eval "$1"; }

test_expect_success() {
	test_count=$((test_count + 1))
	if test_commands "$2" >"$TEST_DIR/.out" 2>&1; then
		echo "ok $test_count - $1"
	else
		test_failed=$((test_failed + 1))
		echo "not ok $test_count - $1"
		sed 's/^/# /' "$TEST_DIR/.out"
		for log in "$TEST_DIR"/*.log; do
			[ -e "$log" ] || continue
			echo "# -- ${log##*/}"
			tail -n 20 "$log" | sed 's/^/# /'
		done
	fi
}

test_done() {
	echo "1..$test_count"
	[ "$test_failed" = 0 ]
	exit
}

test_code() {
	local want=$1 got
	shift
	"$@"
	got=$?
	[ "$got" = "$want" ] && return 0
	echo "exit code $got instead of $want: $*"
	return 1
}

test_says() {
	local code=$1 sentence=$2
	shift 2
	test_code "$code" "$@" 2>err && [ "$(grep -c "^error: " err)" = 1 ] &&
		grep -q "^error: .*$sentence" err && grep -q "^hint: ." err && return 0
	echo "not the sentence '$sentence' and a hint, but:"
	cat err
	return 1
}

test_must_fail() {
	"$@"
	local got=$?
	[ "$got" != 0 ] && [ "$got" != 127 ] && { [ "$got" -le 128 ] ||
		[ "$got" = 130 ]; } && return 0
	echo "exit code $got of: $*"
	return 1
}

test_cmp() { diff -u "$1" "$2"; }

start() {
	local name=$1
	shift
	: >"$name.log"
	"$@" >"$name.log" 2>&1 </dev/null &
	test_pid[$name]=$!
}

stop() {
	local pid=${test_pid[$1]} code
	unset "test_pid[$1]"
	kill -TERM "$pid"
	wait "$pid"
	code=$?
	[ "$code" = 0 ] && return 0
	echo "$1 ended with $code"
	return 1
}

# tail follows by file events; nothing here sleeps.
wait_line() {
	local tail_pid line n=0 code=1
	exec 9< <(exec tail --pid=$$ -n +1 -f "$1.log" 2>/dev/null)
	tail_pid=$!
	while IFS= read -r -t "${WAIT_SECONDS:-20}" line <&9; do
		grep -q -e "$2" <<<"$line" && n=$((n + 1))
		if [ "$n" -ge "${3:-1}" ]; then
			code=0
			break
		fi
	done
	kill "$tail_pid" 2>/dev/null
	exec 9<&-
	[ "$code" = 0 ] || echo "not ${3:-1} lines like '$2' in $1.log"
	return "$code"
}

# Waits until the query gives the expected text; woken by the events of serve.
wait_rows() {
	local name=$1 db=$2 sql=$3 want=$4 tail_pid code=1
	[ "$(rows "$db" "$sql")" = "$want" ] && return 0
	exec 9< <(exec tail --pid=$$ -n +1 -f "$name.log" 2>/dev/null)
	tail_pid=$!
	while IFS= read -r -t "${WAIT_SECONDS:-20}" <&9; do
		if [ "$(rows "$db" "$sql")" = "$want" ]; then
			code=0
			break
		fi
	done
	kill "$tail_pid" 2>/dev/null
	exec 9<&-
	[ "$code" = 0 ] || echo "$db: got '$(rows "$db" "$sql")', want '$want'"
	return "$code"
}

rows() { sqlite3 -cmd '.timeout 5000' "$1" "$2"; }

address() { ddcp --db-file "$1" addr; }
