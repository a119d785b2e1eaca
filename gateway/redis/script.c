#include "redis/script.h"

#include "redis/codec.h"

#include <assert.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

void script_begin(const char **words, size_t *sizes, char number[SCRIPT_NUMBER_SIZE],
                  size_t key_count)
{
    words[0] = "EVALSHA";
    words[1] = script_sha1;
    words[2] = number;
    sizes[2] = (size_t)snprintf(number, SCRIPT_NUMBER_SIZE, "%zu", key_count); /* fits */
    for (size_t i = 0; i < 2; i++)
        sizes[i] = strlen(words[i]);
}

/* The first `count` words of RESP: "*N\r\n$7\r\nEVALSHA\r\n...". They are our own. */
static struct span skip_words(struct span command, size_t count)
{
    for (size_t i = 0; i < 2 * count; i++)
        (void)span_split(&command, '\n');
    return command;
}

char *script_make_whole(const char *command, size_t size, size_t *whole_size)
{
    struct span rest = span_make(command, size), number = span_split(&rest, '\n');
    rest = skip_words(rest, 2);
    char front[100];
    int front_size = snprintf(front, sizeof front, "%.*s\n$4\r\nEVAL\r\n$%zu\r\n", (int)number.size,
                              number.data, script_size); /* fits */
    *whole_size = (size_t)front_size + script_size + 2 + rest.size;
    char *whole = malloc(*whole_size);
    if (whole == NULL)
        return NULL;
    char *at = mempcpy(whole, front, (size_t)front_size);
    at = mempcpy(at, script_text, script_size);
    at = mempcpy(at, "\r\n", 2);
    (void)memcpy(at, rest.data, rest.size);
    return whole;
}
