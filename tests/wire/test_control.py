"""The control socket: methods, permissions, events, JSON-RPC, and the life of the socket."""

import grp
import json
import os
import socket
import stat
import subprocess
import time

import pytest

from conftest import DEVICE, MAC
from lib import checks, process
from lib.cli import NULL, fails
from lib.control import Control, RpcError, somebody_else, wait_for
from lib.frontend import RX, TX
from lib.virtqueue import F_WRITE
from lib.wire import frame


@pytest.fixture
def control(daemon):
    with Control(daemon.control) as c:
        yield c


@pytest.fixture
def null(place):
    """A godwitd without a network, for tests that need none."""
    d = process.Godwitd(NULL, "--mac", MAC, socket_path=place / "vhost.sock")
    wait_for(d.control)
    yield d
    if d.alive():
        d.stop()


def let_in(d):
    """Make the way to @p d's control socket passable for everybody, as a group would make it for its own."""
    os.chmod(d.control, 0o666)
    path = os.path.dirname(d.control)
    while path != "/":
        os.chmod(path, os.stat(path).st_mode | 0o011)
        path = os.path.dirname(path)


# --- methods --------------------------------------------------------------------------------


def test_ping_and_version(control, daemon):
    assert control.call("ping") == "pong"
    said = control.call("version")
    assert said["name"] == "wire" and said["pid"] == daemon.pid and said["protocol"] == 1
    assert said["dpdk"].startswith("DPDK ") and said["version"][0].isdigit()


def test_show_tells_the_device(control):
    shown = control.call("show")
    device = shown["device"]
    assert device["attached"] is True and device["name"] == DEVICE and device["driver"] == "net_af_packet"
    assert device["mac"] == MAC and device["mtu"] == 1500 and device["link"] in ("up", "down")
    assert shown["name"] == "wire" and shown["state"] == "waiting" and shown["connected"] is False
    assert shown["features"] is None and shown["incoming"] is False
    assert [q["state"] for q in shown["virtqueues"]] == ["stopped", "stopped"]


def test_show_follows_the_front_end(control, running, wire):
    checks.both_ways(running, wire)
    shown = control.call("show")
    assert shown["state"] == "running" and shown["connected"] is True
    assert int(shown["features"], 16) & 1 << 32
    rx, tx = shown["virtqueues"]
    assert rx["direction"] == "receive" and tx["direction"] == "transmit"
    assert rx["state"] == tx["state"] == "running" and rx["size"] == running.rx.size
    assert rx["next"] >= 1 and tx["next"] >= 1


def test_show_is_what_the_dump_says(control, daemon, running, wire):
    """Both are made from the same facts."""
    checks.both_ways(running, wire)
    time.sleep(0.05)
    shown, text = control.call("show"), daemon.dump()
    for name, value in {**shown["counters"], **shown["port"]}.items():
        line = next(line.split() for line in text.splitlines() if line.split()[:1] == [name])
        assert name == "sleeps" or name.startswith("wakes_") or int(line[1]) == value, line
    assert f"front-ends so far {shown['connections']}" in text
    assert f"features {shown['features']}, messages {shown['messages']}" in text


def test_stats_count_frames(control, running, wire):
    before = control.call("stats")
    for _ in range(5):
        checks.both_ways(running, wire)
    after = control.call("stats")
    for name in ("rx_frames", "tx_frames"):
        assert after["counters"][name] - before["counters"][name] == 5
    assert after["time_ns"] > before["time_ns"] and after["state"] == "running"


def test_broken_ring_is_shown_at_once(control, running):
    running.tx.set_desc(0, 1 << 50, 100, F_WRITE)
    running.tx.put_head(0)
    control.call("subscribe")
    assert control.call("show")["virtqueues"][TX]["state"] == "running"
    running.publish(TX)
    assert control.event("ring-broken")["detail"] == "transmit"
    assert control.call("show")["virtqueues"][TX]["state"] == "broken"
    assert control.call("show")["virtqueues"][RX]["state"] == "running"


