"""demo: a running guest with a VF behind godwitd moves from host A to host B and back, under load."""

import dataclasses
import json
import os

from gwlab import hosts, report
from gwlab.backends import Godwitd

BEFORE_S = 6
AFTER_S = 5


def play(stage):
    """The project's main claim, measured: see build/reports/demo.json."""
    here = stage.start_guest(stage.site.a, Godwitd)
    stage.wait_up(here)
    runs = []
    for target in (stage.site.b, stage.site.a):
        here, run = one_way(stage, here, target)
        runs.append(run)
    document = report.document(machine(stage), runs) | {"limits": dataclasses.asdict(limits())}
    report.write(stage.out / "demo.json", document)
    stage.say("what it cost:\n" + report.table(document))
    stage.check_dma()
    stage.expect(report.passed(document), "; ".join(why for run in runs for why in run["reasons"]))


def one_way(stage, here, target):
    """Move the guest from Place @p here to host @p target under load. Returns (its new Place, the run)."""
    there = stage.await_guest(target, Godwitd)
    here.vm.agent.mark()
    before = here.vm.agent.events()
    flow = stage.start_traffic(here)
    stage.watch(flow, BEFORE_S)
    moved = stage.godwit_migrate(here, there)
    stage.watch(flow, AFTER_S)
    raw = flow.stop(there.vm.agent)
    after = there.vm.agent.events()
    run = report.make_runs(raw, [moved], [(before, after)], limits=limits())[0]
    run["phases"] = moved["phases"]
    port = stage.site.switch_port_of(hosts.GUEST_MAC)
    (stage.out / f"switch-{target.name}.log").write_text(hosts.run("bridge", "-s", "fdb", "show"), encoding="utf-8")
    stage.expect(port == target.name, f"the switch sees the guest on {port}, not on {target.name}")
    stage.say(f"{moved['from']} -> {moved['to']}: {run['result']}, blackout {run['blackout_ms']:.0f} ms, lost "
              f"{run['frames']['to_guest']['lost']} to and {run['frames']['from_guest']['lost']} from the guest")
    stage.expect(there.vm.alive() and there.backend.alive(), f"a process of {target.name} ended")
    return there, run


def limits():
    """What a move is held to: the strict rule, but for times when the whole suite plays (`lab/run all`)."""
    return report.UNTIMED if os.environ.get("GODWIT_LAB_UNTIMED") else report.STRICT


def machine(stage):
    """The report's "machine"."""
    facts = json.loads((stage.out.parent / "machine.json").read_text(encoding="utf-8"))
    return {"accel": facts["accel"], "guest_accel": stage.accel, "cpus": hosts.l1_facts()["cpus"],
            "dpdk": facts["dpdk"], "qemu": facts["qemu"]}
