#include "policy/zone.h"

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROOM = 65536 };

static char octets[ROOM];

/* Of the tz database of this machine. */
static struct span read_zone(const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name); /* fits */
    FILE *file = fopen(path, "re");
    ck_assert_msg(file != NULL, "%s: apt-get install tzdata", path);
    size_t size = fread(octets, 1, ROOM, file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_uint_lt(size, ROOM);
    return span_make(octets, size);
}

static const char *const names[] = {
    "America/Sao_Paulo", "Europe/Berlin",      "Asia/Kolkata",      "Australia/Lord_Howe",
    "America/St_Johns",  "Europe/Dublin",      "Africa/Casablanca", "Antarctica/Troll",
    "Pacific/Apia",      "Asia/Kathmandu",     "America/Nuuk",      "Asia/Gaza",
    "Etc/UTC",           "Pacific/Kiritimati",
};

/* Two centuries, from when clocks go by hours on. */
START_TEST(the_c_library_knows_the_same_clocks)
{
    struct span zone = read_zone(names[_i]);
    struct error why;
    ck_assert_msg(zone_check(zone, &why) == 0, "%s: %s", names[_i], why.text);
    ck_assert_int_eq(setenv("TZ", names[_i], 1), 0);
    tzset();
    for (int64_t t = INT64_C(-1500000000); t < INT64_C(4200000000); t += 5 * 3600 + 1801) {
        time_t when = (time_t)t;
        struct tm model;
        ASSERT_OFTEN(localtime_r(&when, &model) != NULL && zone_offset(zone, t) == model.tm_gmtoff,
                     "%s at %lld: %d, not %ld", names[_i], (long long)t, zone_offset(zone, t),
                     model.tm_gmtoff);
    }
}
END_TEST

START_TEST(summer_begins_and_ends_with_its_second)
{
    static const struct {
        const char *zone;
        int64_t unix_s;
        int32_t before, from;
    } cases[] = {
        {"Europe/Berlin", INT64_C(1774746000), 3600, 7200},        /* 2026-03-29T01:00Z */
        {"Europe/Berlin", INT64_C(1792890000), 7200, 3600},        /* 2026-10-25T01:00Z */
        {"Europe/Berlin", INT64_C(4078429200), 3600, 7200},        /* 2099-03-29T01:00Z */
        {"America/Sao_Paulo", INT64_C(1541300400), -10800, -7200}, /* 2018-11-04T03:00Z */
        {"America/Sao_Paulo", INT64_C(1550368800), -7200, -10800}, /* 2019-02-17T02:00Z: the last */
        {"Australia/Lord_Howe", INT64_C(1775314800), 39600, 37800}, /* 2026-04-04T15:00Z */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct span zone = read_zone(cases[i].zone);
        ck_assert_int_eq(zone_offset(zone, cases[i].unix_s - 1), cases[i].before);
        ck_assert_int_eq(zone_offset(zone, cases[i].unix_s), cases[i].from);
    }
}
END_TEST

/* ---- made by hand, by RFC 8536 section 3 ---- */

static size_t put(size_t at, const char *bytes, size_t size)
{
    memcpy(octets + at, bytes, size);
    return at + size;
}

static size_t put_head(size_t at, char version, unsigned leaps, unsigned times, unsigned types)
{
    const char counts[] = {0, 0, 0, 0,           0, 0, 0, 0,           0, 0, 0, (char)leaps,
                           0, 0, 0, (char)times, 0, 0, 0, (char)types, 0, 0, 0, 4};
    const char head[16] = {'T', 'Z', 'i', 'f', 0};
    at = put(at, head, 4);
    octets[at++] = version;
    at = put(at, head + 4, 11); /* NULs; the rest of 15 */
    memset(octets + at, 0, 4);
    return put(at + 4, counts, sizeof counts);
}

/* An hour east from 1970-01-01T00:00:10Z on. */
static size_t put_block(size_t at, size_t time_size)
{
    static const char time[] = {0, 0, 0, 0, 0, 0, 0, 10}, which[] = {1};
    static const char types[] = {0, 0, 0, 0, 0, 0, 0, 0, 0x0e, 0x10, 0, 0};
    at = put(at, time + 8 - time_size, time_size);
    at = put(at, which, 1);
    at = put(at, types, sizeof types);
    return put(at, "ABC", 4);
}

static struct span first_version(void)
{
    return span_make(octets, put_block(put_head(0, '\0', 0, 1, 2), 4));
}

static struct span second_version(const char *rules)
{
    size_t size = put_block(put_head(0, '2', 0, 1, 2), 4);
    size = put_block(put_head(size, '2', 0, 1, 2), 8);
    return span_make(octets, put(size, rules, strlen(rules)));
}

START_TEST(both_versions_are_read)
{
    struct span zone = first_version();
    ck_assert_int_eq(zone_check(zone, NULL), 0);
    ck_assert_int_eq(zone_offset(zone, 9), 0);
    ck_assert_int_eq(zone_offset(zone, 10), 3600);
    zone = second_version("\n\n");
    ck_assert_int_eq(zone_check(zone, NULL), 0);
    ck_assert_int_eq(zone_offset(zone, 9), 0);
    ck_assert_int_eq(zone_offset(zone, 10), 3600);
    zone = second_version("\nXYZ-2\n");
    ck_assert_int_eq(zone_offset(zone, 9), 0);
    ck_assert_int_eq(zone_offset(zone, 10), 7200);
}
END_TEST

START_TEST(what_is_cut_short_is_refused_and_read_no_further)
{
    struct span zone = second_version("\nXYZ-2\n");
    for (size_t size = 0; size < zone.size; size++) {
        char *exactly = malloc(size + 1);
        memcpy(exactly, zone.data, size);
        ck_assert_int_eq(zone_check(span_make(exactly, size), NULL), -1);
        ck_assert_int_eq(zone_offset(span_make(exactly, size), 20), 0);
        free(exactly);
    }
}
END_TEST

START_TEST(what_is_wrong_is_told)
{
    struct error why;
    struct span zone = second_version("\nXYZ\n");
    ck_assert_int_eq(zone_check(zone, &why), -1);
    ck_assert_ptr_nonnull(strstr(why.text, "rules are spoiled"));
    zone = first_version();
    octets[44 + 4] = 2;
    ck_assert_int_eq(zone_check(zone, &why), -1);
    ck_assert_ptr_nonnull(strstr(why.text, "table is spoiled"));
    ck_assert_int_eq(zone_offset(zone, 20), 0);
    zone = first_version();
    octets[44 + 5] = 0x7f;
    ck_assert_int_eq(zone_check(zone, &why), -1);
    ck_assert_ptr_nonnull(strstr(why.text, "an offset is more than a day"));
    (void)put_head(0, '\0', 1, 1, 1);
    ck_assert_int_eq(zone_check(span_make(octets, 100), &why), -1);
    ck_assert_ptr_nonnull(strstr(why.text, "leap seconds"));
}
END_TEST

SUITE(zone)
{
    LOOP_TEST(the_c_library_knows_the_same_clocks, names);
    TEST(summer_begins_and_ends_with_its_second);
    TEST(both_versions_are_read);
    TEST(what_is_cut_short_is_refused_and_read_no_further);
    TEST(what_is_wrong_is_told);
}
