"""report: judges raw traffic and migration data by the strict rule, and writes build/reports/*.json and a table.

Pure functions over plain data: raw as traffic.load() gives it, migrations as qmp.migrate() returns them (times in ns of
CLOCK_REALTIME), guest snapshots as Agent.events() answers. A run is the slice of the traffic that belongs to one
migration; the slices of a traffic run touch, so that every number sent is judged once.
"""

import bisect
import dataclasses
import json
import pathlib

from .seen import guest_saw

SCHEMA = 1
MS = 10**6
LOSS_BEFORE_STOP_NS = 100 * MS
CLOCK_STEP_MAX_NS = 5 * MS
SETTLED_NS = 10**9


@dataclasses.dataclass(frozen=True)
class Limits:
    """
    What a run is held to. The defaults are the demo's. A test beside which other things run, or whose guest is all
    emulated, gives more time: nothing about loss elsewhere, order, content or the guest's view is ever given up.
    @param rate_min      numbered frames a second, each way
    @param slack_ms      after RESUME: how long frames may still be lost, and what a blackout may last beyond STOP to RESUME
    @param other_gap_ms  the same for silence without loss away from the stop
    """

    rate_min: int = 1000
    slack_ms: int = 500
    other_gap_ms: int = 2000


STRICT = Limits()
UNTIMED = Limits(rate_min=200, slack_ms=3000, other_gap_ms=5000)


def make_runs(raw, migrations, snapshots, mode="vnic", limits=STRICT):
    """
    One run of the report for each migration of one traffic run.
    @param migrations  qmp.migrate() results, oldest first, each with "from" and "to" (host names) added
    @param snapshots   (before, after) answers of Agent.events() for each migration, marked before
    Returns a list of dicts as demo.json's "runs" has them, with "reasons" when "result" is not "ok".
    """
    edges = _edges(raw, migrations)
    baseline = (edges[0] + SETTLED_NS, migrations[0]["start_ns"])
    runs = []
    for index, migration in enumerate(migrations):
        last = index == len(migrations) - 1
        piece = Slice(raw, edges[index], edges[index + 1], index == 0, last)
        runs.append(_make_run(piece, migration, snapshots[index], baseline, mode, limits))
    return runs


