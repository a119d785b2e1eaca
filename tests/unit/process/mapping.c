#include "process/mapping.h"

#include "support/test.h"

#include <errno.h>
#include <sys/mman.h>

static struct mapping mapping;

static void begin(void)
{
    struct error why;
    ck_assert_int_eq(mapping_create(&mapping, 10, &why), 0);
}

static bool is_mapped(const void *at)
{
    unsigned char page;
    uintptr_t start = (uintptr_t)at / 4096 * 4096;
    return mincore((void *)start, 1, &page) == 0;
}

static const size_t slots[] = {0, 1, 7, PROCESS_SLOT_MAX - 1};

START_TEST(a_process_keeps_what_it_gathers_itself_and_nothing_that_others_do)
{
    size_t own = slots[_i];
    for (size_t slot = 0; slot < PROCESS_SLOT_MAX; slot++)
        ck_assert(is_mapped(mapping_log(&mapping, slot)));
    mapping_hide(&mapping, own, false);
    for (size_t slot = 0; slot < PROCESS_SLOT_MAX; slot++)
        ck_assert_msg(is_mapped(mapping_log(&mapping, slot)) == (slot == own), "slot %zu", slot);
    memset((void *)mapping_log(&mapping, own), 'x', log_memory_size()); /* all of it */
    ck_assert(!is_mapped(mapping.witness));
}
END_TEST

START_TEST(control_keeps_what_it_has_heard)
{
    mapping_hide(&mapping, 7, true);
    ck_assert(is_mapped(mapping.witness));
    ck_assert(!is_mapped(mapping_log(&mapping, 6)));
}
END_TEST

SUITE(mapping)
{
    tcase_add_checked_fixture(tests, begin, NULL);
    LOOP_TEST(a_process_keeps_what_it_gathers_itself_and_nothing_that_others_do, slots);
    TEST(control_keeps_what_it_has_heard);
}
