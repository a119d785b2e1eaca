#include "message/headers.h"

#include "support/splits.h"
#include "support/test.h"

enum { TEXT_MAX = 4096 };

static struct {
    struct span input;
    struct headers headers;
    struct headers_cut cut;
    enum headers_result result;
    char before[TEXT_MAX], behind[TEXT_MAX];
    size_t before_size, behind_size;
} run;

static void append(char *to, size_t *size, struct span s)
{
    if (s.size > TEXT_MAX - *size)
        ck_abort_msg("more text than a test has room for");
    memcpy(to + *size, s.data, s.size);
    *size += s.size;
}

static void restart(void *owner)
{
    (void)owner;
    run.headers = (struct headers){.size = 0};
    run.result = HEADERS_MORE;
    run.before_size = run.behind_size = 0;
}

/* The piece lies in memory of exactly its size, so that a sanitizer sees a look past its end. */
static void feed(void *owner, struct span piece)
{
    (void)owner;
    if (run.result != HEADERS_MORE) {
        append(run.behind, &run.behind_size, piece);
        return;
    }
    char *copy = malloc(piece.size == 0 ? 1 : piece.size);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, piece.data, piece.size);
    run.result = headers_take(&run.headers, span_make(copy, piece.size), &run.cut);
    for (int i = 0; i < 2; i++)
        append(run.before, &run.before_size, run.cut.headers[i]);
    for (int i = 0; i < 2; i++)
        append(run.behind, &run.behind_size, run.cut.behind[i]);
    free(copy);
}

/* ---- the model: the whole text is there ---- */

static bool is_field_of_model(struct span line, struct span *name)
{
    const char *colon = memchr(line.data, ':', line.size);
    if (colon == NULL)
        return false;
    *name = span_make(line.data, (size_t)(colon - line.data));
    if (name->size > HEADERS_NAME_MAX)
        return false;
    *name = span_trim(*name);
    for (size_t i = 0; i < name->size; i++)
        if ((unsigned char)name->data[i] < 33 || (unsigned char)name->data[i] > 126)
            return false;
    return name->size > 0;
}

static struct {
    size_t size;
    enum headers_result result;
    unsigned count[HEADER_FIELDS];
} model;

static void make_model(struct span text)
{
    static const char *const names[] = {"Received", "Date", "Message-ID"};
    struct span rest = text;
    memset(&model, 0, sizeof model);
    for (bool is_first = true; rest.size > 0; is_first = false) {
        struct span name, at = rest, line = span_split(&rest, '\n');
        bool is_dotted = line.data[0] == '.';
        line.size--; /* CR */
        if (line.size == 0) {
            model.result = HEADERS_END;
            rest = at;
            break;
        }
        if (is_dotted)
            span_skip(&line, 1);
        bool is_white = line.size > 0 && (line.data[0] == ' ' || line.data[0] == '\t');
        if (is_white && !is_first)
            continue;
        if (is_white || !is_field_of_model(line, &name)) {
            model.result = HEADERS_NO_LINE;
            rest = at;
            break;
        }
        for (int i = 0; i < HEADER_FIELDS; i++)
            model.count[i] += span_equals_nocase(name, names[i]);
    }
    model.size = text.size - rest.size;
}

static void must(bool is_kept, const char *promise)
{
    if (!is_kept)
        ck_abort_msg("\"%.*s\": %s", (int)run.input.size, run.input.data, promise);
}

static void done(void *owner)
{
    (void)owner;
    must(run.result == model.result, "they end where they should, and as they should");
    must(run.headers.kept == 0, "nothing is kept of a whole text");
    must(run.before_size == model.size, "they are as large as they should be");
    must(run.headers.size == model.size, "the size is told");
    must(memcmp(run.before, run.input.data, model.size) == 0, "they go on as they are");
    must(run.before_size + run.behind_size == run.input.size, "nothing is lost");
    must(memcmp(run.behind, run.input.data + model.size, run.behind_size) == 0,
         "what is behind them is as it was");
    for (int i = 0; i < HEADER_FIELDS; i++)
        must(run.headers.count[i] == model.count[i], "the fields are counted");
}

