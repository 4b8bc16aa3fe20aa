# SPDX-License-Identifier: Apache-2.0
"""dvcertd as a process under a stand-in for the service manager, and dvcertctl beside it."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

from . import base, notify, yamlout

STOP_LIMIT = 5.0  # seconds that SIGTERM may take, whatever is in flight


class Ctl:
    """What dvcertctl answered."""

    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout.decode()
        self.err = done.stderr.decode()

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code}\n{self.out}{self.err}"


class Daemon:
    """folder: config, state, socket and log. uid: run as this user (tests run as root only)."""

    def __init__(self, folder, config, uid=None):
        self.dir = pathlib.Path(folder)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.config_path = self.dir / "dvcertd.yaml"
        self.state_dir = self.dir / "state"
        self.socket = self.dir / "control.sock"
        self.log_path = self.dir / "log"
        self.uid = uid
        self.env = {}
        self.proc = None
        self.config = {"state_dir": str(self.state_dir), "control_socket": str(self.socket), **config}
        self.notify = notify.NotifySocket(self.dir / "notify.sock")
        self.write_config()
        if uid is not None:
            shutil.copy(base.program("dvcertd"), self.dir / "dvcertd")  # the build may lie where others cannot look
            os.chown(self.dir, uid, uid)
            os.chmod(self.dir / "notify.sock", 0o777)

    # --- configuration ---

    def write_config(self, text=None):
        """Replaces the file as an editor would: by rename."""
        new = self.config_path.with_suffix(".new")
        new.write_text(text if text is not None else yamlout.dump(self.config))
        os.chmod(new, 0o644)
        os.rename(new, self.config_path)

    def write_secret(self, name, text, mode=0o600):
        path = self.dir / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        os.chmod(path, mode)
        if self.uid is not None:
            os.chown(path, self.uid, self.uid)
        return path

    # --- life ---

    def _argv(self, *args):
        exe = str(self.dir / "dvcertd") if self.uid is not None else base.program("dvcertd")
        return [exe, "-c", str(self.config_path), *args]

    def _who(self):
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.uid, "extra_groups": []}

    def spawn(self):
        """Starts without waiting for anything."""
        assert self.proc is None
        env = base.clean_env(NOTIFY_SOCKET=self.notify.path, **self.env)
        with open(self.log_path, "ab") as log:
            self.proc = subprocess.Popen(
                self._argv(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/", env=env, **self._who()
            )

    def start(self, timeout=20.0):
        mark = self.notify.mark()
        self.spawn()
        try:
            self.notify.wait("READY", after=mark, timeout=timeout, alive=lambda: self.proc.poll() is None)
        except base.TimedOut as e:
            raise base.TimedOut(f"dvcertd is not ready (exit {self.proc.poll()}): {e}\n{self.log(40)}") from None
        return self

    def check(self, *args):
        """dvcertd --check: (exit code, all output)."""
        done = subprocess.run(
            self._argv("--check", *args), capture_output=True, stdin=subprocess.DEVNULL, cwd="/",
            env=base.clean_env(**self.env), timeout=30 * base.PATIENCE, **self._who(),
        )  # fmt: skip
        return done.returncode, (done.stdout + done.stderr).decode(errors="replace")

    def run_to_end(self, timeout=20.0):
        """For starts that must fail: (exit code, what it logged)."""
        before = self.log_path.stat().st_size if self.log_path.exists() else 0
        self.spawn()
        try:
            code = self.proc.wait(timeout * base.PATIENCE)
        finally:
            if self.proc.poll() is None:
                self.proc.kill()
                self.proc.wait()
            self.proc = None
        return code, self.log_path.read_text(errors="replace")[before:]

    def reload(self, timeout=20.0):
        """SIGHUP, and back when the daemon said that it is done."""
        mark = self.notify.mark()
        self.proc.send_signal(signal.SIGHUP)
        mark = self.notify.wait("RELOADING", after=mark, timeout=timeout, alive=self.alive)
        self.notify.wait("READY", after=mark - 1, timeout=timeout, alive=self.alive)

    def alive(self):
        return self.proc is not None and self.proc.poll() is None

    def stop(self):
        """SIGTERM: exit 0 within the limit, or it is a bug."""
        proc, self.proc = self.proc, None
        began = time.monotonic()
        proc.send_signal(signal.SIGTERM)
        try:
            code = proc.wait(STOP_LIMIT * base.PATIENCE + 5)
        except subprocess.TimeoutExpired:
            proc.kill()
            proc.wait()
            raise base.TimedOut(f"dvcertd did not stop\n{self.log(40)}") from None
        took = time.monotonic() - began
        assert code == 0, f"SIGTERM: exit {code}\n{self.log(40)}"
        assert took < STOP_LIMIT * base.PATIENCE, f"SIGTERM took {took:.1f} s\n{self.log(40)}"
        self.assert_sane()

    def kill9(self):
        proc, self.proc = self.proc, None
        proc.kill()
        proc.wait()

    def restart(self):
        self.stop()
        return self.start()

    def clean_up(self):
        """At the end of a test, whatever happened in it."""
        if self.alive():
            self.proc.terminate()
            try:
                self.proc.wait(STOP_LIMIT * base.PATIENCE + 5)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        self.notify.close()

    # --- looking ---

    def log(self, lines=None):
        return base.tail(self.log_path, lines) if lines else self.log_path.read_text(errors="replace")

    def assert_sane(self):
        """No sanitizer report, no secret in the log."""
        text = self.log()
        assert not re.search(r"(Address|Leak|Thread)Sanitizer|runtime error:|Assertion .* failed", text), text[-4000:]
        for secret in self.dir.glob("*-key"):
            assert secret.read_text().strip() not in text, f"{secret.name} is in the log"
        assert "PRIVATE KEY" not in text

    def ctl(self, *args, as_json=True, timeout=90.0):
        argv = [base.program("dvcertctl"), "-s", str(self.socket), *(["--json"] if as_json else []), *map(str, args)]
        return Ctl(subprocess.run(argv, capture_output=True, env=base.clean_env(), timeout=timeout * base.PATIENCE))

    def status(self, name=None):
        """The whole status, or one domain's."""
        answer = self.ctl("status", *([name] if name else []))
        assert answer.code == 0, answer
        if name is None:
            return answer.json
        (domain,) = [d for d in answer.json["domains"] if d["name"] == name]
        return domain

    def wait(self, *names, state="valid", timeout=60.0):
        """Until all names have this state. Returns their status objects."""
        if state == "valid":
            answer = self.ctl("wait", *names, "--timeout", f"{int(timeout * base.PATIENCE)}s", timeout=timeout + 30)
            if answer.code != 0:
                late = [d for d in self.status()["domains"] if d["name"] in names and d["state"] != state]
                raise base.TimedOut(f"{len(late)} of {len(names)} not {state}, such as {late[:2]}: {answer.err}\n{self.log(40)}")
        found = {}

        def reached():
            found.update({d["name"]: d for d in self.status()["domains"]})
            return all(found[n]["state"] == state for n in names)

        try:
            base.until(reached, timeout, every=0.1, why=f"state {state} of {' '.join(names)}")
        except base.TimedOut as e:
            raise base.TimedOut(f"{e}\n{found}\n{self.log(40)}") from None
        return [found[n] for n in names]

    def wait_error(self, name, pattern, timeout=30.0):
        """Until status shows a problem whose text matches. Returns the status object."""
        seen = {}

        def shown():
            seen.update(self.status(name))
            error = seen["error"]
            return error and re.search(pattern, f"{error['code']} {error['message']}", re.IGNORECASE)

        try:
            base.until(shown, timeout, every=0.1, why=f"problem /{pattern}/ of {name}")
        except base.TimedOut as e:
            raise base.TimedOut(f"{e}\n{seen}\n{self.log(40)}") from None
        return seen

    def live(self, name):
        return self.state_dir / "live" / name
