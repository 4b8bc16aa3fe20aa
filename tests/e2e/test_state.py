# SPDX-License-Identifier: Apache-2.0
"""Damaged and aged state: every file of the state folder is cut off, emptied, replaced, flipped or lost. What happened is named, what
can be brought back is, and the ledger of the CA says that nothing was bought for it."""

import os
import re
import shutil
import signal
import subprocess

import pytest
from lib import base, pki

GOOD = "good.example.jp"


def record_path(d, name):
    return d.state_dir / "state" / f"{name}.json"


def archive(d, name, generation=1):
    return d.state_dir / "archive" / name / f"{generation:04}"


def assert_free(world, names):
    """One order each, whatever happened since."""
    for name in names:
        assert len(world.sandbox.orders(name)) == 1, name


# --- records ---


def flip(at, bit=0):
    def damage(path):
        data = bytearray(path.read_bytes())
        where = data.index(at.encode()) + len(at) - 1
        data[where] ^= 1 << bit
        path.write_bytes(data)

    return damage


def cut(part):
    def damage(path):
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * part)])

    return damage


def becomes(data):
    return lambda path: path.write_bytes(data)


def edit(path):
    path.write_text(path.read_text().replace('"held": false', '"held":  false'))


def of_another(path):
    shutil.copy(path.parent / f"{GOOD}.json", path)


def zero_tail(path):
    data = path.read_bytes()
    path.write_bytes(data[:-512] + b"\0" * 512)


RECORDS = {
    "empty": becomes(b""),
    "cut": cut(0.6),
    "lastbyte": cut(0.999),
    "zeros": becomes(b"\0" * 4096),
    "zerotail": zero_tail,
    "array": becomes(b"[]\n"),
    "object": becomes(b"{}\n"),
    "binary": becomes(bytes(range(256)) * 16),
    "deep": becomes(b"[" * 100000),
    "huge": becomes(b" " * (3 << 20)),
    "another": of_another,
    "edited": edit,
    "flip-order": flip('"order_id": 3'),
    "flip-key": flip('"not_after'),
    "flip-check": flip('"check": "0123'[:10]),
}


def test_damaged_records(world):
    """Each is kept aside; the certificate and its order are known again; a person lets it go on, and that is free."""
    names = {kind: f"{kind}.example.jp" for kind in RECORDS}
    d = world.simple(GOOD, *names.values(), ca=["--rate", "off"]).start()
    d.wait(GOOD, *names.values(), timeout=120)
    before = {x["name"]: x for x in d.status()["domains"]}
    d.stop()
    for kind, name in names.items():
        RECORDS[kind](record_path(d, name))
    damaged = {name: record_path(d, name).read_bytes() for name in names.values()}
    world.sandbox.forget_requests()
    d.start()
    for kind, name in names.items():
        (shown,) = d.wait(name, state="failed")
        assert shown["error"]["code"] == "state_unreadable", (kind, shown)
        if kind != "huge":  # not even read, so it stays where it is
            assert shown["serial"] == before[name]["serial"], kind
            (kept,) = record_path(d, name).parent.glob(f"{name}.json.bad-*")
            assert kept.read_bytes() == damaged[name]
    read = [n for k, n in names.items() if k != "huge"]
    base.until(lambda: all(d.status(n)["order_id"] for n in read), 60, why="the orders are known again")
    for name in read:
        for key in ("order_id", "certificate_id", "order_valid_until"):
            assert d.status(name)[key] == before[name][key]
    assert d.status(GOOD)["state"] == "valid"
    assert world.sandbox.counts()["order"] == 0 and world.sandbox.counts().get("reissue", 0) == 0
    d.restart()
    assert d.status(read[0])["state"] == "failed"
    assert d.ctl("renew", *read).code == 0
    d.wait(*read, timeout=120)
    for name in read:
        world.assert_good(d, name, reissues=1, generation=2)
    assert d.ctl("renew", names["huge"]).code != 0 or d.status(names["huge"])["state"] == "failed"
    assert record_path(d, names["huge"]).read_bytes() == damaged[names["huge"]]
    assert_free(world, names.values())


