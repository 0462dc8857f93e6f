/*
 * The agent in the guest. Each line "ID COMMAND [ARGS]" on the serial port is answered by one
 * line of JSON with the same id, so that a client that connected in mid-line, or after a
 * migration, finds its own answer.
 *
 *   hello            is the guest up?
 *   mark             forget link events and kernel log lines seen so far
 *   events           what the guest saw since the mark
 *   start ARGS       run `gwtraffic guest ARGS` in the background
 *   quiet            tell it to stop sending
 *   report           tell it to end, and give its result
 *   sh COMMAND       run a shell command, give its status and output
 *   reboot           answer, end the guest station, then run gw-reboot
 */
#include "json.h"
#include "opts.h"
#include "roles.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define RESULT "/run/guest.json"
#define GUEST_LOG "/run/guest.log"
#define LINE_MAX_BYTES 4096
#define ARGS_MAX 40
#define SETTLE_MS 200
#define REPORT_WAIT_MS 15000

struct agent {
	int port;
	struct watch watch;
	pid_t guest; /* 0 = not running */
	bool reboot;
};

static void write_failure(FILE *out, const char *why)
{
	fputs(",\"ok\":false,\"error\":", out);
	json_string(out, why);
}

static void write_file_string(FILE *out, const char *path)
{
	char buf[4096];
	FILE *in = fopen(path, "r");
	size_t n = in ? fread(buf, 1, sizeof(buf), in) : 0;

	if (in)
		fclose(in);
	json_bytes(out, buf, n);
}

static bool guest_ended(struct agent *a, int wait_ms)
{
	for (int waited = 0; a->guest; waited += 10) {
		if (waitpid(a->guest, NULL, WNOHANG) == a->guest)
			a->guest = 0;
		else if (waited >= wait_ms)
			return false;
		else
			usleep(10000);
	}
	return true;
}

static void exec_guest(char *args)
{
	char *argv[ARGS_MAX + 4] = { "/proc/self/exe", "guest", "--out", RESULT };
	int log = open(GUEST_LOG, O_WRONLY | O_CREAT | O_TRUNC, 0600), n = 4;

	for (char *word = strtok(args, " "); word && n < ARGS_MAX + 3; word = strtok(NULL, " "))
		argv[n++] = word;
	dup2(log, 1);
	dup2(log, 2);
	execv(argv[0], argv);
	_exit(127);
}

static void do_start(struct agent *a, FILE *out, char *args)
{
	if (a->guest && !guest_ended(a, 0)) {
		write_failure(out, "the guest station runs already");
		return;
	}
	unlink(RESULT);
	a->guest = fork();
	if (!a->guest)
		exec_guest(args);
	if (a->guest < 0) {
		a->guest = 0;
		write_failure(out, strerror(errno));
	} else if (guest_ended(a, SETTLE_MS)) {
		fputs(",\"ok\":false,\"error\":", out);
		write_file_string(out, GUEST_LOG);
	} else {
		fputs(",\"ok\":true", out);
	}
}

static void do_quiet(struct agent *a, FILE *out)
{
	if (!a->guest || kill(a->guest, SIGUSR1))
		write_failure(out, "the guest station does not run");
	else
		fputs(",\"ok\":true", out);
}

static void do_report(struct agent *a, FILE *out)
{
	FILE *in;
	int c;

	if (a->guest)
		kill(a->guest, SIGTERM);
	if (!guest_ended(a, REPORT_WAIT_MS)) {
		write_failure(out, "the guest station does not end");
		return;
	}
	in = fopen(RESULT, "r");
	if (!in) {
		fputs(",\"ok\":false,\"error\":", out);
		write_file_string(out, GUEST_LOG);
		return;
	}
	fputs(",\"ok\":true,\"result\":", out);
	while ((c = fgetc(in)) != EOF && c != '\n')
		fputc(c, out);
	fclose(in);
}

