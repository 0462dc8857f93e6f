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
#include "fuzz.h"
#include "guest/fault.h"
#include "ring/ring.h"
#include "vhost/message.h"
#include "vhost/session.h"

#define FILES 2
#define FILE_BYTES 0x8000u
#define LOG_BYTES 64u
#define FDS_WATCHED 64

static const uint64_t offered = 1ull << VIRTIO_NET_F_MRG_RXBUF | 1ull << VIRTIO_F_INDIRECT_DESC |
				1ull << VIRTIO_F_EVENT_IDX | 1ull << VIRTIO_F_VERSION_1 |
				1ull << VHOST_F_LOG_ALL | 1ull << VHOST_USER_F_PROTOCOL_FEATURES;

static struct loop *loop;
static int turn_fd;
/** What the front-end can send: two files of memory, a log, an eventfd. */
static int file[FILES], log_file, event;

static struct {
	int fd, session_fd;
	struct vhost_session *session;
	bool paused, closed;
	struct ring ring[VHOST_VRINGS];
	bool bound[VHOST_VRINGS];
} f;
static struct ring_chain chain;

static void on_pause(void *arg)
{
	f.paused = true;
}

/* Uses what the rings were given: a chain or two, taken, filled and given back. */
static void ring_work(struct ring *r)
{
	static uint8_t bytes[3000];

	for (int i = 0; i < 3 && !r->broken && ring_pop(r, &chain) == 1; i++) {
		struct ring_cursor at = { 0 };

		if (r->cfg.device_writes)
			ring_copy_to(r, &chain, &at, bytes, sizeof(bytes));
		else
			ring_copy_from(&chain, &at, bytes, sizeof(bytes));
		ring_push(r, chain.head, 7);
	}
	ring_suppress_kicks(r, true);
	ring_publish(r);
}

static int ring_match(const struct vhost_state *s, int i, struct err *e)
{
	const struct vhost_vring *v = &s->vring[i];
	struct ring_config cfg = { .size = (uint16_t)v->size,
				   .desc = v->desc,
				   .avail = v->avail,
				   .used = v->used,
				   .used_log = v->used_log,
				   .log_used = v->log_used,
				   .event_idx = vhost_has(s, VIRTIO_F_EVENT_IDX),
				   .indirect = vhost_has(s, VIRTIO_F_INDIRECT_DESC),
				   .device_writes = i == 0,
				   .call_fd = v->call_fd };
	int rc;

	if (!v->started) {
		f.bound[i] = false;
		return 0;
	}
	REQUIRE(s->mem && v->has_addr && v->has_size);
	rc = ring_bind(&f.ring[i], &cfg, s->mem, vhost_has(s, VHOST_F_LOG_ALL) ? s->log : NULL,
		       f.bound[i], v->base, e);
	f.bound[i] = rc == 0;
	if (!rc)
		ring_work(&f.ring[i]);
	return rc;
}

static int on_apply(void *arg, const struct vhost_state *s, struct err *e)
{
	int rc = 0;

	REQUIRE(f.paused);
	f.paused = false;
	/* Logging covers all memory, always. */
	for (unsigned int i = 0; s->mem && s->log && vhost_has(s, VHOST_F_LOG_ALL) && i < s->mem->count;
	     i++)
		REQUIRE(dirty_log_covers(s->log, s->mem->region[i].gpa,
					 s->mem->region[i].size_bytes));
	for (int i = 0; i < VHOST_VRINGS && !rc; i++)
		rc = ring_match(s, i, e);
	return rc;
}

static uint16_t on_vring_base(void *arg, unsigned int index)
{
	REQUIRE(f.paused && index < VHOST_VRINGS);
	f.bound[index] = false;
	return f.ring[index].next_avail;
}

static void on_announce(void *arg, const uint8_t mac[6])
{
}

static void on_closed(void *arg, const char *reason)
{
	REQUIRE(!f.closed && !f.paused && reason[0]);
	REQUIRE(!f.bound[0] && !f.bound[1]);
	f.closed = true;
}

static const struct vhost_ops ops = { on_pause, on_apply, on_vring_base, on_announce, on_closed };

static void on_turn(void *arg, int fd, uint32_t events)
{
	struct pollfd p = { .fd = f.session_fd, .events = POLLIN };

	if (f.closed || poll(&p, 1, 0) == 0)
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
	for (int i = 0; i < FILES; i++)
		file[i] = memfd_create("fuzz", MFD_CLOEXEC);
	log_file = memfd_create("fuzz-log", MFD_CLOEXEC);
	event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	REQUIRE(event >= 0);
}

