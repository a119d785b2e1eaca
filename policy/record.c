/* Both forms are one row of fields, and quote and escape alike: what differs is what stands between
 * them. A decoded value is never longer than what it stood for, so one line's room is enough. */
#include "policy/record.h"

#include "base/scan.h"
#include "base/utf8.h"
#include "policy/calendar.h"

#include <assert.h>

struct reader {
    struct span rest;
    struct record_line *out;
    size_t used;   /* of out->decoded */
    uint64_t seen; /* a bit for each key that has come; some share one */
    bool is_json;
};

static bool take(struct reader *r, char c)
{
    if (r->rest.size == 0 || r->rest.data[0] != c)
        return false;
    span_skip(&r->rest, 1);
    return true;
}

/* A program that has read our JSON may write it with spaces. */
static void skip_spaces(struct reader *r)
{
    if (!r->is_json)
        return;
    while (take(r, ' ') || take(r, '\t'))
        continue;
}

/* ---- where it begins ---- */

static bool is_tag(struct span tag)
{
    static const char name[] = "porteirod";
    const char *space = tag.size == 0 ? NULL : memrchr(tag.data, ' ', tag.size);
    if (space != NULL)
        span_skip(&tag, (size_t)(space - tag.data) + 1);
    if (tag.size < sizeof name - 1 || memcmp(tag.data, name, sizeof name - 1) != 0)
        return false;
    span_skip(&tag, sizeof name - 1);
    bool has_pid = tag.size > 2 && tag.data[0] == '[' && tag.data[tag.size - 1] == ']';
    for (size_t i = 1; has_pid && i < tag.size - 1; i++)
        has_pid = ascii_is_digit(tag.data[i]);
    return has_pid || tag.size == 0;
}

/* RFC 3164 section 4.1: what stands before the first colon with a space is who says it. */
static bool skip_head(struct span *line)
{
    if (span_starts_nocase(*line, "time=") || span_starts_nocase(*line, "{"))
        return true;
    const char *end = line->size == 0 ? NULL : memmem(line->data, line->size, ": ", 2);
    if (end == NULL || !is_tag(span_make(line->data, (size_t)(end - line->data))))
        return false;
    span_skip(line, (size_t)(end - line->data) + 2);
    return true;
}

/* ---- fields ---- */

/* A function of base/scan: where what it looks through ends. */
typedef const char *scan_fn(const char *at, const char *end);

/* What stands at the front, taken off. */
static inline struct span take_word(struct reader *r, scan_fn *scan)
{
    const char *end = scan(r->rest.data, r->rest.data + r->rest.size);
    return span_take(&r->rest, (size_t)(end - r->rest.data));
}

static const char *scan_number(const char *at, const char *end)
{
    while (at < end && (ascii_is_digit(*at) || *at == '-' || *at == '.'))
        at++;
    return at;
}

static void put(struct reader *r, unsigned c)
{
    assert(r->used < sizeof r->out->decoded);
    r->out->decoded[r->used++] = (char)c;
}

static void put_point(struct reader *r, uint32_t point)
{
    if (point < 0x80) {
        put(r, point);
        return;
    }
    if (point < 0x800) {
        put(r, 0xc0 | point >> 6);
    } else if (point < 0x10000) {
        put(r, 0xe0 | point >> 12);
        put(r, 0x80 | (point >> 6 & 0x3f));
    } else {
        put(r, 0xf0 | point >> 18);
        put(r, 0x80 | (point >> 12 & 0x3f));
        put(r, 0x80 | (point >> 6 & 0x3f));
    }
    put(r, 0x80 | (point & 0x3f));
}

static int32_t take_hex(struct reader *r)
{
    static const char digits[] = "0123456789abcdef";
    int32_t number = 0;
    if (r->rest.size < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = ascii_lower(span_take(&r->rest, 1).data[0]);
        const char *at = memchr(digits, c, sizeof digits - 1);
        if (at == NULL)
            return -1;
        number = number << 4 | (int32_t)(at - digits);
    }
    return number;
}

/* RFC 8259 section 7: what is past U+FFFF comes as a pair. */
static bool take_point(struct reader *r)
{
    int32_t first = take_hex(r), second;
    if (first < 0 || (first >= 0xdc00 && first < 0xe000))
        return false;
    if (first < 0xd800 || first >= 0xe000) {
        put_point(r, (uint32_t)first);
        return true;
    }
    if (!take(r, '\\') || !take(r, 'u') || (second = take_hex(r)) < 0xdc00 || second >= 0xe000)
        return false;
    put_point(r, 0x10000 + (((uint32_t)first & 0x3ff) << 10 | ((uint32_t)second & 0x3ff)));
    return true;
}

static bool take_escaped(struct reader *r)
{
    static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (take(r, 'u'))
        return take_point(r);
    const char *at =
        r->rest.size == 0 ? NULL : memchr(escapes, r->rest.data[0], sizeof escapes - 1);
    if (at == NULL)
        return false;
    span_skip(&r->rest, 1);
    put(r, (unsigned char)meanings[at - escapes]);
    return true;
}

