#include "auth/ownership.h"

#include "auth/account.h"
#include "base/sealed.h"
#include "config/listing.h"
#include "policy/ownership.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

struct parser {
    struct ownership_builder *builder;
    const char *realm;
    size_t count;
    struct errors *errors;
};

static bool is_separator(char c)
{
    return c == ' ' || c == '\t' || c == ',';
}

/* Off the front; empty: there is none. */
static struct span take_word(struct span *rest)
{
    size_t size = 0;
    while (rest->size > 0 && is_separator(rest->data[0]))
        span_skip(rest, 1);
    while (size < rest->size && !is_separator(rest->data[size]))
        size++;
    return span_take(rest, size);
}

/* A "*" stands for what is behind a "+". */
static bool has_stray_star(const char *entry)
{
    const char *star = strchr(entry, '*');
    return star != NULL &&
           (star < entry + 2 || star[-1] != '+' || star[1] != '@' || strchr(star + 1, '*') != NULL);
}

/* Writes an entry as policy/ownership knows it. Returns its length, or 0: it is none. */
static size_t entry_of(struct span word, char out[ACCOUNT_SIZE])
{
    if (span_equals(word, "*"))
        return span_copy(word, out, ACCOUNT_SIZE);
    bool is_good = account_or_domain(word, "", out) == 0 && !has_stray_star(out);
    return is_good ? strlen(out) : 0;
}

static void take_entry(struct parser *p, const struct place *at, struct span word)
{
    char entry[ACCOUNT_SIZE];
    size_t size = entry_of(word, entry);
    if (size == 0)
        errors_add_at(p->errors, at,
                      "\"%.*s\" is no address; write ana@example.com, @example.com for all of a "
                      "domain, ana+*@example.com, or * for all",
                      (int)word.size, word.data);
    else if (ownership_add(p->builder, span_make(entry, size)) < 0)
        errors_add_at(p->errors, at, "out of memory");
    p->count++;
}

static void take_line(void *owner, const struct listing_line *line)
{
    struct parser *p = owner;
    char account[ACCOUNT_SIZE];
    struct span rest = line->value, word;
    if (account_canonical(line->key, p->realm, account) < 0)
        errors_add_at(p->errors, &line->at, "\"%.*s\" is no account; write one as ana@example.com",
                      (int)line->key.size, line->key.data);
    else if (ownership_account(p->builder, span_of(account)) < 0)
        errors_add_at(p->errors, &line->at, "out of memory");
    else
        while ((word = take_word(&rest)).size > 0)
            take_entry(p, &line->at, word);
}

static int seal(const struct parser *p, const char *path)
{
    size_t size;
    struct error why;
    char *octets = ownership_build(p->builder, &size);
    int fd = octets == NULL ? error_set(&why, "out of memory")
                            : sealed_make("addresses", span_make(octets, size), &why);
    if (fd < 0)
        errors_add_at(p->errors, &(struct place){path, 0}, "%s", why.text);
    free(octets);
    return fd;
}

int ownership_read(int fd, const char *path, const char *realm, size_t *count,
                   struct errors *errors)
{
    uint64_t key[2];
    struct parser p = {.realm = realm, .errors = errors};
    size_t before = errors_count(errors);
    int result = -1;
    if (getrandom(key, sizeof key, 0) != sizeof key ||
        (p.builder = ownership_builder_create(key)) == NULL) {
        errors_add_at(errors, &(struct place){path, 0}, "%s", strerror(errno));
        return -1;
    }
    listing_read(fd, path, take_line, &p, errors);
    if (errors_count(errors) == before)
        result = seal(&p, path);
    *count = p.count;
    ownership_builder_destroy(&p.builder);
    return result;
}
