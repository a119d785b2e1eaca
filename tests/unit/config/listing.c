#include "config/listing.h"

#include "folder.h"

#include <fcntl.h>
#include <sys/stat.h>

static char heard[8192];

static void take(void *owner, const struct listing_line *line)
{
    size_t used = strlen(heard);
    ck_assert_ptr_eq(owner, heard);
    (void)snprintf(heard + used, sizeof heard - used, "%u[%.*s][%.*s]\n", line->at.line,
                   (int)line->key.size, line->key.data, (int)line->value.size,
                   line->value.data); /* fits */
}

static void (*read_it)(int fd, const char *path,
                       void (*fn)(void *owner, const struct listing_line *line), void *owner,
                       struct errors *errors) = listing_read;

static void read_file(const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s", folder_path(name)); /* fits */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ck_assert_int_ge(fd, 0);
    heard[0] = '\0';
    read_it(fd, path, take, heard, findings);
    ck_assert_int_eq(close(fd), 0);
}

static void read_text(const char *text, size_t size)
{
    folder_write_bytes("list", text, size);
    read_file("list");
}

static const struct {
    const char *text, *heard;
} cases[] = {
    {"", ""},
    {"\n\n# a comment\n  # another\n", ""},
    {"a: b\n", "1[a][b]\n"},
    {"a: b", "1[a][b]\n"},
    {"\xef\xbb\xbf"
     "a: b\r\nc:\td\r\n",
     "1[a][b]\n2[c][d]\n"},
    {"  Ana Maria :  one  two # and no more\n", "1[Ana Maria][one  two]\n"},
    {"COMPANY\\*: *@example.com\n", "1[COMPANY\\*][*@example.com]\n"},
    {"2001:db8::1: x\nc#: d#e\n", "1[2001:db8::1][x]\n2[c#][d#e]\n"},
    {"a:b: c\n\n\nd: e: f\n", "1[a:b][c]\n4[d][e: f]\n"},
    {"j\xc3\xb6rg: x\n", "1[j\xc3\xb6rg][x]\n"},
};

START_TEST(a_line_is_a_key_and_what_it_means)
{
    read_text(cases[_i].text, strlen(cases[_i].text));
    ck_assert_str_eq(heard, cases[_i].heard);
    count_is(0, 0);
}
END_TEST

static const struct {
    const char *line, *said;
} wrong[] = {
    {"alone", "KEY: value"},    {"a:b", "KEY: value"},          {": b", "before the colon"},
    {"a:", "behind the colon"}, {"a: # b", "behind the colon"}, {"a: b\x01", "control characters"},
    {"a: \xc3", "UTF-8"},
};

START_TEST(a_wrong_line_is_told_with_its_place_and_the_others_are_read)
{
    char text[200];
    (void)snprintf(text, sizeof text, "a: b\n%s\nc: d\n", wrong[_i].line); /* fits */
    read_text(text, strlen(text));
    ck_assert_str_eq(heard, "1[a][b]\n3[c][d]\n");
    error_is("list:2: ", wrong[_i].said);
    count_is(1, 0);
}
END_TEST

START_TEST(a_line_of_a_file_of_names_is_a_name)
{
    static const char text[] = "ana@example.com # who\n\n  Ana Maria: x\t\n#\n";
    read_it = listing_read_names;
    read_text(text, sizeof text - 1);
    ck_assert_str_eq(heard, "1[ana@example.com][]\n3[Ana Maria: x][]\n");
    count_is(0, 0);
    read_text("a\x01\nb\n", 5);
    ck_assert_str_eq(heard, "2[b][]\n");
    error_is("list:1: ", "control characters");
}
END_TEST

START_TEST(a_nul_is_a_control_character)
{
    read_text("a\0: b\n", 6);
    error_is("list:1: ", "control characters");
}
END_TEST

START_TEST(a_line_has_a_bound)
{
    static char text[LISTING_LINE_MAX + 10];
    memset(text, 'x', sizeof text);
    memcpy(text, "a: ", 3);
    read_text(text, LISTING_LINE_MAX);
    count_is(0, 0);
    read_text(text, LISTING_LINE_MAX + 1);
    error_is("list:1: ", "too long");
}
END_TEST

START_TEST(what_is_no_file_or_too_large_is_told)
{
    ck_assert_int_eq(mkfifo(folder_path("pipe"), 0600), 0);
    read_file("pipe");
    error_is("pipe: ", "is no file");
    folder_write("large", "");
    ck_assert_int_eq(truncate(folder_path("large"), LISTING_MAX + 1), 0);
    read_file("large");
    error_is("large: ", "128 MiB");
    count_is(2, 0);
}
END_TEST

SUITE(listing)
{
    folder_use(tests);
    LOOP_TEST(a_line_is_a_key_and_what_it_means, cases);
    LOOP_TEST(a_wrong_line_is_told_with_its_place_and_the_others_are_read, wrong);
    TEST(a_line_of_a_file_of_names_is_a_name);
    TEST(a_nul_is_a_control_character);
    TEST(a_line_has_a_bound);
    TEST(what_is_no_file_or_too_large_is_told);
}
