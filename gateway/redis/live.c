#include "redis/live.h"

#include "base/clock.h"
#include "redis/search.h"

#include <stdlib.h>
#include <unistd.h>

struct live {
    struct redis_command command; /* at the front */
    struct redis_options options;
    struct redis_search *search;
    struct redis_link *link;
    int fd;
    struct buffer *out;
    bool is_wrong;
};

/* ---- what is told ---- */

/* A row: "  label       value". What doesn't fit is cut; a terminal does nothing but show it. */
static void tell(struct live *v, const char *label, const char *value)
{
    struct error shown;
    (void)error_set(&shown, "%s", value);
    for (char *c = shown.text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    (void)buffer_printf(v->out, "  %-12s %s\n", label, shown.text);
}

static void tell_wrong(struct live *v, const char *reason)
{
    v->is_wrong = true;
    tell(v, "ERROR", reason);
    loop_stop(v->options.loop);
}

static void tell_tls(struct live *v, const struct connection *c)
{
    struct error text;
    if (connection_peer(c)->size == 0)
        return; /* a unix socket */
    (void)error_set(&text, "%s, %s", connection_tls_version(c), connection_tls_cipher(c));
    tell(v, "TLS",
         connection_tls_version(c)[0] == '\0' ? "not used; everything is in clear" : text.text);
}

/* The value of a line "KEY:VALUE" of INFO, or nothing. */
static struct span info(struct span text, const char *key)
{
    while (text.size > 0) {
        struct span line = span_split(&text, '\n');
        line.size -= line.size > 0 && line.data[line.size - 1] == '\r';
        if (span_equals(span_split(&line, ':'), key))
            return line.size < 100 ? line : span_of("");
    }
    return span_of("");
}

static void tell_role(struct live *v, struct span text)
{
    struct span role = info(text, "role"), replicas = info(text, "connected_slaves");
    struct error row;
    (void)error_set(&row, "%.*s, replicas: %.*s", (int)role.size, role.data, (int)replicas.size,
                    replicas.data);
    tell(v, "role", row.text);
}

/* Every counter has an end, so that those policies that drop what has one drop counters too. */
static void tell_memory(struct live *v, struct span text)
{
    struct span max = info(text, "maxmemory"), policy = info(text, "maxmemory_policy");
    bool is_limited = max.size > 0 && !span_equals(max, "0");
    struct error row;
    (void)error_set(&row, "maxmemory %.*s, maxmemory-policy %.*s", (int)max.size, max.data,
                    (int)policy.size, policy.data);
    tell(v, "memory", row.text);
    if (policy.size > 0 && !span_equals(policy, "noeviction"))
        tell(v, "WARNING",
             is_limited
                 ? "counters are dropped when memory is full: say maxmemory-policy noeviction"
                 : "counters would be dropped by a maxmemory: say maxmemory-policy "
                   "noeviction");
}

static void on_info(struct redis_command *command, const struct redis_value *answer)
{
    struct live *v = (struct live *)command; /* it lies at the front */
    struct span version;
    struct error row;
    redis_command_free(&command->bytes, command->size);
    if (answer == NULL)
        return; /* on_link tells why */
    if (answer->kind != REDIS_STRING) {
        struct span text = answer->kind == REDIS_ERROR ? answer->text : span_of("no text");
        (void)error_set(&row, "unknown; INFO: %.*s", (int)(text.size < 200 ? text.size : 200),
                        text.data);
        tell(v, "role", row.text);
    } else {
        version = info(answer->text, "redis_version");
        (void)error_set(&row, "%.*s", (int)version.size, version.data);
        tell(v, "version", row.text);
        tell_role(v, answer->text);
        tell_memory(v, answer->text);
    }
    loop_stop(v->options.loop);
}

/* ---- on the way ---- */

static void on_link(void *owner, struct redis_link *l, enum redis_link_event event,
                    const char *reason)
{
    (void)l, (void)event; /* it was open, and is lost */
    tell_wrong(owner, reason);
}

static void ask(struct live *v)
{
    const char *words[] = {"INFO"};
    const size_t sizes[] = {4};
    v->command.bytes = redis_command_format(1, words, sizes, &v->command.size);
    if (v->command.bytes == NULL) {
        tell_wrong(v, "out of memory");
        return;
    }
    v->command.fn = on_info;
    v->command.deadline_ns = loop_now(v->options.loop) + v->options.config->timeout_ms * CLOCK_MS;
    redis_link_send(v->link, &v->command);
}

static void on_search(void *owner, struct redis_link *found, const struct redis_place *place,
                      const char *failure)
{
    struct live *v = owner;
    (void)buffer_printf(v->out, "redis, %s\n", place->name);
    if (found == NULL) {
        tell_wrong(v, failure);
        return;
    }
    v->link = found;
    redis_link_set_owner(found, on_link, v);
    tell_tls(v, redis_link_connection(found));
    ask(v);
}

static void dial(void *owner, size_t index)
{
    struct live *v = owner;
    int fd = v->fd;
    v->fd = -1;
    redis_search_dialled(v->search, index, fd);
}

/* The loop runs until all is told. */
static int look(struct live *v, struct error *why)
{
    v->search = redis_search_create(&v->options, on_search, v);
    if (v->search == NULL)
        return error_set(why, "out of memory");
    redis_search_begin(v->search, NULL);
    int failed = loop_run(v->options.loop);
    redis_search_destroy(&v->search);
    redis_link_close(&v->link);
    return failed < 0 ? error_set(why, "the event loop fails") : v->is_wrong;
}

int redis_live_check(const struct config *config, const struct redis_passwords *passwords,
                     const struct tls_contexts *tls, int fd, struct buffer *out, struct error *why)
{
    struct live v = {.options = {.config = &config->redis,
                                 .password = redis_password(&passwords->server),
                                 .sentinel_password = redis_password(&passwords->sentinel),
                                 .tls = tls_redis_context(tls),
                                 .dial = dial,
                                 .dial_owner = &v},
                     .fd = fd,
                     .out = out};
    int outcome = 0;
    if (config->redis.server_count > 0) {
        v.options.loop = loop_create(why);
        outcome = v.options.loop == NULL ? -1 : look(&v, why);
        loop_destroy(&v.options.loop);
    }
    if (v.fd >= 0)
        (void)close(v.fd); /* nothing was written */
    return outcome;
}
