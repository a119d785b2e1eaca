/* What a file of addresses costs: how long a million lines take to load, from a file to the mapping
 * that workers share, how large that is, and a look-up in it.
 *
 * usage: bench-addresses [LINES] */
#include "auth/ownership.h"
#include "base/clock.h"
#include "base/sealed.h"
#include "policy/ownership.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LOOK_UPS = 1000000, TEXT_SIZE = 64 };

static void must(bool is_so, const char *what)
{
    if (is_so)
        return;
    fprintf(stderr, "bench-addresses: %s\n", what);
    exit(EXIT_FAILURE);
}

static int write_file(unsigned long lines)
{
    int fd = memfd_create("lines", MFD_CLOEXEC);
    FILE *out = fd < 0 ? NULL : fdopen(dup(fd), "w");
    must(out != NULL, "no file");
    for (unsigned long i = 0; i < lines; i++)
        fprintf(out, "user%lu@hosting.example: info@customer%lu.example\n", i, i);
    must(fclose(out) == 0, "the file can't be written");
    return fd;
}

/* Of the file in `fd`. */
static struct sealed load(int fd, unsigned long lines)
{
    struct errors *errors = errors_create();
    struct sealed list = {{NULL, 0}};
    struct error why;
    size_t count = 0;
    int64_t before = clock_monotonic_ns();
    int built = ownership_read(fd, "lines", "hosting.example", &count, errors);
    must(built >= 0 && sealed_map(&list, built, &why) == 0 && count == lines, "it isn't taken");
    printf("%lu lines: %.2f s to load, %.1f octets a line\n", lines,
           (double)(clock_monotonic_ns() - before) / 1e9, (double)list.bytes.size / (double)lines);
    (void)close(built); /* it is mapped */
    errors_destroy(&errors);
    return list;
}

/* Of another account each time; `address` is printed with its number. */
static void look_up(struct span list, unsigned long lines, const char *what, const char *local,
                    bool is_own)
{
    char account[TEXT_SIZE], address[TEXT_SIZE];
    uint32_t seed = 1;
    int64_t spent = 0;
    for (int i = 0; i < LOOK_UPS; i++) {
        seed = seed * UINT32_C(1664525) + UINT32_C(1013904223);
        unsigned long n = seed % lines;
        (void)snprintf(account, sizeof account, "user%lu@hosting.example", n); /* fits, as below */
        (void)snprintf(address, sizeof address, "%s@customer%lu.example", local, n);
        int64_t before = clock_monotonic_ns();
        bool is_held = ownership_holds(list, span_of(account), span_of(address));
        spent += clock_monotonic_ns() - before;
        must(is_held == is_own, "something else was found");
    }
    printf("%-30s %6.3f us, with a look at the clock\n", what, (double)spent / LOOK_UPS / 1000);
}

int main(int argc, char **argv)
{
    unsigned long lines = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    must(lines > 0, "no lines");
    int fd = write_file(lines);
    const struct sealed list = load(fd, lines);
    look_up(list.bytes, lines, "an address of the account", "info", true);
    look_up(list.bytes, lines, "one that is not", "boss", false);
    look_up(list.bytes, lines, "one that is not, with a \"+\"", "boss+a", false);
    return EXIT_SUCCESS;
}
