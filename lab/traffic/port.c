/* A raw socket on one network interface that carries numbered frames. */
#include "port.h"

#include "frame.h"
#include "timing.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKET_BYTES (16 << 20)
#define SLOT_BYTES 2048

static uint8_t slots[PORT_BURST][SLOT_BYTES];
static uint8_t controls[PORT_BURST][CMSG_SPACE(sizeof(struct timespec))];

static int bind_to(struct port *p, const char *name)
{
	struct sockaddr_ll sll = { .sll_family = AF_PACKET,
				   .sll_protocol = htons(FRAME_ETHERTYPE) };
	struct ifreq ifr = { 0 };
	int bytes = SOCKET_BYTES, one = 1;

	strncpy(ifr.ifr_name, name, sizeof(ifr.ifr_name) - 1);
	if (ioctl(p->fd, SIOCGIFHWADDR, &ifr))
		return -errno;
	memcpy(p->mac, ifr.ifr_hwaddr.sa_data, 6);
	sll.sll_ifindex = (int)if_nametoindex(name);
	if (setsockopt(p->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) ||
	    setsockopt(p->fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) ||
	    setsockopt(p->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) ||
	    bind(p->fd, (struct sockaddr *)&sll, sizeof(sll)))
		return -errno;
	return 0;
}

int port_open(struct port *p, const char *name)
{
	int err;

	*p = (struct port){ .fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) };
	if (p->fd < 0)
		return -errno;
	err = bind_to(p, name);
	if (err) {
		close(p->fd);
		p->fd = -1;
	}
	return err;
}

static uint64_t arrival_time(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		struct timespec ts;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&ts, CMSG_DATA(c), sizeof(ts));
		return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
	}
	return real_ns();
}

int port_recv(struct port *p, struct port_frame out[PORT_BURST])
{
	struct mmsghdr msgs[PORT_BURST] = { 0 };
	struct iovec iov[PORT_BURST];
	int n;

	for (int i = 0; i < PORT_BURST; i++) {
		iov[i] = (struct iovec){ slots[i], SLOT_BYTES };
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i],
						   .msg_iovlen = 1,
						   .msg_control = controls[i],
						   .msg_controllen = sizeof(controls[i]) };
	}
	n = recvmmsg(p->fd, msgs, PORT_BURST, MSG_DONTWAIT, NULL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENETDOWN ? 0 : -errno;
	for (int i = 0; i < n; i++)
		out[i] = (struct port_frame){ slots[i], msgs[i].msg_len,
					      arrival_time(&msgs[i].msg_hdr) };
	return n;
}

int port_send(struct port *p, const struct port_out *out, int count)
{
	struct mmsghdr msgs[PORT_BURST] = { 0 };
	struct iovec iov[PORT_BURST];
	int n;

	for (int i = 0; i < count; i++) {
		iov[i] = (struct iovec){ (void *)(uintptr_t)out[i].data, out[i].len };
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
	}
	n = sendmmsg(p->fd, msgs, (unsigned int)count, MSG_DONTWAIT);
	if (n >= 0)
		return n;
	return errno == ENOBUFS || errno == EINTR ? -EAGAIN : -errno;
}

void port_count_drops(struct port *p)
{
	struct tpacket_stats st;
	socklen_t len = sizeof(st);

	if (!getsockopt(p->fd, SOL_PACKET, PACKET_STATISTICS, &st, &len))
		p->drops += st.tp_drops;
}
