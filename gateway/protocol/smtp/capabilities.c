#include "protocol/smtp/capabilities.h"

#include "protocol/smtp/xtext.h"

#include <stdio.h>

const char *const xclient_names[XCLIENT_COUNT] = {"NAME",     "PROTO",    "HELO", "LOGIN",
                                                  "DESTADDR", "DESTPORT", "PORT", "ADDR"};

static const struct {
    const char *keyword;
    enum smtp_extension extension;
} extensions[] = {
    {"PIPELINING", SMTP_PIPELINING},
    {"SIZE", SMTP_SIZE},
    {"STARTTLS", SMTP_STARTTLS},
    {"ENHANCEDSTATUSCODES", SMTP_ENHANCEDSTATUSCODES},
    {"8BITMIME", SMTP_8BITMIME},
    {"SMTPUTF8", SMTP_SMTPUTF8},
    {"DSN", SMTP_DSN},
    {"CHUNKING", SMTP_CHUNKING},
    {"XCLIENT", SMTP_XCLIENT},
    {"AUTH", SMTP_AUTH},
    {"XFORWARD", SMTP_XFORWARD},
};

static void add_xclient(struct smtp_capabilities *c, struct span names)
{
    while (names.size > 0) {
        struct span name = span_split(&names, ' ');
        for (unsigned i = 0; i < XCLIENT_COUNT; i++)
            if (span_equals_nocase(name, xclient_names[i]))
                c->xclient |= 1U << i;
    }
}

static void add_old_auth(struct smtp_capabilities *c, struct span keyword, struct span line)
{
    span_skip(&keyword, 5);
    c->extensions |= SMTP_AUTH;
    c->mechanisms |= smtp_mechanisms_parse(keyword) | smtp_mechanisms_parse(line);
}

static void add_line(struct smtp_capabilities *c, struct span line)
{
    struct span keyword = span_split(&line, ' ');
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
        if (span_equals_nocase(keyword, extensions[i].keyword))
            c->extensions |= extensions[i].extension;
    if (span_equals_nocase(keyword, "SIZE"))
        (void)span_number(span_trim(line), INT64_MAX, &c->size); /* else no limit is told */
    else if (span_equals_nocase(keyword, "XCLIENT"))
        add_xclient(c, line);
    else if (span_equals_nocase(keyword, "XFORWARD"))
        c->xforward |= xforward_parse(line);
    else if (span_equals_nocase(keyword, "AUTH"))
        c->mechanisms |= smtp_mechanisms_parse(line);
    else if (span_starts_nocase(keyword, "AUTH=")) /* as before RFC 2554 */
        add_old_auth(c, keyword, line);
}

struct smtp_capabilities smtp_capabilities_parse(struct span text)
{
    struct smtp_capabilities c = {.extensions = 0};
    (void)span_split(&text, '\n'); /* the greeting */
    while (text.size > 0)
        add_line(&c, span_split(&text, '\n'));
    return c;
}

size_t xclient_command(const struct xclient_values *values, unsigned wanted, unsigned *next,
                       char out[513])
{
    size_t used = (size_t)snprintf(out, 513, "XCLIENT");
    const size_t start = used, limit = 510; /* room for CRLF */
    for (; *next < XCLIENT_COUNT; (*next)++) {
        char attribute[540];
        if ((wanted >> *next & 1) == 0 || values->value[*next] == NULL)
            continue;
        size_t size = xtext_attribute(xclient_names[*next], values->value[*next], attribute,
                                      sizeof attribute);
        /* PORT takes ADDR's room along, so that both stand in one command. */
        size_t reserve = *next == XCLIENT_PORT ? 64 : 0;
        if (size == 0 || start + size + reserve > limit)
            continue; /* too long to tell */
        if (used + size + reserve > limit)
            break;
        memcpy(out + used, attribute, size);
        used += size;
    }
    if (used == start)
        return 0;
    memcpy(out + used, "\r\n", 3);
    return used + 2;
}
