#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Are the models worth anything? Plants every defect of tests/model/defects/ into a copy of the sources of its own and demands
# that a model finds it: model_job, or the program that the patch names. Usage: run_defects.sh [ROOT]; CC and MAKE are taken from the environment.
set -u
unset MAKEFLAGS MFLAGS SAN # whatever the caller builds, this is built plain

# Jobs, programs.
build() {
	jobs=$1
	shift
	"${MAKE:-make}" -s -j"$jobs" BUILD=b LIB_SRC="$(echo common/*.c config/*.c daemon/core/*.c daemon/certcentral/queue.c)" \
		$(printf 'b/tests/model/%s ' "$@") >build.log 2>&1
}

broken() {
	cat "$1"
	echo "defects: $name: $2"
	exit 255 # xargs stops
}

# Started by itself, several at a time, with the folder of the built copy and one patch.
if [ "${1:-}" = --one ]; then
	name=$(basename "$3" .patch)
	cp -a "$2/tree" "$2/$name" && cd "$2/$name" || exit 255
	patch -p1 -s -f <"$3" >build.log 2>&1 || broken build.log "does not apply any more"
	program=$(sed -n 's/^Program: //p' "$3" | head -n 1)
	program=${program:-model_job}
	build 1 "$program" || broken build.log "cannot be built"
	# The line that names a world: it shows the defect, and walking the others only takes time.
	world=$(sed -n 's/^World: //p' "$3" | head -n 1)
	"b/tests/model/$program" ${world:+"$world"} >model.log 2>&1
	case $? in
	0) printf '%-28s SURVIVED\n' "$name" ;;
	1) printf '%-28s caught: %s\n' "$name" "$(sed -n '$s/^model_[a-z]*: VIOLATION[^:]*: //p' model.log)" ;;
	*) broken model.log "the model broke" ;;
	esac
	rm -rf "${2:?}/$name"
	exit 0
fi

root=$(cd "${1:-$(dirname "$0")/../..}" && pwd) || exit 1
copy=$(mktemp -d) || exit 1
trap 'rm -rf "$copy"' EXIT

for path in Makefile common config daemon/core daemon/certcentral daemon/io tests/model; do
	mkdir -p "$(dirname "$copy/tree/$path")" && cp -r "$root/$path" "$copy/tree/$path" || exit 1
done
cd "$copy/tree" || exit 1
name="the sources as they are"
build "$(nproc)" model_job model_pair model_gate || broken build.log "cannot be built"
printf '%s\n' tests/model/defects/*.patch | sed "s,^,$copy/tree/," |
	xargs -n 1 -P "$(nproc)" sh tests/model/run_defects.sh --one "$copy" >"$copy/results" || {
	cat "$copy/results"
	exit 1
}
sort "$copy/results"
planted=$(wc -l <"$copy/results") caught=$(grep -c ' caught: ' "$copy/results")
echo "defects: $planted planted, $caught caught"
[ "$planted" -ge 50 ] && [ "$planted" -eq "$caught" ]
