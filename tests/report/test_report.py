"""The strict rule of the report: good data is "ok", and each single fault in it is not."""

import json

import pytest
from synthetic import BEGIN, COUNT, MS, RATE, S, STEP, migrations, moment, raw, snapshot

from gwlab import report


def judge(data=None, moves=None, before=None, after=None):
    """Both runs, with the given parts in place of the good ones."""
    pair = (before or snapshot(), after or snapshot())
    return report.make_runs(data or raw(), moves or migrations(), [pair, (snapshot(), snapshot())])


def only_reason(runs, index=0):
    """The one reason of the run at @p index; the other run has to be ok."""
    other = runs[1 - index]
    assert other["result"] == "ok", other["reasons"]
    assert runs[index]["result"] == "failed"
    assert len(runs[index]["reasons"]) == 1, runs[index]["reasons"]
    return runs[index]["reasons"][0]


def test_good_traffic_is_ok():
    first, second = judge()
    assert first["result"] == second["result"] == "ok", (first["reasons"], second["reasons"])
    assert (first["from"], first["to"], second["from"], second["to"]) == ("A", "B", "B", "A")
    assert first["stop_resume_ms"] == 300 and 300 <= first["blackout_ms"] <= 302
    assert first["baseline_gap_ms"] == 4 and first["downtime_ms"] == 280
    assert [phase["name"] for phase in first["phases"]] == ["pre-copy", "stopped", "recovery"]
    assert first["phases"][1] == {"name": "stopped", "start_ms": 2000, "end_ms": 2300}


def test_every_number_is_judged_in_one_run_only():
    runs = judge()
    for way in ("to_guest", "from_guest"):
        assert abs(sum(run["frames"][way]["sent"] for run in runs) - COUNT) <= 1
        assert [run["frames"][way]["lost"] for run in runs] == [449, 299]
        assert all(RATE - 5 <= run["frames"][way]["rate"] <= RATE * 1.03 for run in runs)


def test_tcp_bytes_are_told_before_and_after():
    first, second = judge()
    assert first["tcp"]["alive"] and first["tcp"]["digest_ok"]
    assert first["tcp"]["to_guest"]["bytes_before"] == 50_000_000
    assert second["tcp"]["bytes_after"] == pytest.approx(2 * 49_000_000, rel=0.01)


