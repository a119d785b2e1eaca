#include "ipc/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WAITING_MAX = 256 * 1024, PAYLOAD_MAX = sizeof(union message_any), MESSAGES_A_TURN = 64 };

static const size_t payload_sizes[] = {
#define MESSAGE(name, payload, help) sizeof(struct payload),
#include "ipc/messages.def"
#undef MESSAGE
};

/* A message that the other end didn't take yet. */
struct waiting {
    struct waiting *next;
    size_t size;
    int fd;
    char bytes[];
};

struct channel {
    struct watch *watch;
    int fd;
    channel_fn *fn;
    void *owner;
    struct waiting *first, **last;
    size_t waiting_size;
    bool is_destroyed; /* freed at the end of this turn */
    struct loop *loop;
    struct deferred deferred;
};

int channel_pair(int ends[2], struct error *why)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
        return error_set(why, "socketpair: %s", strerror(errno));
    return 0;
}

/* The descriptor that came with a message; more than one is not ours and is closed. */
static int take_fd(struct msghdr *head)
{
    int found = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c != NULL; c = CMSG_NXTHDR(head, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (found < 0)
                found = fd;
            else
                (void)close(fd); /* nothing was written */
        }
    }
    return found;
}

/* Returns 1 with a message, 0 when there is none, -1 when the other end is gone or speaks another
 * language. */
static int receive(const struct channel *c, char *bytes, struct message *m)
{
    char control[CMSG_SPACE(4 * sizeof(int))];
    uint32_t type;
    struct iovec parts[] = {{&type, sizeof type}, {bytes, PAYLOAD_MAX + MESSAGE_TAIL_MAX}};
    struct msghdr head = {.msg_iov = parts,
                          .msg_iovlen = 2,
                          .msg_control = control,
                          .msg_controllen = sizeof control};
    ssize_t size = recvmsg(c->fd, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (size < 0)
        return -1;
    /* An empty message looks like the end, and may have descriptors with it all the same. One that
     * found no room here (MSG_CTRUNC) is lost, as what could not be opened. */
    *m->fd = take_fd(&head);
    if ((head.msg_flags & MSG_TRUNC) != 0 || (size_t)size < sizeof type || type >= MESSAGE_COUNT ||
        (size_t)size - sizeof type < payload_sizes[type])
        return -1;
    m->type = (enum message_type)type;
    m->payload = bytes;
    m->tail =
        span_make(bytes + payload_sizes[type], (size_t)size - sizeof type - payload_sizes[type]);
    return m->tail.size <= MESSAGE_TAIL_MAX ? 1 : -1;
}

int message_take_fd(const struct message *m)
{
    int fd = *m->fd;
    *m->fd = -1;
    return fd;
}

static int transmit(const struct channel *c, const struct iovec *parts, size_t count, int fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct msghdr head = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = count};
    if (fd >= 0) {
        head.msg_control = control.bytes;
        head.msg_controllen = sizeof control.bytes;
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&head);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(cmsg), &fd, sizeof fd);
    }
    return sendmsg(c->fd, &head, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static void drop_first(struct channel *c)
{
    struct waiting *w = c->first;
    c->first = w->next;
    if (c->first == NULL)
        c->last = &c->first;
    c->waiting_size -= w->size;
    if (w->fd >= 0)
        (void)close(w->fd); /* nothing was written */
    free(w);
}

/* Sends what waits, as far as the other end takes it. */
static void send_waiting(struct channel *c)
{
    while (c->first != NULL) {
        const struct iovec part = {c->first->bytes, c->first->size};
        if (transmit(c, &part, 1, c->first->fd) < 0) {
            if (errno == EAGAIN || errno == EINTR)
                return;
            while (c->first != NULL)
                drop_first(c); /* the end of the other side is told by reading */
            break;
        }
        drop_first(c);
    }
    (void)watch_want(c->watch, true, false); /* less than before does not fail */
}

static void on_event(void *owner, bool is_readable, bool is_writable)
{
    struct channel *c = owner;
    _Alignas(8) char bytes[PAYLOAD_MAX + MESSAGE_TAIL_MAX];
    int fd = -1;
    struct message m = {.fd = &fd};
    if (is_writable)
        send_waiting(c);
    if (!is_readable)
        return;
    for (int n = 0; n < MESSAGES_A_TURN; n++) {
        int got = receive(c, bytes, &m);
        if (got == 0)
            break;
        c->fn(c->owner, got < 0 ? NULL : &m);
        if (fd >= 0)
            (void)close(message_take_fd(&m)); /* nothing was written */
        if (got > 0)                          /* passwords pass here */
            explicit_bzero(bytes, payload_sizes[m.type] + m.tail.size);
        if (c->is_destroyed)
            return;
        if (got < 0) {
            (void)watch_want(c->watch, false, false); /* likewise */
            return;
        }
    }
}

struct channel *channel_create(struct loop *loop, int fd, channel_fn *fn, void *owner)
{
    struct channel *c = calloc(1, sizeof *c);
    if (c == NULL) {
        (void)close(fd); /* nothing was written */
        return NULL;
    }
    *c = (struct channel){.loop = loop, .fd = fd, .fn = fn, .owner = owner};
    c->last = &c->first;
    c->watch = watch_create(loop, fd, on_event, c);
    if (c->watch == NULL || watch_want(c->watch, true, false) < 0)
        channel_destroy(&c);
    return c;
}

void channel_destroy(struct channel **channel)
{
    struct channel *c = *channel;
    if (c == NULL)
        return;
    c->is_destroyed = true;
    while (c->first != NULL)
        drop_first(c);
    watch_destroy(&c->watch);
    (void)close(c->fd); /* what was sent is sent */
    loop_defer(c->loop, &c->deferred, free, c);
    *channel = NULL;
}

/* Keeps a copy for later. */
static int keep(struct channel *c, const struct iovec *parts, size_t count, int fd)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += parts[i].iov_len;
    struct waiting *w = size > WAITING_MAX - c->waiting_size ? NULL : malloc(sizeof *w + size);
    if (w == NULL)
        return -1;
    w->next = NULL;
    w->size = 0;
    w->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if ((fd >= 0 && w->fd < 0) || watch_want(c->watch, true, true) < 0) {
        free(w);
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (parts[i].iov_len > 0)
            memcpy(w->bytes + w->size, parts[i].iov_base, parts[i].iov_len);
        w->size += parts[i].iov_len;
    }
    *c->last = w;
    c->last = &w->next;
    c->waiting_size += w->size;
    return 0;
}

int channel_send(struct channel *c, enum message_type type, const void *payload, struct span tail,
                 int fd)
{
    uint32_t type_number = (uint32_t)type;
    const struct iovec parts[] = {{&type_number, sizeof type_number},
                                  {(void *)(uintptr_t)payload, payload_sizes[type]},
                                  {(void *)(uintptr_t)tail.data, tail.size}};
    if (tail.size > MESSAGE_TAIL_MAX)
        return -1;
    if (c->first != NULL)
        return keep(c, parts, 3, fd);
    if (transmit(c, parts, 3, fd) == 0)
        return 0;
    return errno == EAGAIN || errno == EINTR ? keep(c, parts, 3, fd) : -1;
}
