#include "auth/aliases.h"

#include "config/listing.h"

#include <stdio.h>

enum { PATTERNS_MAX = 256 };

/* ---- names as keys ---- */

/* A name as it is looked up: that of an account in its canonical form, with its realm, anything
 * else in lower case as it is. Returns 1 for an account's, 0 for another, -1: too long. */
static int key_of(struct span name, const char *realm, char out[ACCOUNT_SIZE])
{
    if (account_canonical(name, realm, out) == 0)
        return 1;
    if (name.size >= ACCOUNT_SIZE || memchr(name.data, '\0', name.size) != NULL)
        return -1;
    (void)span_copy(name, out, ACCOUNT_SIZE); /* fits */
    for (char *c = out; *c != '\0'; c++)
        *c = ascii_lower(*c);
    return 0;
}

/* Puts `middle` in the place of the "*". Returns 0, or -1: too long. */
static int fill_in(struct span pattern, struct span middle, char out[ACCOUNT_SIZE])
{
    struct span behind = pattern, before = span_split(&behind, '*');
    if (pattern.size + middle.size >= ACCOUNT_SIZE)
        return -1;
    if (before.size == pattern.size) /* without a "*" */
        middle.size = behind.size = 0;
    int size = snprintf(out, ACCOUNT_SIZE, "%.*s%.*s%.*s", (int)before.size, before.data,
                        (int)middle.size, middle.data, (int)behind.size, behind.data);
    return size < ACCOUNT_SIZE ? 0 : -1;
}

/* The same for a key with a "*": that of an account, if a letter in its place makes it one. */
static int pattern_key_of(struct span pattern, const char *realm, char out[ACCOUNT_SIZE])
{
    char one[ACCOUNT_SIZE], canonical[ACCOUNT_SIZE], local[ACCOUNT_SIZE];
    if (fill_in(pattern, span_of("x"), one) < 0)
        return -1;
    int is_account = key_of(span_of(one), realm, canonical);
    struct span before = pattern, domain = span_of(canonical);
    before = span_split(&before, '@');
    bool is_of_domain = memchr(before.data, '*', before.size) == NULL;
    if (is_account != 1 || is_of_domain) {
        (void)span_copy(pattern, out, ACCOUNT_SIZE); /* fits */
    } else {
        (void)span_split(&domain, '@');
        (void)span_copy(before, local, sizeof local); /* likewise */
        if (snprintf(out, ACCOUNT_SIZE, "%s@%s", local, domain.data) >= ACCOUNT_SIZE)
            return -1;
    }
    for (char *c = out; *c != '\0'; c++)
        *c = ascii_lower(*c);
    return 0;
}

/* ---- parsing ---- */

struct parser {
    struct lookup_builder *builder;
    const char *realm;
    size_t patterns;
    struct errors *errors;
};

static unsigned stars(struct span text)
{
    unsigned count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += text.data[i] == '*';
    return count;
}

static void take_pattern(struct parser *p, const struct listing_line *line)
{
    char key[ACCOUNT_SIZE], one[ACCOUNT_SIZE], account[ACCOUNT_SIZE];
    int size = (int)line->value.size;
    if (stars(line->key) > 1 || stars(line->value) > 1)
        errors_add_at(p->errors, &line->at,
                      "a pattern has one \"*\", as COMPANY\\*: *@example.com");
    else if (fill_in(line->value, span_of("x"), one) < 0 ||
             account_canonical(span_of(one), p->realm, account) < 0)
        errors_add_at(p->errors, &line->at, "\"%.*s\" makes no account; write one as *@example.com",
                      size, line->value.data);
    else if (pattern_key_of(line->key, p->realm, key) < 0)
        errors_add_at(p->errors, &line->at, "the name is too long");
    else if (++p->patterns > PATTERNS_MAX)
        errors_add_at(p->errors, &line->at, "more than %d patterns", PATTERNS_MAX);
    else if (lookup_add_pattern(p->builder, span_of(key), line->value) < 0)
        errors_add_at(p->errors, &line->at, "out of memory");
}

static void take_line(void *owner, const struct listing_line *line)
{
    struct parser *p = owner;
    char key[ACCOUNT_SIZE], account[ACCOUNT_SIZE];
    if (stars(line->key) > 0)
        take_pattern(p, line);
    else if (stars(line->value) > 0 || account_canonical(line->value, p->realm, account) < 0)
        errors_add_at(p->errors, &line->at, "\"%.*s\" is no account; write one as ana@example.com",
                      (int)line->value.size, line->value.data);
    else if (key_of(line->key, p->realm, key) < 0)
        errors_add_at(p->errors, &line->at, "the name is too long");
    else if (lookup_add(p->builder, span_of(key), span_of(account), line->at.line) < 0)
        errors_add_at(p->errors, &line->at, "out of memory");
}

int aliases_build(int fd, const char *path, const char *realm, size_t *count, struct errors *errors)
{
    struct parser p = {.realm = realm, .errors = errors};
    const struct listing l = {.fd = fd,
                              .path = path,
                              .title = "aliases",
                              .take = take_line,
                              .owner = &p,
                              .builder = &p.builder};
    return listing_make(&l, count, errors);
}

/* ---- reading ---- */

/* Does it fit, with at least one octet for the "*"? */
static bool fits(struct span pattern, struct span name, struct span *middle)
{
    struct span behind = pattern, before = span_split(&behind, '*');
    if (name.size <= before.size + behind.size ||
        memcmp(name.data, before.data, before.size) != 0 ||
        memcmp(name.data + name.size - behind.size, behind.data, behind.size) != 0)
        return false;
    *middle = span_make(name.data + before.size, name.size - before.size - behind.size);
    return true;
}

int aliases_account(const struct sealed *aliases, struct span given, const char *realm,
                    char out[ACCOUNT_SIZE])
{
    char key[ACCOUNT_SIZE], filled[ACCOUNT_SIZE];
    int is_account = key_of(given, realm, key);
    const struct lookup l = {aliases == NULL ? NULL : aliases->bytes.data,
                             aliases == NULL ? 0 : aliases->bytes.size};
    struct span pattern, value, middle;
    if (is_account < 0)
        return -1;
    if (lookup_find(l, span_of(key), &value))
        return account_canonical(value, realm, out);
    for (size_t i = 0; i < lookup_pattern_count(l); i++) {
        lookup_pattern(l, i, &pattern, &value);
        if (fits(pattern, span_of(key), &middle))
            return fill_in(value, middle, filled) < 0
                       ? -1
                       : account_canonical(span_of(filled), realm, out);
    }
    if (is_account == 0)
        return -1;
    (void)span_copy(span_of(key), out, ACCOUNT_SIZE); /* fits */
    return 0;
}
