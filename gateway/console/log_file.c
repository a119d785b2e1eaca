#include "console/log_file.h"

#include "console/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A line without its end, whatever is in it. Returns 1; 0: it was too long, and is skipped; -1:
 * there is no other. */
static int next_line(FILE *file, char text[RECORD_LINE_MAX], struct span *out)
{
    size_t size = 0;
    int c;
    while ((c = getc_unlocked(file)) != EOF && c != '\n') {
        if (size < RECORD_LINE_MAX)
            text[size] = (char)c;
        size++;
    }
    *out = span_make(text, size);
    if (c == EOF && size == 0)
        return -1;
    return size <= RECORD_LINE_MAX;
}

static int read_all(FILE *file, int (*take)(void *owner, const struct record_line *line),
                    void *owner, struct log_totals *totals)
{
    static struct record_line line;
    static char text[RECORD_LINE_MAX];
    struct span octets;
    int outcome;
    while ((outcome = next_line(file, text, &octets)) >= 0) {
        totals->lines++;
        if (outcome == 0 || record_read(octets, &line) < 0)
            totals->unread++;
        else if (take(owner, &line) < 0)
            return 0;
    }
    return ferror(file) != 0 ? -1 : 0;
}

int log_file_read(const char *path, int (*take)(void *owner, const struct record_line *line),
                  void *owner, struct log_totals *totals)
{
    char said[512];
    bool is_input = strcmp(path, "-") == 0;
    FILE *file = is_input ? stdin : fopen(path, "re");
    int failed = file == NULL ? -1 : read_all(file, take, owner, totals);
    if (failed)
        (void)snprintf(said, sizeof said, "%s: %s", path, strerror(errno)); /* cut to fit */
    if (file != NULL && !is_input)
        (void)fclose(file); /* was only read */
    if (failed)
        (void)console_fail(said); /* the caller's to return */
    return failed;
}
