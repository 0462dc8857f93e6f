"""stage: what a scenario plays on: the site, a guest that moves, traffic, a progress line, a verdict."""

import contextlib
import json
import pathlib
import subprocess
import time

from . import hosts, paths, qmp, traffic, vms

GUEST_IP = "192.0.2.2"
GUEST_BOOT_S = 150
# What a guest on an emulated CPU carries with half of its time: it starts cold on the other host, and a busy one
# needs as long again to catch up. Every wake-up of its counts, so frames go in bursts.
RATE = 1100
TCP_MBIT = 2
TICK_US = 16000
SETTLE_S = 2


class Failed(Exception):
    """What the scenario claims is not so; the message says what was found instead."""


def as_migration(answer):
    """The JSON of `godwit migrate` as qmp.migrate() would have returned it, with the tool's phases."""
    phases = [phase for phase in answer["phases"] if phase["start_at"]]
    start = phases[0]["start_at"] - phases[0]["start_ms"] / 1e3
    stats = {"status": "completed", "downtime": answer["downtime_ms"], "total-time": answer["total_ms"]}
    return {"start_ns": round(start * 1e9), "stop_ns": round(answer["stop_at"] * 1e9),
            "resume_ns": round(answer["resume_at"] * 1e9),
            "end_ns": round((start + phases[-1]["end_ms"] / 1e3) * 1e9), "stats": stats,
            "phases": [{key: phase[key] for key in ("name", "start_ms", "end_ms")} for phase in answer["phases"]]}


class Place:
    """A host's pair of processes for the guest: its back-end and its QEMU."""

    def __init__(self, backend, vm):
        self.backend = backend
        self.vm = vm
        self.host = vm.host

    def close(self):
        """End both: first the front-end. Idempotent."""
        self.vm.close()
        self.backend.close()


