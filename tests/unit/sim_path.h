/* sim_path.h: a path between the simulated guest and the simulated VF, for the tests of path/. */
#ifndef GODWIT_TESTS_SIM_PATH_H
#define GODWIT_TESTS_SIM_PATH_H

#include "path/internal.h"
#include "sim_guest.h"
#include "sim_port.h"

/** Buffers of the guest: slot i of a ring. Receive buffers in region 2, transmit buffers in region 0. */
#define SIM_RX_BUFFER(i) (SIM_R2 + 2048ull * (i))
#define SIM_TX_BUFFER(i) (SIM_R0 + 0x40000 + 2048ull * (i))

struct sim_path {
	struct sim_guest guest;
	struct sim_port port;
	struct sim_ring rx, tx;
	struct path *path;
	uint8_t header_bytes;
	uint16_t rx_head, tx_head;
};

/** Paused, rings of 256 bound, active and enabled: path_rx_poll() and path_tx_poll() may be called. */
void sim_path_new(struct sim_path *s, uint8_t header_bytes, bool mergeable);
void sim_path_free(struct sim_path *s);
/** Bind both rings to @p log and start them at entry 0. */
void sim_path_bind(struct sim_path *s, struct dirty_log *log);
/** Bytes that tell which frame they are. */
void sim_frame(uint8_t *bytes, uint32_t len, uint32_t number);
/** The guest posts a receive buffer of @p len bytes. */
void sim_post(struct sim_path *s, uint32_t len);
/** The guest sends a frame, header in front, in pieces of @p piece bytes (0: one). */
void sim_transmit(struct sim_path *s, const uint8_t *frame, uint32_t len, uint32_t piece);
/** The guest takes a received frame as its driver does; returns its length, or -1. Checks header and num_buffers. */
int sim_receive(struct sim_path *s, uint8_t *frame, uint32_t size, unsigned int *buffers);
/** A counter by name. */
#define sim_counter(s, name) path_counted(&path_counters((s)->path)->name)

#endif
