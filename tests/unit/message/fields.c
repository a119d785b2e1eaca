#include "message/fields.h"

#include "support/test.h"

enum { LIMIT = 4096 };

/* As it would go up. */
static void is_written(const struct fields *f, const char *header)
{
    struct buffer out = {.limit = 4 * LIMIT};
    ck_assert_int_eq(fields_write(f, &out), 0);
    struct span bytes = buffer_bytes(&out);
    ck_assert_msg(span_equals(bytes, header), "%.*s", (int)bytes.size, bytes.data);
    buffer_clear(&out);
}

static struct fields *made(const char *header)
{
    struct fields *f = fields_create(span_of(header), LIMIT);
    ck_assert_ptr_nonnull(f);
    return f;
}

static const char *const untouched[] = {
    "",
    "From: a@example.com\r\n",
    "From: a@example.com\r\nTo: b\r\n\tc\r\n d\r\nSubject:\r\n",
    "From : a\r\nX:y\r\nX:\t z \r\n",
    "..X: dot\r\nX-Folded: a\r\n .b\r\n",
    "X-Eight: \xc3\xa9\r\nX-Blank:\r\n \r\n\t\r\nTo: a\r\n",
};

START_TEST(what_nobody_edits_comes_out_octet_for_octet)
{
    struct fields *f = made(untouched[_i]);
    is_written(f, untouched[_i]);
    fields_destroy(&f);
    ck_assert_ptr_null(f);
}
END_TEST

static const struct {
    const char *header;
    size_t index;
    const char *name, *value;
} seen[] = {
    {"From: a\r\nTo: b\r\n", 1, "To", " b"},
    {"From : a\r\n", 0, "From", " a"},
    {"Subject:\r\n\tlong\r\n one\r\nTo: b\r\n", 0, "Subject", "\r\n\tlong\r\n one"},
    {"..X: y\r\n", 0, ".X", " y"},
    {"X:\r\nTo: b\r\n", 0, "X", ""},
    {".X: y\r\n. z\r\n", 0, "X", " y\r\n z"}, /* as the reader has it, a dot less in each line */
};

START_TEST(a_field_is_its_name_and_what_is_behind_the_colon)
{
    struct fields *f = made(seen[_i].header);
    struct mail_field field = fields_at(f, seen[_i].index);
    ck_assert(span_equals(field.name, seen[_i].name));
    ck_assert(span_equals(field.value, seen[_i].value));
    fields_destroy(&f);
}
END_TEST

#define HEADER "From: a\r\nX: 1\r\nTo: b\r\n c\r\nx: 2\r\n"

static const struct {
    char edit; /* add, insert, change */
    size_t at;
    const char *name, *value;
    bool is_spaced;
    const char *header;
} edits[] = {
    {'a', 0, "Y", "new", false, HEADER "Y: new\r\n"},
    {'a', 0, "Y", "new", true, HEADER "Y:new\r\n"},
    {'a', 0, "Y", "", false, HEADER "Y: \r\n"},
    {'a', 0, "Y", "a\n\tb\r\n c", false, HEADER "Y: a\r\n\tb\r\n c\r\n"},
    {'a', 0, "Y", "a\nBcc: me", false, HEADER "Y: a\r\n\tBcc: me\r\n"},
    {'a', 0, "Y", "a\r\n\r\nbody", false, HEADER "Y: a\r\n\tbody\r\n"},
    {'a', 0, "Y", "a\n", false, HEADER "Y: a\r\n"},
    {'a', 0, "Y", "a\rb", false, HEADER "Y: a b\r\n"},
    {'a', 0, ".Y", "a", false, HEADER "..Y: a\r\n"},
    {'i', 0, "Y", "v", false, "Y: v\r\n" HEADER},
    {'i', 1, "Y", "v", true, "From: a\r\nY:v\r\nX: 1\r\nTo: b\r\n c\r\nx: 2\r\n"},
    {'i', 99, "Y", "v", false, HEADER "Y: v\r\n"},
    {'c', 1, "x", "v", false, "From: a\r\nx: v\r\nTo: b\r\n c\r\nx: 2\r\n"},
    {'c', 0, "X", "v", false, "From: a\r\nX: v\r\nTo: b\r\n c\r\nx: 2\r\n"},
    {'c', 2, "X", " v", true, "From: a\r\nX: 1\r\nTo: b\r\n c\r\nX: v\r\n"},
    {'c', 2, "X", "", false, "From: a\r\nX: 1\r\nTo: b\r\n c\r\n"},
    {'c', 1, "TO", "", false, "From: a\r\nX: 1\r\nx: 2\r\n"},
    {'c', 3, "X", "v", false, HEADER "X: v\r\n"},
    {'c', 3, "X", "", false, HEADER},
};

