#include "base/spool.h"

#include "support/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct holding *holding;
static struct spools *spools, *others;
static unsigned wanted;

static void count_wish(void *owner)
{
    (void)owner;
    wanted++;
}

static struct spools *open_spools(size_t process, uint64_t memory, uint64_t files, size_t in_memory)
{
    const struct spools_options options = {.holding = holding,
                                           .process = process,
                                           .memory_max = memory,
                                           .files_max = files,
                                           .in_memory = in_memory,
                                           .want = count_wish};
    struct spools *s = spools_create(&options);
    ck_assert_ptr_nonnull(s);
    return s;
}

static void begin(uint64_t memory, uint64_t files, size_t in_memory)
{
    holding = calloc(1, holding_size());
    ck_assert_ptr_nonnull(holding);
    wanted = 0;
    spools = open_spools(3, memory, files, in_memory);
}

static void end(void)
{
    spools_destroy(&spools);
    spools_destroy(&others);
    free(holding);
}

/* Whatever was asked for comes. */
static void bring_files(void)
{
    for (; wanted > 0; wanted--)
        spools_add(spools, memfd_create("spool", MFD_CLOEXEC));
}

static void ask_for_files(void)
{
    struct spool *s = spool_create(spools);
    spool_destroy(&s);
}

static int append(struct spool *s, size_t size)
{
    static char bytes[1024 * 1024];
    ck_assert_uint_le(size, sizeof bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)((spool_size(s) + i) * 7 % 251);
    return spool_append(s, span_make(bytes, size));
}

static void holds_what_was_appended(const struct spool *s, size_t room)
{
    static char out[64 * 1024];
    uint64_t at = 0;
    ck_assert_uint_le(room, sizeof out);
    while (at < spool_size(s)) {
        struct span piece = spool_read(s, at, out, room);
        ck_assert(piece.data != NULL && piece.size > 0 && piece.size <= room);
        for (size_t i = 0; i < piece.size; i++)
            ASSERT_OFTEN(piece.data[i] == (char)((at + i) * 7 % 251), "octet %zu", (size_t)at + i);
        at += piece.size;
    }
    ck_assert_uint_eq(spool_read(s, at, out, room).size, 0);
    ck_assert_ptr_nonnull(spool_read(s, at, out, room).data);
}

START_TEST(what_was_held_is_read_again_from_memory_and_from_the_file)
{
    begin(1024 * 1024, 1024 * 1024, 1000);
    ask_for_files();
    bring_files();
    struct spool *s = spool_create(spools);
    for (size_t size = 1; size < 3000; size += 37)
        ck_assert_int_eq(append(s, size), 0);
    holds_what_was_appended(s, 64 * 1024);
    holds_what_was_appended(s, 61);
    spool_destroy(&s);
    ck_assert_ptr_null(s);
    end();
}
END_TEST

START_TEST(four_files_are_kept_ready_and_used_again)
{
    begin(1024 * 1024, 1024 * 1024, 100);
    ck_assert_uint_eq(wanted, 0);
    ask_for_files();
    ck_assert_uint_eq(wanted, SPOOL_FILES_READY);
    bring_files();
    struct spool *s = spool_create(spools);
    ck_assert_int_eq(append(s, 50), 0);
    ck_assert_uint_eq(wanted, 0); /* it fits in memory */
    ck_assert_int_eq(append(s, 5000), 0);
    ck_assert_uint_eq(wanted, 1);
    spool_destroy(&s);
    bring_files(); /* one more than are kept */
    s = spool_create(spools);
    ck_assert_int_eq(append(s, 5000), 0);
    holds_what_was_appended(s, 64 * 1024); /* and nothing of what was in it before */
    spool_destroy(&s);
    end();
}
END_TEST

START_TEST(a_file_that_is_on_its_way_is_waited_for_in_memory)
{
    begin(1024 * 1024, 1024 * 1024, 100);
    struct spool *s = spool_create(spools);
    ck_assert_int_eq(append(s, 50000), 0);
    bring_files();
    ck_assert_int_eq(append(s, 50000), 0);
    ck_assert_uint_eq(wanted, 1);
    holds_what_was_appended(s, 1000);
    spool_destroy(&s);
    end();
}
END_TEST