def test_detach_and_attach(null):
    with Control(null.control) as c:
        c.call("subscribe")
        c.send('{"jsonrpc":"2.0","id":1,"method":"detach"}')
        assert c.event("detached")["detail"] == NULL
        shown = c.read()["result"]
        assert shown["device"]["attached"] is False and not any(shown["port"].values())
        assert "device none" in null.dump()
        with pytest.raises(RpcError) as wrong:
            c.call("detach")
        assert wrong.value.code == -32000 and wrong.value.data["name"] == "ENODEV"
        c.send('{"jsonrpc":"2.0","id":2,"method":"attach","params":{"device":"net_null1"}}')
        assert c.event("attached")["detail"] == "net_null1"
        shown = c.read()["result"]
        assert shown["device"]["name"] == "net_null1" and shown["device"]["mac"] == MAC
        with pytest.raises(RpcError) as wrong:
            c.call("attach", device="net_null2")
        assert wrong.value.data["name"] == "EBUSY" and "net_null1" in str(wrong.value)
        assert c.call("ping") == "pong"


def test_attach_that_fails_leaves_nothing(null):
    with Control(null.control) as c:
        c.call("detach", hold=False)
        for device in ("net_nonsense0", "0000:ff:1f.7"):
            with pytest.raises(RpcError) as wrong:
                c.call("attach", device=device)
            assert wrong.value.code == -32000 and device in str(wrong.value)
        for device in ("", "net_null0\nforged line", "x\x7f"):
            with pytest.raises(RpcError) as wrong:
                c.call("attach", device=device)
            assert wrong.value.code == -32602
        for mac in ("nonsense", "ff:ff:ff:ff:ff:ff"):
            with pytest.raises(RpcError) as wrong:
                c.call("attach", device=NULL, mac=mac)
            assert wrong.value.code == -32602 and mac in str(wrong.value)
        assert c.call("show")["device"]["attached"] is False
        assert c.call("attach", device=NULL, mac="52:54:00:00:00:09")["device"]["mac"] == "52:54:00:00:00:09"
    assert "\nforged" not in null.log()


def test_set_log_level(null):
    with Control(null.control) as c:
        assert c.call("set")["log_level"] == "notice"
        for level in ("info", "error"):
            assert c.call("set", log_level=level)["log_level"] == level
            with checks.connect(null.socket) as fe:
                fe.start()
                fe.stop()
            c.call("ping")
        assert null.log().count("receive ring starts") == 1
        with pytest.raises(RpcError) as wrong:
            c.call("set", log_level="loud", incoming=True)
        assert wrong.value.code == -32602 and "notice" in str(wrong.value)
        assert c.call("set") == {"log_level": "error", "incoming": False}, "half of a wrong set was done"


def test_set_incoming(daemon, control, wire, quiet):
    """The same as --incoming: the next first start is announced."""
    from lib.wire import ETH_P_RARP

    assert control.call("set", incoming=True)["incoming"] is True
    assert control.call("show")["incoming"] is True and "awaits a VM" in daemon.dump()
    with checks.connect(daemon.socket) as fe:
        fe.start()
        assert wire.receive(1, ethertypes=(ETH_P_RARP,))
        assert control.call("show")["incoming"] is False
        with pytest.raises(RpcError) as wrong:
            control.call("set", incoming=True)
        assert wrong.value.data["name"] == "EBUSY"


# --- events ---------------------------------------------------------------------------------


def test_events_follow_the_states(daemon, control):
    with Control(daemon.control) as silent:
        assert control.call("subscribe") == {"state": "waiting"}
        before = time.time()
        with checks.connect(daemon.socket) as fe:
            fe.start()
            fe.stop()
        said = []
        while not said or said[-1]["detail"] != "waiting":
            said.append(control.event("state"))
        assert [ev["detail"] for ev in said] == ["negotiating", "running", "stopped", "waiting"]
        assert all(ev["vnic"] == "wire" and before - 1 < ev["time"] < time.time() + 1 for ev in said)
        assert [ev["number"] - said[0]["number"] for ev in said] == [0, 1, 2, 3]
        assert silent.call("ping") == "pong", "an event came without subscription"


