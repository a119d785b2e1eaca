#include "control/witness.h"

#include "base/clock.h"
#include "control/history.h"
#include "control/top.h"
#include "policy/record.h"

#include <stdlib.h>

struct witness {
    const struct config *config;
    struct top *top;
    struct history *history;
    struct record_line record; /* the line that is heard */
};

static int64_t now_s(void)
{
    return clock_wall_ns() / CLOCK_SECOND;
}

struct witness *witness_create(const struct config *config)
{
    struct witness *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->config = config;
    w->top = calloc(1, top_size());
    w->history = calloc(1, history_size());
    if (w->top == NULL || w->history == NULL) {
        witness_destroy(&w);
        return NULL;
    }
    top_begin(w->top, now_s());
    history_begin(w->history, now_s());
    return w;
}

void witness_destroy(struct witness **witness)
{
    if (*witness == NULL)
        return;
    free((*witness)->top);
    free((*witness)->history);
    free(*witness);
    *witness = NULL;
}

const struct history *witness_history(const struct witness *w)
{
    return w->history;
}

/* ---- hearing ---- */

struct span client_network(struct span client, char out[NETWORK_TEXT_SIZE])
{
    struct address a;
    char host[ADDRESS_TEXT_SIZE];
    const char *end = client.size == 0 ? NULL : memrchr(client.data, ':', client.size);
    if (end != NULL)
        client.size = (size_t)(end - client.data);
    if (client.size == 0 || client.data[0] != '[')
        return client;
    span_skip(&client, 1);
    client.size -= client.size > 0;
    (void)span_copy(client, host, sizeof host); /* what is longer is no address */
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

void witness_hear(struct witness *w, struct span line)
{
    const struct record_line *r = &w->record;
    char network[NETWORK_TEXT_SIZE], domain[TOP_NAME_SIZE];
    history_add(w->history, line, now_s());
    if (record_read(line, &w->record) < 0)
        return;
    const struct top_counts c = counts_of(r);
    if (c.messages == 0 && c.refused == 0)
        return;
    struct span account = record_value(r, "account"), login = record_value(r, "login");
    const struct span names[] = {
        [TOP_ACCOUNT] = account,
        [TOP_LOGIN] = login.size > 0 ? login : account,
        [TOP_SCRIPT] = record_value(r, "script"),
        [TOP_IP] = client_network(record_value(r, "client"), network),
        [TOP_SENDER_DOMAIN] = domain_of(record_value(r, "sender"), domain),
    };
    for (int kind = 0; kind < TOP_KINDS; kind++)
        top_add(w->top, (enum top_kind)kind, names[kind], c, now_s());
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
    int64_t now = now_s();
    *why = (struct error){.text = "out of memory"};
    if (kind < 0)
        (void)error_set(why, "by is account, login, script, ip or sender_domain");
    else if (last < 60 || last > TOP_MINUTES * 60)
        (void)error_set(why, "last is 1min to 1h");
    if (kind < 0 || last < 60 || last > TOP_MINUTES * 60)
        return NULL;
    top_list(w->top, (enum top_kind)kind, (unsigned)((last + 59) / 60), now, &list);
    clock_format_iso(list.since_s * CLOCK_SECOND, since);
    return json_pack("{s:s, s:s, s:I, s:I, s:b, s:o}", "by", by, "since", since, "covers",
                     (json_int_t)(now - list.since_s), "hidden", (json_int_t)list.hidden, "is_told",
                     kind != TOP_SCRIPT || has_headers(w->config), "senders", rows_of(&list));
}
