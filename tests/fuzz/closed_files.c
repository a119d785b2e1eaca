/* A file of closed days, and the lookup that is made of it as whoever has built it may leave it.
 * The input is the file, and behind a first NUL what is changed afterwards: two bytes for the
 * place, one for what stands there then. */
#include "config/closed_days.h"

#include "base/sealed.h"
#include "fuzz.h"
#include "policy/closed.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* The descriptor of what was built, or -1. */
static int build(struct span text, size_t *count)
{
    struct errors *errors = errors_create();
    int file = memfd_create("closed", MFD_CLOEXEC);
    must(errors != NULL && write(file, text.data, text.size) == (ssize_t)text.size &&
             lseek(file, 0, SEEK_SET) == 0,
         "there is a file");
    int built = closed_days_build(file, "closed", count, errors);
    must((built < 0) == (errors_count(errors) > 0), "it is taken, or said why not");
    must(*count <= text.size / 5, "a day is five octets at least");
    errors_destroy(&errors);
    (void)close(file); /* it was only read */
    return built;
}

/* On how many days of a leap year it is closed. */
static size_t closed_days(struct span bytes)
{
    const struct lookup days = {bytes.data, bytes.size};
    size_t found = 0;
    for (int month = 1; month <= 12; month++)
        for (int day = 1; day <= calendar_month_size(2028, month); day++) {
            const struct wall_time now = {.year = 2028, .month = month, .day = day};
            found += closed_hold(days, &now);
        }
    return found;
}

/* In memory of exactly that size. */
static void check_spoiled(struct span built, struct span changes)
{
    struct leftover copy = {NULL, {NULL, 0}};
    struct span bytes = *leftover_join(&copy, built);
    while (changes.size >= 3 && bytes.size > 0) {
        size_t place = take_byte(&changes) | take_byte(&changes) << 8;
        copy.bytes[place % bytes.size] = (char)take_byte(&changes);
    }
    (void)closed_days(bytes);
    leftover_drop(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span changes = span_make((const char *)data, size), text = span_split(&changes, '\0');
    struct sealed list = {{NULL, 0}};
    struct error why;
    size_t count = 0;
    int fd = build(text, &count);
    if (fd < 0)
        return 0;
    must(sealed_map(&list, fd, &why) == 0, "what was built is sealed");
    must(closed_days(list.bytes) <= count, "a line is a day of a year");
    check_spoiled(list.bytes, changes);
    sealed_unmap(&list);
    (void)close(fd); /* it was only mapped */
    return 0;
}
