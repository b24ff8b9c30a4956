#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# net-namespaces.sh NET_PEER - LAN discovery between two network namespaces on
# one bridge, with no default route. Makes the namespaces and removes them.
# Needs root; without, says so and exits 77. Prints TAP.
set -u
peer=$1
tag=ddcp$$
a=$tag-a
b=$tag-b
bridge=$tag-br
work=$(mktemp -d)
n=0
failed=0
server=

stop_server()
{
	if [ -n "$server" ]; then
		exec 3>&-
		wait "$server" 2>/dev/null
		server=
	fi
}

clean_up()
{
	stop_server
	for ns in "$a" "$b" "$bridge"; do
		ip netns del "$ns" 2>/dev/null
	done
	rm -rf "$work"
}

if ! ip netns add "$bridge" 2>/dev/null; then
	echo "1..0 # SKIP network namespaces need root and ip"
	rm -rf "$work"
	exit 77
fi
trap clean_up EXIT
trap 'exit 130' INT TERM

in_bridge() { ip -n "$bridge" "$@"; }

# Anew: two namespaces with an interface each, without addresses but the
# link-local ones of IPv6 (at once, with no duplicate detection).
fresh()
{
	stop_server
	ip netns del "$a" 2>/dev/null
	ip netns del "$b" 2>/dev/null
	in_bridge link del br0 2>/dev/null
	in_bridge link add br0 type bridge mcast_snooping 0
	in_bridge link set br0 up
	for ns in "$a" "$b"; do
		port=port-${ns##*-}
		ip netns add "$ns"
		in_bridge link del "$port" 2>/dev/null
		in_bridge link add "$port" type veth peer name eth0 netns "$ns"
		in_bridge link set "$port" master br0 up
		ip netns exec "$ns" sh -c 'echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad'
		if [ "${no_ipv6:-}" = 1 ]; then
			ip netns exec "$ns" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6'
		fi
		ip -n "$ns" link set lo up
		ip -n "$ns" link set eth0 up
	done
}

# serve NAME - starts a server in a and waits until it serves.
serve()
{
	rm -f "$work/input" "$work/output"
	mkfifo "$work/input" "$work/output"
	ip netns exec "$a" "$peer" serve "$1" <"$work/input" >"$work/output" 3>&- &
	server=$!
	exec 3>"$work/input"
	read -r line <"$work/output"
	echo "# $line"
}

find_in_b() { ip netns exec "$b" "$peer" find "$1" "$2" 2>&1; }

result()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2 ($3)"
		ip netns exec "$b" "$peer" status | sed 's/^/# /'
		failed=1
	fi
}

# finds WHERE WHAT - alice is found at a place that begins with WHERE.
finds()
{
	place=$(find_in_b alice 5000)
	case $place in
	"$1"*) result 0 "$2, at $place" ;;
	*) result 1 "$2" "$place" ;;
	esac
}

finds_not()
{
	if place=$(find_in_b "$1" 600); then
		result 1 "$2" "$place"
	else
		result 0 "$2"
	fi
}

no_ipv6=1 fresh
ip -n "$a" addr add 10.77.0.1/24 dev eth0
ip -n "$b" addr add 10.77.0.2/24 dev eth0
serve alice
finds 10.77.0.1: "IPv4, no default route"
finds_not bob "another address finds nothing"

for ns in a b; do in_bridge link set "port-$ns" type bridge_slave mcast_flood off; done
finds 10.77.0.1: "multicast is lost: by broadcast"

no_ipv6=0 fresh
serve alice
finds "[fe80::" "IPv6 with link-local addresses only"

no_ipv6=1 fresh
serve alice
ip -n "$a" addr add 10.77.0.1/24 dev eth0
ip -n "$b" addr add 10.77.0.2/24 dev eth0
finds 10.77.0.1: "an address that came after serve"

no_ipv6=1 fresh
ip -n "$a" addr add 9.9.9.1/24 dev eth0
ip -n "$b" addr add 9.9.9.2/24 dev eth0
serve alice
finds_not alice "public addresses are left alone"

echo "1..$n"
exit $failed
