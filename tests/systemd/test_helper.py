# SPDX-License-Identifier: Apache-2.0
"""dvcertd-helper as it is installed: started by its socket, in its sandbox, with a real nginx to reload."""

import json
import shutil

import box
import pytest
from host import BUILD, NAME, Host, stage, until

SOCKET = "/run/dvcertd-helper/socket"
COPY = "/etc/nginx/tls/www.pem"
DOMAIN = """\
  - name: %s
    dcv: {method: http-token, webroot: /var/www/html}
    deploy:
      - files: {bundle: %s, key: /srv/other/www.key, owner: www-data, group: ssl-cert, mode: "0640"}
      - reload: {unit: nginx.service, test: [/usr/sbin/nginx, -t]}
"""
BROKEN = "/etc/nginx/more/broken.conf"

# An address of this host that no other network has, a port below 1024, and a name: what a test can only see from outside of a sandbox.
SERVER = "server { listen 127.0.0.1:81; listen [::1]:81; location / { proxy_pass http://localhost:9; } }\n"

ASK = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("/run/dvcertd-helper/socket")
s.sendall(sys.argv[1].encode() + b"\\n")
print(s.makefile().read())
"""


@pytest.fixture(scope="module")
def host():
    if not (BUILD / "dvcertd-helper").exists():
        pytest.skip(f"{BUILD}/dvcertd-helper is not built")
    reason = box.why_not()
    if reason:
        pytest.skip(reason)
    staged = stage()
    try:
        h = Host(staged)
    except box.Refused as e:
        pytest.skip(str(e))
    finally:
        shutil.rmtree(staged)
    with h:
        h.sh("getent group ssl-cert || groupadd -r ssl-cert; mkdir -p /etc/nginx/tls /srv/other; chown www-data /srv/other")
        h.put("/etc/nginx/more/server.conf", SERVER)
        h.configure(DOMAIN % (NAME, COPY))
        h.run("systemctl", "enable", "--now", "dvcertd-helper.socket")
        h.systemctl("start")
        yield h


def reloads(host):
    return host.journal("-u", "nginx.service", "-o", "cat").count("Reloaded nginx")


def helper_log(host):
    return host.journal("-t", "dvcertd-helper", "-o", "cat")


def error_of(host, target):
    """The message of a target's error, or None."""
    domain = json.loads(host.ctl("--json", "show", NAME).stdout)["domain"]
    (found,) = [t for t in domain["deploy"] if t["target"] == target]
    return (found["error"] or {}).get("message")


def deploy(host):
    """Again, as soon as nothing is under way."""
    until(lambda: host.ctl("deploy", NAME, check=False).returncode == 0, why="deploy is accepted")


def test_a_life(host):
    before = reloads(host)
    host.wait_valid()
    assert host.sh(f"stat -c '%U %G %a' {COPY} /srv/other/www.key").split("\n")[:2] == ["www-data ssl-cert 640"] * 2
    live = f"/var/lib/dvcertd/live/{NAME}"
    assert host.sh(f"cat {COPY}") == host.sh(f"cat {live}/fullchain.pem {live}/privkey.pem")
    assert host.sh(f"stat -L -c '%U %G %a' {live}/privkey.pem").strip() == "dvcertd ssl-cert 640"
    assert reloads(host) == before + 1
    assert "reloaded" in helper_log(host)
    # Each request was a unit, and none is left; the test's neither.
    assert host.run("systemctl", "list-units", "--all", "--no-legend", "--plain", "dvcertd-helper@*", "dvcertd-test-*").stdout == ""


def test_a_bad_configuration_is_not_reloaded(host):
    host.wait_valid()
    host.put(BROKEN, "no_such_directive on;\n")
    before = reloads(host)
    try:
        deploy(host)
        seen = until(lambda: error_of(host, "reload:nginx.service"), why="the test's failure is shown")
        assert "no_such_directive" in seen and "was not reloaded" in seen
        assert reloads(host) == before
    finally:
        host.run("rm", BROKEN)
    deploy(host)
    host.wait_valid()
    assert reloads(host) == before + 1


def test_nobody_else_may_connect(host):
    line = '{"do":"reload","name":"%s","target":"reload:nginx.service"}' % NAME
    before = reloads(host)
    for user in ("nobody", "www-data"):
        done = host.run("runuser", "-u", user, "--", "python3", "-c", ASK, line, check=False)
        assert done.returncode != 0 and "Permission denied" in done.stderr, done
    assert reloads(host) == before
    done = host.run("runuser", "-u", "dvcertd", "--", "python3", "-c", ASK, line)
    assert '"ok":true' in done.stdout and reloads(host) == before + 1
    assert host.sh(f"stat -c '%U %a' {SOCKET} /run/dvcertd-helper").split("\n")[:2] == ["dvcertd 600", "root 755"]


def test_what_the_sandbox_closes(host):
    """A copy below /usr, in a home or in a /tmp of its own cannot be written, and the error says what could be done."""
    host.wait_valid()
    host.run("mkdir", "-p", "/usr/local/tls", "/home/app")
    for path, works in (("/usr/local/tls/www.pem", False), ("/home/app/www.pem", False), ("/tmp/www.pem", False), ("/var/lib/misc/www.pem", True)):
        host.configure(DOMAIN % (NAME, path))
        host.systemctl("reload")
        line = '{"do":"files","name":"%s","target":"files:%s","generation":1}' % (NAME, path)
        answer = host.run("runuser", "-u", "dvcertd", "--", "python3", "-c", ASK, line).stdout
        assert works is ('"ok":true' in answer), answer
        assert works or "ReadWritePaths=" in answer
        assert host.run("test", "-e", path, check=False).returncode == (0 if works else 1)
    host.configure(DOMAIN % (NAME, COPY))
    host.systemctl("reload")
    host.wait_valid()


def test_without_the_socket_the_error_names_it(host):
    host.wait_valid()
    host.run("systemctl", "stop", "dvcertd-helper.socket")
    try:
        deploy(host)
        message = until(lambda: error_of(host, f"files:{COPY}"), why="the refusal is shown")
        assert "systemctl enable --now dvcertd-helper.socket" in message
    finally:
        host.run("systemctl", "start", "dvcertd-helper.socket")
    deploy(host)
    host.wait_valid()
    assert error_of(host, f"files:{COPY}") is None
