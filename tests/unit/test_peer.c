/* test_peer.c: a control client's buffers: lines in, text out, both bounded. */
#include <fcntl.h>
#include <sys/socket.h>

#include "daemon/peer.h"
#include "unit.h"

struct fixture {
	struct peer p;
	int other;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fds[2], size = 4096;

	if (!f || socketpair(AF_UNIX, SOCK_STREAM, 0, fds)) {
		free(f);
		return -1;
	}
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	f->p.fd = fds[0];
	f->other = fds[1];
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	peer_clear(&f->p);
	close(f->p.fd);
	if (f->other >= 0)
		close(f->other);
	free(f);
	return 0;
}

static void give(struct fixture *f, const char *text, size_t len)
{
	assert_int_equal(write(f->other, text, len), len);
}

static void assert_line(struct fixture *f, const char *text)
{
	const char *line;
	size_t len;

	assert_int_equal(peer_line(&f->p, &line, &len), 1);
	assert_int_equal(len, strlen(text));
	assert_memory_equal(line, text, len);
}

static void assert_no_line(struct fixture *f)
{
	const char *line;
	size_t len;

	assert_int_equal(peer_line(&f->p, &line, &len), 0);
}

static void nothing_there(void **state)
{
	struct fixture *f = *state;

	assert_no_line(f);
	assert_int_equal(peer_fill(&f->p), -EAGAIN);
	assert_no_line(f);
}

static void lines_in_pieces(void **state)
{
	struct fixture *f = *state;

	give(f, "one\ntw", 6);
	assert_int_equal(peer_fill(&f->p), 1);
	assert_line(f, "one");
	assert_no_line(f);
	give(f, "o\n\nthree\n", 9);
	assert_int_equal(peer_fill(&f->p), 1);
	assert_line(f, "two");
	assert_line(f, "");
	assert_line(f, "three");
	assert_no_line(f);
}

static void the_end(void **state)
{
	struct fixture *f = *state;

	give(f, "last\nhalf", 9);
	close(f->other);
	f->other = -1;
	assert_int_equal(peer_fill(&f->p), 1);
	assert_line(f, "last");
	assert_int_equal(peer_fill(&f->p), 0);
	assert_no_line(f);
}

static void longest_line(void **state)
{
	struct fixture *f = *state;
	char text[PEER_LINE_MAX];
	const char *line;
	size_t len;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\n';
	/* Behind another one, so that it has to be moved to the front to fit. */
	give(f, "a\n", 2);
	assert_int_equal(peer_fill(&f->p), 1);
	assert_line(f, "a");
	give(f, text, sizeof(text));
	assert_int_equal(peer_fill(&f->p), 1);
	assert_int_equal(peer_line(&f->p, &line, &len), 1);
	assert_int_equal(len, sizeof(text) - 1);
	assert_no_line(f);
}

static void line_too_long(void **state)
{
	struct fixture *f = *state;
	char text[PEER_LINE_MAX + 1];
	const char *line;
	size_t len;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\n';
	give(f, text, sizeof(text));
	assert_int_equal(peer_fill(&f->p), 1);
	assert_int_equal(peer_line(&f->p, &line, &len), -EMSGSIZE);
	assert_int_equal(peer_line(&f->p, &line, &len), -EMSGSIZE);
}

static void sends(void **state)
{
	struct fixture *f = *state;
	char got[16];

	assert_int_equal(peer_flush(&f->p), 0);
	assert_int_equal(peer_queue(&f->p, "one\n", 4), 0);
	assert_int_equal(peer_queue(&f->p, "two\n", 4), 0);
	assert_int_equal(peer_waiting(&f->p), 8);
	assert_int_equal(peer_flush(&f->p), 0);
	assert_int_equal(peer_waiting(&f->p), 0);
	assert_int_equal(read(f->other, got, sizeof(got)), 8);
	assert_memory_equal(got, "one\ntwo\n", 8);
	/* An idle client costs no buffer. */
	assert_null(f->p.out);
}

/* More than the socket takes, in odd pieces: nothing is lost, doubled or out of order. */
static void sends_what_the_socket_takes(void **state)
{
	struct fixture *f = *state;
	unsigned int queued = 0, got = 0;
	unsigned char piece[613], in[701];
	ssize_t n;

	while (got < 500000) {
		for (unsigned int i = 0; i < sizeof(piece); i++)
			piece[i] = (unsigned char)((queued + i) % 251);
		if (peer_queue(&f->p, (const char *)piece, sizeof(piece)) == 0)
			queued += sizeof(piece);
		assert_int_equal(peer_flush(&f->p), 0);
		n = recv(f->other, in, sizeof(in), MSG_DONTWAIT);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(in[i], (got + (unsigned int)i) % 251);
		got += n > 0 ? (unsigned int)n : 0;
	}
}

static void too_much_waits(void **state)
{
	struct fixture *f = *state;
	static char text[PEER_OUT_MAX + 1];

	assert_int_equal(peer_queue(&f->p, text, sizeof(text)), -ENOBUFS);
	assert_int_equal(peer_waiting(&f->p), 0);
	assert_int_equal(peer_queue(&f->p, text, PEER_OUT_MAX), 0);
	assert_int_equal(peer_queue(&f->p, text, 1), -ENOBUFS);
	assert_int_equal(peer_waiting(&f->p), PEER_OUT_MAX);
	/* What the socket took makes room. */
	assert_int_equal(peer_flush(&f->p), 0);
	assert_in_range(peer_waiting(&f->p), 1, PEER_OUT_MAX - 1);
	assert_int_equal(peer_queue(&f->p, text, 1), 0);
}

static void reader_gone(void **state)
{
	struct fixture *f = *state;

	close(f->other);
	f->other = -1;
	assert_int_equal(peer_queue(&f->p, "x", 1), 0);
	assert_int_equal(peer_flush(&f->p), -EPIPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(nothing_there),  T(lines_in_pieces),
		T(the_end),	   T(longest_line),
		T(line_too_long),  T(sends),
		T(too_much_waits), T(sends_what_the_socket_takes),
		T(reader_gone),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
