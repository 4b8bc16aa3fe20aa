#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is the matrix worth anything? Plants every defect of tests/crash/defects/ into a copy of the sources and demands that the program on
its `Run:` line fails because of it. Takes DVCERT_BUILD as it is: only what a patch changes is built anew."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from stage import base

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = ["Makefile", "common", "config", "daemon"]


def build_copy(patch, folder):
    """A copy with the defect: its build folder."""
    for source in SOURCES:
        path = base.ROOT / source
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, folder / source)
    build = folder / "b"
    shutil.copytree(base.BUILD, build, ignore=shutil.ignore_patterns("tests", "corpus"))
    shutil.copytree(base.BUILD / "tests/crash", build / "tests/crash")  # what is preloaded
    subprocess.run(["patch", "-p1", "-s", "-f", "-i", str(patch)], cwd=folder, check=True)
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "SAN")}
    done = subprocess.run(
        [os.environ.get("MAKE", "make"), "-s", "-j2", f"BUILD={build}", f"{build}/dvcertd"], cwd=folder, capture_output=True, text=True, env=env
    )
    if done.returncode:
        raise RuntimeError(f"cannot be built: {done.stdout}{done.stderr}")
    return build


def command_of(patch):
    (line,) = [x for x in patch.read_text().split("\n") if x.startswith("Run: ")]
    return line.removeprefix("Run: ").split()


def is_caught(patch, folder):
    build = build_copy(patch, folder)
    program, *args = command_of(patch)
    done = subprocess.run(
        [sys.executable, str(HERE / program), *args], capture_output=True, text=True, env={**os.environ, "DVCERT_BUILD": str(build), "DVCERT_TIDY": "1"}
    )
    failures = [line for line in done.stdout.split("\n") if line.startswith("FAILED")]
    print(f"{patch.stem:<24} {'caught: ' + failures[0][:160] if done.returncode == 1 and failures else 'SURVIVED'}")
    if done.returncode not in (0, 1):
        print(done.stdout + done.stderr)
    return done.returncode == 1 and bool(failures)


def main():
    patches = sorted((HERE / "defects").glob("*.patch"))
    caught = 0
    for patch in patches:
        with tempfile.TemporaryDirectory(prefix="dvplant") as folder:
            caught += is_caught(patch, pathlib.Path(folder))
    print(f"defects: {len(patches)} planted, {caught} caught")
    return 0 if patches and caught == len(patches) else 1


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    sys.exit(main())
