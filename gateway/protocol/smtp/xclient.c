#include "protocol/smtp/xclient.h"

#include "base/utf8.h"
#include "protocol/lines.h"
#include "protocol/smtp/path.h"
#include "protocol/smtp/xtext.h"

static bool is_unknown(struct span value)
{
    return span_equals_nocase(value, "[UNAVAILABLE]") || span_equals_nocase(value, "[TEMPUNAVAIL]");
}

/* "192.0.2.1", or "IPV6:2001:db8::1". */
static int parse_address(struct span text, uint16_t port, struct address *out)
{
    char host[SMTP_TOLD_SIZE];
    bool is_v6 = span_starts_nocase(text, "IPV6:");
    if (is_v6)
        span_skip(&text, strlen("IPV6:"));
    (void)span_copy(text, host, sizeof host); /* fits: it was decoded into as much */
    return (strchr(host, ':') != NULL) == is_v6 ? address_make(host, port, out) : -1;
}

static bool is_address(struct span text)
{
    struct address ignored;
    return parse_address(text, 0, &ignored) == 0;
}

static bool is_port(struct span text)
{
    uint64_t ignored;
    return span_number(text, UINT16_MAX, &ignored) == 0;
}

static bool is_protocol(struct span text)
{
    return span_equals_nocase(text, "SMTP") || span_equals_nocase(text, "ESMTP");
}

static bool is_login(struct span text)
{
    return utf8_is_valid(text) && !line_has_control(text);
}

static bool (*const checks[XCLIENT_COUNT])(struct span text) = {
    [XCLIENT_NAME] = smtp_hello_is_valid,
    [XCLIENT_PROTO] = is_protocol,
    [XCLIENT_HELO] = smtp_hello_is_valid,
    [XCLIENT_LOGIN] = is_login,
    [XCLIENT_DESTADDR] = is_address,
    [XCLIENT_DESTPORT] = is_port,
    [XCLIENT_PORT] = is_port,
    [XCLIENT_ADDR] = is_address,
};

static bool value_is_valid(enum xclient_attribute which, struct span value)
{
    char text[SMTP_TOLD_SIZE];
    ssize_t size = xtext_decode(value, text, sizeof text - 1);
    if (size <= 0 || memchr(text, '\0', (size_t)size) != NULL)
        return false;
    return is_unknown(value) || checks[which](span_make(text, (size_t)size));
}

static const char *parse_one(struct span attribute, struct smtp_told *told)
{
    struct span name = span_split(&attribute, '=');
    for (unsigned i = 0; i < XCLIENT_COUNT; i++) {
        if (!span_equals_nocase(name, xclient_names[i]))
            continue;
        if (told->value[i].size > 0)
            return "an attribute is given twice";
        told->value[i] = attribute;
        return value_is_valid(i, attribute) ? NULL : "a value is none of its attribute";
    }
    return "an attribute is unknown";
}

const char *smtp_xclient_parse(struct span in, struct smtp_told *told)
{
    const char *wrong = NULL;
    *told = (struct smtp_told){.value = {{NULL, 0}}};
    in = span_trim(in);
    if (in.size == 0)
        return "give attributes, as ADDR=192.0.2.1";
    while (wrong == NULL && in.size > 0) {
        wrong = parse_one(span_split(&in, ' '), told);
        in = span_trim(in);
    }
    return wrong;
}

bool smtp_told_text(const struct smtp_told *told, enum xclient_attribute which,
                    char out[SMTP_TOLD_SIZE])
{
    struct span value = told->value[which];
    if (value.size == 0 || is_unknown(value))
        return false;
    ssize_t size = xtext_decode(value, out, SMTP_TOLD_SIZE - 1);
    out[size < 0 ? 0 : size] = '\0';
    return size > 0;
}

static bool is_told(const struct smtp_told *told, enum xclient_attribute host,
                    enum xclient_attribute port, struct address *out)
{
    char text[SMTP_TOLD_SIZE];
    uint64_t number = 0;
    if (smtp_told_text(told, port, text))
        (void)span_number(span_of(text), UINT16_MAX, &number); /* was checked */
    return smtp_told_text(told, host, text) &&
           parse_address(span_of(text), (uint16_t)number, out) == 0;
}

bool smtp_told_address(const struct smtp_told *told, struct address *out)
{
    return is_told(told, XCLIENT_ADDR, XCLIENT_PORT, out);
}

bool smtp_told_destination(const struct smtp_told *told, struct address *out)
{
    return is_told(told, XCLIENT_DESTADDR, XCLIENT_DESTPORT, out);
}
