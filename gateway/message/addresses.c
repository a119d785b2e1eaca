/* One octet after the other: comments, quoted strings and literals have their own rules, between
 * them tokens move the state. What stands before it is known whether it is a name or a local part
 * is read as both. */
#include "message/addresses.h"

enum { DEPTH_MAX = 64 };

enum within { PLAIN, IN_QUOTES, IN_COMMENT, IN_LITERAL };

enum state {
    AT_START,     /* of an address, a group, or nothing */
    IN_WORDS,     /* of a name, or of a local part */
    AT_ANGLE,     /* behind the "<" */
    IN_ROUTE,     /* "<@a,@b:", which leads to an address (section 4.4) */
    BEHIND_ROUTE, /* and it has come */
    IN_DOMAIN,
    BEHIND_ADDRESS, /* behind the ">" */
    BEHIND_GROUP,
};

static bool is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_utf8(char c)
{
    return (unsigned char)c > 0x7f;
}

/* RFC 5322 section 3.2.3 */
static bool is_atext(char c)
{
    return ascii_is_alnum(c) || is_utf8(c) ||
           (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static void refuse(struct addresses *a, const char *wrong)
{
    if (a->wrong == NULL)
        a->wrong = wrong;
}

void addresses_begin(struct addresses *a, addresses_fn *fn, void *owner)
{
    *a = (struct addresses){.fn = fn, .owner = owner};
}

/* ---- an address that is whole ---- */

static bool needs_quotes(struct span local)
{
    bool is_after_dot = true;
    for (size_t i = 0; i < local.size; i++) {
        bool is_dot = local.data[i] == '.';
        if (is_dot ? is_after_dot : !is_atext(local.data[i]))
            return true;
        is_after_dot = is_dot;
    }
    return is_after_dot;
}

static size_t write_local(struct span local, char *out)
{
    size_t size = 0;
    if (!needs_quotes(local)) {
        memcpy(out, local.data, local.size);
        return local.size;
    }
    out[size++] = '"';
    for (size_t i = 0; i < local.size; i++) {
        if (local.data[i] == '"' || local.data[i] == '\\')
            out[size++] = '\\';
        out[size++] = local.data[i];
    }
    out[size++] = '"';
    return size;
}

static void give(struct addresses *a)
{
    char text[2 * ADDRESSES_LOCAL_MAX + ADDRESSES_DOMAIN_MAX + 3];
    if (a->domain_size == 0 || a->is_after_dot) {
        refuse(a, "an address in it has no domain, or half of one");
        return;
    }
    size_t size = write_local(span_make(a->local, a->local_size), text);
    text[size++] = '@';
    memcpy(text + size, a->domain, a->domain_size);
    a->count++;
    a->fn(a->owner, span_make(text, size + a->domain_size));
}

/* ---- words ---- */

static void forget_words(struct addresses *a)
{
    a->local_size = a->domain_size = 0;
    a->has_word = a->is_after_dot = a->is_phrase = false;
}

/* What doesn't fit is a name's, and so is a tab. */
static void add_to_local(struct addresses *a, char c)
{
    if (a->local_size < sizeof a->local && c != '\t')
        a->local[a->local_size++] = c;
    else
        a->is_phrase = true;
}

static void add_to_domain(struct addresses *a, char c)
{
    if (a->domain_size < sizeof a->domain)
        a->domain[a->domain_size++] = c;
    else
        refuse(a, "a domain in it is too long");
}

/* An atom or a quoted string begins. */
static void begin_word(struct addresses *a)
{
    bool is_second = !a->is_after_dot; /* of two with no dot between them */
    switch ((enum state)a->state) {
    case AT_START:
    case AT_ANGLE:
    case BEHIND_ROUTE:
        forget_words(a);
        a->state = IN_WORDS;
        break;
    case IN_WORDS: a->is_phrase = a->is_phrase || is_second; break;
    case IN_DOMAIN:
        if (a->domain_size > 0 && is_second)
            refuse(a, "something stands behind an address in it without a comma");
        break;
    case IN_ROUTE: break;
    case BEHIND_ADDRESS:
    case BEHIND_GROUP: refuse(a, "something stands behind an address in it without a comma");
    }
    a->has_word = true;
    a->is_after_dot = false;
}

static void take_atext(struct addresses *a, char c)
{
    if (!a->is_in_atom)
        begin_word(a);
    a->is_in_atom = true;
    if (a->state == IN_WORDS)
        add_to_local(a, c);
    else if (a->state == IN_DOMAIN && (ascii_is_alnum(c) || is_utf8(c) || c == '-' || c == '_'))
        add_to_domain(a, c);
    else if (a->state == IN_DOMAIN)
        refuse(a, "a domain in it has a character that domains don't have");
}

static void begin_quotes(struct addresses *a)
{
    begin_word(a);
    a->within = IN_QUOTES;
    if (a->state != IN_WORDS)
        refuse(a, "quotes stand where a domain should");
}

static void begin_literal(struct addresses *a)
{
    if (a->state != IN_DOMAIN || a->domain_size > 0)
        refuse(a, "a bracket stands in it where none should");
    else
        add_to_domain(a, '[');
    a->within = IN_LITERAL;
}

/* ---- tokens ---- */

static void take_dot(struct addresses *a)
{
    bool is_misplaced = a->is_after_dot || !a->has_word;
    if (a->state == IN_WORDS) {
        a->is_phrase = a->is_phrase || is_misplaced; /* a name of old: "John Q. Public" */
        add_to_local(a, '.');
    } else if (a->state == IN_DOMAIN) {
        if (is_misplaced || a->domain_size == 0 || a->domain[0] == '[')
            refuse(a, "a domain in it has a dot too many");
        add_to_domain(a, '.');
    } else if (a->state != IN_ROUTE) {
        refuse(a, "a dot stands in it where none should");
    }
    a->is_after_dot = true;
}

/* Some readers decode it all the same. */
static bool is_encoded(const struct addresses *a)
{
    return a->local_size > 3 && memmem(a->local, a->local_size, "=?", 2) != NULL &&
           memmem(a->local, a->local_size, "?=", 2) != NULL;
}

static void take_at(struct addresses *a)
{
    if (a->state == AT_ANGLE || a->state == IN_ROUTE) {
        a->state = IN_ROUTE;
        return;
    }
    if (a->state == IN_DOMAIN)
        refuse(a, "an address in it has two @");
    else if (a->state != IN_WORDS || a->is_phrase || a->is_after_dot)
        refuse(a, "what stands before an @ in it is no local part");
    else if (is_encoded(a))
        refuse(a, "an address in it is encoded");
    a->state = IN_DOMAIN;
    a->is_after_dot = a->has_word = false;
}

static void open_angle(struct addresses *a)
{
    if (a->is_in_angle)
        refuse(a, "a > is missing in it");
    else if (a->state == IN_DOMAIN)
        refuse(a, "an address stands in it where a name should; a name like that has to be quoted");
    else if (a->state != AT_START && a->state != IN_WORDS)
        refuse(a, "a < stands in it where none should");
    forget_words(a);
    a->is_in_angle = true;
    a->state = AT_ANGLE;
}

static void close_angle(struct addresses *a)
{
    if (a->state != IN_DOMAIN || !a->is_in_angle)
        refuse(a, "no address stands in it before a >");
    else
        give(a);
    a->is_in_angle = false;
    a->state = BEHIND_ADDRESS;
}

/* An address, or none, comes to its end. */
static void end_item(struct addresses *a)
{
    if (a->is_in_angle)
        refuse(a, "a > is missing in it");
    else if (a->state == IN_WORDS)
        refuse(a, "a name stands in it without an address");
    else if (a->state == IN_DOMAIN)
        give(a);
}

static void take_comma(struct addresses *a)
{
    if (a->state == IN_ROUTE)
        return;
    end_item(a);
    a->state = AT_START;
}

static void take_colon(struct addresses *a)
{
    if (a->state == IN_ROUTE && a->has_word) {
        a->state = BEHIND_ROUTE;
        return;
    }
    if (a->state != IN_WORDS || a->is_in_angle || a->is_in_group)
        refuse(a, "a colon stands in it where none should");
    a->is_in_group = true;
    a->state = AT_START;
}

static void take_semicolon(struct addresses *a)
{
    if (!a->is_in_group)
        refuse(a, "a semicolon stands in it where a comma should");
    end_item(a);
    a->is_in_group = false;
    a->state = BEHIND_GROUP;
}

static void take_token(struct addresses *a, char c)
{
    a->is_in_atom = false;
    switch (c) {
    case '.': take_dot(a); break;
    case '@': take_at(a); break;
    case '<': open_angle(a); break;
    case '>': close_angle(a); break;
    case ',': take_comma(a); break;
    case ':': take_colon(a); break;
    case ';': take_semicolon(a); break;
    case '"': begin_quotes(a); break;
    case '[': begin_literal(a); break;
    case '(':
        a->within = IN_COMMENT;
        a->depth = 1;
        break;
    default:
        if (!is_white(c))
            refuse(a, "it has a character that can't stand there");
    }
}

/* ---- between brackets ---- */

static void take_quoted(struct addresses *a, char c)
{
    bool is_line_end = c == '\r' || c == '\n'; /* of a fold the white space counts */
    if (!a->is_escaped && c == '\\') {
        a->is_escaped = true;
    } else if (!a->is_escaped && c == '"') {
        a->within = PLAIN;
    } else if (!is_line_end) {
        a->is_escaped = false;
        add_to_local(a, c);
    } else if (a->is_escaped) {
        refuse(a, "it has a backslash at the end of a line");
    }
}

static void take_comment(struct addresses *a, char c)
{
    if (a->is_escaped || c == '\\')
        a->is_escaped = !a->is_escaped;
    else if (c == '(' && ++a->depth > DEPTH_MAX)
        refuse(a, "its comments are nested too deep");
    else if (c == ')' && --a->depth == 0)
        a->within = PLAIN;
}

static void take_literal(struct addresses *a, char c)
{
    if (c == ']') {
        a->within = PLAIN;
        a->has_word = true;
    } else if (!ascii_is_alnum(c) && c != '.' && c != ':' && c != '-') {
        refuse(a, "an address literal in it is none");
    }
    add_to_domain(a, c);
}

static void take_octet(struct addresses *a, char c)
{
    bool is_control = ((unsigned char)c < ' ' && !is_white(c)) || c == 0x7f;
    if (is_control || !utf8_next(&a->utf8, c)) {
        refuse(a, is_control ? "it has a control character" : "it is not UTF-8");
        return;
    }
    switch ((enum within)a->within) {
    case PLAIN:
        if (is_atext(c))
            take_atext(a, c);
        else
            take_token(a, c);
        break;
    case IN_QUOTES: take_quoted(a, c); break;
    case IN_COMMENT: take_comment(a, c); break;
    case IN_LITERAL: take_literal(a, c); break;
    }
}

void addresses_take(struct addresses *a, struct span piece)
{
    for (size_t i = 0; i < piece.size && a->wrong == NULL; i++)
        take_octet(a, piece.data[i]);
}

const char *addresses_end(struct addresses *a)
{
    if (a->wrong != NULL)
        return a->wrong;
    if (a->within != PLAIN || a->is_in_group || !utf8_stream_is_whole(&a->utf8))
        refuse(a, "it ends before a quote, a bracket or a group does");
    else
        end_item(a);
    if (a->wrong == NULL && a->count == 0)
        refuse(a, "it names no address");
    return a->wrong;
}
