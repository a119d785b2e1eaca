/* What was heard later of messages that had been taken: count. */
#include "console/listing.h"

#include "base/span.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 4, COUNT_MAX = 1000000 };

/* NULL: that isn't how it is written. */
static json_t *request_of(size_t count, char *const words[])
{
    uint64_t number;
    if (count == 2 && strcmp(words[0], "--message") == 0)
        return json_pack("{s:s, s:s}", "command", "count", "message", words[1]);
    if (count != 3 || words[0][0] == '-' || strcmp(words[1], "rejected_recipients") != 0 ||
        span_number(span_of(words[2]), COUNT_MAX, &number) < 0)
        return NULL;
    return json_pack("{s:s, s:s, s:I}", "command", "count", "account", words[0],
                     "rejected_recipients", (json_int_t)number);
}

static void ignore(void *owner, json_t *line)
{
    (void)owner, (void)line;
}

/* Into `line` itself. Returns how many there are, WORDS_MAX at most. */
static size_t split(char *line, char *words[WORDS_MAX])
{
    static const char blanks[] = " \t\r\n";
    size_t count = 0;
    for (char *at = line + strspn(line, blanks); *at != '\0' && count < WORDS_MAX;
         at += strspn(at, blanks)) {
        words[count++] = at;
        at += strcspn(at, blanks);
        if (*at != '\0')
            *at++ = '\0';
    }
    return count;
}

/* Says on standard error what is wrong with it. Returns 0, or -1. */
static int take_line(const struct console *c, char *line, unsigned long number)
{
    char *words[WORDS_MAX], *text = NULL;
    struct error why;
    size_t count = split(line, words);
    if (count == 0 || words[0][0] == '#')
        return 0;
    json_t *request = request_of(count, words);
    int failed = request == NULL
                     ? error_set(&why, "is neither \"ACCOUNT rejected_recipients N\" nor "
                                       "\"--message ID\"")
                     : console_ask(c->socket, request, ignore, NULL, &text, &why);
    if (failed < 0)
        fprintf(stderr, "porteiroctl: line %lu: %s\n", number, why.text);
    json_decref(request);
    free(text);
    return failed;
}

/* A follower of a log says one line now and then, as long as it lives: one that is wrong, or that
 * finds no gateway, is told and left behind. */
static int take_lines(const struct console *c)
{
    char *line = NULL;
    size_t room = 0;
    int outcome = CONSOLE_DONE;
    for (unsigned long number = 1; getline(&line, &room, stdin) > 0; number++)
        if (take_line(c, line, number) < 0)
            outcome = CONSOLE_FAILED;
    free(line);
    return outcome;
}

int command_count(const struct console *c)
{
    if (c->argc == 1 && strcmp(c->argv[0], "-") == 0)
        return take_lines(c);
    json_t *request = request_of((size_t)c->argc, c->argv);
    if (request == NULL)
        return console_wrong("count takes ACCOUNT rejected_recipients N, --message ID, or -");
    return console_order(c, request);
}
