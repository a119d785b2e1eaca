#include "redis/redirect.h"

enum { NAME_SHOWN_MAX = 255 };

static int make(struct span host, struct span port, struct address *out, struct error *why)
{
    char text[ADDRESS_TEXT_SIZE];
    uint64_t number = 0;
    size_t size = host.size < NAME_SHOWN_MAX ? host.size : NAME_SHOWN_MAX;
    if (span_number(port, UINT16_MAX, &number) < 0 || number == 0)
        return error_set(why, "it names a server without a port");
    if (host.size < sizeof text) {
        (void)span_copy(host, text, sizeof text); /* fits */
        if (address_make(text, (uint16_t)number, out) == 0)
            return 0;
    }
    return error_set(why,
                     "it names the server \"%.*s\"; names are not looked up, let it say numbers",
                     (int)size, host.data);
}

int redis_redirect(const struct redis_value *answer, const char *word, const struct address *from,
                   struct address *out, struct error *why)
{
    char own[ADDRESS_TEXT_SIZE];
    struct span text = answer->text, host;
    if (!redis_is_error(answer, word))
        return 0;
    (void)span_split(&text, ' '); /* the word */
    (void)span_split(&text, ' '); /* the slot */
    size_t colon = text.size;
    while (colon > 0 && text.data[colon - 1] != ':') /* the last one: IPv6 has no brackets here */
        colon--;
    host = span_take(&text, colon);
    if (host.size > 0)
        host.size--;
    address_format_host(from, own);
    return make(host.size == 0 ? span_of(own) : host, text, out, why) < 0 ? -1 : 1;
}

int redis_master_address(const struct redis_value *answer, struct address *out, struct error *why)
{
    bool is_pair = answer->kind == REDIS_ARRAY && answer->count == 2 &&
                   answer->items[0].kind == REDIS_STRING && answer->items[1].kind == REDIS_STRING;
    return is_pair ? make(answer->items[0].text, answer->items[1].text, out, why)
                   : error_set(why, "it names no master");
}
