#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every header compiles alone, with gcc and with clang (those that are installed).
# Usage: headers.sh [ROOT]
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 1

pkgs="libuv libcurl json-c libcrypto yaml-0.1 libsystemd libmicrohttpd libidn2 libpsl"
# shellcheck disable=SC2046,SC2086
set -- -std=gnu17 -fsyntax-only -x c -I. -D_GNU_SOURCE -DDVCERT_VERSION='"0"' -include common/banned.h \
	-Wall -Wextra -Werror -Wstrict-prototypes -Wno-unused $(pkg-config --cflags $pkgs 2>/dev/null)

files=0
problems=0
for header in $(find common config daemon tests -name '*.h' | sort); do
	files=$((files + 1))
	for cc in gcc clang; do
		command -v $cc >/dev/null || continue
		if ! out=$(printf '#include "%s"\n' "$header" | $cc "$@" - 2>&1); then
			printf '%s:1: does not compile alone with %s:\n%s\n' "$header" $cc "$out" | head -8
			problems=$((problems + 1))
		fi
	done
done
echo "lint headers: $files files, $problems problems"
[ "$problems" -eq 0 ] && [ "$files" -gt 0 ]
