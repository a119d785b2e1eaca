#include "base/error.h"

#include "support/test.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct shown {
    size_t count;
    enum finding kinds[300];
    char texts[300][64];
};

static void show(void *owner, enum finding kind, const char *text)
{
    struct shown *s = owner;
    ck_assert_uint_lt(s->count, sizeof s->kinds / sizeof *s->kinds);
    s->kinds[s->count] = kind;
    (void)snprintf(s->texts[s->count++], sizeof *s->texts, "%s", text); /* cut to fit */
}

START_TEST(a_reason_is_written_and_fails_in_one_line)
{
    struct error why;
    ck_assert_int_eq(error_set(&why, "%s:%d: %s", "porteiro.conf", 31, "denied"), -1);
    ck_assert_str_eq(why.text, "porteiro.conf:31: denied");
}
END_TEST

START_TEST(a_reason_that_nobody_wants_still_fails)
{
    ck_assert_int_eq(error_set(NULL, "%s", "x"), -1);
    ck_assert_int_eq(error_prefix(NULL, "%s", "x"), -1);
}
END_TEST

START_TEST(a_long_reason_is_cut_to_fit)
{
    struct error why;
    ck_assert_int_eq(error_set(&why, "%*s", 5000, "x"), -1);
    ck_assert_uint_eq(strlen(why.text), sizeof why.text - 1);
}
END_TEST

START_TEST(a_prefix_stands_before_the_reason)
{
    struct error why;
    (void)error_set(&why, "permission denied"); /* -1 always */
    ck_assert_int_eq(error_prefix(&why, "listeners.%s.bind", "smtp"), -1);
    ck_assert_str_eq(why.text, "listeners.smtp.bind: permission denied");
}
END_TEST

START_TEST(what_a_prefix_leaves_no_room_for_is_cut)
{
    for (int size = 1010; size < 1030; size++) {
        struct error why;
        (void)error_set(&why, "reason"); /* -1 always */
        ck_assert_int_eq(error_prefix(&why, "%*s", size, "x"), -1);
        char whole[2000];
        (void)snprintf(whole, sizeof whole, "%*s: reason", size, "x"); /* fits */
        whole[sizeof why.text - 1] = '\0';
        ck_assert_str_eq(why.text, whole);
    }
}
END_TEST

START_TEST(a_prefix_may_quote_the_reason)
{
    struct error why;
    (void)error_set(&why, "b"); /* -1 always */
    ck_assert_int_eq(error_prefix(&why, "a %s c", why.text), -1);
    ck_assert_str_eq(why.text, "a b c: b");
}
END_TEST

START_TEST(lines_are_shown_in_the_order_in_which_they_were_added)
{
    static struct shown s;
    struct errors *e = errors_create();
    errors_warn(e, "one %d", 1);
    errors_add(e, "two %d", 2);
    errors_note(e, "three %d", 3);
    errors_add(e, "four %d", 4);
    errors_each(e, show, &s);
    ck_assert_uint_eq(s.count, 4);
    ck_assert(s.kinds[0] == FINDING_WARNING && strcmp(s.texts[0], "one 1") == 0);
    ck_assert(s.kinds[1] == FINDING_ERROR && strcmp(s.texts[1], "two 2") == 0);
    ck_assert(s.kinds[2] == FINDING_NOTE && strcmp(s.texts[2], "three 3") == 0);
    ck_assert(s.kinds[3] == FINDING_ERROR && strcmp(s.texts[3], "four 4") == 0);
    errors_destroy(&e);
}
END_TEST

START_TEST(a_place_is_file_and_line_or_the_file_alone)
{
    char out[PLACE_SIZE];
    const struct place line = {"porteiro.conf", 31}, whole = {"porteiro.conf", 0};
    ck_assert_ptr_eq(place_format(&line, out), out);
    ck_assert_str_eq(out, "porteiro.conf:31");
    ck_assert_str_eq(place_format(&whole, out), "porteiro.conf");
}
END_TEST

