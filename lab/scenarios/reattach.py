"""reattach: the VF of a running vNIC goes and another one comes, under load; then PF and VF are reset under it."""

import json
import socket
import time

from gwlab import hosts
from gwlab.backends import Godwitd
from gwlab.guest import GUEST_MAC

CYCLES = 5
# The VFs' addresses when they are nobody's: two VFs of one PF cannot both have the guest's.
SPARE_MAC = "52:54:00:60:d0:0{}"
# A PF that comes up again trains its link; a reset that nobody reports is noticed within three seconds.
BACK_S = 30
VFS = 2


class Control:
    """JSON-RPC to godwitd @p backend, over its control socket in its host."""

    def __init__(self, backend):
        path = backend.host.path(backend.socket).with_name("control.sock")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self.answers = self.socket.makefile("rb")

    def call(self, method, **params):
        """The result of @p method. Errors: RuntimeError with godwitd's sentence."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        answer = json.loads(self.answers.readline())
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def close(self):
        self.answers.close()
        self.socket.close()


class Addresses:
    """Gives VF 0 of @p host the guest's address back when the scenario ends."""

    def __init__(self, host):
        self.host = host

    def close(self):
        """Put the addresses back."""
        for index in range(1, len(self.host.vfs)):
            self.host.set_vf_mac(SPARE_MAC.format(8 + index), index)
        self.host.set_vf_mac(GUEST_MAC, 0)


def play(stage):
    """Five changes of the VF, then a PF that goes down and up, a VF that is reset: traffic comes back each time."""
    host = stage.site.a
    host.want_vfs(VFS)
    stage.own(Addresses(host))
    here = stage.start_guest(host, Godwitd)
    stage.wait_up(here)
    here.vm.agent.mark()
    before = here.vm.agent.events()
    control = stage.own(Control(here.backend))
    flow = stage.start_traffic(here)
    stage.watch(flow, 3)

    at = 0
    for cycle in range(CYCLES):
        at = change(stage, control, host, at, hold=bool(cycle % 2))
        recovers(stage, flow, f"{cycle + 1}: on VF {host.vfs[at]}")

    stage.say("the PF goes down and up")
    host.run("ip", "link", "set", host.pf, "down")
    time.sleep(2)
    host.run("ip", "link", "set", host.pf, "up")
    recovers(stage, flow, "after the PF was down")

    stage.say("the VF is reset through sysfs")
    hosts.write(f"/sys/bus/pci/devices/{host.vfs[at]}/reset", "1")
    recovers(stage, flow, "after the VF was reset")

    shown = here.backend.show()
    after = here.vm.agent.events()
    raw = flow.stop(here.vm.agent)
    judge(stage, raw, before, after, shown)
    stage.check_dma()


def change(stage, control, host, at, hold):
    """Detach VF number @p at, attach the other one, which gets the guest's address. Returns its number."""
    other = 1 - at
    begun = time.monotonic()
    control.call("detach", hold=hold)
    host.set_vf_mac(SPARE_MAC.format(8 + at), at)
    host.set_vf_mac(GUEST_MAC, other)
    control.call("attach", device=host.vfs[other])
    stage.say(f"VF {host.vfs[at]} -> {host.vfs[other]}{', held' if hold else ''}: "
              f"{(time.monotonic() - begun) * 1e3:.0f} ms without a device")
    return other


def recovers(stage, flow, when):
    """Failed unless frames pass both ways again, soon."""
    begun = time.monotonic()
    start = flow.progress()
    while True:
        now = flow.progress()
        if all(now[way]["received"] - start[way]["received"] > 500 for way in ("to_guest", "from_guest")):
            break
        stage.expect(time.monotonic() - begun < BACK_S, f"{when}: no traffic after {BACK_S} s: {start} {now}")
        time.sleep(0.2)
    stage.say(f"{when}: traffic passes both ways after {time.monotonic() - begun:.1f} s")
    time.sleep(1)


def counter(shown, name):
    """Value of counter @p name in godwitd's dump."""
    return int(shown.split(f" {name} ")[1].split()[0])


def judge(stage, raw, before, after, shown):
    """The guest lost frames and saw nothing else; the resets were noticed, not guessed."""
    counters = {name: counter(shown, name) for name in
                ("attaches", "detaches", "port_resets", "port_backs", "port_removals", "tx_drop_no_device")}
    stage.data.update(counters=counters)
    stage.say(f"{counters}")
    for name, way in (("to", raw["guest"]), ("from", raw["peer"]["from_guest"])):
        for kind in ("duplicated", "corrupt", "reordered"):
            stage.expect(not way[kind], f"{way[kind]} frames {name} the guest {kind}")
    stage.expect(before["carrier_changes"] == after["carrier_changes"], "the guest saw its link change")
    stage.expect(before["boot_id"] == after["boot_id"], "the guest has booted anew")
    stage.expect(counters["attaches"] == CYCLES + 1 and counters["detaches"] == CYCLES, "attaches are miscounted")
    stage.expect(counters["port_resets"] >= 2, "a reset was not noticed")
    stage.expect(counters["port_resets"] == counters["port_backs"], "a reset was not recovered from")
    stage.expect(counters["port_removals"] == 0, "the port was given up")