def test_link_changes_are_told(place):
    """A TAP device's link is its interface's."""
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("no /dev/net/tun: no device here whose link can be switched")
    d = process.Godwitd("net_tap0,iface=gwtap0", socket_path=place / "vhost.sock")
    wait_for(d.control)
    with Control(d.control) as c:
        c.call("subscribe")
        assert c.call("show")["device"]["link"] == "up"
        for state in ("down", "up"):
            subprocess.run(["ip", "link", "set", "gwtap0", state], check=True)
            assert c.event("link")["detail"] == state
            assert c.call("show")["device"]["link"] == state
    assert "link is down" in d.log()
    d.stop()


def test_subscriber_sees_the_end(null):
    with Control(null.control) as c:
        c.call("subscribe")
        null.stop()
        assert c.closed()


# --- permissions ----------------------------------------------------------------------------


WRITES = [("attach", {"device": NULL}), ("detach", {}), ("set", {"log_level": "debug"}), ("set", {})]


def test_another_user_may_read(null):
    let_in(null)
    with somebody_else():
        c = Control(null.control)
    with c:
        assert c.call("ping") == "pong"
        assert c.call("version")["name"] == "wire"
        assert c.call("show")["device"]["name"] == NULL
        assert c.call("stats")["state"] == "waiting"
        assert c.call("subscribe")["state"] == "waiting"


@pytest.mark.parametrize("method, params", WRITES)
def test_another_user_may_not_write(null, method, params):
    let_in(null)
    with somebody_else():
        c = Control(null.control)
    with c:
        with pytest.raises(RpcError) as wrong:
            c.call(method, **params)
        assert wrong.value.code == -32001 and method in str(wrong.value) and "root" in str(wrong.value)
        # Nor without asking for an answer.
        c.send(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}))
        assert c.call("show")["device"]["attached"] is True
    with Control(null.control) as root:
        assert root.call("set")["log_level"] == "notice"


def test_the_mode_keeps_others_out(null):
    let_in(null)
    os.chmod(null.control, 0o660)
    with somebody_else(), pytest.raises(PermissionError):
        Control(null.control)


def test_the_daemons_own_user_may_write(place):
    """godwitd under another user: that user and root may write. DPDK needs no root for net_null0."""
    import shutil

    os.chmod(place, 0o777)
    for parent in place.parents:
        os.chmod(parent, os.stat(parent).st_mode | 0o011)
    binary = place / "keep-godwitd"  # the tree itself may be closed to others
    shutil.copy(process.BINARY, binary)
    path = place / "control.sock"
    args = ["--name", "x", "--device", NULL, "--socket-path", str(place / "vhost.sock")]
    with process.spawn(args, executable=binary, user=65534, group=65534, extra_groups=[], stderr=-3) as proc:
        wait_for(path)
        with somebody_else():
            own = Control(path)
        with own, Control(path) as root:
            assert own.call("set", log_level="info") == root.call("set")
            own.call("detach")
            assert root.call("attach", device=NULL)["device"]["attached"] is True
        os.chmod(path, 0o666)
        with somebody_else(12345):
            other = Control(path)
        with other, pytest.raises(RpcError) as wrong:
            other.call("detach")
        assert wrong.value.code == -32001
        proc.terminate()
        assert proc.wait(process.STOP_TIMEOUT_S) == 0


# --- JSON-RPC 2.0 ---------------------------------------------------------------------------


