/* offload.h: what of a port's own abilities is used, and how large its frames and buffers are. */
#ifndef GODWIT_VF_OFFLOAD_H
#define GODWIT_VF_OFFLOAD_H

#include "vf/vf.h"

struct rte_eth_conf;
struct rte_eth_dev_info;

/**
 * Choose offloads, MTU and the size of host buffers, before the port is configured.
 * @param vf    offloads, limits and mtu are filled in
 * @param mtu   wanted; 0: 1500, or what less the port takes
 * @param conf  gets the port's MTU and offloads
 * @param room  bytes of a host buffer without its headroom
 * @return      0, or -EMSGSIZE when the port's frames are not that large
 */
int vf_offload_choose(struct vf *vf, const struct rte_eth_dev_info *info, uint16_t mtu,
		      struct rte_eth_conf *conf, uint16_t *room, struct err *e);

#endif
