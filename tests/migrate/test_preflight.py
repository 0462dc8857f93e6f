"""Everything that is refused before anything is touched."""

import pytest

TOUCHING = {"migrate", "migrate-set-parameters", "migrate-set-capabilities", "migrate-incoming", "cont", "stop",
            "migrate_cancel"}


def refused(pair, sentence, *more, **kw):
    run = pair.migrate(*more, **kw)
    assert run.status == 1, run.err
    assert run.json["result"] == "failed" and sentence in run.json["reason"], run.json["reason"]
    assert sentence in run.err
    assert run.json["state"] == "nothing was changed"
    assert not TOUCHING & set(pair.names("source") + pair.names("destination"))
    return run


def test_nobody_at_the_source(pair):
    pair.source = None
    refused(pair, "no QEMU answers at")


def test_nobody_at_the_destination(pair):
    pair.destination = None
    refused(pair, "destination: no QEMU answers at")


def test_monitor_held_by_somebody_else(pair):
    pair.source.facts["greeting"] = b""
    refused(pair, "another program may hold this monitor")


def test_not_a_monitor(pair):
    pair.source.facts["greeting"] = b"HTTP/1.1 400 Bad Request\r\n"
    refused(pair, "not QMP")


def test_greeting_without_end(pair):
    pair.source.facts["greeting"] = b"x" * (17 << 20)
    refused(pair, "a message of more than 8 MiB")


def test_closed_at_once(pair):
    pair.destination.facts["greeting"] = b'{"QMP": '
    pair.destination._serve = lambda: pair.destination.conn.sendall(b'{"QMP": ')
    refused(pair, "closed its monitor")


def test_same_qemu_twice(pair):
    pair.dst = pair.src
    pair.destination = None
    refused(pair, "lead to the same QEMU")


def test_two_monitors_of_one_qemu(pair):
    pair.destination = None
    pair.source.second = pair.dst
    refused(pair, "lead to the same QEMU")


def test_wrong_name(pair):
    refused(pair, 'is "g", not "h"', name="h")


def test_no_name(pair):
    pair.source.facts["name"] = ""
    refused(pair, "has no name: start its QEMU with -name g")


@pytest.mark.parametrize("state", ["prelaunch", "shutdown", "internal-error", "inmigrate"])
def test_source_not_running(pair, state):
    pair.source.facts["status"] = state
    refused(pair, f'the source VM is "{state}"')


def test_source_moved_already(pair):
    pair.source.facts["status"] = "postmigrate"
    refused(pair, "moved away")


def test_destination_does_not_wait(pair):
    pair.destination.facts["status"] = "running"
    refused(pair, "-incoming defer")


def test_migration_under_way(pair):
    pair.source.facts["migration"] = {"status": "setup"}
    refused(pair, "a migration of this VM is under way (setup)")


@pytest.mark.parametrize("role", ["source", "destination"])
def test_postcopy(pair, role):
    getattr(pair, role).facts["caps"]["postcopy-ram"] = True
    refused(pair, f"{role}: post-copy is switched on")


@pytest.mark.parametrize("role", ["source", "destination"])
@pytest.mark.parametrize("memdev", [[{"id": "pc.ram", "share": False}], [],
                                    [{"id": "m0", "share": True}, {"id": "m1", "share": False}]])
def test_memory_not_shared(pair, role, memdev):
    getattr(pair, role).facts["memdev"] = memdev
    run = refused(pair, "not shared")
    assert f"{role}: guest memory" in run.err and "memory-backend-memfd,id=mem,size=…,share=on" in run.err


def test_memory_of_other_size(pair):
    pair.destination.facts["memory"] = 128 << 20
    refused(pair, "the VM has 64 MiB of memory and the destination 128")


def test_vfio_device_is_named(pair):
    pair.source.facts["devices"]["vf0"] = "vfio-pci"
    refused(pair, "vf0 (vfio-pci) is a device of this host")


def test_balloon_is_noted(pair):
    pair.source.facts["devices"]["balloon0"] = "virtio-balloon-pci"
    run = pair.migrate()
    assert run.status == 0 and any("balloon0 (virtio-balloon-pci)" in n for n in run.json["notices"])


def test_vm_without_vhost_user_is_noted(pair):
    pair.source.facts["network"] = "net0: index=0,type=nic\r\n \\ n0: index=0,type=user\r\n"
    run = pair.migrate()
    assert run.status == 0 and "source: the VM has no vhost-user network card" in run.err


def test_destination_of_other_name_is_noted(pair):
    pair.destination.facts["name"] = "g-new"
    run = pair.migrate()
    assert run.status == 0 and '"g-new"' in run.err


@pytest.mark.parametrize("major, kvm, noted", [(7, False, True), (7, True, False), (9, False, False)])
def test_emulation_that_loses_memory_is_noted(pair, major, kvm, noted):
    pair.source.facts["kvm"] = kvm
    pair.source.facts["greeting"] = pair.source.facts["greeting"].replace(b'"major": 7', b'"major": %d' % major)
    run = pair.migrate()
    assert run.status == 0 and ("without KVM, which loses memory" in run.err) == noted
