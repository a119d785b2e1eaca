#include "message/header_line.h"

#include "base/utf8.h"

/* RFC 5322 section 2.2: printable ASCII without a colon, and the colon right behind it. */
static bool has_name(struct span text)
{
    size_t i = 0;
    while (i < text.size && text.data[i] > ' ' && text.data[i] < 0x7f && text.data[i] != ':')
        i++;
    return i > 0 && i < text.size && text.data[i] == ':';
}

int header_line_append(struct span text, bool is_utf8, struct buffer *out)
{
    char line[HEADER_LINE_MAX + 2];
    bool keeps_all = is_utf8 && utf8_is_valid(text);
    if (!has_name(text) || text.size > HEADER_LINE_MAX)
        return -1;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool is_good = (c >= ' ' && c < 0x7f) || c == '\t' || (c >= 0x80 && keeps_all);
        line[i] = is_good ? (char)c : '?';
    }
    memcpy(line + text.size, "\r\n", 2);
    return buffer_append(out, span_make(line, text.size + 2));
}
