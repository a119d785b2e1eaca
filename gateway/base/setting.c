#include "base/setting.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit duration_units[] = {{"ms", 1},        {"s", 1000},    {"min", 60 * 1000},
                                             {"m", 60 * 1000}, {"h", 3600000}, {"d", 24 * 3600000}};
static const struct unit size_units[] = {
    {"", 1}, {"K", 1024}, {"M", 1024 * 1024}, {"G", 1024 * 1024 * 1024}};

enum { MAX_NUMBER_DIGITS = 12 };

/* Digits and a unit, nothing else. */
static int parse_with_unit(const char *text, const struct unit *units, size_t count, int64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t number;
    if (digits > MAX_NUMBER_DIGITS ||
        span_number(span_make(text, digits), UINT64_C(1) << 40, &number) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (strcmp(text + digits, units[i].name) == 0) {
            if (number > (uint64_t)(INT64_MAX / units[i].factor))
                return -1;
            *out = (int64_t)number * units[i].factor;
            return 0;
        }
    return -1;
}

int setting_parse_duration(const char *text, int64_t *ms, struct error *why)
{
    if (strcmp(text, "0") == 0)
        *ms = 0;
    else if (parse_with_unit(text, duration_units, sizeof duration_units / sizeof *duration_units,
                             ms) < 0)
        return error_set(why,
                         "\"%s\" is no time; write \"250ms\", \"30s\", \"5min\", \"1h\" or "
                         "\"2d\"",
                         text);
    return 0;
}

int setting_parse_size(const char *text, int64_t *bytes, struct error *why)
{
    if (parse_with_unit(text, size_units, sizeof size_units / sizeof *size_units, bytes) < 0)
        return error_set(why, "\"%s\" is no size; write 512, \"64K\", \"50M\" or \"2G\"", text);
    return 0;
}

int setting_check_path(const char *path, struct error *why)
{
    return path[0] == '/' ? 0 : error_set(why, "\"%s\" is no absolute path; begin it with /", path);
}

/* A number in the largest unit that leaves no remainder. */
static void format_with_unit(int64_t value, const struct unit *units, size_t count, char *out,
                             size_t room)
{
    const struct unit *best = &units[0];
    for (size_t i = 0; i < count; i++)
        if (value != 0 && value % units[i].factor == 0 && units[i].factor > best->factor)
            best = &units[i];
    (void)snprintf(out, room, "%" PRId64 "%s", value / best->factor, best->name); /* fits */
}

const char *setting_format_duration(int64_t ms, char out[SETTING_DURATION_SIZE])
{
    format_with_unit(ms, duration_units, sizeof duration_units / sizeof *duration_units, out,
                     SETTING_DURATION_SIZE);
    return out;
}

static void format_number(const struct setting *s, int64_t value, char *out, size_t room)
{
    if (s->kind == SETTING_DURATION && value != 0)
        (void)setting_format_duration(value, out); /* all have room for it */
    else if (s->kind == SETTING_SIZE)
        format_with_unit(value, size_units, sizeof size_units / sizeof *size_units, out, room);
    else
        (void)snprintf(out, room, "%" PRId64, value); /* fits */
}

static int in_bounds(const struct setting *s, int64_t value, struct error *why)
{
    char min[32], max[32], is[32];
    if (value >= s->min && (s->max == 0 || value <= s->max))
        return 0;
    format_number(s, value, is, sizeof is);
    format_number(s, s->min, min, sizeof min);
    format_number(s, s->max, max, sizeof max);
    if (s->max == 0)
        return error_set(why, "%s is too small; at least %s", is, min);
    return error_set(why, "%s is out of bounds; from %s to %s", is, min, max);
}

static void *member(const struct setting *s, void *base)
{
    return (char *)base + s->offset;
}

static const void *const_member(const struct setting *s, const void *base)
{
    return (const char *)base + s->offset;
}

/* "one|two|three" for a message. */
static void list_choices(const struct setting *s, char *out, size_t room)
{
    size_t used = 0;
    for (size_t i = 0; s->choices[i] != NULL && used < room; i++)
        used += (size_t)snprintf(out + used, room - used, "%s\"%s\"", i == 0 ? "" : " or ",
                                 s->choices[i]);
}

/* Which of the choices it is, or -1 and what would do. */
static int find_choice(const struct setting *s, const char *text, struct error *why)
{
    char choices[256];
    for (int i = 0; s->choices[i] != NULL; i++)
        if (strcmp(text, s->choices[i]) == 0)
            return i;
    list_choices(s, choices, sizeof choices);
    return error_set(why, "\"%s\" is unknown here; write %s", text, choices);
}

static int store_choice(const struct setting *s, const struct value *v, void *base,
                        struct error *why)
{
    char choices[256];
    list_choices(s, choices, sizeof choices);
    if (v->type != VALUE_TEXT)
        return error_set(why, "must be %s, in quotes", choices);
    int found = find_choice(s, v->text, why);
    if (found < 0)
        return -1;
    *(int *)member(s, base) = found;
    return 0;
}

static int store_number(const struct setting *s, const struct value *v, void *base,
                        struct error *why)
{
    int64_t number;
    if (s->kind == SETTING_DURATION && v->type == VALUE_TEXT) {
        if (setting_parse_duration(v->text, &number, why) < 0)
            return -1;
    } else if (s->kind == SETTING_SIZE && v->type == VALUE_TEXT) {
        if (setting_parse_size(v->text, &number, why) < 0)
            return -1;
    } else if (v->type == VALUE_NUMBER && (s->kind != SETTING_DURATION || v->number == 0)) {
        number = v->number;
    } else if (s->kind == SETTING_DURATION) {
        return error_set(why, "must be a time with its unit, in quotes, as \"30s\" or \"5min\"");
    } else if (s->kind == SETTING_SIZE) {
        return error_set(why, "must be a size, as 512 or \"50M\"");
    } else {
        return error_set(why, "must be a whole number, without quotes");
    }
    if (in_bounds(s, number, why) < 0)
        return -1;
    *(int64_t *)member(s, base) = number;
    return 0;
}

static int store_text(const struct setting *s, const struct value *v, void *base, struct arena *a,
                      struct error *why)
{
    if (v->type != VALUE_TEXT)
        return error_set(why, "must be a text in quotes");
    if (s->is_required && v->text[0] == '\0')
        return error_set(why, "must not be empty; write it as %s", s->example);
    if (s->check != NULL && v->text[0] != '\0' && s->check(v->text, why) < 0)
        return -1;
    char *copy = arena_copy(a, span_of(v->text));
    if (copy == NULL)
        return error_set(why, "the configuration is too large");
    *(const char **)member(s, base) = copy;
    return 0;
}

/* What is wrong of all items, together. Returns 0, or -1. */
static int check_items(const struct setting *s, const struct text_list *items, struct error *why)
{
    int outcome = 0;
    struct error one, before = {.text = ""};
    for (size_t i = 0; i < items->count; i++) {
        if ((s->check == NULL || s->check(items->items[i], &one) == 0) &&
            (s->choices == NULL || find_choice(s, items->items[i], &one) >= 0))
            continue;
        outcome =
            error_set(why, "%s%s%s", before.text, before.text[0] == '\0' ? "" : "; and ", one.text);
        before = *why;
    }
    return outcome;
}

static int store_list(const struct setting *s, const struct value *v, void *base, struct arena *a,
                      struct error *why)
{
    if (v->type != VALUE_LIST)
        return error_set(why, "must be a list of texts, as [\"one\", \"two\"]");
    if ((int64_t)v->list.count < s->min)
        return error_set(why, "must not be empty");
    if (s->max != 0 && (int64_t)v->list.count > s->max)
        return error_set(why, "too many items; at most %" PRId64, s->max);
    struct text_list list = {arena_alloc(a, (v->list.count + 1) * sizeof *list.items),
                             v->list.count};
    if (check_items(s, &v->list, why) < 0)
        return -1;
    for (size_t i = 0; i < v->list.count; i++) {
        if (list.items == NULL ||
            (list.items[i] = arena_copy(a, span_of(v->list.items[i]))) == NULL)
            return error_set(why, "the configuration is too large");
    }
    *(struct text_list *)member(s, base) = list;
    return 0;
}

int setting_store(const struct setting *s, const struct value *v, void *base, struct arena *a,
                  struct error *why)
{
    switch (s->kind) {
    case SETTING_CHOICE: return store_choice(s, v, base, why);
    case SETTING_TEXT:
    case SETTING_SECRET: return store_text(s, v, base, a, why);
    case SETTING_TEXT_LIST: return store_list(s, v, base, a, why);
    case SETTING_INTEGER:
    case SETTING_DURATION:
    case SETTING_SIZE: return store_number(s, v, base, why);
    case SETTING_BOOLEAN:
        if (v->type != VALUE_BOOLEAN)
            return error_set(why, "must be true or false, without quotes");
        *(bool *)member(s, base) = v->number != 0;
        return 0;
    }
    return -1;
}

/* The default of a list: its items, separated by spaces. */
static struct text_list split_preset(const char *preset, struct arena *a)
{
    struct text_list list = {arena_alloc(a, (strlen(preset) + 1) * sizeof *list.items), 0};
    struct span rest = span_of(preset);
    assert(list.items != NULL);
    while (rest.size > 0) {
        char *item = arena_copy(a, span_split(&rest, ' '));
        assert(item != NULL);
        list.items[list.count++] = item;
    }
    return list;
}

void setting_store_preset(const struct setting *s, void *base, struct arena *a)
{
    struct value v = {.type = VALUE_TEXT, .text = s->preset};
    struct setting optional = *s; /* what is required has nothing here */
    struct error why;
    if (s->kind == SETTING_TEXT_LIST) {
        *(struct text_list *)member(s, base) = split_preset(s->preset, a);
        return;
    }
    if (s->kind == SETTING_BOOLEAN) {
        v = (struct value){.type = VALUE_BOOLEAN, .number = strcmp(s->preset, "true") == 0};
    } else if (s->kind == SETTING_INTEGER) {
        uint64_t number = 0;
        int failed = span_number(span_of(s->preset), INT64_MAX, &number);
        assert(!failed);
        v = (struct value){.type = VALUE_NUMBER, .number = (int64_t)number};
    }
    optional.is_required = false;
    int failed = setting_store(&optional, &v, base, a, &why);
    assert(!failed);
}

/* A text in quotes, with what libconfig wants escaped. */
static int print_text(const char *text, struct buffer *out)
{
    int failed = buffer_append(out, span_of("\""));
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            failed |= buffer_printf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            failed |= buffer_printf(out, "\\x%02x", c);
        else
            failed |= buffer_append(out, span_make(text, 1));
    }
    return failed | buffer_append(out, span_of("\""));
}

