"""Failures and cancellations in every phase: the VM must run at exactly one side, and the tool must say where."""

import json
import signal
import time

import pytest

from conftest import interrupt
from fakeqmp import Hangup, QmpError, die

PATIENCE = 1 << 30  # asks: a copy that never comes to its end by itself


def settings(pair):
    """Parameters of the source after all that was sent to it."""
    now = {}
    for c in pair.commands("source"):
        name, args = c.split(" ", 1)
        if name == "migrate-set-parameters":
            now.update(json.loads(args))
    return now


def check_back(pair, run, result="failed"):
    """The VM runs at the source, and nothing is left as the tool had set it."""
    assert run.status == 1, run.err
    r = run.json
    assert r["result"] == result and r["reason"]
    assert r["vm"]["source"] == "running", r
    assert settings(pair).get("downtime-limit", 300) == 300
    assert settings(pair).get("max-bandwidth", 128 << 20) == 128 << 20
    assert r["reason"] in run.err and r["state"] in run.err
    return r


def test_ctrl_c_in_mid_copy(pair):
    pair.source.facts["asks"] = PATIENCE
    proc = pair.begin("--json", "--bandwidth", "10")
    pair.wait_for("source", "query-migrate")
    time.sleep(0.5)
    interrupt(proc)
    run = pair.end(proc)
    r = check_back(pair, run, "cancelled")
    assert r["state"] == "the VM runs at the source, as before"
    assert pair.names("source").count("migrate_cancel") == 1
    assert [p["name"] for p in r["phases"]][-2:] == ["undo start", "undo parameters"]
    assert "stopping" in run.err and "patience" not in run.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_cancel_too(pair, number):
    pair.source.facts["asks"] = PATIENCE
    proc = pair.begin("--json")
    pair.wait_for("source", "migrate")
    time.sleep(0.3)
    proc.send_signal(number)
    check_back(pair, pair.end(proc), "cancelled")


def test_second_ctrl_c_asks_for_patience(pair):
    pair.source.facts["asks"] = PATIENCE

    def slow_cancel(fake, args):
        time.sleep(1)
        return fake.do_migrate_cancel(args)

    pair.source.on["migrate_cancel"] = slow_cancel
    proc = pair.begin("--json")
    pair.wait_for("source", "migrate")
    interrupt(proc)
    pair.wait_for("source", "migrate_cancel")
    interrupt(proc)
    run = pair.end(proc)
    check_back(pair, run, "cancelled")
    assert run.err.count("patience") == 1


def test_ctrl_c_too_late_goes_on_to_the_end(pair):
    """The cancel finds the migration completed: the VM has moved, and that is the result."""
    pair.source.facts["asks"] = PATIENCE

    def too_late(fake, _):
        fake.switch_over()
        return {}

    pair.source.on["migrate_cancel"] = too_late
    proc = pair.begin("--json")
    pair.wait_for("source", "migrate")
    time.sleep(0.3)
    interrupt(proc)
    run = pair.end(proc)
    assert run.status == 0, run.err
    assert run.json["result"] == "ok" and run.json["vm"] == {"source": "postmigrate", "destination": "running"}
    assert "cont" not in pair.names("source")


def test_ctrl_c_before_anything_is_touched(pair):
    def wait(fake, _):
        time.sleep(1)
        return fake.do_query_name(_)

    pair.source.on["query-name"] = wait
    proc = pair.begin("--json")
    pair.wait_for("source", "query-name")
    interrupt(proc)
    run = pair.end(proc)
    assert run.status == 1 and run.json["result"] == "cancelled" and run.json["state"] == "nothing was changed"
    assert "migrate" not in pair.names("source")


def test_cancelled_at_qemu_by_somebody_else(pair):
    def cancelled(fake, _):
        if fake.facts["migration"].get("status") == "active":
            fake.do_migrate_cancel(_)
        return fake.facts["migration"]

    pair.source.on["query-migrate"] = cancelled
    r = check_back(pair, pair.migrate(), "cancelled")
    assert "cancelled at the source's QEMU" in r["reason"]


def test_timeout_is_explained_and_undone(pair):
    pair.source.facts["asks"] = PATIENCE
    stall = {"dirty-sync-count": 9, "dirty-pages-rate": 50000, "mbps": 300.0, "remaining": 60 << 20}
    pair.source.ram = lambda **_: type(pair.source).ram(pair.source, **stall)
    r = check_back(pair, pair.migrate("--timeout", "1"))
    assert "not copied within --timeout 1" in r["reason"] and "raise --downtime-ms to 2098" in r["reason"]


