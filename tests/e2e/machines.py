"""What runs in the place: back-ends (godwitd, or testpmd to prove the tests themselves) and QEMUs with the guest."""

import os
import pathlib
import signal
import subprocess
import time

from gwlab.guest import GUEST_MAC, Agent, qemu_command
from gwlab.qmp import Qmp
from place import PlaceError, popen

ROOT = pathlib.Path(__file__).resolve().parents[2]
GODWITD = os.environ.get("GODWITD") or str(ROOT / "build/src/daemon/godwitd")
GODWIT = os.environ.get("GODWIT") or str(ROOT / "build/cli/godwit")
# "testpmd" runs the same stories over DPDK's own vhost: what fails there is the tests' fault, not godwitd's.
BACKEND = os.environ.get("GODWIT_E2E_BACKEND", "godwitd")
START_TIMEOUT_S = 30
# The virtual card: a veth's end. Its ring is deep, for a process on a busy machine that does not run for a while.
CARD_DEPTH = 4096

# QEMU 7.2 under TCG crashes when a vhost-user card unmasks an MSI-X vector: use the PCI interrupt line.
# Deep rings, because an emulated guest on a busy machine may not run for a tenth of a second.
CARD = "vectors=0,rx_queue_size=1024,tx_queue_size=1024"
# testpmd forwards frames as they are, so nothing may be left for the card to finish.
TESTPMD_CARD = CARD + (",csum=off,gso=off,guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off,"
                       "host_tso4=off,host_tso6=off,host_ecn=off,host_ufo=off")


def end(process, how=signal.SIGTERM, timeout_s=5):
    """End @p process by signal @p how, by SIGKILL when it does not obey. Returns its status. Idempotent."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def listening(path):
    """Does a UNIX socket at @p path listen? Found without connecting."""
    for line in pathlib.Path("/proc/net/unix").read_text(encoding="ascii", errors="replace").splitlines():
        part = line.split()
        if len(part) == 8 and part[7] == str(path) and int(part[3], 16) & 0x10000:
            return True
    return False


class Backend:
    """A process that serves the guest's card on host @p host. `socket` is its vhost-user socket."""

    def __init__(self, host, place, directory, *args, socket=None, log=None, wait=True, incoming=False):
        self.host = host
        self.socket = socket or directory / f"vhost-{host}.sock"
        self.log = log or directory / f"{BACKEND}-{host}.log"
        make = self._testpmd if BACKEND == "testpmd" else self._godwitd
        self.process = make(place.port(host), list(args) + (["--incoming"] if incoming else []))
        if wait:
            self.wait_listening()

    def _godwitd(self, port, args):
        device = f"net_af_packet0,iface={port},framecnt={CARD_DEPTH}"
        return popen(GODWITD, "--name", f"e2e-{self.host}", "--device", device, "--socket-path", self.socket,
                     "--mac", GUEST_MAC, "--group", "root", "--log-level", "debug", *args, log=self.log)

    def _testpmd(self, port, _args):
        process = popen("dpdk-testpmd", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "--iova-mode=va",
                        "-m", "256", "--lcores=0@0,1@1", "--vdev", f"net_vhost0,iface={self.socket},queues=1",
                        "--vdev", f"net_af_packet0,iface={port},framecnt={CARD_DEPTH}",
                        "--", "--interactive", "--forward-mode=io", "--total-num-mbufs=8192", "--nb-cores=1",
                        log=self.log, stdin=subprocess.PIPE)
        process.stdin.write(b"start\n")
        process.stdin.flush()
        return process

    def wait_listening(self):
        """Wait until a front-end can connect. Errors: PlaceError."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not listening(self.socket):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise PlaceError(f"{BACKEND} on {self.host} does not listen: read {self.log}")
            time.sleep(0.02)

    def alive(self):
        """Is the process still there?"""
        return self.process.poll() is None

    def said(self, words, timeout_s=10):
        """Wait until its log holds @p words. Returns whether it does."""
        deadline = time.monotonic() + timeout_s
        while words not in self.log.read_text(encoding="utf-8", errors="replace"):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def serves(self):
        """
        Wait until it has started wholly: what it holds now (held()) is what it may hold whenever no front-end is there.
        Errors: PlaceError.
        """
        if BACKEND == "godwitd" and not self.said(" serves ", START_TIMEOUT_S):
            raise PlaceError(f"godwitd on {self.host} does not get ready: read {self.log}")
        self.alone = self.held()

    def held(self):
        """What it holds: (open descriptors, mappings of shared memory)."""
        directory = pathlib.Path(f"/proc/{self.process.pid}")
        maps = (directory / "maps").read_text(encoding="utf-8").splitlines()
        return len(list((directory / "fd").iterdir())), sum("/memfd:" in line for line in maps)

    def left_nothing(self, timeout_s=10):
        """Wait until nothing of a front-end that has gone is held. Needs serves() before. Fails when that does not come."""
        deadline = time.monotonic() + timeout_s
        while self.held() != self.alone:
            assert time.monotonic() < deadline, (f"with no front-end it holds {self.held()} descriptors and mappings, "
                                                 f"not {self.alone} as at its start")
            time.sleep(0.05)

    def show(self):
        """Have godwitd write its state and counters to its log."""
        if BACKEND == "godwitd" and self.alive():
            self.process.send_signal(signal.SIGUSR1)
            time.sleep(0.05)

    def close(self, how=signal.SIGTERM):
        """End it, its counters in the log. Returns its exit status. Idempotent."""
        self.show()
        return end(self.process, how)


class Vm:
    """
    A QEMU with the guest in it, or waiting for one (@p incoming: True), connected to Backend @p backend.
    @param kernel  (vmlinuz, initramfs); None: the firmware boots, by the card's option ROM
    @param qemu    first words of the command, when it is not this machine's QEMU
    @param socket  more for QEMU's end of the socket, as in "reconnect=1"
    @param how     more for gwlab.guest.qemu_command()
    """

    def __init__(self, name, backend, directory, kernel, incoming=False, qemu=("qemu-system-x86_64",), socket="",
                 **how):
        self.directory = directory / name
        self.directory.mkdir()
        self.uri = f"unix:{self.directory}/migrate.sock"
        self.console = self.directory / "console.log"
        how.setdefault("nic", TESTPMD_CARD if BACKEND == "testpmd" else CARD)
        path = f"{backend.socket},{socket}" if socket else backend.socket
        command = qemu_command(self.directory, path, *(kernel or (None, None)),
                               incoming=self.uri if incoming else None, **how)
        self.process = popen(*qemu, *command[1:], log=self.directory / "qemu.log")
        self.qmp = Qmp(self.directory / "qmp.sock")
        self.agent = Agent(self.directory / "agent.sock")

    @property
    def qmp_path(self):
        """The monitor's socket. QEMU serves one client: close `qmp` before another tool uses it."""
        return self.directory / "qmp.sock"

    def hang_up(self):
        """Free the monitor for another client."""
        self.qmp.close()

    def reconnect(self):
        """Take the monitor back."""
        self.qmp = Qmp(self.qmp_path)

    def close(self, how=signal.SIGTERM):
        """End QEMU. Idempotent."""
        self.agent.close()
        self.qmp.close()
        end(self.process, how)
