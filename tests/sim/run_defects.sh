#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Is the simulation worth anything? Plants every defect of tests/sim/defects/ into a copy of the sources and demands that sim
# finds it among the seeds of `make check-sim`. What the core alone gets wrong is the model's business (tests/model);
# these only show when disk, restart and network play together.
# Usage: run_defects.sh LAST_SEED [ROOT]; CC and MAKE are taken from the environment.
set -u
unset MAKEFLAGS MFLAGS SAN # whatever the caller builds, this is built plain

broken() {
	tail -n 20 "$1"
	echo "defects: $name: $2"
	exit 255 # xargs stops
}

# Started by itself, several at a time, with the folder of the built copy, the last seed and one patch.
if [ "${1:-}" = --one ]; then
	name=$(basename "$4" .patch)
	cp -a "$2/tree" "$2/$name" && cd "$2/$name" || exit 255
	patch -p1 -s -f <"$4" >build.log 2>&1 || broken build.log "does not apply any more"
	"${MAKE:-make}" -s BUILD=b b/tests/sim/sim >build.log 2>&1 || broken build.log "cannot be built"
	# The line that names a seed: it has shown the defect, and trying others first only takes time.
	seed=$(sed -n 's/^Seed: //p' "$4" | head -n 1)
	rc=0
	[ -z "$seed" ] || { b/tests/sim/sim --seeds "$seed" --jobs 1 --first >sim.log 2>&1; rc=$?; }
	[ $rc -ne 0 ] || { b/tests/sim/sim --seeds "1-$3" --jobs 1 --first >sim.log 2>&1; rc=$?; }
	case $rc in
	0) printf '%-28s SURVIVED\n' "$name" ;;
	1) printf '%-28s caught by seed %s: %s\n' "$name" "$(sed -n 's/^sim: FAILED: seed \([0-9]*\),.*/\1/p' sim.log | head -n 1)" \
		"$(sed -n 's/^sim: VIOLATION: //p' sim.log | head -n 1)" ;;
	*) broken sim.log "the simulation broke" ;;
	esac
	# One of them shows as well that what --shrink prints fails again when it is replayed, and that it is the defect's fault.
	if grep -q '^Shrink: yes' "$4"; then
		seed=$(sed -n 's/^sim: FAILED: seed \([0-9]*\),.*/\1/p' sim.log | head -n 1)
		b/tests/sim/sim --shrink "$seed" 2>&1 | sed -n 's/^sim \(--seed .*\)/\1/p' >small
		[ -s small ] || broken sim.log "--shrink printed no scenario"
		grep -q -e --without small || broken small "--shrink left everything in"
		b/tests/sim/sim --replay small >small.log 2>&1
		[ $? -eq 1 ] || broken small.log "what --shrink found does not fail again"
		"$2/tree/b/tests/sim/sim" --replay small >small.log 2>&1 ||
			broken small.log "what --shrink found fails without the defect"
		printf '%-28s shrunk to %s\n' "$name" "$(cat small)" >"$2/shrunk"
	fi
	rm -rf "${2:?}/$name"
	exit 0
fi

root=$(cd "${2:-$(dirname "$0")/../..}" && pwd) || exit 1
copy=$(mktemp -d) || exit 1
trap 'rm -rf "$copy"' EXIT

for path in Makefile common config daemon tests/sandbox tests/sim; do
	mkdir -p "$(dirname "$copy/tree/$path")" && cp -r "$root/$path" "$copy/tree/$path" || exit 1
done
cd "$copy/tree" || exit 1
name="the sources as they are"
"${MAKE:-make}" -s -j"$(nproc)" BUILD=b b/tests/sim/sim >build.log 2>&1 || broken build.log "cannot be built"
printf '%s\n' tests/sim/defects/*.patch | sed "s,^,$copy/tree/," |
	xargs -n 1 -P "$(nproc)" sh tests/sim/run_defects.sh --one "$copy" "$1" >"$copy/results" || {
	cat "$copy/results"
	exit 1
}
sort "$copy/results"
cat "$copy/shrunk" || exit 1
planted=$(wc -l <"$copy/results") caught=$(grep -c ' caught by ' "$copy/results")
echo "defects: $planted planted, $caught caught"
[ "$planted" -ge 24 ] && [ "$planted" -eq "$caught" ]
