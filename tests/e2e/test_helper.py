# SPDX-License-Identifier: Apache-2.0
"""dvcertd-helper alone: what it does for the daemon, and everything that somebody who took the daemon over could try.

Run as root it plays both sides; without root it runs with its own user's rights, and what needs two users is skipped.
"""

import grp
import itertools
import json
import os
import pwd
import stat
import subprocess
import threading
import time

import pytest
from lib import base, helper

NAME = helper.NAME
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two users")


@pytest.fixture
def box():
    b = helper.Box()
    yield b
    b.close()


def facts(path):
    st = os.lstat(path)
    return st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)


def identity(path):
    st = os.lstat(path)
    return st.st_ino, st.st_mtime_ns, st.st_ctime_ns


def all_copies(box, **more):
    paths = {kind: box.dest / f"{kind}.pem" for kind in ("bundle", "cert", "chain", "fullchain", "key")}
    return box.files(**paths, **more), paths


def left_over(folder):
    return [p.name for p in folder.iterdir() if p.name.startswith(".dvcert-tmp-")]


# --- what it is for ---


def test_all_copies(box):
    target, paths = all_copies(box)
    box.configure()
    texts = box.install()
    assert box.ask(target).ok
    assert paths["bundle"].read_text() == texts["fullchain.pem"] + texts["privkey.pem"]
    assert paths["key"].read_text() == texts["privkey.pem"]
    for kind in ("cert", "chain", "fullchain"):
        assert paths[kind].read_text() == texts[f"{kind}.pem"]
        assert facts(paths[kind]) == (os.geteuid(), os.getegid(), 0o644)
    for kind in ("bundle", "key"):
        assert facts(paths[kind]) == (os.geteuid(), os.getegid(), 0o600)
    assert sorted(p.name for p in box.dest.iterdir()) == sorted(p.name for p in paths.values())


@needs_root
def test_owner_group_mode(box):
    target, paths = all_copies(box, owner="nobody", group="daemon", mode="0640")
    box.configure()
    box.install()
    assert box.ask(target).ok
    uid, gid = pwd.getpwnam("nobody").pw_uid, grp.getgrnam("daemon").gr_gid
    assert facts(paths["bundle"]) == facts(paths["key"]) == (uid, gid, 0o640)
    assert facts(paths["cert"]) == facts(paths["chain"]) == facts(paths["fullchain"]) == (uid, gid, 0o644)
    # The live key keeps the daemon as its owner, who has to read it.
    assert facts(box.generation(1) / "privkey.pem") == (helper.DAEMON, gid, 0o640)
    assert facts(box.generation(1) / "cert.pem") == (helper.DAEMON, helper.DAEMON, 0o644)


@needs_root
def test_owner_by_number_and_back(box):
    target = box.files(key=box.dest / "key.pem", owner="45007", group="45008", mode="0440")
    box.configure()
    box.install()
    assert box.ask(target).ok
    assert facts(box.dest / "key.pem") == (45007, 45008, 0o440)
    assert facts(box.generation(1) / "privkey.pem") == (helper.DAEMON, 45008, 0o440)
    box.deploy.clear()
    target = box.files(key=box.dest / "key.pem")
    box.configure()
    assert box.ask(target).ok
    assert facts(box.dest / "key.pem") == (0, 0, 0o600)
    assert facts(box.generation(1) / "privkey.pem") == (helper.DAEMON, 45008, 0o600)


@needs_root
def test_daemon_that_is_root_gives_its_key_away(box):
    box.owner = 0
    box.give(box.state)
    target = box.files(owner="nobody", group="daemon", mode="0640")
    box.configure()
    box.install()
    assert target == "files"
    for _ in range(2):  # the second one reads a key that is not root's any more
        assert box.by_pipe(box.request(target)).ok
        assert facts(box.generation(1) / "privkey.pem") == (pwd.getpwnam("nobody").pw_uid, grp.getgrnam("daemon").gr_gid, 0o640)


