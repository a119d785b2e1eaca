/* A line of a log that may have been through many hands. What is read from it and written again, by
 * the rules of either form, is read as the same. */
#include "policy/record.h"

#include "base/utf8.h"

#include "fuzz.h"

static void put_escaped(struct buffer *b, struct span s)
{
    for (size_t i = 0; i < s.size; i++) {
        unsigned char c = (unsigned char)s.data[i];
        bool is_escaped = c < ' ' || c == '"' || c == '\\' || c == 0x7f;
        must(buffer_printf(b, is_escaped ? "\\u%04x" : "%c", c) == 0, "a line has room");
    }
}

static void write_again(const struct record_line *r, bool is_json, struct buffer *out)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct record_field *f = &r->fields[i];
        const char *mark = is_json ? "\"" : "";
        must(buffer_printf(out, "%s%s%.*s%s%s\"",
                           i > 0     ? (is_json ? "," : " ")
                           : is_json ? "{"
                                     : "",
                           mark, (int)f->key.size, f->key.data, mark, is_json ? ":" : "=") == 0,
             "a line has room");
        put_escaped(out, f->value);
        must(buffer_append(out, span_of("\"")) == 0, "a line has room");
    }
    if (is_json)
        must(buffer_append(out, span_of("}")) == 0, "a line has room");
}

static void check_again(const struct record_line *r, bool is_json)
{
    static struct record_line again;
    struct buffer line = {.limit = 8 * RECORD_LINE_MAX};
    write_again(r, is_json, &line);
    if (line.size <= RECORD_LINE_MAX) {
        must(record_read(buffer_bytes(&line), &again) == 0, "what was read can be written");
        must(again.count == r->count, "and has as many fields");
        for (size_t i = 0; i < r->count; i++)
            must(again.fields[i].value.size == r->fields[i].value.size &&
                     memcmp(again.fields[i].value.data, r->fields[i].value.data,
                            r->fields[i].value.size) == 0,
                 "which are the same");
    }
    buffer_clear(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct record_line r;
    struct leftover exact = {NULL, {NULL, 0}};
    struct span line = *leftover_join(&exact, span_make((const char *)data, size));
    if (record_read(line, &r) == 0) {
        must(r.count > 1 && r.count <= RECORD_FIELDS_MAX, "there are fields");
        for (size_t i = 0; i < r.count; i++) {
            const struct record_field *f = &r.fields[i];
            must(lies_in(f->key, line), "a key lies in the line");
            must(lies_in(f->value, line) ||
                     lies_in(f->value, span_make(r.decoded, sizeof r.decoded)),
                 "a value lies in the line, or was decoded");
            must(f->value.size > 0 && utf8_is_valid(f->value), "a value is text");
        }
        check_again(&r, false);
        check_again(&r, true);
    }
    leftover_drop(&exact);
    return 0;
}
