#include "control/grant.h"

#include "config/folder.h"
#include "visitor.h"

enum { NOTHING = -1 };

static struct grants grants;

/* ---- from the configuration ---- */

/* Prepares grants of so many groups, each in a line of its own. */
static void prepare(const char *const *groups, size_t count, enum control_role role)
{
    static struct control_group_config all[GRANTS_MAX + 2];
    ck_assert_uint_le(count, sizeof all / sizeof *all);
    for (size_t i = 0; i < count; i++)
        all[i] = (struct control_group_config){
            .group = groups[i], .role = (int)role, .place = {"porteiro.conf", 7 + (unsigned)i}};
    const struct config c = {.control_groups = all, .control_group_count = count};
    grants_prepare(&c, &grants, findings);
}

START_TEST(a_group_is_known_by_its_number)
{
    static const char *const groups[] = {"root"};
    prepare(groups, 1, CONTROL_SUPPORT);
    count_is(0, 0);
    ck_assert_uint_eq(grants.count, 1);
    ck_assert_uint_eq(grants.of_group[0].group, 0);
    ck_assert_int_eq((int)grants.of_group[0].role, CONTROL_SUPPORT);
    ck_assert_uint_eq(grants.owner, geteuid());
    ck_assert_uint_eq(grants.refused_count, 0);
}
END_TEST

START_TEST(a_group_that_does_not_exist_is_told_with_its_line_and_what_helps)
{
    static const char *const groups[] = {"root", "no-such-group", "root"};
    prepare(groups, 3, CONTROL_READ);
    error_is("porteiro.conf:8: control_groups: group \"no-such-group\" does not exist",
             "groupadd no-such-group");
    count_is(1, 0);
    ck_assert_uint_eq(grants.count, 2);
}
END_TEST

START_TEST(more_groups_than_there_is_room_for_are_told)
{
    const char *groups[GRANTS_MAX + 1];
    for (size_t i = 0; i <= GRANTS_MAX; i++)
        groups[i] = "root";
    prepare(groups, GRANTS_MAX, CONTROL_READ);
    count_is(0, 0);
    prepare(groups, GRANTS_MAX + 1, CONTROL_READ);
    error_is("porteiro.conf:71: ", "more than 64 groups");
    ck_assert_uint_eq(grants.count, GRANTS_MAX);
}
END_TEST

START_TEST(without_groups_nobody_but_the_owner_may_anything)
{
    prepare(NULL, 0, CONTROL_READ);
    count_is(0, 0);
    ck_assert_uint_eq(grants.count, 0);
}
END_TEST

/* ---- who is who ---- */

/* What the visitor may, or NOTHING. */
static int visitor_may(void)
{
    int ends[2];
    enum control_role role = CONTROL_READ;
    uid_t uid = 0;
    visitor_comes();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    visitor_leaves();
    int outcome = grants_of_peer(&grants, ends[0], &role, &uid);
    ck_assert_uint_eq(uid, visitor_user());
    ck_assert_int_eq(close(ends[0]), 0);
    ck_assert_int_eq(close(ends[1]), 0);
    return outcome < 0 ? NOTHING : (int)role;
}

static void grant(gid_t group, enum control_role role)
{
    grants.of_group[grants.count].group = group;
    grants.of_group[grants.count++].role = role;
}

/* Nobody is granted anything; the owner is somebody else than the visitor. */
static void begin(void)
{
    findings_begin();
    grants = (struct grants){.owner = visitor_user() + 1};
}

START_TEST(who_is_in_no_group_may_nothing)
{
    grant(visitor_group() + 1000, CONTROL_ADMIN);
    ck_assert_int_eq(visitor_may(), NOTHING);
}
END_TEST

START_TEST(who_is_in_a_group_has_its_role)
{
    static const enum control_role roles[] = {CONTROL_READ, CONTROL_SUPPORT, CONTROL_ADMIN};
    grant(visitor_group(), roles[_i]);
    ck_assert_int_eq(visitor_may(), (int)roles[_i]);
}
END_TEST

START_TEST(a_group_beside_ones_own_counts_too)
{
    grant(visitor_second_group(), CONTROL_SUPPORT);
    ck_assert_int_eq(visitor_may(), CONTROL_SUPPORT);
}
END_TEST

START_TEST(who_is_in_several_groups_has_the_highest_role_of_them)
{
    grant(visitor_second_group(), _i == 0 ? CONTROL_READ : CONTROL_ADMIN);
    grant(visitor_group(), _i == 0 ? CONTROL_ADMIN : CONTROL_READ);
    grant(visitor_group(), CONTROL_SUPPORT);
    ck_assert_int_eq(visitor_may(), CONTROL_ADMIN);
}
END_TEST

START_TEST(the_owner_may_everything)
{
    grants.owner = visitor_user();
    ck_assert_int_eq(visitor_may(), CONTROL_ADMIN);
}
END_TEST

START_TEST(our_own_users_may_nothing_whatever_group_they_are_in)
{
    grant(visitor_group(), CONTROL_ADMIN);
    grants.refused[0] = visitor_user() + 2;
    grants.refused_count = 1;
    ck_assert_int_eq(visitor_may(), CONTROL_ADMIN);
    grants.refused[1] = visitor_user();
    grants.refused_count = 2;
    ck_assert_int_eq(visitor_may(), NOTHING);
}
END_TEST

START_TEST(not_started_by_root_the_owner_is_all_of_our_users_and_may_everything)
{
    grants.owner = grants.refused[0] = visitor_user();
    grants.refused_count = 1;
    ck_assert_int_eq(visitor_may(), CONTROL_ADMIN);
}
END_TEST

START_TEST(who_cannot_be_asked_who_he_is_may_nothing)
{
    int ends[2];
    enum control_role role;
    uid_t uid;
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(grants_of_peer(&grants, ends[0], &role, &uid), -1);
    ck_assert_int_eq(close(ends[0]), 0);
    ck_assert_int_eq(close(ends[1]), 0);
}
END_TEST

SUITE(grant)
{
    tcase_add_checked_fixture(tests, begin, findings_end);
    TEST(a_group_is_known_by_its_number);
    TEST(a_group_that_does_not_exist_is_told_with_its_line_and_what_helps);
    TEST(more_groups_than_there_is_room_for_are_told);
    TEST(without_groups_nobody_but_the_owner_may_anything);
    TEST(who_is_in_no_group_may_nothing);
    tcase_add_loop_test(tests, who_is_in_a_group_has_its_role, 0, 3);
    TEST(a_group_beside_ones_own_counts_too);
    tcase_add_loop_test(tests, who_is_in_several_groups_has_the_highest_role_of_them, 0, 2);
    TEST(the_owner_may_everything);
    TEST(our_own_users_may_nothing_whatever_group_they_are_in);
    TEST(not_started_by_root_the_owner_is_all_of_our_users_and_may_everything);
    TEST(who_cannot_be_asked_who_he_is_may_nothing);
}
