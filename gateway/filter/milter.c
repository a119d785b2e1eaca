/* libmilter gives its callbacks no owner: `milter` below is the process's own. */
#include "filter/milter.h"

#include "base/clock.h"
#include "base/endpoint.h"

#include <errno.h>
#include <libmilter/mfapi.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct {
    struct desk *desk;
    milter_end_fn *on_end;
    void *owner;
} milter;

enum { HEADERS_MAX = 64 * 1024 }; /* of the few fields that are looked at */
#define PROGRESS_NS (5 * CLOCK_SECOND)

/* A client of the MTA, as its thread knows it. */
struct conversation {
    struct visitor *visitor;
    struct buffer headers;    /* of the message under way */
    bool is_headers_too_long; /* they didn't fit */
    uint64_t bytes;
};

/* ---- answers ---- */

/* libmilter takes a reply as a format of printf. */
static void escape(const char *text, char out[2 * sizeof((struct mail_answer *)NULL)->text])
{
    for (; *text != '\0'; text++) {
        if (*text == '%')
            *out++ = '%';
        *out++ = *text;
    }
    *out = '\0';
}

static sfsistat answer(SMFICTX *ctx, const struct mail_answer *a)
{
    char code[8], enhanced[sizeof a->enhanced], text[2 * sizeof a->text];
    if (a->code == 0)
        return SMFIS_CONTINUE;
    (void)snprintf(code, sizeof code, "%d", a->code % 1000); /* fits */
    memcpy(enhanced, a->enhanced, sizeof enhanced);
    escape(a->text, text);
    (void)smfi_setreply(ctx, code, enhanced, text); /* else the MTA says it in its own words */
    return a->code / 100 == 4 ? SMFIS_TEMPFAIL : SMFIS_REJECT;
}

/* What can't even be asked. */
static sfsistat be_away(SMFICTX *ctx)
{
    struct mail_answer away;
    mail_refuse(NULL, desk_config(milter.desk), SMTP_REPLY_policy_away, NULL, &away);
    return answer(ctx, &away);
}

/* Of an abort after that libmilter doesn't tell: for it there is no message any more. */
static sfsistat refuse_message(SMFICTX *ctx, const struct mail_answer *a)
{
    const struct conversation *c = smfi_getpriv(ctx);
    desk_end(c->visitor, false, span_of(""));
    return answer(ctx, a);
}

static sfsistat ask(SMFICTX *ctx, const struct errand *e)
{
    const struct conversation *c = smfi_getpriv(ctx);
    bool is_of_one = e->kind == ERRAND_RECIPIENT || e->kind == ERRAND_REFUSED;
    struct mail_answer a;
    if (c == NULL)
        return be_away(ctx);
    desk_ask(c->visitor, e, &a);
    return a.code == 0 || is_of_one ? answer(ctx, &a) : refuse_message(ctx, &a);
}

static struct span macro(SMFICTX *ctx, const char *name)
{
    char copy[32];
    (void)span_copy(span_of(name), copy, sizeof copy); /* fits */
    const char *value = smfi_getsymval(ctx, copy);
    return span_of(value == NULL ? "" : value);
}

/* "<ana@example.com>" as the MTA writes it. */
static struct span address_of(const char *argument)
{
    struct span address = span_of(argument);
    if (address.size >= 2 && address.data[0] == '<' && address.data[address.size - 1] == '>') {
        span_skip(&address, 1);
        address.size--;
    }
    return address;
}

/* ---- the conversation ---- */

static sfsistat on_connect(SMFICTX *ctx, char *name, _SOCK_ADDR *from)
{
    struct address address = {.size = 0};
    (void)name;
    if (from != NULL && from->sa_family == AF_INET) {
        address.size = sizeof address.v4;
        memcpy(&address.v4, from, sizeof address.v4);
    } else if (from != NULL && from->sa_family == AF_INET6) {
        address.size = sizeof address.v6;
        memcpy(&address.v6, from, sizeof address.v6);
    }
    struct conversation *c = calloc(1, sizeof *c);
    if (c != NULL) {
        c->headers.limit = HEADERS_MAX;
        c->visitor = desk_enter(milter.desk, address.size == 0 ? NULL : &address);
    }
    if (c != NULL && c->visitor == NULL) {
        free(c);
        c = NULL;
    }
    (void)smfi_setpriv(ctx, c); /* it is libmilter's own struct */
    return SMFIS_CONTINUE;      /* without a visitor MAIL is refused */
}

static void begin_message(struct conversation *c)
{
    if (c == NULL)
        return;
    buffer_clear(&c->headers);
    c->is_headers_too_long = false;
    c->bytes = 0;
}

