/* test_socket.c: the listening socket: modes, a second owner, dead sockets, cleaning up. */
#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/log.h"
#include "daemon/socket.h"
#include "sim_guest.h"
#include "unit.h"

#define NO_GROUP "godwit-no-such-group"

static char base[] = "/tmp/godwit-socket-XXXXXX";
static char dir[64], path[80];

static int group_setup(void **state)
{
	log_init("test", LOG_ERROR);
	if (!mkdtemp(base))
		return -1;
	snprintf(dir, sizeof(dir), "%s/vm1", base);
	snprintf(path, sizeof(path), "%s/vhost.sock", dir);
	return 0;
}

static int group_teardown(void **state)
{
	unlink(path);
	rmdir(dir);
	/* Fails when a test left something behind. */
	return rmdir(base);
}

static unsigned int mode_of(const char *of)
{
	struct stat st;

	return lstat(of, &st) ? 0 : st.st_mode & 07777;
}

static bool there(const char *of)
{
	struct stat st;

	return lstat(of, &st) == 0;
}

/* The name of a group of this process: one that exists. */
static const char *my_group(void)
{
	const struct group *g = getgrgid(getgid());

	assert_non_null(g);
	return g->gr_name;
}

static int connect_to(const char *to, int flags)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | flags, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", to);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	close(fd);
	return -errno;
}

static void modes_with_umask(mode_t mask)
{
	mode_t old = umask(mask);
	struct listener l;
	struct err e;
	int rc = listener_open(&l, path, my_group(), true, &e);
	unsigned int socket_mode = mode_of(path), dir_mode = mode_of(dir);
	mode_t kept = umask(old);

	listener_close(&l);
	assert_ok(rc, e);
	assert_int_equal(kept, mask);
	assert_int_equal(socket_mode, 0660);
	assert_int_equal(dir_mode, 0750);
}

static void modes(void **state)
{
	modes_with_umask(022);
}

/* QEMU's group has to come in, however careful the administrator's shell is. */
static void modes_under_a_strict_umask(void **state)
{
	modes_with_umask(077);
}

static void modes_under_no_umask(void **state)
{
	modes_with_umask(0);
}

static void serves_and_cleans_up(void **state)
{
	unsigned int fds = sim_fds_open();
	struct listener l;
	struct stat st;
	struct err e;
	int fd;

	assert_ok(listener_open(&l, path, my_group(), true, &e), e);
	fd = connect_to(path, 0);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_gid, getgid());
	assert_true(fcntl(l.fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(l.fd, F_GETFD) & FD_CLOEXEC);
	listener_close(&l);
	listener_close(&l);
	assert_false(there(path));
	assert_false(there(dir));
	assert_int_equal(sim_fds_open(), fds);
}

static void directory_of_somebody_else_stays(void **state)
{
	struct listener l;
	struct err e;

	assert_int_equal(mkdir(dir, 0700), 0);
	assert_ok(listener_open(&l, path, my_group(), true, &e), e);
	listener_close(&l);
	assert_false(there(path));
	assert_int_equal(mode_of(dir), 0700);
	assert_int_equal(rmdir(dir), 0);
}

static void live_socket_is_left_alone(void **state)
{
	struct listener first, second;
	struct err e;
	int fd;

	assert_ok(listener_open(&first, path, my_group(), true, &e), e);
	assert_err(listener_open(&second, path, my_group(), true, &e), -EADDRINUSE, e,
		   "served by another process");
	assert_int_equal(second.fd, -1);
	fd = connect_to(path, 0);
	assert_true(fd >= 0);
	close(fd);
	listener_close(&first);
}

/* With its backlog full, connect() neither succeeds nor is refused. */
static void busy_socket_is_alive(void **state)
{
	struct listener first, second;
	int fds[64] = { 0 }, n = 0;
	struct err e;

	assert_ok(listener_open(&first, path, my_group(), true, &e), e);
	while (n < 63 && (fds[n] = connect_to(path, SOCK_NONBLOCK)) >= 0)
		n++;
	assert_true(n < 63);
	assert_int_equal(fds[n], -EAGAIN);
	assert_err(listener_open(&second, path, my_group(), true, &e), -EADDRINUSE, e, "served");
	while (n)
		close(fds[--n]);
	listener_close(&first);
}

static void dead_socket_is_replaced(void **state)
{
	struct listener l;
	struct err e;

	assert_ok(listener_open(&l, path, my_group(), true, &e), e);
	/* Killed: nothing is removed. */
	close(l.fd);
	assert_true(there(path));
	assert_ok(listener_open(&l, path, my_group(), true, &e), e);
	listener_close(&l);
	assert_false(there(path));
	rmdir(dir);
}

