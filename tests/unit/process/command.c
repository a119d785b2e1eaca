#include "process/command.h"

#include "net/turns.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { OUTPUT_MAX = 1000 };

/* The command that is tested, and what came of it. */
static struct {
    struct command *command;
    unsigned done;
    bool is_good;
    char output[OUTPUT_MAX + 1], reason[1100];
} heard;

static char folder[64];

static void begin(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/porteiro-command-XXXXXX"); /* fits */
    ck_assert_ptr_nonnull(mkdtemp(folder));
    turns_begin();
}

static void end(void)
{
    char path[80];
    command_stop(&heard.command);
    turns_end();
    (void)snprintf(path, sizeof path, "%s/script", folder); /* fits, as below */
    (void)unlink(path);                                     /* a test may have none */
    (void)snprintf(path, sizeof path, "%s/out", folder);
    (void)unlink(path); /* likewise */
    ck_assert_int_eq(rmdir(folder), 0);
}

static void on_done(void *owner, const struct command_result *r)
{
    ck_assert_ptr_eq(owner, &heard);
    heard.command = NULL;
    heard.done++;
    heard.is_good = r->is_good;
    (void)span_copy(r->output, heard.output, sizeof heard.output);
    (void)snprintf(heard.reason, sizeof heard.reason, "%s", r->reason); /* cut to fit */
}

static void run_line(const char *line, const char *input, int64_t timeout_ns)
{
    const struct command_options options = {.loop = turns.loop,
                                            .line = line,
                                            .input = span_of(input),
                                            .output_max = OUTPUT_MAX,
                                            .timeout_ns = timeout_ns};
    struct error why = {.text = ""};
    heard.command = command_run(&options, on_done, &heard, &why);
    ck_assert_msg(heard.command != NULL, "%s", why.text);
}

/* A script of the shell, with two arguments. */
static void run_with(const char *script, const char *input, int64_t timeout_ns)
{
    char path[80], line[120];
    (void)snprintf(path, sizeof path, "%s/script", folder); /* fits, as below */
    FILE *stream = fopen(path, "we");
    ck_assert_ptr_nonnull(stream);
    ck_assert_int_gt(fprintf(stream, "#!/bin/sh\ncd %s\n%s\n", folder, script), 0);
    ck_assert_int_eq(fclose(stream), 0);
    ck_assert_int_eq(chmod(path, 0700), 0);
    (void)snprintf(line, sizeof line, "%s  one two ", path);
    run_line(line, input, timeout_ns);
}

static void run(const char *script)
{
    run_with(script, "", 60 * CLOCK_SECOND);
}

static void is_good(const char *output)
{
    UNTIL(heard.done == 1);
    ck_assert_msg(heard.is_good, "%s", heard.reason);
    ck_assert_str_eq(heard.output, output);
}

static void is_bad(const char *reason)
{
    UNTIL(heard.done == 1);
    ck_assert(!heard.is_good);
    ck_assert_msg(strstr(heard.reason, reason) != NULL, "%s", heard.reason);
    ck_assert_str_eq(heard.output, "");
}

START_TEST(what_a_command_says_is_told_when_it_has_ended)
{
    run("echo first; echo \"$# $1 $2\"");
    ck_assert_uint_eq(heard.done, 0); /* never from within */
    is_good("first\n2 one two\n");
}
END_TEST

START_TEST(a_command_reads_its_input_to_the_end)
{
    run_with("cat", "{\"event\": \"ban\"}", 60 * CLOCK_SECOND);
    is_good("{\"event\": \"ban\"}");
}
END_TEST

START_TEST(without_input_a_command_finds_an_end)
{
    run("wc -c");
    is_good("0\n");
}
END_TEST

START_TEST(input_that_nobody_reads_is_dropped)
{
    static char much[200 * 1024];
    memset(much, 'a', sizeof much - 1);
    run_with("echo done", much, 60 * CLOCK_SECOND);
    is_good("done\n");
}
END_TEST

START_TEST(a_status_other_than_0_is_told_with_the_last_line_of_standard_error)
{
    run("echo out; echo first >&2; echo last word >&2; exit 7");
    is_bad("exit status 7: last word");
}
END_TEST

START_TEST(of_much_standard_error_the_end_is_told)
{
    run("seq 100000 >&2; echo the end >&2; exit 1");
    is_bad("exit status 1: the end");
}
END_TEST

