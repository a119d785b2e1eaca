/* libmilter takes QUIT_NC after a message whose end it has answered with "continue", and passes
 * over it in every other state, the next CONNECT with it: so a connection goes from one client to
 * another after such a message alone. The same client's next message may follow any end. */
#include "milter/milters.h"

#include "base/clock.h"
#include "config/config.h"
#include "telemetry/counters.h"
#include "telemetry/event.h"

#include <assert.h>
#include <stdlib.h>

enum { KEPT_MAX = 8, SCRATCH_MAX = 256 * 1024 };
#define KEPT_NS (10 * CLOCK_SECOND)

struct kept {
    struct milters *milters;
    const struct milter_config *config;
    struct milter_link *first; /* the latest */
    size_t count;
    bool is_failing;
};

struct milters {
    struct milters_options options;
    struct kept *kept; /* of each milter */
    uint64_t last_whom;
    struct buffer scratch;
};

struct milters *milters_create(const struct milters_options *options)
{
    struct milters *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    m->options = *options;
    m->scratch.limit = SCRATCH_MAX;
    m->kept = calloc(options->config->milter_count + 1, sizeof *m->kept);
    if (m->kept == NULL)
        milters_destroy(&m);
    for (size_t i = 0; m != NULL && i < options->config->milter_count; i++)
        m->kept[i] = (struct kept){.milters = m, .config = &options->config->milters[i]};
    return m;
}

const struct milters_options *milters_options(const struct milters *m)
{
    return &m->options;
}

struct buffer *milters_scratch(struct milters *m)
{
    return &m->scratch;
}

uint64_t milters_new_whom(struct milters *m)
{
    return ++m->last_whom;
}

static struct kept *kept_of(struct milters *m, const struct milter_config *which)
{
    return &m->kept[which - m->options.config->milters];
}

/* ---- connections that nobody uses ---- */

static struct milter_link *unlink_at(struct kept *k, struct milter_link **at)
{
    struct milter_link *l = *at;
    *at = milter_link_memory(l)->next;
    k->count--;
    return l;
}

static struct milter_link **last_of(struct kept *k)
{
    struct milter_link **at = &k->first;
    while (milter_link_memory(*at)->next != NULL)
        at = &milter_link_memory(*at)->next;
    return at;
}

static void drop_at(struct kept *k, struct milter_link **at)
{
    struct milter_link *l = unlink_at(k, at);
    milter_link_quit(&l);
}

void milters_destroy(struct milters **milters)
{
    struct milters *m = *milters;
    if (m == NULL)
        return;
    for (size_t i = 0; m->kept != NULL && i < m->options.config->milter_count; i++)
        while (m->kept[i].first != NULL)
            drop_at(&m->kept[i], &m->kept[i].first);
    free(m->kept);
    buffer_clear(&m->scratch);
    free(m);
    *milters = NULL;
}

/* Whose time is over, who has been closed there, and who says what nobody asked for. */
static void on_kept(void *owner, const struct milter_link_event *event)
{
    struct kept *k = owner;
    struct milter_link **at = &k->first;
    while (*at != event->link)
        at = &milter_link_memory(*at)->next;
    if (event->kind != MILTER_LINK_DRAINED)
        drop_at(k, at);
}

void milters_keep(struct milters *m, const struct milter_config *which, struct milter_link **link)
{
    struct kept *k = kept_of(m, which);
    struct milter_link *l = *link;
    *link = NULL;
    milter_link_set_owner(l, on_kept, k);
    milter_link_set_deadline(l, loop_now(m->options.loop) + KEPT_NS);
    milter_link_memory(l)->next = k->first;
    k->first = l;
    if (++k->count > KEPT_MAX)
        drop_at(k, last_of(k));
}

/* One that was told of `whom`. */
static struct milter_link *find_same(struct kept *k, uint64_t whom)
{
    for (struct milter_link **at = &k->first; *at != NULL; at = &milter_link_memory(*at)->next)
        if (milter_link_memory(*at)->whom == whom)
            return unlink_at(k, at);
    return NULL;
}

/* Told that its client is gone, it waits for another. */
static void release(struct milter_link *l)
{
    char quit[MILTER_HEAD_SIZE];
    const struct span bytes = {quit, sizeof quit};
    milter_frame_head(MILTER_COMMAND_QUIT_NC, 0, quit);
    if (milter_link_memory(l)->whom != 0)
        milter_link_write(l, &bytes, 1);
    milter_link_memory(l)->whom = 0;
}

static struct milter_link *find_other(struct kept *k)
{
    for (struct milter_link **at = &k->first; *at != NULL; at = &milter_link_memory(*at)->next)
        if (milter_link_memory(*at)->takes_another) {
            release(*at);
            return unlink_at(k, at);
        }
    return NULL;
}

struct milter_link *milters_take(struct milters *m, const struct milter_config *which,
                                 uint64_t whom, bool *is_kept, milter_link_fn *fn, void *owner,
                                 struct error *why)
{
    struct kept *k = kept_of(m, which);
    const struct milter_link_options options = {.loop = m->options.loop,
                                                .dialler = m->options.dialler,
                                                .config = which,
                                                .index =
                                                    (size_t)(which - m->options.config->milters)};
    struct milter_link *l = find_same(k, whom);
    if (l == NULL)
        l = find_other(k);
    *is_kept = l != NULL;
    if (l == NULL)
        return milter_link_open(&options, fn, owner, why);
    milter_link_set_owner(l, fn, owner);
    milter_link_set_deadline(l, 0);
    return l;
}

void milters_forget(struct milters *m, uint64_t whom)
{
    for (size_t i = 0; i < m->options.config->milter_count; i++) {
        struct kept *k = &m->kept[i];
        for (struct milter_link **at = &k->first; *at != NULL;) {
            const struct milter_link_memory *memory = milter_link_memory(*at);
            if (memory->whom == whom && !memory->takes_another) {
                drop_at(k, at);
                continue;
            }
            if (memory->whom == whom)
                release(*at);
            at = &milter_link_memory(*at)->next;
        }
    }
}

/* ---- how they fare ---- */

void milters_failed(struct milters *m, const struct milter_config *which, const char *reason)
{
    struct kept *k = kept_of(m, which);
    counter_add(m->options.counters, COUNTER_milter_failures, 0, 1);
    if (k->is_failing)
        return;
    k->is_failing = true;
    log_event(m->options.log, EVENT_milter_failed, field_text(KEY_milter, which->name),
              field_text(KEY_reason, reason));
}

void milters_worked(struct milters *m, const struct milter_config *which)
{
    struct kept *k = kept_of(m, which);
    if (!k->is_failing)
        return;
    k->is_failing = false;
    log_event(m->options.log, EVENT_milter_back, field_text(KEY_milter, which->name));
}
