#include "policy/posix_zone.h"

#include "policy/calendar.h"

enum { HOUR = 3600, DAY = 86400, OFFSET_HOURS = 24, RULE_HOURS = 167 };

/* When the clocks are changed: on a day of the year, or of a week of a month. */
struct change {
    enum { DAY_WITHOUT_LEAP, DAY_OF_YEAR, DAY_OF_MONTH } kind;
    int month, week, day;
    int32_t time_s; /* by the clock before the change */
};

struct rules {
    int32_t standard_s, summer_s;
    bool has_summer;
    struct change begin, end;
};

/* ---- the text ---- */

static bool take_char(struct span *s, char c)
{
    bool is_there = s->size > 0 && s->data[0] == c;
    if (is_there)
        span_skip(s, 1);
    return is_there;
}

/* Digits; -1: there are none, or it is more than `max`. */
static int take_number(struct span *s, int max)
{
    size_t digits = 0;
    uint64_t number;
    while (digits < s->size && ascii_is_digit(s->data[digits]))
        digits++;
    if (span_number(span_take(s, digits), (uint64_t)max, &number) < 0)
        return -1;
    return (int)number;
}

/* "<+0330>", or letters. */
static int take_name(struct span *s)
{
    bool is_quoted = take_char(s, '<');
    size_t size = 0;
    while (size < s->size &&
           (is_quoted
                ? ascii_is_alnum(s->data[size]) || s->data[size] == '+' || s->data[size] == '-'
                : ascii_is_alnum(s->data[size]) && !ascii_is_digit(s->data[size])))
        size++;
    span_skip(s, size);
    return size >= 3 && (!is_quoted || take_char(s, '>')) ? 0 : -1;
}

/* [+-]hh[:mm[:ss]] */
static int take_time(struct span *s, int hours_max, int32_t *out)
{
    bool is_negative = take_char(s, '-');
    int part[3] = {0, 0, 0};
    if (!is_negative)
        (void)take_char(s, '+'); /* may stand there */
    for (int i = 0; i < 3 && (i == 0 || take_char(s, ':')); i++)
        if ((part[i] = take_number(s, i == 0 ? hours_max : 59)) < 0)
            return -1;
    *out = (part[0] * HOUR + part[1] * 60 + part[2]) * (is_negative ? -1 : 1);
    return 0;
}

/* Mm.w.d */
static int take_day_of_month(struct span *s, struct change *c)
{
    c->kind = DAY_OF_MONTH;
    c->month = take_number(s, 12);
    c->week = take_char(s, '.') ? take_number(s, 5) : -1;
    c->day = take_char(s, '.') ? take_number(s, 6) : -1;
    return c->month >= 1 && c->week >= 1 && c->day >= 0 ? 0 : -1;
}

/* ,DAY[/TIME] */
static int take_change(struct span *s, struct change *c)
{
    c->time_s = 2 * HOUR;
    if (!take_char(s, ','))
        return -1;
    if (take_char(s, 'M')) {
        if (take_day_of_month(s, c) < 0)
            return -1;
    } else {
        c->kind = take_char(s, 'J') ? DAY_WITHOUT_LEAP : DAY_OF_YEAR;
        c->day = take_number(s, 365);
        if (c->day < (c->kind == DAY_WITHOUT_LEAP))
            return -1;
    }
    return take_char(s, '/') ? take_time(s, RULE_HOURS, &c->time_s) : 0;
}

static int parse(struct span s, struct rules *out)
{
    *out = (struct rules){.has_summer = false};
    if (take_name(&s) < 0 || take_time(&s, OFFSET_HOURS, &out->standard_s) < 0)
        return -1;
    out->standard_s = -out->standard_s; /* west is positive there */
    out->summer_s = out->standard_s + HOUR;
    if (s.size == 0)
        return 0;
    out->has_summer = true;
    if (take_name(&s) < 0)
        return -1;
    if (s.size > 0 && s.data[0] != ',') {
        if (take_time(&s, OFFSET_HOURS, &out->summer_s) < 0)
            return -1;
        out->summer_s = -out->summer_s;
    }
    return take_change(&s, &out->begin) == 0 && take_change(&s, &out->end) == 0 && s.size == 0 ? 0
                                                                                               : -1;
}

/* ---- the calendar ---- */

static int64_t day_of(const struct change *c, int year)
{
    int64_t first = calendar_days(year, c->kind == DAY_OF_MONTH ? c->month : 1, 1);
    if (c->kind == DAY_OF_YEAR)
        return first + c->day;
    if (c->kind == DAY_WITHOUT_LEAP)
        return first + c->day - 1 + (c->day >= 60 && calendar_is_leap(year));
    int weekday = (calendar_weekday(first) + 1) % 7; /* there 0 is Sunday */
    int day = (c->day - weekday + 7) % 7 + (c->week - 1) * 7;
    return first + (day < calendar_month_size(year, c->month) ? day : day - 7);
}

int posix_zone_offset(struct span text, int64_t unix_s, int32_t *offset_s)
{
    struct rules r;
    int64_t latest = INT64_MIN;
    if (parse(text, &r) < 0)
        return -1;
    *offset_s = r.standard_s;
    if (!r.has_summer)
        return 0;
    int year = calendar_wall_time(unix_s, r.standard_s).year;
    /* The last change before, which may be one of the year before; of two at once, as where summer
     * never ends, the later in the order of the year. */
    for (int y = year > 1 ? year - 1 : 1; y <= year + 1 && y <= 9999; y++) {
        int64_t begin = day_of(&r.begin, y) * DAY + r.begin.time_s - r.standard_s;
        int64_t end = day_of(&r.end, y) * DAY + r.end.time_s - r.summer_s;
        if (begin <= unix_s && begin >= latest) {
            latest = begin;
            *offset_s = r.summer_s;
        }
        if (end <= unix_s && end >= latest) {
            latest = end;
            *offset_s = r.standard_s;
        }
    }
    return 0;
}
