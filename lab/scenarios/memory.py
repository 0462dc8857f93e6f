"""memory: at the switch-over, under load, the guest's memory is the same on both hosts, byte by byte."""

import mmap
import os
import pathlib
import time

from gwlab import qmp, vms
from gwlab.backends import Godwitd

MOVES = 2
PAGE = 4096
PIECE = 2 << 20
# KVM writes the guest's wall clock and its version anew when a vCPU's state is loaded: two words.
CLOCK_WORDS = 2


def play(stage):
    """
    The dirty log and QEMU's copy together, judged by the result: both QEMUs stand still, and every page is compared.
    A page that was written last by godwitd, and not logged, would differ. QEMU marks the used rings once more when it
    stops them, and a guest writes beside most frames it receives: the exact judge of the log is the wire suite's oracle.
    """
    here = stage.start_guest(stage.site.a, Godwitd)
    stage.wait_up(here)
    for number in range(MOVES):
        here = one_way(stage, here, stage.site.a if number % 2 else stage.site.b)
    stage.check_dma()


def one_way(stage, here, target):
    """Move the guest from Place @p here to host @p target, comparing on the way. Returns its new Place."""
    there = stage.await_guest(target, Godwitd, paused=True)
    flow = stage.start_traffic(here)
    stage.watch(flow, 2)
    qmp.arm(here.vm.qmp, there.vm.qmp, (), vms.MIGRATION)
    arrived = len(there.vm.qmp.events)
    here.vm.qmp.command("migrate", uri=there.vm.uri)
    stats = qmp.wait_migration(here.vm.qmp, 120)
    stage.expect(stats["status"] == "completed", f"the migration {stats['status']}")
    await_still(stage, there)
    differ = differences(here.vm.process.pid, there.vm.process.pid)
    stage.say(f"{here.host.name} -> {target.name}: {len(differ)} of {vms.MEMORY_MIB << 20 >> 12} pages differ")
    wrong = [page for page, words in differ if words > CLOCK_WORDS]
    stage.expect(len(differ) <= 1 and not wrong, f"pages differ at {', '.join(hex(page) for page, _ in differ[:8])}")
    there.vm.qmp.command("cont")
    there.vm.qmp.wait_event("RESUME", 30, since=arrived)
    stage.watch(flow, 2)
    here.close()
    raw = flow.stop(there.vm.agent)
    stage.expect(raw["guest"]["tcp"]["rx_bad_offset"] < 0 and raw["peer"]["tcp"]["rx_bad_offset"] < 0,
                 "the TCP stream's bytes changed")
    return there


def await_still(stage, place):
    """Wait until the guest at @p place has arrived, and stands still."""
    deadline = time.monotonic() + 30
    while place.vm.qmp.command("query-status")["status"] == "inmigrate":
        stage.expect(time.monotonic() < deadline, "the destination's QEMU does not finish loading")
        time.sleep(0.05)


def memory_of(pid):
    """The guest memory of QEMU @p pid, mapped for reading."""
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        if "memory-backend-memfd" in os.readlink(entry):
            with open(entry, "rb") as file:
                return mmap.mmap(file.fileno(), vms.MEMORY_MIB << 20, mmap.MAP_SHARED, mmap.PROT_READ)
    raise RuntimeError(f"QEMU {pid} has no memory file")


def differences(one_pid, other_pid):
    """Pages that differ between two QEMUs: [(guest address within RAM, number of 8-byte words)]."""
    found = []
    with memory_of(one_pid) as one, memory_of(other_pid) as other:
        for start in range(0, len(one), PIECE):
            if one[start:start + PIECE] == other[start:start + PIECE]:
                continue
            for page in range(start, start + PIECE, PAGE):
                a, b = one[page:page + PAGE], other[page:page + PAGE]
                if a != b:
                    found.append((page, sum(a[i:i + 8] != b[i:i + 8] for i in range(0, PAGE, 8))))
    return found
