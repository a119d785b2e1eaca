#include "message/header_reader.h"

#include "base/scan.h"

static bool is_white(char c)
{
    return c == ' ' || c == '\t';
}

/* What of a name is there in one piece. */
static void take_octets(struct header_reader *r, struct span *text)
{
    const char *end = scan_field_name(text->data, text->data + text->size);
    struct span name = span_take(text, (size_t)(end - text->data));
    if (name.size > HEADER_NAME_MAX - r->name_size) {
        r->state = IN_REST;
        return;
    }
    memcpy(r->name + r->name_size, name.data, name.size);
    r->name_size += name.size;
}

/* Returns whether the name is whole. */
static bool take_name(struct header_reader *r, struct span *text)
{
    if (r->state == IN_NAME)
        take_octets(r, text);
    if (text->size == 0 || r->state == IN_REST)
        return false;
    const char c = span_take(text, 1).data[0];
    if (c == '\n')
        r->state = AT_LINE; /* that was no field */
    else if (c == ':')
        r->state = IN_VALUE;
    else if (is_white(c))
        r->state = BEHIND_NAME; /* RFC 5322 section 4.5.8: as much as there is */
    else if (r->state == IN_NAME && r->name_size < HEADER_NAME_MAX)
        r->name[r->name_size++] = c;
    else
        r->state = IN_REST; /* none of those */
    r->name[r->name_size] = '\0';
    return c == ':';
}

/* Up to the line's end, which is taken too. */
static struct span take_line(struct header_reader *r, struct span *text)
{
    const char *feed = memchr(text->data, '\n', text->size);
    struct span line = span_take(text, feed == NULL ? text->size : (size_t)(feed - text->data));
    if (feed == NULL)
        return line;
    span_skip(text, 1);
    r->state = AT_LINE;
    return line;
}

/* The beginning of a line: a fold goes on with what the last one was. Returns whether it is none.
 */
static bool begin_line(struct header_reader *r, struct span *text)
{
    if (r->state == AT_LINE && text->data[0] == '.') {
        r->state = BEHIND_DOT; /* the reader takes it away */
        span_skip(text, 1);
        return false;
    }
    bool is_fold = is_white(text->data[0]);
    r->state = is_fold ? IN_VALUE : IN_NAME;
    r->name_size = is_fold ? r->name_size : 0;
    return !is_fold;
}

enum header_event header_reader_next(struct header_reader *r, struct span *text, struct span *value)
{
    while (text->size > 0) {
        switch (r->state) {
        case AT_LINE:
        case BEHIND_DOT:
            if (begin_line(r, text))
                return HEADER_ENDS;
            break;
        case IN_NAME:
        case BEHIND_NAME:
            if (take_name(r, text))
                return HEADER_BEGINS;
            break;
        case IN_VALUE: *value = take_line(r, text); return HEADER_VALUE;
        case IN_REST: (void)take_line(r, text); break;
        }
    }
    return HEADER_MORE;
}
