# SPDX-License-Identifier: Apache-2.0
"""dvcert-sandbox, its settings (docs/SANDBOX.md): one table serves --help, --set, --generation, the admin endpoint and
the two documents."""

import pathlib
import re

from test_sandbox import SETTINGS, run, start, web  # noqa: F401 - fixtures

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
AGED = ["dcv_replies", "find_none", "use_auth_key", "auth_keys", "order_valid_till", "revoke_approval"]


def table():
    """Name -> (words, or None for a number; does it go by generation?)."""
    lines = run("--help").stdout.split("Settings, ")[1].splitlines()[1:]
    found = {}
    for line in lines:
        name, value, *rest = line.split()
        found[name] = (None if value == "NUMBER" else value.split("|"), rest == ["(*)"])
    return found


def settings_of(box):
    return {k: v for k, v in box.admin("GET", "settings").items() if k != "rates"}


def test_help_lists_all_settings():
    found = table()
    assert set(found) == set(SETTINGS)
    assert all(words is None or words[0] == SETTINGS[name] for name, (words, _) in found.items()), "the default first"
    assert [name for name, (_, aged) in found.items() if aged] == AGED


def test_every_word_can_be_set(start):
    wanted, options = {}, []
    for name, (words, _) in table().items():
        wanted[name] = words[-1] if words else 77
        options += ["--set", f"{name}={wanted[name]}"]
    assert settings_of(start(*options)) == wanted


def test_generations(start, tmp_path):
    old = {"dcv_replies": "old", "find_none": "empty", "use_auth_key": "old", "auth_keys": "one",
           "order_valid_till": "absent", "revoke_approval": "always"}  # fmt: skip
    assert settings_of(start("--generation", "old", directory=tmp_path / "a")) == {**SETTINGS, **old}
    assert settings_of(start("--generation", "old", "--generation", "new", directory=tmp_path / "b")) == SETTINGS
    mixed = start("--set", "approval=required", "--generation", "old", "--set", "find_none=404", directory=tmp_path / "c")
    assert settings_of(mixed) == {**SETTINGS, **old, "find_none": "404", "approval": "required"}


def test_documents_tell_of_every_setting():
    page = (DOCS / "man/dvcert-sandbox.1").read_text()
    guide = (DOCS / "SANDBOX.md").read_text()
    for name, (words, aged) in table().items():
        item = re.search(rf"^\.It (?:Cm|Li) {name}\b(.*)$", page, re.M)
        assert item, f"the manual page does not tell of {name}"
        row = re.search(rf"^\| `{name}`( \*)? \|(.*)$", guide, re.M)
        assert row, f"SANDBOX.md does not tell of {name}"
        assert bool(row[1]) == aged, name
        for word in words or []:
            assert re.search(rf"(?<![\w-]){word}(?![\w-])", item[1]), f"{name}: the page does not tell of {word}"
            assert f"`{word}`" in row[2], f"{name}: SANDBOX.md does not tell of {word}"


def test_documents_tell_of_every_endpoint(start):
    """The words of faults and counts."""
    words = set(start().admin("GET", "counts")) - {"429", "n_requests"}
    page = (DOCS / "man/dvcert-sandbox.1").read_text().split(".Sh FAULTS")[1].split("for all.")[0]
    assert set(re.findall(r"^\.Cm ([a-z]+)", page, re.M)) == words
    guide = (DOCS / "SANDBOX.md").read_text().split("## Endpoints")[1].split("### How strict")[0]
    assert set(re.findall(r"^\| `([a-z]+)` \|", guide, re.M)) == words


def test_caa_option(start, tmp_path):
    box = start("--caa", "a.example=failed", "--caa", "B.example=not_found", "--caa", "a.example=not_found")
    assert box.admin("GET", "caa")["caa"] == [
        {"name": "a.example", "answer": "not_found"}, {"name": "b.example", "answer": "not_found"},
    ]  # fmt: skip
    assert box.order(["www.b.example"]).code == "caa_not_found|www.b.example"
    for bad in ("a.example", "a.example=", "a.example=passed", "=failed", "*.a.example=failed"):
        r = run("--dir", tmp_path / "x", "--caa", bad)
        assert r.returncode == 64 and "NAME=failed|not_found" in r.stderr, bad
