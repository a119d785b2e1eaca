#include "base/setting.h"

#include "support/test.h"

#include <inttypes.h>
#include <stdio.h>

struct house {
    const char *name, *key;
    int colour;
    int64_t floors, depth, pause_ms, room;
    bool is_open;
    struct text_list guests, flag;
};

static const char *const colours[] = {"red", "green", "blue", NULL};

static int check_name(const char *text, struct error *why)
{
    return strchr(text, ' ') == NULL ? 0 : error_set(why, "\"%s\" has a space", text);
}

enum { NAME, KEY, COLOUR, FLOORS, DEPTH, PAUSE, ROOM, OPEN, GUESTS, ANYBODY, FLAG, SETTINGS };

static const struct setting settings[SETTINGS] = {
    [NAME] = {"name", SETTING_TEXT, offsetof(struct house, name), .preset = "Casa",
              .check = check_name},
    [KEY] = {"key", SETTING_SECRET, offsetof(struct house, key), .preset = ""},
    [COLOUR] = {"colour", SETTING_CHOICE, offsetof(struct house, colour), .preset = "green",
                .choices = colours},
    [FLOORS] = {"floors", SETTING_INTEGER, offsetof(struct house, floors), .preset = "2", .min = 1,
                .max = 100},
    [DEPTH] = {"depth", SETTING_INTEGER, offsetof(struct house, depth), .preset = "0", .min = -10,
               .max = 10},
    [PAUSE] = {"pause", SETTING_DURATION, offsetof(struct house, pause_ms), .preset = "5min",
               .min = 1000},
    [ROOM] = {"room", SETTING_SIZE, offsetof(struct house, room), .preset = "50M", .min = 1024,
              .max = 1 << 30},
    [OPEN] = {"open", SETTING_BOOLEAN, offsetof(struct house, is_open), .preset = "true"},
    [GUESTS] = {"guests", SETTING_TEXT_LIST, offsetof(struct house, guests), .preset = "ana rui",
                .min = 1, .max = 3, .check = check_name},
    [ANYBODY] = {"anybody", SETTING_TEXT_LIST, offsetof(struct house, guests), .preset = ""},
    [FLAG] = {"flag", SETTING_TEXT_LIST, offsetof(struct house, flag), .preset = "green red",
              .choices = colours},
};

static struct value of_text(const char *text)
{
    return (struct value){.type = VALUE_TEXT, .text = text};
}

static struct value of_number(int64_t number)
{
    return (struct value){.type = VALUE_NUMBER, .number = number};
}

static struct value of_list(const char **items, size_t count)
{
    return (struct value){.type = VALUE_LIST, .list = {items, count}};
}

static struct house house;
static struct arena *memory;
static struct error why;

static void move_in(void)
{
    house = (struct house){0};
    why.text[0] = '\0';
    memory = arena_create(100000);
}

static void move_out(void)
{
    arena_destroy(&memory);
}

static int store(int which, struct value v)
{
    why.text[0] = '\0';
    return setting_store(&settings[which], &v, &house, memory, &why);
}

static const char *printed(int which)
{
    static char text[1000];
    struct buffer out = {.limit = sizeof text};
    ck_assert_int_eq(setting_print(&settings[which], &house, &out), 0);
    (void)span_copy(buffer_bytes(&out), text, sizeof text); /* fits */
    buffer_clear(&out);
    return text;
}

