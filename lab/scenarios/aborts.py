"""aborts: moves that do not come to pass, on real VFs: the guest stays, traffic goes on, the next attempt works."""

import time

from gwlab import hosts, qmp, report
from gwlab.backends import Godwitd

# Bytes a second: so slow that the copy is still under way when it is broken off.
SLOW = 4 << 20


def play(stage):
    """One move is cancelled, one loses its destination, the third one succeeds: judged like any other."""
    here = stage.start_guest(stage.site.a, Godwitd)
    stage.wait_up(here)
    here.vm.agent.mark()
    before = here.vm.agent.events()
    flow = stage.start_traffic(here)

    stage.watch(flow, 4)

    there = stage.await_guest(stage.site.b, Godwitd)
    into_the_copy(stage, here, there)
    stage.say("migrate_cancel in mid-copy")
    here.vm.qmp.command("migrate_cancel")
    ends_as(stage, here, "cancelled")
    there.close()

    there = stage.await_guest(stage.site.b, Godwitd)
    into_the_copy(stage, here, there)
    stage.say("the destination's QEMU and godwitd are killed in mid-copy")
    there.vm.process.kill()
    there.backend.process.kill()
    ends_as(stage, here, "failed")
    there.close()

    there = stage.await_guest(stage.site.b, Godwitd)
    here.vm.qmp.command("migrate-set-parameters", max_bandwidth=1 << 30)
    moved = stage.godwit_migrate(here, there)
    stage.watch(flow, 5)
    raw = flow.stop(there.vm.agent)
    run = report.make_runs(raw, [moved], [(before, there.vm.agent.events())],
                           limits=report.UNTIMED)[0]
    stage.data["run"] = run
    stage.say("the third attempt, and all traffic since the first:\n" + report.table(report.document({}, [run])))
    stage.check_dma()
    # The rules of the demo: a frame lost around an abort would be one lost outside of the move.
    stage.expect(run["result"] == "ok", "; ".join(run["reasons"]))


def into_the_copy(stage, here, there):
    """Start to move the guest, slowly. Returns in mid-copy, with godwitd logging what it writes."""
    qmp.arm(here.vm.qmp, there.vm.qmp, parameters={"downtime_limit": 150, "max_bandwidth": SLOW})
    here.vm.qmp.command("migrate", uri=there.vm.uri)
    deadline = time.monotonic() + 30
    while here.vm.qmp.command("query-migrate").get("ram", {}).get("transferred", 0) < 2 << 20:
        stage.expect(time.monotonic() < deadline, "the copy does not begin")
        time.sleep(0.2)
    stage.expect("logging" in here.backend.show(), "godwitd does not log during the copy")


def ends_as(stage, here, status):
    """Failed unless the move ends with @p status, the guest runs on, and godwitd logs no more."""
    found = qmp.wait_migration(here.vm.qmp, 30)["status"]
    stage.expect(found == status, f"the move ended as {found}, not {status}")
    stage.expect(here.vm.qmp.command("query-status")["status"] == "running", "the guest does not run on the source")
    # The log goes off within a second of the end.
    time.sleep(1)
    shown = here.backend.show()
    stage.expect("running" in shown and "logging" not in shown, f"godwitd still logs:\n{shown}")
    stage.say(f"{status}: the guest runs on {here.host.name}, godwitd logs no more; "
              f"{len(hosts.dma_faults())} DMA faults")
