/* porteiro-milter: the policy engine inside another MTA, in the foreground. */
#include "process/filter.h"
#include "process/program.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char default_file[] = "/etc/porteiro/porteiro.conf";

enum { EXIT_USAGE = 2 };

static void print_help(FILE *out)
{
    fputs("usage: porteiro-milter [-c FILE] [-t | -V | -h]\n\n"
          "  -c FILE        the configuration, by default /etc/porteiro/porteiro.conf\n"
          "  -t             check all that can be checked without starting\n"
          "  -V, --version  print the version\n"
          "  -h, --help     print this\n\n"
          "Exit status: 0 ended as asked, 1 failed or the configuration is refused,\n"
          "2 wrong options. Manuals: porteiro-milter(8), porteiro.conf(5).\n",
          out);
}

static int usage(void)
{
    print_help(stderr);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    static const struct option words[] = {
        {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {NULL, 0, NULL, 0}};
    const char *file = default_file;
    bool is_test = false;
    int option;
    while ((option = getopt_long(argc, argv, "c:tVh", words, NULL)) != -1) {
        switch (option) {
        case 'c': file = optarg; break;
        case 't': is_test = true; break;
        case 'h': print_help(stdout); return EXIT_SUCCESS;
        case 'V': puts("porteiro-milter " PORTEIRO_VERSION); return EXIT_SUCCESS;
        default: return usage();
        }
    }
    if (optind != argc)
        return usage();
    program_open_streams();
    struct errors *errors = errors_create();
    struct prepared *prepared = prepare_filter(file, errors);
    errors_each(errors, program_print_finding, &is_test);
    errors_destroy(&errors);
    if (prepared == NULL)
        return EXIT_FAILURE;
    if (!is_test)
        return filter_run(file, prepared);
    printf("%s: good\n", file);
    prepared_destroy(&prepared);
    return EXIT_SUCCESS;
}
