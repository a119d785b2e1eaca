#include "protocol/smtp/parameters.h"

#include "base/utf8.h"
#include "protocol/smtp/xtext.h"

enum { ENVID_MAX = 100, ORCPT_MAX = 500, AUTH_MAX = 500 };

static bool set_size(struct smtp_parameters *p, struct span value)
{
    for (size_t i = 0; i < value.size; i++)
        if (!ascii_is_digit(value.data[i]))
            return false;
    if (value.size > 0 && span_number(value, INT64_MAX, &p->size) < 0)
        p->size = INT64_MAX; /* more than anybody takes, but well said */
    return value.size > 0 && value.size <= 20;
}

static bool set_body(struct smtp_parameters *p, struct span value)
{
    p->body = value;
    return span_equals_nocase(value, "7BIT") || span_equals_nocase(value, "8BITMIME");
}

/* Who sent it first: nobody's word is taken for it here, so it goes no further. */
static bool set_auth(struct smtp_parameters *p, struct span value)
{
    p->auth = value;
    return value.size > 0 && value.size <= AUTH_MAX && xtext_is_valid(value);
}

static bool set_smtputf8(struct smtp_parameters *p, struct span value)
{
    p->is_smtputf8 = true;
    return value.size == 0;
}

static bool set_ret(struct smtp_parameters *p, struct span value)
{
    p->ret = value;
    return span_equals_nocase(value, "FULL") || span_equals_nocase(value, "HDRS");
}

static bool set_envid(struct smtp_parameters *p, struct span value)
{
    p->envid = value;
    return value.size > 0 && value.size <= ENVID_MAX && xtext_is_valid(value);
}

static bool set_notify(struct smtp_parameters *p, struct span value)
{
    p->notify = value;
    if (span_equals_nocase(value, "NEVER"))
        return true;
    if (value.size == 0 || value.data[value.size - 1] == ',')
        return false;
    while (value.size > 0) {
        struct span word = span_split(&value, ',');
        if (!span_equals_nocase(word, "SUCCESS") && !span_equals_nocase(word, "FAILURE") &&
            !span_equals_nocase(word, "DELAY"))
            return false;
    }
    return true;
}

static bool set_orcpt(struct smtp_parameters *p, struct span value)
{
    p->orcpt = value;
    if (value.size > ORCPT_MAX)
        return false;
    struct span type = span_split(&value, ';');
    bool is_utf8_type = span_equals_nocase(type, "utf-8"); /* RFC 6533: more than xtext */
    for (size_t i = 0; i < type.size; i++)
        if (!ascii_is_alnum(type.data[i]) && type.data[i] != '-')
            return false;
    return type.size > 0 && value.size > 0 &&
           (is_utf8_type ? utf8_is_valid(value) : xtext_is_valid(value));
}

struct parameter {
    const char *name;
    unsigned extension;
    bool has_value;
    bool (*set)(struct smtp_parameters *p, struct span value);
};

static const struct parameter mail_parameters[] = {
    {"SIZE", SMTP_SIZE, true, set_size},
    {"BODY", SMTP_8BITMIME, true, set_body},
    {"AUTH", SMTP_AUTH, true, set_auth},
    {"SMTPUTF8", SMTP_SMTPUTF8, false, set_smtputf8},
    {"RET", SMTP_DSN, true, set_ret},
    {"ENVID", SMTP_DSN, true, set_envid},
    {.name = NULL},
};

static const struct parameter rcpt_parameters[] = {
    {"NOTIFY", SMTP_DSN, true, set_notify},
    {"ORCPT", SMTP_DSN, true, set_orcpt},
    {.name = NULL},
};

static const struct parameter *find(const struct parameter *known, struct span name,
                                    unsigned offered)
{
    for (; known->name != NULL; known++)
        if (span_equals_nocase(name, known->name))
            return (known->extension & offered) != 0 ? known : NULL;
    return NULL;
}

static enum smtp_parameters_result parse(const struct parameter *known, struct span in,
                                         unsigned offered, struct smtp_parameters *out,
                                         struct span *wrong)
{
    unsigned seen = 0;
    *out = (struct smtp_parameters){.size = 0};
    if (in.size > 0 && in.data[0] != ' ') {
        *wrong = in;
        return SMTP_PARAMETERS_WRONG;
    }
    for (in = span_trim(in); in.size > 0; in = span_trim(in)) {
        struct span value = span_split(&in, ' ');
        *wrong = value;
        bool has_value = memchr(value.data, '=', value.size) != NULL;
        struct span name = span_split(&value, '=');
        const struct parameter *p = find(known, name, offered);
        if (p == NULL)
            return SMTP_PARAMETERS_UNKNOWN;
        unsigned bit = 1U << (p - known);
        if ((seen & bit) != 0 || has_value != p->has_value || !p->set(out, value))
            return SMTP_PARAMETERS_WRONG;
        seen |= bit;
    }
    return SMTP_PARAMETERS_GOOD;
}

enum smtp_parameters_result smtp_parameters_parse_mail(struct span in, unsigned offered,
                                                       struct smtp_parameters *out,
                                                       struct span *wrong)
{
    return parse(mail_parameters, in, offered, out, wrong);
}

enum smtp_parameters_result smtp_parameters_parse_rcpt(struct span in, unsigned offered,
                                                       struct smtp_parameters *out,
                                                       struct span *wrong)
{
    return parse(rcpt_parameters, in, offered, out, wrong);
}
