#include "process/filter_files.h"

#include "auth/watched.h"
#include "base/file_watch.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct taker {
    struct prepared *prepared;
    const struct event_log *log;
    const char *path; /* of the file */
    bool is_meant;    /* whatever is missing */
};

static void refuse(const struct taker *t, const char *reason)
{
    log_event(t->log, EVENT_list_refused, field_text(KEY_file, t->path),
              field_text(KEY_reason, reason));
}

static void tell(void *owner, enum finding kind, const char *text)
{
    if (kind == FINDING_ERROR)
        refuse(owner, text);
}

static void put(const struct taker *t, size_t index, int list, size_t count)
{
    struct watched *w = &t->prepared->watched[index];
    struct error why;
    if (!t->is_meant && files_is_half(w, t->prepared->config->watched[index].kind, count))
        (void)error_set(&why, "it has fewer than half of the lines in force; if that is meant, "
                              "SIGHUP takes it");
    else if (sealed_map(&w->list, list, &why) == 0)
        why.text[0] = '\0';
    if (why.text[0] != '\0') {
        refuse(t, why.text);
        return;
    }
    w->count = count;
    log_event(t->log, EVENT_list_taken, field_text(KEY_file, t->path),
              field_number(KEY_count, (int64_t)count));
}

static void take(struct taker *t, size_t index)
{
    struct errors *errors = errors_create();
    size_t count = 0;
    t->path = t->prepared->config->watched[index].path;
    int fd = watched_open(t->path);
    if (fd < 0) {
        refuse(t, strerror(errno));
    } else {
        int list = watched_build(t->prepared->config, index, fd, &count, errors);
        errors_each(errors, tell, t);
        if (list >= 0) {
            put(t, index, list, count);
            (void)close(list); /* the mapping stays */
        }
        (void)close(fd); /* was only read */
    }
    errors_destroy(&errors);
}

static void on_change(void *owner, size_t index)
{
    take(owner, index);
}

void filter_files_look(struct prepared *p, const struct event_log *log, int64_t now_ns)
{
    struct taker t = {.prepared = p, .log = log};
    file_watch_turn(p->list_watch, now_ns, on_change, &t);
}

void filter_files_reload(struct prepared *p, const struct event_log *log)
{
    struct taker t = {.prepared = p, .log = log, .is_meant = true};
    for (size_t i = 0; i < p->config->watched_count; i++)
        take(&t, i);
}
