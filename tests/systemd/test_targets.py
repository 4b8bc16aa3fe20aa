# SPDX-License-Identifier: Apache-2.0
"""What the daemon has no privilege for, under its own unit: a reload of a real nginx and a copy for another owner, through
dvcertd-helper.socket."""

from host import DOMAIN, NAME, until

TLS = """\
server {
    listen 127.0.0.1:443 ssl;
    server_name www.example.jp;
    ssl_certificate /var/lib/dvcertd/live/www.example.jp/fullchain.pem;
    ssl_certificate_key /var/lib/dvcertd/live/www.example.jp/privkey.pem;
}
"""
TARGETS = """\
    deploy:
      - files: {owner: www-data, group: www-data, mode: "0640", bundle: /srv/tls/www.pem}
      - reload: {unit: nginx.service}
      - verify: {connect: "127.0.0.1:443", server_name: www.example.jp}
"""


def served(host):
    return host.sh(
        "openssl s_client -connect 127.0.0.1:443 -servername www.example.jp </dev/null 2>/dev/null | openssl x509 -noout -serial"
    ).strip().removeprefix("serial=").lower().lstrip("0")  # fmt: skip


def serial_of_order(host):
    return host.orders()[0]["serial"].lower().lstrip("0")


def test_reload_and_owner_through_the_helper(host):
    host.sh("install -d -m 0755 /srv/tls")
    host.systemctl("start")
    host.wait_valid()
    host.put("/etc/nginx/more/tls.conf", TLS)
    host.run("systemctl", "reload", "nginx.service")
    until(lambda: host.run("curl", "-ks", "https://127.0.0.1/", check=False).returncode == 0, why="nginx serves TLS")
    old = served(host)
    assert old == serial_of_order(host)
    # The unit brings the helper's socket. Without it the daemon may not reload, and says so.
    host.run("systemctl", "stop", "dvcertd-helper.socket")
    host.configure(DOMAIN % NAME + TARGETS)
    host.systemctl("reload")
    host.wait_record(r"reload:nginx\.service: .*dvcertd-helper\.socket")
    assert host.status()["state"] == "deploying"
    host.run("systemctl", "start", "dvcertd-helper.socket")
    host.ctl("deploy", NAME)
    host.wait_valid()
    assert host.ctl("renew", NAME).returncode == 0
    host.wait_valid()
    assert served(host) == serial_of_order(host) != old
    assert host.sh("stat -c '%U %G %a' /srv/tls/www.pem").split() == ["www-data", "www-data", "640"]
    # Nobody else may ask it.
    done = host.run(
        "setpriv", "--reuid=nobody", "--clear-groups", "curl", "-s", "--unix-socket", "/run/dvcertd-helper/socket", "http://x/", check=False
    )
    assert done.returncode != 0
