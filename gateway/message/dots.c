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
