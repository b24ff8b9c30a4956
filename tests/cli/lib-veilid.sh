#!/bin/bash
# SPDX-License-Identifier: MPL-2.0
# lib-veilid.sh - databases on simulated Veilid nodes. Sourced after lib-peers.sh;
# needs VEILID_NODE, the node program with the simulated network.
#
#   begin_nodes N          N nodes, at node/api.1 to node/api.N
#   on_node NAME N         that database is on the node, without any other way
#   fault N COMMAND        the simulation's "fault" (Debug); what is armed is so
#                          for all nodes
#   place_of NAME          of its record, for "fault arm ... --record PLACE"
: "${VEILID_NODE:?the node program with a simulated network}"
mkdir -m 700 node run
export XDG_RUNTIME_DIR=$TEST_DIR/run XDG_STATE_HOME=$TEST_DIR/state
mkdir -p "$XDG_STATE_HOME"

begin_nodes() {
	start nodes "$VEILID_NODE" --simulate "$1" --api "$PWD/node/api" &&
		wait_line nodes '^listening ' "$1"
}

on_node() {
	ddcp -f "$1.db" config network.veilid on &&
		ddcp -f "$1.db" config network.discovery no &&
		ddcp -f "$1.db" config network.listen 127.0.0.1:"$((14600 + $2))" &&
		ddcp -f "$1.db" config veilid.api "unix:$PWD/node/api.$2"
}

# ask N REQUEST: the value of the answer
ask() {
	python3 - "node/api.$1" "$2" <<-'END'
		import json, socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		s.sendall(json.dumps({"id": 7, **json.loads(sys.argv[2])}).encode() + b"\n")
		for line in s.makefile():
		    answer = json.loads(line)
		    if answer.get("id") == 7:
		        print(answer.get("value", answer))
		        sys.exit("error" in answer)
	END
}

fault() { ask "$1" "{\"op\": \"Debug\", \"command\": \"fault $2\"}"; }

place_of() {
	ask 1 "{\"op\": \"GetDhtRecordKey\", \"owner\": \"$(address "$1.db")\", \"encryption_key\": null,
		\"schema\": {\"kind\": \"DFLT\", \"o_cnt\": 1}}"
}
