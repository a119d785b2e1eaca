#include "control/witness.h"

#include "base/clock.h"
#include "base/shared_lock.h"
#include "control/folding.h"
#include "control/history.h"
#include "control/top.h"
#include "policy/record.h"

#include <stdlib.h>

#define LOCK_NS (100 * CLOCK_MS)

/* Order of the stores in its parts is such that a process may end between any two of them. */
struct witness_memory {
    struct shared_lock lock;
    int64_t began_s;    /* 0: not yet */
    uint64_t content[]; /* the counts, behind them the lines, and what is folded */
};

struct witness {
    struct witness_options options;
    struct top *top;
    struct history *history;
    struct folding *folding;
    witness_fn *fn; /* NULL: nobody hears of them */
    void *owner;
    struct record_line record; /* the line that is heard */
};

static int64_t now_s(void)
{
    return clock_wall_ns() / CLOCK_SECOND;
}

/* ---- what is kept ---- */

size_t witness_memory_size(void)
{
    return sizeof(struct witness_memory) + top_size() + history_size() + folding_size();
}

void witness_memory_release(struct witness_memory *m, size_t process)
{
    if (shared_lock_is_of(&m->lock, process))
        shared_lock_give(&m->lock);
}

static bool take(const struct witness *w)
{
    return shared_lock_take(&w->options.memory->lock, w->options.process,
                            clock_monotonic_ns() + LOCK_NS) == 0;
}

void witness_give(const struct witness *w)
{
    shared_lock_give(&w->options.memory->lock);
}

struct folding *witness_take_folding(const struct witness *w)
{
    return take(w) ? w->folding : NULL;
}

const struct history *witness_history(const struct witness *w)
{
    return w->history;
}

void witness_tell(struct witness *w, witness_fn *fn, void *owner)
{
    w->fn = fn;
    w->owner = owner;
}

const struct history *witness_take_history(const struct witness *w)
{
    return take(w) ? w->history : NULL;
}

struct witness *witness_create(const struct witness_options *options)
{
    struct witness *w = calloc(1, sizeof *w);
    struct witness_memory *m = options->memory;
    if (w == NULL)
        return NULL;
    w->options = *options;
    w->top = (struct top *)m->content;
    w->history = (struct history *)(void *)((char *)m->content + top_size());
    w->folding = (struct folding *)(void *)((char *)w->history + history_size());
    if (m->began_s == 0) { /* the first of all: there is no other yet */
        m->began_s = now_s();
        top_begin(w->top, m->began_s);
        history_begin(w->history, m->began_s);
    }
    return w;
}

void witness_destroy(struct witness **w)
{
    free(*w);
    *w = NULL;
}

/* ---- hearing ---- */

struct span client_host(struct span client)
{
    const char *end = client.size == 0 ? NULL : memrchr(client.data, ':', client.size);
    if (end != NULL)
        client.size = (size_t)(end - client.data);
    if (client.size > 0 && client.data[0] == '[') {
        span_skip(&client, 1);
        client.size -= client.size > 0;
    }
    return client;
}

struct span client_network(struct span client, char out[NETWORK_TEXT_SIZE])
{
    struct address a;
    char host[ADDRESS_TEXT_SIZE];
    const struct span only = client_host(client);
    if (client.size == 0 || client.data[0] != '[')
        return only;
    (void)span_copy(only, host, sizeof host); /* what is longer is no address */
    if (address_make(host, 0, &a) < 0)
        return span_make("", 0);
    struct network n = network_of(&a, 32, 64);
    network_format(&n, out);
    return span_of(out);
}

/* What a line says of sending. Refusals by policy at the end of a message are told twice: by the
 * decision and with the message. */
static struct top_counts counts_of(const struct record_line *r)
{
    struct top_counts c = {.messages = 0};
    uint64_t recipients = 0;
    const struct span event = record_value(r, "event");
    if (span_equals(event, "message_accepted")) {
        c.messages = 1;
        if (span_number(record_value(r, "recipients"), 1000000, &recipients) == 0)
            c.recipients = (uint32_t)recipients;
    } else if (span_equals(event, "recipient_refused")) {
        c.refused = 1;
    } else if (span_equals(event, "message_refused")) {
        c.refused = !record_is(r, "reason", "policy");
    } else if (span_equals(event, "decision")) {
        c.refused = record_is(r, "verdict", "defer") || record_is(r, "verdict", "reject");
    } else if (span_equals(event, "command_refused")) {
        c.refused = record_is(r, "command", "MAIL") || record_is(r, "command", "RCPT");
    }
    return c;
}

