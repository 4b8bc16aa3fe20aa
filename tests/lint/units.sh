#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The units are understood by systemd and stay locked down.
# Usage: units.sh [ROOT]
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 1
command -v systemd-analyze >/dev/null || {
	echo "lint units: systemd-analyze is not installed, skipped"
	exit 0
}

# Tenths of systemd's exposure score. A change that opens something must say so here. The helper is root by its purpose, and all else
# of it is closed.
limit_of() {
	case $1 in
	dvcertd.service) echo 9 ;;
	dvcertd-helper@.service) echo 15 ;;
	esac
}

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
problems=0
files=0
for unit in systemd/*.service systemd/*.socket systemd/*.path systemd/*.timer; do
	[ -e "$unit" ] || continue
	files=$((files + 1))
	# The programs need not be installed: verify only asks whether ExecStart= can be executed.
	sed -E 's#=/usr/s?bin/dvcert(d|ctl)\b#=/bin/true#; s#=/usr/libexec/dvcertd/[a-z-]+#=/bin/true#' "$unit" \
		>"$work/${unit##*/}"
done
for unit in "$work"/*.service "$work"/*.socket "$work"/*.path "$work"/*.timer; do
	[ -e "$unit" ] || continue
	name=${unit##*/}
	# verify ends with 0 for an unknown directive and only warns: any word about this unit is a problem.
	out=$(systemd-analyze verify --recursive-errors=no --man=no "$unit" 2>&1) || problems=$((problems + 1))
	if printf '%s\n' "$out" | grep -F "$name"; then
		problems=$((problems + 1))
	fi
	limit=$(limit_of "$name")
	if [ -n "$limit" ]; then
		if ! out=$(systemd-analyze security --offline=true --threshold="$limit" "$unit" 2>&1); then
			printf '%s\n' "$out" | grep -E '^(✗|→)'
			problems=$((problems + 1))
		fi
		printf '%s\n' "$out" | sed -n 's/^→ /lint units: /p'
	fi
done
if command -v systemd-sysusers >/dev/null; then
	for conf in systemd/*.sysusers; do
		files=$((files + 1))
		if ! out=$(systemd-sysusers --dry-run "$PWD/$conf" 2>&1); then
			printf '%s\n' "$out"
			problems=$((problems + 1))
		fi
	done
fi
if command -v systemd-tmpfiles >/dev/null; then
	for conf in systemd/*.tmpfiles; do
		files=$((files + 1))
		# Into an empty root: lines are checked, nothing of this machine is touched.
		mkdir -p "$work/root"
		systemd-tmpfiles --create --root="$work/root" "$PWD/$conf" 2>&1 | grep -v 'Failed to resolve' &&
			problems=$((problems + 1))
	done
fi
echo "lint units: $files files, $problems problems"
[ "$problems" -eq 0 ] && [ "$files" -gt 0 ]
