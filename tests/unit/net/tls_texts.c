#include "net/tls_texts.h"

#include "config/folder.h"

#include <errno.h>
#include <sys/stat.h>

static struct tls_texts texts;
static struct error why;

static void end(void)
{
    tls_texts_clear(&texts);
    findings_end();
}

static void is(const struct tls_texts *t, size_t i, const char *text, size_t size)
{
    ck_assert_ptr_nonnull(t->texts[i].bytes);
    ck_assert_uint_eq(t->texts[i].size, size);
    ck_assert_int_eq(memcmp(t->texts[i].bytes, text, size + 1), 0); /* a NUL is behind it */
}

START_TEST(a_file_is_read_as_it_is)
{
    folder_write_bytes("a.pem", "one\0two\n", 8);
    ck_assert_int_eq(tls_texts_read(&texts, 3, folder_path("a.pem"), &why), 0);
    is(&texts, 3, "one\0two\n", 8);
    ck_assert_ptr_null(texts.texts[2].bytes);
}
END_TEST

static void is_refused(const char *name, const char *words)
{
    ck_assert_int_eq(tls_texts_read(&texts, 0, folder_path(name), &why), -1);
    ck_assert_str_eq(why.text, words);
    ck_assert_ptr_null(texts.texts[0].bytes);
}

START_TEST(what_is_no_plain_file_is_refused_without_waiting)
{
    is_refused("none.pem", strerror(ENOENT));
    ck_assert_int_eq(mkfifo(folder_path("pipe"), 0600), 0);
    is_refused("pipe", "it is no plain file");
    ck_assert_int_eq(mkdir(folder_path("inner"), 0700), 0);
    is_refused("inner", "it is no plain file");
}
END_TEST

START_TEST(a_file_that_is_too_large_is_refused)
{
    folder_write("large.pem", "");
    ck_assert_int_eq(truncate(folder_path("large.pem"), TLS_TEXT_MAX + 1), 0);
    is_refused("large.pem", "it is larger than 16 MiB");
}
END_TEST

START_TEST(what_is_packed_is_unpacked_by_each_who_has_the_descriptor)
{
    folder_write("a.pem", "first");
    folder_write("b.pem", "second one");
    ck_assert_int_eq(tls_texts_read(&texts, 0, folder_path("a.pem"), &why), 0);
    ck_assert_int_eq(tls_texts_read(&texts, 7, folder_path("b.pem"), &why), 0);
    int fd = tls_texts_pack(&texts, &why);
    ck_assert_int_ge(fd, 0);
    for (int reader = 0; reader < 2; reader++) {
        struct tls_texts got;
        ck_assert_int_eq(tls_texts_unpack(&got, fd, &why), 0);
        is(&got, 0, "first", 5);
        is(&got, 7, "second one", 10);
        ck_assert_ptr_null(got.texts[1].bytes);
        tls_texts_clear(&got);
        ck_assert_ptr_null(got.texts[0].bytes);
    }
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(what_is_cut_off_is_not_unpacked)
{
    folder_write("a.pem", "first");
    ck_assert_int_eq(tls_texts_read(&texts, 0, folder_path("a.pem"), &why), 0);
    int fd = tls_texts_pack(&texts, &why);
    off_t size = lseek(fd, 0, SEEK_END);
    while (--size >= 0) {
        struct tls_texts got;
        ck_assert_int_eq(ftruncate(fd, size), 0);
        ck_assert_int_eq(tls_texts_unpack(&got, fd, &why), -1);
        ck_assert_ptr_null(got.texts[0].bytes);
    }
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

SUITE(tls_texts)
{
    tcase_add_unchecked_fixture(tests, folder_make, folder_remove);
    tcase_add_checked_fixture(tests, findings_begin, end);
    TEST(a_file_is_read_as_it_is);
    TEST(what_is_no_plain_file_is_refused_without_waiting);
    TEST(a_file_that_is_too_large_is_refused);
    TEST(what_is_packed_is_unpacked_by_each_who_has_the_descriptor);
    TEST(what_is_cut_off_is_not_unpacked);
}
