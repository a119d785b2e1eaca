#include "process/live.h"

#include "upstream/live.h"

#include <stdio.h>

enum { OUTPUT_MAX = 1024 * 1024 };

/* In a child that is the workers' user: strangers' bytes are read. */
static int look(const void *what, struct error *why)
{
    const struct prepared *p = what;
    struct buffer out = {.limit = OUTPUT_MAX};
    int outcome = live_check(p->config, p->tls, p->accounts, &out, why);
    struct span text = buffer_bytes(&out);
    (void)fwrite(text.data, 1, text.size, stdout); /* a terminal that is gone reads nothing */
    (void)fflush(stdout);
    buffer_clear(&out);
    return outcome == 0 ? 0
           : outcome > 0
               ? error_set(why, "one of the servers behind can't serve as it is configured")
               : -1;
}

int live_run(const struct prepared *p)
{
    struct error why;
    (void)fflush(stdout); /* else the child writes it again */
    if (privileges_try(p->is_root ? &p->user : NULL, look, p, &why) == 0)
        return 0;
    fprintf(stderr, "%s\n", why.text);
    return -1;
}
