#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# All checks of this folder; every one runs, one failure fails the whole.
set -u
cd "$(dirname "$0")/../.." || exit 1
python=${PYTHON:-/usr/bin/python3}
result=0
$python tests/lint/layers.py || result=1
$python -m pytest -q -p no:cacheprovider tests/lint || result=1
$python tests/lint/style.py || result=1
$python tests/lint/metrics.py || result=1
sh tests/lint/headers.sh || result=1
sh tests/lint/format.sh || result=1
sh tests/lint/units.sh || result=1
$python tests/lint/catalog.py || result=1
sh tests/lint/man.sh || result=1
exit $result
