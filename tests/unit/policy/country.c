#include "policy/country.h"

#include "policy/mmdb.h"

#include "policy/database.h"
#include "support/test.h"

#include <stdlib.h>

static struct database file;
static char *table;
static size_t size, count;
static struct error why;

static bool builds(struct span octets)
{
    free(table);
    table = countries_build(octets, &size, &count, &why);
    return table != NULL;
}

static const char *country_of(const char *host)
{
    static char country[COUNTRY_SIZE];
    struct address a;
    ck_assert_int_eq(address_make(host, 25, &a), 0);
    countries_find(span_make(table, size), &a, country);
    return country;
}

static void is_refused(struct span octets, const char *reason)
{
    ck_assert(!builds(octets));
    ck_assert_msg(strstr(why.text, reason) != NULL, "%s", why.text);
}

static const unsigned side_sizes[] = {24, 28, 32};

static void make(unsigned side_bits)
{
    database_begin(&file, side_bits);
    database_network(&file, "127.0.0.0", 8, "BR");
    database_network(&file, "192.0.2.4", 32, "DE");
    database_network(&file, "192.0.2.5", 32, "us");
    database_network(&file, "2001:db8::", 32, "FR");
    database_network(&file, "2001:db9::1", 128, "PT");
}

START_TEST(each_network_is_in_its_country_and_nothing_beside_it)
{
    make(side_sizes[_i]);
    ck_assert_msg(builds(database_file(&file)), "%s", why.text);
    ck_assert_uint_eq(count, 5);
    ck_assert_str_eq(country_of("127.255.255.255"), "BR");
    ck_assert_str_eq(country_of("126.255.255.255"), "");
    ck_assert_str_eq(country_of("192.0.2.4"), "DE");
    ck_assert_str_eq(country_of("192.0.2.5"), "US");
    ck_assert_str_eq(country_of("192.0.2.6"), "");
    ck_assert_str_eq(country_of("2001:db8:ffff::"), "FR");
    ck_assert_str_eq(country_of("2001:db9::1"), "PT");
    ck_assert_str_eq(country_of("2001:db9::"), "");
    ck_assert_str_eq(country_of("::ffff:192.0.2.4"), "DE");
}
END_TEST

START_TEST(a_file_of_v4_alone_knows_no_v6)
{
    database_begin(&file, 24);
    file.is_v4 = true;
    database_network(&file, "192.0.2.0", 24, "DE");
    ck_assert_msg(builds(database_file(&file)), "%s", why.text);
    ck_assert_str_eq(country_of("192.0.2.200"), "DE");
    ck_assert_str_eq(country_of("192.0.3.0"), "");
    ck_assert_str_eq(country_of("2001:db8::1"), "");
}
END_TEST

START_TEST(a_leaf_above_v4_is_that_of_all_v4)
{
    database_begin(&file, 24);
    database_network(&file, "::", 64, "SE");
    ck_assert_msg(builds(database_file(&file)), "%s", why.text);
    ck_assert_str_eq(country_of("192.0.2.200"), "SE");
}
END_TEST

/* MaxMind's example is a base of the army abroad; 192.0.2.4 has neither, as an anycast address. */
START_TEST(where_there_is_no_country_the_registered_one_counts)
{
    static const char both[] = "\xe2\x52registered_country\xe1\x48iso_code\x42US"
                               "\x47"
                               "country\xe1\x48iso_code\x42"
                               "DE";
    static const char empty[] = "\xe2\x47"
                                "country\xe0"
                                "\x52registered_country\xe1\x48iso_code\x42US";
    database_begin(&file, 24);
    database_lead(&file, "192.0.2.1", 32, database_country(&file, "registered_country", "US"));
    database_lead(&file, "192.0.2.2", 32, database_add(&file, both, sizeof both - 1));
    database_lead(&file, "192.0.2.3", 32, database_add(&file, empty, sizeof empty - 1));
    database_lead(&file, "192.0.2.4", 32, database_country(&file, "continent", "EU"));
    database_lead(&file, "192.0.2.5", 32, database_country(&file, "country", "4X"));
    database_lead(&file, "192.0.2.6", 32, database_country(&file, "country", "ZZ"));
    ck_assert_msg(builds(database_file(&file)), "%s", why.text);
    ck_assert_str_eq(country_of("192.0.2.1"), "US");
    ck_assert_str_eq(country_of("192.0.2.2"), "DE");
    ck_assert_str_eq(country_of("192.0.2.3"), "US");
    ck_assert_str_eq(country_of("192.0.2.4"), "");
    ck_assert_str_eq(country_of("192.0.2.6"), "");
    ck_assert_uint_eq(count, 3);
}
END_TEST

