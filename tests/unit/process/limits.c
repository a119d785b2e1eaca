#include "process/limits.h"

#include "base/clock.h"
#include "decision/limits_file.h"

#include "support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MASTER = 0, WORKER = 1, TURNS = 8 };
#define HOUR INT64_C(3600000000)

static struct {
    char folder[64], path[100], draft[100];
    struct mapping map;
    struct event_log log;
    struct limits *limits;
    struct memory worker;
    int64_t now_ns;
    int lines[2]; /* of the log: ours, the program's */
} it;

/* The folder goes even when a test fails. */
static void make_folder(void)
{
    (void)snprintf(it.folder, sizeof it.folder, "/tmp/porteiro-unit-XXXXXX"); /* fits, as below */
    if (mkdtemp(it.folder) == NULL)
        abort();
    (void)snprintf(it.path, sizeof it.path, "%s/limits", it.folder);
    (void)snprintf(it.draft, sizeof it.draft, "%s/limits.new", it.folder);
}

static void empty_folder(void)
{
    (void)unlink(it.draft); /* not all tests leave all of them */
    (void)rmdir(it.draft);
    (void)unlink(it.path);
}

static void remove_folder(void)
{
    empty_folder();
    (void)rmdir(it.folder); /* it is in /tmp */
}

/* ---- a life, from start to end ---- */

static void begin_life(void)
{
    struct error why;
    ck_assert_msg(mapping_create(&it.map, 10, &why) == 0, "%s", why.text);
    it.limits = limits_create(&it.map, MASTER, &it.log);
}

static uint16_t claim(const char *rule)
{
    int fresh, slot = label_claim(it.map.labels, LABEL_RULE, rule, 1, &fresh);
    ck_assert_int_ge(slot, 0);
    if (fresh)
        limits_clear(it.limits, (size_t)slot);
    return (uint16_t)slot;
}

static void load(void)
{
    limits_load(it.limits, it.folder);
    it.worker = memory_open(it.map.limits, it.map.limits_key, WORKER, NULL);
}

/* The master is gone, whether it could finish or not. */
static void restart(void)
{
    limits_destroy(&it.limits);
    begin_life();
}

static void begin(void)
{
    empty_folder();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, it.lines),
                     0);
    it.log = (struct event_log){.lines = log_create(it.lines[1], LOG_LEVEL_INFO), .process = ""};
    it.now_ns = CLOCK_SECOND;
    ck_assert_ptr_nonnull(it.log.lines);
    begin_life();
}

static void end(void)
{
    limits_destroy(&it.limits);
    log_destroy(&it.log.lines);
    (void)close(it.lines[0]); /* were read, and written to the end */
    (void)close(it.lines[1]);
}

/* One in an hour. */
static bool passes(uint16_t slot, const char *key)
{
    const struct counter_take t = {.kind = COUNTER_RATE,
                                   .needs = STORE_NO_GROUP,
                                   .slot = slot,
                                   .key = span_of(key),
                                   .rate = {HOUR, HOUR, 0}};
    struct counter_answer a;
    ck_assert_int_eq(memory_take(&it.worker, &t, 1, &a), 0);
    return a.is_taken;
}

static void turn(unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        limits_turn(it.limits, it.folder, it.now_ns);
        it.now_ns += CLOCK_SECOND;
    }
}

/* What was said since it was asked last, all in one. */
static const char *said(void)
{
    static char text[8192];
    log_flush(it.log.lines);
    ssize_t got = recv(it.lines[0], text, sizeof text - 1, 0);
    for (ssize_t i = 0; i < got; i++)
        text[i] = (char)(text[i] == '\0' ? '\n' : text[i]);
    text[got < 0 ? 0 : got] = '\0';
    return text;
}

static void has_said(const char *event, const char *what)
{
    const char *line = said();
    ck_assert_msg(strstr(line, event) != NULL && strstr(line, what) != NULL, "%s", line);
}

static void has_said_nothing(void)
{
    ck_assert_str_eq(said(), "");
}

static bool is_there(const char *path)
{
    struct stat s;
    return lstat(path, &s) == 0;
}

