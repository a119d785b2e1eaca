#include "script.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        err(1, "%s", path);
    }
    char *text = NULL;
    size_t room = 0;
    if (getdelim(&text, &room, '\0', file) < 0) { /* empty */
        free(text);
        text = calloc(1, 1);
    }
    fclose(file);
    if (!text) {
        err(1, "%s", path);
    }
    return text;
}

static int hex_octet(const char *digits)
{
    unsigned octet = 0;
    if (sscanf(digits, "%2x", &octet) != 1) {
        errx(1, "not two hexadecimal digits: %s", digits);
    }
    return (int)octet;
}

/* In place: what stands for an octet is never shorter. */
static void unescape(char *word)
{
    char *to = word;
    for (const char *from = word; *from; from++) {
        if (*from != '\\') {
            *to++ = *from;
            continue;
        }
        switch (*++from) {
        case 'n': *to++ = '\n'; break;
        case 'r': *to++ = '\r'; break;
        case 't': *to++ = '\t'; break;
        case 's': *to++ = ' '; break;
        case 'x':
            *to++ = (char)hex_octet(from + 1);
            from += 2;
            break;
        default: *to++ = *from; break;
        }
    }
    *to = '\0';
}

static void read_line(struct script_line *line, char *text)
{
    *line = (struct script_line){.stage = strsep(&text, "\t"), .action = strsep(&text, "\t")};
    if (!line->action) {
        errx(1, "no action for %s", line->stage);
    }
    char *slash = strchr(line->stage, '/');
    if (slash) {
        *slash = '\0';
        line->match = slash + 1;
    }
    for (char *word; (word = strsep(&text, "\t"));) {
        if (line->count == SCRIPT_WORDS - 1) {
            errx(1, "too many words for %s", line->action);
        }
        unescape(word);
        line->words[line->count++] = word;
    }
}

void script_read(struct script *s, const char *path)
{
    *s = (struct script){.text = read_file(path)};
    size_t most = 1;
    for (const char *c = s->text; *c; c++) {
        most += *c == '\n';
    }
    s->lines = calloc(most, sizeof(*s->lines));
    if (!s->lines) {
        err(1, "%s", path);
    }
    char *rest = s->text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (*line && *line != '#') {
            read_line(&s->lines[s->count++], line);
        }
    }
}

void script_free(struct script *s)
{
    free(s->lines);
    free(s->text);
    *s = (struct script){0};
}

const struct script_line *script_next(const struct script *s, const struct script_line *last,
                                      const char *stage, const char *argument)
{
    for (const struct script_line *l = last ? last + 1 : s->lines; l < s->lines + s->count; l++) {
        if (!strcmp(l->stage, stage) && (!l->match || strstr(argument, l->match))) {
            return l;
        }
    }
    return NULL;
}
