#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Everything that has threads, under ThreadSanitizer (make check-tsan). Takes a TSAN=1 build in DVCERT_BUILD and the unit tests to run
as arguments. Fails when a test fails, when any process reported anything, or when a kind of work in the pool did not come up."""

import ctypes
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
E2E = ROOT / "tests" / "e2e"

# What lets threads meet: many domains, reloads, peers that leave and stops in the middle, and each of what is done in the pool.
TOGETHER = "test_together.py"
TESTS = [
    TOGETHER,
    "test_plain.py::test_twenty_at_once",
    "test_plain.py::test_renewal",
    "test_plain.py::test_one_webroot_for_many",
    "test_instant.py::test_responder",
    "test_reload.py::test_many_reloads_while_orders_are_open",
    "test_reload.py::test_hangup_in_the_middle_of_the_start",
    "test_reload.py::test_removed_while_an_order_is_open",
    "test_outside.py::test_revoked_certificate_is_reissued",
    "test_verbs.py::test_duplicate_that_is_interrupted",
    "test_verbs.py::test_peers_that_leave",
    "test_verbs.py::test_stopping_while_verbs_wait",
    "test_doctor.py::test_stop_in_the_middle",
    "test_dns_hooks.py::test_contract",
    "test_dns_hooks.py::test_stop_while_it_hangs",
    "test_hooks.py::test_order_and_numbers",
    "test_verify.py::test_lags",
    "test_notices.py::test_failed_and_recovered",
    "test_metrics.py::test_textfile",
]

# Nothing but locks, atomics and what libuv does orders two threads: that one wrote to a socket and another read from one, which
# ThreadSanitizer would take for an order, says nothing about memory.
OPTIONS = "exitcode=66 io_sync=0"
# A test that forks while it has threads may start others in the child (test_blame.c).
UNIT_OPTIONS = "die_after_fork=0"

JOB = re.compile(r"^(?:static )?void (\w+_run|nothing)\(void \*arg\)$", re.M)
ADDR_NO_RANDOMIZE = 0x0040000


def fix_addresses():
    """Where the kernel moves programs further than the runtime of clang 14 knows (vm.mmap_rnd_bits above 28) it refuses to start. Children
    inherit this; a container may forbid it, and then the machine's setting has to do."""
    libc = ctypes.CDLL(None, use_errno=True)
    now = libc.personality(0xFFFFFFFF)
    if now >= 0:
        libc.personality(now | ADDR_NO_RANDOMIZE)


def options(folder, more=""):
    return {**os.environ, "TSAN_OPTIONS": f"{OPTIONS} log_path={folder}/report {more}", "DVCERT_TSAN_JOBS": f"{folder}/jobs", "DVCERT_TIDY": "1"}


def open_folder(path):
    """Daemons of the tests run as other users too."""
    path = pathlib.Path(path)
    path.chmod(0o1777)
    (path / "jobs").touch()
    (path / "jobs").chmod(0o666)
    return path


def reports(folder):
    """What any process said; a process that was killed later is among them."""
    return [p.read_text(errors="replace") for p in sorted(folder.glob("report.*"))]


def run_units(programs, folder):
    bad = []
    for program in programs:
        done = subprocess.run([program], capture_output=True, text=True, env=options(folder, UNIT_OPTIONS))
        if done.returncode:
            bad.append(pathlib.Path(program).name)
            print(done.stdout + done.stderr)
    return bad


def run_tests(tests, folder):
    argv = [sys.executable, "-m", "pytest", "-q", "-n", str(min(4, os.cpu_count() or 1)), "-p", "no:cacheprovider"]
    return subprocess.run([*argv, *(str(E2E / t) for t in tests)], env=options(folder), cwd=ROOT).returncode


# --- work in the pool ---


def jobs_of_source():
    """Every function that may be given to the pool, as (file, name)."""
    return {(p.relative_to(ROOT).as_posix(), name) for p in ROOT.glob("daemon/**/*.c") for name in JOB.findall(p.read_text())}


def jobs_seen(folder, program):
    addresses = sorted(set((folder / "jobs").read_text().split()))
    if not addresses:
        return set()
    text = subprocess.run(
        ["addr2line", "-f", "-e", program, *(f"0x{a}" for a in addresses)], capture_output=True, text=True, check=True
    ).stdout.split("\n")
    return {(where.rsplit(":", 1)[0].partition(str(ROOT) + "/")[2], name) for name, where in zip(text[::2], text[1::2])}


def judge_jobs(folder):
    wanted, seen = jobs_of_source(), jobs_seen(folder, pathlib.Path(os.environ["DVCERT_BUILD"]).resolve() / "dvcertd")
    for where, name in sorted(wanted - seen):
        print(f"tsan: never went through the pool: {name} of {where}")
    for where, name in sorted(seen - wanted):
        print(f"tsan: goes through the pool and is not known as such (its name should end in _run): {name} of {where}")
    print(f"tsan: {len(wanted & seen)} of {len(wanted)} kinds of work went through the pool")
    return bool(wanted) and wanted == seen


def main(programs):
    os.environ.setdefault("DVCERT_PATIENCE", "5")
    with tempfile.TemporaryDirectory(prefix="dvtsan") as name:
        folder = open_folder(name)
        bad = run_units(programs, folder)
        print(f"tsan: {len(programs)} unit tests, failed: {' '.join(bad) or 'none'}")
        failed = run_tests(TESTS, folder)
        found = reports(folder)
        print("\n".join(found) + f"\ntsan: {len(found)} processes reported something")
        known = judge_jobs(folder)
    return 0 if programs and known and not bad and not failed and not found else 1


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    fix_addresses()
    sys.exit(main(sys.argv[1:]))
