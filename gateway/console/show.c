/* What is known of a session, a message, an account or an address: show. It is put together of what
 * the gateway says of it, and of how its limits stand. */
#include "console/listing.h"

#include "base/span.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INDENT = 17 }; /* of what doesn't fit a line: behind the moment */

/* ---- a line of the log ---- */

/* Word by word, on lines of the terminal's width; what comes from elsewhere moves no cursor. */
static void print_words(struct span text, size_t *used)
{
    size_t width = (size_t)table_width();
    while (text.size > 0) {
        struct span word = span_split(&text, ' ');
        if (*used + 1 + word.size > width && *used > INDENT) {
            printf("\n%*s", INDENT - 1, "");
            *used = INDENT - 1;
        }
        putchar(' ');
        for (size_t i = 0; i < word.size; i++)
            putchar((unsigned char)word.data[i] < ' ' || (unsigned char)word.data[i] >= 0x7f
                        ? '?'
                        : word.data[i]);
        *used += 1 + word.size;
    }
}

/* What stands above all lines isn't said again in each. */
static bool is_said(const json_t *answer, const char *key, const json_t *value)
{
    static const char *const always[] = {"time", "level", "event", "process"};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (strcmp(key, always[i]) == 0)
            return true;
    return (strcmp(key, "session") == 0 || strcmp(key, "account") == 0) &&
           json_equal(value, json_object_get(answer, key));
}

static void print_field(const char *key, const json_t *value, size_t *used)
{
    char field[4096], *number = NULL;
    const char *text = json_string_value(value);
    if (text == NULL)
        text = number = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
    (void)snprintf(field, sizeof field, "%s=%s", key, text == NULL ? "" : text); /* cut to fit */
    free(number);
    print_words(span_of(field), used);
}

static void print_line(const json_t *answer, json_t *line)
{
    char moment[CELL_MOMENT_SIZE];
    const char *key;
    json_t *value;
    size_t used = (size_t)printf("%s", cell_moment(line, "time", moment));
    print_words(span_of(cell_text(line, "event")), &used);
    json_object_foreach(line, key, value) if (!is_said(answer, key, value))
        print_field(key, value, &used);
    putchar('\n');
}

/* ---- all of it ---- */

static void print_lines(const json_t *answer)
{
    const json_t *lines = json_object_get(answer, "lines");
    long long all = json_integer_value(json_object_get(answer, "count"));
    long long shown = (long long)json_array_size(lines);
    size_t i;
    json_t *line;
    if (shown > 0)
        putchar('\n');
    if (all > shown)
        printf("the last %lld of %lld lines:\n", shown, all);
    json_array_foreach(lines, i, line) print_line(answer, line);
}

static void print_answer(const json_t *answer, const char *word)
{
    static const char *const keys[] = {"session", "account", "client"};
    char moment[CELL_MOMENT_SIZE];
    size_t used = (size_t)printf("%s", cell_text(answer, "is"));
    print_words(span_of(word), &used);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(cell_text(answer, keys[i]), word) != 0 && cell_text(answer, keys[i])[0] != '\0')
            print_field(keys[i], json_object_get(answer, keys[i]), &used);
    printf("\nlog lines are kept since %s\n", cell_moment(answer, "since", moment));
    listing_print_rows(&listing_sessions, json_object_get(answer, "sessions"));
    listing_print_rows(&listing_bans, json_object_get(answer, "bans"));
    listing_print_rows(&listing_suspended, json_object_get(answer, "suspended"));
    listing_print_rows(&listing_limits, json_object_get(answer, "limits"));
    print_lines(answer);
}

/* ---- asking ---- */

static void keep_row(void *owner, json_t *line)
{
    (void)json_array_append(owner, line);
}

/* An address of a network, "2001:db8::/64", which limits know by any of its addresses. */
static json_t *address_of(const char *client)
{
    return json_stringn(client, strcspn(client, "/"));
}

/* How the limits stand of whoever it is. What can't be asked is told, and left out. */
static void add_limits(const struct console *c, json_t *answer)
{
    const char *account = cell_text(answer, "account"), *client = cell_text(answer, "client");
    json_t *keys = json_array(), *rows = json_array();
    struct error why;
    char *text = NULL;
    if (account[0] != '\0')
        (void)json_array_append_new(keys, json_string(account));
    if (client[0] != '\0')
        (void)json_array_append_new(keys, address_of(client));
    bool is_known = json_array_size(keys) > 0;
    json_t *request = json_pack("{s:s, s:o}", "command", "limits", "keys", keys);
    if (is_known && console_ask(c->socket, request, keep_row, rows, &text, &why) < 0)
        (void)console_fail(why.text);
    free(text);
    json_decref(request);
    (void)json_object_set_new(answer, "limits", rows);
}

/* Rules that have counted nothing of it are there for everybody. */
static bool is_known(const json_t *answer)
{
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(answer, "limits"), i,
                       row) if (json_integer_value(json_object_get(row, "used")) > 0) return true;
    return json_array_size(json_object_get(answer, "sessions")) > 0 ||
           json_array_size(json_object_get(answer, "bans")) > 0 ||
           json_array_size(json_object_get(answer, "suspended")) > 0 ||
           json_array_size(json_object_get(answer, "lines")) > 0;
}

static int print(const struct console *c, const json_t *answer)
{
    char moment[CELL_MOMENT_SIZE];
    if (c->is_json) {
        (void)json_dumpf(answer, stdout, JSON_INDENT(2)); /* a terminal that is gone needs none */
        putchar('\n');
    }
    if (!is_known(answer)) {
        fprintf(stderr, "porteiroctl: nothing is known of %s since %s; what is older isn't kept\n",
                c->argv[0], cell_moment(answer, "since", moment));
        return CONSOLE_UNKNOWN;
    }
    if (!c->is_json)
        print_answer(answer, c->argv[0]);
    return CONSOLE_DONE;
}

int command_show(const struct console *c)
{
    json_t *answer = NULL;
    if (c->argc != 1 || c->argv[0][0] == '-' || c->argv[0][0] == '\0')
        return console_wrong("show takes the id of a session or message, an account or an address");
    int outcome =
        console_answer(c, json_pack("{s:s, s:s}", "command", "show", "who", c->argv[0]), &answer);
    if (outcome == CONSOLE_DONE) {
        add_limits(c, answer);
        outcome = print(c, answer);
    }
    json_decref(answer);
    return outcome;
}
