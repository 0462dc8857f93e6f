/*
 * fuzz_session.c: a hostile front-end: messages, half messages, descriptors and truncated files come from the input.
 *
 * Behind the session, rings are bound and moved as a vNIC does, so that a wrong mapping is not only accepted but used. After
 * each input every descriptor is closed again, and the owner heard pause, apply and closed in order.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop.h"
#include "fuzz_messages.h"
#include "fuzz_owner.h"
#include "guest/fault.h"
#include "ring/split.h"

#define FDS_WATCHED 64

static const uint64_t offered = 1ull << VIRTIO_NET_F_MRG_RXBUF | 1ull << VIRTIO_F_INDIRECT_DESC |
				1ull << VIRTIO_F_EVENT_IDX | 1ull << VIRTIO_F_VERSION_1 |
				1ull << VHOST_F_LOG_ALL | 1ull << VHOST_USER_F_PROTOCOL_FEATURES;

static struct loop *loop;
static int turn_fd;
static struct fuzz_fds fds;
/** Whether this input may be wrong in small things. */
static bool wild;

static int fd, session_fd;
static struct vhost_session *session;

static void on_turn(void *arg, int turn, uint32_t events)
{
	struct pollfd p = { .fd = session_fd, .events = POLLIN };

	if (fuzz_owner_closed() || poll(&p, 1, 0) == 0)
		loop_stop(loop);
}

static void world_make(void)
{
	if (loop)
		return;
	REQUIRE(fault_install() == 0);
	REQUIRE(loop_new(&loop) == 0);
	turn_fd = eventfd(1, EFD_CLOEXEC);
	REQUIRE(loop_add(loop, turn_fd, EPOLLIN, on_turn, NULL) == 0);
	for (int i = 0; i < FUZZ_FILES; i++)
		fds.file[i] = memfd_create("fuzz", MFD_CLOEXEC);
	fds.log = memfd_create("fuzz-log", MFD_CLOEXEC);
	fds.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	REQUIRE(fds.event >= 0);
}

static unsigned int fds_open(void)
{
	unsigned int n = 0;

	for (int i = 0; i < FDS_WATCHED; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

static void send_bytes(const void *bytes, size_t len, const int *sent, uint32_t fd_count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 20)];
	} control = { .bytes = { 0 } };
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd_count) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(&control.align), sent, sizeof(int) * fd_count);
	}
	if (sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		REQUIRE(errno == EPIPE || errno == EAGAIN || errno == ETOOMANYREFS);
}

/* In pieces, now and then. The replies are read, so that the session never waits for room. */
static void send_message(struct fuzz_input *in, const void *message, uint32_t len, const int *sent,
			 uint32_t fd_count)
{
	const uint8_t *bytes = message;
	uint32_t cut = fuzz_below(in, 8) ? 0 : fuzz_below(in, len);
	uint8_t replies[256];

	if (cut) {
		send_bytes(bytes, cut, sent, fd_count);
		REQUIRE(loop_run(loop) == 0);
		fd_count = 0;
	}
	send_bytes(bytes + cut, len - cut, sent, fd_count);
	REQUIRE(loop_run(loop) == 0);
	while (recv(fd, replies, sizeof(replies), MSG_DONTWAIT) > 0)
		;
}

static void send_request(struct fuzz_input *in, uint32_t request, uint32_t ring)
{
	struct {
		struct vhost_header h;
		union vhost_payload p;
	} m = { .h = { .request = request } };
	uint8_t bytes[sizeof(m.h) + sizeof(m.p)];
	uint32_t size, fd_count;
	int sent[FUZZ_FDS];

	size = fuzz_payload(in, wild, request, ring, &m.p);
	fd_count = fuzz_descriptors(in, wild, request, &m.p, &fds, sent);
	if (fuzz_odd(in, wild, 64))
		size = fuzz_below(in, sizeof(m.p) + 1);
	m.h.flags = VHOST_FLAG_VERSION | (fuzz_below(in, 4) ? 0 : VHOST_FLAG_NEED_REPLY);
	if (fuzz_odd(in, wild, 64))
		m.h.flags = (uint32_t)fuzz_bytes(in, 4);
	m.h.size = fuzz_odd(in, wild, 64) ? (uint32_t)fuzz_bytes(in, 4) : size;
	memcpy(bytes, &m.h, sizeof(m.h));
	memcpy(bytes + sizeof(m.h), &m.p, sizeof(m.p));
	send_message(in, bytes, (uint32_t)sizeof(m.h) + size, sent, fd_count);
}

static void send_all(struct fuzz_input *in, const uint32_t *order, size_t count)
{
	for (size_t i = 0; i < count && !fuzz_owner_closed(); i++)
		send_request(in, order[i], i & 1);
}

/* What QEMU sends, in its order; requests in pairs are for a ring each. */
static void send_start(struct fuzz_input *in)
{
	static const uint32_t first[] = { VHOST_SET_PROTOCOL_FEATURES, VHOST_SET_FEATURES,
					  VHOST_SET_LOG_BASE,	       VHOST_SET_MEM_TABLE,
					  VHOST_SET_VRING_NUM,	       VHOST_SET_VRING_NUM,
					  VHOST_SET_VRING_ADDR,	       VHOST_SET_VRING_ADDR,
					  VHOST_SET_VRING_KICK,	       VHOST_SET_VRING_KICK };

	send_all(in, first, sizeof(first) / sizeof(first[0]));
}

