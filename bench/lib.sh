# SPDX-License-Identifier: MPL-2.0
# shellcheck shell=bash
# lib.sh - what the scripts that measure whole processes share. To be sourced.

# Of lines of numbers, that with the median first one: that number.
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

seconds() { # COMMAND...: seconds of wall, and of the processor, on stdout; fails as it does
	local TIMEFORMAT='%R %U %S' took
	took=$({ time "$@" >/dev/null 2>&3; } 3>&2 2>&1)
	awk '{ print $1, $2 + $3 }' <<<"$took"
}

until_line() { # FILE PATTERN: until it is there, or for a minute
	timeout 60 grep -q -m1 -e "$2" <(exec tail -n +1 -f "$1" --pid=$$)
}
