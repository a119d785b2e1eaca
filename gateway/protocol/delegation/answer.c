#include "protocol/delegation/answer.h"

/* Where the empty line ends; 0: it isn't there. */
static size_t answer_size(struct span in)
{
    for (size_t i = 0; i < in.size; i++)
        if (in.data[i] == '\n' && (i == 0 || in.data[i - 1] == '\n'))
            return i + 1;
    return 0;
}

/* Of the same name the first counts. Returns 0, or -1. */
static int read_lines(struct span lines, struct span *action, struct error *why)
{
    *action = span_make(NULL, 0);
    while (lines.size > 0) {
        struct span value = span_split(&lines, '\n'), line = value;
        struct span name = span_split(&value, '=');
        if (name.size == line.size)
            return error_set(why, "a line of its answer is no name=value");
        if (action->data == NULL && span_equals(name, "action"))
            *action = span_trim(value);
    }
    return action->data == NULL ? error_set(why, "its answer has no action") : 0;
}

int delegation_answer_parse(struct span *in, struct span *action, struct error *why)
{
    struct span seen =
        span_make(in->data, in->size < DELEGATION_ANSWER_MAX ? in->size : DELEGATION_ANSWER_MAX);
    size_t size = answer_size(seen);
    if (seen.size == 0)
        return 0;
    if (memchr(seen.data, '\0', size > 0 ? size : seen.size) != NULL)
        return error_set(why, "a NUL octet in its answer");
    if (size == 0)
        return seen.size < DELEGATION_ANSWER_MAX
                   ? 0
                   : error_set(why, "its answer is longer than %d octets", DELEGATION_ANSWER_MAX);
    struct span lines = span_take(in, size);
    lines.size--; /* the empty one */
    return read_lines(lines, action, why) < 0 ? -1 : 1;
}
