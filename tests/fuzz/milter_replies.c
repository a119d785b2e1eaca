/* What a filter says over the milter protocol. First three bytes: what was agreed on, whether the
 * message has ended, and where the input is cut. */
#include "protocol/milter/reply.h"
#include "protocol/milter/terms.h"

#include "fuzz.h"

static void check_lines(struct span text)
{
    struct buffer out = {.limit = 64 * 1024};
    int code = 0;
    if (milter_reply_lines(text, &code, &out) >= 0)
        must(code >= 400 && code <= 599, "a refusal refuses");
    char first[3] = "";
    for (struct span rest = buffer_bytes(&out); rest.size > 0;) {
        struct span line = span_split(&rest, '\n');
        line.size++;
        must(is_reply_line(line), "what is passed on is lines of a reply");
        must(line.data[3] == (rest.size > 0 ? '-' : ' '), "lines go on until the last");
        if (first[0] == '\0')
            memcpy(first, line.data, sizeof first);
        must(memcmp(first, line.data, sizeof first) == 0, "lines have one code");
        must(line.data[4] == line.data[0], "an enhanced code is of the code's class");
    }
    buffer_clear(&out);
}

static void check_terms(struct span data)
{
    struct milter_terms terms;
    struct error why;
    char name[MILTER_MACRO_NAME_SIZE];
    if (milter_terms_parse(data, &terms, &why) < 0)
        return;
    must(terms.version >= MILTER_VERSION_MIN && terms.version <= MILTER_VERSION, "a known version");
    for (int i = 0; i < MILTER_STAGES; i++)
        for (struct span list = terms.macros[i]; milter_macro_next(&list, name);)
            must(strlen(name) == 1 || (name[0] == '{' && name[strlen(name) - 1] == '}'),
                 "a macro's name stands in braces");
}

static void check_reply(const struct milter_frame *f, uint32_t actions, bool is_at_end,
                        struct record *said)
{
    struct milter_reply r;
    struct error why;
    int outcome = milter_reply_parse(f, actions, is_at_end, &r, &why);
    record_number(said, outcome);
    if (outcome < 0)
        return;
    must(lies_in(r.name, f->data) || r.name.size == 0, "names lie in the frame");
    must(lies_in(r.value, f->data) || r.value.size == 0, "values lie in the frame");
    must(!milter_reply_is_edit(r.code) || is_at_end, "edits come at the end");
    must(r.code == MILTER_REPLY_BODY || memchr(r.value.data, '\0', r.value.size) == NULL,
         "no text has a NUL");
    must(is_clean(r.name, ""), "names go on lines");
    record_span(said, r.name);
    record_span(said, r.value);
    if (r.code == MILTER_REPLY_TEXT)
        check_lines(r.value);
}

static struct record converse(unsigned actions, bool is_at_end, struct span input, struct cuts cuts)
{
    struct milter_reader reader = {.most = 4096};
    struct record said = record_make();
    int outcome = 0;
    while (input.size > 0 && outcome >= 0) {
        struct milter_frame f;
        struct error why;
        struct span piece = next_piece(&cuts, &input);
        while ((outcome = milter_frame_take(&reader, &piece, &f, &why)) == 1) {
            record_number(&said, f.code);
            record_span(&said, f.data);
            check_reply(&f, actions, is_at_end, &said);
            check_terms(f.data);
        }
        must(outcome < 0 || piece.size == 0, "all is taken");
        must(reader.pending.size <= 4096 + 5, "no more is kept than a frame");
    }
    record_number(&said, outcome);
    milter_reader_clear(&reader);
    return said;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    unsigned actions = take_byte(&input), flags = take_byte(&input), seed = take_byte(&input);
    actions |= (flags & 2) << 7;
    struct record whole = converse(actions, flags & 1, input, (struct cuts){0});
    struct record cut = converse(actions, flags & 1, input, (struct cuts){seed + 1});
    records_are_equal(&whole, &cut, "however the network cuts, the same is understood");
    return 0;
}
