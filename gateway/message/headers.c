#include "message/headers.h"

#include "base/scan.h"

#include <assert.h>

enum line {
    LINE_OPEN,   /* more of it must be seen */
    LINE_FIELD,  /* begins a field */
    LINE_FOLDED, /* continues one */
    LINE_EMPTY,
    LINE_OTHER, /* is no part of headers */
};

static const struct {
    const char *name;
    size_t size;
} fields[HEADER_FIELDS] = {
    [HEADER_RECEIVED] = {"received", 8},
    [HEADER_DATE] = {"date", 4},
    [HEADER_MESSAGE_ID] = {"message-id", 10},
};

/* Of printed ASCII letters and hyphens alone are changed into these by the bit. */
static bool is_name(const char *text, const char *lower, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((text[i] | 0x20) != lower[i])
            return false;
    return true;
}

static void count_field(struct headers *h, const char *name, size_t size)
{
    for (int i = 0; i < HEADER_FIELDS; i++)
        if (size == fields[i].size && is_name(name, fields[i].name, size))
            h->count[i]++;
    h->is_begun = true;
}

static bool is_white(char c)
{
    return c == ' ' || c == '\t';
}

/* What a line is, by its beginning. A field is counted. */
static enum line look(struct headers *h, struct span line)
{
    const char *at = line.data, *end = at + line.size;
    if (at < end && *at == '.')
        at++; /* of two dots the reader has one */
    if (at == end)
        return LINE_OPEN;
    if (*at == '\r')
        return end - at == 1 ? LINE_OPEN : at[1] == '\n' ? LINE_EMPTY : LINE_OTHER;
    if (is_white(*at))
        return h->is_begun ? LINE_FOLDED : LINE_OTHER; /* else it would continue ours */
    const char *name = at, *name_end = scan_field_name(at, end);
    for (at = name_end; at < end && is_white(*at);)
        at++; /* RFC 5322 section 4.5.8 */
    if (at - name > HEADERS_NAME_MAX)
        return LINE_OTHER;
    if (at == end)
        return LINE_OPEN;
    if (name == name_end || *at != ':')
        return LINE_OTHER;
    count_field(h, name, (size_t)(name_end - name));
    return LINE_FIELD;
}

static enum headers_result end(struct headers *h, enum line line)
{
    h->is_over = true;
    return line == LINE_EMPTY ? HEADERS_END : HEADERS_NO_LINE;
}

static bool is_end(enum line line)
{
    return line == LINE_EMPTY || line == LINE_OTHER;
}

/* The line that the last piece has begun, with what has come. */
static enum line look_at_kept(struct headers *h, struct span text)
{
    char *kept = h->lines[h->which];
    size_t room = sizeof h->lines[0] - h->kept, more = text.size < room ? text.size : room;
    memcpy(kept + h->kept, text.data, more);
    enum line line = look(h, span_make(kept, h->kept + more));
    if (line != LINE_OPEN)
        return line;
    assert(more == text.size); /* what fills the room is long enough to be known */
    h->kept += (unsigned)more;
    return line;
}

/* Goes on to the line that ends the headers, or to what must be kept. Returns what `rest` begins
 * with; LINE_FIELD when it is used up. */
static enum line look_at_lines(struct headers *h, struct span *rest)
{
    while (rest->size > 0) {
        if (!h->is_within_line) {
            enum line line = look(h, *rest);
            if (line == LINE_OPEN || is_end(line))
                return line;
            h->is_within_line = true;
        }
        const char *feed = memchr(rest->data, '\n', rest->size);
        span_skip(rest, feed == NULL ? rest->size : (size_t)(feed - rest->data) + 1);
        h->is_within_line = feed == NULL;
    }
    return LINE_FIELD;
}

enum headers_result headers_take(struct headers *h, struct span text, struct headers_cut *cut)
{
    struct span kept = span_make(h->lines[h->which], h->kept), rest = text;
    enum line line;
    *cut = (struct headers_cut){{{text.data, 0}, {text.data, 0}}, {{text.data, 0}, {text.data, 0}}};
    assert(!h->is_over);
    if (kept.size > 0) {
        line = look_at_kept(h, text);
        if (line == LINE_OPEN)
            return HEADERS_MORE;
        h->kept = 0;
        if (is_end(line)) {
            cut->behind[0] = kept;
            cut->behind[1] = text;
            return end(h, line);
        }
        h->is_within_line = true;
        cut->headers[0] = kept;
    }
    line = look_at_lines(h, &rest);
    cut->headers[1] = span_make(text.data, text.size - rest.size);
    h->size += cut->headers[0].size + cut->headers[1].size;
    if (is_end(line)) {
        cut->behind[1] = rest;
        return end(h, line);
    }
    if (line == LINE_OPEN) {
        h->which = !h->which;
        h->kept = (unsigned)rest.size;
        memcpy(h->lines[h->which], rest.data, rest.size);
    }
    return HEADERS_MORE;
}
