"""The stage of one test: starts back-ends, QEMUs and traffic, and ends them all, whatever happened."""

import json
import os
import subprocess
import time

from gwlab import qmp, report
from gwlab.guest import GUEST_MAC
from gwlab.traffic import Traffic
from machines import GODWIT, Backend, Vm, end
from place import GUEST_IP, GUEST_IP6, PEER_IP, PEER_IP6, PEER_MAC

SETTLE_S = 3
BOOT_TIMEOUT_S = 180
# Traffic for tests of what passes at all, not of how much: an emulated guest keeps up with it on a busy machine.
GENTLE = {"rate": 300, "tcp_mbit": 2}


class Stage:
    """What a test may start. Everything is ended by close(), newest first; logs stay in `directory`."""

    def __init__(self, place, kernel, directory, gwtraffic):
        self.place, self.kernel, self.directory, self.gwtraffic = place, kernel, directory, gwtraffic
        self.open = []
        place.forget_addresses()

    def backend(self, host, *args, **how):
        """A back-end on @p host."""
        self.open.append(Backend(host, self.place, self.directory, *args, **how))
        return self.open[-1]

    def vm(self, name, backend, **how):
        """A QEMU called @p name. Not waited for. @p how: as for Vm."""
        self.open.append(Vm(name, backend, self.directory, **{"kernel": self.kernel} | how))
        return self.open[-1]

    def guest(self, host="A", **how):
        """A back-end on @p host and a booted guest that reaches the peer. Returns (backend, vm). @p how: as for Vm."""
        backend = self.backend(host)
        vm = self.vm(f"vm-{host}", backend, **how)
        vm.agent.wait_up(BOOT_TIMEOUT_S)
        self.check_reaches_peer(vm)
        return backend, vm

    def arrival(self, host, name=None, **how):
        """A back-end and a QEMU on @p host that wait for the guest. Returns (backend, vm). @p how: as for Vm."""
        name = name or f"vm-{host}"
        backend = self.backend(host, incoming=True, log=self.directory / f"backend-{name}.log")
        return backend, self.vm(name, backend, incoming=True, **how)

    def at_peer(self, *command, log):
        """Start @p command at the peer; its output goes to @p log in the test's directory. Returns the Popen."""
        self.open.append(Server(self.place.peer.popen(*command, log=self.directory / log)))
        return self.open[-1].process

    @staticmethod
    def check_reaches_peer(vm):
        """The guest pings the peer over IPv4 and IPv6."""
        vm.agent.sh(f"for i in 1 2 3 4 5; do ping -c 1 -W 1 {PEER_IP} && exit 0; done; exit 1")
        vm.agent.sh(f"for i in 1 2 3 4 5; do ping -6 -c 1 -W 1 {PEER_IP6} && exit 0; done; exit 1")

    def check_reached_by_peer(self):
        """The peer pings the guest over IPv4 and IPv6."""
        for address in (GUEST_IP, GUEST_IP6):
            self.place.peer.run("busybox", "ping", "-c", "2", "-W", "2", address)

    def traffic(self, vm, name="traffic", **how):
        """Numbered frames and TCP both ways, passing when this returns."""
        how = {"peer_iface": "wire", "peer_mac": PEER_MAC, "guest_mac": GUEST_MAC, "guest_ip": GUEST_IP,
               "tick_us": 2000} | how
        traffic = Traffic(self.place.peer.popen, self.gwtraffic, self.directory / name, **how)
        self.open.append(traffic)
        traffic.start(vm.agent)
        traffic.wait_both_ways(timeout_s=60)
        return traffic

    def godwit_migrate(self, source, destination):
        """Move the guest with `godwit migrate`. Returns a migration as report.make_runs() wants it."""
        source.hang_up()
        destination.hang_up()
        begun = time.time_ns()
        done = subprocess.run([GODWIT, "migrate", "--qmp", source.qmp_path, "--to-qmp", destination.qmp_path, "--uri",
                               destination.uri, "--json", "guest"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, text=True, timeout=120, check=False)
        log = self.directory / f"godwit-{destination.directory.name}.log"
        log.write_text(done.stderr + done.stdout, encoding="utf-8")
        assert done.returncode == 0, f"godwit migrate: status {done.returncode}: {done.stderr.strip()[-400:]}"
        destination.reconnect()
        return _as_migration(json.loads(done.stdout), begun)

    @staticmethod
    def plain_migrate(source, destination):
        """Move the guest with plain QMP commands: what any other tool would do."""
        return qmp.migrate(source.qmp, destination.qmp, destination.uri,
                           parameters={"downtime_limit": 150, "max_bandwidth": 400 << 20})

    def close(self):
        """End everything. Idempotent."""
        while self.open:
            self.open.pop().close()


class Server:
    """A program at the peer that serves the guest until the test is over."""

    def __init__(self, process):
        self.process = process

    def close(self):
        """End it. Idempotent."""
        end(self.process)


def lossless(raw):
    """Assert of Traffic's result @p raw that each numbered frame and each byte of TCP came, both ways, once and whole."""
    guest, peer = raw["guest"], raw["peer"]
    assert guest["missing"] == [] and guest["highest"] == peer["to_guest"]["sent"]
    assert peer["from_guest"]["missing"] == [] and peer["from_guest"]["highest"] == guest["sent"]
    for received in (guest, peer["from_guest"]):
        assert (received["duplicated"], received["reordered"], received["corrupt"]) == (0, 0, 0)
    for one, other in ((peer, guest), (guest, peer)):
        assert one["tcp"]["tx"]["digest"] == other["tcp"]["rx"]["digest"]
        assert one["tcp"]["tx"]["bytes"] > 0
    assert min(guest["sent"], peer["to_guest"]["sent"]) > 0


def _as_migration(result, begun_ns):
    """The answer of `godwit migrate --json` in the form of qmp.migrate()."""
    assert result["result"] == "ok", result
    return {"start_ns": begun_ns, "stop_ns": round(result["stop_at"] * 1e9),
            "resume_ns": round(result["resume_at"] * 1e9), "end_ns": time.time_ns(),
            "stats": {"downtime": result["downtime_ms"], "total-time": result["total_ms"]}}


def judged(raw, migrations, snapshots, limits=report.UNTIMED):
    """
    The runs of the report; asserts that each is "ok", and says why one is not. Times are not held to the demo's
    limits: two emulated guests on a machine that also does other things say nothing about them.
    """
    runs = report.make_runs(raw, migrations, snapshots, limits=limits)
    for run in runs:
        assert run["result"] == "ok", (f"{run['from']} -> {run['to']}: {'; '.join(run['reasons'])} "
                                       f"(load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs)\n{json.dumps(run)}")
    return runs
