#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the named Debian packages, if any of them is missing. Needs root (or sudo) only then.
set -eu

missing=
for p in "$@"; do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
	sudo=
elif command -v sudo >/dev/null; then
	sudo=sudo
else
	echo "these packages are missing, and only root can install them:$missing" >&2
	exit 77
fi
echo "installing:$missing"
# A package that brings a service (nginx) must not start it on a machine that only builds and tests.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