WRONG = {
    "no_object": ("1", -32600, None),
    "string": ('"x"', -32600, None),
    "null": ("null", -32600, None),
    "empty_object": ("{}", -32600, None),
    "no_version": ('{"id":1,"method":"ping"}', -32600, 1),
    "version_1": ('{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600, 1),
    "version_number": ('{"jsonrpc":2.0,"id":1,"method":"ping"}', -32600, 1),
    "no_method": ('{"jsonrpc":"2.0","id":1}', -32600, 1),
    "method_number": ('{"jsonrpc":"2.0","id":1,"method":5}', -32600, 1),
    "id_object": ('{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600, None),
    "id_bool": ('{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600, None),
    "params_text": ('{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}', -32600, 1),
    "params_list": ('{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32602, 1),
    "params_unknown": ('{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":1}}', -32602, 1),
    "params_missing": ('{"jsonrpc":"2.0","id":1,"method":"attach"}', -32602, 1),
    "params_type": ('{"jsonrpc":"2.0","id":1,"method":"attach","params":{"device":5}}', -32602, 1),
    "params_type_bool": ('{"jsonrpc":"2.0","id":1,"method":"detach","params":{"hold":"yes"}}', -32602, 1),
    "unknown_method": ('{"jsonrpc":"2.0","id":"a","method":"nonsense"}', -32601, "a"),
    "empty_batch": ("[]", -32600, None),
    "long_batch": ("[" + ",".join(["1"] * 17) + "]", -32600, None),
    "cut_character": ('{"jsonrpc":"2.0","id":1,"method":"' + "a" * 63 + 'ä"}', -32601, 1),
}


@pytest.mark.parametrize("case", sorted(WRONG))
def test_wrong_requests(control, case):
    """Each gets its error, and the connection goes on."""
    text, code, number = WRONG[case]
    answer = control.say(text)
    assert answer["error"]["code"] == code and answer["id"] == number and len(answer["error"]["message"]) > 10
    assert "result" not in answer
    assert control.call("ping") == "pong"


def test_unknown_method_names_the_known_ones(control):
    with pytest.raises(RpcError) as wrong:
        control.call("restart")
    assert "restart" in str(wrong.value) and "subscribe" in str(wrong.value)


NO_JSON = {
    "text": b"hello",
    "http": b"GET / HTTP/1.1",
    "half": b'{"jsonrpc":"2.0",',
    "two": b'{"jsonrpc":"2.0"} {}',
    "twice": b'{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}',
    "nul": b'{"jsonrpc":"2.0","id":1,"method":"pi\0ng"}',
    "no_utf8": b'{"jsonrpc":"2.0","id":1,"method":"\xff\xfe"}',
    "deep": b"[" * 8000,
    "deep_objects": b'{"a":' * 1600,
    "huge_number": b'{"jsonrpc":"2.0","id":' + b"9" * 400 + b',"method":"ping"}',
}


@pytest.mark.parametrize("case", sorted(NO_JSON))
def test_no_json_ends_the_connection(daemon, case):
    with Control(daemon.control) as c:
        answer = c.say(NO_JSON[case])
        assert answer["error"]["code"] == -32700 and answer["id"] is None
        assert c.read() is None
    with Control(daemon.control) as c:
        assert c.call("ping") == "pong"


@pytest.mark.parametrize("number", [1, -7, "a", "", 1.5, None, 1 << 60])
def test_ids_come_back(control, number):
    answer = control.say(json.dumps({"jsonrpc": "2.0", "id": number, "method": "ping"}))
    assert answer == {"jsonrpc": "2.0", "id": number, "result": "pong"}


def test_notifications_are_done_and_not_answered(control):
    control.send('{"jsonrpc":"2.0","method":"set","params":{"log_level":"info"}}')
    control.send('{"jsonrpc":"2.0","method":"nonsense"}')
    assert control.call("set", log_level="notice")["log_level"] == "notice"
    control.send('{"jsonrpc":"2.0","method":"set","params":{"log_level":"info"}}')
    assert control.call("set")["log_level"] == "info"
    control.call("set", log_level="notice")


def test_batches(control):
    ask = [
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "method": "ping"},
        5,
        {"jsonrpc": "2.0", "id": 2, "method": "nonsense"},
        {"jsonrpc": "2.0", "id": 3, "method": "stats"},
    ]
    said = control.say(json.dumps(ask))
    assert [one["id"] for one in said] == [1, None, 2, 3]
    assert said[0]["result"] == "pong" and said[3]["result"]["name"] == "wire"
    assert [one["error"]["code"] for one in said[1:3]] == [-32600, -32601]
    control.send(json.dumps([{"jsonrpc": "2.0", "method": "ping"}] * 16))
    assert control.call("ping") == "pong", "a batch of notifications was answered"


def test_empty_lines_and_carriage_returns(control):
    control.send("\n\r\n  \n")
    assert control.say('{"jsonrpc":"2.0","id":1,"method":"ping"}\r')["result"] == "pong"


def test_a_client_that_ends_its_side_gets_its_answers(control):
    """As `printf … | nc -N -U` does."""
    control.send("\n".join(json.dumps({"jsonrpc": "2.0", "id": i, "method": "ping"}) for i in range(100)))
    control.sock.shutdown(socket.SHUT_WR)
    assert [control.read()["id"] for _ in range(100)] == list(range(100))
    assert control.read() is None


# --- the socket -----------------------------------------------------------------------------


def test_mode_and_group(place):
    d = process.Godwitd(NULL, "--group", "daemon", socket_path=place / "vhost.sock")
    info = os.stat(place / "control.sock")
    assert stat.S_IMODE(info.st_mode) == 0o660 and info.st_gid == grp.getgrnam("daemon").gr_gid
    d.stop()


def test_control_path(place):
    where = place / "made" / "here"
    d = process.Godwitd(NULL, "--control-path", str(where), socket_path=place / "vhost.sock")
    wait_for(where)
    with Control(where) as c:
        assert c.call("ping") == "pong"
    assert not (place / "control.sock").exists()
    d.stop()
    assert not where.parent.exists()


def test_no_control(place):
    d = process.Godwitd(NULL, "--no-control", socket_path=place / "vhost.sock")
    checks.connect(d.socket).close()
    assert sorted(os.listdir(place)) == ["vhost.sock"]
    d.stop()
    fails(2, "--name", "x", "--device", NULL, "--no-control", "--control-path", "/tmp/never")


def test_default_place(own_namespaces):
    path = "/run/godwit/ctl1/control.sock"
    with process.spawn(["--name", "ctl1", "--device", NULL], stderr=-3) as proc:
        wait_for(path)
        with Control(path) as c:
            assert c.call("version")["name"] == "ctl1"
        proc.terminate()
        assert proc.wait(process.STOP_TIMEOUT_S) == 0
    assert not os.path.exists("/run/godwit/ctl1")


def test_beside_a_socket_of_another_name(place):
    """Several processes may share a directory."""
    one = process.Godwitd(NULL, name="one", socket_path=place / "one.sock")
    two = process.Godwitd(NULL, name="two", socket_path=place / "two")
    for d, name in ((one, "one"), (two, "two")):
        wait_for(place / f"{name}.control.sock")
        with Control(d.control) as c:
            assert c.call("version")["name"] == name
        d.stop()


def test_with_a_given_descriptor(own_namespaces):
    ours, theirs = socket.socketpair()
    d = process.Godwitd(NULL, "--fd", str(theirs.fileno()), name="ctl2", pass_fds=[theirs.fileno()])
    theirs.close()
    wait_for("/run/godwit/ctl2/control.sock")
    with Control("/run/godwit/ctl2/control.sock") as c:
        assert c.call("show")["connections"] == 1
        ours.close()
        assert d.proc.wait(process.STOP_TIMEOUT_S) == 0
    assert not os.path.exists("/run/godwit/ctl2")
    d.kill()


def test_dead_socket_is_replaced(place):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place / "control.sock"))
    d = process.Godwitd(NULL, socket_path=place / "vhost.sock")
    with Control(d.control) as c:
        assert c.call("ping") == "pong"
    d.stop()


def test_live_socket_is_left_alone(null, place):
    text = fails(1, "--name", "y", "--device", NULL, "--socket-path", str(place / "other.sock"),
                 "--control-path", null.control)
    assert null.control in text and "control" in text
    with Control(null.control) as c:
        assert c.call("version")["name"] == "wire"


def test_file_in_the_way(place):
    (place / "keep.control.sock").write_text("precious")
    text = fails(1, "--name", "y", "--device", NULL, "--socket-path", str(place / "keep.sock"))
    assert str(place / "keep.control.sock") in text
    assert (place / "keep.control.sock").read_text() == "precious"


def test_path_that_was_not_asked_for_may_be_too_long(place):
    """The vhost-user socket just fits: godwitd serves it, and says that there is no control socket."""
    path = str(place) + "/" + "x" * (107 - len(str(place)) - 1)
    d = process.Godwitd(NULL, socket_path=path)
    assert "control socket" in d.log()
    d.stop()
    fails(1, "--name", "x", "--device", NULL, "--socket-path", str(place / "s"), "--control-path", path + "y")


def test_answers_while_frames_flow(control, running, wire):
    for _ in range(50):
        wire.inject(frame(checks.fresh()))
        assert control.call("show")["state"] == "running"
    running.receive(50)
