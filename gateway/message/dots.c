#include "message/dots.h"

#include "base/scan.h"

struct span dots_next(struct dots *d, struct span *text)
{
    if (text->size > 0 && !d->is_within_line) {
        d->is_within_line = true;
        if (text->data[0] == '.')
            span_skip(text, 1);
    }
    if (text->size == 0)
        return *text;
    const char *end = text->data + text->size, *feed = scan_pair(text->data, end, '\n', '.');
    size_t size = feed == end ? text->size : (size_t)(feed - text->data) + 1;
    struct span piece = span_take(text, size);
    d->is_within_line = piece.data[size - 1] != '\n';
    return piece;
}

static char *put(char *at, struct span text)
{
    memcpy(at, text.data, text.size);
    return at + text.size;
}

struct span dots_double(struct dots *d, struct span text, char *spare)
{
    const char *end = text.data + text.size;
    bool is_dotted = text.size > 0 && !d->is_within_line && text.data[0] == '.';
    const char *feed = scan_pair(text.data, end, '\n', '.');
    char *out = spare;
    if (text.size > 0)
        d->is_within_line = end[-1] != '\n';
    if (!is_dotted && feed == end)
        return text;
    if (is_dotted)
        *out++ = '.';
    while (feed != end) {
        out = put(out, span_take(&text, (size_t)(feed - text.data) + 1));
        *out++ = '.';
        feed = scan_pair(text.data, end, '\n', '.');
    }
    out = put(out, text);
    return span_make(spare, (size_t)(out - spare));
}

struct span dots_end(const struct dots *d)
{
    return span_of(d->is_within_line ? "\r\n" : "");
}
