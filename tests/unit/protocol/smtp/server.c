#include "protocol/smtp/server.h"

#include "protocol/said.h"
#include "support/splits.h"

#define X10  "xxxxxxxxxx"
#define X50  X10 X10 X10 X10 X10
#define X100 X50 X50
#define X500 X100 X100 X100 X100 X100

enum {
    OFFERED = SMTP_PIPELINING | SMTP_SIZE | SMTP_8BITMIME | SMTP_SMTPUTF8 | SMTP_DSN | SMTP_AUTH,
};

/* Where a conversation begins. */
enum door { OPEN, IMPLICIT, STARTTLS };

/* A session as small as can be: it takes every hello, TLS and message. The response "Z29vZA=="
 * logs in, "YmFk" is wrong, others are asked for more. */
struct talk {
    struct span input;
    const char *expected;
    enum door door;
    bool is_trusted; /* XCLIENT, with LOGIN */
    struct smtp_server server;
    struct leftover in;
    bool is_over;
    struct said said;
};

static void say_refusal(struct said *said, const struct smtp_event *event)
{
    struct buffer reply = {.limit = 1024};
    (void)smtp_reply_append(event->refusal, NULL, NULL, &reply); /* has room */
    struct span line = buffer_bytes(&reply), code = span_split(&line, ' ');
    struct span enhanced = span_split(&line, ' ');
    say(said, "%.*s %.*s\n", (int)code.size, code.data, (int)enhanced.size, enhanced.data);
    buffer_clear(&reply);
}

static void say_value(struct said *said, const char *name, struct span value)
{
    if (value.size == 0)
        return;
    say(said, " %s", name);
    say_bytes(said, value);
}

static void say_envelope(struct said *said, const char *verb, const struct smtp_event *event)
{
    const struct smtp_parameters *p = &event->parameters;
    say(said, "%s <", verb);
    say_bytes(said, event->path.address);
    say(said, ">%s", event->path.is_utf8 ? " (utf8)" : "");
    if (p->size > 0)
        say(said, " SIZE=%lu", (unsigned long)p->size);
    say_value(said, "BODY=", p->body);
    say_value(said, "RET=", p->ret);
    say_value(said, "ENVID=", p->envid);
    say_value(said, "NOTIFY=", p->notify);
    say_value(said, "ORCPT=", p->orcpt);
    say(said, "%s\n", p->is_smtputf8 ? " SMTPUTF8" : "");
}

static void say_event(struct said *said, const struct smtp_event *event)
{
    switch (event->kind) {
    case SMTP_EVENT_HELLO:
        say(said, "%s", event->is_extended ? "EHLO" : "HELO");
        say_value(said, "", event->text);
        break;
    case SMTP_EVENT_STARTTLS: say(said, "STARTTLS"); break;
    case SMTP_EVENT_AUTH:
        say(said, "AUTH");
        say_value(said, "", event->text);
        if (event->has_response)
            say_value(said, "with ", event->response);
        break;
    case SMTP_EVENT_AUTH_RESPONSE:
        say(said, "response <");
        say_bytes(said, event->response);
        say(said, ">");
        break;
    case SMTP_EVENT_AUTH_CANCEL: say(said, "cancelled"); break;
    case SMTP_EVENT_MAIL: say_envelope(said, "MAIL", event); return;
    case SMTP_EVENT_RCPT: say_envelope(said, "RCPT", event); return;
    case SMTP_EVENT_DATA: say(said, "DATA"); break;
    case SMTP_EVENT_BDAT:
        say(said, "BDAT %lu%s", (unsigned long)event->chunk_size, event->is_last ? " LAST" : "");
        break;
    case SMTP_EVENT_RSET: say(said, "RSET"); break;
    case SMTP_EVENT_NOOP: say(said, "NOOP"); break;
    case SMTP_EVENT_VERIFY: say(said, "VRFY"); break;
    case SMTP_EVENT_HELP: say(said, "HELP"); break;
    case SMTP_EVENT_QUIT: say(said, "QUIT"); break;
    case SMTP_EVENT_XCLIENT:
        say(said, "XCLIENT");
        for (unsigned i = 0; i < XCLIENT_COUNT; i++)
            say_value(said, xclient_names[i], event->told.value[i]);
        break;
    case SMTP_EVENT_REFUSED: say_refusal(said, event); return;
    }
    say(said, "\n");
}

static void judge_response(struct talk *t, struct span response)
{
    if (span_equals(response, "Z29vZA=="))
        smtp_server_auth_ended(&t->server, true);
    else if (span_equals(response, "YmFk"))
        smtp_server_auth_ended(&t->server, false);
}

static void answer(struct talk *t, const struct smtp_event *event)
{
    switch (event->kind) {
    case SMTP_EVENT_HELLO:
        smtp_server_greeted(&t->server);
        t->server.offered = event->is_extended ? OFFERED : 0;
        break;
    case SMTP_EVENT_STARTTLS: smtp_server_secured(&t->server); break;
    case SMTP_EVENT_AUTH:
    case SMTP_EVENT_AUTH_RESPONSE: judge_response(t, event->response); break;
    case SMTP_EVENT_AUTH_CANCEL: smtp_server_auth_ended(&t->server, false); break;
    case SMTP_EVENT_REFUSED:
        if (t->server.state == SMTP_IN_AUTH)
            smtp_server_auth_ended(&t->server, false);
        break;
    case SMTP_EVENT_DATA: smtp_server_envelope_ended(&t->server); break;
    case SMTP_EVENT_QUIT: t->is_over = true; break;
    case SMTP_EVENT_XCLIENT:
        smtp_server_told(&t->server, event->told.value[XCLIENT_HELO].size > 0,
                         event->told.value[XCLIENT_LOGIN].size > 0);
        break;
    default: break;
    }
}

static void restart(void *owner)
{
    struct talk *t = owner;
    leftover_drop(&t->in);
    t->server = (struct smtp_server){.state = SMTP_CONNECTED,
                                     .needs_tls = t->door == STARTTLS,
                                     .needs_auth = t->door != OPEN,
                                     .may_tell = t->is_trusted,
                                     .may_vouch = t->is_trusted};
    t->is_over = false;
    say_nothing(&t->said);
}

static void feed(void *owner, struct span piece)
{
    struct talk *t = owner;
    struct smtp_event event;
    struct span *in = leftover_join(&t->in, piece);
    while (!t->is_over && smtp_server_next(&t->server, in, &event) == 1) {
        say_event(&t->said, &event);
        answer(t, &event);
    }
}

static void done(void *owner)
{
    struct talk *t = owner;
    said_is(&t->said, t->expected, t->input.data);
}

static void check(enum door door, struct span input, const char *expected)
{
    static struct talk t;
    t.door = door;
    t.input = input;
    t.expected = expected;
    every_split(input, restart, feed, done, &t);
    leftover_drop(&t.in);
}

/* ---- conversations ---- */

#define LOGIN      "EHLO c\r\nAUTH PLAIN Z29vZA==\r\n"
#define LOGGED_IN  "EHLO c\nAUTH PLAIN with Z29vZA==\n"
#define IN_MAIL    "EHLO c\r\nMAIL FROM:<a@b>\r\n"
#define MAIL_TAKEN "EHLO c\nMAIL <a@b>\n"