/* Behind the opening quote. */
static bool take_quoted(struct reader *r, struct span *value)
{
    size_t begin = r->used;
    *value = take_word(r, scan_quoted);
    if (take(r, '"'))
        return true; /* as it stands */
    memcpy(r->out->decoded + r->used, value->data, value->size);
    r->used += value->size;
    while (take(r, '\\')) {
        if (!take_escaped(r))
            return false;
        struct span more = take_word(r, scan_quoted);
        memcpy(r->out->decoded + r->used, more.data, more.size);
        r->used += more.size;
    }
    *value = span_make(r->out->decoded + begin, r->used - begin);
    return take(r, '"');
}

static bool take_key(struct reader *r, struct span *key)
{
    if (!r->is_json) {
        *key = take_word(r, scan_key);
        return take(r, '=');
    }
    if (!take(r, '"'))
        return false;
    *key = take_word(r, scan_key);
    if (!take(r, '"'))
        return false;
    skip_spaces(r);
    return take(r, ':');
}

/* Has it come before? From now on it has. */
static bool is_repeated(struct reader *r, struct span key)
{
    uint64_t bit = UINT64_C(1) << ((key.size * 5 + (unsigned char)key.data[0] * 3U +
                                    (unsigned char)key.data[key.size - 1]) &
                                   63);
    bool may_be = (r->seen & bit) != 0;
    r->seen |= bit;
    for (size_t i = 0; may_be && i < r->out->count; i++)
        if (r->out->fields[i].key.size == key.size &&
            memcmp(r->out->fields[i].key.data, key.data, key.size) == 0)
            return true;
    return false;
}

static bool take_field(struct reader *r)
{
    struct record_field f;
    skip_spaces(r);
    if (r->out->count == RECORD_FIELDS_MAX || !take_key(r, &f.key) || f.key.size == 0 ||
        is_repeated(r, f.key))
        return false;
    skip_spaces(r);
    if (!take(r, '"'))
        f.value = take_word(r, r->is_json ? scan_number : scan_word);
    else if (!take_quoted(r, &f.value))
        return false;
    skip_spaces(r);
    if (f.value.size == 0)
        return false; /* it would have been left out */
    r->out->fields[r->out->count++] = f;
    return true;
}

int record_read(struct span line, struct record_line *out)
{
    struct reader r = {.rest = line, .out = out};
    out->count = 0;
    if (line.size > RECORD_LINE_MAX || !skip_head(&r.rest) || !utf8_is_valid(r.rest))
        return -1;
    r.is_json = take(&r, '{');
    do {
        if (!take_field(&r))
            return -1;
    } while (take(&r, r.is_json ? ',' : ' '));
    if ((r.is_json && !take(&r, '}')) || r.rest.size > 0)
        return -1;
    bool is_ours = span_equals(out->fields[0].key, "time") && record_value(out, "event").size > 0;
    return is_ours ? 0 : -1;
}

struct span record_value(const struct record_line *r, const char *key)
{
    const size_t size = strlen(key);
    for (size_t i = 0; i < r->count; i++)
        if (r->fields[i].key.size == size && memcmp(r->fields[i].key.data, key, size) == 0)
            return r->fields[i].value;
    return span_make("", 0);
}

bool record_is(const struct record_line *r, const char *key, const char *value)
{
    return span_equals(record_value(r, key), value);
}

/* ---- when ---- */

/* So many digits off the front, and what must stand behind them. -1: they aren't there. */
static int take_digits(struct span *text, size_t digits, char end)
{
    uint64_t number;
    if (text->size <= digits || text->data[digits] != end ||
        span_number(span_make(text->data, digits), 9999, &number) < 0)
        return -1;
    span_skip(text, digits + 1);
    return (int)number;
}

/* What stands behind the seconds: at most microseconds are taken. */
static int64_t fraction_us(struct span text)
{
    int64_t us = 0, unit = 100000;
    for (; text.size > 0 && ascii_is_digit(text.data[0]); unit /= 10, span_skip(&text, 1))
        us += (text.data[0] - '0') * unit;
    return text.size == 1 && text.data[0] == 'Z' ? us : -1;
}

int64_t record_time_us(const struct record_line *r)
{
    return record_us(record_value(r, "time"));
}

int64_t record_us(struct span text)
{
    int year = take_digits(&text, 4, '-'), month = take_digits(&text, 2, '-');
    int day = take_digits(&text, 2, 'T'), hour = take_digits(&text, 2, ':');
    int minute = take_digits(&text, 2, ':');
    bool has_fraction = text.size > 2 && text.data[2] == '.';
    int second = take_digits(&text, 2, has_fraction ? '.' : 'Z');
    int64_t us = has_fraction ? fraction_us(text) : text.size > 0 ? -1 : 0;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > calendar_month_size(year, month) ||
        hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 || us < 0)
        return -1;
    int64_t seconds = calendar_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return seconds * 1000000 + us;
}
