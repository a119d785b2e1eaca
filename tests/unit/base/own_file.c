#include "base/own_file.h"

#include "support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    char folder[64], path[100], draft[100], other[100];
} it;

/* The folder goes even when a test fails. */
static void make_folder(void)
{
    (void)snprintf(it.folder, sizeof it.folder, "/tmp/porteiro-unit-XXXXXX"); /* fits */
    if (mkdtemp(it.folder) == NULL)
        abort();
    (void)snprintf(it.path, sizeof it.path, "%s/file", it.folder);       /* fits */
    (void)snprintf(it.draft, sizeof it.draft, "%s/file.new", it.folder); /* fits */
    (void)snprintf(it.other, sizeof it.other, "%s/other", it.folder);    /* fits */
}

static void empty_folder(void)
{
    (void)unlink(it.draft); /* not all tests leave all of them */
    (void)rmdir(it.draft);
    (void)unlink(it.path);
    (void)unlink(it.other);
}

static void remove_folder(void)
{
    empty_folder();
    (void)rmdir(it.folder); /* it is in /tmp */
}

static void holds(const char *text)
{
    struct error why;
    char found[64] = "";
    int fd = own_file_open(it.path, &why);
    ck_assert_msg(fd >= 0, "%s", why.text);
    ck_assert_int_eq(read(fd, found, sizeof found - 1), (ssize_t)strlen(text));
    ck_assert_str_eq(found, text);
    ck_assert_int_eq(close(fd), 0);
}

static void writes(const char *text)
{
    struct error why;
    ck_assert_msg(own_file_write(it.path, span_of(text), &why) == 0, "%s", why.text);
}

START_TEST(what_was_written_is_read_and_this_users_alone)
{
    struct stat s;
    writes("first");
    holds("first");
    writes("2nd");
    holds("2nd");
    ck_assert_int_eq(stat(it.path, &s), 0);
    ck_assert_uint_eq(s.st_mode & 0777, 0600);
}
END_TEST

START_TEST(a_draft_that_somebody_has_laid_there_is_not_written_to)
{
    char found[8] = "";
    FILE *other = fopen(it.other, "w");
    ck_assert_ptr_nonnull(other);
    ck_assert_int_eq(fclose(other), 0);
    ck_assert_int_eq(symlink(it.other, it.draft), 0);
    writes("mine");
    holds("mine");
    other = fopen(it.other, "r");
    ck_assert_uint_eq(fread(found, 1, sizeof found, other), 0);
    ck_assert_int_eq(fclose(other), 0);
}
END_TEST

START_TEST(a_file_that_is_not_there_is_said_so)
{
    struct error why;
    ck_assert_int_eq(own_file_open(it.path, &why), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_ptr_nonnull(strstr(why.text, it.path));
}
END_TEST

START_TEST(links_folders_pipes_and_others_files_are_refused)
{
    struct error why;
    ck_assert_int_eq(symlink("/etc/passwd", it.path), 0);
    ck_assert_int_eq(own_file_open(it.path, &why), -1);
    ck_assert_int_ne(errno, ENOENT);
    ck_assert_int_eq(unlink(it.path), 0);
    ck_assert_int_eq(mkfifo(it.path, 0600), 0);
    ck_assert_int_eq(own_file_open(it.path, &why), -1);
    ck_assert_ptr_nonnull(strstr(why.text, "no plain file"));
    ck_assert_int_eq(own_file_open(it.folder, &why), -1);
    if (geteuid() != 0)
        return;
    writes("x");
    ck_assert_int_eq(chown(it.path, 65534, 65534), 0);
    ck_assert_int_eq(own_file_open(it.path, &why), -1);
    ck_assert_ptr_nonnull(strstr(why.text, "belongs to uid 65534"));
}
END_TEST

START_TEST(a_file_is_read_as_a_whole_unless_it_is_larger_than_it_can_be)
{
    struct error why;
    size_t size = 0;
    writes("12345");
    char *bytes = own_file_read(it.path, 5, &size, &why);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_uint_eq(size, 5);
    ck_assert_mem_eq(bytes, "12345", 5);
    free(bytes);
    ck_assert_ptr_null(own_file_read(it.path, 4, &size, &why));
    ck_assert_int_ne(errno, ENOENT);
    ck_assert_ptr_nonnull(strstr(why.text, "larger than it can be"));
    empty_folder();
    ck_assert_ptr_null(own_file_read(it.path, 5, &size, &why));
    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(where_it_can_not_be_written_what_was_there_stays)
{
    struct error why;
    ck_assert_int_eq(own_file_write("/nowhere/file", span_of("x"), &why), -1);
    ck_assert_ptr_nonnull(strstr(why.text, "/nowhere/file: No such file"));
    writes("old");
    ck_assert_int_eq(mkdir(it.draft, 0700), 0);
    ck_assert_int_eq(own_file_write(it.path, span_of("new"), &why), -1);
    ck_assert_int_eq(rmdir(it.draft), 0);
    holds("old");
}
END_TEST

SUITE(own_file)
{
    tcase_add_unchecked_fixture(tests, make_folder, remove_folder);
    tcase_add_checked_fixture(tests, empty_folder, NULL);
    TEST(what_was_written_is_read_and_this_users_alone);
    TEST(a_draft_that_somebody_has_laid_there_is_not_written_to);
    TEST(a_file_that_is_not_there_is_said_so);
    TEST(links_folders_pipes_and_others_files_are_refused);
    TEST(a_file_is_read_as_a_whole_unless_it_is_larger_than_it_can_be);
    TEST(where_it_can_not_be_written_what_was_there_stays);
}
