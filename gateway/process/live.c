#include "process/live.h"

#include "process/dial.h"
#include "redis/live.h"
#include "upstream/live.h"

#include <stdio.h>
#include <unistd.h>

enum { OUTPUT_MAX = 1024 * 1024 };

/* What a child sees. */
struct view {
    const struct prepared *prepared;
    int redis_fd; /* connected by the master, as for a worker */
};

/* Strangers' bytes are read: in a child that is the workers' user. */
static int look(const void *what, struct error *why)
{
    const struct view *view = what;
    const struct prepared *p = view->prepared;
    struct buffer out = {.limit = OUTPUT_MAX};
    int outcome = live_check(p->config, p->tls, p->accounts, &out, why);
    int redis = outcome < 0 ? -1
                            : redis_live_check(p->config, &p->redis_passwords, p->tls,
                                               view->redis_fd, &out, why);
    struct span text = buffer_bytes(&out);
    (void)fwrite(text.data, 1, text.size, stdout); /* a terminal that is gone reads nothing */
    (void)fflush(stdout);
    buffer_clear(&out);
    if (redis < 0)
        return -1;
    return outcome + redis == 0
               ? 0
               : error_set(why, "one of the servers %scan't serve as it is configured",
                           outcome > 0 ? "behind " : "");
}

int live_run(const struct prepared *p)
{
    const struct view view = {p, dial_redis_socket(&p->config->redis, 0)};
    struct error why;
    (void)fflush(stdout); /* else the child writes it again */
    int failed = privileges_try(p->is_root ? &p->user : NULL, look, &view, &why);
    if (failed)
        fprintf(stderr, "%s\n", why.text);
    if (view.redis_fd >= 0)
        (void)close(view.redis_fd); /* the child's copy counted */
    return failed ? -1 : 0;
}
