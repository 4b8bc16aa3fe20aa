# SPDX-License-Identifier: Apache-2.0
"""A full disk: nothing is ordered that could not be remembered, nothing half-written stays, and it goes on by itself."""

import os
import subprocess

import pytest
from lib import base

NAME = "www.example.jp"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small tmpfs")


class SmallDisk:
    """The state folder on a tmpfs of its own, filled by a ballast file."""

    def __init__(self, d, size):
        self.dir = d.state_dir
        self.dir.mkdir(mode=0o711, exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0711", "tmpfs", str(self.dir)], capture_output=True
        )
        if done.returncode:
            pytest.skip("this machine does not let us mount a tmpfs")
        self.ballast = self.dir / "ballast"

    def fill(self):
        with open(self.ballast, "ab", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass

    def free(self):
        os.unlink(self.ballast)

    def unmount(self):
        subprocess.run(["umount", str(self.dir)], check=True)


@pytest.fixture
def small(world):
    d = world.simple(NAME)
    disk = SmallDisk(d, "512k")
    try:
        yield world, d, disk
    finally:
        if d.alive():
            d.stop()
        disk.unmount()


def test_full_before_the_order(small):
    world, d, disk = small
    # The folders are there, then the disk is full.
    world.sandbox.fault("order", "status", status=429, code="request_limit_exceeded", retry_after=1, times=1)
    d.start()
    d.wait(NAME)
    d.ctl("renew", NAME)
    d.wait(NAME)
    reissued = world.sandbox.counts()["reissue"]
    disk.fill()
    before = sorted(p.name for p in (d.state_dir / "archive" / NAME).iterdir())
    answer = d.ctl("renew", NAME)
    assert answer.code == 0, answer
    status = d.wait_error(NAME, "space|ENOSPC|written")
    assert status["state"] == "retrying", status
    assert world.sandbox.counts()["reissue"] == reissued, "a post left although it could not be remembered"
    # The old generation is still complete and live.
    assert (d.live(NAME) / "fullchain.pem").read_text().count("BEGIN CERTIFICATE") == 2
    assert [n for n in before if not n.endswith(".new")] == [
        p.name for p in sorted((d.state_dir / "archive" / NAME).iterdir()) if not p.name.endswith(".new")
    ]
    disk.free()
    d.wait(NAME, timeout=90)
    assert world.sandbox.counts()["reissue"] == reissued + 1
    leftovers = [str(p) for p in d.state_dir.rglob("*") if ".tmp" in p.name or p.name.endswith(".new")]
    assert not leftovers


def test_full_while_the_order_is_open(small):
    """The order is placed and its number cannot be written: it is neither lost nor bought again."""
    world, d, disk = small
    world.sandbox.fault("order", "delay", delay_ms=3000)
    d.start()
    base.until(lambda: "order-submitting" in d.log(), 30, why="the order leaves")
    disk.fill()
    d.wait_error(NAME, "space|ENOSPC|written")
    assert d.status(NAME)["state"] == "retrying"
    d.kill9()
    disk.free()
    d.start()
    d.wait(NAME, timeout=90)
    assert len(world.sandbox.orders()) == 1
