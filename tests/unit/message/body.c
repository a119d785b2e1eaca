#include "message/body.h"

#include "message/model.h"

#include "support/splits.h"
#include "support/test.h"

enum { TEXT_MAX = 256 * 1024 };

/* ---- what body_take makes of it, piece by piece ---- */

static struct {
    struct span input, behind_model;
    struct text model, meant; /* as the reader is to have it; as the client meant it */
    struct body body;
    struct leftover in;
    bool is_whole;
    struct text out, behind, read;
} run;

static void set_up(void)
{
    struct text *const texts[] = {&run.model, &run.meant, &run.out, &run.behind, &run.read};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        *texts[i] = (struct text){malloc(TEXT_MAX), 0};
        ck_assert_ptr_nonnull(texts[i]->bytes);
    }
}

static void tear_down(void)
{
    leftover_drop(&run.in);
    free(run.model.bytes);
    free(run.meant.bytes);
    free(run.out.bytes);
    free(run.behind.bytes);
    free(run.read.bytes);
}

static void append(struct text *t, struct span s)
{
    if (s.size > TEXT_MAX - t->size)
        ck_abort_msg("more text than a test has room for");
    if (s.size > 0)
        memcpy(t->bytes + t->size, s.data, s.size);
    t->size += s.size;
}

static struct span span_of_text(const struct text *t)
{
    return span_make(t->bytes, t->size);
}

static bool equals(const struct text *t, struct span s)
{
    return t->size == s.size && (s.size == 0 || memcmp(t->bytes, s.data, s.size) == 0);
}

/* Control characters as in C; `out` has room for the first of them. */
static const char *show(struct span s, char out[80])
{
    static const char controls[] = "\r\n", names[] = "rn0";
    size_t size = 0;
    for (size_t i = 0; i < s.size && size + 3 < 80; i++) {
        const char *at = strchr(controls, s.data[i]); /* the NUL at its end too */
        if (at != NULL)
            out[size++] = '\\';
        out[size++] = at == NULL ? s.data[i] : names[at - controls];
    }
    out[size] = '\0';
    return out;
}

/* As ck_assert, which is too slow for what is done a million times. */
static void must(bool is_kept, const char *promise)
{
    char input[80], out[80];
    if (!is_kept)
        ck_abort_msg("\"%s\" became \"%s\": %s", show(run.input, input),
                     show(span_of_text(&run.out), out), promise);
}

static void restart(void *owner)
{
    (void)owner; /* there is one run */
    run.body = (struct body){.size = 0};
    leftover_drop(&run.in);
    run.is_whole = false;
    run.out.size = run.behind.size = 0;
}

static void feed(void *owner, struct span piece)
{
    struct span out;
    (void)owner;
    if (run.is_whole) {
        append(&run.behind, piece);
        return;
    }
    struct span *in = leftover_join(&run.in, piece);
    char *spare = malloc(in->size == 0 ? 1 : 2 * in->size);
    must(spare != NULL, "out of memory");
    run.is_whole = body_take(&run.body, in, spare, &out) == BODY_WHOLE;
    append(&run.out, out);
    free(spare);
    must(run.is_whole || in->size <= 2, "two octets are left at most");
    if (run.is_whole)
        append(&run.behind, *in);
}

static void done(void *owner)
{
    struct span out = span_of_text(&run.out);
    (void)owner;
    must(run.is_whole, "CRLF . CRLF ends it");
    must(equals(&run.behind, run.behind_model), "what is behind it is left");
    must(out.size == 0 || (out.size >= 2 && has_at(out, out.size - 2, "\r\n")),
         "it ends with a whole line");
    for (size_t at = 0; at < out.size; at++) {
        must(out.data[at] != '\r' || has_at(out, at, "\r\n"), "no CR stands alone");
        must(out.data[at] != '\n' || (at > 0 && out.data[at - 1] == '\r'), "no LF stands alone");
        must(!is_line_start(out, at) || !has_at(out, at, ".\r\n"), "no end stands within it");
    }
    undot(out, &run.read);
    must(equals(&run.read, span_of_text(&run.model)), "the reader has what the client meant");
    must(run.body.size == run.model.size, "its size is that of what the reader has");
}

