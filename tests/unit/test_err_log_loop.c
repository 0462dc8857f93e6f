/* test_err_log_loop.c: error sentences, log lines, and the event loop. */
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "unit.h"

static void err_set_writes_and_returns(void **state)
{
	struct err e;

	assert_int_equal(err_set(&e, -ENODEV, "no %s at %d", "device", 7), -ENODEV);
	assert_string_equal(e.text, "no device at 7");
	assert_int_equal(err_prefix(&e, -EIO, "vnic %d", 3), -EIO);
	assert_string_equal(e.text, "vnic 3: no device at 7");
	assert_int_equal(err_set(NULL, -EIO, "nobody listens"), -EIO);
	assert_int_equal(err_prefix(NULL, -EIO, "nobody listens"), -EIO);
}

static void err_too_long_is_cut(void **state)
{
	char text[2000];
	struct err e;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	err_set(&e, -EIO, "%s", text);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	err_prefix(&e, -EIO, "%s", text);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	err_set(&e, -EIO, "short");
	err_prefix(&e, -EIO, "front");
	assert_string_equal(e.text, "front: short");
}

/* What log_write() puts into a pipe. */
static size_t log_capture(enum log_level limit, enum log_level level, const char *text, char *out,
			  size_t size)
{
	int p[2];
	ssize_t n;

	assert_int_equal(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
	log_init("sim0", limit);
	log_to(p[1]);
	log_write(level, "%s", text);
	log_to(STDERR_FILENO);
	n = read(p[0], out, size - 1);
	close(p[0]);
	close(p[1]);
	out[n > 0 ? n : 0] = 0;
	return n > 0 ? (size_t)n : 0;
}

static void log_line_has_name_level_text(void **state)
{
	char line[2048];

	assert_true(log_capture(LOG_NOTICE, LOG_WARNING, "hello", line, sizeof(line)) > 0);
	assert_non_null(strstr(line, "Z sim0 warning: hello\n"));
	assert_int_equal(log_capture(LOG_NOTICE, LOG_INFO, "hidden", line, sizeof(line)), 0);
	assert_true(log_enabled(LOG_NOTICE));
	assert_false(log_enabled(LOG_INFO));
}

static void log_line_too_long_is_one_line(void **state)
{
	char text[5000], line[6000];
	size_t n;

	memset(text, 'y', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	n = log_capture(LOG_DEBUG, LOG_DEBUG, text, line, sizeof(line));
	assert_true(n > 900 && n < 1025);
	assert_int_equal(line[n - 1], '\n');
	assert_ptr_equal(strchr(line, '\n'), line + n - 1);
}

static void log_levels_parse(void **state)
{
	static const char *const names[] = { "error", "warning", "notice", "info", "debug" };
	enum log_level level;

	for (int i = 0; i < 5; i++) {
		assert_int_equal(log_level_parse(names[i], &level), 0);
		assert_int_equal(level, i);
	}
	assert_int_equal(log_level_parse("Error", &level), -EINVAL);
	assert_int_equal(log_level_parse("", &level), -EINVAL);
	assert_int_equal(log_level_parse("debug2", &level), -EINVAL);
}

struct fixture {
	struct loop *loop;
	int fd[2], calls[2];
	/** What the first callback does to the other source. */
	bool reuse;
	int ticks, signal;
};

static int ready_eventfd(void)
{
	return eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void never(void *arg, int fd, uint32_t events)
{
	fail_msg("a callback of a source that is gone was called for fd %d", fd);
}

static void stop(void *arg, int fd, uint32_t events)
{
	struct fixture *f = arg;

	f->ticks++;
	loop_stop(f->loop);
}

/* Both are ready in one batch; whichever comes first removes the other. */
static void remove_other(void *arg, int fd, uint32_t events)
{
	struct fixture *f = arg;
	int other = fd == f->fd[0] ? 1 : 0, again;

	f->calls[!other]++;
	loop_remove(f->loop, f->fd[other]);
	loop_remove(f->loop, fd);
	if (!f->reuse)
		return;
	/* The number comes back at once, for another file that is not ready. */
	close(f->fd[other]);
	again = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(again, f->fd[other]);
	assert_int_equal(loop_add(f->loop, again, EPOLLIN, never, f), 0);
}

static void run_until_timer(struct fixture *f, uint64_t ns)
{
	int timer = loop_timer(f->loop, stop, f);

	assert_true(timer >= 0);
	assert_int_equal(loop_timer_set(f->loop, timer, ns, 0), 0);
	assert_int_equal(loop_run(f->loop), 0);
	loop_timer_free(f->loop, timer);
}

static void two_ready_first_removes_second(bool reuse)
{
	struct fixture f = { .reuse = reuse };

	assert_int_equal(loop_new(&f.loop), 0);
	for (int i = 0; i < 2; i++) {
		f.fd[i] = ready_eventfd();
		assert_int_equal(loop_add(f.loop, f.fd[i], EPOLLIN, remove_other, &f), 0);
	}
	run_until_timer(&f, 20000000);
	assert_int_equal(f.calls[0] + f.calls[1], 1);
	loop_free(f.loop);
	close(f.fd[0]);
	close(f.fd[1]);
}

static void removed_in_a_callback_is_not_called(void **state)
{
	two_ready_first_removes_second(false);
}

static void reused_number_is_not_called_for_the_old_file(void **state)
{
	two_ready_first_removes_second(true);
}

static void add_modify_remove_errors(void **state)
{
	int fd = ready_eventfd();
	struct loop *l;

	assert_int_equal(loop_new(&l), 0);
	assert_int_equal(loop_modify(l, fd, EPOLLIN), -ENOENT);
	assert_int_equal(loop_add(l, fd, EPOLLIN, never, NULL), 0);
	assert_int_equal(loop_add(l, fd, EPOLLIN, never, NULL), -EEXIST);
	assert_int_equal(loop_add(l, -1, EPOLLIN, never, NULL), -EBADF);
	loop_remove(l, 12345);
	loop_remove(l, fd);
	loop_remove(l, fd);
	assert_int_equal(loop_modify(l, fd, EPOLLIN), -ENOENT);
	loop_timer_free(l, -1);
	loop_free(l);
	loop_free(NULL);
	/* The loop does not own what was added. */
	assert_true(fcntl(fd, F_GETFD) >= 0);
	close(fd);
}

static void modify_turns_a_source_off_and_on(void **state)
{
	struct fixture f = { 0 };
	int fd = ready_eventfd();

	assert_int_equal(loop_new(&f.loop), 0);
	assert_int_equal(loop_add(f.loop, fd, EPOLLIN, never, &f), 0);
	assert_int_equal(loop_modify(f.loop, fd, 0), 0);
	run_until_timer(&f, 5000000);
	loop_remove(f.loop, fd);
	assert_int_equal(loop_add(f.loop, fd, 0, stop, &f), 0);
	assert_int_equal(loop_modify(f.loop, fd, EPOLLIN), 0);
	assert_int_equal(loop_run(f.loop), 0);
	assert_int_equal(f.ticks, 2);
	loop_free(f.loop);
	close(fd);
}

static void tick(void *arg, int fd, uint32_t events)
{
	struct fixture *f = arg;

	if (++f->ticks == 5)
		loop_stop(f->loop);
}

static void timer_repeats_and_disarms(void **state)
{
	struct fixture f = { 0 };
	uint64_t start = clock_now_ns();
	int timer;

	assert_int_equal(loop_new(&f.loop), 0);
	timer = loop_timer(f.loop, tick, &f);
	assert_int_equal(loop_timer_set(f.loop, timer, 1000000, 2000000), 0);
	assert_int_equal(loop_run(f.loop), 0);
	assert_int_equal(f.ticks, 5);
	assert_true(clock_now_ns() - start >= 9000000);
	assert_int_equal(loop_timer_set(f.loop, timer, 0, 0), 0);
	f.ticks = 0;
	run_until_timer(&f, 10000000);
	assert_int_equal(f.ticks, 1);
	/* The timer that is left is the loop's to close. */
	loop_free(f.loop);
	assert_int_equal(fcntl(timer, F_GETFD), -1);
}

static void on_signal(void *arg, int fd, uint32_t events)
{
	struct fixture *f = arg;

	f->signal = (int)events;
	loop_stop(f->loop);
}

static void signals_come_with_their_number(void **state)
{
	static const int wanted[] = { SIGUSR1, SIGUSR2, 0 };
	struct fixture f = { 0 };

	assert_int_equal(loop_new(&f.loop), 0);
	assert_int_equal(loop_signals(f.loop, wanted, on_signal, &f), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(kill(getpid(), wanted[i]), 0);
		assert_int_equal(loop_run(f.loop), 0);
		assert_int_equal(f.signal, wanted[i]);
	}
	loop_free(f.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(err_set_writes_and_returns),
		cmocka_unit_test(err_too_long_is_cut),
		cmocka_unit_test(log_line_has_name_level_text),
		cmocka_unit_test(log_line_too_long_is_one_line),
		cmocka_unit_test(log_levels_parse),
		cmocka_unit_test(removed_in_a_callback_is_not_called),
		cmocka_unit_test(reused_number_is_not_called_for_the_old_file),
		cmocka_unit_test(add_modify_remove_errors),
		cmocka_unit_test(modify_turns_a_source_off_and_on),
		cmocka_unit_test(timer_repeats_and_disarms),
		cmocka_unit_test(signals_come_with_their_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