static const struct conversation {
    enum door door;
    const char *input, *events;
} conversations[] = {
    /* RFC 5321 appendix D.1: a typical transaction */
    {OPEN,
     "EHLO bar.com\r\nMAIL FROM:<Smith@bar.com>\r\nRCPT TO:<Jones@foo.com>\r\n"
     "RCPT TO:<Green@foo.com>\r\nRCPT TO:<Brown@foo.com>\r\nDATA\r\nQUIT\r\n",
     "EHLO bar.com\nMAIL <Smith@bar.com>\nRCPT <Jones@foo.com>\nRCPT <Green@foo.com>\n"
     "RCPT <Brown@foo.com>\nDATA\nQUIT\n"},
    /* D.2: aborted */
    {OPEN,
     "EHLO bar.com\r\nMAIL FROM:<Smith@bar.com>\r\nRCPT TO:<Jones@foo.com>\r\n"
     "RCPT TO:<Green@foo.com>\r\nRSET\r\nQUIT\r\n",
     "EHLO bar.com\nMAIL <Smith@bar.com>\nRCPT <Jones@foo.com>\nRCPT <Green@foo.com>\nRSET\n"
     "QUIT\n"},
    /* D.3: relayed; with the source route of RFC 821, which is dropped */
    {OPEN,
     "EHLO bar.com\r\nMAIL FROM:<JQP@bar.com>\r\nRCPT TO:<@foo.com:Jones@XYZ.COM>\r\nDATA\r\n",
     "EHLO bar.com\nMAIL <JQP@bar.com>\nRCPT <Jones@XYZ.COM>\nDATA\n"},
    /* D.4: verifying and sending */
    {OPEN,
     "EHLO bar.com\r\nVRFY Crispin\r\nMAIL FROM:<EAK@bar.com>\r\nRCPT TO:<Admin.MRC@foo.com>\r\n"
     "DATA\r\nQUIT\r\n",
     "EHLO bar.com\nVRFY\nMAIL <EAK@bar.com>\nRCPT <Admin.MRC@foo.com>\nDATA\nQUIT\n"},
    /* two messages, the second from nobody */
    {OPEN,
     "HELO bar.com\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nMAIL FROM:<>\r\n"
     "RCPT TO:<a@b>\r\nDATA\r\nQUIT\r\n",
     "HELO bar.com\nMAIL <a@b>\nRCPT <c@d>\nDATA\nMAIL <>\nRCPT <a@b>\nDATA\nQUIT\n"},
    /* RFC 3207 section 5, and what comes before TLS */
    {STARTTLS,
     "EHLO mail.example.com\r\nMAIL FROM:<a@b>\r\nAUTH PLAIN Z29vZA==\r\nSTARTTLS\r\n"
     "MAIL FROM:<a@b>\r\nEHLO mail.example.com\r\nSTARTTLS\r\nMAIL FROM:<a@b>\r\n"
     "AUTH PLAIN Z29vZA==\r\nSTARTTLS\r\nMAIL FROM:<a@b>\r\nSTARTTLS\r\nQUIT\r\n",
     "EHLO mail.example.com\n530 5.7.0\n538 5.7.11\nSTARTTLS\n503 5.5.1\n"
     "EHLO mail.example.com\n554 5.5.1\n530 5.7.0\nAUTH PLAIN with Z29vZA==\n554 5.5.1\n"
     "MAIL <a@b>\n503 5.5.1\nQUIT\n"},
    /* RFC 4954 section 4: with and without an initial response, cancelled, wrong, twice */
    {IMPLICIT, "EHLO c\r\nAUTH PLAIN\r\nZ29vZA==\r\nMAIL FROM:<a@b>\r\n",
     "EHLO c\nAUTH PLAIN\nresponse <Z29vZA==>\nMAIL <a@b>\n"},
    {IMPLICIT, "EHLO c\r\nAUTH LOGIN\r\nYW5h\r\nZ29vZA==\r\nMAIL FROM:<a@b>\r\n",
     "EHLO c\nAUTH LOGIN\nresponse <YW5h>\nresponse <Z29vZA==>\nMAIL <a@b>\n"},
    {IMPLICIT, "EHLO c\r\nauth login YW5h\r\nYmFk\r\nMAIL FROM:<a@b>\r\n",
     "EHLO c\nAUTH login with YW5h\nresponse <YmFk>\n530 5.7.0\n"},
    {IMPLICIT, "EHLO c\r\nAUTH PLAIN\r\n*\r\nAUTH PLAIN Z29vZA==\r\n",
     "EHLO c\nAUTH PLAIN\ncancelled\nAUTH PLAIN with Z29vZA==\n"},
    {IMPLICIT, "EHLO c\r\nAUTH EXTERNAL =\r\nYmFk\r\nNOOP\r\n",
     "EHLO c\nAUTH EXTERNAL with =\nresponse <YmFk>\nNOOP\n"},
    {IMPLICIT, "EHLO c\r\nAUTH CRAM-MD5\r\n\r\nYmFk\r\n",
     "EHLO c\nAUTH CRAM-MD5\nresponse <>\nresponse <YmFk>\n"},
    {IMPLICIT, "EHLO c\r\nAUTH PLAIN\r\nQUIT\r\nEHLO c\r\nYmFk\r\nQUIT\r\n",
     "EHLO c\nAUTH PLAIN\nresponse <QUIT>\nresponse <EHLO c>\nresponse <YmFk>\nQUIT\n"},
    {IMPLICIT, LOGIN "AUTH PLAIN Z29vZA==\r\nEHLO c\r\nAUTH PLAIN Z29vZA==\r\nMAIL FROM:<a@b>\r\n",
     LOGGED_IN "503 5.5.1\nEHLO c\n503 5.5.1\nMAIL <a@b>\n"},
    {IMPLICIT, "EHLO c\r\nAUTH\r\nAUTH \r\nAUTH PLAIN a b\r\nNOOP\r\n",
     "EHLO c\n501 5.5.4\n501 5.5.4\n501 5.5.4\nNOOP\n"},
    {IMPLICIT, "EHLO c\r\nAUTH PLAIN\r\nYW\n5h\r\nAUTH PLAIN\r\nY\rW\r\nNOOP\r\n",
     "EHLO c\nAUTH PLAIN\n500 5.5.2\n500 5.5.2\nAUTH PLAIN\n500 5.5.2\nNOOP\n"},
    {IMPLICIT, "EHLO c\r\nAUTH PLAIN\r\nYW5\x01h\r\nNOOP\r\n",
     "EHLO c\nAUTH PLAIN\n500 5.5.2\nNOOP\n"},
    /* hellos */
    {OPEN, "EHLO [192.0.2.1]\r\nEHLO [IPv6:2001:db8::1]\r\nehlo c\r\nHeLo c\r\n",
     "EHLO [192.0.2.1]\nEHLO [IPv6:2001:db8::1]\nEHLO c\nHELO c\n"},
    {OPEN, "EHLO\r\nEHLO \r\nHELO\r\nEHLO a b\r\nHELO a b\r\nMAIL FROM:<a@b>\r\n",
     "501 5.5.4\n501 5.5.4\n501 5.5.4\n501 5.5.4\n501 5.5.4\n503 5.5.1\n"},
    {OPEN, "EHLO c \r\nEHLO  c\r\n", "EHLO c\nEHLO c\n"},
    /* names that clients have, which are no domains (RFC 5321 section 4.1.3) */
    {OPEN, "EHLO localhost\r\nEHLO WIN_PC-2\r\nEHLO 192.0.2.1\r\nEHLO 2001:db8::1\r\n",
     "EHLO localhost\nEHLO WIN_PC-2\nEHLO 192.0.2.1\nEHLO 2001:db8::1\n"},
    {OPEN, "EHLO [::1]\r\nEHLO [fe80::1]\r\nEHLO c.\r\nEHLO b\xc3\xbcro\r\nHELO -x_\r\n",
     "EHLO [::1]\nEHLO [fe80::1]\nEHLO c.\nEHLO b\xc3\xbcro\nHELO -x_\n"},
    {OPEN, "EHLO <c>\r\nEHLO a@b\r\nEHLO (c)\r\nEHLO c;d\r\nEHLO \"c\"\r\nEHLO a\\b\r\n",
     "501 5.5.4\n501 5.5.4\n501 5.5.4\n501 5.5.4\n501 5.5.4\n501 5.5.4\n"},
    {OPEN, "EHLO []\r\nEHLO [\r\nEHLO [c\r\nEHLO c]\r\nEHLO [[c]]\r\nEHLO b\xfcro\r\nHELO $x\r\n",
     "501 5.5.4\n501 5.5.4\n501 5.5.4\n501 5.5.4\n501 5.5.4\n501 5.5.4\n501 5.5.4\n"},
    {OPEN, "EHLO " X100 X100 X50 "xxxxx\r\nEHLO " X100 X100 X50 "xxxxxx\r\n",
     "EHLO " X100 X100 X50 "xxxxx\n501 5.5.4\n"},
    /* a hello begins anew; one that is refused changes nothing (RFC 5321 section 4.1.4) */
    {OPEN, IN_MAIL "EHLO c\r\nRCPT TO:<c@d>\r\n", MAIL_TAKEN "EHLO c\n503 5.5.1\n"},
    {OPEN, IN_MAIL "EHLO\r\nRCPT TO:<c@d>\r\n", MAIL_TAKEN "501 5.5.4\nRCPT <c@d>\n"},
    /* out of order, and what is refused changes nothing */
    {OPEN, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nEHLO c\r\nRCPT TO:<c@d>\r\nDATA\r\n",
     "503 5.5.1\n503 5.5.1\n503 5.5.1\nEHLO c\n503 5.5.1\n503 5.5.1\n"},
    {OPEN, IN_MAIL "MAIL FROM:<x@y>\r\nRCPT TO:<c@d>\r\n", MAIL_TAKEN "503 5.5.1\nRCPT <c@d>\n"},
    {OPEN, IN_MAIL "RCPT TO:<c@@d>\r\nRCPT TO:<c@d>\r\n", MAIL_TAKEN "501 5.1.3\nRCPT <c@d>\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@@b>\r\nRCPT TO:<c@d>\r\nMAIL FROM:<a@b>\r\n",
     "EHLO c\n501 5.1.7\n503 5.5.1\nMAIL <a@b>\n"},
    {OPEN, IN_MAIL "RSET\r\nRCPT TO:<c@d>\r\nMAIL FROM:<e@f>\r\n",
     MAIL_TAKEN "RSET\n503 5.5.1\nMAIL <e@f>\n"},
    {OPEN, IN_MAIL "RSET x\r\nRCPT TO:<c@d>\r\n", MAIL_TAKEN "501 5.5.4\nRCPT <c@d>\n"},
    /* arguments where there are none, or some (RFC 5321 sections 4.1.1.4 to 4.1.1.10) */
    {OPEN, IN_MAIL "DATA x\r\nDATA \r\n", MAIL_TAKEN "501 5.5.4\nDATA\n"},
    {OPEN,
     "EHLO c\r\nNOOP\r\nNOOP x y\r\nHELP\r\nHELP MAIL\r\nVRFY\r\nVRFY \r\nQUIT x\r\nQUIT \r\n",
     "EHLO c\nNOOP\nNOOP\nHELP\nHELP\n501 5.5.4\n501 5.5.4\n501 5.5.4\nQUIT\n"},
    {STARTTLS, "EHLO c\r\nSTARTTLS now\r\nstarttls\r\n", "EHLO c\n501 5.5.4\nSTARTTLS\n"},
    /* what is no command */
    {OPEN, "\r\n \r\nNOOPS\r\nNOO\r\n NOOP\r\nEXPN staff\r\nBURL x\r\nETRN x\r\n",
     "500 5.5.2\n500 5.5.2\n500 5.5.2\n500 5.5.2\n500 5.5.2\n500 5.5.2\n500 5.5.2\n500 5.5.2\n"},
    {OPEN, "MAILFROM:<a@b>\r\nMAIL\xc3\xa9\r\nN\xd6OP\r\nGETS\r\n:\r\n: x\r\n",
     "500 5.5.2\n500 5.5.2\n500 5.5.2\n500 5.5.2\n500 5.5.2\n500 5.5.2\n"},
    /* what others say, and a browser for them */
    {OPEN, "GET / HTTP/1.1\r\nHost: x\r\n", "421 4.7.0\n421 4.7.0\n"},
    {OPEN, "POST /login HTTP/1.1\r\nhead / HTTP/1.0\r\nPUT x\r\nDELETE x\r\nPRI * HTTP/2.0\r\n",
     "421 4.7.0\n421 4.7.0\n421 4.7.0\n421 4.7.0\n421 4.7.0\n"},
    {OPEN, "CONNECT x:25 HTTP/1.1\r\nOPTIONS *\r\nTRACE /\r\nPATCH /\r\n",
     "421 4.7.0\n421 4.7.0\n421 4.7.0\n421 4.7.0\n"},
    {OPEN, "From: me\r\nContent-Type: text/plain\r\nSubject:\r\n",
     "421 4.7.0\n421 4.7.0\n421 4.7.0\n"},
    {STARTTLS, "EHLO c\r\nGET / HTTP/1.1\r\n", "EHLO c\n421 4.7.0\n"},
    {IMPLICIT, "EHLO c\r\nAUTH PLAIN\r\nGET / HTTP/1.1\r\n",
     "EHLO c\nAUTH PLAIN\nresponse <GET / HTTP/1.1>\n"},
    /* lines: LF alone, CR alone, control characters; the next is whole */
    {OPEN, "NOOP\nNOOP\r\n", "500 5.5.2\nNOOP\n"},
    {OPEN, "NO\rOP\r\nNOOP\r\n", "500 5.5.2\nNOOP\n"},
    {OPEN, "NOOP\r\r\nNOOP\r\n", "500 5.5.2\nNOOP\n"},
    {OPEN, "NOOP\r\nNOOP\n\rNOOP\r\nNOOP\r\n", "NOOP\n500 5.5.2\n500 5.5.2\nNOOP\n"},
    {OPEN, "NOOP\t\r\nEHLO\tc\r\nNOOP \x1b[2J\r\nNOOP \x7f\r\nNOOP\r\n",
     "500 5.5.2\n500 5.5.2\n500 5.5.2\n500 5.5.2\nNOOP\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\r\nMAIL FROM:<a@b>\r\n",
     "EHLO c\n500 5.5.2\n500 5.5.2\n503 5.5.1\nMAIL <a@b>\n"},
    {OPEN, "NOO", ""},
    {OPEN, "NOOP\r", ""},
    /* MAIL */
    {OPEN, IN_MAIL, MAIL_TAKEN},
    {OPEN, "EHLO c\r\nmail from:<a@b>\r\n", MAIL_TAKEN},
    {OPEN, "EHLO c\r\nMAIL FROM: <a@b>\r\n", MAIL_TAKEN},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@b> \r\n", MAIL_TAKEN},
    {OPEN, "EHLO c\r\nMAIL FROM:<>\r\n", "EHLO c\nMAIL <>\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:< >\r\n", "EHLO c\n501 5.1.7\n"},
    {OPEN, "EHLO c\r\nMAIL\r\n", "EHLO c\n501 5.1.7\n"},
    {OPEN, "EHLO c\r\nMAIL \r\n", "EHLO c\n501 5.1.7\n"},
    {OPEN, "EHLO c\r\nMAIL FROM\r\n", "EHLO c\n501 5.1.7\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:\r\n", "EHLO c\n501 5.1.7\n"},
    {OPEN, "EHLO c\r\nMAIL FROM :<a@b>\r\n", "EHLO c\n501 5.1.7\n"},
    {OPEN, "EHLO c\r\nMAIL TO:<a@b>\r\n", "EHLO c\n501 5.1.7\n"},
    {OPEN, "EHLO c\r\nMAIL <a@b>\r\n", "EHLO c\n501 5.1.7\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:a@b\r\n", "EHLO c\n501 5.1.7\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@b\r\n", "EHLO c\n501 5.1.7\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:a@b>\r\n", "EHLO c\n501 5.1.7\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a b@c>\r\n", "EHLO c\n501 5.1.7\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@b c>\r\n", "EHLO c\n501 5.1.7\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a>\r\n", "EHLO c\n501 5.1.7\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<\"a b\"@c>\r\n", "EHLO c\nMAIL <\"a b\"@c>\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<\"a\\\"@b\"@c>\r\n", "EHLO c\nMAIL <\"a\\\"@b\"@c>\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<@x,@y:a@b>\r\n", MAIL_TAKEN},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@[192.0.2.1]>\r\n", "EHLO c\nMAIL <a@[192.0.2.1]>\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@[IPv6:::1]>\r\n", "EHLO c\nMAIL <a@[IPv6:::1]>\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@[192.0.2]>\r\n", "EHLO c\n501 5.1.7\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<" X50 X10 "xxxx@b>\r\n", "EHLO c\nMAIL <" X50 X10 "xxxx@b>\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<" X50 X10 "xxxxx@b>\r\n", "EHLO c\n501 5.1.7\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@" X50 X10 "xxxx>\r\n", "EHLO c\n501 5.1.7\n"},
    /* RFC 6531: with SMTPUTF8 alone */
    {OPEN, "EHLO c\r\nMAIL FROM:<j\xc3\xb6rg@b> SMTPUTF8\r\n",
     "EHLO c\nMAIL <j\xc3\xb6rg@b> (utf8) SMTPUTF8\n"},
    {OPEN,
     "EHLO c\r\nMAIL FROM:<a@b\xc3\xbc"
     "cher.example> smtputf8\r\n",
     "EHLO c\nMAIL <a@b\xc3\xbc"
     "cher.example> (utf8) SMTPUTF8\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<j\xc3\xb6rg@b>\r\nRCPT TO:<c@d>\r\n",
     "EHLO c\n553 5.6.7\n503 5.5.1\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<j\xf6rg@b> SMTPUTF8\r\n", "EHLO c\n501 5.1.7\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@b> SMTPUTF8\r\nRCPT TO:<j\xc3\xb6rg@b>\r\n",
     "EHLO c\nMAIL <a@b> SMTPUTF8\nRCPT <j\xc3\xb6rg@b> (utf8)\n"},
    {OPEN, IN_MAIL "RCPT TO:<j\xf6rg@b>\r\n", MAIL_TAKEN "501 5.1.3\n"},
    /* parameters of MAIL */
    {OPEN, "EHLO c\r\nMAIL FROM:<a@b> SIZE=500000 BODY=8BITMIME\r\n",
     "EHLO c\nMAIL <a@b> SIZE=500000 BODY=8BITMIME\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<Alice@Example.ORG> RET=HDRS ENVID=QQ314159\r\n", /* RFC 3461 */
     "EHLO c\nMAIL <Alice@Example.ORG> RET=HDRS ENVID=QQ314159\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<e=mc2@example.com> AUTH=e+3Dmc2@example.com\r\n", /* RFC 4954 */
     "EHLO c\nMAIL <e=mc2@example.com>\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@b>  SIZE=1   BODY=7BIT \r\n",
     "EHLO c\nMAIL <a@b> SIZE=1 BODY=7BIT\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@b>SIZE=1\r\n", "EHLO c\n501 5.5.4\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@b>>\r\n", "EHLO c\n501 5.5.4\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@b> <c@d>\r\n", "EHLO c\n555 5.5.4\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@b> FOO\r\nRCPT TO:<c@d>\r\n", "EHLO c\n555 5.5.4\n503 5.5.1\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@b> FOO=BAR\r\n", "EHLO c\n555 5.5.4\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@b> SIZE=x\r\n", "EHLO c\n501 5.5.4\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@b> SIZE=1 SIZE=1\r\n", "EHLO c\n501 5.5.4\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@b> BODY=BINARYMIME\r\n", "EHLO c\n501 5.5.4\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@b> RET=ALL\r\n", "EHLO c\n501 5.5.4\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@b> ENVID=\r\n", "EHLO c\n501 5.5.4\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@b> SMTPUTF8=yes\r\n", "EHLO c\n501 5.5.4\n"},
    {OPEN, "EHLO c\r\nMAIL FROM:<a@b> NOTIFY=NEVER\r\n", "EHLO c\n555 5.5.4\n"},
    {OPEN, "HELO c\r\nMAIL FROM:<a@b> SIZE=1\r\n", "HELO c\n555 5.5.4\n"},
    /* RCPT */
    {OPEN, IN_MAIL "RCPT TO: <c@d> \r\nrcpt to:<c@d>\r\n", MAIL_TAKEN "RCPT <c@d>\nRCPT <c@d>\n"},
    {OPEN, IN_MAIL "RCPT TO:<>\r\n", MAIL_TAKEN "501 5.1.3\n"},
    {OPEN, IN_MAIL "RCPT TO:<@x:>\r\n", MAIL_TAKEN "501 5.1.3\n"},
    {OPEN, IN_MAIL "RCPT\r\nRCPT TO\r\nRCPT TO:\r\n",
     MAIL_TAKEN "501 5.1.3\n501 5.1.3\n501 5.1.3\n"},
    {OPEN, IN_MAIL "RCPT FROM:<c@d>\r\n", MAIL_TAKEN "501 5.1.3\n"},
    {OPEN, IN_MAIL "RCPT TO:c@d\r\n", MAIL_TAKEN "501 5.1.3\n"},
    {OPEN, IN_MAIL "RCPT TO:<c@d\r\n", MAIL_TAKEN "501 5.1.3\n"},
    {OPEN, IN_MAIL "RCPT TO:<c>\r\n", MAIL_TAKEN "501 5.1.3\n"},
    {OPEN, IN_MAIL "RCPT TO:<Postmaster>\r\nRCPT TO:<postmaster@d>\r\n",
     MAIL_TAKEN "RCPT <Postmaster>\nRCPT <postmaster@d>\n"},
    {OPEN, IN_MAIL "RCPT TO:<c@d>,<e@f>\r\n", MAIL_TAKEN "501 5.5.4\n"},
    {OPEN, IN_MAIL "RCPT TO:<c@d> NOTIFY=SUCCESS ORCPT=rfc822;Bob@Example.COM\r\n",
     MAIL_TAKEN "RCPT <c@d> NOTIFY=SUCCESS ORCPT=rfc822;Bob@Example.COM\n"},
    {OPEN, IN_MAIL "RCPT TO:<c@d> NOTIFY=NEVER,DELAY\r\n", MAIL_TAKEN "501 5.5.4\n"},
    {OPEN, IN_MAIL "RCPT TO:<c@d> ORCPT=Bob@Example.COM\r\n", MAIL_TAKEN "501 5.5.4\n"},
    {OPEN, IN_MAIL "RCPT TO:<c@d> SIZE=1\r\n", MAIL_TAKEN "555 5.5.4\n"},
    {OPEN, IN_MAIL "RCPT TO:<c@d> SMTPUTF8\r\n", MAIL_TAKEN "555 5.5.4\n"},
    {OPEN, "HELO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d> NOTIFY=NEVER\r\n",
     "HELO c\nMAIL <a@b>\n555 5.5.4\n"},
};