def test_nothing_is_written_when_all_is_right(box):
    target, paths = all_copies(box)
    box.configure()
    box.install()
    assert box.ask(target).ok
    before = {p: identity(p) for p in [*paths.values(), box.generation(1) / "privkey.pem", box.dest]}
    assert box.ask(target).ok
    assert {p: identity(p) for p in before} == before


@pytest.mark.parametrize("harm", ["content", "mode", "gone", "link", "owner"])
def test_one_wrong_copy_is_mended(box, harm):
    if harm == "owner" and not box.root:
        pytest.skip("needs root")
    target, paths = all_copies(box)
    box.configure()
    texts = box.install()
    assert box.ask(target).ok
    key, cert = paths["key"], identity(paths["cert"])
    {
        "content": lambda: key.write_text("x"), "mode": lambda: key.chmod(0o666), "gone": key.unlink,
        "link": lambda: os.link(key, box.dir / "second"), "owner": lambda: os.chown(key, 45009, 45009),
    }[harm]()  # fmt: skip
    assert box.ask(target).ok
    assert key.read_text() == texts["privkey.pem"] and facts(key) == (os.geteuid(), os.getegid(), 0o600)
    assert os.lstat(key).st_nlink == 1 and identity(paths["cert"]) == cert
    assert left_over(box.dest) == []


def test_next_generation_and_back(box):
    target, paths = all_copies(box)
    box.configure()
    first, second = box.install(1), box.install(2)
    for n, texts in ((1, first), (2, second), (1, first)):
        assert box.ask(target, n).ok
        assert paths["bundle"].read_text() == texts["fullchain.pem"] + texts["privkey.pem"]


def test_leaf_without_intermediates(box):
    target, paths = all_copies(box)
    box.configure()
    pair = helper.make_pair()
    box.install(pair={**pair, "chain.pem": "", "fullchain.pem": pair["cert.pem"]})
    assert box.ask(target).ok
    assert paths["chain"].read_text() == "" and paths["bundle"].read_text() == pair["cert.pem"] + pair["privkey.pem"]


def test_reader_never_sees_half_a_file(box):
    target = box.files(bundle=box.dest / "bundle.pem")
    box.configure()
    whole = [t["fullchain.pem"] + t["privkey.pem"] for t in (box.install(1), box.install(2))]
    assert box.ask(target).ok
    seen, over = set(), threading.Event()

    def watch():
        while not over.is_set():
            seen.add((box.dest / "bundle.pem").read_text())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for n in (2, 1, 2, 1, 2):
        assert box.ask(target, n).ok
    over.set()
    watcher.join()
    assert seen <= set(whole)


def test_left_over_of_a_crash_is_removed(box):
    target = box.files(key=box.dest / "key.pem")
    box.configure()
    box.install()
    old, new, other = (box.dest / n for n in (".dvcert-tmp-0011223344556677", ".dvcert-tmp-8899aabbccddeeff", "other"))
    for path in (old, new, other):
        path.write_text("x")
    os.utime(old, (time.time() - 3600,) * 2)
    os.utime(other, (time.time() - 3600,) * 2)
    assert box.ask(target).ok
    assert not old.exists() and new.exists() and other.exists()


# --- what is asked ---