static int edit(struct fields *f, char which, size_t at, const char *name, struct span value,
                bool is_spaced)
{
    if (which == 'a')
        return fields_add(f, span_of(name), value, is_spaced);
    return which == 'i' ? fields_insert(f, at, span_of(name), value, is_spaced)
                        : fields_change(f, span_of(name), at, value, is_spaced);
}

START_TEST(an_edit_makes_one_field_and_leaves_the_others)
{
    struct fields *f = made(HEADER);
    ck_assert_int_eq(edit(f, edits[_i].edit, edits[_i].at, edits[_i].name, span_of(edits[_i].value),
                          edits[_i].is_spaced),
                     0);
    is_written(f, edits[_i].header);
    fields_destroy(&f);
}
END_TEST

/* 128 letters: whoever reads headers here takes it for the end of them. */
#define EIGHT "XXXXXXXX"
#define LONG_NAME \
    EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT

static const char *const no_names[] = {"",     "a b", "a:",       "a\r\nB",
                                       "\x7f", "a\t", "\xc3\xa9", LONG_NAME};

START_TEST(what_is_no_name_is_refused)
{
    struct fields *f = made(HEADER);
    for (const char *which = "aic"; *which != '\0'; which++)
        ck_assert_int_eq(edit(f, *which, 1, no_names[_i], span_of("v"), false), -1);
    is_written(f, HEADER);
    fields_destroy(&f);
}
END_TEST

START_TEST(a_nul_in_a_value_becomes_a_space)
{
    struct fields *f = made("");
    ck_assert_int_eq(edit(f, 'a', 0, "X", span_make("a\0b", 3), false), 0);
    is_written(f, "X: a b\r\n");
    fields_destroy(&f);
}
END_TEST

START_TEST(there_is_an_end_to_it)
{
    struct fields *f = made("From: a\r\n");
    char value[100];
    memset(value, 'v', sizeof value);
    size_t count = 0;
    while (edit(f, 'a', 0, "X", span_make(value, sizeof value), false) == 0)
        count++;
    ck_assert_uint_lt(count, LIMIT / sizeof value);
    ck_assert_uint_eq(fields_count(f), count + 1);
    ck_assert_int_eq(edit(f, 'c', 1, "From", span_make(value, sizeof value), false), -1);
    ck_assert(span_equals(fields_at(f, 0).value, " a"));
    fields_destroy(&f);
    ck_assert_ptr_null(fields_create(span_make(value, sizeof value), 10));
}
END_TEST

START_TEST(without_memory_nothing_is_half_edited)
{
    WITH_EACH_ALLOCATION_FAILING({
        struct buffer out = {.limit = LIMIT};
        struct fields *f = fields_create(span_of("From: a\r\n"), LIMIT);
        size_t count = f == NULL ? 0 : 1;
        for (int i = 0; f != NULL && i < 40; i++)
            count += edit(f, 'i', 0, "X", span_of("v"), false) == 0;
        if (f != NULL && fields_count(f) != count)
            ck_abort_msg("%zu fields", fields_count(f));
        if (f != NULL)
            (void)fields_write(f, &out);
        fields_destroy(&f);
        buffer_clear(&out);
    });
}
END_TEST

SUITE(fields)
{
    LOOP_TEST(what_nobody_edits_comes_out_octet_for_octet, untouched);
    LOOP_TEST(a_field_is_its_name_and_what_is_behind_the_colon, seen);
    LOOP_TEST(an_edit_makes_one_field_and_leaves_the_others, edits);
    LOOP_TEST(what_is_no_name_is_refused, no_names);
    TEST(a_nul_in_a_value_becomes_a_space);
    TEST(there_is_an_end_to_it);
    TEST(without_memory_nothing_is_half_edited);
}