def test_qemu_refuses_to_start(pair):
    def refuse(_fake, _args):
        raise QmpError("disallowing migration blocker: VFIO device")

    pair.source.on["migrate"] = refuse
    r = check_back(pair, pair.migrate("--bandwidth", "7"))
    assert "VFIO device" in r["reason"] and "migrate_cancel" not in pair.names("source")


def test_destination_cannot_listen(pair):
    def refuse(_fake, _args):
        raise QmpError("Failed to bind socket: Address already in use")

    pair.destination.on["migrate-incoming"] = refuse
    r = check_back(pair, pair.migrate())
    assert "listening on" in r["reason"] and "Address already in use" in r["reason"]
    assert "migrate" not in pair.names("source")


def test_connection_refused(pair):
    def fail(fake, _):
        fake.migration_status("failed", **{"error-desc": "Failed to connect: Connection refused"})
        return {}

    pair.source.on["migrate"] = fail
    assert "Connection refused" in check_back(pair, pair.migrate())["reason"]


def test_destination_dies_in_mid_copy(pair):
    pair.source.facts["asks"] = PATIENCE
    proc = pair.begin("--json")
    pair.wait_for("source", "migrate")
    time.sleep(0.3)
    pair.children["destination"].kill()
    r = check_back(pair, pair.end(proc))
    assert "the destination's QEMU ended in mid-copy" in r["reason"] and r["vm"]["destination"] == "gone"
    assert "migrate_cancel" in pair.names("source")
    assert r["state"] == "the VM runs at the source, as before"


def test_source_dies_in_mid_copy(pair):
    pair.source.facts["asks"] = PATIENCE
    proc = pair.begin("--json")
    pair.wait_for("source", "migrate")
    time.sleep(0.3)
    pair.children["source"].kill()
    run = pair.end(proc)
    assert run.status == 1 and "the source's QEMU ended in mid-copy" in run.json["reason"]
    assert "the source's QEMU has ended and the VM with it" in run.json["state"]
    assert run.json["vm"]["source"] == "gone" and "cont" not in pair.names("destination")


@pytest.mark.parametrize("command", ["query-status", "query-migrate-parameters", "migrate-set-parameters", "migrate"])
def test_source_dies_in_mid_command(pair, command):
    pair.source.on[command] = die
    run = pair.migrate()
    assert run.status == 1 and f"closed its monitor {pair.src} during {command}" in run.json["reason"]
    assert run.json["vm"]["source"] == "gone"


def test_failed_at_switch_over_and_qemu_continues_by_itself(pair):
    def fail(fake):
        fake.event("STOP")
        fake.migration_status("failed", **{"error-desc": "Unable to write to socket: Broken pipe"})
        fake.event("RESUME")

    pair.source.switch_over = lambda: fail(pair.source)
    r = check_back(pair, pair.migrate())
    assert "Broken pipe" in r["reason"] and "cont" not in pair.names("source")


def fail_and_stay(fake, state):
    """As a QEMU that failed and did not continue the VM."""
    fake.event("STOP")
    fake.facts["status"] = state
    fake.migration_status("failed", **{"error-desc": "device state"})
    fake.moved.set()


@pytest.mark.parametrize("state", ["postmigrate", "finish-migrate", "paused"])
def test_failed_source_is_continued_once_the_destination_is_gone(pair, state):
    pair.source.switch_over = lambda: fail_and_stay(pair.source, state)
    pair.kill_destination_when_moved()
    r = check_back(pair, pair.migrate())
    assert r["state"] == "the VM runs at the source again"
    assert pair.names("source").count("cont") == 1 and r["vm"]["destination"] == "gone"


def test_failed_source_is_not_continued_while_the_destination_may_run(pair):
    """It neither ends nor says what it does with the VM: a second VM would be worse than none."""
    pair.destination.facts["resume"] = False
    pair.source.switch_over = lambda: fail_and_stay(pair.source, "postmigrate")
    run = pair.migrate()
    assert run.status == 1 and "cont" not in pair.names("source")
    assert 'the source is left "postmigrate"' in run.json["state"] and "say cont on" in run.json["state"]
    assert run.json["vm"] == {"source": "postmigrate", "destination": "inmigrate"}


def test_failed_source_is_not_continued_when_the_end_of_the_destination_is_not_proven(pair):
    """An ssh that forwards the monitor ends: nothing is known of the QEMU behind it."""
    pair.destination.facts["comm"] = "ssh"
    pair.source.switch_over = lambda: fail_and_stay(pair.source, "postmigrate")
    pair.kill_destination_when_moved()
    run = pair.migrate()
    assert run.status == 1 and "cont" not in pair.names("source")
    assert run.json["vm"] == {"source": "postmigrate", "destination": "unknown"}