START_TEST(a_conversation_gives_the_same_events_however_it_is_cut)
{
    for (size_t i = 0; i < sizeof conversations / sizeof *conversations; i++)
        check(conversations[i].door, span_of(conversations[i].input), conversations[i].events);
}
END_TEST

/* ---- XCLIENT ---- */

static const struct conversation trusted[] = {
    /* all begins anew: MAIL needs EHLO again, unless HELO was told; a login stays */
    {IMPLICIT, LOGIN "XCLIENT ADDR=192.0.2.1\r\nMAIL FROM:<a@b>\r\nEHLO c\r\nMAIL FROM:<a@b>\r\n",
     LOGGED_IN "XCLIENT ADDR192.0.2.1\n503 5.5.1\nEHLO c\nMAIL <a@b>\n"},
    {IMPLICIT, LOGIN "XCLIENT HELO=x\r\nMAIL FROM:<a@b>\r\n",
     LOGGED_IN "XCLIENT HELOx\nMAIL <a@b>\n"},
    {IMPLICIT, "EHLO c\r\nXCLIENT LOGIN=a@b\r\nEHLO c\r\nMAIL FROM:<a@b>\r\nAUTH PLAIN\r\n",
     "EHLO c\nXCLIENT LOGINa@b\nEHLO c\nMAIL <a@b>\n503 5.5.1\n"},
    {IMPLICIT, "EHLO c\r\nXCLIENT HELO=x\r\nMAIL FROM:<a@b>\r\nAUTH PLAIN Z29vZA==\r\n",
     "EHLO c\nXCLIENT HELOx\n530 5.7.0\nAUTH PLAIN with Z29vZA==\n"},
    /* before STARTTLS; some say EHLO again behind it, some don't */
    {STARTTLS, "EHLO c\r\nXCLIENT LOGIN=a@b\r\nSTARTTLS\r\nEHLO c\r\nMAIL FROM:<a@b>\r\n",
     "EHLO c\nXCLIENT LOGINa@b\nSTARTTLS\nEHLO c\nMAIL <a@b>\n"},
    {STARTTLS, "EHLO c\r\nXCLIENT LOGIN=a@b\r\nMAIL FROM:<a@b>\r\nEHLO c\r\nSTARTTLS\r\n",
     "EHLO c\nXCLIENT LOGINa@b\n530 5.7.0\nEHLO c\nSTARTTLS\n"},
    {STARTTLS, "XCLIENT ADDR=192.0.2.1 HELO=x\r\nMAIL FROM:<a@b>\r\nSTARTTLS\r\n",
     "XCLIENT HELOx ADDR192.0.2.1\n530 5.7.0\nSTARTTLS\n"},
    /* not in a message; wrong ones change nothing */
    {OPEN, IN_MAIL "XCLIENT ADDR=192.0.2.1\r\nRCPT TO:<c@d>\r\n",
     MAIL_TAKEN "503 5.5.1\nRCPT <c@d>\n"},
    {OPEN, IN_MAIL "BDAT 0\r\nXCLIENT ADDR=192.0.2.1\r\nBDAT 0 LAST\r\n",
     MAIL_TAKEN "BDAT 0\n503 5.5.1\nBDAT 0 LAST\n"},
    {OPEN, "EHLO c\r\nXCLIENT\r\nXCLIENT ADDR=x\r\nXCLIENT FOO=x\r\nMAIL FROM:<a@b>\r\n",
     "EHLO c\n501 5.5.4\n501 5.5.4\n501 5.5.4\nMAIL <a@b>\n"},
};

