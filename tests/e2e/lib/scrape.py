# SPDX-License-Identifier: Apache-2.0
"""Reads metrics the way Prometheus does, and has its own tools judge them."""

import http.client
import re
import shutil
import socket
import subprocess

OPEN = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def connection(where):
    """where: the `listen` of the configuration."""
    if where.startswith("unix:"):
        return UnixConnection(where[5:])
    host, port = where.rsplit(":", 1)
    return http.client.HTTPConnection(host, int(port), timeout=20)


def get(where, path="/metrics", accept=None, method="GET"):
    """(status, content type, text)."""
    c = connection(where)
    try:
        c.request(method, path, headers={"Accept": accept} if accept else {})
        answer = c.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read().decode()
    finally:
        c.close()


def parse(text):
    """{(name, ((label, value), ...)): number}"""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        m = SAMPLE.match(line)
        assert m, line
        key = (m[1], tuple(sorted(LABEL.findall(m[2] or ""))))
        assert key not in found, f"{key} is there twice"
        found[key] = float(m[3])
    return found


def value(samples, metric, /, **labels):
    return samples.get((metric, tuple(sorted(labels.items()))))


def scrape(where):
    status, _, text = get(where)
    assert status == 200, (status, text)
    return parse(text)


def lint(text):
    """promtool's opinion of the older format; None when it is not installed."""
    if not shutil.which("promtool"):
        return None
    done = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True, timeout=60)
    return done.returncode, (done.stdout + done.stderr).decode()


def parse_open(text):
    """The reference parser of OpenMetrics, which is strict; None when it is not installed."""
    try:
        from prometheus_client.openmetrics import parser
    except ImportError:
        return None
    return {f.name: f for f in parser.text_string_to_metric_families(text)}
