# SPDX-License-Identifier: Apache-2.0
"""The check of the message catalog finds what it is for."""

import pathlib
import shutil

import catalog
import pytest

SOURCES = ["daemon/messages.h", "daemon/messages.c", "daemon/core/job.h", catalog.CATALOG]


@pytest.fixture
def root(tmp_path):
    for name in SOURCES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(catalog.ROOT / name, tmp_path / name)
    shutil.copytree(catalog.ROOT / "docs/man", tmp_path / "docs/man")
    for path in catalog.ROOT.glob("daemon/*.c"):
        shutil.copy(path, tmp_path / "daemon" / path.name)
    return tmp_path


def problems(root):
    codes = catalog.read_codes(root)
    entries = catalog.read_catalog((root / catalog.CATALOG).read_text())
    return [*catalog.check_codes(root, codes), *catalog.check_catalog(root, codes, entries), *catalog.check_journalctl(root, entries)]


def change(root, name, old, new):
    path = pathlib.Path(root / name)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_today_is_good(root):
    assert problems(root) == []


@pytest.mark.parametrize(
    "name, old, new, word",
    [
        ("daemon/messages.h", "f1a02", "f1a01", "the id a1f6c1de3f8e4b0e9f0c6c3d5b8f1a01 is there twice"),
        ("daemon/messages.h", "daemon-stopping", "daemon-started", "the name daemon-started is there twice"),
        ("daemon/messages.h", "f1a02", "f1aff", "daemon-stopping (a1f6c1de3f8e4b0e9f0c6c3d5b8f1aff) has no entry"),
        ("daemon/messages.h", "f1a02", "f1aff", "nothing has the id a1f6c1de3f8e4b0e9f0c6c3d5b8f1a02"),
        ("daemon/messages.h", "X(STOPPING,", "X(STOPPED,", "nothing logs MSG_STOPPED"),
        ("daemon/messages.c", "[REPORT_ISSUED]", "[0]", "REPORT_ISSUED has no id"),
        (catalog.CATALOG, "Subject: @DVCERT_NAME@", "Subject: @DVCERT_NAMES@", "the daemon sends no DVCERT_NAMES"),
        (catalog.CATALOG, "Subject: The certificate daemon is up", "Subject:", "no Subject:"),
        (catalog.CATALOG, "man:dvcertd(8)", "man:dvcertz(8)", "no manual page dvcertz(8)"),
        (catalog.CATALOG, "Documentation: man:dvcertd(8)", "Documentation: here", "no Documentation: man:"),
        (catalog.CATALOG, "`dvcertctl budget`", "`dvcertctl money`", "there is no dvcertctl money"),
        (catalog.CATALOG, "\n\nNothing has to be done. `dvcertctl status`", " Nothing has to be done. `dvcertctl status`", "two paragraphs"),
    ],
)
def test_mistakes_are_found(root, name, old, new, word):
    change(root, name, old, new)
    assert any(word in p for p in problems(root)), problems(root)
