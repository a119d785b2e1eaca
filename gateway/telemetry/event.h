/* A log line: an event, and fields whose keys come from one list. */
#pragma once

#include "base/log.h"

#include <stdint.h>

enum log_key {
#define LOG_KEY(name, help) KEY_##name,
#include "telemetry/log_keys.def"
#undef LOG_KEY
    LOG_KEY_COUNT
};

enum event {
#define EVENT(name, level, help) EVENT_##name,
#include "telemetry/events.def"
#undef EVENT
    EVENT_COUNT
};

struct field {
    enum log_key key;
    enum { FIELD_END, FIELD_TEXT, FIELD_SPAN, FIELD_NUMBER, FIELD_SECONDS } kind;
    union {
        const char *text; /* NULL or "": the field is left out */
        struct span span; /* empty: likewise */
        int64_t number;   /* nanoseconds for FIELD_SECONDS */
    };
};

static inline struct field field_text(enum log_key key, const char *text)
{
    return (struct field){.key = key, .kind = FIELD_TEXT, .text = text};
}

static inline struct field field_span(enum log_key key, struct span span)
{
    return (struct field){.key = key, .kind = FIELD_SPAN, .span = span};
}

static inline struct field field_number(enum log_key key, int64_t number)
{
    return (struct field){.key = key, .kind = FIELD_NUMBER, .number = number};
}

/* Printed in seconds with three places. */
static inline struct field field_seconds(enum log_key key, int64_t ns)
{
    return (struct field){.key = key, .kind = FIELD_SECONDS, .number = ns};
}

/* How this process writes its lines, and where they go. */
struct event_log {
    struct log *lines;
    bool is_json;
    const char *process; /* left out when "" */
};

/* Writes a line, when the log takes the event's level:
 * log_event(log, EVENT_login, field_text(KEY_account, a), ...). */
#define log_event(log, event, ...) \
    log_event_fields((log), (event), (const struct field[]){__VA_ARGS__, {.kind = FIELD_END}})

/* Does the log take this event's level? */
bool event_is_logged(const struct event_log *log, enum event event);

/* `fields` ends with FIELD_END. */
void log_event_fields(const struct event_log *log, enum event event, const struct field *fields);

/* The names, for whoever reads or documents them. */
const char *log_key_name(enum log_key key);
const char *event_name(enum event event);