/* ---- what is promised ---- */

START_TEST(what_was_counted_counts_after_a_restart)
{
    struct stat s;
    (void)claim("first");
    uint16_t rule = claim("rule");
    load();
    has_said_nothing();
    ck_assert(passes(rule, "rule ana"));
    turn(TURNS);
    ck_assert_int_eq(stat(it.path, &s), 0);
    ck_assert_uint_eq(s.st_mode & 0777, 0600);
    ck_assert(!is_there(it.draft));
    restart();
    uint16_t now = claim("rule");
    ck_assert_uint_ne(now, rule);
    load();
    has_said("limits_restored", "count=1");
    ck_assert(!passes(now, "rule ana"));
    ck_assert(passes(now, "rule bob"));
}
END_TEST

START_TEST(half_of_it_is_written_in_half_of_the_turns_and_has_no_name_yet)
{
    struct stat before, after;
    (void)claim("rule");
    load();
    turn(TURNS - 1);
    ck_assert(!is_there(it.path) && is_there(it.draft));
    turn(1);
    ck_assert(is_there(it.path) && !is_there(it.draft));
    turn(2);
    ck_assert(!is_there(it.draft)); /* ten seconds have not passed */
    ck_assert_int_eq(stat(it.path, &before), 0);
    turn(TURNS);
    ck_assert_int_eq(stat(it.path, &after), 0);
    ck_assert_uint_ne(before.st_ino, after.st_ino);
}
END_TEST

