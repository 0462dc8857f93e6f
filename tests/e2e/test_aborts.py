"""Migrations that do not come to pass: the guest stays on the source, traffic goes on, the next attempt works."""

import signal
import time

from gwlab import qmp, report
from stage import SETTLE_S, judged

SLOW = 4 << 20  # bytes a second: long enough in the middle of the copy
NO_LOSS_GAP_NS = 3 * 10**9


def _into_the_copy(source, destination):
    """Start a slow migration and return when it has copied something."""
    qmp.arm(source.qmp, destination.qmp, parameters={"downtime_limit": 150, "max_bandwidth": SLOW})
    source.qmp.command("migrate", uri=destination.uri)
    deadline = time.monotonic() + 20
    while True:
        stats = source.qmp.command("query-migrate")
        if stats["status"] == "active" and stats.get("ram", {}).get("transferred", 0) > 2 << 20:
            time.sleep(1)
            return
        assert stats["status"] in ("setup", "active") and time.monotonic() < deadline, stats
        time.sleep(0.05)


def _untouched_then_moved(stage, traffic, source, since_ns, name):
    """Nothing was lost since @p since_ns while the guest stayed; then it moves for good, judged like any other."""
    time.sleep(SETTLE_S)
    aborted_ns = time.time_ns()
    _, destination = stage.arrival("B", name)
    source.agent.mark()
    before = source.agent.events()
    moved = stage.plain_migrate(source, destination) | {"from": "A", "to": "B"}
    time.sleep(SETTLE_S)
    after = destination.agent.events()
    raw = traffic.stop(destination.agent)

    judged(raw, [moved], [(before, after)])  # no loss outside of the move, hence none around the abort
    piece = report.Slice(raw, since_ns, aborted_ns, False, False)
    for way in ("to", "from"):
        gap, _ = report.longest_gap(piece, way, since_ns, aborted_ns)
        assert gap < NO_LOSS_GAP_NS, f"{way} guest: {gap / 1e6:.0f} ms without a frame around the abort"


def test_cancel_in_mid_copy(stage):
    _, source = stage.guest("A")
    traffic = stage.traffic(source, tcp_mbit=20)
    backend_b, destination = stage.arrival("B")
    begun = time.time_ns()
    _into_the_copy(source, destination)
    source.qmp.command("migrate_cancel")
    assert qmp.wait_migration(source.qmp, 20)["status"] == "cancelled"
    assert source.qmp.command("query-status")["status"] == "running"
    destination.close()
    backend_b.close()
    _untouched_then_moved(stage, traffic, source, begun, "vm-B2")


def test_destination_killed_in_mid_copy(stage):
    _, source = stage.guest("A")
    traffic = stage.traffic(source, tcp_mbit=20)
    backend_b, destination = stage.arrival("B")
    begun = time.time_ns()
    _into_the_copy(source, destination)
    destination.close(signal.SIGKILL)
    assert qmp.wait_migration(source.qmp, 20)["status"] == "failed"
    assert source.qmp.command("query-status")["status"] == "running"
    assert backend_b.alive(), "a front-end that vanishes does not end the back-end"
    backend_b.close()
    _untouched_then_moved(stage, traffic, source, begun, "vm-B2")
