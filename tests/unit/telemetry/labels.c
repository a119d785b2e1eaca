#include "telemetry/labels.h"

#include "mapping.h"

#include <stdio.h>

static struct labels *labels;

static void make_labels(void)
{
    labels = mapping_make(labels_size());
}

static int claim(enum label_kind kind, const char *name, unsigned generation)
{
    int fresh;
    return label_claim(labels, kind, name, generation, &fresh);
}

START_TEST(a_name_has_the_same_slot_in_every_generation)
{
    int fresh;
    int smtp = label_claim(labels, LABEL_LISTENER, "smtp", 1, &fresh);
    int pop3 = label_claim(labels, LABEL_LISTENER, "pop3", 1, &fresh);
    ck_assert_int_ge(smtp, 0);
    ck_assert_int_ge(pop3, 0);
    ck_assert_int_ne(smtp, pop3);
    ck_assert_int_eq(label_claim(labels, LABEL_LISTENER, "pop3", 2, &fresh), pop3);
    ck_assert_int_eq(label_claim(labels, LABEL_LISTENER, "smtp", 2, &fresh), smtp);
    ck_assert_int_eq(label_claim(labels, LABEL_LISTENER, "smtp", 2, &fresh), smtp);
}
END_TEST

START_TEST(a_claimed_name_is_found_in_its_slot)
{
    int smtp = claim(LABEL_LISTENER, "smtp", 1), smtps = claim(LABEL_LISTENER, "smtps", 1);
    int server = claim(LABEL_SERVER, "smtps", 2);
    ck_assert_uint_eq(label_slot(labels, LABEL_LISTENER, "smtps"), (size_t)smtps);
    ck_assert_uint_eq(label_slot(labels, LABEL_LISTENER, "smtp"), (size_t)smtp);
    ck_assert_uint_eq(label_slot(labels, LABEL_SERVER, "smtps"), (size_t)server);
    ck_assert_int_eq(claim(LABEL_LISTENER, "smtps", 2), smtps);
    labels_release(labels, 1);
    ck_assert_uint_eq(label_slot(labels, LABEL_LISTENER, "smtps"), (size_t)smtps);
}
END_TEST

START_TEST(only_a_slot_that_was_free_is_fresh)
{
    int fresh = -1;
    (void)label_claim(labels, LABEL_SERVER, "mail/a", 1, &fresh); /* there is room */
    ck_assert_int_eq(fresh, 1);
    (void)label_claim(labels, LABEL_SERVER, "mail/a", 1, &fresh); /* likewise, as all below */
    ck_assert_int_eq(fresh, 0);
    (void)label_claim(labels, LABEL_SERVER, "mail/a", 2, &fresh);
    ck_assert_int_eq(fresh, 0);
    labels_release(labels, 1);
    labels_release(labels, 2);
    (void)label_claim(labels, LABEL_SERVER, "mail/a", 3, &fresh);
    ck_assert_int_eq(fresh, 1);
}
END_TEST

START_TEST(a_name_stays_while_any_generation_names_it)
{
    char name[LABEL_NAME_SIZE];
    size_t slot = (size_t)claim(LABEL_LISTENER, "smtp", 1);
    (void)claim(LABEL_LISTENER, "smtp", 2); /* in the same slot */
    labels_release(labels, 1);
    ck_assert_int_eq(label_name(labels, LABEL_LISTENER, slot, name), 0);
    ck_assert_str_eq(name, "smtp");
    labels_release(labels, 2);
    ck_assert_int_eq(label_name(labels, LABEL_LISTENER, slot, name), -1);
}
END_TEST

START_TEST(a_release_leaves_the_names_of_other_generations)
{
    char name[LABEL_NAME_SIZE];
    size_t old = (size_t)claim(LABEL_LISTENER, "old", 1),
           new = (size_t)claim(LABEL_LISTENER, "new", 2);
    labels_release(labels, 1);
    ck_assert_int_eq(label_name(labels, LABEL_LISTENER, old, name), -1);
    ck_assert_int_eq(label_name(labels, LABEL_LISTENER, new, name), 0);
    ck_assert_str_eq(name, "new");
}
END_TEST

