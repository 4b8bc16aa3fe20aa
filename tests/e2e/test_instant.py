# SPDX-License-Identifier: Apache-2.0
"""Instant issuance by a file: the names are proven before the order is placed, and its answer is the certificate."""

import json
import os
import random
import re
import threading
import time
import urllib.request

import pytest
from lib import base
from lib.sandbox import assert_one_order

NAME = "www.example.jp"
FILE = ".well-known/pki-validation/fileauth.txt"
TOKEN = re.compile(r"^\d{14}[0-9a-z]{50}$")
SEEDS = int(os.environ.get("DVCERT_CRASH_SEEDS", "6"))


def account(world, method, path, body=None):
    """An administrator of the account."""
    rq = urllib.request.Request(
        f"{world.sandbox.certcentral_url}/account/{path}", method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "X-DC-DEVKEY": world.sandbox.api_key},
    )  # fmt: skip
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=world.sandbox.tls)
    )
    with opener.open(rq, timeout=20 * base.PATIENCE) as answer:
        text = answer.read()
    return json.loads(text) if text.strip() else None


def rotate(world):
    """The account's AuthKey is another one from now on; the first time it is simply made."""
    for key in account(world, "GET", "auth-keys")["auth_keys"]:
        account(world, "DELETE", f"auth-key/{key['auth_key_id']}")
    account(world, "POST", "auth-key")


def prepare(world, *names, ca=(), key=True, **certcentral):
    world.start_ca(*ca)
    if key:
        rotate(world)
    world.sandbox.forget_requests()
    if not world.web:
        world.start_web()
    return world.make_daemon(
        *[world.domain(n) for n in names or [NAME]], certcentral={"instant_issuance": True, **certcentral}
    )


def assert_instant(world, posts=1, questions=2):
    """One POST each, the question for the AuthKey, and nothing else of CertCentral."""
    counts = world.sandbox.counts()
    assert counts["order"] == posts and 1 <= counts["authkey"] <= questions, counts
    rest = counts["n_requests"] - counts["order"] - counts["authkey"] - counts["scutum"] - counts["changes"]
    assert rest == 0, counts


def assert_tokens(text):
    """One for each spelling of the CSR, made a little ago: the CA takes none of the future."""
    tokens = text.split()
    assert len(tokens) == 5 == len(set(tokens)), text
    now = time.strftime("%Y%m%d%H%M%S", time.gmtime())
    assert all(TOKEN.match(t) and t[:14] < now for t in tokens), (tokens, now)
    assert text == "".join(f"{t}\n" for t in tokens) or text == "\n".join(tokens)


def gone(path):
    base.until(lambda: not path.exists(), why=f"{path} is removed")


@pytest.mark.parametrize("spelling", ["posted", "lf", "lf-nofinal", "crlf", "oneline", "body"])
def test_whatever_text_of_the_csr_the_ca_hashes(world, spelling):
    d = prepare(world, ca=["--set", f"csr_spelling={spelling}"]).start()
    d.wait(NAME)
    world.assert_good(d, NAME)
    assert_instant(world)
    gone(world.web.webroot(NAME) / FILE)
    assert d.status(NAME)["order_valid_until"], "the end of the plan is known, if only by what was ordered"


def test_tokens_stand_there_before_the_order_is_posted(world):
    d = prepare(world)
    world.sandbox.fault("order", "delay", delay_ms=1500)
    d.start()
    base.until(lambda: world.sandbox.faults_hit("order"), why="the order is on its way")
    assert not world.sandbox.orders(NAME), "it waits outside"
    assert_tokens((world.web.webroot(NAME) / FILE).read_text())
    d.wait(NAME)
    world.assert_good(d, NAME)
    assert_instant(world)


