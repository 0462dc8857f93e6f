/*
 * connector.c: attempts with back-off.
 *
 * A connection to a UNIX socket is made, or refused, at once: nothing here waits. A listener whose front-end
 * is taken leaves us in its backlog, which looks like a front-end that says nothing: it is not let go, since
 * its turn may come.
 */
#include "daemon/connector.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

#define DELAY_MIN_MS 100
#define DELAY_MAX_MS 2000
#define SILENCE_MS 3000

enum { SAID_CONNECTED = 0, SAID_SILENT = 1 };

static void timer_set(struct connector *c, unsigned int ms)
{
	loop_timer_set(c->loop, c->timer, ms * 1000000ull, 0);
}

/* A state is said once, however often it is met. */
static bool is_news(struct connector *c, int what)
{
	bool news = c->said != what;

	c->said = what;
	return news;
}

/* Returns a connected socket, or -errno. */
static int connect_now(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), rc;

	if (fd < 0)
		return -errno;
	memcpy(sa.sun_path, path, strlen(path));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static void later(struct connector *c)
{
	timer_set(c, c->delay_ms);
	c->delay_ms = c->delay_ms * 2 < DELAY_MAX_MS ? c->delay_ms * 2 : DELAY_MAX_MS;
}

static void attempt(struct connector *c)
{
	int fd = connect_now(c->path);

	if (fd < 0) {
		if (is_news(c, fd))
			log_notice("waits for a front-end that listens on %s (%s now)", c->path,
				   strerror(-fd));
		later(c);
		return;
	}
	if (vnic_connect(c->vnic, fd)) {
		later(c);
		return;
	}
	c->connected = true;
	if (is_news(c, SAID_CONNECTED))
		log_notice("connected to %s", c->path);
	timer_set(c, SILENCE_MS);
}

static void due(void *arg, int fd, uint32_t events)
{
	struct connector *c = arg;

	if (!c->connected)
		attempt(c);
	else if (!vnic_served(c->vnic) && is_news(c, SAID_SILENT))
		log_warning("%s took the connection and says nothing: is a front-end there, and "
			    "is it free?",
			    c->path);
}

/* One that said anything was a front-end: the next attempt comes soon. */
static void connection_over(void *arg)
{
	struct connector *c = arg;

	c->connected = false;
	if (vnic_served(c->vnic)) {
		c->delay_ms = DELAY_MIN_MS;
		c->said = -ECONNRESET;
	}
	later(c);
}

int connector_start(struct connector *c, struct loop *l, struct vnic *v, const char *path,
		    struct err *e)
{
	struct sockaddr_un sa;

	*c = (struct connector){
		.loop = l, .vnic = v, .path = path, .timer = -1, .said = 2, .delay_ms = DELAY_MIN_MS
	};
	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(e, -ENAMETOOLONG, "socket path %s is longer than %zu characters",
			       path, sizeof(sa.sun_path) - 1);
	c->timer = loop_timer(l, due, c);
	if (c->timer < 0)
		return err_set(e, c->timer, "the event loop takes no timer: %s",
			       strerror(-c->timer));
	vnic_on_disconnect(v, connection_over, c);
	attempt(c);
	return 0;
}

void connector_stop(struct connector *c)
{
	if (!c->loop)
		return;
	vnic_on_disconnect(c->vnic, NULL, NULL);
	loop_timer_free(c->loop, c->timer);
	c->loop = NULL;
}