START_TEST(a_free_slot_takes_another_name)
{
    char name[LABEL_NAME_SIZE];
    int fresh = 0;
    for (size_t i = 0; i < label_capacity(LABEL_LISTENER); i++) {
        (void)snprintf(name, sizeof name, "listener-%zu", i); /* fits */
        ck_assert_int_ge(claim(LABEL_LISTENER, name, i == 7 ? 1 : 2), 0);
    }
    labels_release(labels, 1);
    int slot = label_claim(labels, LABEL_LISTENER, "x", 3, &fresh);
    ck_assert_int_eq(fresh, 1);
    ck_assert_int_eq(label_name(labels, LABEL_LISTENER, (size_t)slot, name), 0);
    ck_assert_str_eq(name, "x");
    ck_assert_int_eq(claim(LABEL_LISTENER, "y", 3), -1);
}
END_TEST

START_TEST(names_past_the_capacity_of_their_kind_are_refused)
{
    for (int kind = 0; kind < LABEL_KIND_COUNT; kind++) {
        static bool is_taken[LABEL_RULE_MAX];
        char name[LABEL_NAME_SIZE];
        size_t capacity = label_capacity((enum label_kind)kind);
        memset(is_taken, 0, sizeof is_taken);
        for (size_t i = 0; i < capacity; i++) {
            (void)snprintf(name, sizeof name, "name-%zu", i); /* fits */
            int slot = claim((enum label_kind)kind, name, 1);
            ck_assert_int_ge(slot, 0);
            ck_assert_uint_lt((size_t)slot, capacity);
            ck_assert(!is_taken[slot]);
            is_taken[slot] = true;
        }
        ck_assert_int_eq(claim((enum label_kind)kind, "one too many", 1), -1);
        ck_assert_int_ge(claim((enum label_kind)kind, "name-0", 2), 0);
    }
}
END_TEST

START_TEST(the_same_name_of_another_kind_is_another)
{
    char name[LABEL_NAME_SIZE];
    int fresh = 0;
    size_t listener = (size_t)claim(LABEL_LISTENER, "mail", 1);
    size_t server = (size_t)label_claim(labels, LABEL_SERVER, "mail", 2, &fresh);
    ck_assert_int_eq(fresh, 1);
    labels_release(labels, 1);
    ck_assert_int_eq(label_name(labels, LABEL_LISTENER, listener, name), -1);
    ck_assert_int_eq(label_name(labels, LABEL_SERVER, server, name), 0);
}
END_TEST

START_TEST(eight_generations_in_a_row_are_told_apart)
{
    char name[LABEL_NAME_SIZE];
    size_t slot = (size_t)claim(LABEL_LISTENER, "smtp", 0);
    for (unsigned generation = 1; generation < 200; generation++) {
        ck_assert_int_eq(claim(LABEL_LISTENER, "smtp", generation), (int)slot);
        if (generation >= 8)
            labels_release(labels, generation - 8);
        ck_assert_int_eq(label_name(labels, LABEL_LISTENER, slot, name), 0);
    }
}
END_TEST

