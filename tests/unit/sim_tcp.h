/* sim_tcp.h: TCP frames as a guest gives them away to be finished, and a receiver that checks what came of them. */
#ifndef GODWIT_TESTS_SIM_TCP_H
#define GODWIT_TESTS_SIM_TCP_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_TCP_MAX 66000u

/** A frame. Lengths in bytes; options and extension headers are filled with padding options. */
struct sim_tcp {
	bool ip6;
	unsigned int tags;
	/** IPv4 options (multiple of 4, to 40) or a destination-options header (multiple of 8). */
	unsigned int ip_options;
	/** Multiple of 4, to 40. */
	unsigned int tcp_options;
	uint8_t flags;
	uint16_t id;
	uint32_t seq, payload;
};

/** Bytes in front of the payload, and in front of TCP's header. */
uint32_t sim_tcp_head(const struct sim_tcp *t);
uint32_t sim_tcp_start(const struct sim_tcp *t);
/** Write the frame with the pseudo-header's sum in TCP's checksum, as a driver does. Returns its length. */
uint32_t sim_tcp_build(const struct sim_tcp *t, uint8_t *frame);
/** Payload byte @p i of every frame. */
uint8_t sim_tcp_byte(uint32_t i);
/**
 * Receive @p frame: it must carry what follows byte @p at of the payload, be right in every field, and be segment @p n of
 * those that @p t was cut into. Ends the test when it is not.
 * @return  bytes of payload
 */
uint32_t sim_tcp_check(const struct sim_tcp *t, const uint8_t *frame, uint32_t len, uint32_t at,
		       uint32_t n);

#endif
