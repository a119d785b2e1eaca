#include "process/token.h"

#include <jansson.h>

enum { LIFETIME_MAX_S = 30 * 24 * 3600 };

static struct span without_space(struct span s)
{
    while (s.size > 0 && strchr(" \t\r\n", s.data[0]) != NULL && s.data[0] != '\0')
        span_skip(&s, 1);
    while (s.size > 0 && strchr(" \t\r\n", s.data[s.size - 1]) != NULL &&
           s.data[s.size - 1] != '\0')
        s.size--;
    return s;
}

/* RFC 6749 appendix A.12: visible ASCII. A bearer token has no spaces (RFC 6750 section 2.1). */
static int take(struct span text, struct token *out, struct error *why)
{
    if (text.size == 0)
        return error_set(why, "it has printed no token");
    if (text.size > TOKEN_MAX)
        return error_set(why, "its token is longer than %d octets", TOKEN_MAX);
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return error_set(why, "what it has printed is no token: it holds a space, a line end "
                                  "or other than ASCII");
    (void)span_copy(text, out->text, sizeof out->text); /* fits */
    return 0;
}

static int take_json(struct span text, struct token *out, struct error *why)
{
    json_t *root = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
    const json_t *token = json_object_get(root, "access_token");
    const json_t *lifetime = json_object_get(root, "expires_in");
    int failed;
    if (root == NULL)
        failed = error_set(why, "it has printed { but no JSON");
    else if (!json_is_string(token))
        failed = error_set(why, "its JSON has no \"access_token\"");
    else
        failed = take(span_make(json_string_value(token), json_string_length(token)), out, why);
    if (json_is_integer(lifetime) && json_integer_value(lifetime) > 0)
        out->lifetime_s = json_integer_value(lifetime) < LIFETIME_MAX_S
                              ? json_integer_value(lifetime)
                              : LIFETIME_MAX_S;
    json_decref(root);
    return failed;
}

int token_parse(struct span output, struct token *out, struct error *why)
{
    struct span text = without_space(output);
    out->lifetime_s = 0;
    return text.size > 0 && text.data[0] == '{' ? take_json(text, out, why) : take(text, out, why);
}