BAD_LINES = {
    "empty": b"\n",
    "nothing": b"",
    "no newline": b'{"do":"files","name":"www.example.jp","target":"files","generation":1}',
    "two lines": b'{"do":"files","name":"www.example.jp","target":"files","generation":1}\n{}\n',
    "not json": b"files www.example.jp\n",
    "array": b"[]\n",
    "null": b"null\n",
    "unknown member": b'{"do":"files","name":"www.example.jp","target":"files","generation":1,"path":"/etc/shadow"}\n',
    "twice": b'{"do":"files","do":"reload","name":"www.example.jp","target":"files","generation":1}\n',
    "other verb": b'{"do":"exec","name":"www.example.jp","target":"files","generation":1}\n',
    "no name": b'{"do":"files","target":"files","generation":1}\n',
    "name is a number": b'{"do":"files","name":7,"target":"files","generation":1}\n',
    "up": b'{"do":"files","name":"..","target":"files","generation":1}\n',
    "path": b'{"do":"files","name":"../../etc","target":"files","generation":1}\n',
    "slash": b'{"do":"files","name":"www.example.jp/0001","target":"files","generation":1}\n',
    "NUL": b'{"do":"files","name":"www.example.jp\\u0000x","target":"files","generation":1}\n',
    "no generation": b'{"do":"files","name":"www.example.jp","target":"files"}\n',
    "generation 0": b'{"do":"files","name":"www.example.jp","target":"files","generation":0}\n',
    "negative": b'{"do":"files","name":"www.example.jp","target":"files","generation":-1}\n',
    "large": b'{"do":"files","name":"www.example.jp","target":"files","generation":4294967296}\n',
    "text": b'{"do":"files","name":"www.example.jp","target":"files","generation":"1"}\n',
    "generation of a reload": b'{"do":"reload","name":"www.example.jp","target":"reload:a.service","generation":1}\n',
    "files of a reload": b'{"do":"files","name":"www.example.jp","target":"reload:a.service","generation":1}\n',
    "too long": b'{"do":"files","name":"www.example.jp","generation":1,"target":"files:' + b"x" * 4096 + b'"}\n',
    "a megabyte": b"x" * 1000000,
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES.keys())
def test_bad_request(box, line):
    box.files(key=box.dest / "key.pem")
    box.files()
    box.configure()
    box.install()
    try:
        box.by_pipe(line).failed("refused", "request")
    except BrokenPipeError:
        pass  # it had heard enough
    assert list(box.dest.iterdir()) == []


@pytest.mark.parametrize("target", ["files:/etc/shadow", "files", "files:", "files:{d}/key.pem#2", "files:{d}/../dest/key.pem", "files:x"])
def test_target_that_root_did_not_name(box, target):
    box.files(key=box.dest / "key.pem")
    box.configure()
    box.install()
    box.ask(target.format(d=box.dest)).failed("refused", "reload dvcertd")
    assert list(box.dest.iterdir()) == []


def test_domain_that_root_did_not_name(box):
    target = box.files(key=box.dest / "key.pem")
    box.configure()
    box.install()
    os.rename(box.state / "archive" / NAME, box.state / "archive" / "other.example.jp")
    box.by_socket(box.request(target, name="other.example.jp")).failed("refused", "other.example.jp", "reload dvcertd")


def test_silent_peer_is_left(box):
    box.configure()
    proc = box.start(subprocess.PIPE, subprocess.PIPE)
    started = time.monotonic()
    proc.wait(30 * base.PATIENCE)
    assert time.monotonic() - started < 20 * base.PATIENCE
    assert json.loads(proc.stdout.read())["code"] == "refused"
    proc.stdin.close()


# --- who asks ---


@needs_root
def test_another_user_is_refused(box):
    target = box.files(key=box.dest / "key.pem")
    unit = box.reload("nginx.service")
    box.configure()
    box.install()
    box.ask(target, peer=helper.OTHER).failed("refused", str(helper.OTHER), box.state)
    box.ask(unit, peer=helper.OTHER).failed("refused", str(helper.OTHER))
    assert list(box.dest.iterdir()) == []


@needs_root
def test_without_rights_the_error_names_the_remedy(box):
    target = box.files(key=box.dest / "key.pem", owner="nobody")
    box.configure()
    box.install()
    box.by_pipe(box.request(target), user=helper.DAEMON).failed(
        "files", "Permission denied", box.dest / "key.pem", "systemctl enable --now dvcertd-helper.socket"
    )
    os.chown(box.dest, helper.DAEMON, helper.DAEMON)
    box.by_pipe(box.request(target), user=helper.DAEMON).failed("files", "not permitted", "dvcertd-helper.socket")
    assert list(box.dest.iterdir()) == []
    # What needs no rights is done without any.
    box.deploy.clear()
    target = box.files(key=box.dest / "key.pem", mode="0400")
    box.configure()
    assert box.by_pipe(box.request(target), user=helper.DAEMON).ok
    assert facts(box.dest / "key.pem") == (helper.DAEMON, helper.DAEMON, 0o400)