START_TEST(a_file_that_cannot_be_had_is_asked_for_again_by_the_next_who_needs_one)
{
    begin(1024 * 1024, 1024 * 1024, 100);
    ask_for_files();
    for (; wanted > 0; wanted--)
        spools_add(spools, -1);
    struct spool *s = spool_create(spools);
    ck_assert_int_eq(append(s, 1000), 0);
    ck_assert_uint_eq(wanted, SPOOL_FILES_READY);
    spool_destroy(&s);
    end();
}
END_TEST

START_TEST(no_more_is_held_in_memory_than_all_may)
{
    begin(10000, 0, 1000000);
    others = open_spools(7, 10000, 0, 1000000);
    struct spool *a = spool_create(spools), *b = spool_create(others), *c;
    ck_assert_int_eq(append(a, 6000), 0);
    ck_assert_int_eq(append(b, 4001), -1);
    spool_destroy(&b);
    b = spool_create(others);
    ck_assert_int_eq(append(b, 1800), 0);
    spool_destroy(&a);
    a = spool_create(others);
    ck_assert_int_eq(append(a, 8000), 0);
    c = spool_create(spools);
    ck_assert_int_eq(append(c, 10000), -1);
    spool_destroy(&a);
    spool_destroy(&b);
    spool_destroy(&c);
    end();
}
END_TEST

START_TEST(nor_in_files)
{
    begin(1024 * 1024, 100000, 10);
    ask_for_files();
    bring_files();
    struct spool *a = spool_create(spools), *b = spool_create(spools);
    ck_assert_int_eq(append(a, 60000), 0);
    ck_assert_int_eq(append(b, 40000), 0);
    ck_assert_int_eq(append(b, 1), -1);
    spool_destroy(&b);
    ck_assert_int_eq(append(a, 40000), 0);
    holds_what_was_appended(a, 64 * 1024);
    spool_destroy(&a);
    end();
}
END_TEST

START_TEST(what_a_dead_process_held_is_free_again)
{
    begin(100000, 0, 1000000);
    others = open_spools(7, 100000, 0, 1000000);
    struct spool *a = spool_create(others), *b = spool_create(spools);
    ck_assert_int_eq(append(a, 90000), 0);
    ck_assert_int_eq(append(b, 90000), -1);
    spool_destroy(&b);
    holding_release(holding, 7);
    b = spool_create(spools);
    ck_assert_int_eq(append(b, 90000), 0);
    spool_destroy(&b);
    spool_destroy(&a);
    end();
}
END_TEST

/* A spool whose file is that device. */
static struct spool *in_device(const char *path, int mode)
{
    begin(1024 * 1024, 1024 * 1024, 10);
    ask_for_files();
    for (; wanted > 0; wanted--)
        spools_add(spools, open(path, mode | O_CLOEXEC));
    return spool_create(spools);
}

START_TEST(a_file_that_cannot_be_written_is_told)
{
    struct spool *s = in_device("/dev/full", O_RDWR);
    ck_assert_int_eq(append(s, 1000), -1);
    spool_destroy(&s);
    end();
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_told)
{
    char out[10];
    struct spool *s = in_device("/dev/null", O_WRONLY);
    ck_assert_int_eq(append(s, 1000), 0);
    ck_assert_ptr_null(spool_read(s, 0, out, sizeof out).data);
    spool_destroy(&s);
    end();
}
END_TEST

START_TEST(without_memory_nothing_is_held)
{
    char out[10];
    begin(1024 * 1024, 1024 * 1024, 100000);
    WITH_EACH_ALLOCATION_FAILING({
        struct spool *s = spool_create(spools);
        if (s != NULL && spool_append(s, span_of("hello")) == 0 &&
            !span_equals(spool_read(s, 0, out, sizeof out), "hello"))
            ck_abort_msg("what was taken is not there");
        spool_destroy(&s);
    });
    end();
}
END_TEST

SUITE(spool)
{
    TEST(what_was_held_is_read_again_from_memory_and_from_the_file);
    TEST(four_files_are_kept_ready_and_used_again);
    TEST(a_file_that_is_on_its_way_is_waited_for_in_memory);
    TEST(a_file_that_cannot_be_had_is_asked_for_again_by_the_next_who_needs_one);
    TEST(no_more_is_held_in_memory_than_all_may);
    TEST(nor_in_files);
    TEST(what_a_dead_process_held_is_free_again);
    TEST(a_file_that_cannot_be_written_is_told);
    TEST(a_file_that_cannot_be_read_is_told);
    TEST(without_memory_nothing_is_held);
}