START_TEST(xclient_begins_anew_whatever_the_cuts)
{
    static struct talk t;
    for (size_t i = 0; i < sizeof trusted / sizeof *trusted; i++) {
        t.is_trusted = true;
        t.door = trusted[i].door;
        t.input = span_of(trusted[i].input);
        t.expected = trusted[i].events;
        every_split(t.input, restart, feed, done, &t);
    }
    leftover_drop(&t.in);
}
END_TEST

START_TEST(xclient_is_for_who_is_trusted)
{
    check(OPEN, span_of("EHLO c\r\nXCLIENT ADDR=192.0.2.1\r\nXCLIENT\r\nMAIL FROM:<a@b>\r\n"),
          "EHLO c\n550 5.7.0\n550 5.7.0\nMAIL <a@b>\n");
}
END_TEST

START_TEST(login_is_for_who_may_vouch)
{
    struct smtp_server s = {.state = SMTP_READY, .may_tell = true};
    struct smtp_event event;
    struct span in = span_of("XCLIENT ADDR=192.0.2.1 LOGIN=a@b\r\nXCLIENT ADDR=192.0.2.1\r\n");
    ck_assert_int_eq(smtp_server_next(&s, &in, &event), 1);
    ck_assert_int_eq(event.refusal, SMTP_REPLY_xclient_denied);
    ck_assert_int_eq(smtp_server_next(&s, &in, &event), 1);
    ck_assert_int_eq(event.kind, SMTP_EVENT_XCLIENT);
}
END_TEST

