"""The same thing done very often to one godwitd: nothing that it holds may grow."""

import json
import os
import socket
import time
from dataclasses import dataclass

from . import checks, proc

# What a process may take more after thousands of rounds: malloc's own wandering, measured at 0 to 60 KiB. A leak
# of 32 bytes a round is 320 KiB in 10,000 rounds.
SLACK_KIB = 128


@dataclass(frozen=True)
class Size:
    """What a godwitd holds at one moment."""

    own_kib: int
    descriptors: int
    threads: int
    mappings: int

    @classmethod
    def of(cls, pid):
        return cls(proc.own_kib(pid), proc.descriptors(pid), len(proc.threads(pid)), proc.mappings(pid))

    def __str__(self):
        return (f"{self.own_kib} KiB, {self.descriptors} descriptors, {self.threads} threads, "
                f"{self.mappings} mappings")


def settled(pid, timeout=3.0):
    """Its Size once descriptors and mappings have stood still for 100 ms: a connection's end is not instant."""
    deadline = time.monotonic() + timeout
    last = None
    while time.monotonic() < deadline:
        now = Size.of(pid)
        if last and (now.descriptors, now.mappings) == (last.descriptors, last.mappings):
            return now
        last = now
        time.sleep(0.1)
    return last


def grown(before, after, slack_kib=SLACK_KIB):
    """One sentence for each thing that grew from Size @p before to @p after; empty when all stood still."""
    found = []
    if after.own_kib > before.own_kib + slack_kib:
        found.append(f"memory from {before.own_kib} to {after.own_kib} KiB")
    for what in ("descriptors", "threads", "mappings"):
        if getattr(after, what) > getattr(before, what):
            found.append(f"{what} from {getattr(before, what)} to {getattr(after, what)}")
    return found


def watch(pid, rounds, act, warm_up, each=None, slack_kib=SLACK_KIB):
    """
    Call act() @p rounds times after @p warm_up times that do not count. @p each(round, Size) is told now and then.
    Returns (Size before, Size after, what grew).
    """
    for _ in range(warm_up):
        act()
    before = settled(pid)
    for i in range(rounds):
        act()
        if each and (i + 1) % max(rounds // 10, 1) == 0:
            each(i + 1, Size.of(pid))
    after = settled(pid)
    return before, after, grown(before, after, slack_kib)


def come_and_go(socket_path):
    """A front-end connects, starts both rings on memory of its own, and hangs up."""
    with checks.connect(socket_path) as fe:
        fe.start()


class Control:
    """A client of the control socket beside @p socket_path: JSON-RPC 2.0, one object a line."""

    def __init__(self, socket_path, timeout=30.0):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(self.path(socket_path))
        self.lines = self.sock.makefile("r", encoding="utf-8")
        self.id = 0

    @staticmethod
    def path(socket_path):
        return os.path.join(os.path.dirname(socket_path), "control.sock")

    def call(self, method, **params):
        """The result of @p method; AssertionError with the error's message. Events between are passed over."""
        self.id += 1
        ask = {"jsonrpc": "2.0", "id": self.id, "method": method, "params": params}
        self.sock.sendall(json.dumps(ask).encode() + b"\n")
        while True:
            line = self.lines.readline()
            assert line, f"the control socket closed on {method}"
            reply = json.loads(line)
            if reply.get("id") == self.id:
                assert "error" not in reply, f"{method}: {reply['error']}"
                return reply.get("result")

    def close(self):
        self.lines.close()
        self.sock.close()