/* The guest stores into its rings: a descriptor, or an available entry and the index. */
static void guest_store(struct fuzz_input *in)
{
	static uint16_t idx[2];
	uint32_t i = fuzz_below(in, 2), ring = 0x3000 * i;
	struct ring_desc d = { .addr = fuzz_below(in, 0x11000),
			       .len = fuzz_below(in, 4000),
			       .flags = (uint16_t)((i ? 0 : RING_DESC_WRITE) | fuzz_below(in, 2)),
			       .next = (uint16_t)fuzz_below(in, 8) };

	if (fuzz_below(in, 8) == 0) {
		d.flags = RING_DESC_INDIRECT;
		d.len = 16 * fuzz_below(in, 8);
		d.addr = ring;
	}
	idx[i] = (uint16_t)(idx[i] + fuzz_below(in, 4));
	if (fuzz_odd(in, wild, 32))
		idx[i] = (uint16_t)fuzz_bytes(in, 2);
	REQUIRE(pwrite(fds.file[0], &d, sizeof(d), ring + 16 * fuzz_below(in, 8)) > 0);
	REQUIRE(pwrite(fds.file[0], &idx[i], 2, ring + 0x1002) == 2);
	REQUIRE(pwrite(fds.file[0], &d.next, 2, ring + 0x1004 + 2 * fuzz_below(in, 64)) == 2);
}

static void send_noise(struct fuzz_input *in)
{
	uint8_t raw[40];

	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)fuzz_bytes(in, 1);
	send_message(in, raw, 1 + fuzz_below(in, sizeof(raw)), &fds.event, fuzz_below(in, 2));
}

/* Messages that leave the connection as it is, when they are right. */
static const uint32_t under_way[] = {
	VHOST_SET_MEM_TABLE,	VHOST_SET_LOG_BASE,   VHOST_SET_VRING_ADDR, VHOST_SET_VRING_CALL,
	VHOST_SET_VRING_ENABLE, VHOST_SET_FEATURES,   VHOST_GET_VRING_BASE, VHOST_SET_VRING_KICK,
	VHOST_SEND_RARP,	VHOST_GET_QUEUE_NUM,  VHOST_SET_VRING_ERR,  VHOST_GET_FEATURES,
	VHOST_SET_VRING_CALL,	VHOST_SET_VRING_KICK, VHOST_SET_LOG_FD,	    VHOST_SET_OWNER,
	VHOST_ADD_MEM_REG,	VHOST_REM_MEM_REG,    VHOST_SET_STATUS,	    VHOST_GET_STATUS,
	VHOST_GET_INFLIGHT_FD,	VHOST_NET_SET_MTU,    VHOST_ADD_MEM_REG,    VHOST_GET_MAX_MEM_SLOTS,
};

/* The device is reset, and starts again: the in-flight record is a file of random bytes. */
static void send_restart(struct fuzz_input *in)
{
	static const uint32_t order[] = { VHOST_RESET_DEVICE,	VHOST_SET_INFLIGHT_FD,
					  VHOST_SET_FEATURES,	VHOST_GET_STATUS,
					  VHOST_SET_VRING_NUM,	VHOST_SET_VRING_NUM,
					  VHOST_SET_VRING_ADDR, VHOST_SET_VRING_ADDR,
					  VHOST_SET_VRING_KICK, VHOST_SET_VRING_KICK };
	uint64_t words[2] = { 0, fuzz_bytes(in, 1) | fuzz_bytes(in, 1) << 16 };

	for (uint32_t i = 0; i < 8; i++)
		REQUIRE(pwrite(fds.file[1], words, sizeof(words), 16 * fuzz_below(in, 64)) == 16);
	send_all(in, order, sizeof(order) / sizeof(order[0]));
}

static void step(struct fuzz_input *in)
{
	uint32_t what = fuzz_below(in, 32);

	if (what == 0 && wild)
		send_noise(in);
	else if (what == 1)
		REQUIRE(ftruncate(fds.file[fuzz_below(in, FUZZ_FILES)],
				  fuzz_below(in, 9) * 0x1000) == 0);
	else if (what == 2)
		REQUIRE(ftruncate(fds.log, 0) == 0);
	else if (what == 3)
		send_request(in, fuzz_below(in, 42), fuzz_below(in, 2));
	else if (what == 4)
		send_restart(in);
	else if (what < 16)
		guest_store(in);
	else
		send_request(in, under_way[fuzz_below(in, 24)], fuzz_below(in, 2));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	unsigned int before;
	int pair[2];

	world_make();
	before = fds_open();
	fuzz_owner_reset();
	for (int i = 0; i < FUZZ_FILES; i++)
		REQUIRE(ftruncate(fds.file[i], 0) == 0 &&
			ftruncate(fds.file[i], FUZZ_FILE_BYTES) == 0);
	REQUIRE(ftruncate(fds.log, FUZZ_LOG_BYTES) == 0);
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	fd = pair[0];
	session_fd = pair[1];
	REQUIRE(vhost_session_new(loop, pair[1], offered, &fuzz_owner_ops, NULL, &session) == 0);
	wild = fuzz_below(&in, 3);
	send_start(&in);
	while (in.left && !fuzz_owner_closed())
		step(&in);
	close(fd);
	if (!fuzz_owner_closed())
		REQUIRE(loop_run(loop) == 0);
	REQUIRE(fuzz_owner_closed());
	REQUIRE(fds_open() == before);
	return 0;
}
