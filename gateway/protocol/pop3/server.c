#include "protocol/pop3/server.h"

enum {
    COMMAND_LINE_MAX = 255, /* RFC 2449 section 4 */
    AUTH_LINE_MAX = 12288,  /* as in SMTP: RFC 5034 leaves it open */
    ANY = POP3_CLEAR | POP3_READY | POP3_HAS_USER,
    LOGIN = POP3_READY | POP3_HAS_USER,
};

typedef void handler_fn(struct pop3_server *s, struct span argument, struct pop3_event *event);

static handler_fn on_capa, on_stls, on_utf8, on_user, on_pass, on_auth, on_quit;

static const struct verb {
    const char *name;
    unsigned states; /* where it may come */
    handler_fn *handle;
    enum pop3_reply_name refusal; /* elsewhere */
} verbs[] = {
    {"CAPA", ANY, on_capa, 0},
    {"STLS", POP3_CLEAR, on_stls, POP3_REPLY_tls_active},
    {"UTF8", LOGIN, on_utf8, POP3_REPLY_starttls_first}, /* RFC 6856 section 2 */
    {"USER", LOGIN, on_user, POP3_REPLY_starttls_first},
    {"PASS", POP3_HAS_USER, on_pass, POP3_REPLY_user_first},
    {"AUTH", LOGIN, on_auth, POP3_REPLY_starttls_first},
    {"NOOP", 0, NULL, POP3_REPLY_login_first},
    {"STAT", 0, NULL, POP3_REPLY_login_first},
    {"LIST", 0, NULL, POP3_REPLY_login_first},
    {"RETR", 0, NULL, POP3_REPLY_login_first},
    {"DELE", 0, NULL, POP3_REPLY_login_first},
    {"RSET", 0, NULL, POP3_REPLY_login_first},
    {"TOP", 0, NULL, POP3_REPLY_login_first},
    {"UIDL", 0, NULL, POP3_REPLY_login_first},
    {"QUIT", ANY, on_quit, 0},
};

static void refuse(struct pop3_event *event, enum pop3_reply_name refusal, const char *argument)
{
    event->kind = POP3_EVENT_REFUSED;
    event->refusal = refusal;
    event->text = span_of(argument);
}

static void dispatch(struct pop3_server *s, struct span line, struct pop3_event *event)
{
    struct span verb = span_split(&line, ' ');
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (!span_equals_nocase(verb, verbs[i].name))
            continue;
        if ((verbs[i].states & s->state) != 0)
            verbs[i].handle(s, line, event);
        else if (s->state == POP3_CLEAR)
            refuse(event, POP3_REPLY_starttls_first, "");
        else
            refuse(event, verbs[i].refusal, "");
        return;
    }
    const char *method;
    bool is_foreign = line_is_foreign(verb, &method);
    refuse(event, is_foreign ? POP3_REPLY_no_mail_client : POP3_REPLY_unknown_command, "");
}

int pop3_server_next(struct pop3_server *s, struct span *in, struct pop3_event *event)
{
    struct span line;
    /* AUTH with an initial response may be longer than other commands. */
    bool may_be_long = s->state == POP3_IN_AUTH || span_starts_nocase(*in, "AUTH ");
    *event = (struct pop3_event){.text = {"", 0}};
    switch (line_take(&s->lines, may_be_long ? AUTH_LINE_MAX : COMMAND_LINE_MAX, in, &line)) {
    case LINE_MORE: return 0;
    case LINE_TOO_LONG: refuse(event, POP3_REPLY_line_too_long, ""); return 1;
    case LINE_BARE: refuse(event, POP3_REPLY_line_bare, ""); return 1;
    case LINE_WHOLE: break;
    }
    if (line_has_control(line)) {
        refuse(event, POP3_REPLY_line_bare, "");
    } else if (s->state == POP3_IN_AUTH) {
        event->kind = span_equals(line, "*") ? POP3_EVENT_AUTH_CANCEL : POP3_EVENT_AUTH_RESPONSE;
        event->response = line;
    } else {
        dispatch(s, line, event);
    }
    return 1;
}

static void on_capa(struct pop3_server *s, struct span argument, struct pop3_event *event)
{
    (void)s, (void)argument;
    event->kind = POP3_EVENT_CAPA;
}

static void on_stls(struct pop3_server *s, struct span argument, struct pop3_event *event)
{
    (void)s;
    event->kind = POP3_EVENT_STLS;
    if (span_trim(argument).size > 0)
        refuse(event, POP3_REPLY_bad_argument, "STLS takes none");
}

static void on_utf8(struct pop3_server *s, struct span argument, struct pop3_event *event)
{
    (void)s;
    event->kind = POP3_EVENT_UTF8;
    if (span_trim(argument).size > 0)
        refuse(event, POP3_REPLY_bad_argument, "UTF8 takes none");
}

static void on_user(struct pop3_server *s, struct span argument, struct pop3_event *event)
{
    event->kind = POP3_EVENT_USER;
    event->text = span_trim(argument);
    if (event->text.size == 0) {
        refuse(event, POP3_REPLY_bad_argument, "name a user");
        return;
    }
    s->state = POP3_HAS_USER;
}

static void on_pass(struct pop3_server *s, struct span argument, struct pop3_event *event)
{
    (void)s;
    event->kind = POP3_EVENT_PASS;
    event->text = argument;
}

static void on_auth(struct pop3_server *s, struct span argument, struct pop3_event *event)
{
    struct span rest = span_trim(argument);
    event->kind = POP3_EVENT_AUTH;
    event->text = span_split(&rest, ' ');
    event->response = span_trim(rest);
    event->has_response = event->response.size > 0;
    if (event->text.size > 0)
        s->state = POP3_IN_AUTH;
}

static void on_quit(struct pop3_server *s, struct span argument, struct pop3_event *event)
{
    (void)s, (void)argument;
    event->kind = POP3_EVENT_QUIT;
}

void pop3_server_secured(struct pop3_server *s)
{
    s->state = POP3_READY;
    s->lines = (struct line_reader){false};
}

void pop3_server_login_ended(struct pop3_server *s)
{
    s->state = POP3_READY;
}
