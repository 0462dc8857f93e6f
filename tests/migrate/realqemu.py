"""Two real QEMUs under TCG, without disk or network, and a guest of 27 bytes that writes memory for ever."""

import json
import os
import shutil
import socket
import subprocess

from conftest import Pair, wait_until

QEMU = os.environ.get("GODWIT_QEMU", "qemu-system-x86_64").split()

# Real mode, at F000:E000: fill 64 KiB segments from 1000:0 to 8000:FFFF with a word, add one to it, again.
GUEST = bytes.fromhex("31c0 bb0010 8ec3 31ff b90080 f3ab 81c30010 81fb0090 75ed 40 ebe7")
RESET = bytes.fromhex("ea00e000f0")  # jmp F000:E000


def firmware(path):
    rom = bytearray(b"\xf4" * 65536)
    rom[0xE000:0xE000 + len(GUEST)] = GUEST
    rom[0xFFF0:0xFFF0 + len(RESET)] = RESET
    path.write_bytes(rom)
    return path


def ballast(tmp):
    """24 MiB of the guest's memory that are not zero: without, a copy is over before it can be disturbed."""
    path = tmp / "ballast.bin"
    path.write_bytes(os.urandom(1 << 20) * 24)
    return "-device", f"loader,file={path},addr=0x1000000,force-raw=on"


class Qemu:
    """One QEMU process; `qmp` is for godwit, the test speaks through a second monitor."""

    def __init__(self, tmp, role, *more, memory="64M", share="on"):
        self.path, self.own = tmp / f"{role}.qmp", tmp / f"{role}-test.qmp"
        for path in (self.path, self.own):
            path.unlink(missing_ok=True)  # a predecessor's, that was killed
        self.log = tmp / f"{role}.log"
        self.proc = subprocess.Popen(
            [*QEMU, "-name", "g", "-M", "q35,memory-backend=mem", "-accel", "tcg", "-m", memory, "-nodefaults",
             "-display", "none", "-object", f"memory-backend-memfd,id=mem,size={memory},share={share}",
             "-bios", str(firmware(tmp / "guest.bin")), "-qmp", f"unix:{self.path},server=on,wait=off",
             "-qmp", f"unix:{self.own},server=on,wait=off", *more],
            stdout=self.log.open("w"), stderr=subprocess.STDOUT)
        wait_until(self._connect, 30, f"QEMU's monitor; its log: {self.log.read_text()}")

    def _connect(self):
        assert self.proc.poll() is None, self.log.read_text()
        self.sock = socket.socket(socket.AF_UNIX)
        try:
            self.sock.connect(str(self.own))
        except OSError:
            self.sock.close()
            return False
        self.file = self.sock.makefile("r")
        self.file.readline()
        self.call("qmp_capabilities")
        return True

    def call(self, command, **arguments):
        self.sock.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            reply = json.loads(self.file.readline())
            if "event" not in reply:
                assert "return" in reply, reply
                return reply["return"]

    def status(self):
        return self.call("query-status")["status"]

    def word(self):
        """What the guest writes at the moment."""
        return self.call("human-monitor-command", **{"command-line": "xp /1hx 0x10000"})

    def computes(self):
        """Does the guest really run, not only QEMU say so?"""
        before = self.word()
        wait_until(lambda: self.word() != before, 20, "the guest to write memory")
        return True

    def kill(self):
        self.proc.kill()
        self.proc.wait()

    def close(self):
        self.kill()
        self.sock.close()


class RealPair(Pair):
    """A VM that runs, and a destination that waits for it; `more` goes to the source alone."""

    def __init__(self, tmp, *more, uri=None):
        super().__init__(tmp)
        self.uri = uri or self.uri
        self.qemus = []
        self.source = self.add(Qemu(tmp, "src", *ballast(tmp), *more))
        self.destination = self.add(Qemu(tmp, "dst", "-incoming", "defer"))
        assert self.source.computes()

    def add(self, qemu):
        self.qemus.append(qemu)
        return qemu

    def renew_destination(self, *more):
        self.destination.close()
        self.destination = self.add(Qemu(self.tmp, "dst", "-incoming", "defer", *more))

    def turn_round(self):
        """The VM is at the destination: what was the source waits for it to come back."""
        self.source.close()
        self.source = self.add(Qemu(self.tmp, "src", "-incoming", "defer"))
        self.source, self.destination = self.destination, self.source
        self.src, self.dst = self.dst, self.src

    def close(self):
        for q in self.qemus:
            q.close()


def missing():
    return None if shutil.which(QEMU[0]) else f"{QEMU[0]} is not installed"
