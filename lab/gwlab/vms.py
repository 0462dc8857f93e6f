"""vms: the nested guest (L2) on a host: a QEMU with the guest in it, or waiting for it to arrive."""

import pathlib
import re
import time

from . import guest
from .hosts import MANAGEMENT, HostError
from .qmp import Qmp, QmpError

NAME = "vm1"
MEMORY_MIB = 192
MIGRATION_PORT = 4444

# The card is the same on both hosts, whatever back-end serves it: what a migration needs.
# testpmd forwards frames as they are, so nothing may be left for the card to finish. The guest is not asked to
# announce itself: it is to notice nothing at all, and we announce it.
# Doorbells by port I/O: with memory-mapped ones nested KVM would emulate an instruction for each.
PLAIN_CARD = ",".join(
    ["rx_queue_size=1024", "tx_queue_size=1024", "modern-pio-notify=on"] + [f"{feature}=off" for feature in (
        "guest_announce", "csum", "gso", "guest_csum", "guest_tso4", "guest_tso6", "guest_ecn", "guest_ufo", "guest_uso4",
        "guest_uso6", "host_tso4", "host_tso6", "host_ecn", "host_ufo", "host_uso", "mq")])

# The same with what a guest leaves to its card by default: checksums, and cutting large TCP frames.
OFFLOAD_CARD = "rx_queue_size=1024,tx_queue_size=1024,modern-pio-notify=on,guest_announce=off,mq=off"

# A migration may stop the guest this long at most, as QEMU sees it; with more, QEMU spends it.
DOWNTIME_LIMIT_MS = 200
# As fast as it can, a copy would take both of the CPUs that two hosts, guest and peer share here.
BANDWIDTH_MIB = 32
MIGRATION = {"downtime_limit": DOWNTIME_LIMIT_MS, "max_bandwidth": BANDWIDTH_MIB << 20}


class Kernel:
    """The guest's unmodified kernel and its initramfs: paths in L1."""

    vmlinuz = pathlib.Path("/godwit/out/guest-vmlinuz")
    initrd = pathlib.Path("/godwit/out/guest.initrd")


class Vm:
    """
    A QEMU on @p host whose card is served by the vhost-user back-end @p backend.
    @param accel     "kvm" or "tcg": how L1 runs the guest
    @param incoming  wait for the guest to arrive at self.uri
    @param paused    an arrived guest stands still until it is told "cont"
    `qmp` is a Qmp, `agent` speaks to the guest; sockets and console are in the host's place under
    /run/lab, which both hosts see as their operators would reach them.
    """

    count = 0

    def __init__(self, host, backend, logs, accel="kvm", incoming=False, paused=False, card=PLAIN_CARD):
        Vm.count += 1
        self.host = host
        self.logs = pathlib.Path(logs)
        self.uri = f"tcp:{MANAGEMENT[host.name]}:{MIGRATION_PORT}"
        self.place = host.shared / str(Vm.count)
        self.place.mkdir()
        self.log = self.logs / f"qemu-{host.name}-{Vm.count}.log"
        command = guest.qemu_command(
            self.place, backend.socket, Kernel.vmlinuz, Kernel.initrd, accel=accel, memory_mib=MEMORY_MIB,
            incoming=self.uri if incoming else None, nic=card, cpu="host" if accel == "kvm" else "max")
        # The guest of an emulated CPU sees its TSC jump; that it says so is of no interest here.
        command[command.index("-append") + 1] += " tsc=nowatchdog"
        # Huge pages, as VMs behind vhost-user usually have: with small ones an arriving guest faults in
        # its whole working set page by page, which nested virtualization turns into half a second.
        ram = command.index("-object") + 1
        command[ram] += ",hugetlb=on,hugetlbsize=2M"
        # A second monitor for `godwit migrate`: the first is the scenario's own.
        command += ["-name", NAME, "-qmp", f"unix:{self.operator_qmp},server=on,wait=off"]
        command += ["-S"] if paused else []
        self.started = time.monotonic()
        self.process = host.popen(*command, log=self.log)
        self.qmp = self._connect()
        self.agent = guest.Agent(self.place / "agent.sock")

    def _connect(self):
        deadline = time.monotonic() + 30
        while not self.qmp_path.exists():
            if not self.alive() or time.monotonic() > deadline:
                raise HostError(f"QEMU on {self.host.name} did not start: read {self.log}")
            time.sleep(0.05)
        return Qmp(self.qmp_path, timeout_s=30)

    @property
    def qmp_path(self):
        """The QMP socket."""
        return self.place / "qmp.sock"

    @property
    def operator_qmp(self):
        """The QMP socket that is left to the operator."""
        return self.place / "operator.sock"

    def alive(self):
        """Is the QEMU process still there?"""
        return self.process.poll() is None

    def console(self):
        """What the guest's kernel said on its console (empty on a host it migrated to, mostly)."""
        path = self.place / "console.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def autopsy(self):
        """
        Write what the guest's CPU does, twice, to autopsy-HOST-N.log: for a guest that fell silent.
        Returns what the emulation did to it, as a sentence, or "".
        """
        if not self.alive():
            return ""
        registers = self.qmp.command("human-monitor-command", command_line="info registers")
        with open(self.logs / f"autopsy-{self.host.name}-{self.place.name}.log", "w", encoding="utf-8") as log:
            for line in ("info status", "info registers", "info lapic", "info registers"):
                try:
                    log.write(f"== {line}\n{self.qmp.command('human-monitor-command', command_line=line)}\n")
                except QmpError as error:
                    log.write(f"== {line}: {error}\n")
                time.sleep(0.2)
        return swapped(registers, MEMORY_MIB << 20, pathlib.Path("/proc/modules").read_text(encoding="ascii"))

    def close(self):
        """End QEMU, and keep the guest's console with the logs. Idempotent."""
        self.agent.close()
        self.qmp.close()
        if self.alive():
            self.process.kill()
        self.process.wait()
        if self.console():
            (self.logs / f"console-{self.host.name}-{self.place.name}.log").write_text(
                self.console(), encoding="utf-8")


def swapped(registers, memory_bytes, modules):
    """
    Does a guest's CPU hold the registers of L1's own, as they are when it enters the guest? Neither a guest nor a back-end can
    do that: the emulation of nested virtualization did (lab/README.md says how often).
    @param registers     QEMU's "info registers"
    @param memory_bytes  the guest's memory: its page tables lie below
    @param modules       L1's /proc/modules, as root sees it
    Returns a sentence, or "".
    """
    values = {name: int(value, 16) for name, value in re.findall(r"\b(RIP|CR3)\s*=([0-9a-f]+)", registers)}
    for line in modules.splitlines():
        words = line.split()
        base = int(words[5], 16) if words[0] in ("kvm", "kvm_amd", "kvm_intel") else 0
        if base and base <= values.get("RIP", 0) < base + int(words[1]) and values.get("CR3", 0) >= memory_bytes:
            return (f"the emulation put L1's registers into the guest's CPU: RIP {values['RIP']:#x} is in L1's {words[0]}, "
                    f"CR3 {values['CR3']:#x} is beyond the guest's memory")
    return ""