def test_what_is_no_file_is_left_alone(world):
    names = ["folder.example.jp", "link.example.jp", "pipe.example.jp"]
    d = world.simple(GOOD, *names).start()
    d.wait(GOOD, *names)
    d.stop()
    for name in names:
        record_path(d, name).rename(d.dir / f"{name}.kept")
    record_path(d, names[0]).mkdir()
    record_path(d, names[1]).symlink_to(d.dir / f"{names[1]}.kept")
    os.mkfifo(record_path(d, names[2]))
    (d.state_dir / "state" / "notes.txt").write_text("mine")
    (d.state_dir / "state" / "no such name!.json").write_text("{}")
    d.start()
    for name in names:
        (shown,) = d.wait(name, state="failed")
        assert shown["error"]["code"] == "state_unreadable"
        assert d.ctl("renew", name).code != 0
    d.wait(GOOD)
    d.stop()
    assert (d.state_dir / "state" / "notes.txt").read_text() == "mine"
    for name in names:  # put back: as if nothing had been
        path = record_path(d, name)
        path.rmdir() if path.is_dir() else path.unlink()
        (d.dir / f"{name}.kept").rename(path)
    d.start()
    d.wait(GOOD, *names)
    assert_free(world, [GOOD, *names])


def test_a_flip_that_hides_a_post(world):
    """The order was taken, its answer never came. One bit more in "submitted_at" reads as "never posted"."""
    name = "posted.example.jp"
    d = world.simple(name)
    world.sandbox.fault("order", "delay", delay_ms=5000)
    d.start()
    base.until(lambda: world.sandbox.faults_hit("order"), 30, why="the post is under way")
    d.kill9()
    flip('"submitted_at', bit=1)(record_path(d, name))
    d.start()
    d.wait(name, state="failed")
    base.until(lambda: len(world.sandbox.orders(name)) == 1, 30, why="the CA's side is done")
    d.restart()
    d.wait(name, state="failed")
    assert len(world.sandbox.requests("order")) == 1


# --- the state folder is lost ---


@pytest.mark.parametrize("also_live", [False, True])
def test_lost_state_finds_its_orders_again(world, also_live):
    names = ["a.example.jp", "b.example.jp"]
    d = world.simple(*names).start()
    d.wait(*names)
    before = {x["name"]: x for x in d.status()["domains"]}
    d.stop()
    shutil.rmtree(d.state_dir / "state")
    if also_live:
        shutil.rmtree(d.state_dir / "live")
    world.sandbox.forget_requests()
    d.start()
    base.until(lambda: all(d.status(n)["order_id"] for n in names), 30, why="the orders")
    base.until(lambda: all(d.live(n).exists() for n in names), 30, why="the links")
    d.wait(*names)
    for name in names:
        for key in ("order_id", "certificate_id", "order_valid_until", "serial", "generation"):
            assert d.status(name)[key] == before[name][key], key
    d.restart()
    assert d.status(names[0])["order_id"] == before[names[0]]["order_id"]
    assert d.ctl("renew", *names).code == 0
    base.until(lambda: all(d.status(n)["generation"] == 2 for n in names), 60, why="reissued")
    d.wait(*names)
    assert world.sandbox.counts()["order"] == 0
    for name in names:
        world.assert_good(d, name, reissues=1, generation=2)


def test_no_order_while_the_ca_does_not_answer(world):
    """Whether the next certificate is free is not known, so not even a person can buy it by mistake."""
    name = "a.example.jp"
    d = world.simple(name).start()
    d.wait(name)
    d.stop()
    record_path(d, name).unlink()
    world.sandbox.forget_requests()
    world.sandbox.fault("info", "status", status=503, times=0)
    d.start()
    base.until(lambda: world.sandbox.faults_hit("info"), 30, why="asked")
    for more in ([], ["--yes"]):
        answer = d.ctl("renew", name, *more)
        assert answer.code != 0 and "looked up" in answer.out + answer.err, answer
    assert world.sandbox.counts()["order"] == 0
    world.sandbox.clear_faults()
    base.until(lambda: d.status(name)["order_id"], 60, why="found")
    assert world.sandbox.counts()["order"] == 0


def test_a_certificate_that_the_ca_does_not_know(world):
    """Of another account, say: it stays in use; only its successor is a new order."""
    name = "a.example.jp"
    d = world.simple(name).start()
    d.wait(name)
    d.stop()
    record_path(d, name).unlink()
    world.sandbox.fault("info", "status", status=404, times=1)
    d.start()
    base.until(lambda: "knows no order" in d.log(), 30, why="told")
    shown = d.status(name)
    assert shown["order_id"] is None and shown["generation"] == 1
    assert len(world.sandbox.orders(name)) == 1


# --- certificate files ---


def remove(*files):
    def damage(folder):
        for f in files:
            (folder / f).unlink()

    return damage