/* ---- which command may come when ---- */

enum { CONNECTED, CLEAR, SECURED, GREETED, READY, IN_ENVELOPE, IN_CHUNKS, STATES };

static const struct {
    const char *name, *lines;
    enum door door;
    enum smtp_state state;
} states[STATES] = {
    [CONNECTED] = {"connected", "", STARTTLS, SMTP_CONNECTED},
    [CLEAR] = {"in clear", "EHLO c\r\n", STARTTLS, SMTP_CLEAR},
    [SECURED] = {"secured", "EHLO c\r\nSTARTTLS\r\n", STARTTLS, SMTP_CONNECTED},
    [GREETED] = {"greeted", "EHLO c\r\nSTARTTLS\r\nEHLO c\r\n", STARTTLS, SMTP_GREETED},
    [READY] = {"ready", LOGIN, IMPLICIT, SMTP_READY},
    [IN_ENVELOPE] = {"in an envelope", LOGIN "MAIL FROM:<a@b>\r\n", IMPLICIT, SMTP_IN_ENVELOPE},
    [IN_CHUNKS] = {"in chunks", LOGIN "MAIL FROM:<a@b>\r\nBDAT 0\r\n", IMPLICIT, SMTP_IN_CHUNKS},
};

/* RFC 3207 section 4, RFC 4954 sections 4 and 6,
 * RFC 5321 section 4.1.4. VRFY before EHLO has a test of its own. */
static const struct cell {
    const char *line, *event;
    const char *said[STATES]; /* NULL: `event` */
    bool ends_group;          /* RFC 2920 section 3.1, RFC 3207, RFC 4954 */
} matrix[] = {
    {"EHLO x", "EHLO x", {NULL}, true},
    {"HELO x", "HELO x", {NULL}, true},
    {"STARTTLS",
     "STARTTLS",
     {[CONNECTED] = "503 5.5.1",
      [SECURED] = "503 5.5.1",
      [GREETED] = "554 5.5.1",
      [READY] = "554 5.5.1",
      [IN_ENVELOPE] = "503 5.5.1",
      [IN_CHUNKS] = "503 5.5.1"},
     true},
    {"AUTH PLAIN",
     "AUTH PLAIN",
     {[CONNECTED] = "503 5.5.1",
      [CLEAR] = "538 5.7.11",
      [SECURED] = "503 5.5.1",
      [READY] = "503 5.5.1",
      [IN_ENVELOPE] = "503 5.5.1",
      [IN_CHUNKS] = "503 5.5.1"},
     true},
    {"MAIL FROM:<s@t>",
     "MAIL <s@t>",
     {[CONNECTED] = "503 5.5.1",
      [CLEAR] = "530 5.7.0",
      [SECURED] = "503 5.5.1",
      [GREETED] = "530 5.7.0",
      [IN_ENVELOPE] = "503 5.5.1",
      [IN_CHUNKS] = "503 5.5.1"},
     false},
    {"RCPT TO:<s@t>",
     "RCPT <s@t>",
     {[CONNECTED] = "503 5.5.1",
      [CLEAR] = "530 5.7.0",
      [SECURED] = "503 5.5.1",
      [GREETED] = "530 5.7.0",
      [READY] = "503 5.5.1",
      [IN_CHUNKS] = "503 5.5.1"},
     false},
    {"DATA",
     "DATA",
     {[CONNECTED] = "503 5.5.1",
      [CLEAR] = "530 5.7.0",
      [SECURED] = "503 5.5.1",
      [GREETED] = "530 5.7.0",
      [READY] = "503 5.5.1",
      [IN_CHUNKS] = "503 5.5.1"},
     true},
    {"BDAT 0",
     "BDAT 0",
     {[CONNECTED] = "503 5.5.1",
      [CLEAR] = "530 5.7.0",
      [SECURED] = "503 5.5.1",
      [GREETED] = "530 5.7.0",
      [READY] = "503 5.5.1"},
     true},
    {"RSET", "RSET", {[CLEAR] = "530 5.7.0"}, false},
    {"NOOP", "NOOP", {NULL}, true},
    {"VRFY a",
     "VRFY",
     {[CONNECTED] = "", [CLEAR] = "530 5.7.0", [SECURED] = "", [GREETED] = "530 5.7.0"},
     true},
    {"HELP", "HELP", {[CLEAR] = "530 5.7.0"}, true},
    {"QUIT", "QUIT", {NULL}, true},
    {"TURN", "500 5.5.2", {NULL}, true},
};

