/* A file of aliases, and the lookup that is made of it as whoever has built it may leave it. The
 * input is a name, LF, the file, and behind a first NUL what is changed afterwards: two bytes for
 * the place, one for what stands there then. */
#include "auth/aliases.h"

#include "fuzz.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define REALM "example.com"

/* Whatever is found is an account, as account_canonical knows it. */
static bool look_up(const struct sealed *aliases, struct span name)
{
    char account[ACCOUNT_SIZE], again[ACCOUNT_SIZE];
    if (aliases_account(aliases, name, REALM, account) < 0)
        return false;
    must(account_canonical(span_of(account), "other.example", again) == 0 &&
             strcmp(account, again) == 0,
         "what is found is an account");
    return true;
}

static void has_place(void *owner, enum finding kind, const char *text)
{
    (void)owner, (void)kind;
    must(strncmp(text, "aliases:", 8) == 0 || strncmp(text, "aliases", 7) == 0,
         "what is wrong is told with its file");
}

/* The descriptor of what was built, or -1. */
static int build(struct span text)
{
    size_t count = 0;
    struct errors *errors = errors_create();
    int file = memfd_create("aliases", MFD_CLOEXEC);
    must(errors != NULL && write(file, text.data, text.size) == (ssize_t)text.size &&
             lseek(file, 0, SEEK_SET) == 0,
         "there is a file");
    int built = aliases_build(file, "aliases", REALM, &count, errors);
    must((built < 0) == (errors_count(errors) > 0), "it is taken, or said why not");
    must(count <= text.size, "a line is more than nothing");
    errors_each(errors, has_place, NULL);
    errors_destroy(&errors);
    (void)close(file); /* it was only read */
    return built;
}

/* In memory of exactly that size. */
static void check_spoiled(struct span built, struct span changes, struct span name)
{
    struct leftover copy = {NULL, {NULL, 0}};
    struct span bytes = *leftover_join(&copy, built);
    while (changes.size >= 3 && bytes.size > 0) {
        size_t place = take_byte(&changes) | take_byte(&changes) << 8;
        copy.bytes[place % bytes.size] = (char)take_byte(&changes);
    }
    const struct sealed spoiled = {bytes};
    (void)look_up(&spoiled, name);
    leftover_drop(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span changes = span_make((const char *)data, size), text = span_split(&changes, '\0');
    struct span name = span_split(&text, '\n');
    struct sealed aliases = {{NULL, 0}};
    struct error why;
    int fd = build(text);
    if (fd < 0)
        return 0;
    must(sealed_map(&aliases, fd, &why) == 0, "what was built is sealed");
    must(!look_up(NULL, name) || look_up(&aliases, name) || memchr(text.data, '*', text.size),
         "an account stays one");
    check_spoiled(aliases.bytes, changes, name);
    sealed_unmap(&aliases);
    (void)close(fd); /* it was only mapped */
    return 0;
}
