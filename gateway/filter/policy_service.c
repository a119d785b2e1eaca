/* A smtpd of Postfix has one connection for all that it asks, and one message at a time: so has the
 * connection here. `instance` says which; another one ends it. That a message has come to nothing
 * isn't told: what was taken at RCPT stays taken, unless the message is refused here afterwards.
 *
 * Nobody can be kept waiting at the end of a message that may not be asked about: what action delay
 * holds back, holds back the answer that it is about. */
#include "filter/policy_service.h"

#include "base/clock.h"
#include "filter/mail.h"
#include "net/connection.h"
#include "net/listener.h"
#include "protocol/delegation/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { INSTANCE_MAX = 128, TEXT_MAX = 1024, ACTION_MAX = SMTP_REPLY_LINE_MAX + 32 };
#define IDLE_NS (900 * CLOCK_SECOND) /* Postfix closes after 300 */

struct policy_service {
    struct filter *filter;
    struct listener *listener;
    struct caller *first;
    size_t count;
};

struct caller {
    struct policy_service *service;
    struct caller *next, **back;
    struct connection *connection;
    struct timeout *delay;
    bool is_waiting; /* for an answer: nothing more is read */
    /* The message under way. */
    char instance[INSTANCE_MAX];
    struct mail_client client;
    struct mail *mail;
    bool is_begun; /* its sender has passed */
    /* What is asked of it. */
    enum { ASKED_SENDER, ASKED_RECIPIENT, ASKED_DATA, ASKED_END } asked;
    char recipient[TEXT_MAX], queue[64];
    uint64_t bytes;
    struct mail_answer answer;
};

/* ---- life ---- */

static void end_mail(struct caller *c)
{
    if (c->mail != NULL)
        mail_leave(c->mail);
    mail_destroy(&c->mail);
    c->is_begun = false;
    c->instance[0] = '\0';
}

static void hang_up(struct caller *c)
{
    end_mail(c);
    timeout_destroy(&c->delay);
    connection_close(&c->connection);
    *c->back = c->next;
    if (c->next != NULL)
        c->next->back = c->back;
    c->service->count--;
    free(c);
}

/* ---- answers ---- */

static void write_answer(struct caller *c)
{
    char action[ACTION_MAX] = "DUNNO";
    struct buffer out = {.limit = 2 * ACTION_MAX};
    if (c->answer.code != 0)
        (void)snprintf(action, sizeof action, "%d %s %s", c->answer.code, c->answer.enhanced,
                       c->answer.text); /* fits */
    if (delegation_action_append(action, &out) == 0) {
        const struct span text = buffer_bytes(&out);
        connection_write(c->connection, &text, 1);
    }
    buffer_clear(&out);
    c->is_waiting = false;
    connection_set_deadline(c->connection, loop_now(c->service->filter->loop) + IDLE_NS);
    connection_resume(c->connection);
}

static void on_delayed(void *owner)
{
    write_answer(owner);
}

/* A message that is refused as a whole counts for nothing; one that passes its end is over. */
static void settle(struct caller *c)
{
    bool is_whole = c->asked == ASKED_DATA || c->asked == ASKED_END;
    if (c->answer.code != 0 && (is_whole || !c->is_begun)) {
        mail_destroy(&c->mail);
    } else if (c->answer.code == 0 && c->asked == ASKED_END) {
        mail_keep(c->mail, c->queue);
        mail_destroy(&c->mail);
    }
}

static void answered(struct caller *c)
{
    int64_t wait = c->answer.code == 0 ? c->answer.wait_ns : 0;
    if (wait > 0)
        mail_delayed(c->mail, wait);
    settle(c);
    if (wait == 0)
        write_answer(c);
    else
        timeout_set(c->delay, loop_now(c->service->filter->loop) + wait);
}

static void on_answer(void *owner, const struct mail_answer *answer)
{
    struct caller *c = owner;
    c->answer = *answer;
    answered(c);
}

/* ---- questions ---- */

static void ask(struct caller *c)
{
    switch (c->asked) {
    case ASKED_SENDER: answered(c); return; /* which was what has just been asked */
    case ASKED_RECIPIENT: mail_ask_recipient(c->mail, span_of(c->recipient), on_answer, c); return;
    case ASKED_DATA: mail_ask_data(c->mail, on_answer, c); return;
    case ASKED_END: mail_ask_end(c->mail, c->bytes, on_answer, c); return;
    }
}

/* Whoever asks at RCPT alone has the sender judged there. */
static void on_sender(void *owner, const struct mail_answer *answer)
{
    struct caller *c = owner;
    c->answer = *answer;
    c->is_begun = answer->code == 0;
    if (c->is_begun)
        ask(c);
    else
        answered(c);
}

static int read_address(const struct delegation_asked *a, struct address *out)
{
    char host[ADDRESS_TEXT_SIZE];
    uint64_t port = 0;
    (void)span_number(a->client_port, UINT16_MAX, &port); /* from Postfix 3.0 on */
    if (a->client_address.size >= sizeof host)
        return -1;
    (void)span_copy(a->client_address, host, sizeof host); /* fits */
    return address_make(host, (uint16_t)port, out);
}

