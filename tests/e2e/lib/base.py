# SPDX-License-Identifier: Apache-2.0
"""Paths, deadlines, ports and processes."""

import os
import pathlib
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("DVCERT_BUILD", "build/rel"))
if not BUILD.is_absolute():
    BUILD = ROOT / BUILD

# Slow machines and sanitizers stretch every deadline, never what is asserted.
PATIENCE = float(os.environ.get("DVCERT_PATIENCE", "1"))


def program(name):
    return str(BUILD / name)


class TimedOut(AssertionError):
    pass


def until(what, timeout=10.0, every=0.05, why="condition"):
    """Calls what() until it is true and returns that value. For states that nobody announces."""
    deadline = time.monotonic() + timeout * PATIENCE
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise TimedOut(f"{why}: not within {timeout * PATIENCE:g} s (last: {value!r})")
        time.sleep(every)


class Ports:
    """Ports from the kernel that stay ours: the socket that holds one is bound, but does not listen, so a server that
    sets SO_REUSEADDR may take the port, and nobody is given it by chance."""

    def __init__(self):
        self.holders = []

    def take(self):
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        holder.bind(("127.0.0.1", 0))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.holders.append(holder)
        return holder.getsockname()[1]

    def close(self):
        for holder in self.holders:
            holder.close()
        self.holders = []


def end_process(proc, timeout=10.0):
    """Ends a process that we started, kindly first. Returns its exit status."""
    if proc is None:
        return None
    if proc.poll() is None:
        proc.terminate()
        try:
            proc.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            proc.kill()
            proc.wait()
    return proc.returncode


def tail(path, lines=40):
    try:
        return "\n".join(pathlib.Path(path).read_text(errors="replace").split("\n")[-lines:])
    except OSError as e:
        return f"({e})"


def clean_env(**more):
    """No proxy, no locale, no settings of whoever runs the tests; sanitizer options are kept."""
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    for key in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "DVCERT_TSAN_JOBS", "LD_PRELOAD"):
        if key in os.environ:
            env[key] = os.environ[key]
    env.update({k: v for k, v in more.items() if v is not None})
    return env
