"""qmp: a small QMP client: commands with time-outs, events with QEMU's own time stamps."""

import json
import pathlib
import select
import socket
import time


class QmpError(Exception):
    """QEMU refused a command, hung up, or did not answer in time."""


class Qmp:
    """
    A connection to the QMP socket at @p path, capabilities negotiated.
    @param timeout_s  for the socket to appear and for each command, unless the command gives its own
    `events` holds every event seen, oldest first, as QEMU sent it plus "ns": its time stamp in ns of
    CLOCK_REALTIME of the kernel that runs QEMU.
    """

    def __init__(self, path, timeout_s=10):
        self.path = pathlib.Path(path)
        self.timeout_s = timeout_s
        self.events = []
        self._buffer = b""
        self._serial = 0
        self._socket = self._connect(time.monotonic() + timeout_s)
        if "QMP" not in self._read(time.monotonic() + timeout_s):
            raise QmpError(f"{path} is not a QMP socket")
        self.command("qmp_capabilities")

    def _connect(self, deadline):
        while True:
            attempt = socket.socket(socket.AF_UNIX)
            try:
                attempt.connect(str(self.path))
                return attempt
            except OSError as error:
                attempt.close()
                if time.monotonic() > deadline:
                    raise QmpError(f"{self.path}: {error.strerror}") from error
                time.sleep(0.05)

    def _read(self, deadline):
        """The next message; QmpError when none comes until @p deadline (monotonic)."""
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._socket], [], [], left)[0]:
                raise QmpError(f"{self.path}: no answer in time")
            try:
                data = self._socket.recv(65536)
            except OSError as error:
                raise QmpError(f"{self.path}: {error.strerror}") from error
            if not data:
                raise QmpError(f"{self.path}: QEMU closed the connection")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        message = json.loads(line)
        if "event" in message:
            stamp = message["timestamp"]
            message["ns"] = stamp["seconds"] * 10**9 + stamp["microseconds"] * 1000
            self.events.append(message)
        return message

    def command(self, name, timeout_s=None, **arguments):
        """
        Run command @p name; underscores in the names of @p arguments stand for dashes.
        Returns what it returned. Errors: QmpError, with QEMU's own words.
        """
        self._serial += 1
        request = {"execute": name, "id": self._serial}
        if arguments:
            request["arguments"] = {key.replace("_", "-"): value for key, value in arguments.items()}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise QmpError(f"{self.path}: {error.strerror}") from error
        deadline = time.monotonic() + (timeout_s or self.timeout_s)
        while True:
            message = self._read(deadline)
            if message.get("id") != self._serial:
                continue
            if "error" in message:
                raise QmpError(f"{name}: {message['error']['desc']}")
            return message["return"]

    def poll(self):
        """Take the events that have come. Never waits."""
        while b"\n" in self._buffer or select.select([self._socket], [], [], 0)[0]:
            self._read(time.monotonic() + self.timeout_s)

    def wait_event(self, name, timeout_s, since=0, **data):
        """
        The first event @p name from position @p since of `events` on, whose data has @p data.
        Errors: QmpError when it does not come within @p timeout_s.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            for event in self.events[since:]:
                if event["event"] == name and data.items() <= event.get("data", {}).items():
                    return event
            since = len(self.events)
            self._read(deadline)

    def event_ns(self, name):
        """Time of the last event @p name in ns of CLOCK_REALTIME, or None."""
        times = [event["ns"] for event in self.events if event["event"] == name]
        return times[-1] if times else None

    def close(self):
        """Hang up. Idempotent."""
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


TERMINAL = ("completed", "failed", "cancelled")


def migrate(source, destination, uri, timeout_s=120, capabilities=(), parameters=None, progress=None):
    """
    Move the VM from Qmp @p source to Qmp @p destination (started with -incoming @p uri), and wait until it runs there.
    @param capabilities  switched on at both ends
    @param parameters    migrate-set-parameters of the source
    @param progress      called with each query-migrate answer, about ten times a second
    @return  {"start_ns", "stop_ns", "resume_ns", "end_ns": CLOCK_REALTIME, "stats": the last query-migrate answer}
    Errors: QmpError when it fails; the source then still runs, if it can.
    """
    arm(source, destination, capabilities, parameters)
    begun, seen, arrived = time.time_ns(), len(source.events), len(destination.events)
    source.command("migrate", uri=uri)
    stats = wait_migration(source, timeout_s, progress)
    if stats["status"] != "completed":
        raise QmpError(f"migration {stats['status']}: {stats.get('error-desc', 'no reason given')}")
    resume = destination.wait_event("RESUME", timeout_s, since=arrived)
    stop = source.wait_event("STOP", timeout_s, since=seen)
    return {"start_ns": begun, "stop_ns": stop["ns"], "resume_ns": resume["ns"], "end_ns": time.time_ns(),
            "stats": stats}


def arm(source, destination, capabilities=(), parameters=None):
    """Set migration @p capabilities on both ends and @p parameters on the source."""
    if capabilities:
        states = [{"capability": name, "state": True} for name in capabilities]
        for end in (source, destination):
            end.command("migrate-set-capabilities", capabilities=states)
    if parameters:
        source.command("migrate-set-parameters", **parameters)


def wait_migration(source, timeout_s, progress=None):
    """Poll query-migrate of Qmp @p source until the migration ended. Returns the last answer. Errors: QmpError."""
    deadline = time.monotonic() + timeout_s
    while True:
        stats = source.command("query-migrate")
        if progress:
            progress(stats)
        if stats.get("status") in TERMINAL:
            return stats
        if time.monotonic() > deadline:
            raise QmpError(f"migration still {stats.get('status')} after {timeout_s} s")
        time.sleep(0.1)
