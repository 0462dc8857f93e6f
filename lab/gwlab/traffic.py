"""traffic: numbered frames and a TCP stream between the guest and the peer, from start to raw result."""

import array
import json
import pathlib
import signal
import subprocess
import sys
import time

from .guest import Agent, AgentError

STOP_TIMEOUT_S = 60


class TrafficError(Exception):
    """The traffic cannot be started, or its result cannot be had."""


class Traffic:
    """
    One run of traffic.
    @param spawn       callable(*command, log=PATH) -> Popen, which starts a program where the peer is
    @param binary      gwtraffic on this machine
    @param out         directory for peer.json, peer.json.sent, peer.log, guest.json
    @param peer_iface  the peer's interface and @p peer_mac its address
    @param guest_ip    where the peer's TCP stream connects to
    @param rate        numbered frames a second each way
    @param tcp_mbit    the TCP stream's rate each way; 0: none
    @param tick_us     how often the stations wake up: a longer tick means bursts, fewer interrupts and exits, and times
                       to that grain (arrivals at the peer are stamped by its kernel all the same)
    """

    runs = 0

    def __init__(self, spawn, binary, out, *, peer_iface, peer_mac, guest_mac, guest_ip, guest_iface="eth0",
                 rate=1500, tcp_mbit=50, tick_us=1000):
        Traffic.runs += 1
        self.run = (time.time_ns() // 10**6 + Traffic.runs) % 2**31 + 1
        self.spawn = spawn
        self.out = pathlib.Path(out)
        self.out.mkdir(parents=True, exist_ok=True)
        tcp = ["--tcp-mbit", tcp_mbit, "--tcp-port", 7001]
        common = ["--run", self.run, "--rate", rate, "--tick-us", tick_us]
        self._guest = " ".join(str(word) for word in common + tcp + ["--iface", guest_iface, "--peer-mac", peer_mac])
        self._peer = [str(word) for word in [binary, "peer"] + common + tcp +
                      ["--iface", peer_iface, "--guest-mac", guest_mac, "--tcp-to", guest_ip,
                       "--out", self.out / "peer.json"]]
        self.process = None

    def start(self, agent):
        """Start both stations; Agent @p agent speaks to the guest. Errors: AgentError, TrafficError."""
        agent.tell(f"start {self._guest}")
        self.process = self.spawn(*self._peer, log=self.out / "peer.log")
        time.sleep(0.2)
        if self.process.poll() is not None:
            raise TrafficError(f"the peer's station ended at once: read {self.out / 'peer.log'}")

    def progress(self):
        """The peer's newest progress line as a dict, at most a second old; None before the first."""
        lines = (self.out / "peer.log").read_text(encoding="utf-8", errors="replace").splitlines()
        for line in reversed(lines):
            if line.startswith("{") and line.endswith("}"):
                return json.loads(line)
        return None

    def wait_both_ways(self, timeout_s=15):
        """Wait until frames pass both ways, and TCP if it is wanted. Errors: TrafficError."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            now = self.progress()
            tcp_waits = "--tcp-mbit 0 " not in self._guest + " " and now and not all(now["tcp"].values())
            if now and now["to_guest"]["received"] and now["from_guest"]["received"] and not tcp_waits:
                return
            time.sleep(0.1)
        raise TrafficError(f"no traffic both ways after {timeout_s} s: {self.progress()}")

    def stop(self, agent):
        """
        End the run: the guest falls silent, the peer drains and writes, the guest reports.
        Returns the raw result for report.py. Errors: AgentError, TrafficError.
        """
        agent.tell("quiet")
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise TrafficError("the peer's station does not end") from error
        if status != 0:
            raise TrafficError(f"the peer's station failed: read {self.out / 'peer.log'}")
        guest = agent.tell("report", timeout_s=30)["result"]
        (self.out / "guest.json").write_text(json.dumps(guest) + "\n", encoding="utf-8")
        return load(self.out)

    def close(self):
        """End the peer's station whatever it does. Idempotent."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def load(out):
    """
    The raw result in directory @p out: {"peer": peer.json, "guest": guest.json, "sent_ns": sending times of the frames
    to the guest, ns of CLOCK_REALTIME, number 1 at index 0}.
    """
    out = pathlib.Path(out)
    sent = array.array("Q")
    sent.frombytes((out / "peer.json.sent").read_bytes())
    if sys.byteorder == "big":
        sent.byteswap()
    return {"peer": json.loads((out / "peer.json").read_text(encoding="utf-8")),
            "guest": json.loads((out / "guest.json").read_text(encoding="utf-8")), "sent_ns": sent}


__all__ = ["Agent", "AgentError", "Traffic", "TrafficError", "load"]
