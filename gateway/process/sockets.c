#include "process/sockets.h"

#include "net/listener.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SOCKETS_MAX = 64 * 16 * ADDRESS_LISTEN_MAX, CONTROL_BACKLOG = 16 };

struct sockets {
    size_t count;
    struct {
        struct address at;
        int fd;
    } bound[SOCKETS_MAX];
};

struct sockets *sockets_create(void)
{
    struct sockets *s = calloc(1, sizeof *s);
    if (s == NULL)
        abort(); /* out of memory at the start */
    return s;
}

static void close_last(struct sockets *s, size_t keep)
{
    while (s->count > keep)
        (void)close(s->bound[--s->count].fd); /* a listening socket holds nothing */
}

void sockets_destroy(struct sockets **s)
{
    if (*s == NULL)
        return;
    close_last(*s, 0);
    free(*s);
    *s = NULL;
}

static bool is_same(const struct address *a, const struct address *b)
{
    return a->size == b->size && memcmp(&a->v6, &b->v6, a->size) == 0;
}

static int find_or_bind(struct sockets *s, const struct address *at, struct error *why)
{
    for (size_t i = 0; i < s->count; i++)
        if (is_same(&s->bound[i].at, at))
            return s->bound[i].fd;
    if (s->count == SOCKETS_MAX)
        return error_set(why, "too many sockets");
    int fd = listener_bind(at, why);
    if (fd >= 0) {
        s->bound[s->count].at = *at;
        s->bound[s->count++].fd = fd;
    }
    return fd;
}

int *sockets_bind(struct sockets *s, const struct config *config, struct errors *errors)
{
    size_t before = errors_count(errors), had = s->count, used = 0;
    int *fds = calloc(SOCKETS_MAX, sizeof *fds);
    if (fds == NULL)
        abort(); /* out of memory at the start */
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct listener_config *l = &config->listeners[i];
        for (size_t n = 0; n < l->address_count; n++) {
            char text[ADDRESS_TEXT_SIZE];
            struct error why;
            address_format(&l->addresses[n], text);
            if ((fds[used++] = find_or_bind(s, &l->addresses[n], &why)) < 0)
                errors_add_at(errors, &l->place, "listeners.%s.bind: %s: %s", l->name, text,
                              why.text);
        }
    }
    if (errors_count(errors) == before)
        return fds;
    close_last(s, had);
    free(fds);
    return NULL;
}

static bool is_listed(const struct config *config, const struct address *at)
{
    for (size_t i = 0; i < config->listener_count; i++)
        for (size_t n = 0; n < config->listeners[i].address_count; n++)
            if (is_same(&config->listeners[i].addresses[n], at))
                return true;
    return false;
}

void sockets_keep(struct sockets *s, const struct config *config)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (is_listed(config, &s->bound[i].at))
            s->bound[kept++] = s->bound[i];
        else
            (void)close(s->bound[i].fd); /* as above */
    }
    s->count = kept;
}

/* The folder of the socket, where there is none yet (/run is empty after a boot). */
static void make_folder(const char *path)
{
    char copy[sizeof((struct sockaddr_un *)0)->sun_path];
    (void)snprintf(copy, sizeof copy, "%s", path); /* its length was checked */
    (void)mkdir(dirname(copy), 0755);              /* else bind says why not */
}

int control_bind(const char *path, struct error *why)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof at.sun_path)
        return error_set(why, "%s: the path is longer than %zu characters", path,
                         sizeof at.sun_path - 1);
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path); /* fits */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(why, "%s: %s", path, strerror(errno));
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) == 0) {
        (void)close(fd); /* nothing was written */
        return error_set(why, "%s: another porteirod answers there", path);
    }
    if (errno == ECONNREFUSED)
        (void)unlink(path); /* else bind says that it is there */
    make_folder(path);
    /* Who may speak is seen by who it is: grant.h. */
    if (bind(fd, (const struct sockaddr *)&at, sizeof at) < 0 || chmod(path, 0666) < 0 ||
        listen(fd, CONTROL_BACKLOG) < 0) {
        (void)error_set(why, "%s: %s", path, strerror(errno));
        (void)close(fd); /* as above */
        return -1;
    }
    return fd;
}
