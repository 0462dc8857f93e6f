/*
 * fuzz_rpc.c: control requests: real buffers and the real JSON-RPC, any bytes, in any pieces.
 *
 * Pieces of requests are put together as an input says, so that most lines are nearly right. Held: a reply is
 * well-formed, each request costs, a write method never runs for who may only read.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/peer.h"
#include "daemon/rpc.h"
#include "fuzz.h"

static bool may_write;
static unsigned int ran;

static int run_read(void *arg, const json_t *params, json_t **result, struct err *e)
{
	ran++;
	*result = json_deep_copy(params);
	return 0;
}

static int run_write(void *arg, const json_t *params, json_t **result, struct err *e)
{
	REQUIRE(may_write);
	REQUIRE(json_is_string(json_object_get(params, "text")));
	ran++;
	return err_set(e, -5, "%s", json_string_value(json_object_get(params, "text")));
}

static const struct rpc_param write_params[] = {
	{ "text", RPC_STRING, true },
	{ "flag", RPC_BOOL, false },
	{ NULL, RPC_STRING, false },
};

static const struct rpc_method methods[] = {
	{ "read", false, write_params + 2, run_read },
	{ "write", true, write_params, run_write },
	{ NULL, false, NULL, NULL },
};

static const char *const pieces[] = {
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"read\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"write\",\"params\":{\"text\":\"x\"}}",
	"{\"jsonrpc\":\"2.0\",",
	"\"id\":",
	"\"method\":",
	"\"read\"",
	"\"write\"",
	"\"params\":",
	"{\"text\":\"\xc3\xa4\",\"flag\":true}",
	"\"text\":",
	"[",
	"]",
	"{",
	"}",
	",",
	":",
	"1e400",
	"null",
	"\"\\u0000\"",
	"\"\\ud800\"",
	" ",
	"\r",
};

static void answer_check(const json_t *answer)
{
	REQUIRE(json_is_object(answer) && json_object_get(answer, "id"));
	REQUIRE(!json_object_get(answer, "error") != !json_object_get(answer, "result"));
}

static void reply_check(const json_t *reply)
{
	const json_t *each;
	size_t i;

	if (!json_is_array(reply)) {
		answer_check(reply);
		return;
	}
	REQUIRE(json_array_size(reply) > 0);
	json_array_foreach(reply, i, each)
		answer_check(each);
}

static void line_answer(struct peer *p, const char *line, size_t len)
{
	struct rpc r = { .methods = methods, .may_write = may_write };
	unsigned int before = ran;
	json_t *reply = rpc_answer(&r, line, len);
	char *text;

	REQUIRE(r.handled >= 1 && ran - before <= r.handled);
	if (!reply)
		return;
	reply_check(reply);
	text = json_dumps(reply, JSON_COMPACT);
	REQUIRE(text && !strchr(text, '\n'));
	peer_queue(p, text, strlen(text));
	REQUIRE(peer_waiting(p) <= PEER_OUT_MAX);
	free(text);
	json_decref(reply);
}

static void lines_take(struct peer *p)
{
	const char *line;
	size_t len;
	int rc;

	while ((rc = peer_line(p, &line, &len)) == 1) {
		REQUIRE(line >= p->in && line + len < p->in + sizeof(p->in));
		line_answer(p, line, len);
	}
	/* As the control socket does: that client is gone. */
	if (rc < 0)
		p->in_at = p->in_end = 0;
}

static void some_bytes(struct fuzz_input *in, int fd)
{
	uint32_t what = fuzz_below(in, 32), times = 1;
	char raw[8];

	if (what < sizeof(pieces) / sizeof(pieces[0])) {
		/* Now and then deep, or long. */
		if (fuzz_below(in, 16) == 0)
			times = fuzz_below(in, 300);
		for (uint32_t i = 0; i < times; i++)
			send(fd, pieces[what], strlen(pieces[what]), MSG_DONTWAIT);
	} else if (what < 29) {
		send(fd, "\n", 1, MSG_DONTWAIT);
	} else {
		uint64_t v = fuzz_bytes(in, 4);

		memcpy(raw, &v, sizeof(raw));
		send(fd, raw, 4, MSG_DONTWAIT);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	static struct peer p;
	int fds[2];
	char sink[512];

	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	p = (struct peer){ .fd = fds[0] };
	may_write = fuzz_below(&in, 2);
	while (in.left) {
		some_bytes(&in, fds[1]);
		if (fuzz_below(&in, 4))
			continue;
		if (peer_fill(&p) == 1)
			lines_take(&p);
		if (fuzz_below(&in, 2))
			REQUIRE(peer_flush(&p) == 0);
		if (fuzz_below(&in, 2) && recv(fds[1], sink, sizeof(sink), MSG_DONTWAIT) < 0)
			continue;
	}
	peer_clear(&p);
	close(fds[0]);
	close(fds[1]);
	return 0;
}