# --- what the daemon put there ---


def foreign(box):
    """A file that the daemon must not read."""
    path = box.dir / "shadow"
    path.write_text(helper.make_pair()["privkey.pem"])
    path.chmod(0o600)
    return path


def replace(path, with_what):
    path.unlink()
    with_what(path)


ATTACKS = {
    "key is a symlink": (lambda b, g: replace(g / "privkey.pem", lambda p: p.symlink_to(foreign(b))), "symbolic link"),
    "key is a symlink to a good one": (lambda b, g: replace(g / "privkey.pem", lambda p: p.symlink_to(b.generation(2) / p.name)), "symbolic link"),
    "key is a hard link": (lambda b, g: replace(g / "privkey.pem", lambda p: os.link(foreign(b), p)), "hard links"),
    "key is a fifo": (lambda b, g: replace(g / "privkey.pem", os.mkfifo), "not a plain file"),
    "key is a folder": (lambda b, g: replace(g / "privkey.pem", os.mkdir), "not a plain file"),
    "key is missing": (lambda b, g: (g / "privkey.pem").unlink(), "No such file"),
    "key is huge": (lambda b, g: os.truncate(g / "privkey.pem", 1 << 40), "too large"),
    "chain is huge": (lambda b, g: os.truncate(g / "chain.pem", 1 << 30), "too large"),
    "key is of another pair": (lambda b, g: (g / "privkey.pem").write_text(helper.make_pair()["privkey.pem"]), "belong together"),
    "key is no key": (lambda b, g: (g / "privkey.pem").write_text("* * * * * root /tmp/x\n"), "privkey.pem"),
    "text before the key": (lambda b, g: (g / "privkey.pem").write_text("* * * * * root x\n" + (g / "privkey.pem").read_text()), "beside"),
    "text behind the key": (lambda b, g: (g / "privkey.pem").write_text((g / "privkey.pem").read_text() + "x\n"), "beside"),
    "NUL behind the key": (lambda b, g: (g / "privkey.pem").write_text((g / "privkey.pem").read_text() + "\0x\n"), "privkey.pem"),
    "text between certificates": (lambda b, g: (g / "chain.pem").write_text("x\n" + (g / "chain.pem").read_text()), "beside"),
    "a key in the chain": (lambda b, g: (g / "chain.pem").write_text((g / "privkey.pem").read_text()), "something else"),
    "no certificate at all": (lambda b, g: (g / "cert.pem").write_text(""), "empty"),
    "rubbish as certificate": (
        lambda b, g: (g / "chain.pem").write_text("-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"), "chain.pem",
    ),
    "fullchain is something else": (lambda b, g: (g / "fullchain.pem").write_text((g / "chain.pem").read_text()), "fullchain.pem"),
    "generation is a symlink": (lambda b, g: (os.rename(g, b.dir / "g"), g.symlink_to(b.dir / "g")), "symbolic link"),
    "domain is a symlink": (lambda b, g: (os.rename(g.parent, b.dir / "n"), g.parent.symlink_to(b.dir / "n")), "symbolic link"),
    "archive is a symlink": (
        lambda b, g: (os.rename(b.state / "archive", b.dir / "a"), (b.state / "archive").symlink_to(b.dir / "a")), "symbolic link",
    ),
    "no such generation": (lambda b, g: os.rename(g, g.with_name("0009")), "No such file"),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_the_daemon_put_there(box, attack):
    target, paths = all_copies(box)
    box.configure()
    box.install(2)
    before = box.install(1)
    assert box.ask(target).ok
    was = {p: (p.read_text(), identity(p)) for p in paths.values()}
    do, words = ATTACKS[attack]
    do(box, box.generation(1))
    box.ask(target).failed("files", words)
    assert {p: (p.read_text(), identity(p)) for p in paths.values()} == was
    assert before and sorted(box.dest.iterdir()) == sorted(paths.values())


@needs_root
@pytest.mark.parametrize("file", ["privkey.pem", "cert.pem"])
def test_file_of_another_user(box, file):
    target, paths = all_copies(box)
    box.configure()
    box.install()
    os.chown(box.generation(1) / file, helper.OTHER, helper.OTHER)
    box.ask(target).failed("files", str(helper.OTHER), file)
    assert not any(p.exists() for p in paths.values())
    # Root's are as good as the daemon's: a restored backup.
    os.chown(box.generation(1) / file, 0, 0)
    assert box.ask(target).ok


@needs_root
def test_key_swapped_all_the_time(box):
    """The daemon swaps its key for links to others and back, as fast as it can. What arrives is a pair of its own, or nothing."""
    target = box.files(key=box.dest / "key.pem", cert=box.dest / "cert.pem", mode="0640", group="daemon")
    box.configure()
    mine = box.install()
    secret = foreign(box)
    others = secret.read_text(), facts(secret)
    key, over = box.generation(1) / "privkey.pem", threading.Event()
    kept = key.with_name("kept")

    def swap():
        for i in itertools.count():
            if over.is_set():
                return
            os.rename(key, kept)
            (os.symlink if i % 2 else os.link)(secret, key)
            key.unlink()
            os.rename(kept, key)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        answers = [box.ask(target) for _ in range(25)]
    finally:
        over.set()
        swapper.join()
    assert (secret.read_text(), facts(secret)) == others
    for a in answers:
        assert a.ok or a.json["code"] == "files"
    if (box.dest / "key.pem").exists():
        assert (box.dest / "key.pem").read_text() == mine["privkey.pem"]


# --- what root wants, and who else has a hand in it ---


def loose_mode(path, mode):
    return lambda b: (b.dir / path).chmod(mode)


def loose_owner(path):
    return lambda b: os.chown(b.dir / path, helper.OTHER, helper.OTHER)


def make_part(b):
    (b.etc / "conf.d").mkdir(mode=0o755)
    (b.etc / "conf.d" / "more.yaml").write_text("domains: []\n")


LOOSE = {
    "file for others": (loose_mode("etc/dvcertd.yaml", 0o646), "go-w"),
    "file for its group": (loose_mode("etc/dvcertd.yaml", 0o664), "go-w"),
    "folder for others": (loose_mode("etc", 0o757), "go-w"),
    "folder for its group": (loose_mode("etc", 0o775), "go-w"),
    "folder above": (loose_mode("", 0o777), "go-w"),
    "part for others": (lambda b: (make_part(b), (b.etc / "conf.d/more.yaml").chmod(0o666)), "go-w"),
    "folder of parts": (lambda b: (make_part(b), (b.etc / "conf.d").chmod(0o777)), "go-w"),
    "file in a folder for all": (lambda b: b.etc.chmod(0o1777), "go-w"),
    "not a file": (lambda b: (b.file.unlink(), os.mkfifo(b.file)), "not a file"),
    "mistakes": (lambda b: b.file.write_text("domains: 7\n"), "dvcertd --check"),
    "no file": (lambda b: b.file.unlink(), "No such file"),
}
LOOSE_OWNER = {
    "owner of the file": (loose_owner("etc/dvcertd.yaml"), str(helper.OTHER)),
    "owner of the folder": (loose_owner("etc"), str(helper.OTHER)),
    "owner of a part": (lambda b: (make_part(b), loose_owner("etc/conf.d/more.yaml")(b)), str(helper.OTHER)),
    "owner of the parts": (lambda b: (make_part(b), loose_owner("etc/conf.d")(b)), str(helper.OTHER)),
    "owner above": (loose_owner(""), str(helper.OTHER)),
    "link in a folder of another": (
        lambda b: (os.rename(b.etc, b.dir / "real"), b.etc.mkdir(), b.file.symlink_to(b.dir / "real/dvcertd.yaml"), loose_owner("etc")(b)),
        str(helper.OTHER),
    ),
}


@pytest.mark.parametrize("case", [*LOOSE, *(pytest.param(c, marks=needs_root) for c in LOOSE_OWNER)])
def test_configuration_that_others_may_change(box, case):
    target = box.files(key=box.dest / "key.pem")
    box.configure()
    box.install()
    loosen, words = {**LOOSE, **LOOSE_OWNER}[case]
    loosen(box)
    box.ask(target).failed("refused", words)
    assert list(box.dest.iterdir()) == []


def test_configuration_by_firm_links(box):
    """Root may arrange his configuration as he likes."""
    target = box.files(key=box.dest / "key.pem")
    box.configure()
    box.install()
    os.rename(box.etc, box.dir / "real")
    os.rename(box.dir / "real" / "dvcertd.yaml", box.dir / "real" / "main.yaml")
    (box.dir / "real" / "dvcertd.yaml").symlink_to("./main.yaml")
    box.etc.symlink_to("real")
    assert box.ask(target).ok
    box.etc.unlink()
    box.etc.symlink_to("etc")
    box.ask(target).failed("refused", "etc")


def test_domain_of_a_part(box):
    box.files(key=box.dest / "key.pem")
    box.configure()
    main = box.file.read_text()
    head, domains = main[: main.index("domains:")], main[main.index("domains:") :]
    (box.etc / "conf.d").mkdir(mode=0o755)
    (box.etc / "conf.d" / "www.yaml").write_text(domains)
    (box.etc / "conf.d" / "www.yaml").chmod(0o644)
    box.file.write_text(head)
    box.install()
    assert box.ask(f"files:{box.dest}/key.pem").ok


# --- where it goes ---


@pytest.mark.parametrize("kind", ["symlink", "dangling", "folder", "fifo"])
def test_destination_that_is_no_file(box, kind):
    target, paths = all_copies(box)
    box.configure()
    box.install()
    victim, key = box.dir / "victim", paths["key"]
    victim.write_text("mine")
    {
        "symlink": lambda: key.symlink_to(victim), "dangling": lambda: key.symlink_to(box.dir / "nowhere"),
        "folder": key.mkdir, "fifo": lambda: os.mkfifo(key),
    }[kind]()  # fmt: skip
    was = os.lstat(key).st_mode
    box.ask(target).failed("files", key, "move it away")
    assert victim.read_text() == "mine" and os.lstat(key).st_mode == was and not (box.dir / "nowhere").exists()
    # What can be done is done.
    assert paths["bundle"].exists() and paths["cert"].exists() and left_over(box.dest) == []


def test_missing_folder(box):
    target = box.files(key=box.dir / "no" / "such" / "key.pem")
    box.configure()
    box.install()
    box.ask(target).failed("files", "/no/such/key.pem", "does not exist", "make it")


def test_unknown_accounts(box):
    for more, words in (({"owner": "no-such-user"}, "useradd"), ({"group": "no-such-group"}, "groupadd")):
        box.deploy.clear()
        target = box.files(key=box.dest / "key.pem", **more)
        box.configure()
        box.install()
        box.ask(target).failed("files", *more.values(), words)
        assert list(box.dest.iterdir()) == []


def test_two_failures_are_counted(box):
    target = box.files(key=box.dir / "no" / "key.pem", cert=box.dir / "none" / "cert.pem", chain=box.dest / "chain.pem")
    box.configure()
    box.install()
    box.ask(target).failed("files", "cert.pem", "(and 1 more)")
    assert (box.dest / "chain.pem").exists()


def test_link_to_a_folder_that_root_made(box):
    (box.dir / "link").symlink_to("dest")
    target = box.files(key=box.dir / "link" / "key.pem")
    box.configure()
    box.install()
    assert box.ask(target).ok and (box.dest / "key.pem").exists()


@needs_root
def test_folder_of_another_user(box):
    """He gets his copies, and cannot send us elsewhere."""
    home = box.dir / "home"
    (home / "tls").mkdir(parents=True, mode=0o755)
    victim = box.dir / "victim"
    victim.mkdir()
    for folder in (home, home / "tls"):
        os.chown(folder, helper.OTHER, helper.OTHER)
    target = box.files(key=home / "tls" / "key.pem", owner=helper.OTHER)
    box.configure()
    box.install()
    assert box.ask(target).ok
    assert facts(home / "tls" / "key.pem") == (helper.OTHER, 0, 0o600)
    os.rename(home / "tls", home / "away")
    (home / "tls").symlink_to(victim)
    box.ask(target).failed("files", "symbolic link", home / "tls")
    (home / "tls").unlink()
    (home / "tls").symlink_to("away")
    box.ask(target).failed("files", "symbolic link")
    assert list(victim.iterdir()) == []


@needs_root
def test_destination_folder_swapped_all_the_time(box):
    home, victim, over = box.dir / "home", box.dir / "victim", threading.Event()
    for folder in (home, home / "tls", victim):
        folder.mkdir(mode=0o755)
    os.chown(home, helper.OTHER, helper.OTHER)
    os.chown(home / "tls", helper.OTHER, helper.OTHER)
    target = box.files(key=home / "tls" / "key.pem", owner=helper.OTHER)
    box.configure()
    box.install(1)
    box.install(2)

    def swap():
        while not over.is_set():
            os.rename(home / "tls", home / "away")
            (home / "tls").symlink_to(victim)
            (home / "tls").unlink()
            os.rename(home / "away", home / "tls")

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        answers = [box.ask(target, 1 + i % 2) for i in range(25)]
    finally:
        over.set()
        swapper.join()
    assert list(victim.iterdir()) == []
    for a in answers:
        assert a.ok or a.json["code"] == "files"


@needs_root
def test_full_disk(box):
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs", str(box.dest)], capture_output=True)
    if done.returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        target = box.files(bundle=box.dest / "bundle.pem")
        box.configure()
        texts = box.install(1)
        box.install(2)
        assert box.ask(target).ok
        filler = box.dest / "filler"
        with open(filler, "wb", buffering=0) as f, pytest.raises(OSError):
            while True:
                f.write(bytes(4096))
        box.ask(target, 2).failed("files", "bundle.pem", "No space left")
        assert (box.dest / "bundle.pem").read_text() == texts["fullchain.pem"] + texts["privkey.pem"]
        assert sorted(p.name for p in box.dest.iterdir()) == ["bundle.pem", "filler"]
        filler.unlink()
        assert box.ask(target, 2).ok
        subprocess.run(["mount", "-o", "remount,ro", str(box.dest)], check=True)
        box.ask(target, 1).failed("files", "read-only", "ReadWritePaths=")
        assert box.ask(target, 2).ok  # nothing is to be written
    finally:
        subprocess.run(["umount", str(box.dest)], check=True)


# --- the program ---


def test_answer_without_reader(box):
    """Whoever asked is gone: the work is done all the same."""
    target = box.files(key=box.dest / "key.pem")
    box.configure()
    box.install()
    read_end, write_end = os.pipe()
    proc = box.start(subprocess.PIPE, write_end)
    os.close(write_end)
    os.close(read_end)
    _, err = proc.communicate(box.request(target), 30 * base.PATIENCE)
    assert proc.returncode == 74, err
    assert (box.dest / "key.pem").exists()


def test_says_what_it_did(box):
    """By the socket: to the journal. As a child: nothing, its daemon tells."""
    target = box.files(key=box.dest / "key.pem")
    box.configure()
    texts = box.install()
    answer = box.ask(target)
    assert target in answer.err and "1 files" in answer.err and NAME in answer.err
    assert box.by_pipe(box.request(target)).err == ""
    assert texts["privkey.pem"][50:100] not in answer.err


def test_usage():
    for args, code in (["--help"], 0), (["--version"], 0), (["--no-such-option"], 64), (["x"], 64):
        done = subprocess.run([base.program("dvcertd-helper"), *args], capture_output=True, stdin=subprocess.DEVNULL)
        assert done.returncode == code and (done.stdout if code == 0 else done.stderr)
