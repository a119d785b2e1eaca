#include "net/listener.h"

#include "base/clock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { BACKLOG = 4096 };
#define PAUSE_NS (CLOCK_SECOND / 10)

struct listener {
    struct watch *watch;
    struct timeout *pause;
    struct loop *loop;
    int fd;
    int reserve; /* given up to accept one client when no other descriptor is left */
    accept_fn *on_accept;
    loop_fn *on_paused;
    void *owner;
};

int listener_bind(const struct address *at, struct error *why)
{
    const int on = 1;
    int fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(why, "%s", strerror(errno));
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* else bind says so */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* else it is only slower */
    if (at->any.sa_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on); /* else bind says so */
    if (bind(fd, &at->any, at->size) < 0 || listen(fd, BACKLOG) < 0) {
        bool is_privileged = errno == EACCES && address_port(at) < 1024;
        (void)error_set(why, "%s%s", strerror(errno),
                        is_privileged ? " (needs CAP_NET_BIND_SERVICE or a start as root)" : "");
        (void)close(fd); /* nothing was written */
        return -1;
    }
    return fd;
}

/* One descriptor that can be given up. Without one, clients wait while there are none. */
static int open_reserve(void)
{
    return eventfd(0, EFD_CLOEXEC);
}

static int accept_one(int fd, struct address *peer)
{
    *peer = (struct address){.size = sizeof peer->v6};
    return accept4(fd, &peer->any, &peer->size, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* No descriptors: the client gets the one in reserve and an answer; then nobody for a while. */
static void accept_last(struct listener *l)
{
    struct address peer;
    if (l->reserve >= 0)
        (void)close(l->reserve); /* holds nothing */
    int fd = accept_one(l->fd, &peer);
    if (fd >= 0)
        l->on_accept(l->owner, fd, &peer, true);
    l->reserve = open_reserve();
    (void)watch_want(l->watch, false, false); /* taking a descriptor out does not fail */
    timeout_set(l->pause, loop_now(l->loop) + PAUSE_NS);
    l->on_paused(l->owner);
}

static void on_client(void *owner, bool is_readable, bool is_writable)
{
    struct listener *l = owner;
    struct address peer;
    (void)is_readable, (void)is_writable;
    int fd = accept_one(l->fd, &peer);
    if (fd >= 0)
        l->on_accept(l->owner, fd, &peer, false);
    else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
        accept_last(l);
}

static void on_pause_over(void *owner)
{
    const struct listener *l = owner;
    if (watch_want(l->watch, true, false) < 0)
        timeout_set(l->pause, loop_now(l->loop) + PAUSE_NS);
}

struct listener *listener_create(struct loop *loop, int fd, accept_fn *on_accept,
                                 loop_fn *on_paused, void *owner)
{
    struct listener *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    *l = (struct listener){.loop = loop,
                           .fd = fd,
                           .reserve = open_reserve(),
                           .on_accept = on_accept,
                           .on_paused = on_paused,
                           .owner = owner};
    l->watch = watch_create(loop, fd, on_client, l);
    l->pause = timeout_create(loop, on_pause_over, l);
    if (l->watch == NULL || l->pause == NULL || watch_want(l->watch, true, false) < 0)
        listener_destroy(&l);
    return l;
}

void listener_destroy(struct listener **listener)
{
    struct listener *l = *listener;
    if (l == NULL)
        return;
    watch_destroy(&l->watch);
    timeout_destroy(&l->pause);
    if (l->reserve >= 0)
        (void)close(l->reserve); /* holds nothing */
    free(l);
    *listener = NULL;
}
