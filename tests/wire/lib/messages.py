"""vhost-user messages: numbers, layouts, and one connection that can also send them wrong."""

import array
import os
import random
import select
import socket
import struct
import time

GET_FEATURES = 1
SET_FEATURES = 2
SET_OWNER = 3
RESET_OWNER = 4
SET_MEM_TABLE = 5
SET_LOG_BASE = 6
SET_LOG_FD = 7
SET_VRING_NUM = 8
SET_VRING_ADDR = 9
SET_VRING_BASE = 10
GET_VRING_BASE = 11
SET_VRING_KICK = 12
SET_VRING_CALL = 13
SET_VRING_ERR = 14
GET_PROTOCOL_FEATURES = 15
SET_PROTOCOL_FEATURES = 16
GET_QUEUE_NUM = 17
SET_VRING_ENABLE = 18
SEND_RARP = 19
NET_SET_MTU = 20
SET_BACKEND_REQ_FD = 21
IOTLB_MSG = 22
SET_VRING_ENDIAN = 23
GET_CONFIG = 24
SET_CONFIG = 25
CREATE_CRYPTO_SESSION = 26
CLOSE_CRYPTO_SESSION = 27
POSTCOPY_ADVISE = 28
POSTCOPY_LISTEN = 29
POSTCOPY_END = 30
GET_INFLIGHT_FD = 31
SET_INFLIGHT_FD = 32
GPU_SET_SOCKET = 33
RESET_DEVICE = 34
VRING_KICK = 35
GET_MAX_MEM_SLOTS = 36
ADD_MEM_REG = 37
REM_MEM_REG = 38
SET_STATUS = 39
GET_STATUS = 40
GET_SHARED_OBJECT = 41
SET_DEVICE_STATE_FD = 42
CHECK_DEVICE_STATE = 43
GET_SHMEM_CONFIG = 44
GET_VRING_BASE_SKIP_DRAIN = 45

VERSION = 0x1
REPLY = 0x4
NEED_REPLY = 0x8

NOFD = 0x100

# Virtio and vhost feature bits
NET_F_CSUM = 1 << 0
NET_F_GUEST_CSUM = 1 << 1
NET_F_MTU = 1 << 3
NET_F_HOST_TSO4 = 1 << 11
NET_F_HOST_TSO6 = 1 << 12
NET_F_HOST_ECN = 1 << 13
NET_F_MRG_RXBUF = 1 << 15
NET_F_GUEST_ANNOUNCE = 1 << 21
F_LOG_ALL = 1 << 26
F_ANY_LAYOUT = 1 << 27
F_INDIRECT = 1 << 28
F_EVENT_IDX = 1 << 29
F_PROTOCOL_FEATURES = 1 << 30
F_VERSION_1 = 1 << 32
F_ACCESS_PLATFORM = 1 << 33
F_RING_PACKED = 1 << 34
F_IN_ORDER = 1 << 35

PF_MQ = 1 << 0
PF_LOG_SHMFD = 1 << 1
PF_RARP = 1 << 2
PF_REPLY_ACK = 1 << 3
PF_MTU = 1 << 4
PF_INFLIGHT_SHMFD = 1 << 12
PF_RESET_DEVICE = 1 << 13
PF_INBAND_NOTIFICATIONS = 1 << 14
PF_CONFIGURE_MEM_SLOTS = 1 << 15
PF_STATUS = 1 << 16

VRING_F_LOG = 1

HEADER = struct.Struct("=III")
U64 = struct.Struct("=Q")
STATE = struct.Struct("=II")
ADDR = struct.Struct("=IIQQQQ")
REGION = struct.Struct("=QQQQ")
MEM_HEAD = struct.Struct("=II")
MEM_REG = struct.Struct("=QQQQQ")
LOG = struct.Struct("=QQ")
INFLIGHT = struct.Struct("=QQHH")
# Status bits, virtio 1.2, 2.1
ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, FAILED = 1, 2, 4, 8, 128

# A reply that takes longer than this is a hang. Generous: the suite also runs under ASan beside other work.
REPLY_TIMEOUT_S = 10.0


class Closed(Exception):
    """The back-end closed the connection."""


class NoReply(Exception):
    """The back-end said nothing within the time it had."""


def mem_table(regions, count=None):
    """Payload of SET_MEM_TABLE for (gpa, size, uva, mmap_offset) tuples; @p count lies about their number."""
    head = MEM_HEAD.pack(len(regions) if count is None else count, 0)
    return head + b"".join(REGION.pack(*r) for r in regions)


