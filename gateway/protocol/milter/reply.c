#include "protocol/milter/reply.h"

enum { LINE_MAX_SIZE = 510, LINES_MAX = 64, INDEX_MAX = 1000000 };

/* What stands in a frame. */
enum shape {
    NOTHING,
    TEXT,           /* up to the end, with a NUL there or not */
    BYTES,          /* all of it */
    NAME_VALUE,     /* two texts */
    AT_NAME_VALUE,  /* an index before them */
    ADDRESS,        /* a text */
    ADDRESS_OR_TWO, /* and perhaps another, of parameters */
};

static const struct kind {
    char code;
    enum shape shape;
    bool is_edit; /* it comes at the end of a message, before the verdict */
    uint32_t action;
} kinds[] = {
    {MILTER_REPLY_CONTINUE, NOTHING, false, 0},
    {MILTER_REPLY_ACCEPT, NOTHING, false, 0},
    {MILTER_REPLY_REJECT, NOTHING, false, 0},
    {MILTER_REPLY_TEMPFAIL, NOTHING, false, 0},
    {MILTER_REPLY_DISCARD, NOTHING, false, 0},
    {MILTER_REPLY_TEXT, TEXT, false, 0},
    {MILTER_REPLY_SKIP, NOTHING, false, 0},
    {MILTER_REPLY_PROGRESS, NOTHING, false, 0},
    {MILTER_REPLY_SHUTDOWN, NOTHING, false, 0},
    {MILTER_REPLY_CONNECTION_FAILURE, NOTHING, false, 0},
    {MILTER_REPLY_QUARANTINE, TEXT, true, MILTER_MAY_QUARANTINE},
    {MILTER_REPLY_ADD_HEADER, NAME_VALUE, true, MILTER_MAY_ADD_HEADERS},
    {MILTER_REPLY_INSERT_HEADER, AT_NAME_VALUE, true, MILTER_MAY_ADD_HEADERS},
    {MILTER_REPLY_CHANGE_HEADER, AT_NAME_VALUE, true, MILTER_MAY_CHANGE_HEADERS},
    {MILTER_REPLY_BODY, BYTES, true, MILTER_MAY_CHANGE_BODY},
    {MILTER_REPLY_CHANGE_SENDER, ADDRESS_OR_TWO, true, MILTER_MAY_CHANGE_SENDER},
    {MILTER_REPLY_ADD_RCPT, ADDRESS, true, MILTER_MAY_ADD_RCPT},
    {MILTER_REPLY_ADD_RCPT_WITH, ADDRESS_OR_TWO, true, MILTER_MAY_ADD_RCPT_WITH},
    {MILTER_REPLY_DELETE_RCPT, ADDRESS, true, MILTER_MAY_DELETE_RCPT},
};

static const struct kind *find(char code)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].code == code)
            return &kinds[i];
    return NULL;
}

bool milter_reply_is_edit(char code)
{
    const struct kind *k = find(code);
    return k != NULL && k->is_edit;
}

/* A text with its NUL, taken off the front. */
static int take_text(struct span *data, struct span *text)
{
    if (memchr(data->data, '\0', data->size) == NULL)
        return -1;
    *text = span_split(data, '\0');
    return 0;
}

static bool is_field_name(struct span name)
{
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] <= ' ' || name.data[i] >= 0x7f || name.data[i] == ':')
            return false;
    return name.size > 0;
}

static int parse_field(struct span data, struct milter_reply *out)
{
    if (take_text(&data, &out->name) < 0 || take_text(&data, &out->value) < 0 || data.size > 0)
        return -1;
    return is_field_name(out->name) ? 0 : -1;
}

static int parse_field_at(struct span data, struct milter_reply *out)
{
    if (data.size < 4)
        return -1;
    out->index = milter_number(span_take(&data, 4));
    if (out->code == MILTER_REPLY_CHANGE_HEADER && out->index == 0)
        out->index = 1; /* as Sendmail takes it */
    return out->index > INDEX_MAX ? -1 : parse_field(data, out);
}

/* No control character: what is meant goes into a line of SMTP. */
static bool is_clean(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
            return false;
    return true;
}

/* It stands in brackets in a line of SMTP: nothing in it may end that, or begin a parameter. */
static bool is_path(struct span address)
{
    bool is_quoted = address.size > 0 && address.data[0] == '"';
    for (size_t i = 0; i < address.size; i++)
        if (strchr(is_quoted ? "<>" : "<> ", address.data[i]) != NULL)
            return false;
    return is_clean(address);
}

static int parse_address(struct span data, bool may_have_more, struct milter_reply *out)
{
    if (take_text(&data, &out->name) < 0)
        return -1;
    if (may_have_more && data.size > 0 && take_text(&data, &out->value) < 0)
        return -1;
    if (out->name.size >= 2 && out->name.data[0] == '<' &&
        out->name.data[out->name.size - 1] == '>')
        out->name = span_make(out->name.data + 1, out->name.size - 2);
    return data.size == 0 && is_path(out->name) && is_clean(out->value) ? 0 : -1;
}

