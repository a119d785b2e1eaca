/* porteirod: the gateway, in the foreground. */
#include "base/title.h"
#include "net/tls_memory.h"
#include "process/live.h"
#include "process/master.h"
#include "process/program.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static int print_effective(const struct config *config)
{
    struct buffer text = {.limit = PRINT_MAX};
    int failed = config_print(config, &text);
    struct span bytes = buffer_bytes(&text);
    failed |= fwrite(bytes.data, 1, bytes.size, stdout) != bytes.size;
    buffer_clear(&text);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int print_only_configuration(const char *file)
{
    struct errors *errors = errors_create();
    bool is_test = false;
    struct config *config = config_load(file, errors);
    errors_each(errors, program_print_finding, &is_test);
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
    program_open_streams();
    struct errors *errors = errors_create();
    bool is_test = mode == MODE_TEST;
    struct prepared *prepared = prepare(file, errors);
    errors_each(errors, program_print_finding, &is_test);
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
