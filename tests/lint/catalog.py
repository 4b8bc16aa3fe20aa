# SPDX-License-Identifier: Apache-2.0
"""Message ids, their catalog, the code that logs them and the document about them are one and the same.

    catalog.py            checks
    catalog.py --write    writes docs/MESSAGES.md from the catalog
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CATALOG = "systemd/dvcertd.catalog"
DOC = "docs/MESSAGES.md"
SENT_BY_SINK = {"MESSAGE", "MESSAGE_ID", "PRIORITY", "SYSLOG_IDENTIFIER"}

HEAD = """\
# Messages

What dvcertd says, and what to do about it. In the journal each record carries its `MESSAGE_ID` (`journalctl -u dvcertd
MESSAGE_ID=...`), and `journalctl -x` shows the text below; in text and JSON logs it carries its name (`EVENT=`, `"event"`).
What repeats itself is shown the 1st, 2nd, 4th, 8th, ... time and every six hours, with a count.

This file is written from `systemd/dvcertd.catalog` by `tests/lint/catalog.py --write`.
"""


class Entry:
    def __init__(self, ident, header, body):
        self.id = ident
        self.header = header
        self.paragraphs = [" ".join(p.split()) for p in body.strip().split("\n\n") if p.strip()]
        self.fields = set(re.findall(r"@([A-Z_]+)@", body + " ".join(header.values())))


def read_codes(root):
    """[(id, name)] of daemon/messages.[ch], with all repetitions."""
    head = (root / "daemon/messages.h").read_text()
    table = (root / "daemon/messages.c").read_text()
    found = [(m[1], m[0]) for m in re.findall(r'X\(\w+, "([^"]+)", "(\w+)"\)', head)]
    (prefix,) = re.findall(r'\{ "([0-9a-f]+)" hex', table)
    found += [(prefix + m[1], m[0]) for m in re.findall(r'= (?:ROW|NEWS)\(\w+, "([^"]+)", "(\w+)"\)', table)]
    return found


def read_catalog(text):
    entries = []
    for part in re.split(r"^-- ", text, flags=re.M)[1:]:
        first, rest = part.split("\n", 1)
        header, body = rest.split("\n\n", 1) if "\n\n" in rest else (rest, "")
        pairs = dict(line.split(": ", 1) for line in header.splitlines() if ": " in line)
        entries.append(Entry(first.strip(), pairs, body))
    return entries


def fields_sent(root):
    """The keys of every log context in the code, and what the journal's sink adds."""
    sent = set(SENT_BY_SINK)
    for path in root.glob("daemon/**/*.c"):
        sent |= set(re.findall(r'struct log_ctx\)? ?\w* ?=? ?\{ [^,]+, "([A-Z_]+)"', path.read_text()))
    return sent


def reports_without_row(root):
    """Kinds of the core that have no id."""
    (enum,) = re.findall(r"enum report_kind \{(.*?)\};", (root / "daemon/core/job.h").read_text(), re.S)
    enum = re.sub(r"/\*.*?\*/", "", enum, flags=re.S)
    kinds = set(re.findall(r"REPORT_\w+", enum)) - {"REPORT_NR"}
    return kinds - set(re.findall(r"\[(REPORT_\w+)\]", (root / "daemon/messages.c").read_text()))


def unused(root):
    """Ids that no line of the program logs."""
    used = "".join(p.read_text() for p in root.glob("daemon/*.c") if p.name != "messages.c")
    names = re.findall(r'X\((\w+), "', (root / "daemon/messages.h").read_text())
    return [n for n in names if not re.search(rf"\bMSG_{n}\b", used)]


def check_codes(root, codes):
    for ident, name in codes:
        if not re.fullmatch(r"[0-9a-f]{32}", ident):
            yield f"daemon/messages: {name}: {ident} is no id"
        if not re.fullmatch(r"[a-z]+(-[a-z]+)*", name):
            yield f"daemon/messages: {name} is no name"
    for i, what in ((0, "id"), (1, "name")):
        values = [c[i] for c in codes]
        for twice in sorted({v for v in values if values.count(v) > 1}):
            yield f"daemon/messages: the {what} {twice} is there twice"
    for kind in sorted(reports_without_row(root)):
        yield f"daemon/messages.c: {kind} has no id"
    for name in unused(root):
        yield f"daemon/messages.h: nothing logs MSG_{name}"


