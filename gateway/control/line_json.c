#include "control/line_json.h"

/* Numbers in a line of text look like names; these keys have no others. */
static bool is_number(struct span key)
{
    static const char *const keys[] = {"recipients", "code",  "bytes", "duration", "cost",
                                       "used",       "left",  "wait",  "count",    "deleted",
                                       "days",       "tries", "uid",   "pid",      "generation"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (span_equals(key, keys[i]))
            return true;
    return false;
}

static json_t *value_of(const struct record_field *f)
{
    char text[32];
    json_t *number = NULL;
    if (is_number(f->key) && span_copy(f->value, text, sizeof text) == f->value.size)
        number = json_loads(text, JSON_DECODE_ANY, NULL);
    return number != NULL ? number : json_stringn(f->value.data, f->value.size);
}

json_t *line_json(const struct record_line *r)
{
    json_t *line = json_object();
    for (size_t i = 0; i < r->count; i++) {
        const struct record_field *f = &r->fields[i];
        char key[32];
        if (span_copy(f->key, key, sizeof key) == f->key.size)
            (void)json_object_set_new(line, key, value_of(f)); /* without memory it is missing */
    }
    return line;
}
