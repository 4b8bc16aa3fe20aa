# SPDX-License-Identifier: Apache-2.0
"""End-to-end tests: the real daemon, a CA that behaves like the real one, a real nginx.

    make && /usr/bin/python3 -m pytest tests/e2e
    DVCERT_BUILD=build/san DVCERT_PATIENCE=3 /usr/bin/python3 -m pytest tests/e2e

Nothing is needed but what the build needs, nginx and python3-cryptography; root is not needed, but a few tests use it to
become somebody else. Everything happens in /tmp and on ports that the kernel gives.
"""

import os
import pathlib
import signal

import pytest
from lib import base, webserver
from lib.world import World

TEST_LIMIT = 240  # seconds; a test that hangs must not hang the rest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        item.has_failed = True
        world = item.funcargs.get("world")
        if isinstance(world, World):
            report.sections.append(("world", world.report()))


@pytest.fixture(autouse=True)
def limit_time():
    def too_long(_number, _frame):
        raise base.TimedOut(f"the test took longer than {TEST_LIMIT} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(int(TEST_LIMIT * base.PATIENCE))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def need(*programs):
    for name in programs:
        if not pathlib.Path(base.program(name)).exists():
            pytest.skip(f"{base.program(name)} is not built")


@pytest.fixture
def world(request):
    """A CA and a web server can be started in it, and daemons; all of them end with the test."""
    need("dvcertd", "dvcertctl", "dvcert-sandbox")
    if not webserver.is_installed():
        pytest.skip("nginx is not installed")
    w = World()
    try:
        yield w
        for d in w.daemons:
            if d.alive():
                d.stop()
    finally:
        w.close(keep=getattr(request.node, "has_failed", False) and not os.environ.get("DVCERT_TIDY"))
