"""backends: what serves the guest's card on a host: testpmd's vhost (trusted), or Godwit's godwitd."""

import contextlib
import pathlib
import signal
import subprocess
import time

from . import paths
from .hosts import GUEST_MAC, HostError

SOCKET = "/run/godwit/vm1/vhost.sock"
START_TIMEOUT_S = 30
# With this godwitd's answer to SIGUSR1 ends.
LAST_COUNTER = "link_changes"


class Backend:
    """A back-end process on @p host, for its VF. `socket` is the vhost-user socket in the host."""

    count = 0
    socket = SOCKET

    def __init__(self, host, logs, command, stdin=None):
        Backend.count += 1
        self.host = host
        self.log = pathlib.Path(logs) / f"{self.kind}-{host.name}-{Backend.count}.log"
        host.run("mkdir", "-p", str(pathlib.PurePosixPath(self.socket).parent))
        host.run("rm", "-f", self.socket)
        self.process = host.popen(*command, log=self.log, stdin=stdin)
        self._wait_for_socket()

    def _wait_for_socket(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.host.path(self.socket).exists():
            if self.process.poll() is not None:
                raise HostError(f"{self.kind} on {self.host.name} ended at once: read {self.log}")
            if time.monotonic() > deadline:
                raise HostError(f"{self.kind} on {self.host.name} made no socket: read {self.log}")
            time.sleep(0.05)

    def alive(self):
        """Is the process still there?"""
        return self.process.poll() is None

    def close(self):
        """End it with SIGTERM, after 5 s with SIGKILL. Returns its exit status. Idempotent."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=5)
            self.process.kill()
        return self.process.wait()


class Testpmd(Backend):
    """DPDK's testpmd with its vhost port wired to the VF: public code that the lab is judged by."""

    kind = "testpmd"

    def __init__(self, host, logs, incoming=False):
        # One lcore polls, on CPU 1, and only from activate() on: a poller costs a booting guest half
        # of its speed, and two pollers on two CPUs a running one a fifth.
        command = ["dpdk-testpmd", "--in-memory", "--no-telemetry", "--iova-mode=va", "-m", "128",
                   "--lcores=0@0,1@1", "-a", host.vf, "--vdev", f"net_vhost0,iface={self.socket},queues=1",
                   "--", "--interactive", "--forward-mode=io", "--no-lsc-interrupt",
                   "--total-num-mbufs=16384", "--rxd=2048", "--txd=1024", "--nb-cores=1"]
        super().__init__(host, logs, command, stdin=subprocess.PIPE)

    def tell(self, line):
        """Type @p line at testpmd's prompt."""
        self.process.stdin.write((line + "\n").encode())
        self.process.stdin.flush()

    def activate(self):
        """Begin to move frames."""
        self.tell("start")


class Godwitd(Backend):
    """The product. An arriving guest's process is started with --incoming and needs no telling."""

    kind = "godwitd"

    def __init__(self, host, logs, incoming=False):
        command = [paths.program("godwitd", "GODWITD"), "--name", "vm1", "--device", host.vf,
                   "--socket-path", self.socket, "--mac", GUEST_MAC, "--group", "root"]
        super().__init__(host, logs, command + (["--incoming"] if incoming else []))

    def activate(self):
        """Nothing to do: it finds out from the vhost-user messages."""

    def show(self):
        """Ask for state and counters. Returns what it printed since, from its log."""
        before = self.log.stat().st_size
        self.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + START_TIMEOUT_S
        shown = ""
        while LAST_COUNTER not in shown and time.monotonic() < deadline:
            time.sleep(0.1)
            with open(self.log, encoding="utf-8", errors="replace") as log:
                log.seek(before)
                shown = log.read()
        return shown
