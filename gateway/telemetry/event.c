#include "telemetry/event.h"

#include "base/clock.h"
#include "base/scan.h"
#include "base/utf8.h"

#include <assert.h>
#include <stdio.h>

static const struct {
    const char *name;
    enum log_level level;
} events[] = {
#define EVENT(name, level, help) {#name, LOG_LEVEL_##level},
#include "telemetry/events.def"
#undef EVENT
};

/* A key as it stands before its value. */
enum { KEY_ROOM = 16 };
static const struct {
    const char *name;
    char text[KEY_ROOM], json[KEY_ROOM];
    unsigned char text_size, json_size;
} keys[] = {
#define LOG_KEY(name, help) \
    {#name, " " #name "=", ",\"" #name "\":", sizeof #name + 1, sizeof #name + 3},
#include "telemetry/log_keys.def"
#undef LOG_KEY
};

#define LOG_KEY(name, help) \
    static_assert(sizeof #name + 3 < KEY_ROOM, #name " is too long for a key");
#include "telemetry/log_keys.def"
#undef LOG_KEY

/* A line under construction. A field that doesn't fit is left out. */
enum { LINE_ROOM = 4096, QUOTES = 2, BRACE = 1 };
struct line {
    size_t used;
    bool is_json;
    char text[LINE_ROOM + SCAN_OVER];
};

/* Is there room for a key and a value of this size? */
static bool has_room(const struct line *l, size_t size)
{
    return size < LINE_ROOM && l->used + KEY_ROOM + QUOTES + size + BRACE <= LINE_ROOM;
}

static void put_byte(struct line *l, char c)
{
    l->text[l->used++] = c;
}

/* Copies of one size are a move or two. What is too much is written over. */
static void put_key(struct line *l, enum log_key key)
{
    memcpy(l->text + l->used, l->is_json ? keys[key].json : keys[key].text, KEY_ROOM);
    l->used += l->is_json ? keys[key].json_size : keys[key].text_size;
}

/* As it is, quoted or not. */
static void put_bare(struct line *l, enum log_key key, struct span text, bool is_quoted)
{
    put_key(l, key);
    if (is_quoted)
        put_byte(l, '"');
    memcpy(l->text + l->used, text.data, text.size);
    l->used += text.size;
    if (is_quoted)
        put_byte(l, '"');
}

/* Inside quotes. Control characters never reach a terminal; what isn't UTF-8 is shown by byte.
 * Returns false where there is no room for all. */
static bool put_escaped(struct line *l, struct span text)
{
    enum { HEX_SIZE = sizeof "\\u0000" };
    bool is_utf8 = utf8_is_valid(text);
    for (size_t i = 0; i < text.size && has_room(l, HEX_SIZE); i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool is_c1 = c == 0xc2 && i + 1 < text.size && (unsigned char)text.data[i + 1] < 0xa0;
        if (is_utf8 && is_c1)
            c = (unsigned char)text.data[++i];
        if ((is_utf8 && is_c1) || c < 0x20 || c == 0x7f || (c > 0x7f && !is_utf8)) {
            (void)snprintf(l->text + l->used, HEX_SIZE, "\\u%04x", c); /* fits */
            l->used += HEX_SIZE - 1;
        } else {
            if (c == '"' || c == '\\')
                put_byte(l, '\\');
            put_byte(l, (char)c);
        }
    }
    return has_room(l, HEX_SIZE);
}

/* Does each octet stand for itself within quotes? */
static bool is_plain(struct span text)
{
    const char *end = text.data + text.size;
    return scan_quoted(text.data, end) == end && scan_ascii(text.data, end) == end;
}

/* Most texts are words, and where they have been copied to may be read past their end. */
static void put_text(struct line *l, enum log_key key, struct span text)
{
    size_t before = l->used;
    if (text.size == 0 || !has_room(l, text.size))
        return;
    put_bare(l, key, text, l->is_json);
    if (scan_is_word(l->text + l->used - text.size - l->is_json, text.size))
        return;
    l->used = before;
    if (is_plain(text)) {
        put_bare(l, key, text, true);
        return;
    }
    put_key(l, key);
    put_byte(l, '"');
    if (put_escaped(l, text))
        put_byte(l, '"');
    else
        l->used = before;
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
    if (has_room(l, sizeof digits))
        put_bare(l, key, span_make(digits + at, sizeof digits - at), false);
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
    clock_format_iso(clock_wall_ns(), time);
    put_bare(&l, KEY_time, span_of(time), l.is_json);
    put_bare(&l, KEY_level, span_of(log_level_names[events[event].level]), l.is_json);
    put_bare(&l, KEY_event, span_of(events[event].name), l.is_json);
    put_text(&l, KEY_process, span_of(log->process));
    for (; fields->kind != FIELD_END; fields++)
        put_field(&l, fields);
    /* What parts a key from the value before it begins the line. */
    if (l.is_json) {
        l.text[0] = '{';
        put_byte(&l, '}');
    }
    log_line(log->lines, events[event].level, span_make(l.text + !l.is_json, l.used - !l.is_json));
}

const char *log_key_name(enum log_key key)
{
    return keys[key].name;
}

const char *event_name(enum event event)
{
    return events[event].name;
}
