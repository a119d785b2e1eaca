#include "message/headers_remove.h"

/* Up to the LF, and with it. */
static struct span take_line(struct span *text)
{
    const char *end = memchr(text->data, '\n', text->size);
    return span_take(text, end == NULL ? text->size : (size_t)(end - text->data) + 1);
}

/* As the reader will see it: he takes the first dot away. */
static struct span without_dot(struct span line)
{
    if (line.size > 0 && line.data[0] == '.')
        span_skip(&line, 1);
    return line;
}

static bool is_fold(struct span line)
{
    return line.size > 0 && (line.data[0] == ' ' || line.data[0] == '\t');
}

unsigned headers_remove(struct buffer *headers, const char *name)
{
    struct span rest = buffer_bytes(headers);
    unsigned count = 0;
    bool is_of_it = false; /* the line before */
    headers->size = 0;     /* of what is kept so far */
    while (rest.size > 0) {
        struct span line = take_line(&rest), seen = without_dot(line);
        if (!is_fold(seen)) {
            is_of_it = span_equals_nocase(span_trim(span_split(&seen, ':')), name);
            count += is_of_it;
        }
        if (is_of_it)
            continue;
        memmove(headers->data + headers->start + headers->size, line.data, line.size);
        headers->size += line.size;
    }
    return count;
}
