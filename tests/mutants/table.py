"""The mutations: one small defect each, and the wire test that has to notice it."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """@p old, a regular expression, must match exactly once in @p path; @p new replaces it; @p test must then fail."""

    name: str
    path: str
    old: str
    new: str
    test: str


LOG = "test_dirty_log.py::test_log_is_exact"

MUTANTS = (
    # --- the dirty log -------------------------------------------------------------------
    Mutant("log_buffers_removed", "src/ring/copy.c", r"if \(r->log\)\n", "if (0)\n", LOG),
    Mutant(
        "log_header_removed",
        "src/path/rx.c",
        r"ring_copy_to\(r, &p->chain, &start, &h, p->header_bytes\);",
        "struct dirty_log *l = r->log; r->log = NULL; ring_copy_to(r, &p->chain, &start, &h, p->header_bytes); r->log = l;",
        f"{LOG}[chained]",
    ),
    Mutant("log_used_element_removed", "src/ring/split.c", r"used_mark\(r, offset, sizeof\(\*elem\)\);", "", LOG),
    Mutant("log_used_index_removed", "src/ring/split.c", r"used_mark\(r, RING_USED_IDX, 2\);", "", f"{LOG}[used_ring_over_three_pages]"),
    Mutant(
        "log_one_page_too_many",
        "src/ring/copy.c",
        r"s->gpa\.v \+ at->offset \}, piece\)",
        "s->gpa.v + at->offset }, piece + 4096)",
        f"{LOG}[chained]",
    ),
    Mutant("log_one_byte_too_many", "src/ring/copy.c", r"s->gpa\.v \+ at->offset \}, piece\)", "s->gpa.v + at->offset }, piece + 1)", LOG),
    Mutant("log_one_byte_too_few", "src/ring/copy.c", r"s->gpa\.v \+ at->offset \}, piece\)", "s->gpa.v + at->offset }, piece - 1)", LOG),
    Mutant("log_segment_start_only", "src/ring/copy.c", r"s->gpa\.v \+ at->offset \}, piece\)", "s->gpa.v }, piece)", LOG),
    Mutant(
        "log_used_one_page_too_many",
        "src/ring/split.c",
        r"r->cfg\.used_log\.v \+ offset \}, len\)",
        "r->cfg.used_log.v + offset }, len + 4096)",
        LOG,
    ),
    Mutant(
        "log_used_at_the_ring_not_at_log_addr",
        "src/ring/split.c",
        r"if \(r->log && r->cfg\.log_used\)",
        "if (r->log)",
        f"{LOG}[used_ring_not_logged]",
    ),
    # --- notifications -------------------------------------------------------------------
    Mutant("event_idx_always_no_call", "src/ring/split.c", r"return ring_need_event\(", "return 0 && ring_need_event(", "test_interrupts.py"),
    Mutant("event_idx_always_call", "src/ring/split.c", r"return ring_need_event\(", "return 1 || ring_need_event(", "test_interrupts.py"),
    Mutant("no_interrupt_ignored", "src/ring/split.c", r"return !\(r->avail\[RING_AVAIL_FLAGS\] & RING_AVAIL_NO_INTERRUPT\);", "return true;", "test_interrupts.py"),
    Mutant("used_index_remembered_wrongly", "src/ring/split.c", r"r->published_used = r->next_used;\n\t__atomic", "__atomic", "test_interrupts.py"),
    # --- checks --------------------------------------------------------------------------
    Mutant("avail_jump_unchecked", "src/ring/split.c", r"if \(fresh && \(uint16_t\)\(seen - r->next_avail\) > r->cfg\.size\)", "if (0)", "test_rings.py"),
    Mutant("head_unchecked", "src/ring/split.c", r"if \(i >= r->cfg\.size\)", "if (0)", "test_rings.py"),
    Mutant("indirect_next_unchecked", "src/ring/split.c", r"if \(i >= count\)", "if (0)", "test_rings.py"),
    Mutant("direction_unchecked", "src/ring/split.c", r"if \(writable != r->cfg\.device_writes\)", "if (0)", "test_rings.py"),
    Mutant("nested_indirect_allowed", "src/ring/split.c", r"\|\|\s*\(d\.flags & RING_DESC_INDIRECT\)\)", ")", "test_rings.py"),
    Mutant("short_frame_sent", "src/path/tx.c", r"p->chain\.len_bytes < \(uint64_t\)p->header_bytes \+ RTE_ETHER_HDR_LEN", "p->chain.len_bytes < p->header_bytes", "test_show.py::test_short_frame_is_counted"),
    Mutant("disabled_transmit_sends", "src/path/tx.c", r"if \(!p->enabled\[PATH_TX\]\)", "if (0)", "test_protocol.py"),
    Mutant("disabled_receive_delivers", "src/path/rx.c", r"if \(!p->enabled\[PATH_RX\]\)", "if (0)", "test_protocol.py"),
    Mutant("translation_start_unchecked", "src/guest/memory.h", r"if \(gpa\.v < r->gpa\.v \|\| offset >= r->size_bytes\)", "if (gpa.v < r->gpa.v)", "test_rings.py"),
    Mutant("translation_length_unchecked", "src/guest/memory.h", r"if \(\*len > r->size_bytes - offset\)", "if (0)", "test_rings.py"),
    Mutant("ring_address_length_unchecked", "src/guest/memory.c", r"if \(len > r->size_bytes - \(uva\.v - r->uva\.v\)\)", "if (0)", "test_messages.py::test_ring_address"),
    Mutant("regions_may_overlap", "src/guest/memory.c", r"return a < b \+ b_len && b < a \+ a_len;", "return false;", "test_memory.py"),
    Mutant("region_beyond_file", "src/guest/memory.c", r"s->fd_offset \+ s->size_bytes > \(uint64_t\)st\.st_size\)", "0)", "test_memory.py"),
    Mutant("sigbus_not_handled", "src/guest/fault.c", r"if \(!base \|\| at < base \|\| at - base >= len\)", "if (1)", "test_memory.py"),
    Mutant("num_buffers_always_one", "src/path/rx.c", r"h\.num_buffers = \(uint16_t\)n;", "h.num_buffers = 1;", "test_frames.py"),
    Mutant("used_length_without_header", "src/path/rx.c", r"written_bytes = \(uint32_t\)room;", "written_bytes = (uint32_t)room - (n ? 0 : p->header_bytes);", "test_frames.py"),
    # --- descriptors ---------------------------------------------------------------------
    Mutant("replaced_fd_not_closed", "src/vhost/handlers.c", r"if \(\*slot >= 0\)\n\t\tclose\(\*slot\);", "", "test_leaks.py"),
    Mutant("eventfds_kept_after_hang_up", "src/vhost/session.c", r"\t\tvring_release\(&s->state\.vring\[i\]\);", "\t\t;", "test_leaks.py"),
    Mutant("message_fds_kept", "src/vhost/session.c", r"\tmessage_fds_close\(s\);\n\ts->got_bytes = 0;", "\ts->got_bytes = 0;", "test_leaks.py"),
    Mutant("log_kept_after_hang_up", "src/vhost/session.c", r"dirty_log_free\(s->state\.log\);\n\tclose", "close", "test_leaks.py"),
    Mutant("old_memory_table_kept", "src/vhost/handlers.c", r"guest_memory_free\(s->state\.mem\);\n\ts->state\.mem = m;", "s->state.mem = m;", "test_leaks.py"),
    Mutant("memory_mapping_kept_after_failure", "src/guest/memory.c", r"if \(rc\) \{\n\t\t\tguest_memory_free\(m\);", "if (rc) {", "test_leaks.py"),
    Mutant("ring_index_unchecked", "src/vhost/handlers.c", r"if \(index < VHOST_VRINGS\)", "if (1)", "test_messages.py::test_ring_index_out_of_range"),
    Mutant("log_size_unchecked", "src/vhost/handlers.c", r"if \(!dirty_log_covers\(l, m->region\[i\]\.gpa, m->region\[i\]\.size_bytes\)\)", "if (0)", "test_memory.py::test_log_too_small"),
)