static void do_shell(FILE *out, const char *command)
{
	/* NOLINTNEXTLINE(cert-env33-c): this is the guest's shell, at the service of its tests */
	FILE *in = popen(command, "r");
	char buf[8192], *text = NULL;
	size_t n, len = 0;
	FILE *all = open_memstream(&text, &len);
	int rc;

	if (!in || !all) {
		write_failure(out, strerror(errno));
		return;
	}
	while ((n = fread(buf, 1, sizeof(buf), in)) > 0)
		fwrite(buf, 1, n, all);
	rc = pclose(in);
	fclose(all);
	rc = WIFEXITED(rc) ? WEXITSTATUS(rc) : 128 + WTERMSIG(rc);
	fprintf(out, ",\"ok\":%s,\"status\":%d,\"out\":", rc ? "false" : "true", rc);
	json_bytes(out, text, len);
	free(text);
}

static void answer(struct agent *a, FILE *out, const char *command, char *args)
{
	if (!strcmp(command, "hello")) {
		fputs(",\"ok\":true", out);
	} else if (!strcmp(command, "mark")) {
		watch_mark(&a->watch);
		fputs(",\"ok\":true", out);
	} else if (!strcmp(command, "events")) {
		fputs(",\"ok\":true,", out);
		watch_write(&a->watch, out);
	} else if (!strcmp(command, "start")) {
		do_start(a, out, args);
	} else if (!strcmp(command, "quiet")) {
		do_quiet(a, out);
	} else if (!strcmp(command, "report")) {
		do_report(a, out);
	} else if (!strcmp(command, "sh")) {
		do_shell(out, args);
	} else if (!strcmp(command, "reboot")) {
		fputs(",\"ok\":true", out);
		a->reboot = true;
	} else {
		write_failure(out, "no such command");
	}
}

static void write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
}

static void serve_line(struct agent *a, char *line)
{
	char *args = line, *id = strsep(&args, " "), *command = args ? strsep(&args, " ") : NULL,
	     *text = NULL, nothing[1] = "";
	size_t len = 0;
	FILE *out;

	if (!*id || !command)
		return;
	out = open_memstream(&text, &len);
	if (!out)
		return;
	fputs("{\"id\":", out);
	json_string(out, id);
	answer(a, out, command, args ? args : nothing);
	fputs("}\n", out);
	fclose(out);
	write_all(a->port, text, len);
	free(text);
	if (a->reboot) {
		tcdrain(a->port);
		if (a->guest)
			kill(a->guest, SIGKILL);
		execlp("gw-reboot", "gw-reboot", NULL);
	}
}

static int open_port(const char *path)
{
	struct termios t;
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (!tcgetattr(fd, &t)) {
		cfmakeraw(&t);
		cfsetspeed(&t, B115200);
		t.c_cflag |= CLOCAL;
		tcsetattr(fd, TCSANOW, &t);
	}
	return fd;
}

static void serve(struct agent *a)
{
	static char line[LINE_MAX_BYTES];
	size_t len = 0;

	for (;;) {
		struct pollfd fds[] = { { a->port, POLLIN, 0 }, { a->watch.link_fd, POLLIN, 0 } };
		char c;

		poll(fds, 2, -1);
		watch_poll(&a->watch);
		if (!(fds[0].revents & POLLIN))
			continue;
		if (read(a->port, &c, 1) != 1)
			continue;
		if (c == '\n' || c == '\r') {
			line[len] = '\0';
			len = 0;
			serve_line(a, line);
		} else if (len < sizeof(line) - 1) {
			line[len++] = c;
		}
	}
}

int role_agent(int argc, char **argv)
{
	static struct agent a;
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: gwtraffic agent /dev/ttyS1\n");
		return 2;
	}
	a.port = open_port(argv[1]);
	err = a.port < 0 ? a.port : watch_start(&a.watch);
	if (err) {
		fprintf(stderr, "gwtraffic agent: %s: %s\n", argv[1], strerror(-err));
		return 1;
	}
	serve(&a);
	return 0;
}
