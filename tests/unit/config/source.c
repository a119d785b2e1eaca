#include "config/source.h"

#include "folder.h"

static struct source *source;

/* Reads porteiro.conf with this text. */
static void read_text(const char *text)
{
    source_destroy(&source);
    folder_write("porteiro.conf", text);
    source = source_read(folder_path("porteiro.conf"), findings);
}

static void is_at(unsigned line, const char *file, unsigned number)
{
    struct place place = source_place(source, line);
    ck_assert_str_eq(place.file, folder_path(file));
    ck_assert_uint_eq(place.line, number);
}

static void close_source(void)
{
    source_destroy(&source);
}

START_TEST(the_text_is_the_lines_of_the_file)
{
    read_text("a = 1\n\n# two\nb = 2\n");
    ck_assert_str_eq(source_text(source), "a = 1\n\n# two\nb = 2\n");
    is_at(1, "porteiro.conf", 1);
    is_at(4, "porteiro.conf", 4);
    count_is(0, 0);
}
END_TEST

START_TEST(a_last_line_without_newline_is_a_line)
{
    read_text("a = 1\nb = 2");
    ck_assert_str_eq(source_text(source), "a = 1\nb = 2\n");
    is_at(2, "porteiro.conf", 2);
}
END_TEST

START_TEST(line_ends_of_windows_are_line_ends)
{
    read_text("a = 1\r\nb = 2\r\n");
    ck_assert_str_eq(source_text(source), "a = 1\nb = 2\n");
}
END_TEST

START_TEST(an_empty_file_is_an_empty_text)
{
    read_text("");
    ck_assert_str_eq(source_text(source), "");
    is_at(1, "porteiro.conf", 0);
}
END_TEST

START_TEST(a_line_past_the_end_is_the_last)
{
    read_text("a = 1\nb = 2\n");
    is_at(3, "porteiro.conf", 2);
    is_at(1000, "porteiro.conf", 2);
}
END_TEST

START_TEST(an_include_stands_in_its_place)
{
    folder_write("more.conf", "b = 2\nc = 3\n");
    read_text("a = 1\n@include \"more.conf\"\nd = 4\n");
    ck_assert_str_eq(source_text(source), "a = 1\nb = 2\nc = 3\nd = 4\n");
    is_at(1, "porteiro.conf", 1);
    is_at(2, "more.conf", 1);
    is_at(3, "more.conf", 2);
    is_at(4, "porteiro.conf", 3);
}
END_TEST

START_TEST(an_include_without_newline_at_its_end_ends_its_line)
{
    folder_write("more.conf", "b = 2");
    read_text("a = 1\n  @include   \"more.conf\"  # why\nc = 3\n");
    ck_assert_str_eq(source_text(source), "a = 1\nb = 2\nc = 3\n");
}
END_TEST

START_TEST(an_absolute_include_is_read_where_it_is)
{
    char text[600];
    folder_write("other/more.conf", "b = 2\n");
    (void)snprintf(text, sizeof text, "@include \"%s\"\n", folder_path("other/more.conf"));
    read_text(text);
    ck_assert_str_eq(source_text(source), "b = 2\n");
    is_at(1, "other/more.conf", 1);
}
END_TEST

/* porteiro.conf(5): relative to the folder of the main file. */
START_TEST(an_include_within_an_include_is_relative_to_the_main_file)
{
    folder_write("sub/first.conf", "b = 2\n@include \"sub/second.conf\"\nd = 4\n");
    folder_write("sub/second.conf", "\nc = 3\n");
    read_text("a = 1\n@include \"sub/first.conf\"\ne = 5\n");
    ck_assert_str_eq(source_text(source), "a = 1\nb = 2\n\nc = 3\nd = 4\ne = 5\n");
    is_at(2, "sub/first.conf", 1);
    is_at(4, "sub/second.conf", 2);
    is_at(5, "sub/first.conf", 3);
    is_at(6, "porteiro.conf", 3);
}
END_TEST

START_TEST(a_file_may_be_included_twice)
{
    folder_write("more.conf", "b = 2\n");
    read_text("@include \"more.conf\"\n@include \"more.conf\"\n");
    ck_assert_str_eq(source_text(source), "b = 2\nb = 2\n");
    is_at(2, "more.conf", 1);
}
END_TEST

START_TEST(a_missing_file_is_told)
{
    source = source_read(folder_path("nowhere.conf"), findings);
    ck_assert_ptr_null(source);
    error_is("nowhere.conf: ", "No such file");
    count_is(1, 0);
}
END_TEST

