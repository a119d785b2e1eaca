#include "redis/importer.h"

#include "base/clock.h"
#include "redis/handshake.h"

#include <stdlib.h>

struct redis_importer {
    const struct redis_options *options;
    redis_importer_fn *fn;
    void *owner;
    struct address at; /* where `link` leads */
    struct redis_link *link;
    struct redis_handshake *handshake;
    bool is_ready;
    struct redis_asked *waiting, **last; /* until it is */
};

static void tell_asking(struct redis_command *command, const struct redis_value *answer)
{
    (void)answer; /* a refusal is said again by what comes behind it */
    redis_command_free(&command->bytes, command->size);
}

static void send_one(struct redis_importer *i, struct redis_asked *a)
{
    const char *words[] = {"ASKING"};
    const size_t sizes[] = {6};
    a->asking = (struct redis_command){.fn = tell_asking, .deadline_ns = a->command->deadline_ns};
    a->asking.bytes = redis_command_format(1, words, sizes, &a->asking.size);
    if (a->asking.bytes == NULL) {
        a->command->fn(a->command, NULL);
        return;
    }
    redis_link_send(i->link, &a->asking);
    redis_link_send(i->link, a->command);
}

static struct redis_asked *take_waiting(struct redis_importer *i)
{
    struct redis_asked *first = i->waiting;
    i->waiting = NULL;
    i->last = &i->waiting;
    return first;
}

void redis_importer_close(struct redis_importer *i)
{
    struct redis_asked *next = take_waiting(i);
    i->is_ready = false;
    redis_handshake_end(&i->handshake);
    redis_link_close(&i->link);
    while (next != NULL) {
        struct redis_asked *a = next;
        next = a->next;
        a->command->fn(a->command, NULL);
    }
}

/* Nobody is told of a connection that has ended while nobody used it. */
static void fail(struct redis_importer *i, const char *reason)
{
    char name[ADDRESS_TEXT_SIZE];
    address_format(&i->at, name);
    if (i->waiting == NULL && redis_link_is_idle(i->link))
        redis_importer_close(i);
    else
        i->fn(i->owner, name, reason);
}

static void on_handshake(void *owner, const char *failure, const struct address *elsewhere)
{
    struct redis_importer *i = owner;
    (void)elsewhere; /* it isn't asked for a key */
    if (failure != NULL) {
        fail(i, failure);
        return;
    }
    struct redis_asked *next = take_waiting(i);
    redis_handshake_end(&i->handshake);
    i->is_ready = true;
    while (next != NULL) {
        struct redis_asked *a = next;
        next = a->next;
        send_one(i, a);
    }
}

/* Who waits has given it the time that is left. */
static void on_link(void *owner, struct redis_link *l, enum redis_link_event event,
                    const char *reason)
{
    struct redis_importer *i = owner;
    if (event == REDIS_LINK_LOST) {
        fail(i, reason);
        return;
    }
    const struct redis_handshake_options options = {.config = i->options->config,
                                                    .peer = REDIS_PEER_IMPORTER,
                                                    .password = i->options->password,
                                                    .at = &i->at,
                                                    .deadline_ns =
                                                        i->waiting->command->deadline_ns};
    i->handshake = redis_handshake_begin(l, &options, on_handshake, i);
    if (i->handshake == NULL)
        fail(i, "out of memory");
}

static void connect_to(struct redis_importer *i, const struct address *to, int64_t deadline_ns)
{
    int64_t left_ms = (deadline_ns - loop_now(i->options->loop)) / CLOCK_MS;
    const struct redis_link_options options = {.loop = i->options->loop,
                                               .timeout_ms = left_ms > 0 ? left_ms : 1,
                                               .tls = i->options->tls,
                                               .fn = on_link,
                                               .owner = i};
    i->at = *to;
    i->link = redis_link_connect(&options, to, NULL);
}

void redis_importer_send(struct redis_importer *i, const struct address *to,
                         struct redis_asked *asked)
{
    if (i->link != NULL && !address_is_same(&i->at, to))
        redis_importer_close(i);
    if (i->link == NULL)
        connect_to(i, to, asked->command->deadline_ns);
    if (i->link == NULL) {
        asked->command->fn(asked->command, NULL);
        return;
    }
    if (i->is_ready) {
        send_one(i, asked);
        return;
    }
    asked->next = NULL;
    *i->last = asked;
    i->last = &asked->next;
}

struct redis_importer *redis_importer_create(const struct redis_options *options,
                                             redis_importer_fn *fn, void *owner)
{
    struct redis_importer *i = calloc(1, sizeof *i);
    if (i == NULL)
        return NULL;
    i->options = options;
    i->fn = fn;
    i->owner = owner;
    i->last = &i->waiting;
    return i;
}

void redis_importer_destroy(struct redis_importer **importer)
{
    if (*importer == NULL)
        return;
    redis_importer_close(*importer);
    free(*importer);
    *importer = NULL;
}
