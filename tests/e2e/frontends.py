"""Front-ends besides this machine's QEMU: the lab image's QEMU, and DPDK's virtio-user in testpmd, which echoes frames."""

import json
import os
import re
import signal
import subprocess
import time

from gwlab.guest import GUEST_MAC
from machines import end
from place import PlaceError, popen

START_TIMEOUT_S = 30
DRAIN_TIMEOUT_S = 20

MRG_RXBUF, IN_ORDER = 15, 35


def image_qemu(image):
    """
    How to start the QEMU of the lab image @p image here, as the first words of a command. Its own loader finds its own
    libraries, so it needs no chroot, and sees the same paths as everything else.
    """
    return [image / "lib64/ld-linux-x86-64.so.2", "--library-path", image / "usr/lib/x86_64-linux-gnu",
            image / "usr/bin/qemu-system-x86_64", "-L", image / "usr/share/qemu", "-L", image / "usr/share/seabios"]


def qemu_version(words):
    """Version of the QEMU that the command @p words starts, as in "7.2.22". Errors: PlaceError."""
    said = subprocess.run([*map(str, words), "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False).stdout
    found = re.search(r"version (\d+\.\d+\.\d+)", said)
    if not found:
        raise PlaceError(f"{words[-1]} does not start: {said.strip()}")
    return found[1]


class VirtioUser:
    """
    testpmd with a virtio-user port. It sends each frame back to where it came from.
    @param socket   the back-end's socket
    @param options  of net_virtio_user, as in "mrg_rxbuf=0,queue_size=256"
    @param args     more arguments for testpmd
    """

    def __init__(self, name, directory, socket, options, args=()):
        self.log = directory / f"{name}.log"
        cpus = ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0)))
        vdev = f"net_virtio_user0,path={socket},mac={GUEST_MAC}" + (f",{options}" if options else "")
        # stdbuf: what it says is in the log at once, not when a block is full.
        self.process = popen("stdbuf", "-oL", "dpdk-testpmd", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry",
                             "-m", "128", f"--lcores=0@({cpus}),1@({cpus})", "--log-level=pmd.net.virtio.init:debug",
                             "--vdev", vdev, "--", "--interactive", "--forward-mode=macswap", "--nb-cores=1",
                             "--total-num-mbufs=4096", *args, log=self.log, stdin=subprocess.PIPE)

    def start(self):
        """Start to echo; returns when the port runs. Errors: PlaceError."""
        # Without "retry" it drops what a full ring does not take, which on a busy machine happens to the shorter rings.
        self._tell("set fwd macswap retry", "set burst tx delay 100 retry 100000", "start")
        self._wait_for("packet forwarding with retry - ports=1")

    def _tell(self, *commands):
        self.process.stdin.write("".join(f"{line}\n" for line in commands).encode())
        self.process.stdin.flush()

    def _wait_for(self, words):
        deadline = time.monotonic() + START_TIMEOUT_S
        while words not in self.said():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise PlaceError(f"testpmd does not get as far as '{words}': read {self.log}")
            time.sleep(0.05)

    def said(self):
        """Its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def features(self):
        """(offered to it, agreed on): feature bits of the device, as numbers."""
        found = [re.findall(rf"{what} negotiate = ([0-9a-f]+)", self.said()) for what in ("host_features before",
                                                                                         "\\bfeatures after")]
        return tuple(int(each[-1], 16) for each in found)

    def receive_path(self):
        """What its driver calls the way in which it receives: "mergeable buffer", "vectorized", "standard", "inorder"."""
        return re.findall(r"virtio: using (.*) Rx path", self.said())[-1]

    def close(self, how=signal.SIGTERM):
        """End it, its counters in the log. Idempotent."""
        if self.process.poll() is None:
            self._tell("show fwd stats all")
            time.sleep(0.1)
        end(self.process, how)


class Echo:
    """Numbered frames from the peer of Place @p place to a station that sends them back."""

    runs = 0

    def __init__(self, place, gwtraffic, directory, rate=1500):
        Echo.runs += 1
        self.out = directory / f"echo-{Echo.runs}.json"
        self.log = directory / f"echo-{Echo.runs}.log"
        self.process = place.peer.popen(gwtraffic, "peer", "--iface", "wire", "--guest-mac", GUEST_MAC, "--rate", rate,
                                        "--tick-us", 2000, "--run", Echo.runs, "--out", self.out, log=self.log)

    def _progress(self):
        """(sent, came back), at most a second old."""
        lines = [line for line in self.log.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
        now = json.loads(lines[-1]) if lines else None
        return (now["to_guest"]["sent"], now["from_guest"]["received"]) if now else (0, 0)

    def stop(self):
        """Send no more, wait for what is under way, and return the peer's result. Errors: PlaceError."""
        self.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + DRAIN_TIMEOUT_S
        time.sleep(1.1)
        while len(set(self._progress())) > 1 and time.monotonic() < deadline:
            time.sleep(0.1)
        if end(self.process, timeout_s=DRAIN_TIMEOUT_S) != 0:
            raise PlaceError(f"the peer's station failed: read {self.log}")
        return json.loads(self.out.read_text(encoding="utf-8"))

    def close(self):
        """End it whatever it does. Idempotent."""
        end(self.process, signal.SIGKILL)


def all_came_back(result, at_least):
    """Assert that each of the frames of Echo @p result came back once, in order and whole; @p at_least so many."""
    sent, back = result["to_guest"]["sent"], result["from_guest"]
    assert (back["missing"], back["duplicated"], back["reordered"], back["corrupt"]) == ([], 0, 0, 0), back
    assert back["socket_drops"] == 0, "the peer's station was too slow"
    assert sent == back["received"] == back["highest"] >= at_least, (sent, back["received"], back["highest"])


__all__ = ["Echo", "IN_ORDER", "MRG_RXBUF", "VirtioUser", "all_came_back", "image_qemu", "qemu_version"]
