#include "auth/plain.h"

int plain_parse(struct span message, struct plain *out)
{
    size_t ends = 0;
    for (size_t i = 0; i < message.size; i++)
        ends += message.data[i] == '\0';
    if (ends != 2)
        return -1;
    out->identity = span_split(&message, '\0');
    out->name = span_split(&message, '\0');
    out->password = message;
    return message.size > 0 ? 0 : -1;
}
