"""A front-end that listens, as QEMU with server=on does: it waits for godwitd to connect."""

import os
import select
import socket

from .frontend import FrontEnd

# Twice the longest pause between two attempts, and slack for a sanitizer build on a busy machine.
ACCEPT_TIMEOUT_S = 15


class Listener:
    """A listening Unix socket at @p path, gone with close()."""

    def __init__(self, path):
        self.path = str(path)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.bind(self.path)
        self.sock.listen(1)

    def close(self):
        if self.sock is not None:
            self.sock.close()
            os.unlink(self.path)
        self.sock = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def pending(self, timeout=0):
        return bool(select.select([self.sock], [], [], timeout)[0])

    def accept_socket(self, timeout=ACCEPT_TIMEOUT_S):
        assert self.pending(timeout), "godwitd did not connect"
        return self.sock.accept()[0]

    def accept(self, timeout=ACCEPT_TIMEOUT_S, **how):
        """A FrontEnd on the next connection."""
        return FrontEnd(None, sock=self.accept_socket(timeout), **how)
