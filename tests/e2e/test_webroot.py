# SPDX-License-Identifier: Apache-2.0
"""A webroot belongs to somebody else, who may be careless or hostile: nothing outside is touched, the problem is said,
and once it is mended the certificate comes by itself."""

import os

import pytest
from lib import base

NAME = "www.example.jp"
NOBODY = 65534


def snapshot(folder):
    found = {}
    for path in sorted(folder.rglob("*")):
        st = path.lstat()
        found[str(path)] = (st.st_mode, st.st_mtime_ns, path.read_bytes() if path.is_file() else None)
    return found


class Broken:
    """How a webroot is broken, how it is mended, and what the message must name."""

    def __init__(self, spoil, mend, said):
        self.spoil, self.mend, self.said = spoil, mend, said


def link_well_known(root, outside):
    (root / ".well-known").symlink_to(outside)


def unlink_well_known(root, _outside):
    (root / ".well-known").unlink()


def link_folder(root, outside):
    (root / ".well-known").mkdir()
    (root / ".well-known/pki-validation").symlink_to(outside)


def unlink_folder(root, _outside):
    (root / ".well-known/pki-validation").unlink()


def proof(root):
    path = root / ".well-known/pki-validation/fileauth.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def link_file(root, outside):
    proof(root).symlink_to(outside / "victim")


def foreign_file(root, _outside):
    proof(root).write_text("somebody else's\n")


def folder_as_file(root, _outside):
    proof(root).mkdir()


def remove_folder(root, _outside):
    proof(root).rmdir()


def fifo(root, _outside):
    os.mkfifo(proof(root))


def remove_file(root, _outside):
    proof(root).unlink()


def missing(root, _outside):
    root.rmdir()


def make_root(root, _outside):
    root.mkdir()


def root_is_file(root, _outside):
    root.rmdir()
    root.write_text("x")


def file_to_root(root, _outside):
    root.unlink()
    root.mkdir()


def file_on_the_way(root, _outside):
    (root / ".well-known").write_text("x")


def remove_on_the_way(root, _outside):
    (root / ".well-known").unlink()


CASES = {
    "linked-well-known": Broken(link_well_known, unlink_well_known, r"\.well-known"),
    "linked-folder": Broken(link_folder, unlink_folder, r"pki-validation"),
    "linked-file": Broken(link_file, remove_file, r"fileauth\.txt"),
    "foreign-file": Broken(foreign_file, remove_file, r"fileauth\.txt"),
    "folder-as-file": Broken(folder_as_file, remove_folder, r"fileauth\.txt"),
    "fifo": Broken(fifo, remove_file, r"fileauth\.txt"),
    "file-on-the-way": Broken(file_on_the_way, remove_on_the_way, r"\.well-known"),
    "missing-root": Broken(missing, make_root, r"web/www/www\.example\.jp"),
    "root-is-a-file": Broken(root_is_file, file_to_root, r"web/www/www\.example\.jp"),
}


@pytest.mark.parametrize("case", CASES)
def test_broken_webroot(world, case):
    broken = CASES[case]
    d = world.simple(NAME)
    root = world.web.webroot(NAME)
    outside = world.dir / "outside"
    outside.mkdir()
    (outside / "victim").write_text("precious\n")
    broken.spoil(root, outside)
    before, spoiled = snapshot(outside), snapshot(root) if root.is_dir() else None
    d.start()
    shown = d.wait_error(NAME, broken.said)
    assert shown["state"] in ("retrying", "pending"), shown
    assert snapshot(outside) == before, "something outside was touched"
    if spoiled is not None:
        assert snapshot(root) == spoiled, "what belongs to others was changed"
    assert world.sandbox.counts()["check"] == 0, "the CA was asked to look at nothing"
    broken.mend(root, outside)
    d.wait(NAME, timeout=90)
    world.assert_good(d, NAME)
    assert snapshot(outside) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="root is needed to become somebody else")
def test_read_only_folder_as_ordinary_user(world):
    world.start_ca()
    world.start_web()
    d = world.make_daemon(world.domain(NAME), uid=NOBODY)
    root = world.web.webroot(NAME)
    d.start()
    d.wait_error(NAME, r"web/www/www\.example\.jp.*denied")
    assert list(root.iterdir()) == []
    os.chown(root, NOBODY, NOBODY)
    d.wait(NAME, timeout=90)
    world.assert_good(d, NAME)
    assert root.joinpath(".well-known").stat().st_uid == NOBODY


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_read_only_folder(world):
    d = world.simple(NAME)
    root = world.web.webroot(NAME)
    os.chmod(root, 0o555)
    d.start()
    d.wait_error(NAME, r"web/www/www\.example\.jp.*denied")
    os.chmod(root, 0o755)
    d.wait(NAME, timeout=90)
    world.assert_good(d, NAME)


def test_own_leftover_is_replaced(world):
    """Killed with the proof in place: the file is ours, and the next start knows."""
    d = world.simple(NAME, ca=["--issue-delay", "1h"]).start()
    path = world.web.webroot(NAME) / ".well-known/pki-validation/fileauth.txt"
    base.until(path.exists, why="fileauth.txt")
    d.kill9()
    d.start()
    order = base.until(lambda: world.sandbox.orders(NAME), why="an order")[0]
    world.sandbox.set_order(order["order_id"], action="issue")
    d.wait(NAME, timeout=60)
    world.assert_good(d, NAME)
    base.until(lambda: not path.exists(), why="fileauth.txt is removed")


def test_proof_changed_by_somebody_is_left_alone(world):
    d = world.simple(NAME, ca=["--issue-delay", "1h"]).start()
    path = world.web.webroot(NAME) / ".well-known/pki-validation/fileauth.txt"
    base.until(path.exists, why="fileauth.txt")
    order = base.until(lambda: world.sandbox.orders(NAME), why="an order")[0]
    path.unlink()
    path.write_text("mine now\n")
    world.sandbox.set_order(order["order_id"], action="issue")
    d.wait(NAME, timeout=60)
    d.restart()
    assert path.read_text() == "mine now\n"


def test_files_are_readable_for_the_web_server_whatever_the_umask(world):
    world.start_ca("--issue-delay", "1h")
    world.start_web()
    d = world.make_daemon(world.domain(NAME))
    before = os.umask(0o077)
    try:
        d.start()
    finally:
        os.umask(before)
    path = world.web.webroot(NAME) / ".well-known/pki-validation/fileauth.txt"
    base.until(path.exists, why="fileauth.txt")
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.parent.stat().st_mode & 0o777 == path.parent.parent.stat().st_mode & 0o777 == 0o755