/* All types, in front of what is looked for; and names and values as pointers of each size. */
START_TEST(whatever_else_a_record_holds_is_passed_over)
{
    static const char all[] = "\xe9"
                              "\x41"
                              "a\x68\1\2\3\4\5\6\7\x8" /* double */
                              "\x41"
                              "b\x82xy" /* octets */
                              "\x41"
                              "c\x4\x1\1\2\3\4" /* int32 */
                              "\x41"
                              "d\x2\x2\1\2" /* uint64 */
                              "\x41"
                              "e\x0\x3" /* uint128 */
                              "\x41"
                              "f\x2\x4\xe1\x41g\x41h\xa0" /* array: a map, a number */
                              "\x41"
                              "i\x1\x7" /* true */
                              "\x41"
                              "j\x4\x8\1\2\3\4" /* float */
                              "\x47"
                              "country\xe1\x48iso_code\x42"
                              "BR";
    char far[4096] = "\x5d\xb3"; /* a text of 208 octets, and more */
    database_begin(&file, 24);
    int name = database_add(&file,
                            "\x47"
                            "country",
                            8);
    int value = database_add(&file,
                             "\xe1\x48iso_code\x42"
                             "DE",
                             13);
    char near[] = {'\xe1', '\x20', (char)name, '\x20', (char)value};
    database_lead(&file, "192.0.2.1", 32, database_add(&file, all, sizeof all - 1));
    database_lead(&file, "192.0.2.2", 32, database_add(&file, near, sizeof near));
    (void)database_add(&file, far, sizeof far);
    int distant = database_add(&file,
                               "\xe1\x48iso_code\x42"
                               "PT",
                               13);
    char middle[] = {
        '\xe1', '\x20', (char)name, '\x28', (char)((distant - 2048) >> 8), (char)(distant - 2048)};
    char whole[] = {'\xe1', '\x20', (char)name, '\x38', 0, 0, (char)(distant >> 8), (char)distant};
    database_lead(&file, "192.0.2.3", 32, database_add(&file, middle, sizeof middle));
    database_lead(&file, "192.0.2.4", 32, database_add(&file, whole, sizeof whole));
    ck_assert_msg(builds(database_file(&file)), "%s", why.text);
    ck_assert_str_eq(country_of("192.0.2.1"), "BR");
    ck_assert_str_eq(country_of("192.0.2.2"), "DE");
    ck_assert_str_eq(country_of("192.0.2.3"), "PT");
    ck_assert_str_eq(country_of("192.0.2.4"), "PT");
}
END_TEST

/* ---- hostile ---- */

START_TEST(a_file_that_is_cut_short_is_refused)
{
    make(28);
    struct span whole = database_file(&file);
    for (size_t cut = 0; cut < whole.size; cut++) {
        char *exactly = malloc(cut + 1);
        memcpy(exactly, whole.data, cut);
        ck_assert_msg(!builds(span_make(exactly, cut)), "at %zu", cut);
        free(exactly);
    }
}
END_TEST

/* Each octet in turn is any other: it is refused, or leads to something that looks like a country.
 */
START_TEST(a_spoiled_octet_leads_nowhere_else)
{
    database_begin(&file, 28);
    file.is_v4 = true;
    database_network(&file, "192.0.0.0", 8, "DE");
    database_network(&file, "10.0.0.0", 8, "PT");
    struct span whole = database_file(&file);
    char *exactly = malloc(whole.size);
    memcpy(exactly, whole.data, whole.size);
    for (size_t i = 0; i < whole.size; i++)
        for (unsigned octet = 0; octet < 256; octet++) {
            exactly[i] = (char)octet;
            for (const char *const *host = (const char *const[]){"192.0.2.4", "10.0.0.1", NULL};
                 builds(span_make(exactly, whole.size)) && *host != NULL; host++)
                ck_assert(strlen(country_of(*host)) % 2 == 0);
            exactly[i] = whole.data[i];
        }
    free(exactly);
}
END_TEST

/* MaxMind's own library recursed. */
START_TEST(maps_within_maps_without_an_end_are_refused)
{
    database_begin(&file, 24);
    int record = database_add(&file, "\xe2\x41x", 3);
    for (int i = 0; i < 9000; i++)
        (void)database_add(&file, "\xe1\x41x", 3);
    (void)database_add(&file,
                       "\x41x\x47"
                       "country\xe1\x48iso_code\x42"
                       "BR",
                       23);
    database_lead(&file, "192.0.2.1", 32, record);
    is_refused(database_file(&file), "is spoiled: a record");
}
END_TEST

static const char *const wrong_records[] = {
    "\xe1\x47"
    "country\xe1\x48iso_code\x5c"
    "BR", /* longer than the file */
    "\xe1\x47"
    "country\xe1\x48iso_code\x20\x13", /* a pointer to the pointer itself */
    "\xe1\x47"
    "country\x3f\xff\xff\xff\xff", /* a pointer behind the end */
    "\xe1\x41"
    "a\xfe\xff\xff", /* many pairs, and none there */
    "\xe1\xa1\x01"
    "a", /* a name that is no text */
};

