"""What a migration that works says and does, against scripted QEMUs."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import termios


def test_report_has_what_the_contract_says(pair):
    run = pair.migrate("--downtime-ms", "80", "--bandwidth", "32")
    assert run.status == 0, run.err
    r = run.json
    assert (r["schema"], r["mode"], r["name"], r["result"], r["reason"]) == (1, "vnic", "g", "ok", None)
    assert (r["downtime_ms"], r["total_ms"]) == (7, 90)
    assert r["qemu"] == {"source": "7.2.22", "destination": "7.2.22"}
    assert r["vm"] == {"source": "postmigrate", "destination": "running"}
    assert r["ram"]["total_bytes"] == 64 << 20 and r["ram"]["transferred_bytes"] == 9 << 20
    assert abs(r["stop_resume_ms"] - (r["resume_at"] - r["stop_at"]) * 1000) < 0.1
    assert 0 <= r["stop_resume_ms"] < 5000 and r["stop_at"] > 1.6e9


def test_phases_are_in_order_and_do_not_overlap(pair):
    phases = pair.migrate().json["phases"]
    assert [p["name"] for p in phases] == ["preflight", "parameters", "listen", "start", "precopy", "switchover",
                                           "confirm"]
    for a, b in zip(phases, phases[1:]):
        assert 0 <= a["start_ms"] <= a["end_ms"] <= b["start_ms"] <= b["end_ms"]
        assert a["start_at"] <= b["start_at"]


def test_parameters_reach_qemu(pair):
    pair.migrate("--downtime-ms", "80", "--bandwidth", "32")
    sent = [json.loads(c.split(" ", 1)[1]) for c in pair.commands("source") if c.startswith("migrate-set-parameters")]
    assert {"downtime-limit": 80} in sent and {"max-bandwidth": 32 << 20} in sent
    for role in ("source", "destination"):
        caps = [c for c in pair.commands(role) if c.startswith("migrate-set-capabilities")]
        assert caps and '"events", "state": true' in caps[0]


def test_qemus_own_bandwidth_limit_is_left_alone(pair):
    assert pair.migrate().status == 0
    assert not any("max-bandwidth" in c for c in pair.commands("source"))


def test_incoming_is_asked_for_only_when_nobody_listens(pair):
    pair.destination.facts["migration"] = {"socket-address": [{"type": "unix", "path": "/x"}]}
    assert pair.migrate().status == 0
    assert "migrate-incoming" not in pair.names("destination")


def test_table_for_people(pair):
    run = pair.end(pair.begin())
    assert run.status == 0
    assert "downtime     7 ms" in run.out and "STOP-RESUME" in run.out and "destination (running)" in run.out


def test_report_file_is_the_same_json(pair, tmp_path):
    run = pair.migrate("--report", str(tmp_path / "r.json"))
    assert json.loads((tmp_path / "r.json").read_text()) == run.json
    assert not list(tmp_path.glob("r.json.part*"))


def test_report_that_cannot_be_written_fails_the_command_only(pair):
    run = pair.migrate("--report", "/nonexistent/r.json")
    assert run.status == 1 and run.json["result"] == "ok"
    assert "cannot write the report /nonexistent/r.json" in run.err


def test_paused_vm_stays_paused(pair):
    pair.source.facts["status"] = "paused"
    pair.source.switch_over = pair.source.complete

    def query_status(fake, _):
        if fake.moved.is_set():
            fake.facts["status"] = "paused"
        return fake.do_query_status(_)

    pair.destination.facts["resume"] = False
    pair.destination.on["query-status"] = query_status
    run = pair.migrate()
    assert run.status == 0, run.err
    assert run.json["stop_resume_ms"] is None and run.json["vm"]["destination"] == "paused"
    assert "cont" not in pair.names("destination")


def test_destination_started_with_S_is_continued_after_completion(pair):
    def query_status(fake, _):
        if fake.moved.is_set() and fake.facts["status"] == "inmigrate":
            fake.facts["status"] = "paused"
        return fake.do_query_status(_)

    pair.destination.facts["resume"] = False
    pair.destination.on["query-status"] = query_status
    run = pair.migrate()
    assert run.status == 0, run.err
    assert pair.names("destination").count("cont") == 1
    assert run.json["vm"]["destination"] == "running" and run.json["stop_resume_ms"] >= 0


def test_events_may_come_in_any_number(pair):
    def flood(fake, _):
        for i in range(3000):
            fake.event("NIC_RX_FILTER_CHANGED", {"name": f"net{i}", "path": "/machine/peripheral/net0"})
        return fake.do_query_status(_)

    pair.source.on["query-status"] = flood
    assert pair.migrate().status == 0


def test_big_reply_is_taken(pair):
    pair.source.facts["devices"] = {f"dev{i}": "virtio-net-pci" for i in range(40000)}
    assert pair.migrate().status == 0


def test_progress_is_plain_lines_without_a_terminal(pair):
    run = pair.migrate()
    lines = run.err.splitlines()
    assert any("precopy" in l and "MiB sent" in l for l in lines)
    assert "\r" not in run.err and "\033" not in run.err


def test_progress_is_one_line_on_a_terminal(pair):
    """It appears after two seconds, is redrawn in place, cut to the width, and wiped at the end."""
    pair.source.facts["asks"] = 14
    for fake in (pair.source, pair.destination):
        pair.children[fake.role] = fake.start()
    tool, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    proc = subprocess.Popen(pair.command(), stdout=subprocess.PIPE, stderr=terminal)
    assert proc.wait(30) == 0
    seen = os.read(tool, 65536).decode()
    os.close(tool)
    os.close(terminal)
    proc.stdout.close()
    draws = seen.split("\r\033[K")
    assert draws[0] == "" and draws[-1] == "" and "\n" not in seen
    assert 3 <= len(draws) - 2 <= 12
    assert all(d.startswith("g: ") and len(d) <= 59 for d in draws[1:-1]) and "2." in draws[1]


def test_stall_is_explained(pair):
    pair.source.facts["asks"] = 6
    stall = {"dirty-sync-count": 5, "dirty-pages-rate": 50000, "mbps": 900.0, "remaining": 60 << 20}
    pair.source.ram = lambda **_: type(pair.source).ram(pair.source, **stall)
    run = pair.migrate()
    assert run.status == 0
    assert "does not converge: the guest writes 195 MiB/s" in run.err and "raise --bandwidth above 195" in run.err
