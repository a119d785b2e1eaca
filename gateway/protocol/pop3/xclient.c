#include "protocol/pop3/xclient.h"

#include "base/base64.h"

enum {
    TTL = 4, /* how many proxies may still follow: each tells one less, and the last refuses */
    FORWARD_MAX = 600,
};

bool pop3_xclient_is_offered(struct span greeting)
{
    while (greeting.size > 0)
        if (span_equals(span_split(&greeting, ' '), "[XCLIENT]"))
            return true;
    return false;
}

int pop3_xclient_append(const struct pop3_xclient *who, struct buffer *out)
{
    char forward[BASE64_ENCODED_SIZE(FORWARD_MAX)];
    struct span fields = span_of(who->forward);
    if (fields.size > FORWARD_MAX)
        fields.size = 0; /* half of it would be another thing */
    (void)base64_encode(fields, forward);
    return buffer_printf(out,
                         "XCLIENT ADDR=%s PORT=%u DESTADDR=%s DESTPORT=%u SESSION=%s TTL=%d "
                         "CLIENT-TRANSPORT=TLS FORWARD=%s\r\n",
                         who->address, who->port, who->destination, who->destination_port,
                         who->session, TTL, forward);
}
