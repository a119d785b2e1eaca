#include "control/order.h"

#include "base/span.h"

const char *order_text(const json_t *request, const char *key)
{
    const char *text = json_string_value(json_object_get(request, key));
    return text == NULL ? "" : text;
}

/* JSON is UTF-8: what goes on with 10xxxxxx is of the character before it. */
void order_reason(const json_t *request, char *out, size_t room)
{
    const char *text = order_text(request, "reason");
    size_t size = strlen(text);
    if (size >= room)
        size = room - 1;
    while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
        size--;
    (void)span_copy(span_make(text, size), out, room); /* fits */
    for (char *c = out; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
}
