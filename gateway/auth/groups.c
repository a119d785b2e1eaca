#include "auth/groups.h"

#include "auth/account.h"
#include "config/listing.h"

#include <stdio.h>

struct parser {
    struct lookup_builder *builder;
    const char *realm;
    struct errors *errors;
};

/* A domain is that of whoever is in it. */
static int key_of(struct span name, const char *realm, char out[ACCOUNT_SIZE], struct span *key)
{
    char one[ACCOUNT_SIZE];
    bool is_domain = name.size > 0 && name.data[0] == '@';
    int size = snprintf(one, sizeof one, "%s%.*s", is_domain ? "x" : "", (int)name.size, name.data);
    if (size >= (int)sizeof one || account_canonical(span_of(one), realm, out) < 0)
        return -1;
    *key = span_of(out + is_domain);
    return 0;
}

static void take_line(void *owner, const struct listing_line *line)
{
    struct parser *p = owner;
    char account[ACCOUNT_SIZE];
    struct span key;
    if (key_of(line->key, p->realm, account, &key) < 0)
        errors_add_at(p->errors, &line->at,
                      "\"%.*s\" is no account; write one a line, as ana@example.com, or "
                      "@example.com for all of a domain",
                      (int)line->key.size, line->key.data);
    else if (lookup_add(p->builder, key, line->value, line->at.line) < 0)
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