START_TEST(a_duration_is_digits_and_a_unit)
{
    static const struct {
        const char *text;
        int outcome;
        int64_t ms;
    } cases[] = {
        {"250ms", 0, 250},
        {"30s", 0, 30000},
        {"5min", 0, 300000},
        {"5m", 0, 300000},
        {"1h", 0, 3600000},
        {"2d", 0, 172800000},
        {"0", 0, 0},
        {"0s", 0, 0},
        {"007s", 0, 7000},
        {"", -1, 0},
        {"s", -1, 0},
        {"5", -1, 0},
        {"00", -1, 0},
        {"5 min", -1, 0},
        {" 5min", -1, 0},
        {"5min ", -1, 0},
        {"-5min", -1, 0},
        {"+5min", -1, 0},
        {"1.5h", -1, 0},
        {"1h30min", -1, 0},
        {"5parsecs", -1, 0},
        {"5K", -1, 0},
        {"999999999999d", -1, 0},
        {"1000000000000d", -1, 0},
        {"18446744073709551616ms", -1, 0},
        {"99999999999999999999999999999999s", -1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ms = 0;
        ck_assert_msg(setting_parse_duration(cases[i].text, &ms, &why) == cases[i].outcome &&
                          ms == cases[i].ms,
                      "\"%s\"", cases[i].text);
    }
}
END_TEST

START_TEST(a_size_is_digits_and_perhaps_a_unit)
{
    static const struct {
        const char *text;
        int outcome;
        int64_t bytes;
    } cases[] = {
        {"512", 0, 512},
        {"64K", 0, 65536},
        {"50M", 0, 52428800},
        {"2G", 0, INT64_C(2147483648)},
        {"0", 0, 0},
        {"", -1, 0},
        {"K", -1, 0},
        {"-1", -1, 0},
        {"+1", -1, 0},
        {" 1", -1, 0},
        {"1 ", -1, 0},
        {"1 K", -1, 0},
        {"0x10", -1, 0},
        {"1.5M", -1, 0},
        {"1KM", -1, 0},
        {"5min", -1, 0},
        {"999999999999G", -1, 0},
        {"99999999999999999G", -1, 0},
        {"18446744073709551617", -1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t bytes = 0;
        ck_assert_msg(setting_parse_size(cases[i].text, &bytes, &why) == cases[i].outcome &&
                          bytes == cases[i].bytes,
                      "\"%s\"", cases[i].text);
    }
}
END_TEST

START_TEST(a_refusal_says_what_stands_there_and_what_would_do)
{
    int64_t ignored;
    ck_assert_int_eq(setting_parse_duration("5 parsecs", &ignored, &why), -1);
    ck_assert(strstr(why.text, "\"5 parsecs\"") != NULL && strstr(why.text, "\"5min\"") != NULL);
    ck_assert_int_eq(setting_parse_size("5 acres", &ignored, &why), -1);
    ck_assert(strstr(why.text, "\"5 acres\"") != NULL && strstr(why.text, "\"50M\"") != NULL);
    ck_assert_int_eq(store(COLOUR, of_text("pink")), -1);
    ck_assert(strstr(why.text, "\"pink\"") != NULL && strstr(why.text, "\"red\"") != NULL &&
              strstr(why.text, "\"green\"") != NULL && strstr(why.text, "\"blue\"") != NULL);
    ck_assert_int_eq(store(FLOORS, of_number(101)), -1);
    ck_assert(strstr(why.text, "101") != NULL && strstr(why.text, "1 to 100") != NULL);
    ck_assert_int_eq(store(PAUSE, of_text("250ms")), -1);
    ck_assert(strstr(why.text, "250ms") != NULL && strstr(why.text, "1s") != NULL);
    ck_assert_int_eq(store(ROOM, of_text("2G")), -1);
    ck_assert(strstr(why.text, "2G") != NULL && strstr(why.text, "1K to 1G") != NULL);
    ck_assert_int_eq(store(NAME, of_text("two words")), -1);
    ck_assert_str_eq(why.text, "\"two words\" has a space");
}
END_TEST

START_TEST(a_value_of_another_kind_is_refused_with_a_reason)
{
    const char *items[] = {"ana"};
    const struct value values[] = {
        [VALUE_TEXT] = of_text("seven"),
        [VALUE_NUMBER] = of_number(7),
        [VALUE_BOOLEAN] = {.type = VALUE_BOOLEAN, .number = 1},
        [VALUE_LIST] = of_list(items, 1),
        [VALUE_OTHER] = {.type = VALUE_OTHER},
    };
    static const struct {
        int which;
        bool takes[5]; /* by type; "seven" and 7 as such */
    } cases[] = {
        {NAME, {[VALUE_TEXT] = true}},
        {KEY, {[VALUE_TEXT] = true}},
        {COLOUR, {false}},
        {FLOORS, {[VALUE_NUMBER] = true}},
        {PAUSE, {false}},
        {ROOM, {false}},
        {OPEN, {[VALUE_BOOLEAN] = true}},
        {GUESTS, {[VALUE_LIST] = true}},
        {ANYBODY, {[VALUE_LIST] = true}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int type = VALUE_TEXT; type <= VALUE_OTHER; type++) {
            int outcome = store(cases[i].which, values[type]);
            ck_assert_msg(outcome == (cases[i].takes[type] ? 0 : -1), "%s, type %d",
                          settings[cases[i].which].name, type);
            ck_assert(outcome == 0 || why.text[0] != '\0');
        }
}
END_TEST

START_TEST(each_item_of_a_list_of_choices_is_one_of_them)
{
    const char *items[] = {"blue", "red", "pink"};
    ck_assert_int_eq(store(FLAG, of_list(items, 2)), 0);
    ck_assert_uint_eq(house.flag.count, 2);
    ck_assert_str_eq(house.flag.items[0], "blue");
    ck_assert_int_eq(store(FLAG, of_list(items, 3)), -1);
    ck_assert_str_eq(why.text, "\"pink\" is unknown here; write \"red\" or \"green\" or \"blue\"");
}
END_TEST

START_TEST(a_text_is_kept_as_a_copy)
{
    char text[] = "Lar";
    ck_assert_int_eq(store(NAME, of_text(text)), 0);
    text[0] = 'x';
    ck_assert_str_eq(house.name, "Lar");
}
END_TEST

START_TEST(a_choice_is_its_index)
{
    for (int i = 0; colours[i] != NULL; i++) {
        ck_assert_int_eq(store(COLOUR, of_text(colours[i])), 0);
        ck_assert_int_eq(house.colour, i);
    }
    ck_assert_int_eq(store(COLOUR, of_text("re")), -1);
    ck_assert_int_eq(store(COLOUR, of_text("")), -1);
}
END_TEST

START_TEST(numbers_within_their_bounds_are_stored)
{
    static const struct {
        int64_t number;
        int outcome;
    } cases[] = {{0, -1}, {1, 0}, {100, 0}, {101, -1}, {-1, -1}, {INT64_MAX, -1}, {INT64_MIN, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq(store(FLOORS, of_number(cases[i].number)), cases[i].outcome);
        if (cases[i].outcome == 0)
            ck_assert_int_eq(house.floors, cases[i].number);
    }
}
END_TEST

START_TEST(a_maximum_of_zero_is_no_bound)
{
    ck_assert_int_eq(store(PAUSE, of_text("10000000000d")), 0);
    ck_assert_int_eq(house.pause_ms, INT64_C(864000000000000000));
    ck_assert_int_eq(store(PAUSE, of_text("999ms")), -1);
    ck_assert_int_eq(store(PAUSE, of_text("1s")), 0);
}
END_TEST

START_TEST(a_duration_as_a_number_is_zero_alone)
{
    struct setting pause = settings[PAUSE];
    struct value zero = of_number(0), five = of_number(5);
    pause.min = 0;
    house.pause_ms = 1;
    ck_assert_int_eq(setting_store(&pause, &zero, &house, memory, &why), 0);
    ck_assert_int_eq(house.pause_ms, 0);
    ck_assert_int_eq(setting_store(&pause, &five, &house, memory, &why), -1);
}
END_TEST

START_TEST(a_size_is_a_number_or_a_text)
{
    ck_assert_int_eq(store(ROOM, of_number(5000)), 0);
    ck_assert_int_eq(house.room, 5000);
    ck_assert_int_eq(store(ROOM, of_text("64K")), 0);
    ck_assert_int_eq(house.room, 65536);
    ck_assert_int_eq(store(ROOM, of_number(1023)), -1);
}
END_TEST

START_TEST(a_boolean_is_stored)
{
    ck_assert_int_eq(store(OPEN, (struct value){.type = VALUE_BOOLEAN, .number = 1}), 0);
    ck_assert(house.is_open);
    ck_assert_int_eq(store(OPEN, (struct value){.type = VALUE_BOOLEAN, .number = 0}), 0);
    ck_assert(!house.is_open);
}
END_TEST

START_TEST(a_list_is_kept_as_a_copy)
{
    char ana[] = "ana";
    const char *items[] = {ana, "rui", "eva"};
    ck_assert_int_eq(store(GUESTS, of_list(items, 3)), 0);
    ana[0] = 'x';
    items[1] = "x";
    ck_assert_uint_eq(house.guests.count, 3);
    ck_assert_str_eq(house.guests.items[0], "ana");
    ck_assert_str_eq(house.guests.items[1], "rui");
    ck_assert_str_eq(house.guests.items[2], "eva");
}
END_TEST

START_TEST(a_list_has_as_many_items_as_its_bounds_allow)
{
    const char *items[] = {"a", "b", "c", "d"};
    ck_assert_int_eq(store(GUESTS, of_list(items, 0)), -1);
    ck_assert_int_eq(store(GUESTS, of_list(items, 1)), 0);
    ck_assert_int_eq(store(GUESTS, of_list(items, 3)), 0);
    ck_assert_int_eq(store(GUESTS, of_list(items, 4)), -1);
    ck_assert(strstr(why.text, "3") != NULL);
    ck_assert_int_eq(store(ANYBODY, of_list(items, 0)), 0);
    ck_assert_uint_eq(house.guests.count, 0);
}
END_TEST

START_TEST(each_item_of_a_list_is_checked)
{
    const char *items[] = {"ana", "rui costa"};
    ck_assert_int_eq(store(GUESTS, of_list(items, 2)), -1);
    ck_assert_str_eq(why.text, "\"rui costa\" has a space");
}
END_TEST

START_TEST(what_finds_no_memory_is_refused_with_a_reason)
{
    const char *items[] = {"ana", "rui"};
    struct value text = of_text("a-name-that-is-too-long"), list = of_list(items, 2);
    struct arena *small = arena_create(16);
    ck_assert_int_eq(setting_store(&settings[NAME], &text, &house, small, &why), -1);
    ck_assert_str_ne(why.text, "");
    why.text[0] = '\0';
    ck_assert_int_eq(setting_store(&settings[GUESTS], &list, &house, small, &why), -1);
    ck_assert_str_ne(why.text, "");
    arena_destroy(&small);
}
END_TEST

START_TEST(defaults_are_parsed_as_the_file_is)
{
    for (int i = 0; i < SETTINGS; i++)
        if (i != ANYBODY)
            setting_store_preset(&settings[i], &house, memory);
    ck_assert_str_eq(house.name, "Casa");
    ck_assert_str_eq(house.key, "");
    ck_assert_int_eq(house.colour, 1);
    ck_assert_int_eq(house.floors, 2);
    ck_assert_int_eq(house.pause_ms, 300000);
    ck_assert_int_eq(house.room, 52428800);
    ck_assert(house.is_open);
    ck_assert_uint_eq(house.guests.count, 2);
    ck_assert_str_eq(house.guests.items[0], "ana");
    ck_assert_str_eq(house.guests.items[1], "rui");
}
END_TEST

START_TEST(an_empty_default_of_a_list_is_an_empty_list)
{
    setting_store_preset(&settings[ANYBODY], &house, memory);
    ck_assert_uint_eq(house.guests.count, 0);
}
END_TEST

START_TEST(a_text_is_printed_with_what_libconfig_wants_escaped)
{
    static const struct {
        const char *text, *printed;
    } cases[] = {
        {"Casa", "\"Casa\""},
        {"", "\"\""},
        {"a\"b", "\"a\\\"b\""},
        {"a\\b", "\"a\\\\b\""},
        {"a\nb", "\"a\\x0ab\""},
        {"\x01\x1f\x7f", "\"\\x01\\x1f\\x7f\""},
        {"caf\xc3\xa9", "\"caf\xc3\xa9\""},
        {"100%s", "\"100%s\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        house.name = cases[i].text;
        ck_assert_str_eq(printed(NAME), cases[i].printed);
    }
}
END_TEST

START_TEST(a_secret_is_never_printed)
{
    house.key = "hunter2";
    ck_assert_str_eq(printed(KEY), "\"***\"");
    house.key = "";
    ck_assert_str_eq(printed(KEY), "\"\"");
}
END_TEST

START_TEST(choices_and_booleans_are_printed_by_name)
{
    house.colour = 2;
    ck_assert_str_eq(printed(COLOUR), "\"blue\"");
    house.is_open = true;
    ck_assert_str_eq(printed(OPEN), "true");
    house.is_open = false;
    ck_assert_str_eq(printed(OPEN), "false");
}
END_TEST

START_TEST(numbers_are_printed_in_their_largest_whole_unit)
{
    static const struct {
        int64_t ms;
        const char *printed;
    } durations[] = {
        {0, "0"},
        {250, "\"250ms\""},
        {1000, "\"1s\""},
        {90000, "\"90s\""},
        {300000, "\"5min\""},
        {3600000, "\"1h\""},
        {86400000, "\"1d\""},
        {90000000, "\"25h\""},
        {60001, "\"60001ms\""},
    };
    static const struct {
        int64_t bytes;
        const char *printed;
    } sizes[] = {
        {0, "0"},
        {512, "512"},
        {1000, "1000"},
        {1024, "\"1K\""},
        {52428800, "\"50M\""},
        {INT64_C(2147483648), "\"2G\""},
        {1025, "1025"},
        {1025 * 1024, "\"1025K\""},
    };
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        house.pause_ms = durations[i].ms;
        ck_assert_str_eq(printed(PAUSE), durations[i].printed);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        house.room = sizes[i].bytes;
        ck_assert_str_eq(printed(ROOM), sizes[i].printed);
    }
    house.floors = 1024;
    ck_assert_str_eq(printed(FLOORS), "1024");
}
END_TEST

START_TEST(a_negative_number_is_printed_without_quotes)
{
    ck_assert_int_eq(store(DEPTH, of_number(-5)), 0);
    ck_assert_str_eq(printed(DEPTH), "-5");
}
END_TEST

START_TEST(a_list_is_printed_item_by_item)
{
    const char *items[] = {"ana", "ru\"i"};
    house.guests = (struct text_list){items, 2};
    ck_assert_str_eq(printed(GUESTS), "[\"ana\", \"ru\\\"i\"]");
    house.guests.count = 0;
    ck_assert_str_eq(printed(GUESTS), "[]");
}
END_TEST

START_TEST(a_printed_number_is_read_back)
{
    for (int64_t number = 1000; number < INT64_C(1000000000000); number += number / 7 + 1) {
        char text[64];
        int64_t back;
        house.pause_ms = house.room = number / 1000 * 1000;
        (void)snprintf(text, sizeof text, "%s", printed(PAUSE) + 1); /* fits */
        text[strlen(text) - 1] = '\0';
        ck_assert_int_eq(setting_parse_duration(text, &back, &why), 0);
        ck_assert_int_eq(back, house.pause_ms);
        (void)snprintf(text, sizeof text, "%s", printed(ROOM)); /* fits */
        struct span digits = span_of(text);
        if (text[0] == '"')
            digits = span_make(text + 1, digits.size - 2);
        text[digits.data - text + (ptrdiff_t)digits.size] = '\0';
        ck_assert_int_eq(setting_parse_size(digits.data, &back, &why), 0);
        ck_assert_int_eq(back, house.room);
    }
}
END_TEST

START_TEST(what_finds_no_room_is_not_printed)
{
    const char *items[] = {"ana", "rui"};
    house = (struct house){.name = "Casa", .key = "hunter2", .floors = 42, .guests = {items, 2}};
    for (int i = 0; i < SETTINGS; i++) {
        struct buffer out = {.limit = 0};
        ck_assert_msg(setting_print(&settings[i], &house, &out) == -1, "%s", settings[i].name);
        buffer_clear(&out);
    }
}
END_TEST

SUITE(setting)
{
    tcase_add_checked_fixture(tests, move_in, move_out);
    TEST(a_duration_is_digits_and_a_unit);
    TEST(a_size_is_digits_and_perhaps_a_unit);
    TEST(a_refusal_says_what_stands_there_and_what_would_do);
    TEST(a_value_of_another_kind_is_refused_with_a_reason);
    TEST(each_item_of_a_list_of_choices_is_one_of_them);
    TEST(a_text_is_kept_as_a_copy);
    TEST(a_choice_is_its_index);
    TEST(numbers_within_their_bounds_are_stored);
    TEST(a_maximum_of_zero_is_no_bound);
    TEST(a_duration_as_a_number_is_zero_alone);
    TEST(a_size_is_a_number_or_a_text);
    TEST(a_boolean_is_stored);
    TEST(a_list_is_kept_as_a_copy);
    TEST(a_list_has_as_many_items_as_its_bounds_allow);
    TEST(each_item_of_a_list_is_checked);
    TEST(what_finds_no_memory_is_refused_with_a_reason);
    TEST(defaults_are_parsed_as_the_file_is);
    TEST(an_empty_default_of_a_list_is_an_empty_list);
    TEST(a_text_is_printed_with_what_libconfig_wants_escaped);
    TEST(a_secret_is_never_printed);
    TEST(choices_and_booleans_are_printed_by_name);
    TEST(numbers_are_printed_in_their_largest_whole_unit);
    TEST(a_negative_number_is_printed_without_quotes);
    TEST(a_list_is_printed_item_by_item);
    TEST(a_printed_number_is_read_back);
    TEST(what_finds_no_room_is_not_printed);
}
