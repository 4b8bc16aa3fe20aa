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
# A package that brings a service (nginx, dbus) must not start it on a machine that only builds and tests. invoke-rc.d and
# deb-systemd-invoke ask policy-rc.d; where there is one already, it knows better.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap '$sudo rm -f $policy' EXIT
	trap 'exit 1' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
	$sudo chmod 0755 $policy
fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
