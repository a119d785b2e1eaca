/* Why: libconfig joins "a" "b" to one string without a word, wraps integers past 31 bits, and says
 * "syntax error" to everything else. This pass reads the same tokens and says what is wrong. */
#include "config/source.h"

#include <string.h>

enum token_kind { TOKEN_END, TOKEN_STRING, TOKEN_WORD, TOKEN_MARK, TOKEN_BROKEN };

struct token {
    enum token_kind kind;
    struct span text; /* of a string without its quotes */
    unsigned line;
};

enum { NESTING_MAX = 16 };

/* What the next token may be. */
enum expected { A_NAME, AN_EQUALS, A_VALUE, AN_ITEM, A_SEPARATOR };

struct checker {
    const struct source *source;
    struct errors *errors;
    const char *at;
    unsigned line;
    struct {
        char mark; /* { [ ( */
        unsigned line;
    } open[NESTING_MAX];
    size_t depth;
    enum expected expected;
    struct token previous;
};

static void complain(const struct checker *c, unsigned line, const char *what, struct span text,
                     const char *hint)
{
    struct place place = source_place(c->source, line);
    int size = (int)(text.size < 60 ? text.size : 60);
    errors_add_at(c->errors, &place, "%.*s%s%s%s%s", size, text.data, text.size > 0 ? ": " : "",
                  what, hint[0] == '\0' ? "" : "; ", hint);
}

static void skip_to(struct checker *c, const char *end)
{
    for (; c->at < end; c->at++)
        c->line += *c->at == '\n';
}

/* Spaces and the three kinds of comment. */
static void skip_blanks(struct checker *c)
{
    for (;;) {
        skip_to(c, c->at + strspn(c->at, " \t\r\n\f\v"));
        if (c->at[0] == '#' || (c->at[0] == '/' && c->at[1] == '/')) {
            skip_to(c, c->at + strcspn(c->at, "\n"));
        } else if (c->at[0] == '/' && c->at[1] == '*') {
            const char *end = strstr(c->at + 2, "*/");
            if (end == NULL)
                complain(c, c->line, "the comment never ends", span_of("/*"), "");
            skip_to(c, end == NULL ? c->at + strlen(c->at) : end + 2);
        } else {
            return;
        }
    }
}

static struct token next_token(struct checker *c)
{
    skip_blanks(c);
    struct token t = {.line = c->line};
    if (*c->at == '\0')
        return t;
    if (*c->at == '"') {
        const char *end = c->at + 1;
        while (*end != '\0' && *end != '"' && *end != '\n')
            end += end[0] == '\\' && end[1] != '\0' ? 2 : 1;
        t.kind = *end == '"' ? TOKEN_STRING : TOKEN_BROKEN;
        t.text = span_make(c->at + 1, (size_t)(end - c->at - 1));
        skip_to(c, *end == '"' ? end + 1 : end);
    } else if (strchr("{}[]()=:;,", *c->at) != NULL) {
        t.kind = TOKEN_MARK;
        t.text = span_make(c->at, 1);
        skip_to(c, c->at + 1);
    } else {
        size_t size = strcspn(c->at, " \t\r\n\f\v{}[]()=:;,\"#");
        t.kind = TOKEN_WORD;
        t.text = span_make(c->at, size);
        skip_to(c, c->at + size);
    }
    return t;
}

static bool is_mark(const struct token *t, char mark)
{
    return t->kind == TOKEN_MARK && t->text.data[0] == mark;
}

static void check_name(const struct checker *c, const struct token *t)
{
    bool is_good = t->kind == TOKEN_WORD && (ascii_lower(t->text.data[0]) >= 'a') &&
                   ascii_lower(t->text.data[0]) <= 'z';
    for (size_t i = 0; i < t->text.size && is_good; i++)
        is_good =
            ascii_is_alnum(t->text.data[i]) || t->text.data[i] == '-' || t->text.data[i] == '_';
    if (span_starts_nocase(t->text, "@include"))
        complain(c, t->line, "can't be followed", t->text,
                 "write @include \"FILE\" on a line of its own");
    else if (!is_good)
        complain(c, t->line, "can't be a name", t->text,
                 "names begin with a letter and go on with letters, digits, - and _");
}

static bool is_number(struct span s, uint64_t max)
{
    uint64_t ignored;
    if (s.size > 0 && (s.data[0] == '-' || s.data[0] == '+'))
        span_skip(&s, 1);
    return span_number(s, max, &ignored) == 0;
}

static void check_word(const struct checker *c, const struct token *t)
{
    static const char *const yes[] = {"yes", "on", "True", "TRUE", "enable", "enabled"};
    static const char *const no[] = {"no", "off", "False", "FALSE", "disable", "disabled"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (span_equals(t->text, yes[i])) {
            complain(c, t->line, "is no value", t->text, "write true");
            return;
        }
        if (span_equals(t->text, no[i])) {
            complain(c, t->line, "is no value", t->text, "write false");
            return;
        }
    }
    if (span_equals(t->text, "true") || span_equals(t->text, "false") ||
        is_number(t->text, INT32_MAX))
        return;
    if (is_number(t->text, UINT64_MAX) ||
        (t->text.size > 19 && strspn(t->text.data, "+-0123456789") >= t->text.size))
        complain(c, t->line, "the number is too large; at most 2147483647", t->text,
                 "a size has its unit, in quotes, as \"3G\"");
    else
        complain(c, t->line, "is no value", t->text, "put the value in quotes");
}

