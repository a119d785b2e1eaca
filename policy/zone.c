#include "policy/zone.h"

#include "base/sealed.h"

#include <string.h>

enum { HEAD_SIZE = 44, TYPE_SIZE = 6, TYPES_MAX = 256 };

/* The block that counts, of what lies where. */
struct tzif {
    size_t times, types;        /* how many */
    size_t time_size;           /* of each: 4 or 8 octets */
    const char *time, *of_time; /* when a type begins, ascending; which one */
    const char *type;           /* TYPE_SIZE octets each */
    uint32_t leap_seconds;
    struct span rules; /* for the time behind the last; empty: there are none */
};

/* ---- numbers, most significant octet first ---- */

static uint32_t number(const char *at)
{
    const unsigned char *b = (const unsigned char *)at;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static int64_t time_at(const struct tzif *z, size_t i)
{
    const char *at = z->time + i * z->time_size;
    if (z->time_size == 4)
        return (int32_t)number(at);
    return (int64_t)((uint64_t)number(at) << 32 | number(at + 4));
}

static int32_t offset_of(const struct tzif *z, size_t type)
{
    int32_t offset = (int32_t)number(z->type + type * TYPE_SIZE);
    return offset < ZONE_OFFSET_MIN || offset > ZONE_OFFSET_MAX ? 0 : offset;
}

/* ---- the blocks ---- */

/* A head and its block, in front of `bytes`. Returns their size, or 0: they are not whole. */
static size_t read_block(struct span bytes, size_t time_size, struct tzif *out)
{
    if (bytes.size < HEAD_SIZE || memcmp(bytes.data, "TZif", 4) != 0)
        return 0;
    uint64_t is_ut = number(bytes.data + 20), is_standard = number(bytes.data + 24);
    uint64_t leaps = number(bytes.data + 28), times = number(bytes.data + 32);
    uint64_t types = number(bytes.data + 36), letters = number(bytes.data + 40);
    uint64_t size = HEAD_SIZE + times * (time_size + 1) + types * TYPE_SIZE + letters +
                    leaps * (time_size + 4) + is_standard + is_ut;
    if (size > bytes.size || types == 0 || types > TYPES_MAX)
        return 0;
    out->times = (size_t)times;
    out->types = (size_t)types;
    out->time_size = time_size;
    out->leap_seconds = (uint32_t)leaps;
    out->time = bytes.data + HEAD_SIZE;
    out->of_time = out->time + times * time_size;
    out->type = out->of_time + times;
    out->rules = span_make("", 0);
    return (size_t)size;
}

/* From the second version on a block of 64 bits follows, and between line ends the rules. */
static int read_all(struct span bytes, struct tzif *out)
{
    size_t size = read_block(bytes, 4, out);
    if (size == 0)
        return -1;
    if (bytes.data[4] == '\0')
        return 0;
    span_skip(&bytes, size);
    if ((size = read_block(bytes, 8, out)) == 0)
        return -1;
    span_skip(&bytes, size);
    if (bytes.size < 2 || bytes.data[0] != '\n' ||
        memchr(bytes.data + 1, '\n', bytes.size - 1) == NULL)
        return -1;
    span_skip(&bytes, 1);
    out->rules = span_split(&bytes, '\n');
    return 0;
}

int zone_check(struct span tzif, struct error *why)
{
    struct tzif z;
    int32_t offset;
    if (read_all(tzif, &z) < 0)
        return error_set(why, "is no file of a time zone");
    if (z.leap_seconds > 0)
        return error_set(why, "counts leap seconds, which clocks don't; name the zone without "
                              "\"right/\"");
    for (size_t i = 0; i < z.types; i++)
        if ((int32_t)number(z.type + i * TYPE_SIZE) != offset_of(&z, i))
            return error_set(why, "is no file of a time zone: an offset is more than a day");
    for (size_t i = 0; i < z.times; i++)
        if ((unsigned char)z.of_time[i] >= z.types ||
            (i > 0 && time_at(&z, i) <= time_at(&z, i - 1)))
            return error_set(why, "is no file of a time zone: its table is spoiled");
    if (z.rules.size > 0 && posix_zone_offset(z.rules, 0, &offset) < 0)
        return error_set(why, "is no file of a time zone: its rules are spoiled");
    return 0;
}

/* ---- asking ---- */

int32_t zone_offset(struct span tzif, int64_t unix_s)
{
    struct tzif z;
    int32_t offset;
    size_t from = 0;
    if (read_all(tzif, &z) < 0)
        return 0;
    size_t to = z.times;
    while (from < to) { /* how many begin before */
        size_t middle = from + (to - from) / 2;
        if (time_at(&z, middle) <= unix_s)
            from = middle + 1;
        else
            to = middle;
    }
    if (from == z.times && z.rules.size > 0)
        return posix_zone_offset(z.rules, unix_s, &offset) == 0 ? offset : 0;
    size_t type = from == 0 ? 0 : (unsigned char)z.of_time[from - 1];
    return type < z.types ? offset_of(&z, type) : 0;
}

struct wall_time zone_wall_time(const struct time_zone *zone, int64_t unix_s)
{
    const struct sealed *file = zone == NULL ? NULL : zone->file;
    return calendar_wall_time(unix_s, file == NULL ? 0 : zone_offset(file->bytes, unix_s));
}

int zone_check_name(const char *name, struct error *why)
{
    bool is_good = name[0] != '.' && name[0] != '/' && strstr(name, "/.") == NULL;
    for (const char *c = name; *c != '\0'; c++)
        is_good = is_good && (ascii_is_alnum(*c) || strchr("/_+-.", *c) != NULL);
    return is_good ? 0
                   : error_set(why, "\"%s\" is no time zone; write one as America/Sao_Paulo", name);
}
