"""The lab's comparison of two guests' memories finds what differs, and nothing else."""

import mmap

from scenarios import memory

PIECE = memory.PIECE


def maps(monkeypatch, *changes):
    """Two memories that differ by @p changes: (address, byte)."""
    both = {"one": mmap.mmap(-1, 2 * PIECE), "other": mmap.mmap(-1, 2 * PIECE)}
    for address, byte in changes:
        both["other"][address] = byte
    monkeypatch.setattr(memory, "memory_of", lambda pid: both[pid])


def test_same_memory(monkeypatch):
    maps(monkeypatch)
    assert memory.differences("one", "other") == []


def test_each_page_that_differs(monkeypatch):
    maps(monkeypatch, (0, 1), (8, 1), (15, 1), (PIECE + 4095, 7), (2 * PIECE - 1, 1))
    assert memory.differences("one", "other") == [(0, 2), (PIECE, 1), (2 * PIECE - 4096, 1)]
