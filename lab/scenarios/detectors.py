"""detectors: what the demo relies on to see trouble must see it: each kind is provoked once."""

import mmap
import pathlib
import struct
import time

from gwlab import hosts
from gwlab.backends import Testpmd
from gwlab.seen import guest_saw
from gwlab.stage import Failed

# Intel 82576, section 8.26: a VF's transmit descriptor base address, low and high, of its queue 0.
VFTDBAL = 0x3800
# An IOVA that nothing maps: DPDK's IOVAs here are process addresses, far above.
NOWHERE = 0x1000


def play(stage):
    """First that quiet is seen as quiet; then a link flap, a hot-plugged card, and a DMA fault."""
    here = stage.start_guest(stage.site.a, Testpmd)
    stage.wait_up(here)
    stage.expect(not watch(stage, here, "nothing", lambda: time.sleep(2)), "the guest saw something in a quiet time")
    stage.check_dma()

    seen = watch(stage, here, "a link flap", lambda: flap_link(here))
    stage.expect(any("carrier" in event for event in seen), f"the link flap was not seen: {seen}")
    seen = watch(stage, here, "a hot-plugged card", lambda: plug_card(here))
    stage.expect(any("link event: new" in event for event in seen), f"the hot-plug was not seen: {seen}")

    break_dma(stage, here.host.vf)
    stage.site.peer.run("busybox", "ping", "-c", "5", "-i", "0.2", "-w", "3", "192.0.2.2", check=False)
    try:
        stage.check_dma()
    except Failed as failure:
        stage.say(f"a DMA fault was provoked, and reported as: {failure}")
        stage.data["dma"] = str(failure)
    else:
        stage.expect(False, "the DMA fault was not seen")


def watch(stage, place, what, provoke):
    """What the guest's collector reports about @p provoke(). Returns a list of sentences."""
    place.vm.agent.mark()
    before = place.vm.agent.events()
    provoke()
    events, _ = guest_saw(before, place.vm.agent.events())
    stage.data[what] = events
    stage.say(f"provoked: {what}; the guest reports {len(events)} events{': ' + events[0] if events else ''}")
    return events


def flap_link(place):
    """Take the guest's cable out, and put it in again."""
    for state in ("off", "on"):
        place.vm.qmp.command("human-monitor-command", command_line=f"set_link nic0 {state}")
        time.sleep(1)


def plug_card(place):
    """Give the guest a second network card while it runs."""
    place.vm.qmp.command("netdev_add", type="hubport", id="spare", hubid=7)
    place.vm.qmp.command("device_add", driver="virtio-net-pci", id="nic1", netdev="spare", romfile="")
    time.sleep(4)


def break_dma(stage, vf):
    """Point the VF's transmit ring at memory that the IOMMU does not map, behind its driver's back."""
    registers = pathlib.Path("/sys/bus/pci/devices") / vf / "resource0"
    with open(registers, "r+b") as bar, mmap.mmap(bar.fileno(), 0x4000) as page:
        for offset, value in ((VFTDBAL, NOWHERE), (VFTDBAL + 4, 0)):
            page[offset:offset + 4] = struct.pack("<I", value)
    stage.say(f"provoked: VF {vf} in IOMMU group {hosts.iommu_group(vf)} now reads descriptors from {NOWHERE:#x}")
