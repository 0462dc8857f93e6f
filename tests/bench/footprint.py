#!/usr/bin/python3
"""What godwitd costs while it waits: memory, threads, descriptors, start-up time, for 1 and for 16 processes.

Usage: tests/bench/footprint.py [--device DEVARGS] [--count N[,N...]] [--memory MIB] [--json FILE]

Every count is measured on ordinary pages, and on huge pages of 2 MiB where enough are free. All processes of a run
start at the same moment. The device is net_null0 unless named: what a real card's driver takes comes on top.
Times start before fork(). "serves": the log line; "answers": a front-end that knocked from the beginning has its
first reply. Figures go to build/reports/footprint.json.
"""

import argparse
import contextlib
import ctypes
import json
import os
import pathlib
import platform
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/wire"))
os.environ.setdefault("GODWITD", str(ROOT / "build/src/daemon/godwitd"))

from lib import messages, proc  # noqa: E402  (the path above has to come first)
from lib.process import BINARY, spawn  # noqa: E402

HUGE = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
HUGE_MIB = 2
CLONE_NEWNS = 0x00020000
MEMORY_MIB = 16  # of huge pages: godwitd's --memory, unless it is given
START_TIMEOUT_S = 60
SETTLE_S = 0.5


def say(text):
    print(text, file=sys.stderr, flush=True)


def huge_free_mib():
    """MiB of huge pages that are free and promised to nobody."""
    def count(name):
        return int((HUGE / name).read_text(encoding="ascii"))
    if not HUGE.is_dir():
        return 0
    return (count("free_hugepages") - count("resv_hugepages")) * HUGE_MIB


