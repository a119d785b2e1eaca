#include "config/source.h"

#include "folder.h"

/* Looks at porteiro.conf with this text before the parser does. */
static void look_at(const char *text)
{
    findings_end();
    findings_begin();
    folder_write("porteiro.conf", text);
    struct source *source = source_read(folder_path("porteiro.conf"), findings);
    ck_assert_ptr_nonnull(source);
    source_check(source, findings);
    source_destroy(&source);
}

START_TEST(what_the_parser_takes_is_taken)
{
    static const char *const texts[] = {
        "",
        "# nothing\n// nothing\n/* nothing\n at all */\n",
        "a = 1\n",
        "a = 1;\nb = 2,\nc = 3\n",
        "a = 1 b = 2 c = 3\n",
        "a : 1\n",
        "a=1\n",
        "a = -5\nb = +5\nc = 2147483647\nd = -2147483647\n",
        "a = true\nb = false\n",
        "a = \"\"\n",
        "a = \"x # y // z /* { [ , \"\n",
        "a = \"say \\\"yes\\\"\"\n",
        "a = \"back\\\\\"\nb = 1\n",
        "a = []\nb = [ ]\n",
        "a = [\"x\"]\nb = [\"x\", \"y\"]\nc = [1,2,3]\nd = [true]\n",
        "a = [\n  \"x\",  # one\n  \"y\"   /* two */\n]\n",
        "a = ()\nb = (1, \"x\", { c = 1 })\n",
        "a = { }\nb = { c = 1 }\nd = { e = { f = [\"x\"] } g = 2 }\n",
        "a = { b = 1; c = \"x\"; }; d = { e = 1 },\n",
        "a\n=\n1\n",
        "a-b = 1\nc_d = 2\nE9 = 3\n",
        "a = 1 # b = yes\n",
        "\ta = 1\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        look_at(texts[i]);
        ck_assert_msg(errors_count(findings) == 0, "%s", texts[i]);
    }
}
END_TEST

