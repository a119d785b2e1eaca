#include "protocol/smtp/login.h"

#include "base/base64.h"

#include <stdlib.h>

enum { PLAIN_MAX = 9000 };

static const struct {
    enum smtp_mechanism mechanism;
    const char *name;
} mechanisms[] = {
    {SMTP_AUTH_XOAUTH2, "XOAUTH2"},
    {SMTP_AUTH_PLAIN, "PLAIN"},
    {SMTP_AUTH_LOGIN, "LOGIN"},
};

enum { MECHANISMS = sizeof mechanisms / sizeof *mechanisms };

const char *smtp_mechanism_name(enum smtp_mechanism mechanism)
{
    for (size_t i = 0; i < MECHANISMS; i++)
        if (mechanisms[i].mechanism == mechanism)
            return mechanisms[i].name;
    return "";
}

unsigned smtp_mechanisms_parse(struct span words)
{
    unsigned found = 0;
    while (words.size > 0) {
        struct span word = span_split(&words, ' ');
        for (size_t i = 0; i < MECHANISMS; i++)
            if (span_equals_nocase(word, mechanisms[i].name))
                found |= mechanisms[i].mechanism;
    }
    return found;
}

enum smtp_mechanism smtp_mechanism_choose(unsigned ours, unsigned offered)
{
    for (size_t i = 0; i < MECHANISMS; i++)
        if ((ours & offered & mechanisms[i].mechanism) != 0)
            return mechanisms[i].mechanism;
    return 0;
}

static int append_base64(struct span plain, struct buffer *out)
{
    char *encoded = malloc(BASE64_ENCODED_SIZE(plain.size));
    if (encoded == NULL)
        return -1;
    size_t size = base64_encode(plain, encoded);
    int failed = buffer_append(out, span_make(encoded, size));
    explicit_bzero(encoded, size);
    free(encoded);
    return failed;
}

/* "NUL user NUL password" */
static int append_plain(const struct smtp_credentials *c, struct buffer *out)
{
    struct buffer text = {.limit = PLAIN_MAX};
    int failed = buffer_append(&text, span_make("", 1));
    failed |= buffer_append(&text, span_of(c->user));
    failed |= buffer_append(&text, span_make("", 1));
    failed |= buffer_append(&text, span_of(c->secret));
    failed = failed || append_base64(buffer_bytes(&text), out) < 0;
    buffer_clear(&text);
    return failed;
}

static int append_xoauth2(const struct smtp_credentials *c, struct buffer *out)
{
    struct buffer text = {.limit = PLAIN_MAX};
    int failed = buffer_append(&text, span_of("user="));
    failed |= buffer_append(&text, span_of(c->user));
    failed |= buffer_append(&text, span_of("\1auth=Bearer "));
    failed |= buffer_append(&text, span_of(c->secret));
    failed |= buffer_append(&text, span_of("\1\1"));
    failed = failed || append_base64(buffer_bytes(&text), out) < 0;
    buffer_clear(&text);
    return failed;
}

static int begin(const struct smtp_login *l, const struct smtp_credentials *c, struct buffer *out)
{
    int failed = buffer_append(out, span_of("AUTH "));
    failed |= buffer_append(out, span_of(smtp_mechanism_name(l->mechanism)));
    if (l->mechanism != SMTP_AUTH_LOGIN)
        failed |= buffer_append(out, span_of(" "));
    if (l->mechanism == SMTP_AUTH_PLAIN)
        failed |= append_plain(c, out);
    if (l->mechanism == SMTP_AUTH_XOAUTH2)
        failed |= append_xoauth2(c, out);
    return failed;
}

int smtp_login_line(struct smtp_login *l, const struct smtp_credentials *c, struct buffer *out)
{
    unsigned step = l->step++;
    int failed = -1;
    if (step == 0)
        failed = begin(l, c, out);
    else if (l->mechanism == SMTP_AUTH_LOGIN && step <= 2)
        failed = append_base64(span_of(step == 1 ? c->user : c->secret), out);
    else if (l->mechanism == SMTP_AUTH_XOAUTH2 && step == 1)
        failed = 0; /* the 334 said why the token is refused: an empty line gets the 535 */
    return failed || buffer_append(out, span_of("\r\n")) < 0 ? -1 : 0;
}

/* The word behind "AUTH MECHANISM ", or nothing. */
static struct span argument_of(const struct buffer *line)
{
    struct span said = buffer_bytes(line);
    (void)span_split(&said, ' ');
    (void)span_split(&said, ' ');
    return span_split(&said, '\r');
}

struct span smtp_login_mask(enum smtp_mechanism mechanism, const struct smtp_credentials *c,
                            struct span text, char out[MASK_SIZE])
{
    struct smtp_login again = {.mechanism = mechanism};
    struct buffer line = {.limit = 2 * PLAIN_MAX}, encoded = {.limit = 2 * PLAIN_MAX};
    bool is_known =
        smtp_login_line(&again, c, &line) == 0 && append_base64(span_of(c->secret), &encoded) == 0;
    const struct span secrets[] = {span_of(c->secret), buffer_bytes(&encoded), argument_of(&line)};
    text = is_known ? mask_secrets(text, secrets, 3, out) : span_of(""); /* out of memory */
    buffer_clear(&line);
    buffer_clear(&encoded);
    return text;
}