START_TEST(the_longest_name_is_kept_whole)
{
    char longest[LABEL_NAME_SIZE], name[LABEL_NAME_SIZE];
    memset(longest, 'n', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    size_t slot = (size_t)claim(LABEL_LISTENER, longest, 1);
    ck_assert_int_eq(label_name(labels, LABEL_LISTENER, slot, name), 0);
    ck_assert_str_eq(name, longest);
    ck_assert_int_eq(claim(LABEL_LISTENER, longest, 2), (int)slot);
}
END_TEST

START_TEST(a_name_that_begins_like_another_is_another)
{
    int smtp = claim(LABEL_LISTENER, "smtp", 1), smtps = claim(LABEL_LISTENER, "smtps", 1);
    ck_assert_int_ne(smtp, smtps);
    ck_assert_int_eq(claim(LABEL_LISTENER, "smtp", 2), smtp);
    ck_assert_int_eq(claim(LABEL_LISTENER, "smtps", 2), smtps);
}
END_TEST

static bool reads_smtp(void)
{
    char name[LABEL_NAME_SIZE];
    return label_name(labels, LABEL_LISTENER, 0, name) == 0 && strcmp(name, "smtp") == 0;
}

START_TEST(another_process_reads_a_name_that_was_claimed_after_the_fork)
{
    int go[2];
    char byte = 0;
    ck_assert_int_eq(pipe(go), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(read(go[0], &byte, 1) == 1 && reads_smtp() ? 0 : 1);
    ck_assert_int_eq(claim(LABEL_LISTENER, "smtp", 1), 0);
    ck_assert_int_eq(write(go[1], &byte, 1), 1);
    child_succeeds(child);
}
END_TEST

START_TEST(a_slot_past_the_capacity_has_no_name)
{
    char name[LABEL_NAME_SIZE];
    labels = mapping_hostile(labels_size(), 0xff);
    for (int kind = 0; kind < LABEL_KIND_COUNT; kind++) {
        size_t capacity = label_capacity((enum label_kind)kind);
        ck_assert_int_eq(label_name(labels, (enum label_kind)kind, capacity, name), -1);
        ck_assert_int_eq(label_name(labels, (enum label_kind)kind, UINT32_MAX, name), -1);
        ck_assert_int_eq(label_name(labels, (enum label_kind)kind, SIZE_MAX, name), -1);
    }
}
END_TEST

START_TEST(names_in_a_hostile_mapping_are_closed)
{
    static const int fills[] = {0xff, 0xfe, 'A', 1};
    for (size_t f = 0; f < sizeof fills / sizeof *fills; f++) {
        labels = mapping_hostile(labels_size(), fills[f]);
        for (int kind = 0; kind < LABEL_KIND_COUNT; kind++)
            for (size_t slot = 0; slot < label_capacity((enum label_kind)kind); slot++) {
                char name[LABEL_NAME_SIZE];
                ck_assert_int_eq(label_name(labels, (enum label_kind)kind, slot, name), 0);
                ck_assert_ptr_nonnull(memchr(name, '\0', sizeof name));
            }
    }
}
END_TEST

START_TEST(claiming_in_a_hostile_mapping_stays_within_it)
{
    char longest[LABEL_NAME_SIZE];
    memset(longest, 'A', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    labels = mapping_hostile(labels_size(), 'A');
    ck_assert_int_eq(claim(LABEL_SERVER, "mail", 1), -1);
    ck_assert_int_lt(claim(LABEL_SERVER, longest, 1), (int)label_capacity(LABEL_SERVER));
    for (unsigned generation = 0; generation < 32; generation++)
        labels_release(labels, generation);
    ck_assert_int_ge(claim(LABEL_SERVER, "mail", 1), 0);
}
END_TEST

SUITE(labels)
{
    tcase_add_checked_fixture(tests, make_labels, NULL);
    TEST(a_name_has_the_same_slot_in_every_generation);
    TEST(a_claimed_name_is_found_in_its_slot);
    TEST(only_a_slot_that_was_free_is_fresh);
    TEST(a_name_stays_while_any_generation_names_it);
    TEST(a_release_leaves_the_names_of_other_generations);
    TEST(a_free_slot_takes_another_name);
    TEST(names_past_the_capacity_of_their_kind_are_refused);
    TEST(the_same_name_of_another_kind_is_another);
    TEST(eight_generations_in_a_row_are_told_apart);
    TEST(the_longest_name_is_kept_whole);
    TEST(a_name_that_begins_like_another_is_another);
    TEST(another_process_reads_a_name_that_was_claimed_after_the_fork);
    TEST(a_slot_past_the_capacity_has_no_name);
    TEST(names_in_a_hostile_mapping_are_closed);
    TEST(claiming_in_a_hostile_mapping_stays_within_it);
}