static void open_group(struct checker *c, const struct token *t)
{
    if (c->depth == NESTING_MAX) {
        complain(c, t->line, "groups are nested too deeply", span_of(""), "");
        c->at += strlen(c->at);
        return;
    }
    c->open[c->depth].mark = t->text.data[0];
    c->open[c->depth++].line = t->line;
    c->expected = t->text.data[0] == '{' ? A_NAME : AN_ITEM;
}

/* After a closing mark or a whole value. */
static enum expected after_value(const struct checker *c)
{
    return c->depth > 0 && c->open[c->depth - 1].mark != '{' ? A_SEPARATOR : A_NAME;
}

static void close_group(struct checker *c, const struct token *t)
{
    char mark = t->text.data[0], opening = mark == '}' ? '{' : mark == ']' ? '[' : '(';
    if (c->depth == 0 || c->open[c->depth - 1].mark != opening) {
        complain(c, t->line, "closes what isn't open", t->text, "");
        c->at += strlen(c->at); /* what follows would be guessed */
        c->depth = 0;
        return;
    }
    if (c->expected == AN_ITEM && is_mark(&c->previous, ','))
        complain(c, c->previous.line, "a list takes no comma behind its last item", span_of(""),
                 "take it out");
    if (c->expected == AN_EQUALS || c->expected == A_VALUE)
        complain(c, t->line, "a value is missing", c->previous.text, "");
    c->depth--;
    c->expected = after_value(c);
}

static void take_value(struct checker *c, const struct token *t)
{
    if (t->kind == TOKEN_WORD)
        check_word(c, t);
    else if (t->kind == TOKEN_MARK)
        complain(c, t->line, "a value is missing before it", t->text, "");
    c->expected = after_value(c);
}

static void take(struct checker *c, const struct token *t)
{
    bool is_closing = t->kind == TOKEN_MARK && strchr("}])", t->text.data[0]) != NULL;
    bool is_opening = t->kind == TOKEN_MARK && strchr("{[(", t->text.data[0]) != NULL;
    if (t->kind == TOKEN_BROKEN) {
        complain(c, t->line, "the closing quote is missing", t->text, "");
        c->expected = after_value(c);
    } else if (t->kind == TOKEN_STRING && c->previous.kind == TOKEN_STRING) {
        complain(c, t->line, "stands right behind another text", t->text, "a comma is missing");
    } else if (is_closing) {
        close_group(c, t);
    } else if (is_opening && (c->expected == A_VALUE || c->expected == AN_ITEM)) {
        open_group(c, t);
    } else if (c->expected == A_NAME) {
        if (is_mark(t, ';') || is_mark(t, ','))
            return;
        check_name(c, t);
        c->expected = AN_EQUALS;
    } else if (c->expected == AN_EQUALS) {
        if (!is_mark(t, '=') && !is_mark(t, ':')) {
            complain(c, c->previous.line, "\"=\" and a value are missing behind it",
                     c->previous.text, "");
            c->expected = is_opening ? A_VALUE : A_NAME;
            if (is_opening)
                open_group(c, t);
            else if (t->line != c->previous.line)
                take(c, t); /* the next name */
            return;
        }
        c->expected = A_VALUE;
    } else if (c->expected == A_SEPARATOR) {
        if (!is_mark(t, ','))
            complain(c, t->line, "stands behind another item", t->text, "a comma is missing");
        c->expected = is_mark(t, ',') ? AN_ITEM : A_SEPARATOR;
    } else if (c->expected == A_VALUE && t->kind == TOKEN_WORD && t->line != c->previous.line &&
               c->at[strspn(c->at, " \t")] == '=') {
        complain(c, c->previous.line, "a value is missing behind it", c->previous.text, "");
        c->expected = A_NAME;
        take(c, t); /* the next name */
    } else {
        take_value(c, t);
    }
}

void source_check(const struct source *s, struct errors *errors)
{
    struct checker c = {.source = s, .errors = errors, .at = source_text(s), .line = 1};
    for (;;) {
        struct token t = next_token(&c);
        if (t.kind == TOKEN_END)
            break;
        take(&c, &t);
        c.previous = t;
    }
    if (c.depth > 0)
        complain(&c, c.open[c.depth - 1].line, "is never closed",
                 span_make(&c.open[c.depth - 1].mark, 1), "");
    else if (c.expected == AN_EQUALS || c.expected == A_VALUE)
        complain(&c, c.previous.line, "a value is missing", c.previous.text, "");
}
