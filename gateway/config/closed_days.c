#include "config/closed_days.h"

#include "config/listing.h"
#include "policy/closed.h"

struct parser {
    struct lookup_builder *builder;
    struct errors *errors;
};

static void take_line(void *owner, const struct listing_line *line)
{
    struct parser *p = owner;
    if (!closed_is_day(line->key))
        errors_add_at(
            p->errors, &line->at,
            "\"%.*s\" is no day; write one a line, as 2026-12-25, or 12-25 for every year",
            (int)line->key.size, line->key.data);
    else if (lookup_add(p->builder, line->key, line->value, line->at.line) < 0)
        errors_add_at(p->errors, &line->at, "out of memory");
}

int closed_days_build(int fd, const char *path, size_t *count, struct errors *errors)
{
    struct parser p = {.errors = errors};
    const struct listing l = {.fd = fd,
                              .path = path,
                              .title = "closed",
                              .is_of_names = true,
                              .take = take_line,
                              .owner = &p,
                              .builder = &p.builder};
    return listing_make(&l, count, errors);
}
