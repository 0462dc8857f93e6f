/*
 * main.c: godwitd, the vNIC process. The start order is written here, and the stop order is its
 * reverse.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "daemon/connector.h"
#include "daemon/control.h"
#include "daemon/options.h"
#include "daemon/socket.h"
#include "guest/fault.h"
#include "vf/eal.h"
#include "vnic/vnic.h"

enum { EXIT_USAGE = 2 };

struct daemon {
	struct options o;
	struct loop *loop;
	struct listener listener;
	/** --client: in place of the listener. */
	struct connector connector;
	/** Its fd is -1 when there is no control socket. */
	struct listener control_listener;
	struct vnic *vnic;
	struct control *control;
	bool eal;
	struct eal_facts facts;
	/** --fd gave a connection, not a listening socket. */
	bool connected;
	/** Given up for a moment to refuse a front-end when descriptors have run out. */
	int spare_fd;
};

static void accept_ready(void *arg, int fd, uint32_t events)
{
	struct daemon *d = arg;
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (conn >= 0)
		vnic_connect(d->vnic, conn);
	else if (errno == EMFILE || errno == ENFILE)
		listener_refuse(fd, &d->spare_fd, "a front-end");
	else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
		log_error("accept: %s", strerror(errno));
}

static void show(struct daemon *d)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return;
	vnic_show(d->vnic, f);
	fclose(f);
	if (text)
		log_text(text, len);
	free(text);
}

static void signal_ready(void *arg, int fd, uint32_t signo)
{
	struct daemon *d = arg;

	if (signo == SIGUSR1) {
		show(d);
		return;
	}
	log_notice("ends by signal %u", signo);
	loop_stop(d->loop);
}

static void connection_over(void *arg)
{
	struct daemon *d = arg;

	loop_stop(d->loop);
}

/* A given connection is all there will ever be: when it ends, so does the process. */
static int serve_start(struct daemon *d, struct err *e)
{
	int rc;

	if (d->o.client)
		return connector_start(&d->connector, d->loop, d->vnic, d->o.socket_path, e);
	if (d->connected) {
		int fd = d->listener.fd;

		d->listener.fd = -1;
		vnic_on_disconnect(d->vnic, connection_over, d);
		rc = vnic_connect(d->vnic, fd);
		return rc ? err_set(e, rc, "--fd %d cannot be served: %s", d->o.fd, strerror(-rc)) :
			    0;
	}
	rc = loop_add(d->loop, d->listener.fd, EPOLLIN, accept_ready, d);
	return rc ? err_set(e, rc, "the socket cannot be watched: %s", strerror(-rc)) : 0;
}

/* A path that nobody asked for may be out of reach; one that somebody else serves is an error. */
static int control_listen(struct daemon *d, struct err *e)
{
	const struct options *o = &d->o;
	int rc;

	if (!o->control_path)
		return 0;
	rc = listener_open(&d->control_listener, o->control_path, o->group, o->group_given, e);
	if (!rc)
		return 0;
	err_prefix(e, rc, "control socket");
	if (o->control_given || (o->fd < 0 && !o->client && rc != -ENAMETOOLONG) ||
	    rc == -EADDRINUSE)
		return rc;
	log_warning("%s: goes on without it", e->text);
	return 0;
}

static int control_start(struct daemon *d, struct err *e)
{
	struct control_config cc = { .listen_fd = d->control_listener.fd,
				     .name = d->o.name,
				     .dpdk = d->facts.dpdk_version,
				     .spare_fd = &d->spare_fd };

	return cc.listen_fd < 0 ? 0 : control_new(d->loop, d->vnic, &cc, &d->control, e);
}

static int daemon_start(struct daemon *d, struct err *e)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, 0 };
	const struct options *o = &d->o;
	struct vnic_config vc = { .name = o->name,
				  .device = o->device,
				  .mac = o->has_mac ? o->mac : NULL,
				  .idle_us = o->idle_us,
				  .incoming = o->incoming,
				  .features_off = o->features_off,
				  .mtu = (uint16_t)o->mtu };
	struct eal_config ec = { .memory_mib = o->memory_mib, .cpus = o->cpus, .name = o->name };
	uint64_t began = clock_now_ns();
	int rc;

	/* A given descriptor first: before a number that was not open becomes one of our own. */
	if (o->fd >= 0) {
		rc = listener_adopt(&d->listener, o->fd, &d->connected, e);
		if (rc)
			return rc;
	}
	signal(SIGPIPE, SIG_IGN);
	d->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	rc = fault_install();
	if (!rc)
		rc = loop_new(&d->loop);
	if (!rc)
		rc = loop_signals(d->loop, signals, signal_ready, d);
	if (rc)
		return err_set(e, rc, "the process cannot be set up: %s", strerror(-rc));
	/* The socket before DPDK: it is what a second process of the same name fails at, at once. */
	if (o->fd < 0 && !o->client)
		rc = listener_open(&d->listener, o->socket_path, o->group, o->group_given, e);
	if (!rc)
		rc = control_listen(d, e);
	if (rc)
		return rc;
	rc = eal_start(&ec, &d->facts, e);
	if (rc)
		return rc;
	d->eal = true;
	rc = vnic_new(d->loop, &vc, &d->vnic, e);
	if (rc)
		return rc;
	rc = control_start(d, e);
	if (!rc)
		rc = serve_start(d, e);
	if (!rc)
		log_notice("godwitd %s serves %s after %llu ms (%s, %s pages)", GODWIT_VERSION,
			   o->device, (unsigned long long)(clock_now_ns() - began) / 1000000,
			   d->facts.dpdk_version, d->facts.huge_pages ? "huge" : "ordinary");
	return rc;
}

static void daemon_stop(struct daemon *d)
{
	control_free(d->control);
	connector_stop(&d->connector);
	vnic_free(d->vnic);
	if (d->eal)
		eal_stop();
	listener_close(&d->control_listener);
	listener_close(&d->listener);
	loop_free(d->loop);
	if (d->spare_fd >= 0)
		close(d->spare_fd);
}

static int action_print(const struct options *o)
{
	switch (o->action) {
	case OPTIONS_HELP:
		options_help(stdout);
		break;
	case OPTIONS_VERSION:
		printf("godwitd %s\n", GODWIT_VERSION);
		break;
	default:
		/* Spec: vhost-user, Backend program conventions. */
		printf("{\n  \"type\": \"net\",\n  \"features\": []\n}\n");
	}
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int daemon_run(struct daemon *d)
{
	struct err e = { "" };
	int rc;

	log_init(d->o.name, d->o.log_level);
	rc = daemon_start(d, &e);
	if (rc)
		fprintf(stderr, "godwitd: %s: %s\n", d->o.name, e.text);
	else if ((rc = loop_run(d->loop)))
		log_error("the event loop fails: %s", strerror(-rc));
	daemon_stop(d);
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct daemon d = { .listener = { .fd = -1 },
			    .control_listener = { .fd = -1 },
			    .spare_fd = -1 };
	struct err e = { "" };
	int rc = options_parse(argc, argv, &d.o, &e);

	if (rc) {
		fprintf(stderr, "godwitd: %s\n", e.text);
		if (rc == -EINVAL)
			fprintf(stderr, "Try 'godwitd --help'.\n");
		return rc == -EINVAL ? EXIT_USAGE : EXIT_FAILURE;
	}
	rc = d.o.action == OPTIONS_RUN ? daemon_run(&d) : action_print(&d.o);
	options_free(&d.o);
	return rc;
}
