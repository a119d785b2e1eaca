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
    size_t before = errors_count(errors);
    struct parser p = {.builder = lookup_builder_create(), .realm = realm, .errors = errors};
    int result = -1;
    if (p.builder == NULL)
        errors_add_at(errors, &(struct place){path, 0}, "out of memory");
    else
        listing_read_names(fd, path, take_line, &p, errors);
    if (errors_count(errors) == before)
        result = listing_seal(p.builder, "group", path, count, errors);
    lookup_builder_destroy(&p.builder);
    return result;
}