static void what_is_no_socket_stays(void **state)
{
	struct listener l;
	struct err e;
	int fd;

	assert_int_equal(mkdir(dir, 0700), 0);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_err(listener_open(&l, path, my_group(), true, &e), -EADDRINUSE, e, "is no socket");
	assert_true(there(path));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/nowhere", path), 0);
	assert_err(listener_open(&l, path, my_group(), true, &e), -EADDRINUSE, e, "is no socket");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void path_too_long(void **state)
{
	char text[200];
	struct listener l;
	struct err e;

	snprintf(text, sizeof(text), "%s/", base);
	memset(text + strlen(text), 'p', sizeof(text) - strlen(text));
	text[107] = 0;
	assert_ok(listener_open(&l, text, my_group(), true, &e), e);
	listener_close(&l);
	assert_false(there(text));
	text[107] = 'p';
	text[108] = 0;
	assert_err(listener_open(&l, text, my_group(), true, &e), -ENAMETOOLONG, e, "107");
	listener_close(&l);
}

static void group_that_does_not_exist(void **state)
{
	struct listener l;
	struct err e;

	assert_err(listener_open(&l, path, NO_GROUP, true, &e), -ENOENT, e, NO_GROUP);
	assert_false(there(dir));
	assert_ok(listener_open(&l, path, NO_GROUP, false, &e), e);
	assert_int_equal(mode_of(path), 0660);
	listener_close(&l);
}

static void directory_that_cannot_be_made(void **state)
{
	char deep[128];
	struct listener l;
	struct err e;

	snprintf(deep, sizeof(deep), "%s/a/b/vhost.sock", base);
	assert_err(listener_open(&l, deep, my_group(), true, &e), -ENOENT, e, "cannot be made");
	assert_int_equal(l.fd, -1);
}

/* Somebody removed ours and serves another one there by now. */
static void socket_of_somebody_else_stays(void **state)
{
	struct listener ours, theirs;
	struct err e;

	assert_ok(listener_open(&ours, path, my_group(), true, &e), e);
	assert_int_equal(unlink(path), 0);
	assert_ok(listener_open(&theirs, path, my_group(), true, &e), e);
	listener_close(&ours);
	assert_true(there(path));
	listener_close(&theirs);
	assert_false(there(path));
	rmdir(dir);
}

/* The directory was made for it, and goes when it fails. */
static void failing_leaves_nothing(void **state)
{
	unsigned int fds = sim_fds_open();
	char slash[96];
	struct listener l;
	struct err e;

	snprintf(slash, sizeof(slash), "%s/", dir);
	assert_err(listener_open(&l, slash, my_group(), true, &e), -EADDRINUSE, e, "is no socket");
	assert_int_equal(l.fd, -1);
	assert_false(there(dir));
	assert_int_equal(sim_fds_open(), fds);
}

static void adopts_sockets_only(void **state)
{
	struct listener l, owner;
	bool connected;
	struct err e;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_ok(listener_adopt(&l, pair[0], &connected, &e), e);
	assert_true(connected);
	assert_true(fcntl(pair[0], F_GETFL) & O_NONBLOCK);
	listener_close(&l);
	close(pair[1]);
	assert_ok(listener_open(&owner, path, my_group(), true, &e), e);
	assert_ok(listener_adopt(&l, dup(owner.fd), &connected, &e), e);
	assert_false(connected);
	listener_close(&l);
	/* What was given is closed, and not removed. */
	assert_true(there(path));
	listener_close(&owner);
	assert_err(listener_adopt(&l, 9999, &connected, &e), -ENOTSOCK, e, "--fd 9999");
	assert_int_equal(pipe(pair), 0);
	assert_err(listener_adopt(&l, pair[0], &connected, &e), -ENOTSOCK, e, "no open socket");
	listener_close(&l);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modes),
		cmocka_unit_test(modes_under_a_strict_umask),
		cmocka_unit_test(modes_under_no_umask),
		cmocka_unit_test(serves_and_cleans_up),
		cmocka_unit_test(directory_of_somebody_else_stays),
		cmocka_unit_test(live_socket_is_left_alone),
		cmocka_unit_test(busy_socket_is_alive),
		cmocka_unit_test(dead_socket_is_replaced),
		cmocka_unit_test(what_is_no_socket_stays),
		cmocka_unit_test(path_too_long),
		cmocka_unit_test(group_that_does_not_exist),
		cmocka_unit_test(directory_that_cannot_be_made),
		cmocka_unit_test(socket_of_somebody_else_stays),
		cmocka_unit_test(failing_leaves_nothing),
		cmocka_unit_test(adopts_sockets_only),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
