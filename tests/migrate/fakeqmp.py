"""A QEMU that is only its monitor: a scripted QMP server in a process of its own, that can be killed."""

import json
import multiprocessing
import os
import selectors
import socket
import threading
import time

CAPABILITIES = ["events", "postcopy-ram", "return-path", "multifd"]
fork = multiprocessing.get_context("fork")


class QmpError(Exception):
    """Raised by a handler: the command is answered with this error."""


class Hangup(Exception):
    """Raised by a handler: the connection is closed without an answer."""


class Fake:
    """Answers as QEMU 7.2 does. Tests change `facts`, or put functions (fake, arguments) into `on`."""

    def __init__(self, path, role, moved, log):
        self.path, self.role, self.moved, self.log = str(path), role, moved, str(log)
        self.on = {}
        self.second = None  # path of a second monitor
        self.facts = {
            "name": "g",
            "status": "running" if role == "source" else "inmigrate",
            "migration": {},
            "caps": dict.fromkeys(CAPABILITIES, False),
            "memdev": [{"id": "mem", "share": True, "size": 64 << 20}],
            "memory": 64 << 20,
            "devices": {"net0": "virtio-net-pci"},
            "network": "net0: index=0,type=nic\r\n \\ n0: index=0,type=vhost-user\r\n",
            "parameters": {"downtime-limit": 300, "max-bandwidth": 128 << 20},
            "kvm": True,
            "comm": "qemu-fake",
            "greeting": b'{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}}}\r\n',
            "asks": 3,  # how often query-migrate says "active" before the switch-over
            "resume": True,  # the destination runs the VM once it has moved
            "completes": True,
        }

    # -- life of the process

    def start(self):
        """Serve in a child process; returns it once the socket listens."""
        ready = fork.Event()
        child = fork.Process(target=self._main, args=(ready,), daemon=True)
        child.start()
        assert ready.wait(5)
        return child

    def _main(self, ready):
        with open("/proc/self/comm", "w", encoding="ascii") as f:
            f.write(self.facts["comm"])
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(1)  # here, so that this process is the socket's owner
        if self.second:
            threading.Thread(target=self._second_monitor, daemon=True).start()
            time.sleep(0.1)
        ready.set()
        while True:
            self.conn, _ = self.listener.accept()
            try:
                self._serve()
            except (Hangup, OSError):
                pass
            self.conn.close()

    def _second_monitor(self):
        """Another monitor of the same process: greets, and takes capabilities negotiation."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.second))
        listener.listen(1)
        conn, _ = listener.accept()
        conn.sendall(self.facts["greeting"])
        conn.sendall(b'{"return": {}}\r\n' if conn.recv(65536) else b"")
        conn.recv(1)

    def _serve(self):
        self.conn.sendall(self.facts["greeting"])
        sel = selectors.DefaultSelector()
        sel.register(self.conn, selectors.EVENT_READ)
        buf = b""
        while True:
            self._tick()
            if not sel.select(0.01):
                continue
            data = self.conn.recv(65536)
            if not data:
                raise Hangup
            buf += data
            while b"\n" in buf:
                line, buf = buf.split(b"\n", 1)
                self._command(json.loads(line))

    def _tick(self):
        if self.role == "destination" and self.moved.is_set() and self.facts["status"] == "inmigrate":
            if self.facts["resume"]:
                self.event("RESUME")
                self.facts["status"] = "running"
                self.event("MIGRATION", {"status": "completed"})

    # -- speaking

    def send(self, obj):
        self.conn.sendall(json.dumps(obj).encode() + b"\r\n")

    def event(self, name, data=None):
        now = time.time()
        ev = {"event": name, "timestamp": {"seconds": int(now), "microseconds": int(now % 1 * 1e6)}}
        self.send({**ev, "data": data} if data else ev)

    def _command(self, msg):
        name, args = msg["execute"], msg.get("arguments", {})
        with open(self.log, "a", encoding="utf-8") as f:
            f.write(f"{self.role} {name} {json.dumps(args)}\n")
        handler = self.on.get(name) or getattr(type(self), "do_" + name.replace("-", "_"))
        try:
            self.send({"return": handler(self, args), "id": msg["id"]})
        except QmpError as e:
            self.send({"error": {"class": "GenericError", "desc": str(e)}, "id": msg["id"]})

    # -- the commands, as a QEMU that works answers them

    def do_qmp_capabilities(self, _):
        return {}

    def do_query_name(self, _):
        return {"name": self.facts["name"]} if self.facts["name"] else {}

    def do_query_status(self, _):
        return {"status": self.facts["status"], "running": self.facts["status"] == "running"}

    def do_query_memdev(self, _):
        return self.facts["memdev"]

    def do_query_memory_size_summary(self, _):
        return {"base-memory": self.facts["memory"], "plugged-memory": 0}

    def do_query_migrate_capabilities(self, _):
        return [{"capability": c, "state": s} for c, s in self.facts["caps"].items()]

    def do_migrate_set_capabilities(self, args):
        for c in args["capabilities"]:
            self.facts["caps"][c["capability"]] = c["state"]
        return {}

    def do_query_migrate_parameters(self, _):
        return self.facts["parameters"]

    def do_migrate_set_parameters(self, args):
        self.facts["parameters"].update(args)
        return {}

    def do_qom_list(self, args):
        if args["path"] != "/machine/peripheral":
            return [{"name": "type", "type": "string"}]
        return [{"name": n, "type": f"child<{t}>"} for n, t in self.facts["devices"].items()]

    def do_query_kvm(self, _):
        return {"enabled": self.facts["kvm"], "present": True}

    def do_human_monitor_command(self, args):
        assert args["command-line"] == "info network"
        return self.facts["network"]

    def do_migrate_incoming(self, args):
        self.facts["migration"] = {"socket-address": [{"type": "unix", "path": args["uri"]}]}
        return {}

    def migration_status(self, status, **more):
        self.facts["migration"] = {"status": status, **more}
        self.event("MIGRATION", {"status": status})

    def ram(self, **changes):
        return {"ram": {"total": 64 << 20, "transferred": 9 << 20, "remaining": 5 << 20, "normal-bytes": 8 << 20,
                        "dirty-pages-rate": 0, "page-size": 4096, "dirty-sync-count": 2, "mbps": 800.0, **changes}}

    def do_migrate(self, _):
        self.migration_status("setup")
        self.migration_status("active", **self.ram())
        return {}

    def do_query_migrate(self, _):
        if self.facts["migration"].get("status") == "active":
            self.facts["asks"] -= 1
            if self.facts["asks"] < 0:
                self.switch_over()
        return self.facts["migration"]

    def switch_over(self):
        self.event("STOP")
        self.facts["status"] = "finish-migrate"
        if self.facts["completes"]:
            self.complete()

    def complete(self):
        self.facts["status"] = "postmigrate"
        self.migration_status("completed", **self.ram(), downtime=7, **{"total-time": 90, "setup-time": 1})
        self.moved.set()

    def do_migrate_cancel(self, _):
        self.migration_status("cancelled")
        self.do_cont(_)
        return {}

    def do_cont(self, _):
        if self.facts["status"] != "running":
            self.facts["status"] = "running"
            self.event("RESUME")
        return {}

    def do_stop(self, _):
        self.facts["status"] = "paused"
        self.event("STOP")
        return {}


def die(_fake, _args):
    """A handler: the QEMU is gone in mid-command."""
    os.kill(os.getpid(), 9)
