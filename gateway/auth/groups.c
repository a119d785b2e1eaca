#include "auth/groups.h"

#include "auth/account.h"
#include "config/listing.h"

struct parser {
    struct lookup_builder *builder;
    const char *realm;
    struct errors *errors;
};

static void take_line(void *owner, const struct listing_line *line)
{
    struct parser *p = owner;
    char key[ACCOUNT_SIZE];
    if (account_or_domain(line->key, p->realm, key) < 0)
        errors_add_at(p->errors, &line->at,
                      "\"%.*s\" is no account; write one a line, as ana@example.com, or "
                      "@example.com for all of a domain",
                      (int)line->key.size, line->key.data);
    else if (lookup_add(p->builder, span_of(key), line->value, line->at.line) < 0)
        errors_add_at(p->errors, &line->at, "out of memory");
}

int groups_build(int fd, const char *path, const char *realm, size_t *count, struct errors *errors)
{
    struct parser p = {.realm = realm, .errors = errors};
    const struct listing l = {.fd = fd,
                              .path = path,
                              .title = "group",
                              .is_of_names = true,
                              .take = take_line,
                              .owner = &p,
                              .builder = &p.builder};
    return listing_make(&l, count, errors);
}
