#include "protocol/milter/terms.h"

enum { NUMBER_SIZE = 4, OPTIONS_SIZE = 3 * NUMBER_SIZE, NO_STAGE = MILTER_STAGES };

static const struct {
    char command;
    uint32_t version;  /* that knows it */
    uint32_t no, mute; /* by which it is told nothing, and answers nothing */
    int stage;         /* enum milter_stage */
} commands[] = {
    {MILTER_COMMAND_CONNECT, 2, MILTER_NO_CONNECT, MILTER_MUTE_CONNECT, MILTER_STAGE_CONNECT},
    {MILTER_COMMAND_HELO, 2, MILTER_NO_HELO, MILTER_MUTE_HELO, MILTER_STAGE_HELO},
    {MILTER_COMMAND_MAIL, 2, MILTER_NO_MAIL, MILTER_MUTE_MAIL, MILTER_STAGE_MAIL},
    {MILTER_COMMAND_RCPT, 2, MILTER_NO_RCPT, MILTER_MUTE_RCPT, MILTER_STAGE_RCPT},
    {MILTER_COMMAND_UNKNOWN, 3, MILTER_NO_UNKNOWN, MILTER_MUTE_UNKNOWN, NO_STAGE},
    {MILTER_COMMAND_DATA, 4, MILTER_NO_DATA, MILTER_MUTE_DATA, MILTER_STAGE_DATA},
    {MILTER_COMMAND_HEADER, 2, MILTER_NO_HEADERS, MILTER_MUTE_HEADER, NO_STAGE},
    {MILTER_COMMAND_EOH, 2, MILTER_NO_EOH, MILTER_MUTE_EOH, MILTER_STAGE_EOH},
    {MILTER_COMMAND_BODY, 2, MILTER_NO_BODY, MILTER_MUTE_BODY, NO_STAGE},
    {MILTER_COMMAND_END, 2, 0, 0, MILTER_STAGE_END},
};

/* What Postfix and Sendmail give by default, together; `i` from MAIL on, and the client's address
 * and name, which both advise to add. */
static const char *const defaults[MILTER_STAGES] = {
    [MILTER_STAGE_CONNECT] = "j _ v {daemon_name} {daemon_addr} {daemon_port} {if_name} {if_addr} "
                             "{client_addr} {client_name} {client_port} {client_ptr}",
    [MILTER_STAGE_HELO] = "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}",
    [MILTER_STAGE_MAIL] = "i {auth_type} {auth_authen} {auth_ssf} {auth_author} {mail_mailer} "
                          "{mail_host} {mail_addr}",
    [MILTER_STAGE_RCPT] = "i {rcpt_mailer} {rcpt_host} {rcpt_addr}",
    [MILTER_STAGE_DATA] = "i",
    [MILTER_STAGE_END] = "i {msg_id}",
    [MILTER_STAGE_EOH] = "i",
};

static void put_number(struct milter_writer *w, uint32_t number)
{
    const char bytes[] = {(char)(number >> 24), (char)(number >> 16), (char)(number >> 8),
                          (char)number};
    milter_frame_put(w, span_make(bytes, sizeof bytes));
}

int milter_terms_offer(struct buffer *out)
{
    struct milter_writer w = {.out = out};
    milter_frame_begin(&w, MILTER_COMMAND_OPTIONS);
    put_number(&w, MILTER_VERSION);
    put_number(&w, MILTER_MAY_ALL);
    put_number(&w, MILTER_PROTOCOL_ALL);
    return milter_frame_end(&w, MILTER_DATA_MAX);
}

static size_t most_of(uint32_t protocol)
{
    return (protocol & MILTER_DATA_1M) != 0     ? MILTER_DATA_MAX_1M
           : (protocol & MILTER_DATA_256K) != 0 ? MILTER_DATA_MAX_256K
                                                : MILTER_DATA_MAX;
}

static uint32_t take_number(struct span *data)
{
    return milter_number(span_take(data, NUMBER_SIZE));
}

/* Lists of macros, one a stage: a number and a text. Of stages that we don't know they are passed
 * over. */
