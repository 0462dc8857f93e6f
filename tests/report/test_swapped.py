"""A guest that the emulation destroyed is told from one that fell silent by itself."""

from gwlab.vms import swapped

MEMORY = 192 << 20
MODULES = "vfio_pci 16384 4 - Live 0xffffffffc0800000\nkvm_amd 200704 0 - Live 0xffffffffc0950000\n"
DESTROYED = "RAX=0000000119a4b000 RBX=0\nRIP=ffffffffc09630b0 RFL=00010246\nCR0=80050033 CR2=ffffffffc09630b0 CR3=0000000100f66000 CR4=003506f0"


def test_registers_of_l1_are_known():
    assert "CR3 0x100f66000 is beyond" in swapped(DESTROYED, MEMORY, MODULES)


def test_anything_else_is_a_silent_guest():
    assert swapped(DESTROYED.replace("CR3=0000000100f66000", "CR3=00000000024d6000"), MEMORY, MODULES) == ""
    assert swapped(DESTROYED.replace("RIP=ffffffffc09630b0", "RIP=ffffffff91d0fa3f"), MEMORY, MODULES) == ""
    assert swapped(DESTROYED, MEMORY, "vfio_pci 16384 4 - Live 0xffffffffc0800000\n") == ""
    assert swapped("", MEMORY, MODULES) == ""