START_TEST(a_record_that_is_spoiled_is_refused)
{
    database_begin(&file, 24);
    database_lead(&file, "192.0.2.1", 32,
                  database_add(&file, wrong_records[_i], strlen(wrong_records[_i])));
    is_refused(database_file(&file), "is spoiled: a record");
}
END_TEST

START_TEST(a_leaf_between_tree_and_records_is_refused)
{
    make(24);
    file.sides[0][1] = SIDE_RECORD - 1;
    struct span octets = database_file(&file);
    file.octets[5] = (char)(file.nodes + 1);
    file.octets[4] = (char)((file.nodes + 1) >> 8);
    file.octets[3] = 0;
    is_refused(octets, "is spoiled: a record");
}
END_TEST

START_TEST(a_tree_that_goes_in_circles_has_an_end)
{
    make(24);
    file.sides[0][1] = 0;
    ck_assert_msg(builds(database_file(&file)), "%s", why.text);
    ck_assert_str_eq(country_of("ffff::"), "");
}
END_TEST

START_TEST(what_is_no_database_of_countries_is_refused)
{
    is_refused(span_of(""), "is no MaxMind database");
    is_refused(span_of("192.0.2.0/24,BR\n"), "is no MaxMind database");
    database_begin(&file, 24);
    is_refused(database_file(&file), "has no countries; take a database of countries");
    database_network(&file, "192.0.2.4", 32, "DE");
    file.side_bits = 20;
    is_refused(database_file(&file), "its description doesn't fit it");
}
END_TEST

START_TEST(a_table_that_is_spoiled_or_missing_knows_no_country)
{
    make(24);
    ck_assert(builds(database_file(&file)));
    for (size_t cut = 0; cut < size; cut++) {
        char country[COUNTRY_SIZE], *exactly = malloc(cut + 1);
        struct address a;
        memcpy(exactly, table, cut);
        ck_assert_int_eq(address_make("2001:db9::1", 25, &a), 0);
        countries_find(span_make(exactly, cut), &a, country);
        ck_assert(country[0] == '\0' || strcmp(country, "PT") == 0);
        free(exactly);
    }
}
END_TEST

START_TEST(without_memory_there_is_no_table)
{
    make(24);
    struct span octets = database_file(&file);
    WITH_EACH_ALLOCATION_FAILING({
        free(table);
        table = countries_build(octets, &size, &count, &why);
        if (failing_has_failed()) {
            ck_assert_ptr_null(table);
            ck_assert_str_eq(why.text, "out of memory");
        }
    });
    ck_assert_str_eq(country_of("192.0.2.4"), "DE");
}
END_TEST

/* ---- codes ---- */

START_TEST(a_country_is_one_of_iso_3166)
{
    char code[] = "..";
    int found = 0;
    for (code[0] = 'A'; code[0] <= 'Z'; code[0]++)
        for (code[1] = 'A'; code[1] <= 'Z'; code[1]++)
            found += country_check(code, &why) == 0;
    ck_assert_int_eq(found, 249 + 1); /* and Kosovo */
    for (const char *const *good = (const char *const[]){"BR", "br", "ZW", "XK", NULL};
         *good != NULL; good++)
        ck_assert_msg(country_check(*good, &why) == 0, "%s", *good);
    for (const char *const *bad =
             (const char *const[]){"", "B", "BRA", "D ", "R ", " A", "XX", "Brazil", NULL};
         *bad != NULL; bad++) {
        ck_assert_msg(country_check(*bad, &why) == -1, "%s", *bad);
        ck_assert_ptr_nonnull(strstr(why.text, "two letters of ISO 3166"));
    }
    ck_assert_int_eq(country_check("UK", &why), -1);
    ck_assert_ptr_nonnull(strstr(why.text, "write \"GB\""));
}
END_TEST

SUITE(country)
{
    LOOP_TEST(each_network_is_in_its_country_and_nothing_beside_it, side_sizes);
    TEST(a_file_of_v4_alone_knows_no_v6);
    TEST(a_leaf_above_v4_is_that_of_all_v4);
    TEST(where_there_is_no_country_the_registered_one_counts);
    TEST(whatever_else_a_record_holds_is_passed_over);
    TEST(a_file_that_is_cut_short_is_refused);
    TEST(a_spoiled_octet_leads_nowhere_else);
    TEST(maps_within_maps_without_an_end_are_refused);
    LOOP_TEST(a_record_that_is_spoiled_is_refused, wrong_records);
    TEST(a_leaf_between_tree_and_records_is_refused);
    TEST(a_tree_that_goes_in_circles_has_an_end);
    TEST(what_is_no_database_of_countries_is_refused);
    TEST(a_table_that_is_spoiled_or_missing_knows_no_country);
    TEST(without_memory_there_is_no_table);
    TEST(a_country_is_one_of_iso_3166);
}