static unsigned int fds_open(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < FDS_WATCHED; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void send_bytes(const void *bytes, size_t len, const int *fds, uint32_t fd_count)
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
		memcpy(CMSG_DATA(&control.align), fds, sizeof(int) * fd_count);
	}
	if (sendmsg(f.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		REQUIRE(errno == EPIPE || errno == EAGAIN || errno == ETOOMANYREFS);
}

/* In pieces, now and then. The replies are read, so that the session never waits for room. */
static void send_message(struct fuzz_input *in, const void *message, uint32_t len, const int *fds,
			 uint32_t fd_count)
{
	const uint8_t *bytes = message;
	uint32_t cut = fuzz_below(in, 8) ? 0 : fuzz_below(in, len);
	uint8_t replies[256];

	if (cut) {
		send_bytes(bytes, cut, fds, fd_count);
		REQUIRE(loop_run(loop) == 0);
		fd_count = 0;
	}
	send_bytes(bytes + cut, len - cut, fds, fd_count);
	REQUIRE(loop_run(loop) == 0);
	while (recv(f.fd, replies, sizeof(replies), MSG_DONTWAIT) > 0)
		;
}

static uint64_t region_value(struct fuzz_input *in, uint64_t good)
{
	switch (fuzz_below(in, 24)) {
	case 0:
		return fuzz_bytes(in, 8);
	case 1:
		return good + 0x1000 * fuzz_below(in, 8);
	case 2:
		return 0ull - 0x1000 * fuzz_below(in, 4);
	default:
		return good;
	}
}

/* Fills the payload with something near to what belongs there; returns its size. */
static uint32_t payload_make(struct fuzz_input *in, uint32_t request, union vhost_payload *p)
{
	uint32_t ring = fuzz_below(in, 16) ? fuzz_below(in, 2) : (uint32_t)fuzz_bytes(in, 4);
	uint64_t at = 0x100000 + (ring & 1) * 0x3000;

	switch (request) {
	case VHOST_SET_MEM_TABLE:
		p->mem.count = fuzz_below(in, 24) ? 1 + fuzz_below(in, 2) : fuzz_below(in, 10);
		for (uint32_t i = 0; i < GUEST_MAX_REGIONS; i++)
			p->mem.region[i] = (struct vhost_region){
				.gpa = region_value(in, i * 0x10000),
				.size = region_value(in, FILE_BYTES - 0x1000 * fuzz_below(in, 2)),
				.uva = region_value(in, 0x100000 + i * 0x10000),
				.mmap_offset = region_value(in, 0),
			};
		return (uint32_t)offsetof(struct vhost_mem_table, region) +
		       (p->mem.count & 15) * (uint32_t)sizeof(p->mem.region[0]);
	case VHOST_SET_LOG_BASE:
		p->log.mmap_size = region_value(in, LOG_BYTES - fuzz_below(in, 2) * 60);
		p->log.mmap_offset = fuzz_below(in, 8) ? 0 : fuzz_below(in, 100);
		return 16;
	case VHOST_SET_VRING_ADDR:
		p->addr = (struct vhost_vring_addr){ .index = ring,
						     .flags = fuzz_below(in, 3),
						     .desc = region_value(in, at),
						     .avail = region_value(in, at + 0x1000),
						     .used = region_value(in, at + 0x2000),
						     .log = region_value(in, 0x2000) };
		return 40;
	case VHOST_SET_VRING_NUM:
		p->state.index = ring;
		p->state.num = fuzz_below(in, 8) ? 1u << fuzz_below(in, 9) :
						   (uint32_t)fuzz_bytes(in, 4);
		return 8;
	case VHOST_SET_FEATURES:
		p->u64 = offered & ~(fuzz_bytes(in, 5) & (fuzz_below(in, 2) ? ~0ull : 0));
		return 8;
	case VHOST_SET_VRING_KICK:
	case VHOST_SET_VRING_CALL:
	case VHOST_SET_VRING_ERR:
		p->u64 = ring | (fuzz_below(in, 4) ? 0 : VHOST_VRING_NO_FD);
		return 8;
	case VHOST_GET_VRING_BASE:
	case VHOST_SET_VRING_BASE:
	case VHOST_SET_VRING_ENABLE:
		p->state.index = ring;
		p->state.num = fuzz_below(in, 2) ? 0 : (uint32_t)fuzz_bytes(in, 2);
		return 8;
	case VHOST_SET_PROTOCOL_FEATURES:
		p->u64 = fuzz_below(in, 17);
		return 8;
	case VHOST_SEND_RARP:
		return 8;
	default:
		return 0;
	}
}

/* As many as belong to the message, or any number. */
static uint32_t fds_make(struct fuzz_input *in, uint32_t request, const union vhost_payload *p,
			 int *fds)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < 20; i++)
		fds[i] = request == VHOST_SET_MEM_TABLE ? file[i % FILES] :
			 request == VHOST_SET_LOG_BASE	? log_file :
							  event;
	if (fuzz_below(in, 32) == 0) {
		fds[fuzz_below(in, 4)] = file[1];
		return fuzz_below(in, 20);
	}
	if (request == VHOST_SET_MEM_TABLE)
		n = p->mem.count < 20 ? p->mem.count : 0;
	else if (request == VHOST_SET_LOG_BASE || request == VHOST_SET_LOG_FD)
		n = 1;
	else if (request >= VHOST_SET_VRING_KICK && request <= VHOST_SET_VRING_ERR)
		n = !(p->u64 & VHOST_VRING_NO_FD);
	return n;
}

