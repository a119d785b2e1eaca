#include "auth/contacts.h"

#include "auth/account.h"
#include "config/listing.h"

struct parser {
    struct lookup_builder *builder;
    const char *realm;
    struct errors *errors;
};

enum { ADDRESS_MAX = 254, LOCAL_MAX = 64 };

/* Letters, digits, and those of `others`. */
static bool is_made_of(struct span text, const char *others)
{
    for (size_t i = 0; i < text.size; i++)
        if (!ascii_is_alnum(text.data[i]) && memchr(others, text.data[i], strlen(others)) == NULL)
            return false;
    return text.size > 0;
}

/* One that a program may put into a header field, or into an argument, as it is (RFC 5321 section
 * 4.1.2: a Dot-string at a Domain). */
static bool is_address(struct span address)
{
    struct span domain = address, local = span_split(&domain, '@');
    return address.size <= ADDRESS_MAX && local.size <= LOCAL_MAX &&
           is_made_of(local, ".!#$%&'*+-/=?^_`{|}~") && local.data[0] != '-' &&
           is_made_of(domain, ".-") && domain.data[0] != '.' && domain.data[0] != '-';
}

static void take_line(void *owner, const struct listing_line *line)
{
    struct parser *p = owner;
    char key[ACCOUNT_SIZE];
    if (account_or_domain(line->key, p->realm, key) < 0)
        errors_add_at(p->errors, &line->at,
                      "\"%.*s\" is no account; write one as ana@example.com, or @example.com for "
                      "all of a domain",
                      (int)line->key.size, line->key.data);
    else if (!is_address(line->value))
        errors_add_at(p->errors, &line->at,
                      "\"%.*s\" is no address to write to; write one, as help@example.com",
                      (int)line->value.size, line->value.data);
    else if (lookup_add(p->builder, span_of(key), line->value, line->at.line) < 0)
        errors_add_at(p->errors, &line->at, "out of memory");
}

int contacts_build(int fd, const char *path, const char *realm, size_t *count,
                   struct errors *errors)
{
    struct parser p = {.realm = realm, .errors = errors};
    const struct listing l = {.fd = fd,
                              .path = path,
                              .title = "contacts",
                              .take = take_line,
                              .owner = &p,
                              .builder = &p.builder};
    return listing_make(&l, count, errors);
}

struct span contacts_find(const struct sealed *contacts, struct span account)
{
    const struct lookup l = {contacts == NULL ? NULL : contacts->bytes.data,
                             contacts == NULL ? 0 : contacts->bytes.size};
    const char *at = account.size == 0 ? NULL : memrchr(account.data, '@', account.size);
    struct span value = span_make("", 0), domain = account;
    if (at == NULL || lookup_find(l, account, &value))
        return value;
    span_skip(&domain, (size_t)(at - account.data));
    return lookup_find(l, domain, &value) ? value : span_make("", 0);
}
