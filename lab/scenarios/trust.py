"""trust: public code only. testpmd's vhost serves the guest on both hosts; bulk traffic; one migration."""

from gwlab import hosts, report
from gwlab.backends import Testpmd


def play(stage):
    """A guest moves from A to B under load, and nothing crashes: the lab can be believed."""
    here = stage.start_guest(stage.site.a, Testpmd)
    there = stage.await_guest(stage.site.b, Testpmd)
    stage.data["l2_boot_s"] = round(stage.wait_up(here), 1)
    here.vm.agent.mark()
    before = here.vm.agent.events()

    flow = stage.start_traffic(here)
    stage.watch(flow, 5)
    moved = stage.migrate(here, there)
    stage.watch(flow, 5)
    raw = flow.stop(there.vm.agent)
    after = there.vm.agent.events()

    run = report.make_runs(raw, [moved], [(before, after)], mode="testpmd")[0]
    stage.data.update(run=run, dmar_faults=len(hosts.dma_faults()), accel=stage.accel,
                      switch_port=stage.site.switch_port_of(hosts.GUEST_MAC))
    stage.say(report.table(report.document({}, [run])))
    stage.check_dma()
    stage.expect(stage.data["switch_port"] == "B", f"the switch sees the guest on {stage.data['switch_port']}")
    stage.expect(run["tcp"]["alive"] and run["tcp"]["digest_ok"], "the TCP stream did not survive")
    # testpmd is no migration product: it may lose frames around the stop. It must not corrupt any.
    for way in run["frames"].values():
        stage.expect(way["corrupt"] == 0, "frames were corrupted")
        stage.expect(way["sent"] > 5000 and way["lost"] < way["sent"] // 2, f"too few frames passed: {way}")
