#include "telemetry/event.h"

#include "base/clock.h"
#include "base/scan.h"
#include "base/utf8.h"

#include <stdio.h>

static const struct {
    const char *name;
    enum log_level level;
} events[] = {
#define EVENT(name, level, help) {#name, LOG_LEVEL_##level},
#include "telemetry/events.def"
#undef EVENT
};

/* A key as it stands before its value, and by itself. */
static const struct {
    const char *name, *text, *json;
    size_t size;
} keys[] = {
#define LOG_KEY(name, help) {#name, " " #name "=", ",\"" #name "\":", sizeof #name - 1},
#include "telemetry/log_keys.def"
#undef LOG_KEY
};

/* A line under construction; what doesn't fit is cut at the end of a field. */
struct line {
    size_t used;
    bool is_json;
    char text[4096];
};

static void put(struct line *l, struct span bytes)
{
    size_t room = sizeof l->text - 8 - l->used; /* for a closing quote and brace */
    if (bytes.size > room)
        bytes.size = room;
    memcpy(l->text + l->used, bytes.data, bytes.size);
    l->used += bytes.size;
}

static void put_byte(struct line *l, char c)
{
    put(l, span_make(&c, 1));
}

/* Inside quotes. Control characters never reach a terminal; what isn't UTF-8 is shown by byte. */
static void put_escaped(struct line *l, struct span text)
{
    bool is_utf8 = utf8_is_valid(text);
    char hex[8];
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool is_c1 = c == 0xc2 && i + 1 < text.size && (unsigned char)text.data[i + 1] < 0xa0;
        if (c == '"' || c == '\\') {
            put(l, span_of("\\"));
            put(l, span_make(text.data + i, 1));
        } else if (is_utf8 && is_c1) {
            (void)snprintf(hex, sizeof hex, "\\u%04x", (unsigned char)text.data[++i]); /* fits */
            put(l, span_of(hex));
        } else if (c < 0x20 || c == 0x7f || (c > 0x7f && !is_utf8)) {
            (void)snprintf(hex, sizeof hex, "\\u%04x", c); /* fits */
            put(l, span_of(hex));
        } else {
            put(l, span_make(text.data + i, 1));
        }
    }
}

static void put_key(struct line *l, enum log_key key)
{
    bool is_first = l->used == 0 || (l->is_json && l->used == 1);
    if (l->is_json)
        put(l, span_make(keys[key].json + is_first, keys[key].size + 4 - is_first));
    else
        put(l, span_make(keys[key].text + is_first, keys[key].size + 2 - is_first));
}

/* A text that has nothing to be escaped. */
static void put_word(struct line *l, enum log_key key, struct span word)
{
    put_key(l, key);
    if (l->is_json)
        put_byte(l, '"');
    put(l, word);
    if (l->is_json)
        put_byte(l, '"');
}

static void put_text(struct line *l, enum log_key key, struct span text)
{
    const char *end = text.data + text.size;
    if (text.size == 0)
        return;
    if (scan_word(text.data, end) == end) {
        put_word(l, key, text);
        return;
    }
    put_key(l, key);
    put_byte(l, '"');
    put_escaped(l, text);
    put_byte(l, '"');
}

/* In decimal, with a point before the last `places` digits. */
static void put_number(struct line *l, enum log_key key, int64_t number, unsigned places)
{
    char digits[32];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    for (unsigned i = 0; i <= places || rest > 0; i++, rest /= 10) {
        if (i > 0 && i == places)
            digits[--at] = '.';
        digits[--at] = (char)('0' + rest % 10);
    }
    if (number < 0)
        digits[--at] = '-';
    put_key(l, key);
    put(l, span_make(digits + at, sizeof digits - at));
}

static void put_field(struct line *l, const struct field *f)
{
    switch (f->kind) {
    case FIELD_TEXT: put_text(l, f->key, f->text == NULL ? span_of("") : span_of(f->text)); return;
    case FIELD_SPAN: put_text(l, f->key, f->span); return;
    case FIELD_NUMBER: put_number(l, f->key, f->number, 0); return;
    case FIELD_SECONDS: put_number(l, f->key, f->number / CLOCK_MS, 3); return;
    case FIELD_END: return;
    }
}

bool event_is_logged(const struct event_log *log, enum event event)
{
    return log_takes(log->lines, events[event].level);
}

void log_event_fields(const struct event_log *log, enum event event, const struct field *fields)
{
    struct line l;
    char time[CLOCK_ISO_SIZE];
    if (!event_is_logged(log, event))
        return;
    l.used = 0; /* `text` is filled as it goes */
    l.is_json = log->is_json;
    if (l.is_json)
        put_byte(&l, '{');
    clock_format_iso(clock_wall_ns(), time);
    put_word(&l, KEY_time, span_of(time));
    put_word(&l, KEY_level, span_of(log_level_names[events[event].level]));
    put_word(&l, KEY_event, span_of(events[event].name));
    put_text(&l, KEY_process, span_of(log->process));
    for (; fields->kind != FIELD_END; fields++) {
        size_t before = l.used;
        put_field(&l, fields);
        if (l.used >= sizeof l.text - 8)
            l.used = before; /* cut: leave the whole field out */
    }
    if (l.is_json)
        l.text[l.used++] = '}';
    log_line(log->lines, events[event].level, span_make(l.text, l.used));
}

const char *log_key_name(enum log_key key)
{
    return keys[key].name;
}

const char *event_name(enum event event)
{
    return events[event].name;
}
