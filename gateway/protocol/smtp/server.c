#include "protocol/smtp/server.h"

/* What a line may have, with its CRLF. */
enum {
    LINE = 512,                                  /* RFC 5321 section 4.5.3.1.4 */
    MAIL_LINE = LINE + 26 + 17 + 500 + 10 + 120, /* SIZE, BODY, AUTH, SMTPUTF8; RET with ENVID */
    RCPT_LINE = LINE + 500,                      /* NOTIFY and ORCPT: RFC 3461 section 4 */
    COMMAND_LINE_MAX = 2048,
    AUTH_LINE_MAX = 12288, /* RFC 4954 section 4; clients put a long response behind AUTH too */
};

enum {
    IN_MESSAGE = SMTP_IN_ENVELOPE | SMTP_IN_CHUNKS,
    SETTLED = SMTP_GREETED | SMTP_READY | SMTP_STRANGER | IN_MESSAGE, /* but for a login */
    HELLO_SAID = SMTP_CLEAR | SETTLED,
    ANY = SMTP_CONNECTED | HELLO_SAID,
};

typedef void handler_fn(struct smtp_server *s, struct span argument, struct smtp_event *event);

static handler_fn on_ehlo, on_helo, on_starttls, on_auth, on_mail, on_rcpt, on_data, on_bdat,
    on_rset, on_noop, on_vrfy, on_help, on_quit, on_xclient;

/* RFC 5321 section 4.1.4: which command may come when. In a state that neither column names, the
 * state's own refusal is the answer. */
static const struct verb {
    const char *name;
    unsigned states; /* where it may come */
    handler_fn *handle;
    size_t line_max;
    bool ends_group; /* RFC 2920 section 3.1 */
    unsigned refused_in;
    enum smtp_reply_name refusal; /* in those */
} verbs[] = {
    /* those of each message first */
    {"MAIL", SMTP_READY, on_mail, MAIL_LINE, false, IN_MESSAGE, SMTP_REPLY_mail_nested},
    {"RCPT", SMTP_IN_ENVELOPE, on_rcpt, RCPT_LINE, false, 0, 0},
    {"DATA", SMTP_IN_ENVELOPE, on_data, LINE, true, 0, 0},
    {"BDAT", IN_MESSAGE, on_bdat, LINE, true, 0, 0},
    {"EHLO", ANY, on_ehlo, LINE, true, 0, 0},
    {"HELO", ANY, on_helo, LINE, true, 0, 0},
    {"STARTTLS", SMTP_CLEAR, on_starttls, LINE, true, SMTP_GREETED | SMTP_READY,
     SMTP_REPLY_tls_active},
    {"AUTH", SMTP_GREETED, on_auth, AUTH_LINE_MAX, true, SMTP_READY | IN_MESSAGE,
     SMTP_REPLY_auth_twice},
    {"RSET", SETTLED | SMTP_CONNECTED, on_rset, LINE, false, 0, 0},
    {"NOOP", ANY, on_noop, LINE, true, 0, 0},
    {"VRFY", SMTP_CONNECTED | SMTP_READY | IN_MESSAGE, on_vrfy, LINE, true, SMTP_GREETED,
     SMTP_REPLY_auth_first},
    {"HELP", SETTLED | SMTP_CONNECTED, on_help, LINE, true, 0, 0},
    {"QUIT", ANY, on_quit, LINE, true, 0, 0},
    {"XCLIENT", ANY & ~IN_MESSAGE, on_xclient, LINE, true, 0, 0},
};

static enum smtp_reply_name refusal_of(enum smtp_state state)
{
    switch (state) {
    case SMTP_CONNECTED: return SMTP_REPLY_hello_first;
    case SMTP_CLEAR: return SMTP_REPLY_starttls_first;
    case SMTP_GREETED: return SMTP_REPLY_auth_first;
    case SMTP_READY: return SMTP_REPLY_mail_first;
    case SMTP_STRANGER: return SMTP_REPLY_not_trusted;
    case SMTP_IN_ENVELOPE:
    case SMTP_IN_CHUNKS:
    case SMTP_IN_AUTH: break;
    }
    return SMTP_REPLY_bad_sequence;
}

