# SPDX-License-Identifier: Apache-2.0
"""The shipped unit under a real systemd 252 or later, in a box that is thrown away (box.py).

    make check-systemd

Takes root, systemd-nspawn, nginx and curl; where something is missing the tests are skipped and say what.
"""

import shutil
import signal

import box
import host as hosts
import pytest

TEST_LIMIT = 120


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    h = item.funcargs.get("host")
    if report.when == "call" and report.failed and h is not None:
        report.sections.append(("host", h.report()))


@pytest.fixture(autouse=True)
def limit_time():
    def too_long(_number, _frame):
        raise hosts.Late(f"the test took longer than {TEST_LIMIT} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(int(TEST_LIMIT * hosts.PATIENCE))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def staged():
    """What `make install` lays down."""
    reason = box.why_not()
    if reason is None:
        missing = [p for p in ("nginx", "curl") if not shutil.which(p, path=box.PATH)]
        reason = f"{missing[0]} is not installed" if missing else None
    if reason:
        pytest.skip(f"no systemd in a box: {reason}")
    folder = hosts.stage()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def host(staged):
    """A host of its own for each test: installed, configured, the daemon not started."""
    try:
        h = hosts.Host(staged)
    except box.Refused as e:
        pytest.skip(f"no systemd in a box: {e}")
    try:
        yield h
    finally:
        h.close()
