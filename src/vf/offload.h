/* offload.h: what of a port's own abilities is used, and how large its frames and buffers are. */
#ifndef GODWIT_VF_OFFLOAD_H
#define GODWIT_VF_OFFLOAD_H

#include "vf/vf.h"

struct rte_eth_conf;
struct rte_eth_dev_info;

/**
 * Bytes of a host buffer without its headroom: a frame of @p mtu (0: 1500) fits one, whatever the
 * device. So a port need not be able to receive into several, and a vNIC's next device may have
 * other abilities.
 */
uint16_t vf_offload_room(uint16_t mtu);
/**
 * Choose offloads and MTU, before the port is configured.
 * @param vf    offloads, limits and mtu are filled in
 * @param mtu   wanted; 0: 1500, or what less the port takes
 * @param conf  gets the port's MTU and offloads
 * @return      0, or -EMSGSIZE when the port's frames are not that large
 */
int vf_offload_choose(struct vf *vf, const struct rte_eth_dev_info *info, uint16_t mtu,
		      struct rte_eth_conf *conf, struct err *e);

#endif
