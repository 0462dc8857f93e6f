"""The mutations: one small defect each, and the wire test that has to notice it."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """@p old, a regular expression, must match exactly once in @p path; @p new replaces it; @p test must then fail."""

    name: str
    path: str
    test: str
    old: str
    new: str


LOG = "test_dirty_log.py::test_log_is_exact"

MUTANTS = (
    # --- the dirty log ----------------------------------------------------------------------------
    Mutant(
        "log_buffers_removed", "src/ring/copy.c", LOG,
        r"if \(r->log\)\n",
        "if (0)\n",
    ),
    Mutant(
        "log_header_removed", "src/path/rx.c", LOG + "[chained]",
        r"ring_copy_to\(r, &p->chain, &start, &h, p->header_bytes\);",
        "struct dirty_log *l = r->log; r->log = NULL; ring_copy_to(r, &p->chain, &start, &h, p->header_bytes); r->log = l;",
    ),
    Mutant(
        "log_used_element_removed", "src/ring/split.c", LOG,
        r"used_mark\(r, offset, sizeof\(\*elem\)\);",
        "",
    ),
    Mutant(
        "log_used_index_removed", "src/ring/split.c", LOG + "[used_ring_over_three_pages]",
        r"used_mark\(r, RING_USED_IDX, 2\);",
        "",
    ),
    Mutant(
        "log_one_page_too_many", "src/ring/copy.c", LOG + "[chained]",
        r"s->gpa\.v \+ at->offset \}, piece\)",
        "s->gpa.v + at->offset }, piece + 4096)",
    ),
    Mutant(
        "log_one_byte_too_many", "src/ring/copy.c", LOG,
        r"s->gpa\.v \+ at->offset \}, piece\)",
        "s->gpa.v + at->offset }, piece + 1)",
    ),
    Mutant(
        "log_one_byte_too_few", "src/ring/copy.c", LOG,
        r"s->gpa\.v \+ at->offset \}, piece\)",
        "s->gpa.v + at->offset }, piece - 1)",
    ),
    Mutant(
        "log_segment_start_only", "src/ring/copy.c", LOG,
        r"s->gpa\.v \+ at->offset \}, piece\)",
        "s->gpa.v }, piece)",
    ),
    Mutant(
        "log_used_one_page_too_many", "src/ring/split.c", LOG,
        r"r->cfg\.used_log\.v \+ offset \}, len\)",
        "r->cfg.used_log.v + offset }, len + 4096)",
    ),
    Mutant(
        "log_used_at_the_ring_not_at_log_addr", "src/ring/split.c", LOG + "[used_ring_not_logged]",
        r"if \(r->log && r->cfg\.log_used\)",
        "if (r->log)",
    ),
    Mutant(
        "log_kept_over_the_stop", "src/vhost/handlers.c", "test_dirty_log.py::test_ring_restarted_while_logging",
        r"\t\tlog_end\(s\);",
        "\t\t;",
    ),
    # --- notifications ----------------------------------------------------------------------------
    Mutant(
        "event_idx_always_no_call", "src/ring/split.c", "test_interrupts.py",
        r"return ring_need_event\(",
        "return 0 && ring_need_event(",
    ),
    Mutant(
        "event_idx_always_call", "src/ring/split.c", "test_interrupts.py",
        r"return ring_need_event\(",
        "return 1 || ring_need_event(",
    ),
    Mutant(
        "no_interrupt_ignored", "src/ring/split.c", "test_interrupts.py",
        r"return !\(r->avail\[RING_AVAIL_FLAGS\] & RING_AVAIL_NO_INTERRUPT\);",
        "return true;",
    ),
    Mutant(
        "used_index_remembered_wrongly", "src/ring/split.c", "test_interrupts.py",
        r"r->published_used = r->next_used;\n\t__atomic",
        "__atomic",
    ),
    # --- checks -----------------------------------------------------------------------------------
    Mutant(
        "avail_jump_unchecked", "src/ring/split.c", "test_rings.py",
        r"if \(fresh && \(uint16_t\)\(seen - r->next_avail\) > r->cfg\.size\)",
        "if (0)",
    ),
    Mutant(
        "head_unchecked", "src/ring/split.c", "test_rings.py",
        r"if \(i >= r->cfg\.size\)",
        "if (0)",
    ),
    Mutant(
        "indirect_next_unchecked", "src/ring/split.c", "test_rings.py",
        r"if \(i >= count\)",
        "if (0)",
    ),
    Mutant(
        "direction_unchecked", "src/ring/split.c", "test_rings.py",
        r"if \(writable != r->cfg\.device_writes\)",
        "if (0)",
    ),
    Mutant(
        "nested_indirect_allowed", "src/ring/split.c", "test_rings.py",
        r"\|\|\s*\(d\.flags & RING_DESC_INDIRECT\)\)",
        ")",
    ),
    Mutant(
        "short_frame_sent", "src/path/tx.c", "test_show.py::test_short_frame_is_counted",
        r"p->chain\.len_bytes < \(uint64_t\)p->header_bytes \+ RTE_ETHER_HDR_LEN",
        "p->chain.len_bytes < p->header_bytes",
    ),
    Mutant(
        "disabled_transmit_sends", "src/path/tx.c", "test_protocol.py",
        r"if \(!p->enabled\[PATH_TX\]\)",
        "if (0)",
    ),
    Mutant(
        "disabled_receive_delivers", "src/path/rx.c", "test_protocol.py",
        r"if \(!p->enabled\[PATH_RX\]\)",
        "if (0)",
    ),
    Mutant(
        "translation_start_unchecked", "src/guest/memory.h", "test_rings.py",
        r"if \(gpa\.v < r->gpa\.v \|\| offset >= r->size_bytes\)",
        "if (gpa.v < r->gpa.v)",
    ),
    Mutant(
        "translation_length_unchecked", "src/guest/memory.h", "test_rings.py",
        r"if \(\*len > r->size_bytes - offset\)",
        "if (0)",
    ),
    Mutant(
        "ring_address_length_unchecked", "src/guest/memory.c", "test_messages.py::test_ring_address",
        r"if \(len > r->size_bytes - \(uva\.v - r->uva\.v\)\)",
        "if (0)",
    ),
    Mutant(
        "regions_may_overlap", "src/guest/memory.c", "test_memory.py",
        r"return a < b \+ b_len && b < a \+ a_len;",
        "return false;",
    ),
    Mutant(
        "region_beyond_file", "src/guest/memory.c", "test_memory.py",
        r"s->fd_offset \+ s->size_bytes > \(uint64_t\)st\.st_size\)",
        "0)",
    ),
    Mutant(
        "sigbus_not_handled", "src/guest/fault.c", "test_memory.py",
        r"if \(!base \|\| at < base \|\| at - base >= len\)",
        "if (1)",
    ),
    Mutant(
        "short_frame_not_padded", "src/path/tx.c", "test_frames.py::test_sizes_to_wire",
        r"\tframe_pad\(m\);",
        "\t(void)frame_pad;",
    ),
    Mutant(
        "empty_descriptor_allowed", "src/ring/split.c", "test_rings.py",
        r"!d->len \|\| ",
        "",
    ),
    Mutant(
        "num_buffers_always_one", "src/path/rx.c", "test_frames.py",
        r"h\.num_buffers = \(uint16_t\)n;",
        "h.num_buffers = 1;",
    ),
    Mutant(
        "used_length_without_header", "src/path/rx.c", "test_frames.py",
        r"written_bytes = \(uint32_t\)room;",
        "written_bytes = (uint32_t)room - (n ? 0 : p->header_bytes);",
    ),
    # --- offloads ---------------------------------------------------------------------------------
    Mutant(
        "gso_sequence_stands", "src/path/gso.c", "test_offloads.py::test_segments",
        r"be32\(tcp \+ 4\) \+ i \* g->size",
        "be32(tcp + 4)",
    ),
    Mutant(
        "gso_ident_stands", "src/path/gso.c", "test_offloads.py::test_segments",
        r"ip\[5\]\) \+ i\)",
        "ip[5]))",
    ),
    Mutant(
        "gso_flags_repeat", "src/path/gso.c", "test_offloads.py::test_segments",
        r"if \(i \+ 1 < g->segments\)",
        "if (0)",
    ),
    Mutant(
        "gso_cwr_repeats", "src/path/gso.c", "test_offloads.py::test_segments",
        r"\tif \(i\)\n",
        "\tif (0)\n",
    ),
    Mutant(
        "gso_length_of_the_whole", "src/path/gso.c", "test_offloads.py::test_segments",
        r"ip_write\(ip, h, m->pkt_len - h->l2_bytes - h->l3_bytes\);",
        "ip_write(ip, h, h->l4_bytes + g->payload_bytes);",
    ),
    Mutant(
        "gso_start_not_compared", "src/path/gso.c", "test_offloads.py::test_hostile_request_is_dropped",
        r"nh->csum_start == h->l2_bytes \+ h->l3_bytes &&",
        "",
    ),
    Mutant(
        "gso_fragment_is_cut", "src/path/gso.c", "test_offloads.py::test_hostile_request_is_dropped",
        r"g->h\.fragment \|\| ",
        "",
    ),
    Mutant(
        "gso_syn_is_cut", "src/path/gso.c", "test_offloads.py::test_hostile_request_is_dropped",
        r"HEADERS_TCP_SYN \| ",
        "",
    ),
    Mutant(
        "gso_unbounded", "src/path/gso.c", "test_offloads.py::test_hostile_request_is_dropped",
        r"if \(g\.segments \* g\.buffers > PATH_GSO_MAX\)",
        "if (0)",
    ),
    Mutant(
        "gso_not_negotiated", "src/path/gso.c", "test_offloads.py::test_segmentation_that_was_not_negotiated",
        r" \|\| !\(p->offloads & needs\)",
        "",
    ),
    Mutant(
        "csum_beyond_the_frame", "src/path/csum.c", "test_offloads.py::test_hostile_request_is_dropped",
        r"end <= bytes &&",
        "",
    ),
    Mutant(
        "csum_zero_stays", "src/path/csum.c", "test_offloads.py::test_udp_checksum_is_never_zero",
        r"return sum == 0xffff \? 0xffff : \(uint16_t\)~sum;",
        "return (uint16_t)~sum;",
    ),
    Mutant(
        "csum_not_computed", "src/path/csum.c", "test_offloads.py::test_checksums",
        r"put16\(rte_pktmbuf_mtod_offset\(m, uint8_t \*, field\), sum_finish\(sum\)\);",
        "",
    ),
    Mutant(
        "csum_extension_left_to_port", "src/path/csum.c", "test_offloads.py::test_port_computes_checksums",
        r" && \(!h->ip6 \|\| h->l3_bytes == IPV6_BYTES\)",
        "",
    ),
    Mutant(
        "csum_valid_always", "src/path/rx.c", "test_offloads.py::test_guest_learns_what_the_port_checked",
        r"\(m->ol_flags & all\) == RTE_MBUF_F_RX_L4_CKSUM_GOOD",
        "true",
    ),
    Mutant(
        "csum_valid_unasked", "src/path/rx.c", "test_offloads.py::test_guest_that_did_not_ask_learns_nothing",
        r"!\(p->offloads & PATH_RX_CSUM\) \|\| ",
        "",
    ),
    Mutant(
        "feature_needs_nothing", "src/vnic/features.c", "test_offloads.py::test_features_are_switched_off",
        r"offer &= ~B\(f->bit\);",
        ";",
    ),
    # --- descriptors ------------------------------------------------------------------------------
    Mutant(
        "replaced_fd_not_closed", "src/vhost/handlers.c", "test_leaks.py",
        r"if \(\*slot >= 0\)\n\t\tclose\(\*slot\);",
        "",
    ),
    Mutant(
        "eventfds_kept_after_hang_up", "src/vhost/session.c", "test_leaks.py",
        r"\t\tvring_release\(&s->state\.vring\[i\]\);",
        "\t\t;",
    ),
    Mutant(
        "message_fds_kept", "src/vhost/session.c", "test_leaks.py",
        r"\tmessage_fds_close\(s\);\n\ts->got_bytes = 0;",
        "\ts->got_bytes = 0;",
    ),
    Mutant(
        "log_kept_after_hang_up", "src/vhost/session.c", "test_leaks.py",
        r"dirty_log_free\(s->state\.log\);\n\tclose",
        "close",
    ),
    Mutant(
        "old_memory_table_kept", "src/vhost/handlers.c", "test_leaks.py",
        r"guest_memory_free\(s->state\.mem\);\n\ts->state\.mem = m;",
        "s->state.mem = m;",
    ),
    Mutant(
        "memory_mapping_kept_after_failure", "src/guest/memory.c", "test_leaks.py",
        r"if \(rc\) \{\n\t\t\tguest_memory_free\(m\);",
        "if (rc) {",
    ),
    Mutant(
        "ring_index_unchecked", "src/vhost/handlers.c", "test_messages.py::test_ring_index_out_of_range",
        r"if \(index < VHOST_VRINGS\)",
        "if (1)",
    ),
    Mutant(
        "log_size_unchecked", "src/vhost/handlers.c", "test_memory.py::test_log_too_small",
        r"if \(!dirty_log_covers\(l, m->region\[i\]\.gpa, m->region\[i\]\.size_bytes\)\)",
        "if (0)",
    ),
)