@pytest.mark.parametrize("seq", [5 * RATE, 10 * RATE - 160, 10 * RATE + 8 * RATE // 10 + 20])
def test_one_frame_to_the_guest_lost_outside(seq):
    data = raw()
    data["guest"]["missing"].append([seq, seq, 0, 0])
    assert only_reason(judge(data)) == "to guest: 1 frames lost outside of the blackout"


def test_a_frame_to_the_guest_lost_just_inside():
    data = raw()
    seq = 10 * RATE - 140
    data["guest"]["missing"].append([seq, seq, 0, 0])
    assert judge(data)[0]["result"] == "ok"


def test_frames_to_the_guest_lost_at_the_very_end():
    data = raw()
    data["guest"]["highest"] -= 2
    assert only_reason(judge(data), 1) == "to guest: 2 frames lost outside of the blackout"


def test_one_frame_from_the_guest_lost_outside():
    data = raw()
    data["peer"]["from_guest"]["missing"].append([7500, 7500, moment(7499), moment(7501)])
    assert only_reason(judge(data)) == "from guest: 1 frames lost outside of the blackout"


def test_a_hole_from_the_guest_that_reaches_out_of_the_window():
    data = raw()
    data["peer"]["from_guest"]["missing"][0][2] -= 102 * MS
    assert only_reason(judge(data)) == "from guest: 449 frames lost outside of the blackout"


def test_frames_from_the_guest_lost_at_the_very_end():
    data = raw()
    data["guest"]["sent"] += 3
    assert only_reason(judge(data), 1) == "from guest: 3 frames lost outside of the blackout"


@pytest.mark.parametrize("kind,listed", [("duplicated", "duplicates"), ("reordered", "late")])
def test_a_frame_to_the_guest_twice_or_late(kind, listed):
    data = raw()
    data["guest"][kind] = 1
    data["guest"][listed] = [[100, 5]]
    assert only_reason(judge(data)) == f"to guest: 1 frames {kind}"


@pytest.mark.parametrize("kind,listed", [("duplicated", "duplicates"), ("reordered", "late")])
def test_a_frame_from_the_guest_twice_or_late(kind, listed):
    data = raw()
    data["peer"]["from_guest"][kind] = 1
    data["peer"]["from_guest"][listed] = [[30000, BEGIN + 20 * S]]
    assert only_reason(judge(data), 1) == f"from guest: 1 frames {kind}"


def test_counted_but_not_listed_still_counts():
    data = raw()
    data["guest"]["duplicated"] = 7
    assert only_reason(judge(data), 1) == "to guest: 7 frames duplicated"


@pytest.mark.parametrize("station,place", [("guest", "to guest"), ("peer", "from guest")])
def test_a_corrupt_frame(station, place):
    data = raw()
    (data["guest"] if station == "guest" else data["peer"]["from_guest"])["corrupt"] = 1
    assert only_reason(judge(data), 1) == f"{place}: 1 frames corrupt"


def test_too_few_frames_a_second():
    data = raw()
    slow = raw()["sent_ns"][::2]
    data["sent_ns"] = slow
    data["guest"]["missing"] = []
    data["guest"]["highest"] = len(slow)
    runs = judge(data)
    assert [run["reasons"] for run in runs] == [["to guest: 750 frames a second, 1000 are needed"]] * 2


def test_too_few_frames_a_second_from_the_guest():
    data = raw()
    column = data["peer"]["samples"]["columns"].index("from_highest")
    for row in data["peer"]["samples"]["rows"]:
        row[column] //= 2
    data["guest"]["sent"] //= 2
    data["peer"]["from_guest"]["highest"] //= 2
    for run in judge(data):
        assert "from guest: 7" in run["reasons"][0] and "1000 are needed" in run["reasons"][0]


@pytest.mark.parametrize("way", ["to_guest", "from_guest"])
def test_a_blackout_that_is_too_long(way):
    data = raw()
    data["peer"][way]["gaps"][0][1] += 501 * MS
    assert only_reason(judge(data)).startswith("blackout 80")


def test_a_long_gap_after_the_migration():
    data = raw()
    data["peer"]["to_guest"]["gaps"].append([BEGIN + 12 * S, BEGIN + 12 * S + 2850 * MS])
    assert only_reason(judge(data)).startswith("a gap of 2850")


def test_more_time_forgives_gaps_and_nothing_else():
    data = raw()
    data["peer"]["to_guest"]["gaps"].append([BEGIN + 12 * S, BEGIN + 12 * S + 2850 * MS])
    runs = report.make_runs(data, migrations(), [(snapshot(), snapshot())] * 2, limits=report.UNTIMED)
    assert all(run["result"] == "ok" for run in runs)
    data["guest"]["tcp"]["rx"]["digest"] = "0"
    runs = report.make_runs(data, migrations(), [(snapshot(), snapshot())] * 2, limits=report.UNTIMED)
    assert all(run["result"] == "failed" for run in runs)


def test_tcp_digest_that_differs():
    data = raw()
    data["guest"]["tcp"]["rx"]["digest"] = "0"
    assert {tuple(run["reasons"]) for run in judge(data)} == {("the TCP stream's digests differ",)}


@pytest.mark.parametrize("change", [{"rx_bad_offset": 5}, {"tx": {"bytes": 1, "digest": "0", "ended": False}}])
def test_tcp_bytes_that_differ(change):
    data = raw()
    data["peer"]["tcp"].update(change)
    assert not any(run["tcp"]["digest_ok"] for run in judge(data))


def test_tcp_that_stands_still_after_the_migration():
    data = raw()
    rows = data["peer"]["samples"]["rows"]
    column = data["peer"]["samples"]["columns"].index("tcp_rx")
    for row in rows[102:]:
        row[column] = rows[101][column]
    data["peer"]["tcp"]["rx"] = data["guest"]["tcp"]["tx"] = {"bytes": rows[101][column], "digest": "1", "ended": True}
    for run in judge(data):
        assert run["reasons"] == ["the TCP stream did not go on after the migration"]


@pytest.mark.parametrize("change", [{"connects": 2}, {"error": "Connection reset by peer"}])
def test_tcp_that_broke(change):
    data = raw()
    data["peer"]["tcp"].update(change)
    assert not any(run["tcp"]["alive"] for run in judge(data))


def test_no_tcp_at_all():
    data = raw()
    data["peer"]["tcp"] = data["guest"]["tcp"] = None
    assert all(len(run["reasons"]) == 2 for run in judge(data))


LINK = {"type": "new", "ifname": "eth0", "flags": 0x1003, "operstate": 2, "carrier": 0, "event": ""}


@pytest.mark.parametrize("change,words", [
    ({"boot_id": "4-5-6"}, "it was booted again"),
    ({"carrier_changes": {"eth0": 4}}, "carrier changes of eth0: 2, then 4"),
    ({"carrier_changes": {}}, "carrier changes of eth0: 2, then None"),
    ({"link_events": [LINK]}, "link event: new eth0"),
    ({"kernel_log": ["virtio_net virtio0: reset"]}, "kernel: virtio_net"),
    ({"dropped": 1}, "events that were not kept"),
])
def test_what_the_guest_saw(change, words):
    assert words in only_reason(judge(after=snapshot() | change))


def test_announcements_and_stutter_are_no_events():
    after = snapshot() | {"link_events": [LINK | {"event": "notify_peers", "carrier": 1}],
                          "kernel_log": ["clocksource: timekeeping watchdog on CPU0: slow"]}
    first = judge(after=after)[0]
    assert first["result"] == "ok" and first["guest_announcements"] == 1


@pytest.mark.parametrize("spoil", [
    lambda d: d["peer"].update(clock_step_ns=6 * MS),
    lambda d: d["peer"]["from_guest"].update(socket_drops=1),
    lambda d: d["guest"].update(socket_drops=1),
    lambda d: d["guest"].update(reopened=1),
])
def test_a_faulty_measurement_is_never_ok(spoil):
    data = raw()
    spoil(data)
    assert all(run["result"] == "failed" for run in judge(data))


def test_document_table_and_verdict(tmp_path):
    good = report.document({"accel": "tcg"}, judge())
    assert report.passed(good)
    assert "A -> B" in report.table(good) and "449/" in report.table(good)
    data = raw()
    data["guest"]["duplicated"] = 1
    bad = report.document({"accel": "tcg"}, judge(data))
    assert not report.passed(bad) and "B -> A: to guest: 1 frames duplicated" in report.table(bad)
    assert not report.passed(report.document({}, []))
    report.write(tmp_path / "deep" / "demo.json", good)
    assert json.loads((tmp_path / "deep" / "demo.json").read_text())["runs"][0]["result"] == "ok"


def test_the_synthetic_step():
    assert moment(2) - moment(1) == STEP
