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
        r"gpa\.v < r->gpa\.v \|\| offset >= r->size_bytes\)",
        "gpa.v < r->gpa.v)",
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
        r"dirty_log_free\(s->state\.log\);\n\tinflight",
        "inflight",
    ),
    Mutant(
        "old_memory_table_kept", "src/vhost/memory.c", "test_leaks.py",
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
        "log_size_unchecked", "src/vhost/memory.c", "test_memory.py::test_log_too_small",
        r"if \(!dirty_log_covers\(l, m->region\[i\]\.gpa, m->region\[i\]\.size_bytes\)\)",
        "if (0)",
    ),
    # --- the device as a whole, and in-flight tracking -------------------------------------------------
    Mutant(
        "shown_before_sent", "src/path/tx.c", "test_inflight.py::test_kill_loses_no_frame_and_no_buffer",
        r"if \(path_tx_push\(p\)\)\n\t\tring_publish\(r\);",
        "ring_publish(r); path_tx_push(p);",
    ),
    Mutant(
        "base_of_the_front_end_after_a_kill", "src/ring/split.c", "test_inflight.py::test_what_was_taken_and_not_shown_is_sent",
        r"r->next_avail = r->next_used;",
        "",
    ),
    Mutant(
        "last_batch_not_settled", "src/ring/inflight.c", "test_inflight.py::test_batch_that_was_shown_and_not_noted_is_settled",
        r"while \(n--\) \{\n\t\tif \(head >= size\)",
        "while (0) {\n\t\tif (head >= size)",
    ),
    Mutant(
        "record_kept_after_hang_up", "src/vhost/session.c", "test_inflight.py",
        r"\tinflight_free\(s->state\.inflight\);\n\tclose",
        "\tclose",
    ),
    Mutant(
        "reply_descriptor_kept", "src/vhost/session.c", "test_inflight.py::test_thousand_records_leak_nothing",
        r"\treply_fd_close\(s\);\n\tmessage_fds_close",
        "\tmessage_fds_close",
    ),
    Mutant(
        "status_0_ignored", "src/vhost/device.c", "test_device.py::test_status_0_stops_the_rings_and_keeps_their_place",
        r"if \(!s->state\.status\)",
        "if (0)",
    ),
    Mutant(
        "reset_keeps_features", "src/vhost/device.c", "test_device.py::test_reset_forgets_features_sizes_and_addresses",
        r"st->vring\[i\] = \(struct vhost_vring\)\{[^}]*\};",
        "(void)i;",
    ),
    Mutant(
        "feature_need_not_be_negotiated", "src/vhost/session.c", "test_messages.py::test_request_whose_feature_was_not_negotiated",
        r"rule->needs != VHOST_ALWAYS && ",
        "0 && ",
    ),
    Mutant(
        "removed_region_may_hold_a_ring", "src/vhost/memory.c", "test_mem_slots.py::test_region_with_a_running_ring_stays",
        r"if \(s->state\.vring\[i\]\.started &&",
        "if (0 &&",
    ),
    Mutant(
        "added_region_need_not_be_logged", "src/vhost/memory.c", "test_mem_slots.py::test_log_must_cover_an_added_region",
        r"if \(is_logging\(s\) && !dirty",
        "if (0 && !dirty",
    ),
    # --- peers that hold up ---------------------------------------------------------------------------
    Mutant(
        "hanging_worker_not_helped", "src/base/unblock.c", "test_slow_peer.py::test_call_descriptor_made_blocking_and_full",
        r"if \(ready && thread > 0\)",
        "if (0)",
    ),
    Mutant(
        "control_hangs_in_its_own_notification", "src/base/unblock.c",
        "test_slow_peer.py::test_control_is_not_held_up_by_its_own_notification",
        r"timer_arm\(PATIENCE_NS\);",
        "",
    ),
    Mutant(
        "unread_replies_keep_the_connection", "src/vhost/session.c", "test_slow_peer.py::test_replies_that_nobody_reads",
        r"\t\treturn -EPIPE;",
        "\t\treturn 0;",
    ),
    Mutant(
        "client_never_backs_off", "src/daemon/connector.c", "test_client.py::test_listener_that_hangs_up_at_once",
        r"c->delay_ms = c->delay_ms \* 2 < DELAY_MAX_MS \? c->delay_ms \* 2 : DELAY_MAX_MS;",
        ";",
    ),
    Mutant(
        "client_gives_up", "src/daemon/connector.c", "test_client.py::test_front_end_lets_go_and_goes_on_listening",
        r"\t\tc->said = -ECONNRESET;\n\t\}\n\tlater\(c\);",
        "\t\tc->said = -ECONNRESET;\n\t}",
    ),
    # --- the control socket -----------------------------------------------------------------------
    Mutant(
        "control_writes_for_readers", "src/daemon/rpc.c", "test_control.py::test_another_user_may_not_write",
        r"if \(m->writes && !r->may_write\)",
        "if (0)",
    ),
    Mutant(
        "control_everybody_may_write", "src/daemon/control_client.c", "test_control.py::test_another_user_may_not_write",
        r"cl->may_write = peer\.uid == 0 \|\|",
        "cl->may_write = true ||",
    ),
    Mutant(
        "control_no_budget", "src/daemon/control_client.c", "test_control_hostile.py::test_flood_costs_a_bounded_share",
        r"cl->budget -= \(int\)r\.handled;",
        "",
    ),
    Mutant(
        "control_stalls_after_a_flush", "src/daemon/control_client.c",
        "test_control_hostile.py::test_more_answers_than_may_wait",
        r"if \(done \|\| !may_answer\(cl\)\)\n",
        "if (1)\n",
    ),
    Mutant(
        "control_readers_take_all_places", "src/daemon/control_internal.h",
        "test_control_hostile.py::test_others_do_not_keep_root_out",
        r"#define CLIENTS_READERS_MAX 24",
        "#define CLIENTS_READERS_MAX 32",
    ),
    Mutant(
        "control_events_for_all", "src/daemon/control.c", "test_control.py::test_events_follow_the_states",
        r" \|\| !c->clients\[i\]->subscribed\)",
        ")",
    ),
    Mutant(
        "control_overflow_is_not_dropped", "src/daemon/control_client.c",
        "test_control_hostile.py::test_subscriber_that_never_reads",
        r'\tcl->dropped = "does not read";\n\t/\* Makes',
        "\treturn;\n\t/* Makes",
    ),
    Mutant(
        "control_socket_stays", "src/daemon/main.c", "test_control.py::test_control_path",
        r"listener_close\(&d->control_listener\);",
        "",
    ),
    # --- idling ------------------------------------------------------------------------------------
    Mutant(
        "kick_never_asked_for", "src/ring/split.c", "test_idle.py::test_first_frame_after_silence_takes_less_than_a_millisecond",
        r"avail_event_set\(r, r->avail_seen\);",
        ";",
    ),
    Mutant(
        "worker_never_sleeps", "src/path/idle.c", "test_idle.py::test_idle_vnic_uses_less_than_two_percent",
        r"!idle->nap_max_ns \|\|",
        "1 ||",
    ),
    Mutant(
        "kick_descriptor_never_drained", "src/path/idle.c", "test_idle.py::test_idle_vnic_uses_less_than_two_percent",
        r"\|\| fd_drain\(w->fd\)",
        "",
    ),
)
