#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(struct span in, char *out)
{
    const unsigned char *bytes = (const unsigned char *)in.data;
    size_t used = 0;
    for (size_t i = 0; i < in.size; i += 3) {
        size_t have = in.size - i < 3 ? in.size - i : 3;
        unsigned group = (unsigned)bytes[i] << 16;
        if (have > 1)
            group |= (unsigned)bytes[i + 1] << 8;
        if (have > 2)
            group |= bytes[i + 2];
        out[used++] = alphabet[group >> 18];
        out[used++] = alphabet[group >> 12 & 63];
        out[used++] = have > 1 ? alphabet[group >> 6 & 63] : '=';
        out[used++] = have > 2 ? alphabet[group & 63] : '=';
    }
    out[used] = '\0';
    return used;
}

static int value_of(char c)
{
    const char *at = c == '\0' ? NULL : strchr(alphabet, c);
    return at == NULL ? -1 : (int)(at - alphabet);
}

ssize_t base64_decode(struct span in, char *out, size_t room)
{
    size_t padding = 0, used = 0;
    if (in.size % 4 != 0)
        return -1;
    while (padding < 2 && in.size > 0 && in.data[in.size - 1 - padding] == '=')
        padding++;
    size_t size = in.size / 4 * 3 - padding;
    if (size > room)
        return -1;
    for (size_t i = 0; i < in.size; i += 4) {
        unsigned group = 0;
        size_t digits = i + 4 < in.size ? 4 : 4 - padding;
        for (size_t k = 0; k < 4; k++) {
            int value = k < digits ? value_of(in.data[i + k]) : 0;
            if (value < 0)
                return -1;
            group = group << 6 | (unsigned)value;
        }
        if ((digits == 3 && (group & 0xff) != 0) || (digits == 2 && (group & 0xffff) != 0))
            return -1;
        for (size_t k = 0; k < digits - 1; k++)
            out[used++] = (char)(group >> (16 - 8 * k));
    }
    return (ssize_t)used;
}