START_TEST(a_line_at_a_place_begins_with_it)
{
    static struct shown s;
    const struct place at = {"porteiro.conf", 31};
    struct errors *e = errors_create();
    errors_add_at(e, &at, "%s is unknown", "pink");
    errors_warn_at(e, &at, "odd");
    errors_note_at(e, &at, "by the way");
    errors_each(e, show, &s);
    ck_assert_uint_eq(s.count, 3);
    ck_assert(s.kinds[0] == FINDING_ERROR && s.kinds[1] == FINDING_WARNING);
    ck_assert_str_eq(s.texts[0], "porteiro.conf:31: pink is unknown");
    ck_assert_str_eq(s.texts[1], "porteiro.conf:31: odd");
    ck_assert_str_eq(s.texts[2], "porteiro.conf:31: by the way");
    ck_assert(s.kinds[2] == FINDING_NOTE);
    ck_assert(errors_count(e) == 1 && warnings_count(e) == 1);
    errors_destroy(&e);
}
END_TEST

START_TEST(what_is_about_a_key_is_told_where_that_stands)
{
    static struct shown s;
    const struct place group = {"porteiro.conf", 31};
    struct place tls = {"more.conf", 7}, bind = {"porteiro.conf", 33};
    struct errors *e = errors_create();
    errors_know(e, "listeners.smtp.tls", &tls);
    errors_know(e, "listeners.smtp.bind", &bind);
    tls = bind = (struct place){"gone", 1}; /* they were copied */
    errors_add_at(e, &group, "listeners.smtp.bind: %s", "*:25: permission denied");
    errors_warn_at(e, &group, "listeners.smtp.tls: odd");
    errors_note_at(e, &group, "listeners.smtp.bi: no key");
    errors_note_at(e, &group, "listeners.smtp.binds: another");
    errors_note_at(e, &group, "listeners.smtp.bind is said without a colon");
    errors_note(e, "listeners.smtp.bind: of no place");
    errors_each(e, show, &s);
    ck_assert_str_eq(s.texts[0], "porteiro.conf:33: listeners.smtp.bind: *:25: permission denied");
    ck_assert_str_eq(s.texts[1], "more.conf:7: listeners.smtp.tls: odd");
    ck_assert_str_eq(s.texts[2], "porteiro.conf:31: listeners.smtp.bi: no key");
    ck_assert_str_eq(s.texts[3], "porteiro.conf:31: listeners.smtp.binds: another");
    ck_assert_str_eq(s.texts[4], "porteiro.conf:31: listeners.smtp.bind is said without a colon");
    ck_assert_str_eq(s.texts[5], "listeners.smtp.bind: of no place");
    errors_destroy(&e);
}
END_TEST

START_TEST(a_note_is_neither_an_error_nor_a_warning)
{
    struct errors *e = errors_create();
    errors_note(e, "by the way");
    ck_assert_uint_eq(errors_count(e), 0);
    ck_assert_uint_eq(warnings_count(e), 0);
    errors_add(e, "wrong");
    errors_add(e, "wrong");
    errors_warn(e, "odd");
    ck_assert_uint_eq(errors_count(e), 2);
    ck_assert_uint_eq(warnings_count(e), 1);
    errors_destroy(&e);
}
END_TEST

START_TEST(past_200_lines_only_counts_go_on)
{
    static struct shown s;
    struct errors *e = errors_create();
    for (int i = 0; i < 150; i++) {
        errors_add(e, "error %d", i);
        errors_warn(e, "warning %d", i);
    }
    errors_each(e, show, &s);
    ck_assert_uint_eq(s.count, 200);
    ck_assert_str_eq(s.texts[199], "warning 99");
    ck_assert_uint_eq(errors_count(e), 150);
    ck_assert_uint_eq(warnings_count(e), 150);
    errors_destroy(&e);
}
END_TEST

START_TEST(destroying_leaves_null)
{
    struct errors *e = errors_create();
    errors_add(e, "wrong");
    errors_destroy(&e);
    ck_assert_ptr_null(e);
    errors_destroy(&e);
}
END_TEST

SUITE(error)
{
    TEST(a_reason_is_written_and_fails_in_one_line);
    TEST(a_reason_that_nobody_wants_still_fails);
    TEST(a_long_reason_is_cut_to_fit);
    TEST(a_prefix_stands_before_the_reason);
    TEST(what_a_prefix_leaves_no_room_for_is_cut);
    TEST(a_prefix_may_quote_the_reason);
    TEST(lines_are_shown_in_the_order_in_which_they_were_added);
    TEST(a_place_is_file_and_line_or_the_file_alone);
    TEST(a_line_at_a_place_begins_with_it);
    TEST(what_is_about_a_key_is_told_where_that_stands);
    TEST(a_note_is_neither_an_error_nor_a_warning);
    TEST(past_200_lines_only_counts_go_on);
    TEST(destroying_leaves_null);
}