/* What is not a command ends the group; a command that is refused does so as if it were taken. */
static void refuse(struct smtp_event *event, enum smtp_reply_name refusal, struct span argument)
{
    event->kind = SMTP_EVENT_REFUSED;
    event->refusal = refusal;
    event->text = argument;
}

/* RFC 3030 section 2: BDAT SP chunk-size [SP "LAST"]. */
static bool parse_chunk(struct span argument, struct smtp_event *event)
{
    argument = span_trim(argument);
    struct span size = span_split(&argument, ' '), last = span_trim(argument);
    event->is_last = span_equals_nocase(last, "LAST");
    return (event->is_last || last.size == 0) &&
           span_number(size, INT64_MAX, &event->chunk_size) == 0;
}

static void dispatch(struct smtp_server *s, struct span line, struct smtp_event *event)
{
    size_t line_size = line.size + strlen("\r\n");
    struct span verb = span_split(&line, ' ');
    event->ends_group = true;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (!span_equals_nocase(verb, verbs[i].name))
            continue;
        event->verb = verbs[i].name;
        event->ends_group = verbs[i].ends_group;
        if (verbs[i].handle == on_bdat && !parse_chunk(line, event))
            refuse(event, SMTP_REPLY_bad_chunk, span_of(""));
        else if (line_size > verbs[i].line_max)
            refuse(event, SMTP_REPLY_line_too_long, span_of(""));
        else if (s->is_plain && (verbs[i].handle == on_starttls || verbs[i].handle == on_auth))
            refuse(event, SMTP_REPLY_not_offered, span_of(""));
        else if ((verbs[i].states & s->state) != 0)
            verbs[i].handle(s, line, event);
        else if ((s->state & SMTP_CLEAR) != 0 && verbs[i].handle == on_auth)
            refuse(event, SMTP_REPLY_auth_encryption, span_of(""));
        else if ((verbs[i].refused_in & s->state) != 0)
            refuse(event, verbs[i].refusal, span_of(""));
        else
            refuse(event, refusal_of(s->state), span_of(""));
        return;
    }
    refuse(event,
           line_is_foreign(verb, &event->verb) ? SMTP_REPLY_no_mail_client
                                               : SMTP_REPLY_unknown_command,
           span_of(""));
}

static void on_auth_line(struct span line, struct smtp_event *event)
{
    event->kind = span_equals(line, "*") ? SMTP_EVENT_AUTH_CANCEL : SMTP_EVENT_AUTH_RESPONSE;
    event->response = line;
}

int smtp_server_next(struct smtp_server *s, struct span *in, struct smtp_event *event)
{
    struct span line;
    bool is_auth = s->state == SMTP_IN_AUTH;
    if (!s->lines.is_skipping)
        s->is_auth_line = is_auth || span_starts_nocase(*in, "AUTH ");
    size_t max = s->is_auth_line ? AUTH_LINE_MAX : COMMAND_LINE_MAX;
    *event = (struct smtp_event){.ends_group = true};
    switch (line_take(&s->lines, max, in, &line)) {
    case LINE_MORE: return 0;
    case LINE_TOO_LONG:
        refuse(event, s->is_auth_line ? SMTP_REPLY_auth_too_long : SMTP_REPLY_line_too_long,
               span_of(""));
        return 1;
    case LINE_BARE: refuse(event, SMTP_REPLY_line_bare, span_of("")); return 1;
    case LINE_WHOLE: break;
    }
    if (line_has_control(line))
        refuse(event, SMTP_REPLY_line_bare, span_of(""));
    else if (is_auth)
        on_auth_line(line, event);
    else
        dispatch(s, line, event);
    return 1;
}