def test_failed_source_is_not_continued_when_the_destination_had_resumed(pair):
    def resume_and_die(fake, _):
        if fake.moved.is_set():
            fake.event("RESUME")
            die(fake, _)

    pair.destination.facts["resume"] = False
    pair.destination._tick = lambda: resume_and_die(pair.destination, None)
    run = pair.migrate()
    assert run.status == 1 and "cont" not in pair.names("source")
    assert "the VM ran at the destination before that ended" in run.json["state"]
    assert run.json["vm"] == {"source": "postmigrate", "destination": "gone"}


def test_destination_dies_while_it_loads_the_state(pair):
    """The source has completed and knows nothing of it: only the tool can bring the VM back."""
    pair.kill_destination_when_moved()
    r = check_back(pair, pair.migrate())
    assert "while it took the VM over" in r["reason"] and r["state"] == "the VM runs at the source again"
    assert pair.names("source").count("cont") == 1


def test_completed_source_is_not_continued_when_the_end_of_the_destination_is_not_proven(pair):
    pair.destination.facts["comm"] = "ssh"
    pair.kill_destination_when_moved()
    run = pair.migrate()
    assert run.status == 1 and "cont" not in pair.names("source")
    assert "the source is left stopped (postmigrate)" in run.json["state"] and "say cont on" in run.json["state"]
    assert run.json["vm"] == {"source": "postmigrate", "destination": "unknown"}


def test_completed_source_is_not_continued_when_a_resume_may_have_been_missed(pair):
    """The destination's monitor was lost for a moment: that it said nothing since proves nothing."""
    hung = []

    def hang_up_once_then_die():
        if pair.destination.moved.is_set():
            die(pair.destination, None)
        if "migrate-incoming" in pair.names("destination") and not hung:
            hung.append(1)
            raise Hangup

    pair.destination.facts["resume"] = False
    pair.destination._tick = hang_up_once_then_die
    pair.source.facts["asks"] = 8
    run = pair.migrate()
    assert run.status == 1 and "cont" not in pair.names("source")
    assert run.json["vm"] == {"source": "postmigrate", "destination": "gone"}


def test_nobody_is_continued_while_the_destination_hangs(pair):
    """It stays in inmigrate after the source has completed: waiting is all that is safe, Ctrl-C or not."""
    pair.destination.facts["resume"] = False
    proc = pair.begin("--json")
    pair.wait_for("source", "migrate")
    time.sleep(1.5)
    interrupt(proc)
    time.sleep(1)
    assert proc.poll() is None
    assert "cont" not in pair.names("source") + pair.names("destination")
    pair.children["destination"].kill()
    check_back(pair, pair.end(proc))


def test_source_ends_after_everything_was_sent(pair):
    def complete_and_die(fake):
        fake.event("STOP")
        fake.moved.set()
        time.sleep(0.05)
        die(fake, None)

    pair.source.switch_over = lambda: complete_and_die(pair.source)
    run = pair.migrate()
    assert run.status == 0, run.err
    assert run.json["vm"] == {"source": "gone", "destination": "running"}
    assert any("the source's QEMU ended during the switch-over" in n for n in run.json["notices"])


def test_both_running_stops_the_destination(pair):
    def both(fake):
        fake.event("STOP")
        fake.moved.set()
        time.sleep(0.3)
        fake.migration_status("failed", **{"error-desc": "return path"})
        fake.event("RESUME")

    pair.source.switch_over = lambda: both(pair.source)
    run = pair.migrate()
    assert run.status == 1 and "ran at both sides" in run.json["state"]
    assert run.json["vm"] == {"source": "running", "destination": "paused"}


def test_monitor_lost_and_found_again(pair):
    """The connection breaks once, the QEMU lives: the migration is not given up."""
    tick, hung = type(pair.destination)._tick, []

    def hang_up_once():
        if "migrate-incoming" in pair.names("destination") and not hung:
            hung.append(1)
            raise Hangup
        tick(pair.destination)

    pair.destination._tick = hang_up_once
    pair.source.facts["asks"] = 8
    run = pair.migrate()
    assert run.status == 0, run.err
    assert pair.names("destination").count("qmp_capabilities") == 2
    assert run.json["vm"] == {"source": "postmigrate", "destination": "running"}


def test_second_attempt_after_a_cancelled_one(pair):
    pair.source.facts["asks"] = PATIENCE
    proc = pair.begin("--json")
    pair.wait_for("source", "query-migrate")
    pair.wait_for("source", "migrate")
    interrupt(proc)
    check_back(pair, pair.end(proc), "cancelled")

    pair.restart_destination()
    again = pair.migrate("--timeout", "1")
    check_back(pair, again)
    assert "not copied within --timeout 1" in again.json["reason"]
    assert pair.names("source").count("migrate") == 2
