/* A message that filters edit, and what goes up of it. The input: lines of edits up to an empty
 * one,
 * "+NAME:VALUE" adds, "<NAME:VALUE" inserts in front, "2NAME:VALUE" changes the second of its name,
 * where "|" stands for a line feed; behind them the message, its dots doubled. */
#include "message/body.h"
#include "message/dots.h"
#include "message/fields.h"
#include "message/headers.h"

#include "fuzz.h"

enum { LIMIT = 64 * 1024 };

/* Its headers, as far as they go; the rest of it stays in `text`. */
static struct span take_headers(struct span *text)
{
    struct headers h = {.is_over = false};
    struct headers_cut cut;
    struct span all = *text;
    enum headers_result result = headers_take(&h, *text, &cut);
    struct span behind = cut.behind[1];
    if (result == HEADERS_MORE)
        behind = span_make(all.data + all.size, 0);
    *text = behind;
    return span_take(&all, all.size - behind.size);
}

static void edit(struct fields *f, struct span line)
{
    char value[256];
    if (line.size == 0)
        return;
    char how = span_take(&line, 1).data[0];
    struct span name = span_split(&line, ':');
    size_t size = span_copy(line, value, sizeof value);
    for (size_t i = 0; i < size; i++)
        value[i] = value[i] == '|' ? '\n' : value[i];
    struct span text = span_make(value, size);
    if (how == '+')
        (void)fields_add(f, name, text, size % 2 == 0);
    else if (how == '<')
        (void)fields_insert(f, size % 5, name, text, size % 2 == 0);
    else
        (void)fields_change(f, name, (size_t)(how & 3), text, size % 2 == 0);
}

/* Whoever reads what goes up sees those fields and no others, and no end of them before theirs. */
static void check(const struct fields *f)
{
    struct buffer out = {.limit = 4 * LIMIT};
    struct headers h = {.is_over = false};
    struct headers_cut cut;
    must(fields_write(f, &out) == 0 && buffer_append(&out, span_of("\r\n")) == 0, "there is room");
    enum headers_result result = headers_take(&h, buffer_bytes(&out), &cut);
    must(result == HEADERS_END, "the empty line ends the headers");
    must(cut.behind[1].size == 2, "and nothing before it does");
    out.size -= 2;
    struct fields *again = fields_create(buffer_bytes(&out), 4 * LIMIT);
    must(again != NULL && fields_count(again) == fields_count(f), "they are as many");
    for (size_t i = 0; i < fields_count(f); i++) {
        struct mail_field a = fields_at(f, i), b = fields_at(again, i);
        must(a.name.size == b.name.size && memcmp(a.name.data, b.name.data, a.name.size) == 0 &&
                 a.value.size == b.value.size &&
                 memcmp(a.value.data, b.value.data, a.value.size) == 0,
             "each is itself");
    }
    fields_destroy(&again);
    buffer_clear(&out);
}

/* A text is what it was once its dots were taken away and doubled again; cut anywhere. */
static void check_dots(struct span text, unsigned seed)
{
    struct cuts cuts = {seed};
    struct dots away = {false}, there = {false};
    struct buffer seen = {.limit = 4 * LIMIT}, back = {.limit = 8 * LIMIT};
    char spare[2 * LIMIT];
    struct span all = text, piece, part;
    while (all.size > 0) {
        part = next_piece(&cuts, &all);
        while ((piece = dots_next(&away, &part)).size > 0)
            must(buffer_append(&seen, piece) == 0, "it grows no longer");
    }
    struct span rest = buffer_bytes(&seen);
    while (rest.size > 0)
        must(buffer_append(&back, dots_double(&there, next_piece(&cuts, &rest), spare)) == 0,
             "nor by more than its dots");
    must(back.size == text.size &&
             (text.size == 0 || memcmp(buffer_bytes(&back).data, text.data, text.size) == 0),
         "what was doubled is doubled again");
    buffer_clear(&seen);
    buffer_clear(&back);
}

/* As texts come to us: lines end with CRLF, the last one too. */
static void take_text(struct span input, struct buffer *out)
{
    char raw[LIMIT / 4 + 1], spare[LIMIT];
    struct body b = {.is_within_line = false};
    struct span text;
    (void)span_copy(input, raw, sizeof raw); /* fits */
    body_take_chunk(&b, span_make(raw, input.size), spare, &text);
    must(buffer_append(out, text) == 0 && buffer_append(out, body_end_chunks(&b)) == 0,
         "there is room");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size < LIMIT / 4 ? size : LIMIT / 4), line;
    struct span edits = input;
    unsigned seed = take_byte(&input);
    while ((line = span_split(&input, '\n')).size > 0)
        continue;
    edits.size = (size_t)(input.data - edits.data);
    struct buffer message = {.limit = LIMIT};
    take_text(input, &message);
    struct span text = buffer_bytes(&message);
    check_dots(text, seed);
    struct fields *f = fields_create(take_headers(&text), LIMIT);
    must(f != NULL, "there is memory");
    check(f);
    (void)take_byte(&edits);
    while ((line = span_split(&edits, '\n')).size > 0) {
        edit(f, line);
        check(f);
    }
    fields_destroy(&f);
    buffer_clear(&message);
    return 0;
}
