"""A control client that is no more than a socket and JSON: what the client library is held against."""

import json
import os
import socket
import time
from contextlib import contextmanager

from . import process

NOBODY = 65534


class RpcError(Exception):
    """godwitd answered with an error."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.code = error["code"]
        self.data = error.get("data", {})


class Control:
    """One connection to a control socket."""

    def __init__(self, path, timeout=10):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(path))  # before there is a timeout: with one, a full backlog is an error
        self.sock.settimeout(timeout)
        self.file = self.sock.makefile("rb")
        self.last = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.sock.close()

    def send(self, text):
        """Send @p text (or bytes) as one line."""
        self.sock.sendall((text.encode() if isinstance(text, str) else text) + b"\n")

    def read(self):
        """The next message; None when godwitd has closed the connection."""
        try:
            line = self.file.readline()
        except ConnectionResetError:
            return None
        assert line == b"" or line.endswith(b"\n"), line[-100:]
        return json.loads(line) if line else None

    def say(self, text):
        """Send @p text as one line, and read one message."""
        self.send(text)
        return self.read()

    def call(self, method, **params):
        """The result of @p method. Raises RpcError."""
        self.last += 1
        request = {"jsonrpc": "2.0", "id": self.last, "method": method}
        if params:
            request["params"] = params
        answer = self.say(json.dumps(request))
        assert answer["jsonrpc"] == "2.0" and answer["id"] == self.last, answer
        if "error" in answer:
            raise RpcError(answer["error"])
        return answer["result"]

    def event(self, name):
        """The next event called @p name; others are passed over."""
        while True:
            message = self.read()
            assert message is not None, f"closed before the event {name}"
            if message.get("method") == "event" and message["params"]["event"] == name:
                assert "id" not in message
                return message["params"]

    def closed(self, timeout=5):
        """True when godwitd closes the connection in time; what it says before is thrown away."""
        deadline = time.monotonic() + timeout
        self.sock.settimeout(timeout)
        try:
            while self.sock.recv(65536):
                if time.monotonic() > deadline:
                    return False
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        return True


def wait_for(path, timeout=process.START_TIMEOUT_S):
    """Wait until something listens at @p path, and answers: DPDK has started then."""
    deadline = time.monotonic() + timeout
    while not process.listening(path):
        assert time.monotonic() < deadline, f"nothing listens at {path}"
        time.sleep(0.02)
    with Control(path, timeout) as c:
        assert c.call("ping") == "pong"


@contextmanager
def somebody_else(uid=NOBODY):
    """
    Within it this process is another user, as far as sockets and files are concerned. SO_PEERCRED shows the
    user of the moment of connect().
    """
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