static int parse_lists(struct span data, struct milter_terms *out, struct error *why)
{
    while (data.size > 0) {
        if (data.size < NUMBER_SIZE)
            return error_set(why, "its list of macros is cut off");
        uint32_t stage = take_number(&data);
        if (memchr(data.data, '\0', data.size) == NULL)
            return error_set(why, "its list of macros has no end");
        struct span list = span_split(&data, '\0');
        if (stage < MILTER_STAGES)
            out->macros[stage] = list;
    }
    return 0;
}

int milter_terms_parse(struct span data, struct milter_terms *out, struct error *why)
{
    if (data.size < OPTIONS_SIZE)
        return error_set(why, "its options have %zu octets instead of %d", data.size, OPTIONS_SIZE);
    out->version = take_number(&data);
    out->actions = take_number(&data);
    out->protocol = take_number(&data);
    out->most = most_of(out->protocol);
    for (int i = 0; i < MILTER_STAGES; i++)
        out->macros[i] = span_of(defaults[i]);
    if (out->version < MILTER_VERSION_MIN || out->version > MILTER_VERSION)
        return error_set(why, "it speaks version %u; known are %d to %d", out->version,
                         MILTER_VERSION_MIN, MILTER_VERSION);
    if ((out->actions & ~(uint32_t)MILTER_MAY_ALL) != 0)
        return error_set(why, "it wants actions 0x%x, and 0x%x are offered", out->actions,
                         (unsigned)MILTER_MAY_ALL);
    if ((out->protocol & ~(uint32_t)MILTER_PROTOCOL_ALL) != 0)
        return error_set(why, "it wants options 0x%x, and 0x%x are offered", out->protocol,
                         (unsigned)MILTER_PROTOCOL_ALL);
    return parse_lists(data, out, why);
}

/* SIZE_MAX: of none that is told and answered. */
static size_t find(enum milter_command c)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (commands[i].command == (char)c)
            return i;
    return SIZE_MAX;
}

bool milter_is_told(const struct milter_terms *t, enum milter_command c)
{
    size_t i = find(c);
    return i != SIZE_MAX && t->version >= commands[i].version &&
           (t->protocol & commands[i].no) == 0;
}

bool milter_is_answered(const struct milter_terms *t, enum milter_command c)
{
    size_t i = find(c);
    return i != SIZE_MAX && (t->protocol & commands[i].mute) == 0;
}

bool milter_stage_of(const struct milter_terms *t, enum milter_command c, enum milter_stage *stage)
{
    size_t i = find(c);
    if (i == SIZE_MAX || commands[i].stage == NO_STAGE || t->version < commands[i].version)
        return false;
    *stage = (enum milter_stage)commands[i].stage;
    return true;
}

bool milter_edits_content(const struct milter_terms *t)
{
    return (t->actions &
            (MILTER_MAY_ADD_HEADERS | MILTER_MAY_CHANGE_HEADERS | MILTER_MAY_CHANGE_BODY)) != 0;
}

static bool is_between(char c)
{
    return c == ' ' || c == ',' || c == '\t';
}

/* The next word; those that are too long to be a name are passed over. */
static struct span next_word(struct span *list)
{
    struct span word = {NULL, 0};
    while (word.size == 0 && list->size > 0) {
        while (list->size > 0 && is_between(list->data[0]))
            span_skip(list, 1);
        size_t size = 0;
        while (size < list->size && !is_between(list->data[size]))
            size++;
        word = span_take(list, size);
        if (word.size >= 2 && word.data[0] == '{' && word.data[word.size - 1] == '}')
            word = span_make(word.data + 1, word.size - 2);
        if (word.size + sizeof "{}" > MILTER_MACRO_NAME_SIZE)
            word.size = 0;
    }
    return word;
}

bool milter_macro_next(struct span *list, char name[MILTER_MACRO_NAME_SIZE])
{
    struct span word = next_word(list);
    size_t used = 0;
    if (word.size == 0)
        return false;
    if (word.size > 1)
        name[used++] = '{';
    used += span_copy(word, name + used, MILTER_MACRO_NAME_SIZE - used);
    if (word.size > 1)
        name[used++] = '}';
    name[used] = '\0';
    return true;
}