def test_responder(world):
    port = world.ports.take()
    names = [f"r{i}.example.jp" for i in range(3)]
    world.start_ca()
    rotate(world)
    world.sandbox.forget_requests()
    world.start_web(responder_port=port)
    dcv = {"method": "http-token", "responder": True}
    d = world.make_daemon(
        *[world.domain(n, dcv=dcv, key={"type": "ec", "curve": "P-256"}) for n in names],
        certcentral={"instant_issuance": True}, responder={"listen": f"127.0.0.1:{port}"},
    )  # fmt: skip
    world.sandbox.fault("order", "delay", delay_ms=3000, times=3)
    d.start()
    base.until(lambda: len(world.sandbox.faults_hit("order")) == 3, why="three orders are on their way")
    told = []
    for name in names:
        rq = urllib.request.Request(f"http://127.0.0.1:{port}/{FILE}", headers={"Host": name})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(rq, timeout=10) as answer:
            told.append(answer.read().decode())
        assert_tokens(told[-1])
    assert len(set(told)) == 3, "each name has its own"
    d.wait(*names)
    for name in names:
        world.assert_good(d, name)
    assert_instant(world, posts=3)


def test_two_domains_with_one_webroot_take_turns(world):
    names = ["a.example.jp", "b.example.jp", "c.example.jp"]
    world.start_ca()
    rotate(world)
    world.sandbox.forget_requests()
    world.start_web()
    shared = world.web.share(*names)
    dcv = {"method": "http-token", "webroot": str(shared)}
    d = world.make_daemon(*[world.domain(n, dcv=dcv) for n in names], certcentral={"instant_issuance": True})
    seen, stop = set(), threading.Event()

    def watch():
        while not stop.is_set():
            try:
                seen.add((shared / FILE).read_text())
            except FileNotFoundError:
                pass
            stop.wait(0.005)

    world.sandbox.fault("order", "delay", delay_ms=200, times=3)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        d.start()
        d.wait(*names)
    finally:
        stop.set()
        watcher.join()
    for name in names:
        world.assert_good(d, name)
    assert_instant(world, posts=3)
    assert len(seen) == 3, "never two in one file"
    for text in seen:
        assert_tokens(text)
    gone(shared / FILE)


def test_names_of_several_hosts(world):
    world.start_ca()
    rotate(world)
    world.sandbox.forget_requests()
    world.start_web()
    more = ["shop.example.jp", "api.example.jp"]
    d = world.make_daemon(world.domain(NAME, dns_names=more), certcentral={"instant_issuance": True}).start()
    d.wait(NAME)
    world.assert_good(d, NAME, names=[NAME, *more])
    assert_instant(world)


def test_account_with_one_auth_key(world):
    """Accounts of the older kind have no list of keys."""
    d = prepare(world, ca=["--set", "auth_keys=one"], key=False)
    account(world, "POST", "auth-key")
    world.sandbox.forget_requests()
    d.start()
    d.wait(NAME)
    world.assert_good(d, NAME)
    assert_instant(world)


def test_auth_key_from_a_file(world):
    d = prepare(world, auth_key_file="cc-auth")
    (key,) = account(world, "GET", "auth-keys")["auth_keys"]
    secret = account(world, "GET", f"auth-key/{key['auth_key_id']}")
    text = secret["auth_key"]
    d.write_secret("cc-auth", text + "\n")
    world.sandbox.forget_requests()
    d.start()
    d.wait(NAME)
    world.assert_good(d, NAME)
    assert world.sandbox.counts()["authkey"] == 0 and world.sandbox.counts()["check"] == 0
    assert text not in d.log()


# --- where it cannot be instant, the ordinary way is taken ---


def test_account_without_an_auth_key(world):
    d = prepare(world, key=False).start()
    d.wait(NAME)
    world.assert_good(d, NAME)
    assert re.search(rf"warning {NAME}: no instant issuance, the ordinary way is taken: .*auth-key create", d.log())
    counts = world.sandbox.counts()
    assert counts["order"] == 1 and counts["check"] == 1, counts
    gone(world.web.webroot(NAME) / FILE)