static void take_hello(struct smtp_server *s, struct span name, struct smtp_event *event)
{
    (void)s;
    event->kind = SMTP_EVENT_HELLO;
    event->text = span_trim(name);
    if (!smtp_hello_is_valid(event->text))
        refuse(event, SMTP_REPLY_bad_argument,
               span_of("give one host name, or an address in brackets"));
}

static void on_ehlo(struct smtp_server *s, struct span argument, struct smtp_event *event)
{
    event->is_extended = true;
    take_hello(s, argument, event);
}

static void on_helo(struct smtp_server *s, struct span argument, struct smtp_event *event)
{
    take_hello(s, argument, event);
}

/* A command without argument. */
static void take_bare(enum smtp_event_kind kind, struct span argument, struct smtp_event *event)
{
    event->kind = kind;
    if (span_trim(argument).size > 0)
        refuse(event, SMTP_REPLY_bad_argument, span_of("this command takes none"));
}

static void on_starttls(struct smtp_server *s, struct span argument, struct smtp_event *event)
{
    (void)s;
    take_bare(SMTP_EVENT_STARTTLS, argument, event);
}

static void on_auth(struct smtp_server *s, struct span argument, struct smtp_event *event)
{
    struct span rest = span_trim(argument);
    event->kind = SMTP_EVENT_AUTH;
    event->text = span_split(&rest, ' ');
    event->response = span_trim(rest);
    event->has_response = event->response.size > 0;
    if (event->text.size == 0)
        refuse(event, SMTP_REPLY_bad_argument, span_of("name a mechanism"));
    else if (memchr(event->response.data, ' ', event->response.size) != NULL)
        refuse(event, SMTP_REPLY_bad_argument, span_of("one response at most"));
    else
        s->state = SMTP_IN_AUTH;
}

/* "FROM:" or "TO:" and the path; what is left are parameters. Clients put a space before the path.
 */
static const char *take_path(struct span *argument, const char *keyword, struct smtp_path *path)
{
    if (!span_starts_nocase(*argument, keyword))
        return "FROM:<...> or TO:<...> is missing";
    span_skip(argument, strlen(keyword));
    *argument = span_trim(*argument);
    return smtp_path_parse(argument, path);
}

static void take_parameters(enum smtp_parameters_result result, struct span wrong,
                            struct smtp_event *event)
{
    if (result == SMTP_PARAMETERS_UNKNOWN)
        refuse(event, SMTP_REPLY_unknown_parameter, wrong);
    else if (result == SMTP_PARAMETERS_WRONG)
        refuse(event, SMTP_REPLY_bad_argument, wrong);
}

static void on_mail(struct smtp_server *s, struct span argument, struct smtp_event *event)
{
    struct span unknown = span_of("");
    event->kind = SMTP_EVENT_MAIL;
    const char *wrong = take_path(&argument, "FROM:", &event->path);
    if (wrong == NULL && event->path.address.size > 0 && event->path.domain.size == 0)
        wrong = "the @ and a domain are missing"; /* Postmaster alone is a recipient's */
    if (wrong == NULL)
        take_parameters(
            smtp_parameters_parse_mail(argument, s->offered, &event->parameters, &unknown), unknown,
            event);
    else
        refuse(event, SMTP_REPLY_bad_sender, span_of(wrong));
    if (event->kind == SMTP_EVENT_MAIL && event->path.is_utf8 && !event->parameters.is_smtputf8)
        refuse(event, SMTP_REPLY_needs_smtputf8, span_of(""));
    if (event->kind == SMTP_EVENT_MAIL)
        s->state = SMTP_IN_ENVELOPE;
}

