/* porteirod: the gateway, in the foreground. */
#include "base/title.h"
#include "net/tls_memory.h"
#include "process/live.h"
#include "process/master.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char default_file[] = "/etc/porteiro/porteiro.conf";

enum { EXIT_USAGE = 2, PRINT_MAX = 16 * 1024 * 1024 };

enum mode { MODE_RUN, MODE_TEST, MODE_PRINT };

static void print_help(FILE *out)
{
    fputs("usage: porteirod [-c FILE] [-t [--live] | -T | -V | -h]\n\n"
          "  -c FILE        the configuration, by default /etc/porteiro/porteiro.conf\n"
          "  -t             check all that can be checked without starting\n"
          "  -t --live      connect to the servers behind too, and tell what they do\n"
          "  -T             print the effective configuration\n"
          "  -V, --version  print the version\n"
          "  -h, --help     print this\n\n"
          "Exit status: 0 ended as asked, 1 failed or the configuration is refused,\n"
          "2 wrong options. Manuals: porteirod(8), porteiro.conf(5), porteiroctl(8).\n",
          out);
}

static int usage(void)
{
    print_help(stderr);
    return EXIT_USAGE;
}

static void print_finding(void *owner, enum finding kind, const char *text)
{
    static const char *const marks[] = {"", "warning: ", "note: "};
    const enum mode *mode = owner;
    FILE *out = kind == FINDING_ERROR || *mode != MODE_TEST ? stderr : stdout;
    if (kind != FINDING_NOTE || *mode == MODE_TEST)
        fprintf(out, "%s%s\n", marks[kind], text);
}

static int print_effective(const struct config *config)
{
    struct buffer text = {.limit = PRINT_MAX};
    int failed = config_print(config, &text);
    struct span bytes = buffer_bytes(&text);
    failed |= fwrite(bytes.data, 1, bytes.size, stdout) != bytes.size;
    buffer_clear(&text);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Descriptors 0 to 2 are open from here on, so that no other becomes one of them. */
static void open_standard_streams(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) {
        (void)dup2(fd, STDIN_FILENO); /* nobody reads from it */
        (void)close(fd);
    }
}

static int print_only_configuration(const char *file)
{
    struct errors *errors = errors_create();
    enum mode mode = MODE_PRINT;
    struct config *config = config_load(file, errors);
    errors_each(errors, print_finding, &mode);
    int status = errors_count(errors) > 0 ? EXIT_FAILURE : print_effective(config);
    errors_destroy(&errors);
    config_free(&config);
    return status;
}

int main(int argc, char **argv)
{
    const char *file = default_file;
    enum mode mode = MODE_RUN;
    static const struct option words[] = {{"live", no_argument, NULL, 'l'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'V'},
                                          {NULL, 0, NULL, 0}};
    bool is_live = false;
    int option;
    title_prepare(argc, argv);
    tls_memory_begin();
    while ((option = getopt_long(argc, argv, "c:tTVh", words, NULL)) != -1) {
        switch (option) {
        case 'l': is_live = true; break;
        case 'c': file = optarg; break;
        case 't': mode = MODE_TEST; break;
        case 'T': mode = MODE_PRINT; break;
        case 'h': print_help(stdout); return EXIT_SUCCESS;
        case 'V': puts("porteirod " PORTEIRO_VERSION); return EXIT_SUCCESS;
        default: return usage();
        }
    }
    if (optind != argc || (is_live && mode != MODE_TEST))
        return usage();
    if (mode == MODE_PRINT)
        return print_only_configuration(file);
    open_standard_streams();
    struct errors *errors = errors_create();
    struct prepared *prepared = prepare(file, errors);
    errors_each(errors, print_finding, &mode);
    errors_destroy(&errors);
    if (prepared == NULL)
        return EXIT_FAILURE;
    if (mode == MODE_RUN)
        return master_run(file, prepared);
    printf("%s: good\n", file);
    int status = is_live && live_run(prepared) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    prepared_destroy(&prepared);
    return status;
}