def own_mounts():
    """Mounts of this process stay its own, and go with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS):
        sys.exit(f"footprint: {os.strerror(ctypes.get_errno())}: run it as root")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


@contextlib.contextmanager
def hidden(directory):
    """What @p directory holds is not seen within: no huge pages, though the machine has some."""
    if not directory.is_dir():
        yield
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", directory], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", directory], check=True)


class Starting:
    """One godwitd from exec to its first answer."""

    def __init__(self, directory, device, more):
        self.socket_path = f"{directory}/vhost.sock"
        self.serves_ms = self.answers_ms = None
        self.pages = ""
        self.log = b""
        self.knock = None
        self.began = time.monotonic()
        self.proc = spawn(["--name", os.path.basename(directory), "--device", device, "--socket-path",
                           self.socket_path, "--group", "root", *more], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, bufsize=0)

    def _passed_ms(self):
        return round((time.monotonic() - self.began) * 1000, 1)

    def try_knock(self, selector):
        """Connect as soon as there is a socket, and ask for the features."""
        knock = socket.socket(socket.AF_UNIX)
        try:
            knock.connect(self.socket_path)
        except OSError:
            knock.close()
            return
        knock.sendall(messages.HEADER.pack(messages.GET_FEATURES, messages.VERSION, 0))
        selector.register(knock, selectors.EVENT_READ, self.answered)
        self.knock = knock

    def answered(self, selector):
        if not self.knock.recv(64):
            raise RuntimeError(f"godwitd closed the connection:\n{self.log.decode(errors='replace')}")
        self.answers_ms = self._passed_ms()
        selector.unregister(self.knock)
        self.knock.close()

    def said(self, selector):
        more = os.read(self.proc.stderr.fileno(), 65536)
        if not more:
            raise RuntimeError(f"godwitd ended while it started:\n{self.log.decode(errors='replace')}")
        self.log += more
        if self.serves_ms is None and b" serves " in self.log:
            self.serves_ms = self._passed_ms()
            self.pages = "huge" if b"huge pages" in self.log else "ordinary"

    def facts(self):
        pid = self.proc.pid
        return {"serves_ms": self.serves_ms, "answers_ms": self.answers_ms, "cpu_ms": proc.cpu_ms(pid),
                "memory": proc.memory(pid), "private_by_kind_kib": proc.private_by_kind(pid),
                "threads": proc.threads(pid), "descriptors": proc.descriptors(pid), "mappings": proc.mappings(pid)}

    def end(self):
        self.proc.terminate()
        try:
            self.proc.wait(10)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
        self.proc.stderr.close()


def start_all(starting, selector):
    """Watch until every process has answered. Errors: RuntimeError."""
    for each in starting:
        selector.register(each.proc.stderr, selectors.EVENT_READ, each.said)
    deadline = time.monotonic() + START_TIMEOUT_S
    while any(each.answers_ms is None or each.serves_ms is None for each in starting):
        for each in starting:
            if each.knock is None:
                each.try_knock(selector)
        for key, _ in selector.select(0.002):
            key.data(selector)
        if time.monotonic() > deadline:
            raise RuntimeError(f"no answer within {START_TIMEOUT_S} s")


def measure(count, device, more):
    """Start @p count processes together; returns what each of them costs."""
    place, starting = tempfile.mkdtemp(prefix="godwit-footprint-"), []
    try:
        with selectors.DefaultSelector() as selector:
            for i in range(count):
                directory = f"{place}/n{i}"
                os.mkdir(directory)
                starting.append(Starting(directory, device, more))
            start_all(starting, selector)
        time.sleep(SETTLE_S)
        return [each.facts() for each in starting], starting[0].pages
    finally:
        for each in starting:
            each.end()
        shutil.rmtree(place, ignore_errors=True)


def summary(facts):
    """Medians of the processes of one run, and the sum of what they take from the machine."""
    def middle(get):
        return round(statistics.median(get(each) for each in facts), 1)
    keys = facts[0]["memory"]
    return {"median": {**{key: middle(lambda f, k=key: f["memory"][k]) for key in keys},
                       **{key: middle(lambda f, k=key: f[k]) for key in ("serves_ms", "answers_ms", "cpu_ms",
                                                                         "descriptors", "mappings")},
                       "threads": middle(lambda f: len(f["threads"]))},
            "last_answers_ms": max(f["answers_ms"] for f in facts),
            "all_pss_kib": sum(f["memory"]["pss_kib"] for f in facts),
            "all_huge_kib": sum(f["memory"]["huge_kib"] for f in facts)}


def machine():
    with open("/proc/meminfo", encoding="ascii") as file:
        total = next(int(line.split()[1]) for line in file if line.startswith("MemTotal"))
    version = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    dpdk = subprocess.run(["pkg-config", "--modversion", "libdpdk"], capture_output=True, text=True, check=False)
    return {"kernel": platform.release(), "cpus": os.cpu_count(), "memory_kib": total, "godwitd": version,
            "dpdk": dpdk.stdout.strip(), "huge_pages_free_mib": huge_free_mib(),
            "load_before": round(os.getloadavg()[0], 2)}


def plan(counts, memory_mib):
    """Yield (count, pages, why it cannot be) for all runs."""
    free = huge_free_mib()
    for count in counts:
        yield count, "ordinary", None
        need = count * memory_mib
        short = f"{need} MiB of huge pages are needed and {free} MiB are free" if free < need else None
        yield count, "huge", short


def show(runs):
    head = ("processes", "pages", "RSS", "PSS", "private", "huge", "locked", "threads", "fds", "serves", "answers",
            "cpu")
    print(" ".join(f"{word:>9}" for word in head))
    print(" ".join(f"{word:>9}" for word in ("", "", *["MiB"] * 5, "", "", *["ms"] * 3)))
    for run in runs:
        if "skipped" in run:
            print(f"{run['processes']:>9} {run['pages']:>9}  skipped: {run['skipped']}")
            continue
        m = run["median"]
        cells = [f"{m[k] / 1024:.1f}" for k in ("rss_kib", "pss_kib", "private_kib", "huge_kib", "locked_kib")]
        cells += [f"{m[k]:.0f}" for k in ("threads", "descriptors", "serves_ms", "answers_ms", "cpu_ms")]
        print(" ".join(f"{cell:>9}" for cell in (run["processes"], run["pages"], *cells)))
    print("Medians over the processes of a run. What is private, by kind (first process of the first run):")
    for what, kib in runs[0]["each"][0]["private_by_kind_kib"].items():
        print(f"  {kib / 1024:8.1f} MiB  {what}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="net_null0")
    parser.add_argument("--count", default="1,16", type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--memory", type=int, help="godwitd's --memory")
    parser.add_argument("--json", default=str(ROOT / "build/reports/footprint.json"))
    asked = parser.parse_args()
    own_mounts()
    more = ["--memory", str(asked.memory)] if asked.memory else []
    report = {"schema": 1, "machine": machine(), "device": asked.device, "runs": []}
    for count, pages, short in plan(asked.count, asked.memory or MEMORY_MIB):
        run = {"processes": count, "pages": pages}
        report["runs"].append(run)
        say(f"footprint: {count} with {pages} pages: {'skipped' if short else 'starting'}")
        if short:
            run["skipped"] = short
            continue
        with hidden(HUGE.parent) if pages == "ordinary" else contextlib.nullcontext():
            each, got = measure(count, asked.device, more)
        run.update(summary(each), each=each)
        if got != pages:
            run["pages"] = got
    pathlib.Path(asked.json).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(asked.json).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    show(report["runs"])
    print(f"written to {asked.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
