# SPDX-License-Identifier: Apache-2.0
"""What people really write into configuration files. Every refusal names a place and comes before anything is done."""

import os
import re
import time

import pytest
from conftest import need
from lib import yamlout
from lib.daemon import Daemon

NAME = "www.example.jp"
BAD = 78


@pytest.fixture
def place(tmp_path_factory):
    """A daemon's folder with a good configuration and its secrets; nothing else is running."""
    need("dvcertd")
    made = []

    def make():
        folder = tmp_path_factory.mktemp("c")
        (folder / "www").mkdir()
        d = Daemon(folder / "d", good(folder))
        d.write_secret("cc-key", "0123456789abcdef\n")
        made.append(d)
        return d

    yield make()
    for d in made:
        d.clean_up()


def good(folder):
    return {
        "certcentral": {
            "url": "https://www.digicert.com/services/v2",
            "api_key_file": "cc-key",
            "product": "ssl_dv_geotrust",
        },
        "defaults": {"dcv": {"method": "http-token", "webroot": str(folder / "www")}},
        "domains": [{"name": NAME}],
    }


def check(d):
    began = time.monotonic()
    code, text = d.check()
    assert time.monotonic() - began < 5, "a bad file must not take long"
    return code, text


def refused(d, pattern, place=r"dvcertd\.yaml:\d+:\d+: "):
    code, text = check(d)
    assert code == BAD, f"exit {code}\n{text}"
    lines = [line for line in text.split("\n") if re.search(place, line) and re.search(pattern, line, re.I)]
    assert lines, f"no line with a place and /{pattern}/:\n{text}"
    return text


def test_good_file(place):
    assert check(place)[0] == 0


def test_check_needs_no_state_and_changes_nothing(place):
    check(place)
    assert not place.state_dir.exists() and not place.socket.exists()


