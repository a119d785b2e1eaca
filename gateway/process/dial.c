#include "process/dial.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A non-blocking connection, or -1. */
static int dial(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)span_copy(span_of(path), at.sun_path, sizeof at.sun_path); /* its length was checked */
    if (fd < 0 || connect(fd, (const struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    (void)close(fd); /* nothing was written */
    return -1;
}

static const char *path_of_redis(const struct redis_config *redis, size_t index)
{
    bool is_unix = index < redis->server_count && redis->servers[index].is_unix;
    return is_unix ? redis->servers[index].text + sizeof "unix:" - 1 : NULL;
}

int dial_redis_socket(const struct redis_config *redis, size_t index)
{
    const char *path = path_of_redis(redis, index);
    return path == NULL ? -1 : dial(path);
}

static const char *path_of_milter(const struct config *c, size_t index)
{
    return index < c->milter_count ? c->milters[index].at.path : NULL;
}

/* NULL: there is no such path. */
static const char *path_of(const struct config *c, const struct message_dial *which)
{
    switch (which->kind) {
    case DIAL_REDIS: return path_of_redis(&c->redis, which->index);
    case DIAL_MILTER: return path_of_milter(c, which->index);
    case DIAL_POLICY_SERVER:
        return which->index < c->policy_server_count ? c->policy_servers[which->index].at.path
                                                     : NULL;
    default: return NULL;
    }
}

void dial_for(struct post *asker, const struct message_dial *which)
{
    const char *path = path_of(asker->generation->prepared->config, which);
    if (path == NULL)
        return; /* whoever asks this may have been taken over */
    int fd = dial(path);
    /* What can't be sent is asked for again. */
    (void)channel_send(asker->child.channel, MESSAGE_DIAL, which, span_make("", 0), fd);
    if (fd >= 0)
        (void)close(fd); /* the asker's copy counts */
}
