/* porteiroctl: speaks to the running gateway. */
#include "console/commands.h"

#include <stdio.h>
#include <string.h>

static const char default_socket[] = "/run/porteiro/control.sock";

static void print_help(FILE *out)
{
    fputs("usage: porteiroctl [-s SOCKET] [--json] COMMAND\n\n", out);
    for (const struct command *c = console_commands; c->name != NULL; c++) {
        int room = (int)(20 - strlen(c->name)), size = (int)strlen(c->arguments);
        fprintf(out, "  %s %-*s%s%s\n", c->name, room, c->arguments,
                size > room ? "\n                        " : " ", c->help);
    }
    fputs("\n-s SOCKET  the gateway's socket, by default /run/porteiro/control.sock\n"
          "--json     JSON instead of tables\n"
          "\nExit status: 0 done, 1 refused or not reachable, 2 wrong options, 3 not known.\n"
          "Manual: porteiroctl(8).\n",
          out);
}

int main(int argc, char **argv)
{
    struct console console = {.socket = default_socket};
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "-s") == 0 && i + 1 < argc) {
            console.socket = argv[++i];
        } else if (strcmp(argv[i], "--json") == 0) {
            console.is_json = true;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(stdout);
            return CONSOLE_DONE;
        } else if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0) {
            puts("porteiroctl " PORTEIRO_VERSION);
            return CONSOLE_DONE;
        } else {
            return console_wrong("unknown option");
        }
    }
    if (i == argc) {
        print_help(stderr);
        return CONSOLE_USAGE;
    }
    console.argc = argc - i - 1;
    console.argv = argv + i + 1;
    for (const struct command *c = console_commands; c->name != NULL; c++)
        if (strcmp(c->name, argv[i]) == 0)
            return c->run(&console);
    return console_wrong("unknown command");
}