static int print_number(const struct setting *s, int64_t number, struct buffer *out)
{
    char text[32];
    format_number(s, number, text, sizeof text);
    bool is_plain = text[strspn(text, "-0123456789")] == '\0';
    return buffer_printf(out, is_plain ? "%s" : "\"%s\"", text);
}

int setting_print(const struct setting *s, const void *base, struct buffer *out)
{
    const void *at = const_member(s, base);
    int failed = 0;
    switch (s->kind) {
    case SETTING_TEXT: return print_text(*(const char *const *)at, out);
    case SETTING_CHOICE: return print_text(s->choices[*(const int *)at], out);
    case SETTING_BOOLEAN: return buffer_printf(out, *(const bool *)at ? "true" : "false");
    case SETTING_SECRET: return print_text((*(const char *const *)at)[0] == '\0' ? "" : "***", out);
    case SETTING_INTEGER:
    case SETTING_DURATION:
    case SETTING_SIZE: return print_number(s, *(const int64_t *)at, out);
    case SETTING_TEXT_LIST: break;
    }
    const struct text_list *list = at;
    failed = buffer_append(out, span_of("["));
    for (size_t i = 0; i < list->count; i++) {
        failed |= buffer_append(out, span_of(i == 0 ? "" : ", "));
        failed |= print_text(list->items[i], out);
    }
    return failed | buffer_append(out, span_of("]"));
}