TEXTS = {
    "empty": ("", r"", r"dvcertd\.yaml"),
    "blank": ("\n\n# nothing\n", r"", r"dvcertd\.yaml"),
    "tabs": ("certcentral:\n\turl: https://example.jp\n", r"tab"),
    "scalar": ("hello\n", r"mapping"),
    "list": ("- a\n- b\n", r"mapping"),
    "two-documents": ("a: 1\n---\nb: 2\n", r"document"),
    "alias": ("certcentral: &x {url: y}\nscutum: *x\n", r"alias|anchor"),
    "not-utf-8": (b"certcentral: {url: \xff\xfe}\n", r"utf-?8|character|read"),
    "nul": (b"certcentral:\x00\n", r"character|NUL"),
    "unclosed": ('certcentral: {url: "https://x\n', r"."),
    "deep": ("[" * 5000, r"deep|nest|level"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_bad_text(place, case):
    text, pattern, *where = TEXTS[case]
    if isinstance(text, bytes):
        place.config_path.write_bytes(text)
    else:
        place.write_config(text)
    refused(place, pattern, *where)


def test_ten_megabytes(place):
    place.write_config("# " + "x" * 100 + "\n" + ("#" * 99 + "\n") * 105000 + yamlout.dump(place.config))
    refused(place, r"large|big|bytes|MiB", r"dvcertd\.yaml")


def test_missing_file(place):
    place.config_path.unlink()
    code, text = check(place)
    assert code == BAD and str(place.config_path) in text


def test_folder_instead_of_file(place):
    place.config_path.unlink()
    place.config_path.mkdir()
    code, text = check(place)
    assert code == BAD and str(place.config_path) in text


def set_in(config, path, value):
    *steps, last = path.split(".")
    for step in steps:
        config = config[int(step)] if step.isdigit() else config.setdefault(step, {})
    if last == "+":
        config.append(value)
    elif value is None:
        del config[last]
    else:
        config[int(last) if last.isdigit() else last] = value


VALUES = {
    "unknown-key": ("certcentral.prodcut", "x", r"prodcut.*product"),
    "unknown-top-key": ("domain", [], r"domain.*domains"),
    "unknown-domain-key": ("domains.0.webroot", "/x", r"webroot"),
    "no-domains-key-type": ("domains", {"name": NAME}, r"list"),
    "no-certcentral": ("certcentral", None, r"certcentral", r"dvcertd\.yaml"),
    "no-key": ("certcentral.api_key_file", None, r"api_key_file"),
    "url-http": ("certcentral.url", "http://www.digicert.com/services/v2", r"https"),
    "bad-duration": ("certcentral.poll_interval", "1 minute", r"poll_interval"),
    "no-unit": ("certcentral.poll_interval", 60, r"poll_interval"),
    "zero-duration": ("certcentral.poll_interval", "0s", r"poll_interval"),
    "negative": ("certcentral.max_orders_per_day", -1, r"max_orders_per_day"),
    "huge": ("certcentral.order_years", 99999999999999999999, r"order_years"),
    "domain-twice": ("domains.+", {"name": "WWW.example.jp."}, r"www\.example\.jp"),
    "traversal": ("domains.0.name", "../../etc", r"\.\./\.\./etc"),
    "slash": ("domains.0.name", "a/b.jp", r"a/b\.jp"),
    "dot": ("domains.0.name", ".", r"name"),
    "64-char-label": ("domains.0.name", "a" * 64 + ".jp", r"63"),
    "254-chars": ("domains.0.name", ".".join(["a" * 60] * 4) + ".example.jp", r"25[34]"),
    "emoji": ("domains.0.name", "\U0001f600.jp", r"name"),
    "control-character": ("domains.0.name", "a\x07b.jp", r"."),
    "blank-in-name": ("domains.0.name", "www example.jp", r"name|character"),
    "one-label": ("domains.0.name", "localhost", r"label"),
    "ip-address": ("domains.0.name", "192.0.2.1", r"192\.0\.2\.1"),
    "underscore": ("domains.0.name", "a_b.example.jp", r"_"),
    "hyphen-first": ("domains.0.name", "-a.example.jp", r"-"),
    "empty-name": ("domains.0.name", "", r"name"),
    "no-name": ("domains.0", {"key": {"type": "rsa"}}, r"name"),
    "wildcard-http": ("domains.0.dns_names", ["*.example.jp"], r"http-token"),
    "wildcard-common-name": ("domains.0.common_name", "*.example.jp", r"http-token"),
    "wildcard-remedy": ("domains.0.dns_names", ["*.example.jp"], r"dns-txt-token"),
    "bad-method": ("defaults.dcv.method", "htp-token", r"http-token"),
    "webroot-with-dns": ("defaults.dcv.method", "dns-txt-token", r"webroot.*http-token"),
    "dns-without-provider": ("defaults.dcv", {"method": "dns-txt-token"}, r"provider.*missing"),
    "no-such-provider": ("defaults.dcv", {"method": "dns-txt-token", "provider": "corp"}, r"corp.*dns_providers"),
    "provider-with-http": ("defaults.dcv.provider", "corp", r"provider.*dns-txt-token"),
    "email-without-address": ("defaults.dcv", {"method": "email"}, r"emails"),
    "email-elsewhere": ("defaults.dcv", {"method": "email", "emails": ["a@example.com"]}, r"www\.example\.jp"),
    "email-syntax": ("defaults.dcv", {"method": "email", "emails": ["admin at example.jp"]}, r"e-mail"),
    "provider-type": ("dns_providers", {"p": {"type": "nsupdate"}}, r"rfc2136 or exec"),
    "provider-without-key": ("dns_providers", {"p": {"type": "rfc2136", "server": "192.0.2.1"}}, r"tsig_key_file"),
    "provider-by-name": ("dns_providers.p", {"type": "rfc2136", "server": "ns.jp", "tsig_key_file": "t"}, r"address"),
    "provider-relative": ("dns_providers.p", {"type": "exec", "command": ["x"]}, r"absolute"),
    "provider-mixed": ("dns_providers.p", {"type": "exec", "command": ["/x"], "ttl": "9s"}, r"ttl.*rfc2136.*exec"),
    "provider-name": ("dns_providers", {"a/b": {"type": "exec", "command": ["/x"]}}, r"a/b.*name"),
    "preflight-dns": ("preflight", {"dns": "ns.example.jp"}, r"preflight\.dns.*ADDR:PORT"),
    "instant-issuance": ("certcentral.instant_issuance", "yes please", r"true or false"),
    "auth-key-absent": ("certcentral.auth_key_file", "absent", r"auth_key_file.*absent"),
    "relative-webroot": ("defaults.dcv.webroot", "www", r"absolute|/"),
    "webroot-and-responder": ("defaults.dcv.responder", True, r"responder"),
    "small-rsa": ("domains.0.key", {"type": "rsa", "bits": 1024}, r"2048"),
    "unknown-curve": ("domains.0.key", {"type": "ec", "curve": "P-521"}, r"P-256"),
    "long-socket": ("control_socket", "/tmp/" + "s" * 195, r"control_socket.*10[78]"),
    "relative-state": ("state_dir", "state", r"state_dir"),
    "bad-level": ("log", {"level": "verbose"}, r"verbose"),
}


@pytest.mark.parametrize("case", VALUES)
def test_bad_value(place, case):
    path, value, pattern, *where = VALUES[case]
    set_in(place.config, path, value)
    place.write_config()
    refused(place, pattern, *where)


def test_duplicate_key(place):
    place.write_config(yamlout.dump(place.config) + "certcentral: {url: https://example.jp}\n")
    refused(place, r"certcentral.*(twice|duplicate|again|already)|(twice|duplicate|again|already).*certcentral")


def test_all_problems_at_once(place):
    set_in(place.config, "certcentral.prodcut", "x")
    set_in(place.config, "certcentral.poll_interval", "soon")
    set_in(place.config, "domains.+", {"name": "../../etc"})
    set_in(place.config, "domains.+", {"name": NAME})
    place.write_config()
    text = refused(place, "prodcut")
    places = {line for line in text.split("\n") if re.search(r"dvcertd\.yaml:\d+:\d+: ", line)}
    assert len(places) == 4, text


def test_place_is_right(place):
    place.write_config("certcentral:\n  url: https://example.jp\n  api_key_file: cc-key\n  nonsense: 1\ndomains: []\n")
    assert re.search(r"dvcertd\.yaml:4:3: .*nonsense", check(place)[1])


def test_conf_d_file_is_named(place):
    folder = place.dir / "conf.d"
    folder.mkdir()
    (folder / "10-x.yaml").write_text("log: {level: info}\n")
    refused(place, r"log", r"10-x\.yaml:\d+:\d+: ")


# --- DNS providers ---

TSIG = 'key "upd" {\n\talgorithm hmac-sha256;\n\tsecret "%s";\n};\n'
SECRET = "0XIyUB2TNSg0QvgJ4nUVPZGpxVQLiLVWzTWPHDqvkZ8="


@pytest.fixture
def dns_place(place):
    """One domain for each method."""
    place.config["dns_providers"] = {
        "corp": {"type": "rfc2136", "server": "192.0.2.53", "tsig_key_file": "corp.tsig"},
        "api": {"type": "exec", "command": ["/usr/bin/true", "x"]},
    }
    place.config["domains"] += [
        {"name": "wild", "common_name": "*.example.jp", "dcv": {"method": "dns-txt-token", "provider": "corp"}},
        {"name": "alias.example.jp", "dcv": {"method": "dns-cname-token", "provider": "api"}},
        {"name": "mail.example.jp", "dcv": {"method": "email", "emails": ["admin@example.jp"]}},
    ]
    place.write_secret("corp.tsig", TSIG % SECRET)
    place.write_config()
    return place


def test_all_methods(dns_place):
    code, text = check(dns_place)
    assert code == 0, text


def test_two_cnames_at_one_name(dns_place):
    dcv = {"method": "dns-cname-token", "provider": "api"}
    dns_place.config["domains"].append({"name": "x", "common_name": "*.alias.example.jp", "dcv": dcv})
    dns_place.write_config()
    refused(dns_place, r"alias\.example\.jp.*dvcertd\.yaml:\d+:\d+\).*dns-txt-token")


TSIG_FILES = {
    "mode": (TSIG % SECRET, 0o644, r"corp\.tsig.*others.*chmod"),
    "base64": (TSIG % "not base64 at all", 0o600, r"corp\.tsig: line 3: .*base64"),
    "sha1": (TSIG.replace("256", "1") % SECRET, 0o600, r"corp\.tsig: line 2: .*tsig-keygen -a hmac-sha256"),
    "bare": (SECRET + "\n", 0o600, r"corp\.tsig: line 1: "),
}


@pytest.mark.parametrize("case", TSIG_FILES)
def test_bad_tsig_file(dns_place, case):
    text, mode, pattern = TSIG_FILES[case]
    dns_place.write_secret("corp.tsig", text, mode=mode)
    said = refused(dns_place, r"tsig_key_file.*" + pattern)
    assert SECRET not in said


def test_tsig_file_is_missing(dns_place):
    (dns_place.dir / "corp.tsig").unlink()
    refused(dns_place, r"tsig_key_file.*corp\.tsig")


# --- secrets ---


def test_secret_world_readable(place):
    place.write_secret("cc-key", "0123456789abcdef\n", mode=0o644)
    refused(place, r"cc-key.*(read|mode|others)")


def test_secret_missing(place):
    (place.dir / "cc-key").unlink()
    refused(place, r"cc-key")


def test_secret_empty(place):
    place.write_secret("cc-key", "\n")
    refused(place, r"cc-key.*empty")


def test_secret_of_two_lines(place):
    place.write_secret("cc-key", "0123456789abcdef\nfedcba\n")
    refused(place, r"cc-key.*line")


def test_secret_with_carriage_return_inside(place):
    place.write_secret("cc-key", b"0123\r4567\n")
    refused(place, r"cc-key")


def test_secret_is_a_folder(place):
    (place.dir / "cc-key").unlink()
    (place.dir / "cc-key").mkdir()
    refused(place, r"cc-key")


def test_secret_is_never_shown(place):
    place.write_secret("cc-key", "0123456789ab cdef\n")
    code, text = check(place)
    assert code == BAD and "0123456789ab" not in text


def test_secret_in_the_file_itself(place):
    set_in(place.config, "certcentral.api_key", "0123456789abcdef")
    place.write_config()
    text = refused(place, r"api_key")
    assert "0123456789abcdef" not in text


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"], ids=["none", "lf", "crlf"])
def test_line_end_of_a_secret_does_not_count(world, end):
    world.start_ca()
    world.start_web()
    d = world.make_daemon(world.domain(NAME))
    d.write_secret("cc-key", world.sandbox.api_key.encode() + end)
    d.start()
    d.wait(NAME)


def test_credentials_folder_comes_first(world):
    world.start_ca()
    world.start_web()
    d = world.make_daemon(world.domain(NAME))
    (d.dir / "cred").mkdir()
    d.write_secret("cred/cc-key", world.sandbox.api_key)
    d.write_secret("cc-key", "a-wrong-one\n")
    d.env = {"CREDENTIALS_DIRECTORY": str(d.dir / "cred")}
    d.start()
    d.wait(NAME)


# --- starting ---


def test_bad_file_does_not_start(place):
    set_in(place.config, "certcentral.prodcut", "x")
    place.write_config()
    code, log = place.run_to_end()
    assert code == BAD and re.search(r"dvcertd\.yaml:\d+:\d+: .*prodcut", log), log
    assert not place.state_dir.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="root is needed to give a folder away")
def test_state_folder_of_somebody_else(place):
    place.state_dir.mkdir()
    os.chown(place.state_dir, 12345, 12345)
    code, log = place.run_to_end()
    assert code in (77, BAD) and str(place.state_dir) in log, log


def test_state_folder_that_others_may_write(place):
    place.state_dir.mkdir()
    os.chmod(place.state_dir, 0o777)
    code, log = place.run_to_end()
    assert code in (77, BAD) and str(place.state_dir) in log, log


def test_state_folder_is_a_file(place):
    place.state_dir.write_text("x")
    code, log = place.run_to_end()
    assert code > 0 and str(place.state_dir) in log, log


def test_socket_place_is_taken_by_a_file(place):
    place.socket.write_text("precious")
    code, log = place.run_to_end()
    assert code > 0 and str(place.socket) in log, log
    assert place.socket.read_text() == "precious"


@pytest.mark.parametrize("args", [["--nonsense"], ["extra"], ["-c"]], ids=str)
def test_usage(place, args):
    import subprocess

    from lib import base

    done = subprocess.run([base.program("dvcertd"), *args], capture_output=True, timeout=10)
    assert done.returncode == 64 and b"--help" in done.stdout + done.stderr


def test_version_and_help(place):
    import subprocess

    from lib import base

    for program in ("dvcertd", "dvcertctl"):
        for option, said in (("--version", program), ("--help", "Usage")):
            done = subprocess.run([base.program(program), option], capture_output=True, timeout=10, text=True)
            assert done.returncode == 0 and said.lower() in done.stdout.lower()