def _edges(raw, migrations):
    """Times at which the slices begin and end: half-way between two migrations."""
    sent = raw["sent_ns"]
    edges = [sent[0] if len(sent) else raw["peer"]["start_ns"]]
    for before, after in zip(migrations, migrations[1:]):
        edges.append((before["end_ns"] + after["start_ns"]) // 2)
    return edges + [sent[-1] if len(sent) else raw["peer"]["end_ns"]]


class Slice:
    """The traffic between two times. The first and the last slice also own what lies outside of them."""

    def __init__(self, raw, begin_ns, end_ns, first, last):
        self.peer, self.guest, self.sent = raw["peer"], raw["guest"], raw["sent_ns"]
        self.begin, self.end, self.first, self.last = begin_ns, end_ns, first, last
        columns = self.peer["samples"]["columns"]
        self.rows = [dict(zip(columns, row)) for row in self.peer["samples"]["rows"]]
        self.times = [row["t_ns"] for row in self.rows]

    def owns(self, when_ns):
        """Does what happened at @p when_ns belong to this slice?"""
        return (self.first or when_ns >= self.begin) and (self.last or when_ns < self.end)

    def at(self, when_ns, column):
        """Value of a sample column at @p when_ns: the newest that is not younger."""
        index = bisect.bisect_right(self.times, when_ns) - 1
        return self.rows[index][column] if index >= 0 else 0

    def counted(self, column, total):
        """How much a counter grew in this slice; @p total is its final value."""
        begin = 0 if self.first else self.at(self.begin, column)
        return (total if self.last else self.at(self.end, column)) - begin

    def longest_sample(self, columns, begin_ns, end_ns):
        """Longest gap (ns) that ended between two times, from the samples."""
        rows = [row for row in self.rows if begin_ns <= row["t_ns"] <= end_ns]
        return max((row[column] for row in rows for column in columns), default=0)

    def sent_at(self, seq):
        """When number @p seq was sent to the guest."""
        return self.sent[seq - 1] if 0 < seq <= len(self.sent) else self.end


def lost_to_guest(piece):
    """Numbers to the guest that never came: [(seq, sent_ns)] of this slice."""
    ranges = [(first, last) for first, last, *_ in piece.guest["missing"]]
    ranges.append((piece.guest["highest"] + 1, len(piece.sent)))
    return [(seq, piece.sent_at(seq)) for first, last in ranges for seq in range(first, last + 1)
            if piece.owns(piece.sent_at(seq))]


def lost_from_guest(piece):
    """Numbers from the guest that never came: [(count, before_ns, after_ns)], the arrivals around each hole."""
    holes = [(last - first + 1, before, after) for first, last, before, after in piece.peer["from_guest"]["missing"]]
    tail = piece.guest["sent"] - piece.peer["from_guest"]["highest"]
    if tail > 0:
        holes.append((tail, piece.times[-1] if piece.times else piece.end, piece.peer["end_ns"]))
    return [hole for hole in holes if piece.owns(hole[2])]


def _listed(piece, events, total, when):
    """How many of @p events belong to the slice; those that were counted but not listed go to the last one."""
    return sum(1 for event in events if piece.owns(when(event))) + (total - len(events) if piece.last else 0)


def to_guest(piece, window):
    """The frames towards the guest in this slice. @p window: (from, to) in which loss is allowed."""
    lost = lost_to_guest(piece)
    first, last = bisect.bisect_left(piece.sent, piece.begin), bisect.bisect_right(piece.sent, piece.end)
    sent = (len(piece.sent) if piece.last else last) - (0 if piece.first else first)
    seconds = (piece.end - piece.begin) / 1e9
    guest = piece.guest
    return {"rate": round(sent / seconds) if seconds > 0 else 0, "sent": sent, "lost": len(lost),
            "lost_outside_blackout": sum(1 for _, when in lost if not window[0] <= when <= window[1]),
            "duplicated": _listed(piece, guest["duplicates"], guest["duplicated"], lambda e: piece.sent_at(e[0])),
            "reordered": _listed(piece, guest["late"], guest["reordered"], lambda e: piece.sent_at(e[0])),
            "corrupt": piece.counted("to_corrupt", guest["corrupt"])}


def from_guest(piece, window, stopped_ns):
    """The frames from the guest in this slice; its rate is that of the time in which the guest ran."""
    lost = lost_from_guest(piece)
    peer = piece.peer["from_guest"]
    sent = piece.counted("from_highest", piece.guest["sent"])
    seconds = (piece.end - piece.begin - stopped_ns) / 1e9
    return {"rate": round(sent / seconds) if seconds > 0 else 0, "sent": sent, "lost": sum(hole[0] for hole in lost),
            "lost_outside_blackout": sum(count for count, before, after in lost
                                         if before < window[0] or after > window[1]),
            "duplicated": _listed(piece, peer["duplicates"], peer["duplicated"], lambda e: e[1]),
            "reordered": _listed(piece, peer["late"], peer["reordered"], lambda e: e[1]),
            "corrupt": piece.counted("from_corrupt", peer["corrupt"])}


def longest_gap(piece, direction, begin_ns, end_ns):
    """
    Longest interval (ns) without an arrival that overlaps two times, in one direction ("to" or "from"), and its end:
    (length, end_ns).
    """
    listed = piece.peer[f"{direction}_guest"]["gaps"]
    gaps = [(end - begin, end) for begin, end in listed if begin < end_ns and end > begin_ns]
    sampled = piece.longest_sample([f"{direction}_gap_ns"], begin_ns, end_ns)
    return max(gaps + [(sampled, end_ns)]) if not gaps else max(gaps)


def tcp(piece, migration):
    """The TCP stream around this migration."""
    peer, guest = piece.peer["tcp"], piece.guest["tcp"]
    if not peer or not guest:
        return {"alive": False, "bytes_before": 0, "bytes_after": 0, "digest_ok": False}
    stop, resume = migration["stop_ns"], migration["resume_ns"]
    moved = {}
    for name, column, total in (("to_guest", "tcp_guest_rx", guest["rx"]["bytes"]),
                                ("from_guest", "tcp_rx", peer["rx"]["bytes"])):
        begin = 0 if piece.first else piece.at(piece.begin, column)
        end = total if piece.last else piece.at(piece.end, column)
        moved[name] = {"bytes_before": piece.at(stop, column) - begin, "bytes_after": end - piece.at(resume, column)}
    ways = ((peer["tx"], guest["rx"]), (guest["tx"], peer["rx"]))
    same = all(a["bytes"] == b["bytes"] and a["digest"] == b["digest"] and a["ended"] and b["ended"] for a, b in ways)
    clean = peer["rx_bad_offset"] < 0 and guest["rx_bad_offset"] < 0
    whole = peer["connects"] == 1 and guest["connects"] == 1 and not peer["error"] and not guest["error"]
    return {"alive": whole and all(way["bytes_after"] > 0 for way in moved.values()),
            "bytes_before": sum(way["bytes_before"] for way in moved.values()),
            "bytes_after": sum(way["bytes_after"] for way in moved.values()),
            "digest_ok": same and clean, **moved}


def _ms(ns):
    return round(ns / MS, 1)


def _phases(migration, recovered_ns):
    """Phases of a migration in ms since its start."""
    start = migration["start_ns"]
    marks = [("pre-copy", start, migration["stop_ns"]), ("stopped", migration["stop_ns"], migration["resume_ns"]),
             ("recovery", migration["resume_ns"], max(recovered_ns, migration["resume_ns"]))]
    return [{"name": name, "start_ms": _ms(a - start), "end_ms": _ms(b - start)} for name, a, b in marks]


def _make_run(piece, migration, snapshots, baseline, mode, limits):
    stop, resume = migration["stop_ns"], migration["resume_ns"]
    window = (stop - LOSS_BEFORE_STOP_NS, resume + limits.slack_ms * MS)
    ways = ("to", "from")
    dark = {way: longest_gap(piece, way, *window) for way in ways}
    anywhere = max(longest_gap(piece, way, migration["start_ns"], piece.end)[0] for way in ways)
    events, announcements = guest_saw(*snapshots)
    run = {"mode": mode, "from": migration["from"], "to": migration["to"], "result": "ok",
           "downtime_ms": migration["stats"].get("downtime", 0), "total_ms": migration["stats"].get("total-time", 0),
           "stop_resume_ms": _ms(resume - stop), "blackout_ms": _ms(max(gap for gap, _ in dark.values())),
           "longest_gap_ms": _ms(anywhere),
           "baseline_gap_ms": _ms(piece.longest_sample(["from_gap_ns", "to_gap_ns"], *baseline)),
           "frames": {"to_guest": to_guest(piece, window), "from_guest": from_guest(piece, window, resume - stop)},
           "tcp": tcp(piece, migration), "guest_events": events, "guest_announcements": announcements,
           "phases": _phases(migration, max(end for gap, end in dark.values()))}
    run["reasons"] = reasons(run, piece.peer, piece.guest, limits)
    if run["reasons"]:
        run["result"] = "failed"
    return run


def reasons(run, peer, guest, limits=STRICT):
    """Why @p run is not "ok": one sentence each; empty when it is. @p peer, guest: the stations' raw results."""
    why = []
    for name, way in run["frames"].items():
        what = name.replace("_", " ")
        if way["rate"] < limits.rate_min:
            why.append(f"{what}: {way['rate']} frames a second, {limits.rate_min} are needed")
        if way["lost_outside_blackout"]:
            why.append(f"{what}: {way['lost_outside_blackout']} frames lost outside of the blackout")
        for kind in ("duplicated", "reordered", "corrupt"):
            if way[kind]:
                why.append(f"{what}: {way[kind]} frames {kind}")
    limit = run["stop_resume_ms"] + limits.slack_ms
    other = run["stop_resume_ms"] + limits.other_gap_ms
    if run["blackout_ms"] > limit:
        why.append(f"blackout {run['blackout_ms']} ms, {limit} ms are allowed")
    elif run["longest_gap_ms"] > other:
        why.append(f"a gap of {run['longest_gap_ms']} ms away from the stop, {other} ms are allowed")
    if not run["tcp"]["alive"]:
        why.append("the TCP stream did not go on after the migration")
    if not run["tcp"]["digest_ok"]:
        why.append("the TCP stream's digests differ")
    why += [f"the guest saw: {event}" for event in run["guest_events"]]
    return why + _measuring_faults(peer, guest)


def _measuring_faults(peer, guest):
    """Faults of the measurement itself, which make every other verdict worthless."""
    why = []
    if abs(peer["clock_step_ns"]) > CLOCK_STEP_MAX_NS:
        why.append(f"the peer's clock was stepped by {_ms(peer['clock_step_ns'])} ms")
    for name, drops in (("peer", peer["from_guest"]["socket_drops"]), ("guest", guest["socket_drops"])):
        if drops:
            why.append(f"the {name}'s station was too slow: its socket dropped {drops} frames")
    if guest["reopened"]:
        why.append(f"the guest's interface went away {guest['reopened']} times")
    return why


def document(machine, runs):
    """The report as demo.json holds it. @p machine: facts such as accel, cpus, dpdk, qemu."""
    return {"schema": SCHEMA, "machine": machine, "runs": runs}


def write(path, doc):
    """Write report @p doc to file @p path, making its directory."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(doc, indent=1) + "\n", encoding="utf-8")


def passed(doc):
    """Is there a run, and is every run "ok"?"""
    return bool(doc["runs"]) and all(run["result"] == "ok" for run in doc["runs"])


HEAD = ("mode", "move", "result", "stop-resume", "blackout", "baseline gap", "to guest", "from guest", "TCP",
        "guest saw")


def _cells(run):
    frames = run["frames"]
    counts = [f"{way['lost']}/{way['sent']} lost, {way['duplicated']} dup, {way['reordered']} late"
              for way in (frames["to_guest"], frames["from_guest"])]
    stream = "same bytes" if run["tcp"]["alive"] and run["tcp"]["digest_ok"] else "BROKEN"
    return (run["mode"], f"{run['from']} -> {run['to']}", run["result"], f"{run['stop_resume_ms']:.0f} ms",
            f"{run['blackout_ms']:.0f} ms", f"{run['baseline_gap_ms']:.0f} ms", *counts, stream,
            f"{len(run['guest_events'])} events" if run["guest_events"] else "nothing")


def table(doc):
    """The report as text: a table, and below it each reason of a run that is not ok."""
    rows = [HEAD] + [_cells(run) for run in doc["runs"]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    for run in doc["runs"]:
        lines += [f"{run['from']} -> {run['to']}: {why}" for why in run["reasons"]]
    return "\n".join(lines)