START_TEST(at_the_end_all_of_it_is_written_and_nothing_more)
{
    struct stat before, after;
    uint16_t rule = claim("rule");
    load();
    turn(3);
    ck_assert(passes(rule, "rule ana"));
    limits_finish(it.limits, it.folder);
    ck_assert_int_eq(stat(it.path, &before), 0);
    turn(3 * TURNS);
    ck_assert_int_eq(stat(it.path, &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    ck_assert(!is_there(it.draft));
    restart();
    rule = claim("rule");
    load();
    ck_assert(!passes(rule, "rule ana"));
}
END_TEST

START_TEST(a_master_that_is_killed_leaves_what_was_written_last)
{
    uint16_t rule = claim("rule");
    load();
    ck_assert(passes(rule, "rule ana"));
    turn(TURNS + 2 + 3);
    ck_assert(is_there(it.draft));
    struct limits *killed = it.limits;
    begin_life();
    rule = claim("rule");
    load();
    ck_assert(!passes(rule, "rule ana"));
    turn(1);
    has_said("limits_restored", "count=1"); /* and nothing of the draft, which is begun anew */
    turn(TURNS - 1);
    has_said_nothing();
    ck_assert(!is_there(it.draft));
    limits_destroy(&killed);
}
END_TEST

START_TEST(without_a_rule_nothing_is_written)
{
    load();
    turn(2 * TURNS);
    limits_finish(it.limits, it.folder);
    ck_assert(!is_there(it.path) && !is_there(it.draft));
    has_said_nothing();
}
END_TEST

START_TEST(a_slot_that_gets_another_rule_meanwhile_is_that_rules_after_a_restart)
{
    (void)claim("old");
    load();
    turn(TURNS / 2);
    labels_release(it.map.labels, 1);
    uint16_t rule = claim("rule");
    for (char c = 'a'; c <= 'z'; c++)
        ck_assert(passes(rule, (char[]){'r', 'u', 'l', 'e', ' ', c, '\0'}));
    turn(TURNS);
    restart();
    rule = claim("rule");
    load();
    has_said("limits_restored", "count=26");
    ck_assert(!passes(rule, "rule a"));
}
END_TEST

START_TEST(a_shard_that_is_held_is_awaited_from_turn_to_turn)
{
    const uint32_t other = 5, nobody = 0;
    (void)claim("rule");
    load();
    turn(1);
    memcpy((char *)it.map.limits + (size_t)64 * 20, &other, sizeof other); /* of the third turn */
    turn(TURNS);
    ck_assert(!is_there(it.path) && is_there(it.draft));
    memcpy((char *)it.map.limits + (size_t)64 * 20, &nobody, sizeof nobody);
    turn(TURNS - 2);
    ck_assert(is_there(it.path));
    has_said_nothing();
}
END_TEST

/* ---- files that are none ---- */

static void write_text(const char *text)
{
    FILE *f = fopen(it.path, "we");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static void cut_off(void)
{
    struct stat s;
    (void)claim("rule");
    limits_finish(it.limits, it.folder);
    ck_assert_int_eq(stat(it.path, &s), 0);
    ck_assert_int_eq(truncate(it.path, s.st_size - 1), 0);
    restart();
}

static void text(void)
{
    write_text("hello\n");
}

static void nothing(void)
{
    write_text("");
}

static void too_large(void)
{
    write_text("");
    ck_assert_int_eq(truncate(it.path, LIMITS_FILE_MAX + 1), 0);
}

static void link_to_ours(void)
{
    ck_assert_int_eq(symlink("/etc/passwd", it.path), 0);
}

static void pipe_of_ours(void)
{
    ck_assert_int_eq(mkfifo(it.path, 0600), 0);
}

static void anothers(void)
{
    write_text("");
    if (geteuid() == 0)
        ck_assert_int_eq(chown(it.path, 65534, 65534), 0);
}

static const struct {
    void (*lay)(void);
    const char *why;
} wrong[] = {
    {cut_off, "not whole"},
    {text, "no file of limits"},
    {nothing, "no file of limits"},
    {too_large, "larger than it can be"},
    {link_to_ours, it.path},
    {pipe_of_ours, "no plain file"},
    {anothers, it.path},
};

START_TEST(a_file_that_can_not_be_used_is_said_and_replaced)
{
    wrong[_i].lay();
    uint16_t rule = claim("rule");
    load();
    const char *line = said();
    ck_assert_ptr_nonnull(strstr(line, "event=limits_refused"));
    ck_assert_msg(strstr(line, wrong[_i].why) != NULL && strstr(line, it.path) != NULL, "%s", line);
    ck_assert(passes(rule, "rule ana"));
    turn(TURNS);
    has_said_nothing();
    restart();
    rule = claim("rule");
    load();
    has_said("limits_restored", "count=1");
    ck_assert(!passes(rule, "rule ana"));
}
END_TEST

START_TEST(where_it_can_not_be_written_is_said_once_until_it_can)
{
    uint16_t rule = claim("rule");
    load();
    ck_assert(passes(rule, "rule ana"));
    turn(TURNS);
    ck_assert_int_eq(mkdir(it.draft, 0700), 0); /* in its way */
    turn(10);
    has_said("event=limits_unwritten", it.draft);
    turn(20);
    has_said_nothing();
    ck_assert_int_eq(rmdir(it.draft), 0);
    turn(20);
    has_said_nothing();
    ck_assert_int_eq(mkdir(it.draft, 0700), 0);
    limits_finish(it.limits, it.folder);
    has_said("event=limits_unwritten", it.draft);
    restart();
    rule = claim("rule");
    load();
    has_said("limits_restored", "count=1"); /* what was written before is there */
}
END_TEST

SUITE(limits)
{
    tcase_add_unchecked_fixture(tests, make_folder, remove_folder);
    tcase_add_checked_fixture(tests, begin, end);
    TEST(what_was_counted_counts_after_a_restart);
    TEST(half_of_it_is_written_in_half_of_the_turns_and_has_no_name_yet);
    TEST(at_the_end_all_of_it_is_written_and_nothing_more);
    TEST(a_master_that_is_killed_leaves_what_was_written_last);
    TEST(without_a_rule_nothing_is_written);
    TEST(a_slot_that_gets_another_rule_meanwhile_is_that_rules_after_a_restart);
    TEST(a_shard_that_is_held_is_awaited_from_turn_to_turn);
    LOOP_TEST(a_file_that_can_not_be_used_is_said_and_replaced, wrong);
    TEST(where_it_can_not_be_written_is_said_once_until_it_can);
}
