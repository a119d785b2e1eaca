#include "base/password.h"

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[64];
static struct buffer out;
static struct error why;

static void begin(void)
{
    (void)snprintf(path, sizeof path, "/tmp/porteiro-secret-XXXXXX"); /* fits */
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(close(fd), 0);
    out = (struct buffer){.limit = 20};
}

static void end(void)
{
    (void)unlink(path); /* a test may have done it */
    buffer_clear(&out);
}

static int read_of(const char *text, size_t size)
{
    FILE *stream = fopen(path, "we");
    ck_assert_ptr_nonnull(stream);
    ck_assert_uint_eq(fwrite(text, 1, size, stream), size);
    ck_assert_int_eq(fclose(stream), 0);
    buffer_clear(&out);
    return password_read(path, &out, &why);
}

START_TEST(a_secret_is_read_without_its_line_end)
{
    static const char *const texts[] = {"open sesame", "open sesame\n", "open sesame\r\n"};
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(read_of(texts[i], strlen(texts[i])), 0);
        ck_assert(span_equals(buffer_bytes(&out), "open sesame"));
    }
    ck_assert_int_eq(read_of(" \xc3\xbc ", 4), 0); /* a space may belong to it */
    ck_assert(span_equals(buffer_bytes(&out), " \xc3\xbc "));
}
END_TEST

START_TEST(what_can_not_be_a_secret_is_refused_with_the_files_name)
{
    static const struct {
        const char *text;
        size_t size;
        const char *why;
    } cases[] = {
        {"", 0, "empty"},
        {"\n", 1, "empty"},
        {"a\nb", 3, "more than one line"},
        {"a\n\n", 3, "line"},
        {"a\0b", 3, "control"},
        {"a\tb", 3, "control"},
        {"a\x7f", 2, "character"},
        {"012345678901234567890", 21, "20 octets"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq(read_of(cases[i].text, cases[i].size), -1);
        ck_assert_uint_eq(out.size, 0);
        ck_assert_msg(strstr(why.text, cases[i].why) != NULL && strstr(why.text, path) != NULL,
                      "%s", why.text);
    }
}
END_TEST

START_TEST(a_file_that_can_not_be_read_is_named)
{
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(password_read(path, &out, &why), -1);
    ck_assert_ptr_nonnull(strstr(why.text, path));
    ck_assert_ptr_nonnull(strstr(why.text, "No such file"));
    ck_assert_int_eq(password_read("/tmp", &out, &why), -1);
    ck_assert_ptr_nonnull(strstr(why.text, "directory"));
}
END_TEST

START_TEST(a_pipe_that_nobody_writes_to_is_not_waited_for)
{
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(password_read(path, &out, &why), -1);
}
END_TEST

START_TEST(what_everybody_can_read_is_public)
{
    ck_assert(!password_is_public(path)); /* as mkstemp makes it */
    ck_assert_int_eq(chmod(path, 0640), 0);
    ck_assert(!password_is_public(path));
    ck_assert_int_eq(chmod(path, 0644), 0);
    ck_assert(password_is_public(path));
    ck_assert(!password_is_public("/nowhere"));
}
END_TEST

SUITE(password)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(a_secret_is_read_without_its_line_end);
    TEST(what_can_not_be_a_secret_is_refused_with_the_files_name);
    TEST(a_file_that_can_not_be_read_is_named);
    TEST(a_pipe_that_nobody_writes_to_is_not_waited_for);
    TEST(what_everybody_can_read_is_public);
}