static void send_request(struct fuzz_input *in, uint32_t request)
{
	struct {
		struct vhost_header h;
		union vhost_payload p;
	} __attribute__((packed)) m = { .h = { .request = request } };
	union vhost_payload p = { .u64 = 0 };
	uint32_t size, fd_count;
	int fds[20];

	m.h.flags = VHOST_FLAG_VERSION | (fuzz_below(in, 4) ? 0 : VHOST_FLAG_NEED_REPLY);
	size = payload_make(in, request, &p);
	if (size > sizeof(p))
		size = sizeof(p);
	fd_count = fds_make(in, request, &p, fds);
	if (fuzz_below(in, 64) == 0)
		size = fuzz_below(in, sizeof(p) + 1);
	m.h.size = fuzz_below(in, 64) ? size : (uint32_t)fuzz_bytes(in, 4);
	if (fuzz_below(in, 64) == 0)
		m.h.flags = (uint32_t)fuzz_bytes(in, 4);
	m.p = p;
	send_message(in, &m, (uint32_t)sizeof(m.h) + size, fds, fd_count);
}

/* What QEMU sends, in its order: without it few inputs would get as far as running rings. */
static void send_start(struct fuzz_input *in)
{
	static const uint32_t order[] = { VHOST_SET_PROTOCOL_FEATURES, VHOST_SET_FEATURES,
					  VHOST_SET_MEM_TABLE, VHOST_SET_LOG_BASE,
					  VHOST_SET_VRING_NUM, VHOST_SET_VRING_NUM,
					  VHOST_SET_VRING_ADDR, VHOST_SET_VRING_ADDR,
					  VHOST_SET_VRING_CALL, VHOST_SET_VRING_KICK,
					  VHOST_SET_VRING_KICK, VHOST_GET_VRING_BASE };

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]) && !f.closed; i++)
		send_request(in, order[i]);
}

/* The guest stores anywhere in its memory, mostly in its rings: a descriptor, or an available entry and the index. */
static void guest_store(struct fuzz_input *in)
{
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} d = { 0x10000 * fuzz_below(in, 2) + fuzz_below(in, FILE_BYTES), fuzz_below(in, 4000),
		(uint16_t)fuzz_below(in, 8), (uint16_t)fuzz_below(in, 8) };
	uint16_t idx[4] = { 0, (uint16_t)fuzz_below(in, 8), (uint16_t)fuzz_below(in, 8), 0 };
	uint32_t ring = 0x3000 * fuzz_below(in, 2);

	if (fuzz_below(in, 2))
		REQUIRE(pwrite(file[0], &d, sizeof(d), ring + 16 * fuzz_below(in, 8)) > 0);
	else
		REQUIRE(pwrite(file[0], idx, sizeof(idx), ring + 0x1000) > 0);
}

static void step(struct fuzz_input *in)
{
	uint8_t raw[40];

	switch (fuzz_below(in, 24)) {
	case 0:
		for (size_t i = 0; i < sizeof(raw); i++)
			raw[i] = (uint8_t)fuzz_bytes(in, 1);
		send_message(in, raw, 1 + fuzz_below(in, sizeof(raw)), &event, fuzz_below(in, 2));
		break;
	case 1:
		REQUIRE(ftruncate(file[fuzz_below(in, FILES)], fuzz_below(in, 9) * 0x1000) == 0);
		break;
	case 2:
		REQUIRE(ftruncate(log_file, 0) == 0);
		break;
	case 3:
	case 4:
	case 5:
		send_start(in);
		break;
	case 6:
	case 7:
	case 8:
	case 9:
		guest_store(in);
		break;
	default:
		send_request(in, fuzz_below(in, 21));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	unsigned int before;
	int pair[2];

	world_make();
	before = fds_open();
	memset(&f, 0, sizeof(f));
	for (int i = 0; i < FILES; i++)
		REQUIRE(ftruncate(file[i], 0) == 0 && ftruncate(file[i], FILE_BYTES) == 0);
	REQUIRE(ftruncate(log_file, LOG_BYTES) == 0);
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	f.fd = pair[0];
	f.session_fd = pair[1];
	REQUIRE(vhost_session_new(loop, pair[1], offered, &ops, NULL, &f.session) == 0);
	while (in.left && !f.closed)
		step(&in);
	close(f.fd);
	if (!f.closed)
		REQUIRE(loop_run(loop) == 0);
	REQUIRE(f.closed);
	REQUIRE(fds_open() == before);
	return 0;
}