static void check(struct span text)
{
    run.input = text;
    make_model(text);
    every_split(text, restart, feed, done, NULL);
}

/* ---- the promises ---- */

/* RFC 5322: sections 2.2 and 2.2.3 (fields, folding), 4.5.8 (white space before the colon), 4.2
 * (folded lines of white space alone). */
static const struct {
    const char *text, *headers;
    enum headers_result result;
    unsigned count[HEADER_FIELDS];
} cases[] = {
    {"From: a\r\n\r\nDate: b\r\n", "From: a\r\n", HEADERS_END, {0}},
    {"\r\nDate: b\r\n", "", HEADERS_END, {0}},
    {"Date: a\r\nMESSAGE-ID:<b>\r\nreceived: c\r\nReceived: d\r\n\r\n",
     "Date: a\r\nMESSAGE-ID:<b>\r\nreceived: c\r\nReceived: d\r\n",
     HEADERS_END,
     {2, 1, 1}},
    {"X: a\r\n Date: b\r\n\tReceived: c\r\n\r\n",
     "X: a\r\n Date: b\r\n\tReceived: c\r\n",
     HEADERS_END,
     {0}},
    {"X: a\r\n \r\n\t\r\nDate: b\r\n\r\n", "X: a\r\n \r\n\t\r\nDate: b\r\n", HEADERS_END, {0, 1}},
    {"Date \t: a\r\n\r\n", "Date \t: a\r\n", HEADERS_END, {0, 1}},
    {"Date:\r\n\r\n", "Date:\r\n", HEADERS_END, {0, 1}},
    {"Dates: a\r\nX-Date: b\r\nDat: c\r\n\r\n",
     "Dates: a\r\nX-Date: b\r\nDat: c\r\n",
     HEADERS_END,
     {0}},
    /* No empty line in front of the body. */
    {"hello\r\n\r\n", "", HEADERS_NO_LINE, {0}},
    {"hello world: b\r\n", "", HEADERS_NO_LINE, {0}},
    {"X: a\r\nhello\r\nDate: b\r\n", "X: a\r\n", HEADERS_NO_LINE, {0}},
    {"X: a\r\nhello world\r\n", "X: a\r\n", HEADERS_NO_LINE, {0}},
    {": a\r\n", "", HEADERS_NO_LINE, {0}},
    {" : a\r\n", "", HEADERS_NO_LINE, {0}},
    {"X: a\r\nd\303\251j\303\240: b\r\n", "X: a\r\n", HEADERS_NO_LINE, {0}},
    {"X: a\r\nb\x01: c\r\n", "X: a\r\n", HEADERS_NO_LINE, {0}},
    {" X: a\r\n\r\n", "", HEADERS_NO_LINE, {0}},
    {"From alice Thu Jan  1 00:00:00 2026\r\nX: a\r\n", "", HEADERS_NO_LINE, {0}},
    /* No end at all. */
    {"", "", HEADERS_MORE, {0}},
    {"X: a\r\nDate: b\r\n", "X: a\r\nDate: b\r\n", HEADERS_MORE, {0, 1}},
    {"X: a\r\n b\r\n", "X: a\r\n b\r\n", HEADERS_MORE, {0}},
    /* Dots are doubled; the reader has one less. */
    {".Date: a\r\n\r\n", ".Date: a\r\n", HEADERS_END, {0, 1}},
    {"..Date: a\r\n\r\n", "..Date: a\r\n", HEADERS_END, {0}},
    {"X: a\r\n. Date: b\r\n\r\n", "X: a\r\n. Date: b\r\n", HEADERS_END, {0}},
    {"X: a\r\n..\r\nDate: b\r\n", "X: a\r\n", HEADERS_NO_LINE, {0}},
};