static void on_rcpt(struct smtp_server *s, struct span argument, struct smtp_event *event)
{
    struct span unknown = span_of("");
    event->kind = SMTP_EVENT_RCPT;
    const char *wrong = take_path(&argument, "TO:", &event->path);
    if (wrong == NULL && event->path.address.size == 0)
        wrong = "it is empty";
    if (wrong == NULL)
        take_parameters(
            smtp_parameters_parse_rcpt(argument, s->offered, &event->parameters, &unknown), unknown,
            event);
    else
        refuse(event, SMTP_REPLY_bad_recipient, span_of(wrong));
}

static void on_data(struct smtp_server *s, struct span argument, struct smtp_event *event)
{
    (void)s;
    take_bare(SMTP_EVENT_DATA, argument, event);
}

static void on_bdat(struct smtp_server *s, struct span argument, struct smtp_event *event)
{
    (void)argument; /* it is read wherever the command comes: the chunk does too */
    event->kind = SMTP_EVENT_BDAT;
    s->state = SMTP_IN_CHUNKS;
}

static void on_rset(struct smtp_server *s, struct span argument, struct smtp_event *event)
{
    take_bare(SMTP_EVENT_RSET, argument, event);
    if (event->kind == SMTP_EVENT_RSET)
        smtp_server_envelope_ended(s);
}

static void on_noop(struct smtp_server *s, struct span argument, struct smtp_event *event)
{
    (void)s, (void)argument;
    event->kind = SMTP_EVENT_NOOP;
}

static void on_vrfy(struct smtp_server *s, struct span argument, struct smtp_event *event)
{
    (void)s;
    event->kind = SMTP_EVENT_VERIFY;
    if (span_trim(argument).size == 0)
        refuse(event, SMTP_REPLY_bad_argument, span_of("name an address"));
}

static void on_help(struct smtp_server *s, struct span argument, struct smtp_event *event)
{
    (void)s, (void)argument;
    event->kind = SMTP_EVENT_HELP;
}

static void on_quit(struct smtp_server *s, struct span argument, struct smtp_event *event)
{
    (void)s;
    take_bare(SMTP_EVENT_QUIT, argument, event);
}

static void on_xclient(struct smtp_server *s, struct span argument, struct smtp_event *event)
{
    event->kind = SMTP_EVENT_XCLIENT;
    const char *wrong = smtp_xclient_parse(argument, &event->told);
    if (!s->may_tell || (event->told.value[XCLIENT_LOGIN].size > 0 && !s->may_vouch))
        refuse(event, SMTP_REPLY_xclient_denied, span_of(""));
    else if (wrong != NULL)
        refuse(event, SMTP_REPLY_bad_argument, span_of(wrong));
}

/* Where a client stands that has said EHLO and is in no message. Who is trusted may send where
 * others must start TLS or log in first, and may do these too. */
static enum smtp_state rest(const struct smtp_server *s)
{
    enum smtp_state state = s->needs_tls ? SMTP_CLEAR : s->needs_auth ? SMTP_GREETED : SMTP_READY;
    if (s->is_plain)
        return s->needs_auth && !s->is_trusted ? SMTP_STRANGER : SMTP_READY;
    return s->is_trusted ? state | SMTP_READY : state;
}

void smtp_server_greeted(struct smtp_server *s)
{
    s->state = rest(s);
}

void smtp_server_secured(struct smtp_server *s)
{
    s->needs_tls = false;
    s->lines = (struct line_reader){false};
    s->state = SMTP_CONNECTED;
}

void smtp_server_auth_ended(struct smtp_server *s, bool is_authenticated)
{
    s->needs_auth = s->needs_auth && !is_authenticated;
    s->state = rest(s);
}

void smtp_server_told(struct smtp_server *s, bool has_hello, bool is_authenticated)
{
    s->needs_auth = s->needs_auth && !is_authenticated;
    s->state = has_hello || (s->state & SMTP_CLEAR) != 0 ? rest(s) : SMTP_CONNECTED;
}

void smtp_server_envelope_ended(struct smtp_server *s)
{
    if ((s->state & IN_MESSAGE) != 0)
        s->state = rest(s);
}
