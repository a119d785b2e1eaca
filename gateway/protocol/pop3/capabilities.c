#include "protocol/pop3/capabilities.h"

/* "60", "60 USER"; RFC 2449 sections 6.5 and 6.7. What is none isn't passed on. */
static void take_number(struct pop3_capabilities *c, unsigned capability, struct span arguments,
                        uint32_t *number)
{
    struct span first = span_split(&arguments, ' ');
    uint64_t found = POP3_EXPIRE_NEVER;
    bool is_never = capability == POP3_EXPIRE && span_equals_nocase(first, "NEVER");
    if (!is_never && span_number(first, INT32_MAX, &found) < 0)
        return;
    *number = (uint32_t)found;
    c->offered |= capability;
    if (span_equals_nocase(span_trim(arguments), "USER"))
        c->offered |= capability << 1;
}

void pop3_capabilities_take(struct pop3_capabilities *c, struct span line)
{
    struct span tag = span_split(&line, ' ');
    if (span_equals_nocase(tag, "TOP"))
        c->offered |= POP3_TOP;
    else if (span_equals_nocase(tag, "UIDL"))
        c->offered |= POP3_UIDL;
    else if (span_equals_nocase(tag, "PIPELINING"))
        c->offered |= POP3_PIPELINING;
    else if (span_equals_nocase(tag, "UTF8"))
        c->offered |=
            POP3_UTF8 | (span_equals_nocase(span_trim(line), "USER") ? POP3_UTF8_USER : 0);
    else if (span_equals_nocase(tag, "EXPIRE"))
        take_number(c, POP3_EXPIRE, line, &c->expire_days);
    else if (span_equals_nocase(tag, "LOGIN-DELAY"))
        take_number(c, POP3_LOGIN_DELAY, line, &c->login_delay_s);
}

void pop3_capabilities_narrow(struct pop3_capabilities *c, const struct pop3_capabilities *other)
{
    enum { OF_USERS = POP3_EXPIRE_USER | POP3_LOGIN_DELAY_USER };
    c->offered = (c->offered & other->offered) | ((c->offered | other->offered) & OF_USERS);
    if (other->expire_days < c->expire_days)
        c->expire_days = other->expire_days;
    if (other->login_delay_s > c->login_delay_s)
        c->login_delay_s = other->login_delay_s;
}

static const char *of_user(const struct pop3_capabilities *c, unsigned capability)
{
    return (c->offered & capability) != 0 ? " USER" : "";
}

int pop3_capabilities_append(const struct pop3_capabilities *c, struct buffer *out)
{
    int failed = 0;
    if ((c->offered & POP3_TOP) != 0)
        failed |= buffer_append(out, span_of("TOP\r\n"));
    if ((c->offered & POP3_UIDL) != 0)
        failed |= buffer_append(out, span_of("UIDL\r\n"));
    if ((c->offered & POP3_EXPIRE) != 0 && c->expire_days == POP3_EXPIRE_NEVER)
        failed |= buffer_append(out, span_of("EXPIRE NEVER\r\n"));
    else if ((c->offered & POP3_EXPIRE) != 0)
        failed |=
            buffer_printf(out, "EXPIRE %u%s\r\n", c->expire_days, of_user(c, POP3_EXPIRE_USER));
    if ((c->offered & POP3_LOGIN_DELAY) != 0)
        failed |= buffer_printf(out, "LOGIN-DELAY %u%s\r\n", c->login_delay_s,
                                of_user(c, POP3_LOGIN_DELAY_USER));
    if ((c->offered & POP3_UTF8) != 0)
        failed |= buffer_printf(out, "UTF8%s\r\n", of_user(c, POP3_UTF8_USER));
    return failed;
}
