#include "base/title.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The kernel shows the memory in which argv and environ lay at the start. */
static struct {
    char *start;
    size_t size;
} title;

void title_prepare(int argc, char **argv)
{
    char *end = argv[0];
    for (int i = 0; i < argc; i++)
        if (argv[i] == end)
            end = argv[i] + strlen(argv[i]) + 1;
    for (char **entry = environ; *entry != NULL; entry++) {
        if (*entry == end)
            end = *entry + strlen(*entry) + 1;
        char *copy = strdup(*entry);
        if (copy == NULL)
            return; /* no titles, then */
        *entry = copy;
    }
    for (int i = 0; i < argc; i++) {
        char *copy = strdup(argv[i]);
        if (copy == NULL)
            return;
        if (i == 0)
            title.start = argv[0];
        argv[i] = copy;
    }
    title.size = (size_t)(end - title.start);
}

void title_set(const char *format, ...)
{
    char text[128], name[16];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args); /* cut to fit is what we want */
    va_end(args);
    if (title.start != NULL) {
        memset(title.start, 0, title.size);
        (void)snprintf(title.start, title.size, "%s", text); /* likewise */
    }
    (void)snprintf(name, sizeof name, "%.15s", text);
    (void)prctl(PR_SET_NAME, name, 0, 0, 0); /* a title is a courtesy */
}
