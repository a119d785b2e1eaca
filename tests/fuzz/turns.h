/* A loop for one input: it turns a number of times without waiting, and is gone. */
#pragma once

#include "net/loop.h"

#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    struct loop *loop;
    struct entry next;
    unsigned left;
    loop_fn *each; /* called once a turn; may be NULL */
} turns;

static inline void turns_next(void *owner)
{
    (void)owner;
    if (turns.each != NULL)
        turns.each(NULL);
    if (turns.left-- == 0)
        loop_stop(turns.loop);
    else
        loop_soon(turns.loop, &turns.next, turns_next, NULL);
}

static inline void turns_begin(void)
{
    struct error why;
    turns.loop = loop_create(&why);
    turns.next = (struct entry){NULL, NULL, NULL, NULL};
    must(turns.loop != NULL, "there is a loop");
}

static inline void turns_run(unsigned count, loop_fn *each)
{
    turns.left = count;
    turns.each = each;
    loop_soon(turns.loop, &turns.next, turns_next, NULL);
    must(loop_run(turns.loop) == 0, "the loop turns");
}

static inline void turns_end(void)
{
    loop_destroy(&turns.loop);
}

/* One message as it lies on a channel, or anything; with `fds` descriptors, all of them copies of
 * standard error. */
static inline void send_raw(int fd, struct span bytes, size_t fds)
{
    char control[CMSG_SPACE(8 * sizeof(int))] = {0};
    struct iovec part = {(void *)(uintptr_t)bytes.data, bytes.size};
    struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1};
    if (fds > 0) {
        head.msg_control = control;
        head.msg_controllen = CMSG_SPACE(fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&head);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fds * sizeof(int));
        for (size_t i = 0; i < fds; i++)
            memcpy(CMSG_DATA(c) + i * sizeof(int), &(int){STDERR_FILENO}, sizeof(int));
    }
    (void)sendmsg(fd, &head, MSG_DONTWAIT | MSG_NOSIGNAL); /* what finds no room isn't said */
}

/* A bit for each of the first 256 descriptors that is open: the same before and after. */
struct descriptors {
    uint64_t bits[4];
};

static inline struct descriptors open_descriptors(void)
{
    struct descriptors d = {{0}};
    for (int fd = 0; fd < 256; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            d.bits[fd / 64] |= UINT64_C(1) << fd % 64;
    return d;
}

static inline void no_descriptor_is_left(const struct descriptors *before)
{
    struct descriptors after = open_descriptors();
    must(memcmp(before, &after, sizeof after) == 0, "no descriptor is left open");
}
