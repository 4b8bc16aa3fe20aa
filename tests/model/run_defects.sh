#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Is the model worth anything? Plants every defect of tests/model/defects/ into a copy of the sources and demands
# that model_job finds it. Usage: run_defects.sh [ROOT]; CC and MAKE are taken from the environment.
set -u
unset MAKEFLAGS MFLAGS SAN # whatever the caller builds, this is built plain

root=$(cd "${1:-$(dirname "$0")/../..}" && pwd) || exit 1
copy=$(mktemp -d) || exit 1
trap 'rm -rf "$copy"' EXIT

for path in Makefile common config daemon/core tests/model; do
	mkdir -p "$copy/$(dirname "$path")" && cp -r "$root/$path" "$copy/$path" || exit 1
done
cd "$copy" || exit 1

build() {
	"${MAKE:-make}" -s -j"$(nproc)" BUILD=b LIB_SRC="$(echo common/*.c daemon/core/*.c)" b/tests/model/model_job \
		>build.log 2>&1 && return
	cat build.log
	echo "defects: cannot build $1"
	exit 1
}

planted=0 caught=0
for patch in tests/model/defects/*.patch; do
	name=$(basename "$patch" .patch)
	planted=$((planted + 1))
	if ! patch -p1 -s -f <"$patch" >build.log 2>&1; then
		cat build.log
		echo "defects: $name does not apply any more"
		exit 1
	fi
	build "$name"
	if b/tests/model/model_job >model.log 2>&1; then
		printf '%-28s SURVIVED\n' "$name"
	else
		caught=$((caught + 1))
		printf '%-28s caught: %s\n' "$name" "$(tail -n 1 model.log | sed 's/^model_job: VIOLATION//; s/^ in world "[^"]*": //')"
	fi
	patch -p1 -s -f -R <"$patch" >build.log 2>&1 || exit 1
done
echo "defects: $planted planted, $caught caught"
[ "$planted" -ge 8 ] && [ "$planted" -eq "$caught" ]