static void talk(struct talk *t, const char *lines)
{
    say_nothing(&t->said);
    feed(t, span_of(lines));
}

enum { CELLS = sizeof matrix / sizeof *matrix * STATES };

/* What is said in this cell, or NULL, and the conversation so far. */
static const char *begin_cell(int cell, struct talk *t, char line[64])
{
    const struct cell *c = &matrix[cell / STATES];
    int state = cell % STATES;
    (void)snprintf(line, 64, "%s\r\n", c->line); /* fits */
    t->door = states[state].door;
    restart(t);
    talk(t, states[state].lines);
    ck_assert_int_eq(t->server.state, states[state].state);
    return c->said[state];
}

START_TEST(each_command_may_come_where_it_may)
{
    static struct talk t;
    for (int cell = 0; cell < CELLS; cell++) {
        char line[64], expected[64];
        const char *said = begin_cell(cell, &t, line);
        (void)snprintf(expected, sizeof expected, "%s\n",
                       said == NULL ? matrix[cell / STATES].event : said); /* fits */
        talk(&t, line);
        ck_assert_msg(expected[0] == '\n' || strcmp(t.said.text, expected) == 0, "%s %s: %s",
                      matrix[cell / STATES].line, states[cell % STATES].name, t.said.text);
    }
    leftover_drop(&t.in);
}
END_TEST

START_TEST(what_is_refused_changes_no_state)
{
    static struct talk t;
    for (int cell = 0; cell < CELLS; cell++) {
        char line[64];
        if (begin_cell(cell, &t, line) == NULL)
            continue;
        talk(&t, line);
        ck_assert_msg(t.server.state == states[cell % STATES].state, "%s %s",
                      matrix[cell / STATES].line, states[cell % STATES].name);
    }
    leftover_drop(&t.in);
}
END_TEST

START_TEST(a_group_ends_where_rfc_2920_says)
{
    static struct talk t;
    for (int cell = 0; cell < CELLS; cell++) {
        struct smtp_event event;
        char line[64];
        (void)begin_cell(cell, &t, line);
        struct span in = span_of(line);
        ck_assert_int_eq(smtp_server_next(&t.server, &in, &event), 1);
        ck_assert_msg(event.ends_group == matrix[cell / STATES].ends_group, "%s %s",
                      matrix[cell / STATES].line, states[cell % STATES].name);
    }
    leftover_drop(&t.in);
}
END_TEST

/* RFC 5321 section 4.1.4: NOOP, HELP, EXPN, VRFY and RSET are to be processed normally, that is
 * without a 503, before EHLO. */
START_TEST(vrfy_before_ehlo_is_not_out_of_sequence)
{
    static struct talk t;
    t.door = IMPLICIT;
    restart(&t);
    talk(&t, "VRFY Crispin\r\n");
    ck_assert_msg(strncmp(t.said.text, "503", 3) != 0, "%s", t.said.text);
    leftover_drop(&t.in);
}
END_TEST

/* RFC 3030 section 2: bdat-cmd = "BDAT" SP chunk-size [ SP end-marker ] CRLF. Where the size can't
 * be read it isn't known where commands go on. */
START_TEST(the_size_of_a_chunk_is_told_wherever_bdat_comes)
{
    static const struct {
        const char *line;
        bool is_size, is_last;
        uint64_t size;
    } lines[] = {
        {"BDAT 0\r\n", true, false, 0},
        {"BDAT 86\r\n", true, false, 86},
        {"bdat 0086 last\r\n", true, true, 86},
        {"BDAT  5  LAST \r\n", true, true, 5},
        {"BDAT 9223372036854775807 LAST\r\n", true, true, INT64_MAX},
        {"BDAT 9223372036854775808\r\n", false, false, 0},
        {"BDAT\r\n", false, false, 0},
        {"BDAT LAST\r\n", false, false, 0},
        {"BDAT -1\r\n", false, false, 0},
        {"BDAT +1\r\n", false, false, 0},
        {"BDAT 0x10\r\n", false, false, 0},
        {"BDAT 1.5\r\n", false, false, 0},
        {"BDAT 5 FIRST\r\n", false, false, 0},
        {"BDAT 5 LAST LAST\r\n", false, false, 0},
        {"BDAT 5LAST\r\n", false, false, 0},
    };
    static const enum smtp_state all[] = {SMTP_CONNECTED, SMTP_CLEAR,       SMTP_GREETED,
                                          SMTP_READY,     SMTP_IN_ENVELOPE, SMTP_IN_CHUNKS};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        for (size_t n = 0; n < sizeof all / sizeof *all; n++) {
            struct smtp_server s = {.state = all[n]};
            struct smtp_event event;
            struct span in = span_of(lines[i].line);
            bool is_taken = lines[i].is_size && all[n] >= SMTP_IN_ENVELOPE;
            ck_assert_int_eq(smtp_server_next(&s, &in, &event), 1);
            ck_assert_int_eq(event.kind, is_taken ? SMTP_EVENT_BDAT : SMTP_EVENT_REFUSED);
            ck_assert_int_eq(s.state, is_taken ? SMTP_IN_CHUNKS : all[n]);
            if (lines[i].is_size) {
                ck_assert_uint_eq(event.chunk_size, lines[i].size);
                ck_assert_int_eq(event.is_last, lines[i].is_last);
            } else {
                ck_assert_int_eq(smtp_reply_code(event.refusal), 421);
            }
        }
}
END_TEST

START_TEST(the_end_of_a_message_in_chunks_lets_another_begin)
{
    struct smtp_server s = {.state = SMTP_IN_CHUNKS};
    smtp_server_envelope_ended(&s);
    ck_assert_int_eq(s.state, SMTP_READY);
}
END_TEST

/* ---- one command a call ---- */

START_TEST(a_group_gives_its_events_one_by_one)
{
    static const char group[] = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\nbody";
    struct smtp_server s = {.state = SMTP_READY};
    struct smtp_event event;
    struct span in = span_of(group);
    static const enum smtp_event_kind kinds[] = {SMTP_EVENT_MAIL, SMTP_EVENT_RCPT, SMTP_EVENT_RCPT,
                                                 SMTP_EVENT_DATA};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        ck_assert_int_eq(smtp_server_next(&s, &in, &event), 1);
        ck_assert_int_eq(event.kind, kinds[i]);
        ck_assert_int_eq(event.ends_group, i == 3);
    }
    ck_assert(span_equals(in, "body"));
}
END_TEST

START_TEST(what_an_event_tells_lies_in_the_input)
{
    static const char line[] = "MAIL FROM:<\"x\"@b.example> SIZE=1 BODY=8BITMIME\r\n";
    struct smtp_server s = {.state = SMTP_READY, .offered = OFFERED};
    struct smtp_event event;
    struct span in = span_of(line);
    ck_assert_int_eq(smtp_server_next(&s, &in, &event), 1);
    ck_assert_ptr_eq(event.path.local.data, line + 11);
    ck_assert_uint_eq(event.path.local.size, 3);
    ck_assert_ptr_eq(event.path.domain.data, line + 15);
    ck_assert_uint_eq(event.path.domain.size, 9);
    ck_assert_ptr_eq(event.parameters.body.data, strchr(line, '8'));
    ck_assert_uint_eq(in.size, 0);
}
END_TEST