def mem_reg(region, padding=0):
    """Payload of ADD_MEM_REG and REM_MEM_REG for one (gpa, size, uva, mmap_offset)."""
    return MEM_REG.pack(padding, *region)


class Connection:
    """One vhost-user connection, the front-end's end of it. Owns its socket."""

    def __init__(self, path=None, sock=None):
        if sock is None:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.connect(path)
        self.sock = sock

    def close(self):
        self.sock.close()

    def send_raw(self, data, fds=()):
        """Send bytes as they are, with @p fds attached. Raises Closed when the other end is gone."""
        anc = []
        if fds:
            anc = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        try:
            sent = self.sock.sendmsg([data], anc)
            while sent < len(data):
                sent += self.sock.send(data[sent:])
        except (BrokenPipeError, ConnectionResetError) as err:
            raise Closed from err

    def send(self, request, payload=b"", fds=(), flags=VERSION, size=None):
        """Send one message; @p flags and @p size may lie."""
        size = len(payload) if size is None else size
        self.send_raw(HEADER.pack(request, flags, size) + payload, fds)

    def _read(self, count, deadline):
        data = b""
        while len(data) < count:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                raise NoReply
            try:
                piece = self.sock.recv(count - len(data))
            except ConnectionResetError as err:
                raise Closed from err
            if not piece:
                raise Closed
            data += piece
        return data

    def receive(self, timeout=REPLY_TIMEOUT_S):
        """Return (request, flags, payload) of the next message from the back-end."""
        deadline = time.monotonic() + timeout
        request, flags, size = HEADER.unpack(self._read(HEADER.size, deadline))
        assert size <= 4096, f"reply of {size} bytes"
        return request, flags, self._read(size, deadline)

    def ask(self, request, payload=b"", fds=(), flags=VERSION):
        """Send, and return the payload of the reply, which must be well formed."""
        self.send(request, payload, fds, flags)
        got, rflags, body = self.receive()
        assert got == request, f"reply {got} to request {request}"
        assert rflags & 0x3 == VERSION and rflags & REPLY, f"reply flags {rflags:#x}"
        return body

    def ask_u64(self, request, payload=b"", fds=(), flags=VERSION):
        body = self.ask(request, payload, fds, flags)
        assert len(body) == 8, f"reply to {request} has {len(body)} bytes"
        return U64.unpack(body)[0]

    def ask_fd(self, request, payload=b""):
        """Send, and return (payload, descriptor) of a reply that brings one; the descriptor is the caller's."""
        self.send(request, payload)
        if not select.select([self.sock], [], [], REPLY_TIMEOUT_S)[0]:
            raise NoReply
        data, anc, _, _ = self.sock.recvmsg(4096, socket.CMSG_SPACE(16))
        if not data:
            raise Closed
        fds = array.array("i")
        for level, kind, body in anc:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(body[: len(body) - len(body) % fds.itemsize])
        got, rflags, size = HEADER.unpack(data[:12])
        assert got == request and rflags == VERSION | REPLY and len(data) == 12 + size
        assert len(fds) == 1, f"{len(fds)} descriptors came"
        return data[12:], fds[0]

    def settle(self):
        """Return once the back-end has worked through everything sent so far."""
        return self.ask_u64(GET_FEATURES)

    def wait_closed(self, timeout=REPLY_TIMEOUT_S):
        """
        Wait until the back-end closes. Replies on the way are collected and returned;
        raises NoReply when it does not close.
        """
        replies = []
        while True:
            try:
                replies.append(self.receive(timeout))
            except Closed:
                return replies


def eventfd():
    return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)


def eventfd_take(fd):
    """Return and clear an eventfd's count; 0 when it was not raised."""
    try:
        return os.eventfd_read(fd)
    except BlockingIOError:
        return 0


def eventfd_fill(fd):
    """Raise an eventfd's count to its maximum, so that one more write would block."""
    if select.select([fd], [], [], 0)[0]:
        os.eventfd_read(fd)
    os.eventfd_write(fd, 2**64 - 2)


def eventfd_wait(fd, timeout):
    """Wait until an eventfd is raised, take it, and return its count; 0 on time-out."""
    select.select([fd], [], [], timeout)
    return eventfd_take(fd)


def random_bytes(seed, count):
    """The same junk for the same seed."""
    return random.Random(seed).randbytes(count)