static int parse_text(struct span data, struct milter_reply *out)
{
    if (data.size > 0 && data.data[data.size - 1] == '\0')
        data.size--;
    out->value = data;
    return memchr(data.data, '\0', data.size) == NULL ? 0 : -1;
}

static int parse_shape(enum shape shape, struct span data, struct milter_reply *out)
{
    switch (shape) {
    case NOTHING: return data.size == 0 ? 0 : -1;
    case TEXT: return parse_text(data, out);
    case BYTES: out->value = data; return 0;
    case NAME_VALUE: return parse_field(data, out);
    case AT_NAME_VALUE: return parse_field_at(data, out);
    case ADDRESS: return parse_address(data, false, out);
    case ADDRESS_OR_TWO: return parse_address(data, true, out);
    }
    return -1;
}

int milter_reply_parse(const struct milter_frame *f, uint32_t actions, bool is_at_end,
                       struct milter_reply *out, struct error *why)
{
    const struct kind *k = find(f->code);
    *out = (struct milter_reply){.code = f->code, .name = {"", 0}, .value = {"", 0}};
    if (k == NULL)
        return error_set(why, "0x%02x is no reply", (unsigned char)f->code);
    if (k->is_edit && !is_at_end)
        return error_set(why, "reply '%c' comes before the end of the message", f->code);
    if ((actions & k->action) != k->action)
        return error_set(why, "reply '%c' without having asked for it", f->code);
    if (parse_shape(k->shape, f->data, out) < 0)
        return error_set(why, "reply '%c' has no sense in its %zu octets", f->code, f->data.size);
    return 0;
}

/* ---- a refusal in the filter's own words ---- */

/* "5.7.1" of the class of the code, taken off the front; empty: there is none. Returns -1 where the
 * class is another. */
static int take_enhanced(struct span *line, char class, struct span *out)
{
    size_t size = 0, dots = 0;
    *out = span_make(line->data, 0);
    while (size < line->size && (ascii_is_digit(line->data[size]) || line->data[size] == '.'))
        dots += line->data[size++] == '.';
    if (dots != 2 || size < 5 || size > 9 || line->data[1] != '.' || line->data[size - 1] == '.' ||
        line->data[2] == '.' || (size < line->size && line->data[size] != ' '))
        return 0;
    if (line->data[0] != class)
        return -1;
    *out = span_take(line, size);
    if (line->size > 0)
        span_skip(line, 1);
    return 0;
}

/* Libmilter's "%%" is "%"; one that stands alone is none. */
static size_t put_clean(struct span text, char *out, size_t room)
{
    size_t used = 0;
    for (size_t i = 0; i < text.size && used < room; i++) {
        char c = text.data[i];
        if (c == '%' && (++i == text.size || (c = text.data[i]) != '%'))
            i--;
        else
            out[used++] = c >= ' ' && c < 0x7f ? c : '?';
    }
    return used;
}

static int put_line(struct span line, char mark, const char *code, struct buffer *out)
{
    char bytes[LINE_MAX_SIZE + 2];
    struct span enhanced;
    if (line.size < 3 || memcmp(line.data, code, 3) != 0 ||
        (line.size > 3 ? line.data[3] != mark : mark != ' '))
        return -1;
    span_skip(&line, line.size > 3 ? 4 : 3);
    if (take_enhanced(&line, code[0], &enhanced) < 0)
        return -1;
    if (enhanced.size == 0)
        enhanced = span_of(code[0] == '4' ? "4.7.1" : "5.7.1");
    memcpy(bytes, code, 3);
    bytes[3] = mark;
    memcpy(bytes + 4, enhanced.data, enhanced.size);
    size_t used = 4 + enhanced.size;
    bytes[used++] = ' ';
    used += put_clean(line, bytes + used, LINE_MAX_SIZE - used);
    memcpy(bytes + used, "\r\n", 2);
    return buffer_append(out, span_make(bytes, used + 2));
}

static struct span next_line(struct span *text)
{
    struct span line = span_split(text, '\n');
    if (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    return line;
}

int milter_reply_lines(struct span text, int *code, struct buffer *out)
{
    size_t before = out->size, lines = 0;
    const char *digits = text.data;
    if (text.size == 0 || (digits[0] != '4' && digits[0] != '5'))
        return -1;
    *code = digits[0] == '4' ? 451 : 550;
    bool is_good = text.size >= 3 && ascii_is_digit(digits[1]) && ascii_is_digit(digits[2]);
    while (is_good && text.size > 0) {
        struct span line = next_line(&text);
        is_good =
            ++lines <= LINES_MAX && put_line(line, text.size > 0 ? '-' : ' ', digits, out) == 0;
    }
    if (is_good)
        *code = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
    else
        out->size = before;
    return is_good;
}
