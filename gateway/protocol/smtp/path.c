#include "protocol/smtp/path.h"

#include "base/utf8.h"

#include <arpa/inet.h>

enum { LOCAL_MAX = 64, DOMAIN_MAX = 255, LABEL_MAX = 63, PATH_MAX_SIZE = 254 };

static bool is_utf8_byte(char c)
{
    return (unsigned char)c > 0x7f;
}

/* atext of RFC 5322 section 3.2.3. */
static bool is_atext(char c)
{
    return ascii_is_alnum(c) || is_utf8_byte(c) ||
           (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* The length of a dot-string or quoted string at the front, or 0. */
static size_t local_size(struct span s)
{
    size_t i = 0;
    if (s.size > 0 && s.data[0] == '"') {
        for (i = 1; i < s.size && s.data[i] != '"'; i++) {
            if (s.data[i] == '\\')
                i++;
            if (i >= s.size || (unsigned char)s.data[i] < ' ' || s.data[i] == 0x7f)
                return 0;
        }
        return i < s.size ? i + 1 : 0;
    }
    for (; i < s.size && s.data[i] != '@' && s.data[i] != '>'; i++) {
        bool is_dot = s.data[i] == '.';
        if (!is_dot && !is_atext(s.data[i]))
            return 0;
        if (is_dot && (i == 0 || s.data[i - 1] == '.'))
            return 0;
    }
    return i > 0 && s.data[i - 1] == '.' ? 0 : i;
}

static bool literal_is_valid(struct span s)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char ignored[sizeof(struct in6_addr)];
    bool is_v6 = span_starts_nocase(s, "IPv6:");
    if (is_v6)
        span_skip(&s, 5);
    if (s.size >= sizeof text || memchr(s.data, '\0', s.size) != NULL)
        return false;
    (void)span_copy(s, text, sizeof text); /* fits */
    return inet_pton(is_v6 ? AF_INET6 : AF_INET, text, ignored) == 1;
}

/* Letters, digits, hyphens inside; underscores too, since such hosts exist. */
static bool label_is_valid(struct span label)
{
    if (label.size == 0 || label.size > LABEL_MAX || label.data[0] == '-' ||
        label.data[label.size - 1] == '-')
        return false;
    for (size_t i = 0; i < label.size; i++)
        if (!ascii_is_alnum(label.data[i]) && label.data[i] != '-' && label.data[i] != '_' &&
            !is_utf8_byte(label.data[i]))
            return false;
    return true;
}

bool smtp_hello_is_valid(struct span name)
{
    bool is_literal = name.size > 2 && name.data[0] == '[' && name.data[name.size - 1] == ']';
    if (name.size == 0 || name.size > DOMAIN_MAX || !utf8_is_valid(name))
        return false;
    if (is_literal)
        name = span_make(name.data + 1, name.size - 2);
    for (size_t i = 0; i < name.size; i++)
        if (!ascii_is_alnum(name.data[i]) && !is_utf8_byte(name.data[i]) &&
            (name.data[i] == '\0' || strchr("-_.:", name.data[i]) == NULL))
            return false;
    return true;
}

bool smtp_domain_is_valid(struct span domain)
{
    if (domain.size == 0 || domain.size > DOMAIN_MAX)
        return false;
    if (domain.data[0] == '[')
        return domain.size > 2 && domain.data[domain.size - 1] == ']' &&
               literal_is_valid(span_make(domain.data + 1, domain.size - 2));
    if (domain.data[domain.size - 1] == '.')
        return false;
    while (domain.size > 0)
        if (!label_is_valid(span_split(&domain, '.')))
            return false;
    return true;
}

/* "@a,@b:" of old (RFC 5321 appendix C): where it ends, or 0 when there is none. */
static size_t route_size(struct span s)
{
    const char *colon = s.size > 0 && s.data[0] == '@' ? memchr(s.data, ':', s.size) : NULL;
    if (colon == NULL || colon[-1] == ',')
        return 0;
    struct span route = span_make(s.data, (size_t)(colon - s.data));
    while (route.size > 0) {
        struct span hop = span_split(&route, ',');
        if (hop.size < 2 || hop.data[0] != '@')
            return 0;
        span_skip(&hop, 1);
        if (!smtp_domain_is_valid(hop))
            return 0;
    }
    return (size_t)(colon - s.data) + 1;
}

/* What stands between the angle brackets, up to the closing one, which is taken too. */
static const char *parse_mailbox(struct span *in, struct smtp_path *path)
{
    const char *start = in->data;
    size_t size = local_size(*in);
    if (size == 0)
        return "the part before the @ is not allowed";
    path->local = span_take(in, size);
    if (in->size == 0 || in->data[0] != '@')
        return "the @ and a domain are missing";
    span_skip(in, 1);
    const char *end = memchr(in->data, '>', in->size);
    if (end == NULL)
        return "the closing > is missing";
    path->domain = span_take(in, (size_t)(end - in->data));
    if (!smtp_domain_is_valid(path->domain))
        return "the domain is not allowed";
    path->address = span_make(start, (size_t)(end - start));
    return NULL;
}

const char *smtp_path_parse(struct span *in, struct smtp_path *path)
{
    *path = (struct smtp_path){
        .address = {in->data, 0}, .local = {in->data, 0}, .domain = {in->data, 0}};
    if (in->size == 0 || in->data[0] != '<')
        return "it must stand in < and >";
    span_skip(in, 1);
    size_t route = route_size(*in);
    span_skip(in, route);
    if (route == 0 && in->size > 0 && in->data[0] == '>') {
        span_skip(in, 1);
        return NULL;
    }
    /* "Postmaster" needs no domain (RFC 5321 section 4.1.1.3). */
    if (span_starts_nocase(*in, "postmaster>")) {
        path->address = path->local = span_take(in, strlen("postmaster"));
        span_skip(in, 1);
        return NULL;
    }
    const char *wrong = parse_mailbox(in, path);
    if (wrong != NULL)
        return wrong;
    span_skip(in, 1);
    if (path->local.size > LOCAL_MAX || path->address.size > PATH_MAX_SIZE)
        return "it is too long";
    path->is_utf8 = utf8_has_non_ascii(path->address);
    if (path->is_utf8 && !utf8_is_valid(path->address))
        return "it is not UTF-8";
    return NULL;
}