static sfsistat on_sender(SMFICTX *ctx, char **arguments)
{
    const struct errand e = {.kind = ERRAND_SENDER,
                             .text = address_of(arguments[0]),
                             .more = macro(ctx, "{auth_authen}")};
    begin_message(smfi_getpriv(ctx));
    return ask(ctx, &e);
}

static sfsistat on_recipient(SMFICTX *ctx, char **arguments)
{
    bool is_refused = span_equals(macro(ctx, "{rcpt_mailer}"), "error");
    const struct errand e = {.kind = is_refused ? ERRAND_REFUSED : ERRAND_RECIPIENT,
                             .text = address_of(arguments[0]),
                             .more = macro(ctx, is_refused ? "{rcpt_host}" : "")};
    return ask(ctx, &e);
}

static sfsistat on_data(SMFICTX *ctx)
{
    const struct errand e = {.kind = ERRAND_DATA};
    return ask(ctx, &e);
}

/* As it stood in the message: its lines end in CR LF, and what goes on with another begins with a
 * blank. */
static int add_value(struct buffer *out, const char *value)
{
    int failed = 0;
    while (*value != '\0') {
        size_t line = strcspn(value, "\n");
        failed |= buffer_append(out, span_make(value, line));
        value += line;
        if (*value == '\0')
            break;
        value++;
        bool is_folded = *value == ' ' || *value == '\t';
        failed |= buffer_append(out, span_of(is_folded ? "\r\n" : "\r\n "));
    }
    return failed;
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
    struct conversation *c = smfi_getpriv(ctx);
    if (c == NULL)
        return be_away(ctx);
    c->bytes += strlen(name) + strlen(value) + sizeof ": \r\n" - 1;
    if (!mail_wants_header(desk_config(milter.desk)->filter.policy_rules, name))
        return SMFIS_CONTINUE;
    if (buffer_printf(&c->headers, "%s: ", name) < 0 || add_value(&c->headers, value) < 0 ||
        buffer_append(&c->headers, span_of("\r\n")) < 0)
        c->is_headers_too_long = true;
    return SMFIS_CONTINUE;
}

static sfsistat refuse_headers(SMFICTX *ctx)
{
    struct mail_answer a;
    char most[24];
    (void)snprintf(most, sizeof most, "%d", HEADERS_MAX); /* fits */
    mail_refuse(NULL, desk_config(milter.desk), SMTP_REPLY_headers_too_big, most, &a);
    return refuse_message(ctx, &a);
}

static sfsistat on_headers_end(SMFICTX *ctx)
{
    struct conversation *c = smfi_getpriv(ctx);
    const struct errand e = {.kind = ERRAND_HEADERS, .headers = c == NULL ? NULL : &c->headers};
    if (c != NULL && c->is_headers_too_long)
        return refuse_headers(ctx);
    if (c != NULL)
        c->bytes += 2; /* the empty line */
    return ask(ctx, &e);
}

static sfsistat on_body(SMFICTX *ctx, unsigned char *octets, size_t size)
{
    struct conversation *c = smfi_getpriv(ctx);
    (void)octets;
    if (c != NULL)
        c->bytes += size;
    return SMFIS_CONTINUE;
}

/* The MTA is told that it isn't forgotten. */
static void wait_for(SMFICTX *ctx, int64_t ns)
{
    while (ns > 0) {
        int64_t part = ns < PROGRESS_NS ? ns : PROGRESS_NS;
        const struct timespec pause = {part / CLOCK_SECOND, part % CLOCK_SECOND};
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL); /* signals are the loop's */
        (void)smfi_progress(ctx); /* one that is gone shows in the answer */
        ns -= part;
    }
}

static bool counts_bytes(void)
{
    const struct policy *p = desk_config(milter.desk)->filter.policy_rules;
    return (p->counts >> LIMIT_BYTES & 1) != 0;
}

static sfsistat on_message_end(SMFICTX *ctx)
{
    const struct conversation *c = smfi_getpriv(ctx);
    struct mail_answer a;
    if (c == NULL)
        return be_away(ctx);
    const struct errand e = {.kind = ERRAND_END, .bytes = counts_bytes() ? c->bytes : 0};
    desk_ask(c->visitor, &e, &a);
    if (a.code == 0)
        wait_for(ctx, a.wait_ns);
    desk_end(c->visitor, a.code == 0, macro(ctx, "i"));
    return answer(ctx, &a);
}

static sfsistat on_abort(SMFICTX *ctx)
{
    const struct conversation *c = smfi_getpriv(ctx);
    if (c != NULL)
        desk_end(c->visitor, false, span_of(""));
    return SMFIS_CONTINUE;
}

