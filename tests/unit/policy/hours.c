#include "policy/hours.h"

#include "support/test.h"

enum { MON, TUE, WED, THU, FRI, SAT, SUN };

static const struct {
    const char *hours;
    int weekday;
    const char *time;
    bool hold;
} cases[] = {
    {"Mon-Fri 08:00-18:00", MON, "08:00", true},  {"Mon-Fri 08:00-18:00", MON, "07:59", false},
    {"Mon-Fri 08:00-18:00", FRI, "17:59", true},  {"Mon-Fri 08:00-18:00", FRI, "18:00", false},
    {"Mon-Fri 08:00-18:00", SAT, "12:00", false}, {"mon-FRI 08:00-18:00", WED, "12:00", true},
    {"Sat 09:00-12:00", SAT, "09:30", true},      {"Sat 09:00-12:00", SUN, "09:30", false},
    {"12:00-13:00", SUN, "12:30", true},          {"12:00-13:00", SUN, "13:00", false},
    {"Fri-Mon 08:00-09:00", SUN, "08:00", true},  {"Fri-Mon 08:00-09:00", MON, "08:00", true},
    {"Fri-Mon 08:00-09:00", TUE, "08:00", false}, {"Sun-Sun 08:00-09:00", SUN, "08:00", true},
    {"Sun-Sun 08:00-09:00", MON, "08:00", false}, {"Fri 22:00-06:00", FRI, "21:59", false},
    {"Fri 22:00-06:00", FRI, "22:00", true},      {"Fri 22:00-06:00", SAT, "05:59", true},
    {"Fri 22:00-06:00", SAT, "06:00", false},     {"Fri 22:00-06:00", SAT, "22:30", false},
    {"Fri 22:00-06:00", FRI, "05:00", false},     {"Sun 22:00-06:00", MON, "00:00", true},
    {"Sun 22:00-00:00", SUN, "23:59", true},      {"Sun 22:00-00:00", MON, "00:00", false},
    {"Sun 00:00-24:00", SUN, "23:59", true},      {"Sun 00:00-24:00", MON, "00:00", false},
};

static bool hold(const struct hours_list *list, int weekday, const char *time)
{
    const struct wall_time now = {.weekday = weekday,
                                  .minute = ((time[0] - '0') * 10 + time[1] - '0') * 60 +
                                            (time[3] - '0') * 10 + time[4] - '0'};
    return hours_hold(list, &now);
}

START_TEST(hours_hold_from_their_first_minute_up_to_the_last)
{
    struct hours hours;
    const struct hours_list list = {&hours, 1};
    ck_assert_int_eq(hours_parse(cases[_i].hours, &hours, NULL), 0);
    ck_assert_int_eq(hold(&list, cases[_i].weekday, cases[_i].time), cases[_i].hold);
}
END_TEST

START_TEST(of_several_one_is_enough)
{
    struct hours hours[2];
    const struct hours_list list = {hours, 2}, none = {NULL, 0};
    ck_assert_int_eq(hours_parse("Mon-Fri 08:00-12:00", &hours[0], NULL), 0);
    ck_assert_int_eq(hours_parse("Mon-Fri 13:00-17:00", &hours[1], NULL), 0);
    ck_assert(hold(&list, TUE, "11:00"));
    ck_assert(!hold(&list, TUE, "12:30"));
    ck_assert(hold(&list, TUE, "13:00"));
    ck_assert(!hold(&none, TUE, "13:00"));
}
END_TEST

static const char *const wrong[] = {
    "",
    "Mon",
    "Mon-Fri",
    "Monday 08:00-18:00",
    "Mon-Fri 8:00-18:00",
    "Mon-Fri 08:00",
    "Mon-Fri 08:00-",
    "Mon-Fri 08:00-18:60",
    "Mon-Fri 08:00-24:01",
    "Mon-Fri 25:00-26:00",
    "Mon-Fri  08:00-18:00",
    "Mon-Fri 08:00-18:00 ",
    "Mon-Fri 08:00-18:00-20:00",
    "Mon-Tue-Fri 08:00-18:00",
    "Mon- 08:00-18:00",
    "-Fri 08:00-18:00",
    "Mon,Fri 08:00-18:00",
    "08:00-08:00",
    "24:00-08:00",
    "0x:00-08:00",
};

START_TEST(what_are_no_hours_is_refused_with_what_would_do)
{
    struct error why;
    ck_assert_int_eq(hours_check(wrong[_i], &why), -1);
    ck_assert_msg(strstr(why.text, "00:00-24:00") != NULL ||
                      strstr(why.text, "Mon-Fri 08:00-18:00\"") != NULL,
                  "%s", why.text);
}
END_TEST

SUITE(hours)
{
    LOOP_TEST(hours_hold_from_their_first_minute_up_to_the_last, cases);
    TEST(of_several_one_is_enough);
    LOOP_TEST(what_are_no_hours_is_refused_with_what_would_do, wrong);
}
