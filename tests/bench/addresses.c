/* What it costs to know who sends as whom: how long a file of a million lines takes to load, from
 * the file to the mapping that workers share, how large that is, a look-up in it, and reading the
 * headers of a message.
 *
 * usage: bench-addresses [LINES] */
#include "auth/ownership.h"
#include "base/sealed.h"
#include "message/header_addresses.h"
#include "policy/ownership.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 1000, BATCH = 1000, HEADERS = 1000000, TEXT_SIZE = 64 };

static void must(bool is_so, const char *what)
{
    if (is_so)
        return;
    fprintf(stderr, "bench-addresses: %s\n", what);
    exit(EXIT_FAILURE);
}

/* Of the processor: others may be there. */
static int64_t cpu_ns(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0, "no clock");
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
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
    int64_t before = cpu_ns();
    int built = ownership_read(fd, "lines", "hosting.example", &count, errors);
    must(built >= 0 && sealed_map(&list, built, &why) == 0 && count == lines, "it isn't taken");
    printf("%lu lines: %.2f s to load, %.1f octets a line\n", lines,
           (double)(cpu_ns() - before) / 1e9, (double)list.bytes.size / (double)lines);
    (void)close(built); /* it is mapped */
    errors_destroy(&errors);
    return list;
}

struct question {
    char account[TEXT_SIZE], address[TEXT_SIZE];
};

/* Of another account each time. */
static void ask_for(struct question *q, unsigned long lines, const char *local)
{
    static uint32_t seed = 1;
    seed = seed * UINT32_C(1664525) + UINT32_C(1013904223);
    unsigned long n = seed % lines;
    (void)snprintf(q->account, TEXT_SIZE, "user%lu@hosting.example", n); /* fits, as below */
    (void)snprintf(q->address, TEXT_SIZE, "%s@customer%lu.example", local, n);
}

static void look_up(struct span list, unsigned long lines, const char *what, const char *local,
                    bool is_own)
{
    static struct question questions[BATCH];
    int64_t spent = 0;
    int held = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < BATCH; i++)
            ask_for(&questions[i], lines, local);
        int64_t before = cpu_ns();
        for (int i = 0; i < BATCH; i++)
            held +=
                ownership_holds(list, span_of(questions[i].account), span_of(questions[i].address));
        spent += cpu_ns() - before;
    }
    must(held == (is_own ? ROUNDS * BATCH : 0), "something else was found");
    printf("%-30s %6.3f us\n", what, (double)spent / ROUNDS / BATCH / 1000);
}

static void count_author(void *owner, enum author_field field, struct span address)
{
    (void)field, (void)address;
    ++*(int *)owner;
}

/* As a mail program writes it, and two servers have added to it. */
static void read_headers(void)
{
    static const char trace[] = "Received: from mail.example.com (mail.example.com [192.0.2.7])\r\n"
                                "\tby relay.example.com with ESMTPSA id abcdefghijkl\r\n"
                                "\tfor <someone@dest.example>; Thu, 1 Jan 2026 00:00:00 +0000\r\n";
    static const char rest[] = "DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=one;\r\n"
                               "\th=from:to:subject:date:message-id; bh=abcdefghijklmnopqrstuv;\r\n"
                               "\tb=abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefg\r\n"
                               "From: =?utf-8?Q?Ana_Souza?= <ana.souza@example.com>\r\n"
                               "To: Someone Else <someone@dest.example>\r\nSubject: hello\r\n"
                               "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nMIME-Version: 1.0\r\n"
                               "Message-ID: <abcdefghijkl@example.com>\r\n"
                               "Content-Type: text/plain; charset=utf-8\r\n";
    int authors = 0;
    int64_t before = cpu_ns();
    for (int i = 0; i < HEADERS; i++) {
        struct header_addresses h;
        header_addresses_begin(&h, count_author, &authors);
        header_addresses_take(&h, span_of(trace));
        header_addresses_take(&h, span_of(trace));
        header_addresses_take(&h, span_of(rest));
        header_addresses_end(&h);
    }
    printf("the headers of a message       %6.3f us\n",
           (double)(cpu_ns() - before) / HEADERS / 1000);
    must(authors == HEADERS, "somebody else has sent it");
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
    read_headers();
    return EXIT_SUCCESS;
}