/* Makes the model of `input`. */
static void prepare(struct span input)
{
    size_t behind, size = text_size(input, &behind);
    run.input = input;
    run.behind_model = span_make(input.data + behind, input.size - behind);
    undot(span_make(input.data, size), &run.meant);
    mend_line_ends(span_of_text(&run.meant), &run.model);
}

static void check(struct span input)
{
    prepare(input);
    every_split(input, restart, feed, done, NULL);
}

/* Fed in pieces of up to `most` octets. */
static void check_in_pieces(size_t most, uint32_t *seed)
{
    struct span rest = run.input;
    restart(NULL);
    while (rest.size > 0) {
        *seed = *seed * UINT32_C(1664525) + UINT32_C(1013904223);
        size_t size = 1 + (*seed >> 8) % most;
        feed(NULL, span_take(&rest, size < rest.size ? size : rest.size));
    }
    done(NULL);
}

START_TEST(crlf_dot_crlf_alone_ends_the_text)
{
    static const struct {
        const char *input, *read, *behind;
    } cases[] = {
        {".\r\n", "", ""},
        {".\r\nQUIT\r\n", "", "QUIT\r\n"},
        {"\r\n.\r\n", "\r\n", ""},
        {"a\r\n.\r\nMAIL FROM:<a@b>\r\n", "a\r\n", "MAIL FROM:<a@b>\r\n"},
        {"a\r\n.\r\n.\r\n", "a\r\n", ".\r\n"},
        {"a.\r\n.\r\n", "a.\r\n", ""},
        {"a\r\n .\r\n.\r\n", "a\r\n .\r\n", ""},
        /* section 4.5.2 */
        {"a\r\n..\r\n.\r\n", "a\r\n.\r\n", ""},
        {"..\r\n.\r\n", ".\r\n", ""},
        {"...\r\n.\r\n", "..\r\n", ""},
        {".a\r\n.\r\n", "a\r\n", ""},
        /* SMTP smuggling: CVE-2023-51764, 51765, 51766, and what was tried beside them */
        {"a\n.\nMAIL\r\n.\r\n", "a\r\n.\r\nMAIL\r\n", ""},
        {"a\n.\r\nMAIL\r\n.\r\n", "a\r\n.\r\nMAIL\r\n", ""},
        {"a\r\n.\nMAIL\r\n.\r\n", "a\r\n\r\nMAIL\r\n", ""},
        {"a\r.\rMAIL\r\n.\r\n", "a . MAIL\r\n", ""},
        {"a\r\n.\rMAIL\r\n.\r\n", "a\r\n MAIL\r\n", ""},
        {"a\r.\r\nMAIL\r\n.\r\n", "a .\r\nMAIL\r\n", ""},
        {"a\r\r\n.\r\r\nMAIL\r\n.\r\n", "a \r\n \r\nMAIL\r\n", ""},
        {"a\n.\rMAIL\r\n.\r\n", "a\r\n. MAIL\r\n", ""},
        {"a\n\r.\r\nMAIL\r\n.\r\n", "a\r\n .\r\nMAIL\r\n", ""},
        {"a\r\n.\n\r\n.\r\n", "a\r\n\r\n\r\n", ""},
        {".\nMAIL\r\n.\r\n", "\r\nMAIL\r\n", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        prepare(span_of(cases[i].input));
        must(equals(&run.model, span_of(cases[i].read)), "the model is that of the table");
        must(span_equals(run.behind_model, cases[i].behind), "the model is that of the table");
        every_split(run.input, restart, feed, done, NULL);
    }
}
END_TEST

/* What a server behind might take for a line end, before and behind a dot and what looks like it.
 */
START_TEST(no_published_sequence_ends_the_text_behind_us)
{
    static const struct {
        const char *bytes;
        size_t size;
    } ends[] = {{"", 0},        {"\r\n", 2},   {"\n", 1},     {"\r", 1},     {"\n\r", 2},
                {"\r\r\n", 3},  {"\r\n\n", 3}, {"\n\r\n", 3}, {"\r\n\r", 3}, {"\n\n", 2},
                {"\r\r", 2},    {"\r\n\0", 3}, {"\0\r\n", 3}, {"\r\0\n", 3}, {"\n\0", 2},
                {"\r\n \b", 4}, {"\x0b", 1},   {"\x0c", 1},   {"\x85", 1}},
      dots[] = {{".", 1}, {"..", 2}, {"...", 3}, {".\0", 2}, {"\0.", 2}, {". ", 2}, {"", 0}};
    for (size_t a = 0; a < sizeof ends / sizeof *ends; a++)
        for (size_t d = 0; d < sizeof dots / sizeof *dots; d++)
            for (size_t b = 0; b < sizeof ends / sizeof *ends; b++) {
                struct text t = {(char[64]){0}, 0};
                append(&t, span_of("hi"));
                append(&t, span_make(ends[a].bytes, ends[a].size));
                append(&t, span_make(dots[d].bytes, dots[d].size));
                append(&t, span_make(ends[b].bytes, ends[b].size));
                append(&t, span_of("MAIL\r\n.\r\nQUIT\r\n"));
                check(span_of_text(&t));
            }
}
END_TEST

static const char alphabet[] = {'\r', '\n', '.', 'a', '\0'};

/* The `n`th text of that length over the alphabet, and an end. */
static struct span write_text(unsigned n, size_t size, char out[32])
{
    for (size_t i = 0; i < size; i++, n /= sizeof alphabet)
        out[i] = alphabet[n % sizeof alphabet];
    memcpy(out + size, "\r\n.\r\nQ", 6);
    return span_make(out, size + 6);
}

START_TEST(every_short_text_comes_out_as_the_model_says_however_it_is_cut)
{
    char text[32];
    unsigned count = 1;
    for (size_t size = 0; size <= 6; size++, count *= sizeof alphabet)
        for (unsigned n = 0; n < count; n++)
            check(write_text(n, size, text));
}
END_TEST

START_TEST(every_text_of_seven_octets_comes_out_as_the_model_says)
{
    char text[32];
    uint32_t seed = 1;
    for (unsigned n = 0; n < 5 * 5 * 5 * 5 * 5 * 5 * 5; n++) {
        prepare(write_text(n, 7, text));
        check_in_pieces(32, &seed);
        check_in_pieces(1, &seed);
    }
}
END_TEST

START_TEST(random_texts_come_out_as_the_model_says_however_they_are_cut)
{
    char text[32];
    uint32_t seed = 2;
    for (int round = 0; round < 20000; round++) {
        seed = seed * UINT32_C(1664525) + UINT32_C(1013904223);
        check(write_text(seed >> 8, 8 + round % 2, text));
    }
}
END_TEST

/* 100 KB: lines of any length, mostly as they should be. */
static struct span write_long(char *out, size_t size, uint32_t *seed, bool is_clean)
{
    static const char *const odd[] = {"\n",     "\r",      "\n.",     "\r\n.",
                                      "\r\n..", "\n.\r\n", "\r\n.\n", "."};
    size_t used = 0;
    while (used < size) {
        *seed = *seed * UINT32_C(1664525) + UINT32_C(1013904223);
        size_t length = (*seed >> 8) % 90;
        memset(out + used, 'a' + (int)(*seed >> 16) % 26, length);
        used += length;
        const char *end = is_clean || *seed >> 28 != 0 ? "\r\n" : odd[(*seed >> 20) % 8];
        memcpy(out + used, end, strlen(end));
        used += strlen(end);
    }
    memcpy(out + used, "\r\n.\r\nQUIT\r\n", 11);
    return span_make(out, used + 11);
}

START_TEST(a_long_text_comes_out_as_the_model_says_in_pieces_of_any_size)
{
    static char text[101 * 1024];
    static const size_t pieces[] = {1, 2, 3, 17, 100, 1460, 16384, sizeof text};
    uint32_t seed = 3;
    for (int round = 0; round < 10; round++) {
        prepare(write_long(text, 100 * 1024 - 200, &seed, round == 0));
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
            check_in_pieces(pieces[i], &seed);
    }
}
END_TEST

START_TEST(a_text_with_right_line_ends_is_handed_on_where_it_lies)
{
    static char text[101 * 1024];
    struct body b = {.size = 0};
    uint32_t seed = 4;
    struct span all = write_long(text, 100 * 1024 - 200, &seed, true), in = all, out;
    ck_assert_int_eq(body_take(&b, &in, NULL, &out), BODY_WHOLE);
    ck_assert_ptr_eq(out.data, all.data);
    ck_assert_uint_eq(out.size, all.size - strlen(".\r\nQUIT\r\n"));
    ck_assert(span_equals(in, "QUIT\r\n"));
}
END_TEST

START_TEST(a_lone_cr_is_changed_where_it_lies)
{
    char text[] = "one\rtwo\r\r\nthree\r\n.\r\n";
    struct body b = {.size = 0};
    struct span in = span_make(text, sizeof text - 1), out;
    ck_assert_int_eq(body_take(&b, &in, NULL, &out), BODY_WHOLE);
    ck_assert_ptr_eq(out.data, text);
    ck_assert(span_equals(out, "one two \r\nthree\r\n"));
}
END_TEST

/* As the header says, so that who has the one and the other may change it there. */
START_TEST(what_goes_on_lies_in_the_input_or_in_the_spare)
{
    static const char *const texts[] = {"a\r\n", "a\nb", "\n", ".\n", "\n.", "\n\n", "\na\n.b\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char input[16], spare[32], shown[80];
        struct body b = {.size = 0};
        struct span in = span_make(input, strlen(texts[i])), out;
        memcpy(input, texts[i], in.size);
        ck_assert_int_eq(body_take(&b, &in, spare, &out), BODY_MORE);
        bool is_in_input = out.data >= input && out.data + out.size <= input + sizeof input;
        bool is_in_spare = out.data >= spare && out.data + out.size <= spare + sizeof spare;
        ck_assert_msg(is_in_input || is_in_spare, "\"%s\"", show(span_of(texts[i]), shown));
    }
}
END_TEST

START_TEST(text_without_end_goes_on_as_it_comes)
{
    prepare(span_of("one\r\ntwo"));
    restart(NULL);
    feed(NULL, run.input);
    ck_assert(!run.is_whole);
    ck_assert(equals(&run.out, span_of("one\r\ntwo")));
    ck_assert_uint_eq(run.body.size, 8);
    feed(NULL, span_of("\r"));
    ck_assert(equals(&run.out, span_of("one\r\ntwo")));
    feed(NULL, span_of("\n."));
    ck_assert(equals(&run.out, span_of("one\r\ntwo\r\n")));
    ck_assert_uint_eq(run.body.size, 10);
    feed(NULL, span_of("\r"));
    ck_assert(!run.is_whole);
    feed(NULL, span_of("\n"));
    ck_assert(run.is_whole);
    ck_assert(equals(&run.out, span_of("one\r\ntwo\r\n")));
}
END_TEST

START_TEST(nothing_of_nothing)
{
    struct body b = {.size = 0};
    struct span in = span_make("", 0), out;
    ck_assert_int_eq(body_take(&b, &in, NULL, &out), BODY_MORE);
    ck_assert_uint_eq(out.size, 0);
    ck_assert_uint_eq(b.size, 0);
}
END_TEST

static const struct {
    const char *text;
    size_t size;
    bool has_bare, has_nul;
} marked[] = {
    {"a\r\n.\r\n", 6, false, false},        {"a\nb\r\n.\r\n", 8, true, false},
    {"a\rb\r\n.\r\n", 8, true, false},      {"a\r\r\n.\r\n", 7, true, false},
    {".\n\r\n.\r\n", 7, true, false},       {"a\0b\r\n.\r\n", 8, false, true},
    {"\0\r\n.\r\n", 6, false, true},        {"..\r\n.\r\n", 7, false, false},
    {"a\r\n.\0\r\n.\r\n", 10, false, true}, {"\n\0\r\n.\r\n", 7, true, true},
};

/* However the text comes: here octet by octet. */
START_TEST(lone_line_ends_and_nuls_are_seen)
{
    struct body b = {0};
    char kept[16], spare_here[32];
    size_t size = 0;
    enum body_result result = BODY_MORE;
    for (size_t i = 0; i < marked[_i].size; i++) {
        kept[size++] = marked[_i].text[i];
        struct span in = span_make(kept, size), out;
        result = body_take(&b, &in, spare_here, &out);
        memmove(kept, in.data, in.size);
        size = in.size;
    }
    ck_assert_int_eq(result, BODY_WHOLE);
    ck_assert_int_eq(b.has_bare, marked[_i].has_bare);
    ck_assert_int_eq(b.has_nul, marked[_i].has_nul);
}
END_TEST

/* ---- chunks ---- */

/* As the reader is to have it: line ends mended, and the last line ended. */
static void prepare_chunks(struct span input)
{
    run.input = input;
    mend_line_ends(input, &run.model);
    bool is_ended = run.model.size == 0 || run.model.bytes[run.model.size - 1] == '\n';
    append(&run.model, span_of(is_ended ? "" : "\r\n"));
}

static void feed_chunk(void *owner, struct span piece)
{
    struct span out, *in = leftover_join(&run.in, piece); /* in memory of its size */
    char *spare = malloc(in->size == 0 ? 1 : 2 * in->size);
    (void)owner;
    must(spare != NULL, "out of memory");
    body_take_chunk(&run.body, *in, spare, &out);
    append(&run.out, out);
    free(spare);
    leftover_drop(&run.in);
}

static void chunks_done(void *owner)
{
    append(&run.out, body_end_chunks(&run.body));
    run.behind_model = span_make("", 0);
    run.is_whole = true; /* it is, where the last chunk ends */
    done(owner);
}

static void check_chunks(struct span input)
{
    prepare_chunks(input);
    every_split(input, restart, feed_chunk, chunks_done, NULL);
}

/* RFC 3030 section 2: the size alone ends a chunk, and no octet sequence. */
START_TEST(chunks_come_out_with_their_dots_doubled_and_end_nothing)
{
    static const struct {
        const char *input, *out;
    } cases[] = {
        {"", ""},
        {"a", "a\r\n"},
        {"a\r\n", "a\r\n"},
        {".", "..\r\n"},
        {".\r\n", "..\r\n"},
        {"a\r\n.\r\nMAIL\r\n", "a\r\n..\r\nMAIL\r\n"},
        {"..a\r\n", "...a\r\n"},
        {"a\n.\nMAIL", "a\r\n..\r\nMAIL\r\n"},
        {"a\n.\r\nMAIL", "a\r\n..\r\nMAIL\r\n"},
        {"a\r\n.\nMAIL", "a\r\n..\r\nMAIL\r\n"},
        {"a\r.\rMAIL", "a . MAIL\r\n"},
        {"a\r.\r\nMAIL", "a .\r\nMAIL\r\n"},
        {"a\r\r\n.\r\r\nMAIL", "a \r\n.. \r\nMAIL\r\n"},
        {"\r", " \r\n"},
        {"a\r", "a \r\n"},
        {"\n", "\r\n"},
        {"\n\r.", "\r\n .\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_chunks(span_of(cases[i].input));
        must(equals(&run.out, span_of(cases[i].out)), "it is that of the table");
    }
}
END_TEST

START_TEST(every_short_chunk_comes_out_as_the_model_says_however_it_is_cut)
{
    char text[32];
    unsigned count = 1;
    for (size_t size = 0; size <= 6; size++, count *= sizeof alphabet)
        for (unsigned n = 0; n < count; n++) {
            (void)write_text(n, size, text);
            check_chunks(span_make(text, size));
        }
}
END_TEST

START_TEST(a_long_text_in_chunks_comes_out_as_the_model_says)
{
    static char text[101 * 1024], copy[sizeof text];
    static const size_t pieces[] = {1, 2, 3, 17, 100, 1460, 16384, sizeof text};
    uint32_t seed = 5;
    for (int round = 0; round < 10; round++) {
        struct span all = write_long(text, 100 * 1024 - 200, &seed, round == 0);
        prepare_chunks(all);
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
            restart(NULL);
            memcpy(copy, text, all.size);
            for (size_t at = 0; at < all.size; at += pieces[i])
                feed_chunk(NULL, span_make(copy + at,
                                           all.size - at < pieces[i] ? all.size - at : pieces[i]));
            chunks_done(NULL);
        }
    }
}
END_TEST

START_TEST(a_chunk_with_right_line_ends_is_handed_on_where_it_lies)
{
    static const char text[] = "one\r\ntwo.\r\n\r\nthree";
    struct body b = {.size = 0};
    struct span out;
    body_take_chunk(&b, span_of(text), NULL, &out);
    ck_assert_ptr_eq(out.data, text);
    ck_assert_uint_eq(out.size, strlen(text));
}
END_TEST

START_TEST(lone_line_ends_and_nuls_are_seen_in_chunks)
{
    static const struct {
        const char *text;
        size_t size;
        bool has_bare, has_nul;
    } texts[] = {{"a\r\n.\r\n", 6, false, false}, {"a\n", 2, true, false},
                 {"a\rb", 3, true, false},        {"a\r", 2, true, false},
                 {"a\0b", 3, false, true},        {"a", 1, false, false}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct body b = {.size = 0};
        for (size_t at = 0; at < texts[i].size; at++) {
            char octet = texts[i].text[at], spare_here[2];
            struct span out;
            body_take_chunk(&b, span_make(&octet, 1), spare_here, &out);
        }
        (void)body_end_chunks(&b);
        ck_assert_int_eq(b.has_bare, texts[i].has_bare);
        ck_assert_int_eq(b.has_nul, texts[i].has_nul);
    }
}
END_TEST

SUITE(body)
{
    tcase_add_checked_fixture(tests, set_up, tear_down);
    TEST(crlf_dot_crlf_alone_ends_the_text);
    TEST(no_published_sequence_ends_the_text_behind_us);
    TEST(every_short_text_comes_out_as_the_model_says_however_it_is_cut);
    TEST(every_text_of_seven_octets_comes_out_as_the_model_says);
    TEST(random_texts_come_out_as_the_model_says_however_they_are_cut);
    TEST(a_long_text_comes_out_as_the_model_says_in_pieces_of_any_size);
    TEST(a_text_with_right_line_ends_is_handed_on_where_it_lies);
    TEST(a_lone_cr_is_changed_where_it_lies);
    TEST(what_goes_on_lies_in_the_input_or_in_the_spare);
    TEST(text_without_end_goes_on_as_it_comes);
    TEST(nothing_of_nothing);
    LOOP_TEST(lone_line_ends_and_nuls_are_seen, marked);
    TEST(chunks_come_out_with_their_dots_doubled_and_end_nothing);
    TEST(every_short_chunk_comes_out_as_the_model_says_however_it_is_cut);
    TEST(a_long_text_in_chunks_comes_out_as_the_model_says);
    TEST(a_chunk_with_right_line_ends_is_handed_on_where_it_lies);
    TEST(lone_line_ends_and_nuls_are_seen_in_chunks);
}