static sfsistat on_close(SMFICTX *ctx)
{
    struct conversation *c = smfi_getpriv(ctx);
    (void)smfi_setpriv(ctx, NULL); /* as above */
    if (c == NULL)
        return SMFIS_CONTINUE;
    desk_leave(&c->visitor);
    buffer_clear(&c->headers);
    free(c);
    return SMFIS_CONTINUE;
}

/* Which macros are needed where; whoever can't send other ones sends those of its configuration. */
static void ask_for_macros(SMFICTX *ctx)
{
    static const struct {
        int stage;
        const char *names;
    } wanted[] = {{SMFIM_ENVFROM, "{auth_authen}"},
                  {SMFIM_ENVRCPT, "{rcpt_mailer} {rcpt_host}"},
                  {SMFIM_EOM, "i"}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        char names[64];
        (void)span_copy(span_of(wanted[i].names), names, sizeof names); /* fits */
        (void)smfi_setsymlist(ctx, wanted[i].stage, names); /* the MTA's own list is good too */
    }
}

static sfsistat on_negotiation(SMFICTX *ctx, unsigned long offered_actions,
                               unsigned long offered_steps, unsigned long reserved0,
                               unsigned long reserved1, unsigned long *actions,
                               unsigned long *steps, unsigned long *unused0, unsigned long *unused1)
{
    const struct policy *p = desk_config(milter.desk)->filter.policy_rules;
    unsigned long wanted = SMFIP_NOHELO | SMFIP_NOUNKNOWN;
    if (!counts_bytes())
        wanted |= SMFIP_NOBODY;
    if ((p->counts >> LIMIT_REJECTED_RECIPIENTS & 1) != 0)
        wanted |= SMFIP_RCPT_REJ; /* else of those whom the MTA refuses nothing is heard */
    (void)reserved0, (void)reserved1;
    if ((offered_actions & SMFIF_SETSYMLIST) != 0)
        ask_for_macros(ctx);
    *actions = offered_actions & SMFIF_SETSYMLIST;
    *steps = offered_steps & wanted;
    *unused0 = *unused1 = 0;
    return SMFIS_CONTINUE;
}

/* ---- the service ---- */

static char name[] = "porteiro-milter";

static const struct smfiDesc description = {.xxfi_name = name,
                                            .xxfi_version = SMFI_VERSION,
                                            .xxfi_flags = SMFIF_SETSYMLIST,
                                            .xxfi_connect = on_connect,
                                            .xxfi_envfrom = on_sender,
                                            .xxfi_envrcpt = on_recipient,
                                            .xxfi_data = on_data,
                                            .xxfi_header = on_header,
                                            .xxfi_eoh = on_headers_end,
                                            .xxfi_body = on_body,
                                            .xxfi_eom = on_message_end,
                                            .xxfi_abort = on_abort,
                                            .xxfi_close = on_close,
                                            .xxfi_negotiate = on_negotiation};

/* As libmilter writes it: "unix:/PATH", "inet:PORT@HOST", "inet6:PORT@HOST". */
static void write_connection(const struct endpoint *e, char *out, size_t room)
{
    char host[ADDRESS_TEXT_SIZE];
    if (e->path != NULL) {
        (void)snprintf(out, room, "unix:%s", e->path); /* fits */
        return;
    }
    address_format_host(&e->to, host);
    (void)snprintf(out, room, "%s:%u@%s", address_is_v6(&e->to) ? "inet6" : "inet",
                   address_port(&e->to), host); /* fits */
}

int milter_open(const char *endpoint, struct error *why)
{
    struct endpoint e;
    char connection[256];
    if (endpoint_parse(endpoint, &e, why) < 0)
        return -1;
    write_connection(&e, connection, sizeof connection);
    errno = 0;
    if (smfi_register(description) == MI_SUCCESS && smfi_setconn(connection) == MI_SUCCESS &&
        smfi_opensocket(true) == MI_SUCCESS)
        return 0;
    return error_set(why, "%s: %s", endpoint, errno == 0 ? "libmilter can't" : strerror(errno));
}

static void *serve(void *unused)
{
    (void)unused;
    bool is_good = smfi_main() == MI_SUCCESS; /* else it says to syslog what was wrong */
    milter.on_end(milter.owner, is_good);
    return NULL;
}

int milter_start(struct desk *d, milter_end_fn *on_end, void *owner, struct error *why)
{
    pthread_t thread;
    sigset_t all, before;
    milter.desk = d;
    milter.on_end = on_end;
    milter.owner = owner;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
    int failed = pthread_create(&thread, NULL, serve, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0)
        return error_set(why, "pthread_create: %s", strerror(failed));
    (void)pthread_detach(thread); /* it ends with the process, at the latest */
    return 0;
}
