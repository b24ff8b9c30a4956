#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# lib-veilid.sh - a private network of real Veilid nodes, for tests and the bench.
# Sourced by bash scripts after cli/lib.sh; needs root and VEILID_NODE (the
# program), and ends the script as skipped where they are missing.
#
#   veilid_start [N]            N nodes (6), each on a host of its own; returns when
#                               all can be used
#   veilid_api I                the path of node I's socket
#   veilid_kill I               SIGKILL
#   veilid_again I              starts it again with its state, until it can be used
#   veilid_stop                 ends all nodes and removes their network
#   make_place NAME             a host for databases: loopback and nothing else, so
#                               that sockets of nodes are the only way out
#   in_place NAME COMMAND       runs it there
#   start_in_place NAME COMMAND like lib.sh's start, there
#
# A host is a network namespace without a name, held by a process of ours. It goes
# with its last process, and all of them go with the script, even if that is killed:
# nothing has to be removed, and runs side by side do not meet. What is started here
# has to be started by the script itself, not by a subshell of it, whose end would
# be theirs.
#
# A node is node I of the network at 11.0.I.1 and 2600:11::I. Veilid takes itself for
# reachable only with addresses that the Internet could have, a gateway (there is
# none, only its address), and both kinds of IP; with an address of its own each
# node counts as one of another network.
VEILID_LIB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
VEILID_PORT=5150
VEILID_DIR=$TEST_DIR/veilid
# nodes that must be found before one can be used: it takes 4 others
VEILID_NODES=6
VEILID_RECORD=
declare -A host_pid=()

veilid_skip() {
	echo "1..0 # SKIP $1"
	exit 0
}
[ -x "${VEILID_NODE-}" ] || veilid_skip "no Veilid node: make veilid-node builds one"
if [ "$(id -u)" != 0 ] || ! unshare -n true 2>/dev/null || ! command -v ip >/dev/null; then
	veilid_skip "Veilid's nodes need root, network namespaces and ip"
fi

# ends with the script
bound() { exec setpriv --pdeathsig KILL "$@"; }

# start_host NAME - a namespace, with its loopback; host_pid[NAME] holds it.
start_host() {
	local line
	[ -p "$TEST_DIR/.hosts" ] || mkfifo "$TEST_DIR/.hosts" || return 1
	bound unshare -n sh -c 'ip link set lo up && echo up && exec sleep infinity' \
		<>"$TEST_DIR/.hosts" >&0 &
	host_pid[$1]=$!
	IFS= read -r -t "${WAIT_SECONDS:-20}" line <>"$TEST_DIR/.hosts" && [ "$line" = up ]
}

stop_host() {
	kill -KILL "${host_pid[$1]}"
	wait "${host_pid[$1]}" 2>/dev/null
	unset "host_pid[$1]"
}

host() { echo "/proc/${host_pid[$1]}/ns/net"; }
at_host() { nsenter --net="$(host "$1")" "${@:2}"; }

make_place() { start_host "place-$1"; }
in_place() { at_host "place-$1" "${@:2}"; }
start_in_place() {
	local name=$1 net
	shift
	net=$(host "place-$name") && start "$name" nsenter --net="$net" "$@"
}

# The bridge is a host of its own: nothing of the machine is touched.
make_bridge() {
	start_host bridge &&
		at_host bridge ip link add br0 type bridge forward_delay 0 stp_state 0 &&
		at_host bridge ip link set br0 up
}

# one ip for each namespace, as each takes its time
make_node_host() {
	start_host "node$1" &&
		at_host bridge ip -batch - <<-E && at_host "node$1" ip -batch - <<-E
		link add port$1 type veth peer name eth0 netns ${host_pid[node$1]}
		link set port$1 master br0 up
		E
		addr add 11.0.$1.1/32 dev eth0
		addr add 2600:11::$1/128 dev eth0 nodad
		link set eth0 up
		route add 11.0.0.0/16 dev eth0
		route add default via 11.0.0.1 dev eth0 onlink
		route add 2600:11::/64 dev eth0
		route add default via 2600:11::ff dev eth0
		E
}

veilid_api() { echo "$VEILID_DIR/$1/api"; }

# what stands in no option: nobody is asked for an address, no port is opened
veilid_settings() {
	cat <<-E
	{"network": {"upnp": false, "detect_address_changes": false,
	 "routing_table": {"bootstrap": [], "bootstrap_keys": []}}}
	E
}

# start_node I - until its socket is open
start_node() {
	local net bootstrap=() i=$1
	net=$(host "node$i") || return 1
	[ -z "$VEILID_RECORD" ] || [ "$i" = 1 ] || bootstrap=(--bootstrap "$VEILID_RECORD")
	start "node$i" setpriv --pdeathsig KILL nsenter --net="$net" \
		"$VEILID_NODE" --api "$(veilid_api "$i")" --state "$VEILID_DIR/$i/state" \
		--config "$VEILID_DIR/settings" --network-key-file "$VEILID_DIR/key" \
		--listen ":$VEILID_PORT" "${bootstrap[@]}"
}

node_listens() { wait_line "node$1" '^listening '; }

# nodes_ready I... - until all of them can be used
nodes_ready() {
	local i apis=()
	for i in "$@"; do
		node_listens "$i" || return 1
		apis+=("$(veilid_api "$i")")
	done
	python3 "$VEILID_LIB/vapi.py" ready "${apis[@]}"
}

veilid_start() {
	local i id
	VEILID_NODES=${1:-$VEILID_NODES}
	mkdir -m 700 "$VEILID_DIR" && veilid_settings >"$VEILID_DIR/settings" &&
		(umask 077 && echo "ddcp $$" >"$VEILID_DIR/key") && make_bridge || return 1
	for i in $(seq "$VEILID_NODES"); do
		make_node_host "$i" && mkdir -m 700 "$VEILID_DIR/$i" || return 1
	done
	# The first is whom the others ask: they have to know its key. Nobody signs
	# for it in a private network, but a signature has its place.
	start_node 1 && node_listens 1 &&
		id=$(python3 "$VEILID_LIB/vapi.py" id "$(veilid_api 1)") || return 1
	VEILID_RECORD="1|0|$id|11.0.1.1|T$VEILID_PORT,U$VEILID_PORT|$(date +%s)|VLD0:$(printf 'A%.0s' {1..86})"
	for i in $(seq 2 "$VEILID_NODES"); do
		start_node "$i"
	done
	# shellcheck disable=SC2046 # words are wanted here
	nodes_ready $(seq "$VEILID_NODES")
}

veilid_kill() {
	kill -KILL "${test_pid[node$1]}" || return 1
	wait "${test_pid[node$1]}" 2>/dev/null
	unset "test_pid[node$1]"
}

veilid_again() { start_node "$1" && nodes_ready "$1"; }

veilid_stop() {
	local i name code=0
	for i in $(seq "$VEILID_NODES"); do
		[ -z "${test_pid[node$i]-}" ] || stop "node$i" || code=1
	done
	for name in "${!host_pid[@]}"; do
		stop_host "$name"
	done
	rm -rf "$VEILID_DIR"
	return $code
}
