#include "process/program.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

void program_open_streams(void)
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

void program_print_finding(void *is_test, enum finding kind, const char *text)
{
    static const char *const marks[] = {"", "warning: ", "note: "};
    bool is_tested = *(const bool *)is_test;
    FILE *out = kind == FINDING_ERROR || !is_tested ? stderr : stdout;
    if (kind != FINDING_NOTE || is_tested)
        fprintf(out, "%s%s\n", marks[kind], text);
}