static void begin_mail(struct caller *c, const struct delegation_asked *a)
{
    struct address address;
    end_mail(c);
    bool is_known = read_address(a, &address) == 0;
    mail_client_begin(c->service->filter, is_known ? &address : NULL, &c->client);
    c->mail = mail_create(c->service->filter, &c->client, a->login, a->sender);
    (void)span_copy(a->instance, c->instance, sizeof c->instance); /* it was seen to fit */
}

/* Which of our stages it is, or -1: none. */
static int stage_of(struct span state)
{
    static const char *const states[] = {[ASKED_SENDER] = "MAIL",
                                         [ASKED_RECIPIENT] = "RCPT",
                                         [ASKED_DATA] = "DATA",
                                         [ASKED_END] = "END-OF-MESSAGE"};
    for (int i = 0; i < (int)(sizeof states / sizeof *states); i++)
        if (span_equals(state, states[i]))
            return i;
    return -1;
}

/* Returns 0, or -1: it can't be answered. */
static int take(struct caller *c, const struct delegation_asked *a)
{
    int stage = stage_of(a->state);
    c->answer = (struct mail_answer){.code = 0};
    c->bytes = 0;
    if (stage < 0) {
        write_answer(c); /* before there is mail, or about something else */
        return 0;
    }
    if (a->instance.size == 0 || a->instance.size >= sizeof c->instance ||
        a->recipient.size >= sizeof c->recipient)
        return -1;
    c->asked = (unsigned)stage;
    (void)span_copy(a->recipient, c->recipient, sizeof c->recipient); /* fits */
    (void)span_copy(a->queue, c->queue, sizeof c->queue);             /* cut to fit: for the log */
    (void)span_number(a->size, INT64_MAX, &c->bytes);                 /* else it isn't known */
    if (c->mail == NULL || !span_equals(a->instance, c->instance))
        begin_mail(c, a);
    if (c->mail == NULL)
        return -1;
    if (c->is_begun)
        ask(c);
    else
        mail_ask_sender(c->mail, on_sender, c);
    return 0;
}

/* Returns whether it still is there. */
static bool read_requests(struct caller *c, struct span *in)
{
    struct delegation_asked asked;
    struct error why = {.text = "it can't be answered"};
    int outcome = 1;
    while (!c->is_waiting && (outcome = delegation_asked_take(in, &asked, &why)) == 1) {
        c->is_waiting = true;
        connection_pause(c->connection);
        if (take(c, &asked) < 0) {
            outcome = -1;
            break;
        }
    }
    if (outcome >= 0)
        return true;
    log_event(c->service->filter->log, EVENT_command_refused,
              field_text(KEY_listener, FILTER_LISTENER), field_text(KEY_command, "policy request"),
              field_text(KEY_reason, why.text));
    hang_up(c);
    return false;
}

static void on_connection(void *owner, enum connection_event event, struct span *in)
{
    struct caller *c = owner;
    if (event == CONNECTION_DATA)
        (void)read_requests(c, in);
    else if (event == CONNECTION_EOF || event == CONNECTION_FAILED ||
             (event == CONNECTION_TIMEOUT && !c->is_waiting))
        hang_up(c);
}

/* ---- the service ---- */

static void on_client(void *owner, int fd, const struct address *peer, bool is_last)
{
    struct policy_service *s = owner;
    struct caller *c = calloc(1, sizeof *c);
    if (c == NULL || is_last || s->count >= (size_t)s->filter->config->max_connections) {
        free(c);
        (void)close(fd); /* Postfix comes again */
        return;
    }
    *c = (struct caller){.service = s, .next = s->first, .back = &s->first};
    c->delay = timeout_create(s->filter->loop, on_delayed, c);
    c->connection = connection_accept(s->filter->loop, fd, peer, on_connection, c);
    if (c->connection == NULL || c->delay == NULL) {
        connection_close(&c->connection);
        timeout_destroy(&c->delay);
        free(c);
        return;
    }
    if (s->first != NULL)
        s->first->back = &c->next;
    s->first = c;
    s->count++;
    connection_set_deadline(c->connection, loop_now(s->filter->loop) + IDLE_NS);
}

static void on_paused(void *owner)
{
    const struct policy_service *s = owner;
    log_event(s->filter->log, EVENT_accept_paused, field_text(KEY_listener, FILTER_LISTENER));
}

struct policy_service *policy_service_create(struct filter *f, int fd)
{
    struct policy_service *s = calloc(1, sizeof *s);
    if (s == NULL)
        abort(); /* out of memory at the start */
    s->filter = f;
    s->listener = listener_create(f->loop, fd, on_client, on_paused, s);
    if (s->listener == NULL)
        abort(); /* as above */
    return s;
}

void policy_service_destroy(struct policy_service **service)
{
    struct policy_service *s = *service;
    if (s == NULL)
        return;
    listener_destroy(&s->listener);
    while (s->first != NULL)
        hang_up(s->first);
    free(s);
    *service = NULL;
}