/* What is no command of ours may be half of a password. */
START_TEST(the_verb_of_a_command_that_we_know_is_told)
{
    static const struct {
        enum smtp_state state;
        const char *line, *verb;
    } cases[] = {
        {SMTP_READY, "nOOp x\r\n", "NOOP"},        {SMTP_READY, "rcpt to:<>\r\n", "RCPT"},
        {SMTP_READY, "Get / HTTP/1.1\r\n", "GET"}, {SMTP_READY, "Secret: x\r\n", NULL},
        {SMTP_READY, "c2VjcmV0\r\n", NULL},        {SMTP_READY, "NOOP\n", NULL},
        {SMTP_IN_AUTH, "c2VjcmV0\r\n", NULL},      {SMTP_IN_AUTH, "*\r\n", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct smtp_server s = {.state = cases[i].state};
        struct smtp_event event;
        struct span in = span_of(cases[i].line);
        ck_assert_int_eq(smtp_server_next(&s, &in, &event), 1);
        if (cases[i].verb == NULL)
            ck_assert_ptr_null(event.verb);
        else
            ck_assert_str_eq(event.verb, cases[i].verb);
    }
}
END_TEST

START_TEST(a_refusal_names_what_was_wrong)
{
    static const struct {
        const char *line;
        enum smtp_reply_name refusal;
        const char *text;
    } cases[] = {
        {"MAIL FROM:<a@b> FOO=bar\r\n", SMTP_REPLY_unknown_parameter, "FOO=bar"},
        {"MAIL FROM:<a@b> SIZE=x\r\n", SMTP_REPLY_bad_argument, "SIZE=x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct smtp_server s = {.state = SMTP_READY, .offered = OFFERED};
        struct smtp_event event;
        struct span in = span_of(cases[i].line);
        ck_assert_int_eq(smtp_server_next(&s, &in, &event), 1);
        ck_assert_int_eq(event.kind, SMTP_EVENT_REFUSED);
        ck_assert_int_eq(event.refusal, cases[i].refusal);
        ck_assert(span_equals(event.text, cases[i].text));
    }
}
END_TEST

/* ---- lines that are too long ---- */

/* `start`, as many x as are missing, and `end`: `size` octets. */
static struct span padded(char *out, const char *start, const char *end, size_t size)
{
    size_t head = strlen(start), tail = strlen(end);
    memcpy(out, start, head);
    memset(out + head, 'x', size - head - tail);
    memcpy(out + size - tail, end, tail);
    return span_make(out, size);
}

/* RFC 3461 section 4, RFC 4954 section 5, RFC 1870, RFC 6152 and RFC 6531 make the lines of RFC
 * 5321 (512 octets) longer. */
START_TEST(the_longest_commands_of_the_extensions_are_taken)
{
    static const char input[] =
        "EHLO c\r\n"
        "MAIL FROM:<" X50 X10 "xxxx@" X50 "." X50 "." X50 ".xxx> SIZE=00000000000000000001 "
        "BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=" X100 " AUTH=" X500 "\r\n"
        "RCPT TO:<a@b> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;" X100 X100 X100 X100 X50 "\r\n";
    check(OPEN, span_of(input),
          "EHLO c\nMAIL <" X50 X10 "xxxx@" X50 "." X50 "." X50 ".xxx> SIZE=1 BODY=8BITMIME "
          "RET=HDRS ENVID=" X100 " SMTPUTF8\n"
          "RCPT <a@b> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;" X100 X100 X100 X100 X50 "\n");
}
END_TEST

START_TEST(a_command_that_is_too_long_is_refused_and_the_next_is_whole)
{
    static char input[6000];
    struct span line = padded(input, "NOOP ", "\r\n", 5000);
    memcpy(input + line.size, "NOOP\r\n", 6);
    check(OPEN, span_make(input, line.size + 6), "500 5.5.2\nNOOP\n");
}
END_TEST

/* RFC 5321 section 4.5.3.1.4: 512 with CRLF; RFC 3461 section 4: 500 more for RCPT; MAIL has SIZE,
 * BODY, AUTH, SMTPUTF8, RET and ENVID behind it. */
START_TEST(a_command_has_as_many_octets_as_the_extensions_allow_it)
{
    static const struct {
        const char *start;
        size_t max;
    } cases[] = {
        {"NOOP ", 512},
        {"VRFY ", 512},
        {"HELP ", 512},
        {"RCPT TO:<a@b> ORCPT=rfc822;", 1012},
        {"MAIL FROM:<a@b> ", 1185},
        {"XX ", 2048},
    };
    static char input[2100];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t more = 0; more < 2; more++) {
            struct smtp_server s = {.state = SMTP_READY, .offered = OFFERED};
            struct smtp_event event;
            struct span in = padded(input, cases[i].start, "\r\n", cases[i].max + more);
            ck_assert_int_eq(smtp_server_next(&s, &in, &event), 1);
            bool is_too_long =
                event.kind == SMTP_EVENT_REFUSED && event.refusal == SMTP_REPLY_line_too_long;
            ck_assert_msg(is_too_long == (more == 1), "%s: %zu", cases[i].start,
                          cases[i].max + more);
        }
    }
}
END_TEST

/* RFC 4954 section 4. */
START_TEST(a_response_has_12288_octets_at_most)
{
    static char line[12300];
    static struct said input, expected;
    struct span response = padded(line, "", "\r\n", 12288);
    say(&input, "EHLO c\r\nAUTH PLAIN\r\n");
    say_bytes(&input, response);
    say(&expected, "EHLO c\nAUTH PLAIN\nresponse <%.*s>\n", (int)response.size - 2, line);
    check(IMPLICIT, span_of(input.text), expected.text);
    say_nothing(&input);
    say(&input, "EHLO c\r\nAUTH PLAIN\r\n");
    say_bytes(&input, padded(line, "", "\r\n", 12289));
    say(&input, "NOOP\r\n");
    check(IMPLICIT, span_of(input.text), "EHLO c\nAUTH PLAIN\n500 5.5.6\nNOOP\n");
}
END_TEST

START_TEST(auth_with_its_first_response_has_12288_octets_at_most)
{
    static char line[12300];
    static struct said input, expected;
    struct span command = padded(line, "auth PLAIN ", "\r\n", 12288);
    say(&input, "EHLO c\r\n");
    say_bytes(&input, command);
    say(&expected, "EHLO c\nAUTH PLAIN with %.*s\n", (int)command.size - 13, line + 11);
    check(IMPLICIT, span_of(input.text), expected.text);
    say_nothing(&input);
    say(&input, "EHLO c\r\n");
    say_bytes(&input, padded(line, "AUTH PLAIN ", "\r\n", 12289));
    say(&input, "NOOP\r\n");
    check(IMPLICIT, span_of(input.text), "EHLO c\n500 5.5.6\nNOOP\n");
}
END_TEST

START_TEST(a_nul_or_another_control_character_is_no_part_of_a_command)
{
    static char input[] = "NOOP ?\r\nNOOP\r\n";
    for (char c = 0; c < 32; c++) {
        input[5] = c;
        if (c != '\n')
            check(OPEN, span_make(input, sizeof input - 1), "500 5.5.2\nNOOP\n");
    }
}
END_TEST

/* ---- what the caller tells ---- */

START_TEST(tls_makes_forget_what_was_said_before)
{
    static struct talk t;
    static char junk[5000];
    struct smtp_event event;
    memset(junk, 'x', sizeof junk);
    t.door = STARTTLS;
    restart(&t);
    talk(&t, "EHLO c\r\n");
    struct span in = span_of("STARTTLS\r\n");
    ck_assert_int_eq(smtp_server_next(&t.server, &in, &event), 1);
    ck_assert_int_eq(event.kind, SMTP_EVENT_STARTTLS);
    in = span_make(junk, sizeof junk); /* pipelined behind it, and then thrown away */
    ck_assert_int_eq(smtp_server_next(&t.server, &in, &event), 0);
    smtp_server_secured(&t.server);
    talk(&t, "AUTH PLAIN Z29vZA==\r\nEHLO c\r\n");
    ck_assert_str_eq(t.said.text, "503 5.5.1\nEHLO c\n");
    leftover_drop(&t.in);
}
END_TEST