def replace(file, data):
    return lambda folder: (folder / file).write_bytes(data)


def wrong_key(folder):
    shutil.copy(folder.parent.parent / GOOD / "0001/privkey.pem", folder / "privkey.pem")


def cut_cert(folder):
    data = (folder / "cert.pem").read_bytes()
    (folder / "cert.pem").write_bytes(data[:300])


def other_pair(folder):
    for f in ("cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"):
        shutil.copy(folder.parent.parent / GOOD / "0001" / f, folder / f)


def planted_link(folder):
    (folder / "fullchain.pem").rename(folder / "kept.pem")
    (folder / "fullchain.pem").symlink_to("kept.pem")


DOWNLOADED = {
    "certs-gone": remove("cert.pem", "chain.pem", "fullchain.pem"),
    "cert-cut": cut_cert,
    "fullchain-empty": replace("fullchain.pem", b""),
    "cert-foreign": lambda folder: shutil.copy(folder.parent.parent / GOOD / "0001/cert.pem", folder / "cert.pem"),
}
REISSUED = {
    "key-gone": remove("privkey.pem"),
    "key-zeros": replace("privkey.pem", b"\0" * 1700),
    "key-wrong": wrong_key,
    "all-gone": lambda folder: shutil.rmtree(folder.parent),
}
LEFT = {
    "other-pair": other_pair,
    "planted": planted_link,
}


def test_damaged_certificate_files(world):
    kinds = {**DOWNLOADED, **REISSUED, **LEFT}
    names = {kind: f"{kind}.example.jp" for kind in kinds}
    d = world.simple(GOOD, *names.values(), ca=["--rate", "off"]).start()
    d.wait(GOOD, *names.values(), timeout=120)
    d.stop()
    whole = {}
    for kind, damage in kinds.items():
        folder = archive(d, names[kind])
        whole[kind] = {p.name: p.read_bytes() for p in folder.iterdir()}
        damage(folder)
    for kind in LEFT:
        whole[kind] = {p.name: p.read_bytes() for p in archive(d, names[kind]).iterdir()}
    (d.state_dir / "archive" / "lost+found").mkdir()
    (d.state_dir / "archive" / GOOD / "0002.new").mkdir()
    (d.state_dir / "archive" / GOOD / "notes").write_text("mine")
    world.sandbox.forget_requests()
    d.start()
    for name in names.values():
        base.until(lambda n=name: f"error {n}: the installed files are damaged" in d.log(), 90, why=f"{name} is named")
    base.until(lambda: len(world.sandbox.requests("reissue")) == len(REISSUED), 90, why="reissues")
    d.wait(GOOD, *(names[k] for k in (*DOWNLOADED, *REISSUED)), timeout=90)
    for kind in DOWNLOADED:
        assert {p.name: p.read_bytes() for p in archive(d, names[kind]).iterdir()} == whole[kind], kind
        world.assert_good(d, names[kind])
    for kind in REISSUED:
        status = d.status(names[kind])
        world.assert_good(d, names[kind], reissues=1, generation=status["generation"])
        key = (d.live(names[kind]) / "privkey.pem").read_bytes()
        assert key != whole[kind]["privkey.pem"]
    for kind in LEFT:
        assert {p.name: p.read_bytes() for p in archive(d, names[kind]).iterdir()} == whole[kind], kind
        assert "left alone" in d.status(names[kind])["error"]["message"]
    assert (d.state_dir / "archive" / GOOD / "notes").read_text() == "mine"
    assert world.sandbox.counts()["order"] == 0
    assert_free(world, names.values())


def test_damaged_links(world):
    names = ["gone.example.jp", "elsewhere.example.jp", "foreign.example.jp"]
    d = world.simple(*names).start()
    d.wait(*names)
    d.stop()
    for name in names:
        d.live(name).unlink()
    d.live(names[1]).symlink_to("/etc")
    d.live(names[2]).mkdir()
    world.sandbox.forget_requests()
    d.start()
    base.until(lambda: d.live(names[0]).exists(), 30, why="made again")
    d.wait(names[0])
    assert os.readlink(d.live(names[0])) == f"../archive/{names[0]}/0001"
    d.wait_error(names[1], "live/elsewhere.* points to /etc")
    d.wait_error(names[2], "live/foreign.* not a symbolic link")
    assert os.readlink(d.live(names[1])) == "/etc" and not d.live(names[2]).is_symlink()
    assert world.sandbox.counts()["order"] == 0 and world.sandbox.counts().get("reissue", 0) == 0


