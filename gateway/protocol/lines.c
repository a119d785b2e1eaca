#include "protocol/lines.h"

#include "base/scan.h"

static enum line_result take_without_end(struct line_reader *r, size_t max, struct span *in)
{
    if (r->is_skipping || in->size >= max) {
        r->is_skipping = true;
        span_skip(in, in->size);
    }
    return LINE_MORE;
}

enum line_result line_take(struct line_reader *r, size_t max, struct span *in, struct span *line)
{
    const char *end = in->size == 0 ? NULL : memchr(in->data, '\n', in->size);
    if (end == NULL)
        return take_without_end(r, max, in);
    size_t size = (size_t)(end - in->data) + 1;
    bool is_too_long = r->is_skipping || size > max;
    *line = span_take(in, size);
    r->is_skipping = false;
    line->size--;
    if (is_too_long)
        return LINE_TOO_LONG;
    if (line->size == 0 || line->data[line->size - 1] != '\r')
        return LINE_BARE;
    line->size--;
    return line->size > 0 && memchr(line->data, '\r', line->size) != NULL ? LINE_BARE : LINE_WHOLE;
}

bool line_has_control(struct span line)
{
    const char *end = line.data + line.size;
    return scan_control(line.data, end) != end;
}

bool line_is_foreign(struct span verb, const char **name)
{
    /* The methods of RFC 9110 section 9 and RFC 5789, and how HTTP/2 begins. */
    static const char *const methods[] = {"GET",     "HEAD",    "POST",  "PUT",   "DELETE",
                                          "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (span_equals_nocase(verb, methods[i])) {
            *name = methods[i];
            return true;
        }
    return verb.size > 1 && verb.data[verb.size - 1] == ':';
}