class Stage:
    """
    One scenario's run in L1.
    @param name  the scenario's; logs and results go to directory /godwit/out/NAME
    @param site  the boot's Site, shared by the scenarios of a boot
    Everything started through it ends with `close()`, last things first.
    """

    def __init__(self, name, site, accel):
        self.name = name
        self.site = site
        self.accel = accel
        self.out = pathlib.Path(paths.IN_OUT) / name
        self.out.mkdir(parents=True, exist_ok=True)
        self.begun = time.monotonic()
        self.things = contextlib.ExitStack()
        self.data = {}
        self.flows = 0
        self.vms = []
        self.emulation_faults = 0
        self.old_faults = len(hosts.dma_faults())
        site.forget_addresses()

    def say(self, text):
        """One line of the timeline."""
        print(f"{self.name}: {time.monotonic() - self.begun:6.1f} s  {text}", flush=True)

    def expect(self, truth, text):
        """Failed with @p text unless @p truth."""
        if not truth:
            raise Failed(text)

    def start_guest(self, host, backend_class, card=vms.PLAIN_CARD):
        """Back-end and QEMU with the guest on @p host. Returns the Place; the guest still boots."""
        backend = self.own(backend_class(host, self.out))
        return self._place(backend, vms.Vm(host, backend, self.out, self.accel, card=card))

    def _place(self, backend, vm):
        self.vms.append(self.own(vm))
        return Place(backend, vm)

    def await_guest(self, host, backend_class, paused=False, card=vms.PLAIN_CARD):
        """
        Back-end and QEMU on @p host for a guest that arrives by migration, and with @p paused stands still until
        it is told "cont". Returns the Place.
        """
        backend = self.own(backend_class(host, self.out, incoming=True))
        return self._place(backend, vms.Vm(host, backend, self.out, self.accel, incoming=True, paused=paused, card=card))

    def wait_up(self, place):
        """Wait until the guest at @p place has booted. Returns the seconds since its QEMU was started."""
        place.vm.agent.wait_up(GUEST_BOOT_S)
        seconds = time.monotonic() - place.vm.started
        place.backend.activate()
        # The last link event of its boot comes up to a second later.
        time.sleep(SETTLE_S)
        self.say(f"the guest is up on {place.host.name} after {seconds:.0f} s "
                 f"({self.accel} inside, VF {place.host.vf}, IOMMU group {hosts.iommu_group(place.host.vf)})")
        return seconds

    def start_traffic(self, place, rate=RATE, tcp_mbit=TCP_MBIT):
        """Numbered frames and TCP between peer and guest, passing both ways on return."""
        self.flows += 1
        flow = traffic.Traffic(
            self.site.peer.popen, paths.TREE / "build/lab/traffic/gwtraffic", self.out / f"traffic-{self.flows}",
            peer_iface="wire", peer_mac=hosts.PEER_MAC, guest_mac=hosts.GUEST_MAC, guest_ip=GUEST_IP,
            rate=rate, tcp_mbit=tcp_mbit, tick_us=TICK_US)
        self.own(flow)
        flow.start(place.vm.agent)
        flow.wait_both_ways(timeout_s=30)
        self.say(f"traffic passes both ways: {rate} numbered frames/s and {tcp_mbit} Mbit/s of TCP each")
        return flow

    def watch(self, flow, seconds):
        """Let @p flow run for @p seconds, telling how it goes."""
        time.sleep(seconds)
        now = flow.progress()
        self.say(f"peer: {now['to_guest']['received']} of {now['to_guest']['sent']} arrived at the guest, "
                 f"{now['from_guest']['received']} of {now['from_guest']['highest']} came from it")

    def migrate(self, source, destination):
        """
        Move the guest over QMP. Returns what qmp.migrate() does, with "from" and "to".
        The source's QEMU and back-end are ended, as a real source's are.
        """
        self.say(f"migrating {source.host.name} -> {destination.host.name}")
        destination.backend.activate()
        moved = qmp.migrate(source.vm.qmp, destination.vm.qmp, destination.vm.uri, parameters=vms.MIGRATION)
        return self._after_move(moved, source, destination)

    def godwit_migrate(self, source, destination):
        """
        Move the guest with `godwit migrate`, from the operator's place: its progress goes to the timeline.
        Returns what migrate() does, plus the tool's own "phases". Errors: Failed.
        """
        self.say(f"godwit migrate {source.host.name} -> {destination.host.name}")
        command = [paths.program("godwit", "GODWIT"), "migrate", "--qmp", source.vm.operator_qmp, "--to-qmp",
                   destination.vm.operator_qmp, "--uri", destination.vm.uri, "--downtime-ms", vms.DOWNTIME_LIMIT_MS,
                   "--bandwidth", vms.BANDWIDTH_MIB, "--json", vms.NAME]
        tool = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, preexec_fn=hosts.die_with_parent)
        last = ""
        for line in tool.stderr:
            last = line.strip()
            self.say(last)
        answer = tool.stdout.read()
        (self.out / f"migrate-{source.host.name}-{destination.host.name}.json").write_text(answer, encoding="utf-8")
        self.expect(tool.wait() == 0, f"godwit migrate ended with status {tool.returncode}: {last}")
        return self._after_move(as_migration(json.loads(answer)), source, destination)

    def _after_move(self, moved, source, destination):
        """Name the two hosts in @p moved, say how it went, and end what is left on the source."""
        moved = dict(moved, **{"from": source.host.name, "to": destination.host.name})
        stopped = (moved["resume_ns"] - moved["stop_ns"]) / 1e6
        self.say(f"the guest runs on {destination.host.name}: stopped for {stopped:.0f} ms, "
                 f"{(moved['resume_ns'] - moved['start_ns']) / 1e9:.1f} s after the start")
        # Ending a QEMU and a DPDK process takes a second of CPU, and here both hosts share two CPUs.
        time.sleep(SETTLE_S)
        source.close()
        return moved

    def check_dma(self):
        """Failed when the IOMMU reported a DMA fault since the scenario began. Returns their number, 0."""
        faults = hosts.dma_faults()[self.old_faults:]
        self.expect(not faults, f"{len(faults)} DMA faults, the first: {faults[0] if faults else ''}")
        return len(faults)

    def own(self, thing):
        """Have @p thing closed with the stage. Returns it."""
        self.things.callback(thing.close)
        return thing

    def close(self):
        """End what was started, last things first, whatever state it is in."""
        self.things.close()

    def conclude(self, result, reason=""):
        """
        Write result.json: {"scenario", "result", "reason", "emulation", "seconds", "data"}; of a failure, what the guests'
        CPUs do, and what the emulation did to them ("" for nothing).
        """
        emulation = "; ".join(filter(None, [vm.autopsy() for vm in self.vms if result != "ok"]))
        verdict = {"scenario": self.name, "result": result, "reason": reason, "emulation": emulation,
                   "emulation_faults": self.emulation_faults, "seconds": round(time.monotonic() - self.begun, 1),
                   "data": self.data}
        (self.out / "result.json").write_text(json.dumps(verdict, indent=1) + "\n", encoding="utf-8")
        self.say(f"{result}{': ' + reason if reason else ''}{'; ' + emulation if emulation else ''}")
        return verdict