/* Each text has one mistake, which is told once, in its line, with the word and what would do. */
static const struct mistake {
    const char *text, *start, *part;
} mistakes[] = {
    /* a missing comma: libconfig joins the two */
    {"a = [\"x\" \"y\"]\n", "porteiro.conf:1: y: ", "comma is missing"},
    {"a = [\n  \"x\",\n  \"y\"\n  \"z\"\n]\n", "porteiro.conf:4: z: ", "comma is missing"},
    {"a = \"x\" \"y\"\n", "porteiro.conf:1: y: ", "comma is missing"},
    {"a = [1 2]\n", "porteiro.conf:1: 2: ", "comma is missing"},
    {"a = [\"x\" 2]\n", "porteiro.conf:1: 2: ", "comma is missing"},
    {"a = [true \"x\"]\n", "porteiro.conf:1: x: ", "comma is missing"},
    /* a comma too many */
    {"a = [\"x\", ]\n", "porteiro.conf:1: ", "comma"},
    {"a = [\n  \"x\",\n  \"y\",\n]\n", "porteiro.conf:3: ", "comma"},
    {"a = (1,)\n", "porteiro.conf:1: ", "comma"},
    /* numbers past 31 bits: libconfig wraps them */
    {"a = 2147483648\n", "porteiro.conf:1: 2147483648: ", "too large"},
    {"a = 1\nb = 3000000000\n", "porteiro.conf:2: 3000000000: ", "in quotes, as \"3G\""},
    {"a = -3000000000\n", "porteiro.conf:1: -3000000000: ", "too large"},
    {"a = 18446744073709551616\n", "porteiro.conf:1: 18446744073709551616: ", "too large"},
    {"a = [1, 4294967297]\n", "porteiro.conf:1: 4294967297: ", "too large"},
    /* yes, no, on, off */
    {"a = yes\n", "porteiro.conf:1: yes: ", "write true"},
    {"a = on\n", "porteiro.conf:1: on: ", "write true"},
    {"a = no\n", "porteiro.conf:1: no: ", "write false"},
    {"a = 1\nb = off;\n", "porteiro.conf:2: off: ", "write false"},
    {"a = { b = { c = on } }\n", "porteiro.conf:1: on: ", "write true"},
    /* values without quotes */
    {"a = 5min\n", "porteiro.conf:1: 5min: ", "quotes"},
    {"a = 50M\n", "porteiro.conf:1: 50M: ", "quotes"},
    {"a = mail.example.com\n", "porteiro.conf:1: mail.example.com: ", "quotes"},
    {"a = debug\nb = 1\n", "porteiro.conf:1: debug: ", "quotes"},
    {"a = [x, \"y\"]\n", "porteiro.conf:1: x: ", "quotes"},
    {"a = /etc/x\n", "porteiro.conf:1: /etc/x: ", "quotes"},
    /* names that can't be */
    {"mail.example.com = { }\n", "porteiro.conf:1: mail.example.com: ", "letters"},
    {"a = { 1st = { } }\n", "porteiro.conf:1: 1st: ", "begin with a letter"},
    {"\na = {\n  \"x\" = 1\n}\n", "porteiro.conf:3: x: ", "name"},
    {"_a = 1\n", "porteiro.conf:1: _a: ", "begin with a letter"},
    {"a@b = 1\n", "porteiro.conf:1: a@b: ", "letters"},
    /* groups left open, and closed where none is */
    {"a = {\n  b = 1\n", "porteiro.conf:1: {: ", "never closed"},
    {"a = 1\nb = {\n  c = {\n    d = 1\n  }\n", "porteiro.conf:2: {: ", "never closed"},
    {"a = [\"x\"\n", "porteiro.conf:1: [: ", "never closed"},
    {"a = 1\n}\n", "porteiro.conf:2: }: ", "isn't open"},
    {"a = { b = 1 ]\n", "porteiro.conf:1: ]: ", "isn't open"},
    {"a = [\"x\" }\n", "porteiro.conf:1: }: ", "isn't open"},
    /* "=" and values that are missing */
    {"log {\n  level = \"info\"\n}\n", "porteiro.conf:1: log: ", "\"=\""},
    {"a \"x\"\nb = 1\n", "porteiro.conf:1: a: ", "\"=\""},
    {"a [\"x\"]\nb = 1\n", "porteiro.conf:1: a: ", "\"=\""},
    {"a 5\nb = 1\n", "porteiro.conf:1: a: ", "\"=\""},
    {"a = 1\nb\n", "porteiro.conf:2: b: ", "missing"},
    {"a = 1\nb =\n", "porteiro.conf:2: =: ", "missing"},
    {"a = { b = }\n", "porteiro.conf:1: =: ", "missing"},
    {"a = { b }\n", "porteiro.conf:1: b: ", "missing"},
    {"a = ;\nb = 1\n", "porteiro.conf:1: ;: ", "missing"},
    /* strings without end */
    {"a = \"x\nb = 1\n", "porteiro.conf:1: x: ", "closing quote"},
    {"a = \"x\\\"\nb = 1\n", "porteiro.conf:1: ", "closing quote"},
};

/* What follows these can only be guessed, and may be told too. */
static const struct mistake guessed[] = {
    {"a = [\n  \"x,\n  \"y\"\n]\n", "porteiro.conf:2: x,: ", "closing quote"},
    {"a = 1 @include \"x.conf\"\n", "porteiro.conf:1: @include: ", "a line of its own"},
    {"@include x.conf\n", "porteiro.conf:1: @include: ", "a line of its own"},
};

START_TEST(a_mistake_is_told_in_its_line_with_what_would_do)
{
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        look_at(mistakes[i].text);
        error_is(mistakes[i].start, mistakes[i].part);
    }
    for (size_t i = 0; i < sizeof guessed / sizeof *guessed; i++) {
        look_at(guessed[i].text);
        error_is(guessed[i].start, guessed[i].part);
    }
}
END_TEST

START_TEST(a_mistake_is_told_once)
{
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        look_at(mistakes[i].text);
        ck_assert_msg(errors_count(findings) == 1, "%zu errors in\n%s", errors_count(findings),
                      mistakes[i].text);
    }
}
END_TEST