START_TEST(a_login_holds_over_rset_and_ehlo)
{
    static struct talk t;
    t.door = IMPLICIT;
    restart(&t);
    talk(&t, LOGIN "RSET\r\nEHLO c\r\nRSET\r\n");
    ck_assert_int_eq(t.server.state, SMTP_READY);
    leftover_drop(&t.in);
}
END_TEST

START_TEST(a_refused_mail_lets_another_begin)
{
    struct smtp_server s = {.state = SMTP_READY};
    struct smtp_event event;
    struct span in = span_of("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
    ck_assert_int_eq(smtp_server_next(&s, &in, &event), 1);
    ck_assert_int_eq(s.state, SMTP_IN_ENVELOPE);
    smtp_server_envelope_ended(&s);
    ck_assert_int_eq(s.state, SMTP_READY);
    ck_assert_int_eq(smtp_server_next(&s, &in, &event), 1);
    ck_assert_int_eq(event.kind, SMTP_EVENT_REFUSED);
}
END_TEST

START_TEST(the_end_of_an_envelope_is_no_login)
{
    static const enum smtp_state all[] = {SMTP_CONNECTED, SMTP_CLEAR, SMTP_GREETED, SMTP_READY,
                                          SMTP_IN_AUTH};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct smtp_server s = {.state = all[i], .needs_tls = true, .needs_auth = true};
        smtp_server_envelope_ended(&s);
        ck_assert_int_eq(s.state, all[i]);
    }
}
END_TEST

START_TEST(who_is_trusted_sends_without_tls_or_a_login_and_may_use_both)
{
    static const struct {
        enum door door;
        const char *lines, *expected;
    } talks[] = {
        {STARTTLS,
         "EHLO c\r\nAUTH PLAIN Z29vZA==\r\nMAIL FROM:<a@b>\r\nSTARTTLS\r\nRSET\r\n"
         "MAIL FROM:<a@b>\r\nRSET\r\nSTARTTLS\r\nMAIL FROM:<a@b>\r\n",
         "EHLO c\n538 5.7.11\nMAIL <a@b>\n503 5.5.1\nRSET\nMAIL <a@b>\nRSET\nSTARTTLS\n503 "
         "5.5.1\n"},
        {IMPLICIT,
         "MAIL FROM:<a@b>\r\nEHLO c\r\nMAIL FROM:<a@b>\r\nRSET\r\nAUTH PLAIN Z29vZA==\r\n"
         "MAIL FROM:<a@b>\r\nRSET\r\nAUTH PLAIN Z29vZA==\r\n",
         "503 5.5.1\nEHLO c\nMAIL <a@b>\nRSET\nAUTH PLAIN with Z29vZA==\nMAIL <a@b>\nRSET\n503 "
         "5.5.1\n"},
    };
    static struct talk t;
    for (size_t i = 0; i < sizeof talks / sizeof *talks; i++) {
        t.door = talks[i].door;
        restart(&t);
        t.server.is_trusted = true;
        talk(&t, talks[i].lines);
        ck_assert_str_eq(t.said.text, talks[i].expected);
    }
    leftover_drop(&t.in);
}
END_TEST

START_TEST(where_nobody_logs_in_only_who_is_trusted_sends)
{
    static const char lines[] = "AUTH PLAIN Z29vZA==\r\nMAIL FROM:<a@b>\r\nEHLO c\r\nSTARTTLS\r\n"
                                "AUTH PLAIN Z29vZA==\r\nNOOP\r\nVRFY x\r\nMAIL FROM:<a@b>\r\n"
                                "RSET\r\nXCLIENT ADDR=192.0.2.1\r\nQUIT\r\n";
    static struct talk t;
    t.door = IMPLICIT;
    restart(&t);
    t.server.is_plain = true;
    talk(&t, lines);
    ck_assert_str_eq(t.said.text, "502 5.5.1\n503 5.5.1\nEHLO c\n502 5.5.1\n502 5.5.1\nNOOP\n"
                                  "550 5.7.1\n550 5.7.1\nRSET\n550 5.7.0\nQUIT\n");
    restart(&t);
    t.server.is_plain = t.server.is_trusted = true;
    talk(&t, lines);
    ck_assert_str_eq(t.said.text, "502 5.5.1\n503 5.5.1\nEHLO c\n502 5.5.1\n502 5.5.1\nNOOP\n"
                                  "VRFY\nMAIL <a@b>\nRSET\n550 5.7.0\nQUIT\n");
    leftover_drop(&t.in);
}
END_TEST

START_TEST(random_words_say_the_same_however_they_are_cut)
{
    static const char *const words[] = {
        "EHLO c\r\n",
        "MAIL FROM:<a@b>",
        "RCPT TO:<c@d>",
        "DATA\r\n",
        "RSET\r\n",
        "\r\n",
        "\r",
        "\n",
        " ",
        "SIZE=1",
        "<",
        ">",
        "AUTH ",
        "PLAIN ",
        "Z29vZA==",
        "*\r\n",
        "STARTTLS",
        "x",
        "NOOP\r\n",
        "\xc3\xb6",
    };
    static struct said input, whole;
    static struct talk t;
    uint32_t seed = 29;
    for (int round = 0; round < 3000; round++) {
        say_nothing(&input);
        t.door = (enum door)(round % 3);
        for (unsigned n = next_random(&seed) % 12; n > 0; n--)
            say(&input, "%s", words[next_random(&seed) % (sizeof words / sizeof *words)]);
        restart(&t);
        feed(&t, span_of(input.text));
        whole = t.said;
        check(t.door, span_of(input.text), whole.text);
    }
    leftover_drop(&t.in);
}
END_TEST

SUITE(smtp_server)
{
    TEST(a_conversation_gives_the_same_events_however_it_is_cut);
    TEST(xclient_begins_anew_whatever_the_cuts);
    TEST(xclient_is_for_who_is_trusted);
    TEST(login_is_for_who_may_vouch);
    TEST(each_command_may_come_where_it_may);
    TEST(what_is_refused_changes_no_state);
    TEST(a_group_ends_where_rfc_2920_says);
    TEST(the_size_of_a_chunk_is_told_wherever_bdat_comes);
    TEST(the_end_of_a_message_in_chunks_lets_another_begin);
    TEST(vrfy_before_ehlo_is_not_out_of_sequence);
    TEST(a_group_gives_its_events_one_by_one);
    TEST(what_an_event_tells_lies_in_the_input);
    TEST(the_verb_of_a_command_that_we_know_is_told);
    TEST(a_refusal_names_what_was_wrong);
    TEST(the_longest_commands_of_the_extensions_are_taken);
    TEST(a_command_that_is_too_long_is_refused_and_the_next_is_whole);
    TEST(a_command_has_as_many_octets_as_the_extensions_allow_it);
    TEST(a_response_has_12288_octets_at_most);
    TEST(auth_with_its_first_response_has_12288_octets_at_most);
    TEST(a_nul_or_another_control_character_is_no_part_of_a_command);
    TEST(tls_makes_forget_what_was_said_before);
    TEST(a_login_holds_over_rset_and_ehlo);
    TEST(a_refused_mail_lets_another_begin);
    TEST(the_end_of_an_envelope_is_no_login);
    TEST(who_is_trusted_sends_without_tls_or_a_login_and_may_use_both);
    TEST(where_nobody_logs_in_only_who_is_trusted_sends);
    TEST(random_words_say_the_same_however_they_are_cut);
}
