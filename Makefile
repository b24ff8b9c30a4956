# SPDX-License-Identifier: MPL-2.0
# A thin front for Meson: each target is a line or two here.
BUILD ?= build
SEEDS ?= 10000

.PHONY: all demo test packages bench bench-veilid sim fuzz veilid-node install clean

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	meson setup $(BUILD)

# Asks before it installs (on a terminal), silent when all is there.
packages:
	@tools/packages build

demo: packages all
	@tools/demo $(BUILD)

# Every test, in every build variant; ends with "N passed, N failed, N skipped".
test:
	@tools/packages test
	@tools/test

# make bench SO=other/crsqlite.so: that one beside ours
bench: packages
	@tools/bench $(if $(SO),--so $(SO))

# Over Veilid, on a private network of real nodes; needs root and Rust: doc/VEILID.md
bench-veilid: packages
	@tools/bench --veilid

# make sim SEEDS=10000 JOBS=2
JOBS ?= 2
sim: packages all
	$(BUILD)/tests/sim/sim --seeds $(SEEDS) --jobs $(JOBS) --quick 1

# make fuzz SECONDS=600: each target that long.
SECONDS ?= 20
fuzz:
	@tools/packages test
	@tools/fuzz $(SECONDS)

# A Veilid node for the network "veilid", with Rust: doc/VEILID.md
veilid-node:
	@tools/veilid-node $(BUILD)

install: packages all
	meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf build build-*