START_TEST(fields_and_their_end_are_found_however_the_text_is_cut)
{
    struct span text = span_of(cases[_i].text);
    make_model(text);
    ck_assert_uint_eq(model.size, strlen(cases[_i].headers));
    ck_assert_int_eq(model.result, cases[_i].result);
    ck_assert_mem_eq(model.count, cases[_i].count, sizeof model.count);
    check(text);
}
END_TEST

START_TEST(every_short_text_is_read_as_the_model_says_however_it_is_cut)
{
    static const char *const words[] = {"Date", ":", " ", "\r\n", ".", "x"};
    enum { WORDS = sizeof words / sizeof *words };
    unsigned count = 1;
    for (int length = 0; length <= 6; length++, count *= WORDS)
        for (unsigned n = 0; n < count; n++) {
            char text[64] = "";
            size_t size = 0;
            unsigned left = n;
            for (int i = 0; i < length; i++, left /= WORDS) {
                bool is_dot_line = words[left % WORDS][0] == '\r' && size > 0 &&
                                   text[size - 1] == '.' && (size == 1 || text[size - 2] == '\n');
                append(text, &size, span_of(is_dot_line ? "." : words[left % WORDS]));
            }
            append(text, &size, span_of("x\r\n")); /* it ends with CRLF, and not with a dot */
            check(span_make(text, size));
        }
}
END_TEST

/* At the edge of what is kept, with a dot and without. */
START_TEST(a_name_may_have_127_octets)
{
    char text[HEADERS_NAME_MAX + 32];
    for (size_t size = HEADERS_NAME_MAX - 2; size <= HEADERS_NAME_MAX + 2; size++)
        for (int dots = 0; dots <= 1; dots++)
            for (int spaces = 0; spaces <= 3; spaces++) {
                size_t used = 0;
                memset(text, 'x', size + dots);
                memset(text, '.', dots);
                memset(text + dots + size - spaces, ' ', spaces);
                used = dots + size;
                append(text, &used, span_of(": a\r\n\r\n"));
                check(span_make(text, used));
                ck_assert_int_eq(run.result,
                                 size <= HEADERS_NAME_MAX ? HEADERS_END : HEADERS_NO_LINE);
            }
}
END_TEST

START_TEST(what_is_looked_at_goes_on_where_it_lies)
{
    static const char text[] = "From: a\r\nSubject: b\r\n c\r\nDate: d\r\n\r\nbody\r\n";
    struct headers h = {.size = 0};
    struct headers_cut cut;
    ck_assert_int_eq(headers_take(&h, span_of(text), &cut), HEADERS_END);
    ck_assert_uint_eq(cut.headers[0].size + cut.behind[0].size, 0);
    ck_assert_ptr_eq(cut.headers[1].data, text);
    ck_assert_ptr_eq(cut.behind[1].data, strstr(text, "\r\n\r\n") + 2);
    ck_assert(h.is_over);
}
END_TEST

START_TEST(a_line_without_end_goes_on_while_it_comes)
{
    struct headers h = {.size = 0};
    struct headers_cut cut;
    char much[4096];
    memset(much, 'x', sizeof much);
    ck_assert_int_eq(headers_take(&h, span_of("Subject: "), &cut), HEADERS_MORE);
    for (uint64_t i = 1; i <= 1000; i++) {
        ck_assert_int_eq(headers_take(&h, span_make(much, sizeof much), &cut), HEADERS_MORE);
        ck_assert_uint_eq(cut.headers[1].size, sizeof much);
        ck_assert_uint_eq(h.size, 9 + i * sizeof much);
    }
}
END_TEST

SUITE(headers)
{
    LOOP_TEST(fields_and_their_end_are_found_however_the_text_is_cut, cases);
    TEST(every_short_text_is_read_as_the_model_says_however_it_is_cut);
    TEST(a_name_may_have_127_octets);
    TEST(what_is_looked_at_goes_on_where_it_lies);
    TEST(a_line_without_end_goes_on_while_it_comes);
}
