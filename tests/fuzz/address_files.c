/* A file of addresses, and what is made of it as whoever has built it may leave it. The input is an
 * account, LF, an address, LF, the file, and behind a first NUL what is changed afterwards: two
 * bytes for the place, one for what stands there then. */
#include "auth/ownership.h"

#include "auth/account.h"
#include "base/error.h"
#include "base/sealed.h"
#include "fuzz.h"
#include "policy/ownership.h"

#include <sys/mman.h>
#include <unistd.h>

static void has_place(void *owner, enum finding kind, const char *text)
{
    (void)owner, (void)kind;
    must(strncmp(text, "own:", 4) == 0, "what is wrong is told with its file");
}

/* The descriptor of what was built, or -1. */
static int build(struct span text)
{
    size_t count = 0;
    struct errors *errors = errors_create();
    int file = memfd_create("own", MFD_CLOEXEC);
    must(errors != NULL && write(file, text.data, text.size) == (ssize_t)text.size,
         "there is a file");
    int built = ownership_read(file, "own", "example.com", &count, errors);
    must((built < 0) == (errors_count(errors) > 0), "it is taken, or said why not");
    must(count <= text.size, "an entry is more than nothing");
    errors_each(errors, has_place, NULL);
    errors_destroy(&errors);
    (void)close(file); /* it was only read */
    return built;
}

/* In memory of exactly that size. */
static void check_spoiled(struct span built, struct span changes, struct span account,
                          struct span address)
{
    struct leftover copy = {NULL, {NULL, 0}};
    struct span bytes = *leftover_join(&copy, built);
    while (changes.size >= 3 && bytes.size > 0) {
        size_t place = take_byte(&changes) | take_byte(&changes) << 8;
        copy.bytes[place % bytes.size] = (char)take_byte(&changes);
    }
    (void)ownership_holds(bytes, account, address);
    leftover_drop(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span changes = span_make((const char *)data, size), text = span_split(&changes, '\0');
    struct span account = span_split(&text, '\n'), given = span_split(&text, '\n');
    struct sealed file = {{NULL, 0}};
    struct error why;
    char address[ACCOUNT_SIZE], again[ACCOUNT_SIZE];
    size_t address_size = account_address(given, address);
    must(account_address(span_make(address, address_size), again) == address_size &&
             memcmp(address, again, address_size) == 0,
         "what is canonical stays so");
    int fd = build(text);
    if (fd < 0)
        return 0;
    must(sealed_map(&file, fd, &why) == 0, "what was built is sealed");
    (void)ownership_holds(file.bytes, account, span_make(address, address_size));
    check_spoiled(file.bytes, changes, account, span_make(address, address_size));
    sealed_unmap(&file);
    (void)close(fd); /* it was only mapped */
    return 0;
}
