#!/usr/bin/python3
"""Does godwitd grow? 10,000 connections and 1,000 detach-attach rounds to one process each; exit status 1 when it does.

Usage: tests/bench/growth.py [--connections N] [--attaches N] [--device DEVARGS]

A connection is a front-end that starts both rings on memory of its own and hangs up. Figures go to
build/reports/growth.json. The first tenth of the rounds is warm-up. The device is net_af_packet on a veth pair in a
network namespace of its own, unless named (net_null of DPDK 22.11 loses 384 bytes each time it is closed).
"""

import argparse
import ctypes
import json
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/wire"))
os.environ.setdefault("GODWITD", str(ROOT / "build/src/daemon/godwitd"))

from lib import growth  # noqa: E402  (the path above has to come first)
from lib.process import Godwitd  # noqa: E402
from lib.wire import veth  # noqa: E402

CLONE_NEWNET = 0x40000000
NEAR, FAR = "gwv0", "gwv1"

REPORT = ROOT / "build/reports/growth.json"


def say(text):
    print(f"growth: {text}", file=sys.stderr, flush=True)


def own_network():
    """A network that nobody else sees, with a veth pair."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        sys.exit(f"growth: {os.strerror(ctypes.get_errno())}: run it as root")
    veth(NEAR, FAR)


def one(name, daemon, rounds, act):
    """Run one story; returns its entry of the report."""
    began = time.monotonic()
    before, after, what = growth.watch(daemon.pid, rounds, act, rounds // 10,
                                       lambda i, size: say(f"{name}: {i} of {rounds}: {size}"))
    seconds = time.monotonic() - began
    print(f"{'GREW' if what else 'flat'}  {name}, {rounds} rounds in {seconds:.0f} s: {before}; after: {after}")
    return {"name": name, "rounds": rounds, "seconds": round(seconds, 1), "before": vars(before),
            "after": vars(after), "grown": what}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=10000)
    parser.add_argument("--attaches", type=int, default=1000)
    parser.add_argument("--device", default=f"net_af_packet0,iface={NEAR}")
    asked = parser.parse_args()
    own_network()
    found = []
    daemon = Godwitd(asked.device, "--group", "root")
    found.append(one("connections", daemon, asked.connections, lambda: growth.come_and_go(daemon.socket)))
    daemon.stop()
    daemon = Godwitd(asked.device, "--group", "root")
    control = growth.Control(daemon.socket)

    def there_and_back():
        control.call("detach")
        control.call("attach", device=asked.device)

    found.append(one("attaches", daemon, asked.attaches, there_and_back))
    control.close()
    daemon.stop()
    failed = sum(bool(each["grown"]) for each in found)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps({"schema": 1, "stories": found}, indent=1) + "\n", encoding="utf-8")
    for each in found:
        for what in each["grown"]:
            print(f"  {each['name']}: {what}")
    print(f"{len(found) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
