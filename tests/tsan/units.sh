#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The unit tests that run in more than one thread, as targets of the Makefile: those that start one, by themselves or by a header of theirs.
# (Modules that use the pool are tested with tests/unit/fake_io.h, in one thread.)
set -eu
cd "$(dirname "$0")/../.."
starts='pthread_create|MHD_start_daemon|work_start|watchdog_new'
headers=$(grep -lE "$starts" tests/unit/*.h | sed 's,.*/,,' | paste -s -d '|')
grep -lE "$starts|\"tests/unit/($headers)\"" tests/unit/test_*.c | sed 's,\.c$,,'