def check_entry(entry, sent, verbs, pages):
    where = f"{CATALOG}: {entry.id}"
    if not entry.header.get("Subject"):
        yield f"{where}: no Subject:"
    for page, section in re.findall(r"man:([\w.-]+)\((\d)\)", entry.header.get("Documentation", "")):
        if f"{page}.{section}" not in pages:
            yield f"{where}: there is no manual page {page}({section})"
    if not re.search(r"man:", entry.header.get("Documentation", "")):
        yield f"{where}: no Documentation: man:..."
    if len(entry.paragraphs) < 2:
        yield f"{where}: what happened, and what to do: two paragraphs at least"
    for field in sorted(entry.fields - sent):
        yield f"{where}: the daemon sends no {field}"
    for verb in re.findall(r"`dvcertctl (?:--json )?([a-z-]+)", " ".join(entry.paragraphs)):
        if verb not in verbs:
            yield f"{where}: there is no dvcertctl {verb}"


def check_catalog(root, codes, entries):
    ids = {c[0] for c in codes}
    names = dict(codes)
    seen = [e.id for e in entries]
    for ident in sorted(ids - set(seen)):
        yield f"{CATALOG}: {names[ident]} ({ident}) has no entry"
    for ident in sorted(set(seen) - ids):
        yield f"{CATALOG}: nothing has the id {ident}"
    for ident in sorted({i for i in seen if seen.count(i) > 1}):
        yield f"{CATALOG}: {ident} is there twice"
    verbs = set(re.findall(r"^\.It Cm ([a-z-]+)", (root / "docs/man/dvcertctl.1").read_text(), re.M))
    pages = {p.name.removesuffix(".in") for p in (root / "docs/man").iterdir()}
    sent = fields_sent(root)
    for entry in entries:
        yield from check_entry(entry, sent, verbs, pages)


def check_journalctl(root, entries):
    """systemd's own parser, with a root of its own: nothing of this machine is touched."""
    if not shutil.which("journalctl"):
        print("lint catalog: journalctl is not installed, its part is skipped")
        return
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder) / "usr/lib/systemd/catalog"
        place.mkdir(parents=True)
        (pathlib.Path(folder) / "var/lib/systemd/catalog").mkdir(parents=True)
        shutil.copy(root / CATALOG, place)
        done = subprocess.run(["journalctl", "--update-catalog", f"--root={folder}"], capture_output=True, text=True)
        if done.returncode != 0 or done.stderr.strip():
            yield f"{CATALOG}: journalctl --update-catalog: {done.stderr.strip()}"
        done = subprocess.run(["journalctl", "--list-catalog", f"--root={folder}"], capture_output=True, text=True)
        listed = {line.split()[0] for line in done.stdout.splitlines() if line.strip()}
        for entry in entries:
            if entry.id not in listed:
                yield f"{CATALOG}: journalctl does not list {entry.id}: {done.stderr.strip()}"


def document(codes, entries):
    by_id = {e.id: e for e in entries}
    parts = [HEAD]
    for ident, name in sorted(codes):
        e = by_id[ident]
        subject = e.header["Subject"].replace("@DVCERT_NAME@: ", "")
        what, *rest = [re.sub(r"@(\w+)@", lambda m: {"DVCERT_NAME": "NAME"}.get(m[1], m[1]), p) for p in e.paragraphs]
        parts.append(f"## {name}\n\n`{ident}` **{subject}.** {what}\n\n" + "\n\n".join(rest) + "\n")
    return "\n".join(parts)


def main():
    codes = read_codes(ROOT)
    entries = read_catalog((ROOT / CATALOG).read_text())
    problems = [*check_codes(ROOT, codes), *check_catalog(ROOT, codes, entries), *check_journalctl(ROOT, entries)]
    if not problems:
        text = document(codes, entries)
        if sys.argv[1:] == ["--write"]:
            (ROOT / DOC).write_text(text)
        elif not (ROOT / DOC).exists() or (ROOT / DOC).read_text() != text:
            problems.append(f"{DOC}: not what the catalog says: python3 tests/lint/catalog.py --write")
    for p in problems:
        print(p)
    print(f"lint catalog: {len(codes)} ids, {len(entries)} entries, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
