/* Not by a generation of its own, as a reload: revocation lists come every hour, or every
 * certificate of a hundred by itself, and each generation keeps processes for as long as its
 * sessions last. And not by reading the configuration anew: what an admin is writing there isn't
 * ours to take. */
#include "process/certificates.h"

#include "base/clock.h"
#include "base/file_watch.h"
#include "net/tls_units.h"
#include "process/children.h"

#include <unistd.h>

#define DAY_NS (24 * 3600 * CLOCK_SECOND)

enum { DAYS_LEFT_MIN = 14 };

struct file_watch *certificates_watch(const struct config *c)
{
    struct file_watch *w = file_watch_create();
    const char *files[TLS_TEXTS_MAX];
    for (size_t unit = 0; unit < tls_unit_count(c); unit++) {
        size_t count = tls_unit_files(c, unit, files);
        for (size_t i = 0; i < count; i++)
            file_watch_add(w, unit, files[i]);
    }
    return w;
}

/* ---- days left ---- */

struct teller {
    const struct event_log *log;
    bool is_all; /* else those that expire soon */
};

static void tell_one(void *owner, const char *file, int days)
{
    const struct teller *t = owner;
    if (days < DAYS_LEFT_MIN)
        log_event(t->log, EVENT_certificate_expires, field_text(KEY_file, file),
                  field_number(KEY_days, days));
    else if (t->is_all)
        log_event(t->log, EVENT_certificate, field_text(KEY_file, file),
                  field_number(KEY_days, days));
}

static void tell(struct generation *g, bool is_all)
{
    struct teller t = {&g->master->log, is_all};
    g->certificates_told_ns = loop_now(g->master->loop);
    tls_contexts_each_certificate(g->prepared->tls, tell_one, &t);
}

void certificates_tell(struct generation *g)
{
    tell(g, true);
}

/* ---- what has changed ---- */

static void log_finding(void *owner, enum finding kind, const char *text)
{
    const struct event_log *log = owner;
    if (kind != FINDING_NOTE)
        log_event(log,
                  kind == FINDING_ERROR ? EVENT_configuration_error : EVENT_configuration_warning,
                  field_text(KEY_reason, text));
}

static void send_to_workers(const struct generation *g, size_t unit, int fd)
{
    const struct message_unit which = {.unit = (uint32_t)unit};
    for (size_t i = 0; i < g->post_count; i++)
        if (g->posts[i].role == PROCESS_WORKER && g->posts[i].child.channel != NULL)
            (void)channel_send(g->posts[i].child.channel, MESSAGE_TLS_FILES, &which,
                               span_make("", 0),
                               fd); /* one that takes nothing is hung, and killed */
}

/* In the master first: workers are forked from it, and what it refuses nobody gets. */
static int take(struct generation *g, size_t unit, struct errors *errors)
{
    const struct config *c = g->prepared->config;
    struct tls_texts texts;
    struct error why;
    int fd = -1;
    tls_unit_read(c, unit, &texts, errors);
    bool is_good = errors_count(errors) == 0 && (fd = tls_texts_pack(&texts, &why)) >= 0 &&
                   tls_contexts_take(g->prepared->tls, unit, &texts, errors) == 0;
    if (is_good)
        send_to_workers(g, unit, fd);
    else if (errors_count(errors) == 0)
        errors_add(errors, "certificates: %s", why.text);
    if (fd >= 0)
        (void)close(fd); /* theirs now */
    tls_texts_clear(&texts);
    return is_good ? 0 : -1;
}

static void on_change(void *owner, size_t unit)
{
    struct generation *g = owner;
    const char *files[TLS_TEXTS_MAX];
    struct errors *errors = errors_create();
    size_t count = tls_unit_files(g->prepared->config, unit, files);
    if (take(g, unit, errors) < 0)
        count = 0;
    for (size_t i = 0; i < count; i++)
        log_event(&g->master->log, EVENT_file_taken, field_text(KEY_file, files[i]));
    errors_each(errors, log_finding, &g->master->log);
    errors_destroy(&errors);
}

void certificates_turn(struct master_state *m)
{
    int64_t now = loop_now(m->loop);
    for (struct generation *g = m->generations; g != NULL; g = g->next) {
        if (g->is_retired)
            continue;
        file_watch_turn(g->prepared->tls_watch, now, on_change, g);
        if (g->certificates_told_ns != 0 && now - g->certificates_told_ns >= DAY_NS)
            tell(g, false);
    }
}
