#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What clang-format would write differently: a list of files. Fails only when STRICT=1.
# Usage: format.sh [ROOT]
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 1
command -v clang-format >/dev/null || {
	echo "lint format: clang-format is not installed, skipped"
	exit 0
}

files=0
problems=0
for source in $(find common config daemon tests -name '*.[ch]' | sort); do
	files=$((files + 1))
	n=$(clang-format --dry-run "$source" 2>&1 | grep -c 'clang-format-violations')
	if [ "$n" -gt 0 ]; then
		echo "$source:1: $n places are not as clang-format writes them"
		problems=$((problems + 1))
	fi
done
echo "lint format: $files files, $problems problems"
[ "$problems" -eq 0 ] || [ "${STRICT:-0}" != 1 ]
