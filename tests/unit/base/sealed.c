#include "base/sealed.h"

#include "support/test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static struct sealed sealed;

static int made(const char *text)
{
    struct error why;
    int fd = sealed_make("test", span_of(text), &why);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static int map(int fd)
{
    struct error why = {.text = ""};
    int outcome = sealed_map(&sealed, fd, &why);
    ck_assert_int_eq(outcome < 0, why.text[0] != '\0');
    ck_assert_int_eq(close(fd), 0);
    return outcome;
}

static void end(void)
{
    sealed_unmap(&sealed);
}

START_TEST(what_was_made_is_mapped_without_its_descriptor)
{
    ck_assert_int_eq(map(made("hello")), 0);
    ck_assert(span_equals(sealed.bytes, "hello"));
}
END_TEST

START_TEST(nobody_changes_what_was_made)
{
    int fd = made("hello");
    ck_assert_int_lt(pwrite(fd, "x", 1, 0), 0);
    ck_assert_int_lt(ftruncate(fd, 1), 0);
    ck_assert_int_lt(ftruncate(fd, 100), 0);
    ck_assert_ptr_eq(mmap(NULL, 5, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(another_takes_its_place)
{
    ck_assert_int_eq(map(made("one")), 0);
    ck_assert_int_eq(map(made("two")), 0);
    ck_assert(span_equals(sealed.bytes, "two"));
}
END_TEST

START_TEST(what_is_not_sealed_is_not_taken_and_the_old_stays)
{
    int open_one = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_eq(map(made("one")), 0);
    ck_assert_int_eq(write(open_one, "two", 3), 3);
    ck_assert_int_eq(map(open_one), -1);
    ck_assert_int_eq(map(open("/dev/null", O_RDONLY)), -1);
    ck_assert_int_eq(map(made("")), -1);
    ck_assert(span_equals(sealed.bytes, "one"));
}
END_TEST

SUITE(sealed)
{
    tcase_add_checked_fixture(tests, NULL, end);
    TEST(what_was_made_is_mapped_without_its_descriptor);
    TEST(nobody_changes_what_was_made);
    TEST(another_takes_its_place);
    TEST(what_is_not_sealed_is_not_taken_and_the_old_stays);
}
