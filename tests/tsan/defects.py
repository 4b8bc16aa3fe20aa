#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is it worth anything? Plants every race of tests/tsan/defects/ into a copy of the sources and demands that ThreadSanitizer reports it, by
the function on the `Says:` line, in what the `Run:` line names: a unit test or an end-to-end test. Takes DVCERT_BUILD as it is:
only what a patch changes is built anew."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import check

SOURCES = ["Makefile", "common", "config", "daemon", "docs/man", "tests/sandbox", "tests/tsan", "tests/unit"]
PROGRAMS = ["dvcertd", "dvcertctl", "dvcert-sandbox"]


def build_copy(patch, folder, build, wanted):
    for source in SOURCES:
        path, to = check.ROOT / source, folder / source
        to.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, to)
    shutil.copytree(os.environ["DVCERT_BUILD"], build)
    subprocess.run(["patch", "-p1", "-s", "-f", "-i", str(patch)], cwd=folder, check=True)
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "SAN")}
    argv = [os.environ.get("MAKE", "make"), "-s", "-j2", "TSAN=1", f"BUILD={build}", *(str(build / w) for w in wanted)]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, env=env)
    if done.returncode:
        raise RuntimeError(f"{patch.stem} cannot be built: {done.stdout}{done.stderr}")


def line_of(patch, key):
    (line,) = [x for x in patch.read_text().split("\n") if x.startswith(key + ": ")]
    return line.removeprefix(key + ": ")


def is_caught(patch, folder):
    """folder is open to everybody: reports go there, and programs come from there."""
    run, says = line_of(patch, "Run"), line_of(patch, "Says")
    unit = run.startswith("tests/unit/")
    build = folder / "b"
    build_copy(patch, folder / "copy", build, [run] if unit else PROGRAMS)
    env = {**check.options(folder, check.UNIT_OPTIONS), "DVCERT_BUILD": str(build)}
    argv = [str(build / run)] if unit else [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(check.E2E / run)]
    done = subprocess.run(argv, cwd=check.ROOT, capture_output=True, text=True, env=env)
    found = [r for r in check.reports(folder) if "data race" in r and says in r]
    print(f"{patch.stem:<28} {f'caught in {says}' if found else 'SURVIVED'}")
    if not found:
        print("\n".join([*check.reports(folder), done.stdout[-4000:], done.stderr[-4000:]]))
    return bool(found)


def main():
    patches = sorted((check.HERE / "defects").glob("*.patch"))
    os.environ["DVCERT_BUILD"] = str(pathlib.Path(os.environ["DVCERT_BUILD"]).resolve())
    os.environ.setdefault("DVCERT_PATIENCE", "5")
    caught = 0
    for patch in patches:
        with tempfile.TemporaryDirectory(prefix="dvtsan") as folder:
            caught += is_caught(patch, check.open_folder(folder))
    print(f"defects: {len(patches)} planted, {caught} caught")
    return 0 if patches and caught == len(patches) else 1


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    check.fix_addresses()
    sys.exit(main())