def test_api_key_that_may_not_see_the_auth_key(world):
    d = prepare(world, ca=["--set", "key_scope=orders"], key=False).start()
    d.wait(NAME)
    world.assert_good(d, NAME)
    assert re.search(rf"warning {NAME}: no instant issuance, the ordinary way is taken: ", d.log())
    assert not d.status()["daemon"]["api_key_stopped"], "one question that is not allowed does not stop the key"


def test_auth_key_that_is_another_one_now(world):
    """Changed behind our back: that order goes on in the ordinary way, and the next one is instant again."""
    d = prepare(world).start()
    d.wait(NAME)
    world.assert_good(d, NAME)
    rotate(world)
    for n, checks in ((2, 1), (3, 0)):
        assert d.ctl("revoke", NAME, "--order", "--yes").code == 0
        d.wait(NAME, state="failed")
        world.sandbox.forget_requests()
        assert d.ctl("renew", NAME, "--yes").code == 0
        base.until(lambda n=n: d.status(NAME)["generation"] == n, 30, why=f"generation {n}")
        d.wait(NAME)
        world.assert_good(d, NAME, orders=n, generation=n)
        counts = world.sandbox.counts()
        assert counts["order"] == 1 and counts["check"] == checks, (n, counts)
    assert len(re.findall(rf"warning {NAME}: order \d+: the CA did not take the request tokens", d.log())) == 1
    gone(world.web.webroot(NAME) / FILE)


def test_rejected_tokens_do_not_stay(world):
    """The random value of the ordinary way is alone in the file."""
    d = prepare(world, ca=["--issue-delay", "1h"])
    world.sandbox.fault("order", "delay", delay_ms=700)
    d.start()
    base.until(lambda: world.sandbox.faults_hit("order"), why="the order is on its way")
    rotate(world)
    order = base.until(lambda: world.sandbox.orders(NAME), why="an order")[0]
    base.until(lambda: world.sandbox.orders(NAME)[0]["validated"], why="proven names")
    path = world.web.webroot(NAME) / FILE
    assert not path.exists() or path.read_text().split() == [order["dcv_token"]]
    world.sandbox.set_order(order["order_id"], action="issue")
    d.wait(NAME)
    world.assert_good(d, NAME)
    gone(path)


def test_reissue_is_not_instant(world):
    """No page says that a reissue takes request tokens, so it is proven in the ordinary way."""
    d = prepare(world).start()
    d.wait(NAME)
    assert d.ctl("renew", NAME).code == 0
    base.until(lambda: d.status(NAME)["generation"] == 2, 30, why="generation 2")
    d.wait(NAME)
    world.assert_good(d, NAME, reissues=1, generation=2)


# --- faults and kills ---


@pytest.mark.parametrize("kind", ["drop-after", "truncate", "drop-before"])
def test_lost_answer(world, kind):
    d = prepare(world)
    world.sandbox.fault("order", kind)
    d.start()
    d.wait(NAME, timeout=90)
    world.assert_good(d, NAME)
    gone(world.web.webroot(NAME) / FILE)


@pytest.mark.parametrize("kind", ["drop-before", "status", "garbage"])
def test_auth_key_that_is_told_late(world, kind):
    d = prepare(world)
    world.sandbox.fault("authkey", kind, times=2)
    d.start()
    d.wait(NAME, timeout=60)
    world.assert_good(d, NAME)
    assert_one_order(world.sandbox, NAME)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_kill_9_at_a_random_moment(world, seed):
    d = prepare(world)
    world.sandbox.fault("*", "delay", delay_ms=150, times=0)
    moments = random.Random(seed)
    for _ in range(moments.choice([1, 1, 2, 3])):
        d.start()
        time.sleep(moments.uniform(0.0, 1.2))  # the moment is the point
        d.kill9()
    d.start()
    d.wait(NAME, timeout=120)
    world.assert_good(d, NAME)
    gone(world.web.webroot(NAME) / FILE)