# --- the machine ---


def test_a_copy_on_another_machine_is_warned_of(world):
    d = world.simple(GOOD).start()
    d.wait(GOOD)
    assert not [w for w in d.status()["daemon"]["warnings"] if "another machine" in w]
    d.stop()
    path = d.state_dir / "state" / "machine"
    if not path.exists():
        pytest.skip("there is no /etc/machine-id here")
    assert re.fullmatch(r"[0-9a-f]{32}\n", path.read_text())
    with open("/etc/machine-id") as f:
        assert f.read().strip() not in path.read_text()  # confidential: machine-id(5)
    path.write_text("0" * 32 + "\n")
    for _ in range(2):
        d.start()
        assert [w for w in d.status()["daemon"]["warnings"] if "another machine" in w]
        d.wait(GOOD)
        d.stop()
    assert "another machine" in d.log()
    path.unlink()
    d.start()
    assert not [w for w in d.status()["daemon"]["warnings"] if "another machine" in w]
    for text in ("", "x" * 100000, "\0" * 33):  # damaged: it says nothing, and is written again
        d.stop()
        path.write_text(text)
        d.start()
        assert re.fullmatch(r"[0-9a-f]{32}\n", path.read_text())
    assert_free(world, [GOOD])


# --- a domain that kills the process ---

POISON = "poison.example.jp"
SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int has(const char *text, size_t len, const char *variable)
{
    const char *word = getenv(variable);

    return word && memmem(text, len, word, strlen(word)) != NULL;
}

static void end(void)
{
    if (getenv("POISON_HANGS"))
        for (;;)
            pause();
    abort();
}

int X509_NAME_add_entry_by_NID(void *name, int nid, int type, const unsigned char *bytes, int len, int loc, int set)
{
    static int (*real)(void *, int, int, const unsigned char *, int, int, int);

    if (!real)
        real = dlsym(RTLD_NEXT, "X509_NAME_add_entry_by_NID");
    if (getenv("POISON_CSR") && has((const char *)bytes, strlen((const char *)bytes), "POISON_NAME"))
        end();
    return real(name, nid, type, bytes, len, loc, set);
}

int json_object_object_add_ex(void *obj, const char *key, void *value, unsigned flags)
{
    static int (*real)(void *, const char *, void *, unsigned);
    const char *(*text)(void *) = dlsym(RTLD_NEXT, "json_object_get_string");
    const char *wanted = getenv("POISON_KEY");

    if (!real)
        real = dlsym(RTLD_NEXT, "json_object_object_add_ex");
    if (wanted && strcmp(key, wanted) == 0 && value && has(text(value), strlen(text(value)), "POISON_VALUE"))
        end();
    return real(obj, key, value, flags);
}

