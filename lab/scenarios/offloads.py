"""offloads: a guest that leaves checksums and large TCP frames to its card moves, in the middle of a TCP stream."""

import re

from gwlab import vms
from gwlab.backends import Godwitd

RATE = 200
TCP_MBIT = 10
COUNTERS = ("tx_csum", "tx_gso", "tx_by_port", "tx_drop_csum", "tx_drop_gso", "tx_drop_refused", "tx_frames")


def play(stage):
    """The stream's bytes are the same, the VF was left checksums or segments, and nothing was refused on either host."""
    here = stage.start_guest(stage.site.a, Godwitd, card=vms.OFFLOAD_CARD)
    stage.wait_up(here)
    there = stage.await_guest(stage.site.b, Godwitd, card=vms.OFFLOAD_CARD)
    flow = stage.start_traffic(here, RATE, TCP_MBIT)
    stage.watch(flow, 4)
    source = counters(here.backend)
    stage.godwit_migrate(here, there)
    stage.watch(flow, 4)
    destination = counters(there.backend)
    stage.data.update(source=source, destination=destination)
    stage.say(f"A: {source}; B: {destination}")
    raw = flow.stop(there.vm.agent)
    for ours, theirs in ((raw["peer"]["tcp"], raw["guest"]["tcp"]), (raw["guest"]["tcp"], raw["peer"]["tcp"])):
        sent, received = ours["tx"], theirs["rx"]
        stage.expect(sent["bytes"] == received["bytes"] > 1 << 20 and sent["digest"] == received["digest"],
                     f"the TCP stream differs: {sent} {received}")
    for counted in (source, destination):
        stage.expect(counted["tx_by_port"] > 0, f"the VF was left nothing: {counted}")
        refused = sum(value for name, value in counted.items() if name.startswith("tx_drop"))
        stage.expect(refused == 0, f"frames were refused: {counted}")
    stage.check_dma()


def counters(backend):
    """Of godwitd's dump, what offloads are counted by."""
    shown = dict(re.findall(r"^\s+(\w+)\s+(\d+)  ", backend.show(), re.MULTILINE))
    return {name: int(shown[name]) for name in COUNTERS}
