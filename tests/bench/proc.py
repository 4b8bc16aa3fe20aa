# SPDX-License-Identifier: Apache-2.0
"""What /proc knows about one process."""

import pathlib
import re


class Proc:
    def __init__(self, pid):
        self.dir = pathlib.Path(f"/proc/{pid}")
        self.how = "smaps_rollup"

    def _status(self, key):
        return int(re.search(rf"^{key}:\s+(\d+)", (self.dir / "status").read_text(), re.M).group(1))

    def private_bytes(self, what=r"\w+"):
        """Pages that nobody else has: all of them (code that no other process uses right now is among them), or those
        that it has written (what = "Dirty"). The daemon cannot be traced, so these counts need root; anonymous pages
        (what it allocated) are the answer for everybody else."""
        try:
            text = (self.dir / "smaps_rollup").read_text()
            return sum(int(n) for n in re.findall(rf"^Private_{what}:\s+(\d+)", text, re.M)) * 1024
        except PermissionError:
            self.how = "RssAnon"
            return self._status("RssAnon") * 1024

    def peak_bytes(self):
        return self._status("VmHWM") * 1024

    def activity(self):
        """CPU so far (all threads, and the loop's alone) and voluntary context switches: each is a wake-up."""
        cpu = loop = voluntary = 0
        for task in (self.dir / "task").iterdir():
            used = int((task / "schedstat").read_text().split()[0])
            cpu += used
            loop += used if task.name == self.dir.name else 0
            text = (task / "status").read_text()
            voluntary += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M).group(1))
        return {"cpu_ms": cpu / 1e6, "loop_ms": loop / 1e6, "voluntary": voluntary}