START_TEST(a_signal_is_told)
{
    run("kill -TERM $$");
    is_bad("signal 15");
}
END_TEST

START_TEST(a_program_that_is_not_there_is_told)
{
    run_line("/nowhere/program", "", 60 * CLOCK_SECOND);
    is_bad("exit status 127: No such file or directory");
}
END_TEST

START_TEST(a_command_that_takes_too_long_is_killed)
{
    run_with("sleep 1000", "", 50 * CLOCK_MS);
    is_bad("too long");
}
END_TEST

START_TEST(a_command_that_says_too_much_is_killed)
{
    run("yes");
    is_bad("more than is read");
}
END_TEST

/* The pid that the command has written, whether or not it lives. */
static pid_t written_pid(void)
{
    char path[80], text[20] = "";
    (void)snprintf(path, sizeof path, "%s/out", folder); /* fits */
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    (void)!read(fd, text, sizeof text - 1); /* else there is nothing yet */
    ck_assert_int_eq(close(fd), 0);
    return strchr(text, '\n') == NULL ? 0 : (pid_t)atol(text);
}

/* A child of a child is init's, which reaps it in its own time. */
static bool is_gone(pid_t pid)
{
    char path[40], stat[200] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid); /* fits */
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    (void)!read(fd, stat, sizeof stat - 1); /* else it is just going */
    ck_assert_int_eq(close(fd), 0);
    const char *state = strrchr(stat, ')');
    return state == NULL || state[2] == 'Z' || state[2] == 'X';
}

START_TEST(what_a_command_has_started_ends_with_it)
{
    run("sleep 1000 &\necho $! > out");
    is_good("");
    pid_t pid = written_pid();
    ck_assert_int_gt(pid, 0);
    UNTIL(is_gone(pid));
}
END_TEST

START_TEST(who_stops_a_command_hears_no_more_of_it)
{
    run("echo $$ > out; sleep 1000");
    UNTIL(written_pid() > 0);
    command_stop(&heard.command);
    ck_assert_ptr_null(heard.command);
    ck_assert(is_gone(written_pid()));
    turns_for(5);
    ck_assert_uint_eq(heard.done, 0);
    command_stop(&heard.command);
}
END_TEST

START_TEST(a_command_inherits_no_descriptor_and_no_environment)
{
    ck_assert_int_eq(dup2(STDIN_FILENO, 77), 77); /* stays open over exec, were it left */
    ck_assert_int_eq(setenv("SECRET", "open sesame", 1), 0);
    run("[ -e /proc/$$/fd/77 ] && echo open; echo \"$SECRET.\"");
    is_good(".\n");
    ck_assert_int_eq(close(77), 0);
}
END_TEST

START_TEST(a_line_without_a_word_or_with_too_many_is_no_command)
{
    char line[400] = "/bin/true";
    struct error why;
    struct command_options options = {
        .loop = turns.loop, .line = "  ", .output_max = 1, .timeout_ns = CLOCK_SECOND};
    ck_assert_ptr_null(command_run(&options, on_done, &heard, &why));
    while (strlen(line) < sizeof line - 3)
        strcat(line, " a");
    options.line = line;
    ck_assert_ptr_null(command_run(&options, on_done, &heard, &why));
    ck_assert_ptr_nonnull(strstr(why.text, "64 words"));
}
END_TEST

SUITE(command)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(what_a_command_says_is_told_when_it_has_ended);
    TEST(a_command_reads_its_input_to_the_end);
    TEST(without_input_a_command_finds_an_end);
    TEST(input_that_nobody_reads_is_dropped);
    TEST(a_status_other_than_0_is_told_with_the_last_line_of_standard_error);
    TEST(of_much_standard_error_the_end_is_told);
    TEST(a_signal_is_told);
    TEST(a_program_that_is_not_there_is_told);
    TEST(a_command_that_takes_too_long_is_killed);
    TEST(a_command_that_says_too_much_is_killed);
    TEST(what_a_command_has_started_ends_with_it);
    TEST(who_stops_a_command_hears_no_more_of_it);
    TEST(a_command_inherits_no_descriptor_and_no_environment);
    TEST(a_line_without_a_word_or_with_too_many_is_no_command);
}
