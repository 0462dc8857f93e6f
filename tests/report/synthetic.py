"""Makes raw traffic data as the stations would: 30 s at 1,500 frames a second each way, two good migrations."""

import array
import copy
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lab"))

MS = 10**6
S = 10**9
BEGIN = 1_800_000_000 * S
RATE = 1500
STEP = S // RATE
SECONDS = 30
COUNT = RATE * SECONDS
STOPS = ((10 * S, 10 * S + 300 * MS), (20 * S, 20 * S + 200 * MS))
COLUMNS = ["t_ns", "sent", "from_distinct", "from_highest", "from_duplicated", "from_reordered", "from_corrupt",
           "to_received", "to_highest", "to_duplicated", "to_reordered", "to_corrupt", "tcp_tx", "tcp_rx",
           "tcp_guest_rx", "from_gap_ns", "to_gap_ns", "to_lag_ns"]


def moment(seq):
    """When number @p seq is sent, in either direction."""
    return BEGIN + (seq - 1) * STEP


def _row(index):
    when = BEGIN + index * 100 * MS
    seq = min(COUNT, (when - BEGIN) // STEP + 1)
    tcp = index * 500_000
    row = dict.fromkeys(COLUMNS, 0)
    row |= {"t_ns": when, "sent": seq, "from_distinct": seq, "from_highest": seq, "to_received": seq,
            "to_highest": seq, "tcp_tx": tcp, "tcp_rx": tcp, "tcp_guest_rx": tcp, "from_gap_ns": 3 * MS,
            "to_gap_ns": 4 * MS}
    return [row[column] for column in COLUMNS]


def raw():
    """Traffic in which exactly the frames between each STOP and RESUME are lost."""
    total = SECONDS * 5_000_000
    end = {"bytes": total, "digest": "00000000deadbeef", "ended": True}
    stream = {"connects": 1, "error": "", "rx_bad_offset": -1, "tx": end, "rx": end}
    to_missing, from_missing, gaps = [], [], []
    for stop, resume in STOPS:
        first, last = stop // STEP + 2, resume // STEP
        to_missing.append([first, last, 0, 0])
        from_missing.append([first, last, moment(first - 1), moment(last + 1)])
        gaps.append([moment(first - 1), moment(last + 1)])
    peer = {"schema": 1, "role": "peer", "start_ns": BEGIN, "end_ns": BEGIN + (SECONDS + 1) * S, "clock_step_ns": -20,
            "to_guest": {"sent": COUNT, "gaps": gaps},
            "from_guest": {"received": COUNT, "highest": COUNT, "corrupt": 0, "socket_drops": 0, "duplicated": 0,
                           "reordered": 0, "missing": from_missing, "duplicates": [], "late": [], "gaps": gaps},
            "tcp": stream, "samples": {"columns": COLUMNS, "rows": [_row(i) for i in range(SECONDS * 10 + 10)]}}
    guest = {"role": "guest", "sent": COUNT, "received": COUNT, "highest": COUNT, "corrupt": 0, "socket_drops": 0,
             "reopened": 0, "duplicated": 0, "reordered": 0, "missing": to_missing, "duplicates": [], "late": [],
             "tcp": stream}
    sent = array.array("Q", (moment(seq) for seq in range(1, COUNT + 1)))
    return {"peer": copy.deepcopy(peer), "guest": copy.deepcopy(guest), "sent_ns": sent}


def migrations():
    """The two migrations that go with raw()."""
    return [{"from": a, "to": b, "start_ns": BEGIN + stop - 2 * S, "stop_ns": BEGIN + stop,
             "resume_ns": BEGIN + resume, "end_ns": BEGIN + resume + S, "stats": {"downtime": 280, "total-time": 2300}}
            for (a, b), (stop, resume) in zip((("A", "B"), ("B", "A")), STOPS)]


def snapshot():
    """What the agent answers in a guest that saw nothing."""
    return {"boot_id": "1-2-3", "carrier_changes": {"eth0": 2}, "link_events": [], "kernel_log": [], "dropped": 0}