START_TEST(a_missing_include_is_told_with_the_line_that_wants_it)
{
    read_text("a = 1\n\n@include \"nowhere.conf\"\n");
    ck_assert_ptr_null(source);
    error_is("porteiro.conf:3: nowhere.conf: ", "No such file");
    folder_write("more.conf", "a = 1\n@include \"nowhere.conf\"\n");
    read_text("@include \"more.conf\"\n");
    ck_assert_ptr_null(source);
    error_is("more.conf:2: nowhere.conf: ", "No such file");
}
END_TEST

START_TEST(includes_in_a_circle_are_told)
{
    folder_write("one.conf", "\n@include \"two.conf\"\n");
    folder_write("two.conf", "@include \"one.conf\"\n");
    read_text("@include \"one.conf\"\n");
    ck_assert_ptr_null(source);
    ck_assert_uint_eq(told(FINDING_ERROR, "one.conf:2: two.conf: ", "circle") +
                          told(FINDING_ERROR, "two.conf:1: one.conf: ", "circle"),
                      1);
    count_is(1, 0);
    read_text("@include \"porteiro.conf\"\n");
    ck_assert_ptr_null(source);
    error_is("porteiro.conf:1: porteiro.conf: ", "circle");
}
END_TEST

START_TEST(a_folder_is_no_file)
{
    folder_write("sub/x.conf", "");
    read_text("@include \"sub\"\n");
    ck_assert_ptr_null(source);
    error_is("porteiro.conf:1: sub: ", "directory");
}
END_TEST

START_TEST(a_nul_is_told_with_its_line)
{
    folder_write_bytes("porteiro.conf", "a = 1\nb\0 = 2\n", 13);
    source = source_read(folder_path("porteiro.conf"), findings);
    ck_assert_ptr_null(source);
    error_is("porteiro.conf:2: ", "NUL");
}
END_TEST

/* What is written out is no include; nor is what only looks like one. */
START_TEST(an_include_in_a_comment_is_not_followed)
{
    read_text("# @include \"nowhere.conf\"\n// @include \"nowhere.conf\"\na = 1\n");
    ck_assert_ptr_nonnull(source);
    read_text("/*\n@include \"nowhere.conf\"\n*/\na = 1\n");
    ck_assert_ptr_nonnull(source);
    count_is(0, 0);
}
END_TEST

START_TEST(what_is_no_include_stays_a_line)
{
    static const char *const lines[] = {
        "@include nowhere.conf\n", "@include \"nowhere.conf\n", "a = 1 @include \"nowhere.conf\"\n",
        "@includ \"x\"\n",         "@include x\"y\"\n",         "@include \"\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        read_text(lines[i]);
        ck_assert_ptr_nonnull(source);
        ck_assert_str_eq(source_text(source), lines[i]);
    }
}
END_TEST

START_TEST(a_configuration_that_is_too_large_is_told)
{
    size_t size = 9 * 1024 * 1024;
    char *text = malloc(size + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, '#', size);
    text[size] = '\0';
    for (size_t i = 999; i < size; i += 1000)
        text[i] = '\n';
    read_text(text);
    free(text);
    ck_assert_ptr_null(source);
    error_is("porteiro.conf:", "larger than 8 MiB");
    count_is(1, 0);
}
END_TEST

START_TEST(destroying_twice_is_destroying)
{
    read_text("a = 1\n");
    source_destroy(&source);
    ck_assert_ptr_null(source);
    source_destroy(&source);
}
END_TEST

SUITE(source)
{
    folder_use(tests);
    tcase_add_checked_fixture(tests, NULL, close_source);
    TEST(the_text_is_the_lines_of_the_file);
    TEST(a_last_line_without_newline_is_a_line);
    TEST(line_ends_of_windows_are_line_ends);
    TEST(an_empty_file_is_an_empty_text);
    TEST(a_line_past_the_end_is_the_last);
    TEST(an_include_stands_in_its_place);
    TEST(an_include_without_newline_at_its_end_ends_its_line);
    TEST(an_absolute_include_is_read_where_it_is);
    TEST(an_include_within_an_include_is_relative_to_the_main_file);
    TEST(a_file_may_be_included_twice);
    TEST(a_missing_file_is_told);
    TEST(a_missing_include_is_told_with_the_line_that_wants_it);
    TEST(includes_in_a_circle_are_told);
    TEST(a_folder_is_no_file);
    TEST(a_nul_is_told_with_its_line);
    TEST(an_include_in_a_comment_is_not_followed);
    TEST(what_is_no_include_stays_a_line);
    TEST(a_configuration_that_is_too_large_is_told);
    TEST(destroying_twice_is_destroying);
}