int curl_easy_setopt(void *curl, int option, void *value)
{
    static int (*real)(void *, int, ...);

    if (!real)
        real = dlsym(RTLD_NEXT, "curl_easy_setopt");
    if (option == 10002 && has(value, strlen(value), "POISON_URL") && has(value, strlen(value), "POISON_NAME"))
        end();
    return real(curl, option, value);
}
"""


@pytest.fixture(scope="module")
def poison(tmp_path_factory):
    """A library that makes the process abort where it meets a name."""
    folder = tmp_path_factory.mktemp("poison")
    os.chmod(folder, 0o755)
    (folder / "poison.c").write_text(SOURCE)
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-o", folder / "poison.so", folder / "poison.c", "-ldl"], check=True, capture_output=True
    )
    return {
        "LD_PRELOAD": str(folder / "poison.so"),
        "POISON_NAME": POISON,
        "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
    }


def dies(d, times=3):
    for _ in range(times):
        d.spawn()
        code = d.proc.wait(60 * base.PATIENCE)
        d.proc = None
        assert code == -signal.SIGABRT, f"exit {code}\n{d.log(30)}"


def set_aside(d, *others):
    """The fourth start stays up, and all others get what they need."""
    d.start()
    (shown,) = d.wait(POISON, state="failed")
    assert shown["error"]["code"] == "crashes" and f"renew {POISON}" in shown["error"]["message"], shown
    d.wait(*others, timeout=90)
    for _ in range(2):  # it stays so, over restarts and reloads
        d.reload()
        assert d.status(POISON)["error"]["code"] == "crashes"
        d.restart()
        assert d.status(POISON)["error"]["code"] == "crashes"


def cure(d):
    d.stop()
    d.env = {}
    d.start()
    assert d.status(POISON)["error"]["code"] == "crashes"  # a person has to say so
    assert d.ctl("renew", POISON).code == 0
    d.wait(POISON)


def test_a_domain_that_crashes_a_pool_thread(world, poison):
    others = ["a.example.jp", "z.example.jp"]
    d = world.simple(POISON, *others)
    d.env = {**poison, "POISON_CSR": "1"}
    dies(d)
    assert "(2 of 3" in d.log()
    set_aside(d, *others)
    cure(d)
    for name in (POISON, *others):
        world.assert_good(d, name)


def test_a_domain_that_crashes_the_loop(world, poison):
    """In the answer to order info, which has the name in it, while the others are under way as well."""
    others = ["a.example.jp", "z.example.jp"]
    d = world.simple(POISON, *others)
    d.env = {**poison, "POISON_KEY": "common_name", "POISON_VALUE": POISON}
    dies(d)
    set_aside(d, *others)
    cure(d)
    for name in (POISON, *others):
        world.assert_good(d, name)


def test_a_domain_whose_deployment_crashes(world, poison):
    """Not even the duties of a domain that was set aside are done: its certificate is installed already."""
    others = ["a.example.jp", "z.example.jp"]
    d = world.simple(POISON, *others)
    d.env = {**poison, "POISON_URL": "update_cert"}
    dies(d)
    set_aside(d, *others)
    cure(d)
    world.assert_good(d, POISON, reissues=1, generation=2)
    for name in others:
        world.assert_good(d, name)


def test_a_state_file_that_crashes_its_reader(world, poison):
    others = ["a.example.jp", "z.example.jp"]
    d = world.simple(POISON, *others).start()
    (shown, *_) = d.wait(POISON, *others)
    d.stop()
    d.env = {**poison, "POISON_KEY": "message", "POISON_VALUE": f"order {shown['order_id']} placed"}
    dies(d)
    d.start()
    (shown,) = d.wait(POISON, state="failed")
    assert shown["error"]["code"] == "state_unreadable" and "crashes" in shown["error"]["message"]
    assert list(record_path(d, POISON).parent.glob(f"{POISON}.json.bad-*"))
    d.wait(*others)
    base.until(lambda: d.status(POISON)["order_id"], 30, why="its order is known again")
    d.env = {}
    d.restart()
    assert d.ctl("renew", POISON).code == 0
    d.wait(POISON)
    world.assert_good(d, POISON, reissues=1, generation=2)


def test_two_crashes_are_not_enough(world, poison):
    d = world.simple(POISON)
    d.env = {**poison, "POISON_CSR": "1"}
    dies(d, 2)
    d.env = {}
    d.start()
    d.wait(POISON)
    world.assert_good(d, POISON)


def test_a_hang_that_a_watchdog_ends_counts(world, poison):
    """systemd's watchdog sends SIGABRT to all of the process; the one that has hung for long is the one."""
    d = world.simple(POISON, "a.example.jp")
    d.env = {**poison, "POISON_CSR": "1", "POISON_HANGS": "1"}
    d.start()
    d.wait("a.example.jp")
    base.until(lambda: d.status(POISON)["phase"] == "prepare", 30, why="it hangs")
    began = os.times().elapsed
    base.until(lambda: os.times().elapsed - began > 3.5, 10, why="long enough for BLAME_HANG_MS")
    d.proc.send_signal(signal.SIGABRT)
    d.proc.wait(30)
    d.proc = None
    d.env = {}
    d.start()
    assert re.search(rf"died while it worked for {POISON} \(1 of 3", d.log())
    d.wait(POISON)


def test_kill_9_blames_nobody(world):
    d = world.simple("a.example.jp", "b.example.jp")
    for _ in range(4):
        d.start()
        d.kill9()
    d.start()
    d.wait("a.example.jp", "b.example.jp")
    assert "died while" not in d.log()


def test_damaged_counts(world):
    """None of these files can keep the daemon from starting, or a domain from its certificate."""
    d = world.simple(GOOD)
    for data in (b"", b"\0" * 9000, b"3 99999999999999999999 x\n", b"9 1 " + GOOD.encode(), os.urandom(20000)):
        for name in ("blame", "crashes", "rates"):
            (d.state_dir / "state").mkdir(parents=True, exist_ok=True)
            os.chmod(d.state_dir / "state", 0o700)
            (d.state_dir / "state" / name).write_bytes(data)
        d.start()
        d.wait(GOOD)
        d.stop()
    d.start()
    world.assert_good(d, GOOD)