static struct span domain_of(struct span sender, char out[TOP_NAME_SIZE])
{
    const char *at = sender.size == 0 ? NULL : memrchr(sender.data, '@', sender.size);
    if (at == NULL)
        return sender; /* "<>" */
    span_skip(&sender, (size_t)(at - sender.data) + 1);
    if (sender.size >= TOP_NAME_SIZE)
        return sender;
    for (size_t i = 0; i < sender.size; i++)
        out[i] = ascii_lower(sender.data[i]);
    return span_make(out, sender.size);
}

static void count(struct witness *w, const struct top_counts *c, int64_t now)
{
    const struct record_line *r = &w->record;
    char network[NETWORK_TEXT_SIZE], domain[TOP_NAME_SIZE];
    struct span account = record_value(r, "account"), login = record_value(r, "login");
    const struct span names[] = {
        [TOP_ACCOUNT] = account,
        [TOP_LOGIN] = login.size > 0 ? login : account,
        [TOP_SCRIPT] = record_value(r, "script"),
        [TOP_IP] = client_network(record_value(r, "client"), network),
        [TOP_SENDER_DOMAIN] = domain_of(record_value(r, "sender"), domain),
    };
    for (int kind = 0; kind < TOP_KINDS; kind++)
        top_add(w->top, (enum top_kind)kind, names[kind], *c, now);
}

void witness_hear(struct witness *w, struct span line)
{
    const struct record_line *r = &w->record;
    int64_t now = now_s();
    bool is_read = record_read(line, &w->record) == 0;
    const struct top_counts c = is_read ? counts_of(r) : (struct top_counts){.messages = 0};
    if (!take(w))
        return;
    history_add(w->history, line, now);
    if (c.messages > 0 || c.refused > 0)
        count(w, &c, now);
    witness_give(w);
    if (is_read && w->fn != NULL)
        w->fn(w->owner, r, line);
}

/* ---- telling ---- */

static bool has_headers(const struct config *c)
{
    for (size_t i = 0; i < c->listener_count; i++)
        if (c->listeners[i].policy_rules != NULL && c->listeners[i].policy_rules->headers.count > 0)
            return true;
    return false;
}

static int kind_of(const char *by)
{
    for (int kind = 0; by != NULL && kind < TOP_KINDS; kind++)
        if (strcmp(by, top_kind_names[kind]) == 0)
            return kind;
    return -1;
}

static json_t *rows_of(const struct top_list *list)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < list->count; i++) {
        const struct top_row *r = &list->rows[i];
        (void)json_array_append_new(
            rows, json_pack("{s:s, s:I, s:I, s:I}", "name", r->name, "messages",
                            (json_int_t)r->counts.messages, "recipients",
                            (json_int_t)r->counts.recipients, "refused",
                            (json_int_t)r->counts.refused)); /* without memory it is missing */
    }
    return rows;
}

json_t *witness_top(const struct witness *w, const json_t *request, struct error *why)
{
    const char *by = json_string_value(json_object_get(request, "by"));
    json_int_t last = json_integer_value(json_object_get(request, "last"));
    struct top_list list;
    char since[CLOCK_ISO_SIZE];
    int kind = kind_of(by);
    bool is_taken = false;
    int64_t now = now_s();
    *why = (struct error){.text = "out of memory"};
    if (kind < 0)
        (void)error_set(why, "by is account, login, script, ip or sender_domain");
    else if (last < 60 || last > TOP_MINUTES * 60)
        (void)error_set(why, "last is 1min to 1h");
    else if (!take(w))
        (void)error_set(why, "another process is busy with it; try again");
    else
        is_taken = true;
    if (!is_taken)
        return NULL;
    top_list(w->top, (enum top_kind)kind, (unsigned)((last + 59) / 60), now, &list);
    witness_give(w);
    clock_format_iso(list.since_s * CLOCK_SECOND, since);
    return json_pack("{s:s, s:s, s:I, s:I, s:b, s:o}", "by", by, "since", since, "covers",
                     (json_int_t)(now - list.since_s), "hidden", (json_int_t)list.hidden, "is_told",
                     kind != TOP_SCRIPT || has_headers(w->options.config), "senders",
                     rows_of(&list));
}