/* What was left out is told; the keys behind it are as good as they were. */
START_TEST(a_missing_value_does_not_spoil_what_follows)
{
    static const struct {
        const char *text, *start;
    } cases[] = {
        {"hostname\nuser = \"x\"\nworkers = 1\n", "porteiro.conf:1: hostname: "},
        {"hostname =\nuser = \"x\"\nworkers = 1\n", "porteiro.conf:1: "},
        {"hostname mail\nuser = \"x\"\nworkers = 1\n", "porteiro.conf:1: hostname: "},
        {"log = {\n  level\n  format = \"json\"\n}\n", "porteiro.conf:2: level: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        look_at(cases[i].text);
        error_is(cases[i].start, "");
        count_is(1, 0);
    }
}
END_TEST

START_TEST(a_long_word_is_no_number)
{
    static const char *const texts[] = {
        "hostname = mail-gateway.example.com\n",
        "state_dir = /var/lib/porteiro/spool\n",
        "user = abcdefghijklmnopqrstuvwxyz\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        look_at(texts[i]);
        error_is("porteiro.conf:1: ", "quotes");
        ck_assert_uint_eq(told(FINDING_ERROR, "", "number"), 0);
    }
}
END_TEST

/* The parser takes the rest of the file for the comment, without a word. */
START_TEST(a_comment_that_never_ends_is_told)
{
    look_at("a = 1\n/* what follows is gone\nb = 2\n");
    error_is("porteiro.conf:2: ", "never");
}
END_TEST

START_TEST(all_mistakes_are_told_at_once_in_the_order_of_their_lines)
{
    look_at("a = yes\nb = 5min\nc = [\"x\" \"y\"]\nd = 3000000000\ne.f = 1\ng = [1,]\nh = {\n");
    error_is("porteiro.conf:1: yes: ", "true");
    error_is("porteiro.conf:2: 5min: ", "quotes");
    error_is("porteiro.conf:3: y: ", "comma");
    error_is("porteiro.conf:4: 3000000000: ", "large");
    error_is("porteiro.conf:5: e.f: ", "name");
    error_is("porteiro.conf:6: ", "comma");
    error_is("porteiro.conf:7: {: ", "closed");
    count_is(7, 0);
}
END_TEST

START_TEST(a_mistake_in_an_include_has_the_place_of_the_include)
{
    folder_write("more.conf", "b = 2\n\nc = yes\n");
    look_at("a = 1\n@include \"more.conf\"\nd = off\n");
    error_is("more.conf:3: yes: ", "true");
    error_is("porteiro.conf:3: off: ", "false");
    count_is(2, 0);
}
END_TEST

START_TEST(lines_are_counted_over_comments_and_texts)
{
    look_at("/* one\ntwo\n*/ a = 1 // three\n# four\nb = \"5\"\n\n\nc = yes\n");
    error_is("porteiro.conf:8: yes: ", "true");
    count_is(1, 0);
}
END_TEST

START_TEST(groups_without_end_are_told_and_not_followed)
{
    static char text[4000];
    size_t used = 0;
    for (int i = 0; i < 500; i++) {
        memcpy(text + used, "a = { ", 6);
        used += 6;
    }
    look_at(text);
    error_is("porteiro.conf:1: ", "too deeply");
}
END_TEST

START_TEST(any_text_is_looked_at_to_its_end)
{
    static const char *const words[] = {"a ", "= ", "{ ", "} ", "[ ", "] ",  "( ",  ") ", "\"x\" ",
                                        "\"", ", ", "; ", "# ", "\n", "/* ", "*/ ", "5 ", "\\"};
    uint32_t seed = 5;
    for (int round = 0; round < 1000; round++) {
        char text[256] = "";
        size_t used = 0;
        for (int n = 0; n < 30; n++) {
            seed = seed * UINT32_C(1664525) + UINT32_C(1013904223);
            const char *word = words[(seed >> 16) % (sizeof words / sizeof *words)];
            memcpy(text + used, word, strlen(word));
            used += strlen(word);
        }
        look_at(text);
    }
}
END_TEST

SUITE(source_check)
{
    folder_use(tests);
    TEST(what_the_parser_takes_is_taken);
    TEST(a_mistake_is_told_in_its_line_with_what_would_do);
    TEST(a_mistake_is_told_once);
    TEST(a_missing_value_does_not_spoil_what_follows);
    TEST(a_long_word_is_no_number);
    TEST(a_comment_that_never_ends_is_told);
    TEST(all_mistakes_are_told_at_once_in_the_order_of_their_lines);
    TEST(a_mistake_in_an_include_has_the_place_of_the_include);
    TEST(lines_are_counted_over_comments_and_texts);
    TEST(groups_without_end_are_told_and_not_followed);
    TEST(any_text_is_looked_at_to_its_end);
}
