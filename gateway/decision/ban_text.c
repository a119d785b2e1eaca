#include "decision/ban_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const kinds[] = {
    [BAN_OF_CLIENT] = "ban", [BAN_EXEMPTION] = "exempt", [BAN_SUSPENSION] = "suspension"};

enum { KINDS = sizeof kinds / sizeof *kinds };

static void add_line(char value[BAN_VALUE_SIZE], const char *line)
{
    size_t used = strlen(value);
    value[used++] = '\n';
    size_t size = span_copy(span_of(line), value + used, BAN_VALUE_SIZE - used); /* fits */
    for (size_t i = used; i < used + size; i++)
        if ((unsigned char)value[i] < ' ' || value[i] == 0x7f)
            value[i] = '?';
}

static void add_credentials(char value[BAN_VALUE_SIZE], const struct ban *ban)
{
    size_t used = strlen(value);
    for (size_t i = 0; i < BAN_CREDENTIALS_MAX; i++)
        used += (size_t)snprintf(value + used, BAN_VALUE_SIZE - used, "%c%" PRIu64,
                                 i == 0 ? '\n' : ' ', ban->credentials[i]); /* fits */
}

void ban_text_write(const struct ban *ban, char name[BAN_NAME_SIZE], char value[BAN_VALUE_SIZE])
{
    char network[NETWORK_TEXT_SIZE];
    network_format(&ban->network, network);
    (void)snprintf(name, BAN_NAME_SIZE, "%s %" PRIu64 " %s", network, ban->account,
                   kinds[ban->kind]); /* fits */
    (void)snprintf(value, BAN_VALUE_SIZE, "%" PRId64 " %" PRId64 " %" PRIu32 " %" PRIu32 " %d",
                   ban->since_ns, ban->until_ns, ban->tries, ban->uid,
                   ban->kind == BAN_SUSPENSION ? (int)ban->scope
                                               : ban->spares_nobody != 0); /* fits */
    add_line(value, ban->rule);
    add_line(value, ban->name);
    add_line(value, ban->reason);
    if (ban->kind == BAN_SUSPENSION)
        add_credentials(value, ban);
}

/* What stands before `end`, off the front. */
static bool take_number(struct span *rest, char end, uint64_t max, uint64_t *out)
{
    return span_number(span_split(rest, end), max, out) == 0;
}

static bool take_text(struct span *rest, char *out, size_t room)
{
    struct span line = span_split(rest, '\n');
    if (line.size >= room || memchr(line.data, '\0', line.size) != NULL)
        return false;
    (void)span_copy(line, out, room); /* fits */
    return true;
}

static bool read_name(struct span name, struct ban *out)
{
    char network[NETWORK_TEXT_SIZE];
    struct span text = span_split(&name, ' ');
    if (text.size >= sizeof network || memchr(text.data, '\0', text.size) != NULL)
        return false;
    (void)span_copy(text, network, sizeof network); /* fits */
    if (network_parse(network, &out->network, NULL) < 0 ||
        !take_number(&name, ' ', UINT64_MAX, &out->account))
        return false;
    while (out->kind < KINDS && !span_equals(name, kinds[out->kind]))
        out->kind++;
    return out->kind < KINDS;
}

static bool take_credentials(struct span *rest, struct ban *out)
{
    struct span line = span_split(rest, '\n');
    bool is_good = true;
    for (size_t i = 0; i < BAN_CREDENTIALS_MAX; i++)
        is_good = is_good && take_number(&line, ' ', UINT64_MAX, &out->credentials[i]);
    return is_good;
}

int ban_text_read(struct span name, struct span value, struct ban *out)
{
    uint64_t since, until, tries, uid, how;
    *out = (struct ban){.tries = 0};
    if (!read_name(name, out) || !take_number(&value, ' ', INT64_MAX, &since) ||
        !take_number(&value, ' ', INT64_MAX, &until) ||
        !take_number(&value, ' ', UINT32_MAX, &tries) ||
        !take_number(&value, ' ', UINT32_MAX, &uid) ||
        !take_number(&value, '\n', out->kind == BAN_SUSPENSION ? SUSPENSION_ALL : 1, &how) ||
        !take_text(&value, out->rule, sizeof out->rule) ||
        !take_text(&value, out->name, sizeof out->name) ||
        !take_text(&value, out->reason, sizeof out->reason) ||
        (out->kind == BAN_SUSPENSION && !take_credentials(&value, out)))
        return -1;
    out->since_ns = (int64_t)since;
    out->until_ns = (int64_t)until;
    out->tries = (uint32_t)tries;
    out->uid = (uint32_t)uid;
    *(out->kind == BAN_SUSPENSION ? &out->scope : &out->spares_nobody) = (uint32_t)how;
    return 0;
}
