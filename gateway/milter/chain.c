/* Questions are asked of one milter after the other, each as soon as the one before has let it
 * pass, and answered in their order. The text goes to all that can't change it at the same time,
 * and to the next only when one that can has ended. */
#include "milter/chain.h"

#include "base/arena.h"
#include "base/spool.h"
#include "config/config.h"
#include "milter/member.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 8 };

static const char no_memory[] = "out of memory";

static void move(void *owner);

void chain_move(struct milter_chain *c)
{
    if (c->is_moving)
        c->moves_again = true;
    else if (!c->is_destroyed)
        loop_soon(c->worker->loop, &c->soon, move, c);
}

struct question *chain_question(const struct milter_chain *c, size_t number)
{
    assert(number >= c->base && number - c->base < c->room);
    return &c->questions[number - c->base];
}

struct spool *chain_body(const struct milter_chain *c)
{
    return c->edits.body != NULL ? c->edits.body : c->body;
}

/* ---- making and ending ---- */

struct milter_chain *milter_chain_create(const struct milter_options *options)
{
    const struct listener_config *l = options->listener;
    struct milter_chain *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->options = *options;
    c->worker = milters_options(options->milters);
    c->count = l->milter_count;
    c->members = calloc(c->count + 1, sizeof *c->members);
    c->room = FIRST_ROOM;
    c->questions = calloc(c->room, sizeof *c->questions);
    if (c->members == NULL || c->questions == NULL)
        milter_chain_destroy(&c);
    for (size_t i = 0; c != NULL && i < c->count; i++)
        c->members[i] = (struct member){.chain = c, .config = l->milters[i]};
    return c;
}

static void drop_question(struct question *q)
{
    free(q->text);
    free(q->own);
}

/* A message of many recipients leaves its room to no idle session. */
static void shrink(struct milter_chain *c)
{
    struct question *few =
        c->room == FIRST_ROOM ? NULL : realloc(c->questions, FIRST_ROOM * sizeof *few);
    if (few == NULL)
        return;
    c->questions = few;
    c->room = FIRST_ROOM;
}

/* What there is of a message. */
static void forget_message(struct milter_chain *c)
{
    for (size_t i = c->first; i < c->asked; i++)
        drop_question(chain_question(c, i));
    c->base = c->first = c->asked = 0;
    shrink(c);
    free(c->refusal_text);
    free(c->refusal_reason);
    c->refusal_text = c->refusal_reason = NULL;
    c->refusal = (struct milter_answer){.verdict = MILTER_PASSES};
    c->fields = NULL;
    c->body = NULL;
    c->is_whole = c->is_over = false;
    c->message++;
}

static void forget_edits(struct milter_chain *c)
{
    spool_destroy(&c->edits.body);
    if (c->arena != NULL)
        arena_reset(c->arena);
    c->edits = (struct milter_edits){.sender = NULL};
    c->recipients = NULL;
    c->recipient_room = 0;
}

void milter_chain_abort(struct milter_chain *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->members[i].state != MEMBER_OUT)
            member_finish(&c->members[i]);
    forget_message(c);
    forget_edits(c);
    loop_not_soon(&c->soon);
}

static void destroy(void *owner)
{
    struct milter_chain *c = owner;
    arena_destroy(&c->arena);
    for (size_t i = 0; c->members != NULL && i < c->count; i++)
        free(c->members[i].why);
    free(c->members);
    free(c->questions);
    free(c->client_name);
    free(c->helo);
    free(c);
}

void milter_chain_destroy(struct milter_chain **chain)
{
    struct milter_chain *c = *chain;
    if (c == NULL)
        return;
    *chain = NULL;
    if (c->members != NULL && c->questions != NULL) {
        milter_chain_abort(c);
        milters_forget(c->options.milters, c->whom);
    }
    c->is_destroyed = true;
    loop_defer(c->worker->loop, &c->deferred, destroy, c);
}

/* ---- questions ---- */

/* Room for one more, and for DATA behind it. */
static int make_room(struct milter_chain *c)
{
    if (c->asked - c->base + 2 <= c->room)
        return 0;
    struct question *all = realloc(c->questions, 2 * c->room * sizeof *all);
    if (all == NULL)
        return -1;
    c->questions = all;
    c->room *= 2;
    return 0;
}

static struct question *ask(struct milter_chain *c, const struct question *q)
{
    assert(c->asked - c->base < c->room);
    struct question *new = chain_question(c, c->asked++);
    *new = *q;
    if (c->refusal.verdict != MILTER_PASSES) {
        new->answer = c->refusal;
        new->is_stopped = true;
    }
    chain_move(c);
    return new;
}

static void set_parameters(struct question *q, const char *const *parameters, size_t count)
{
    assert(count <= MILTER_PARAMETERS_MAX);
    for (size_t i = 0; i < count; i++)
        q->parameters[i] = parameters[i];
    q->parameter_count = count;
}

/* Whose the messages are; who calls himself otherwise than before is told anew. */
static int set_client(struct milter_chain *c, const struct milter_client *client, const char *helo)
{
    if (c->client_name == NULL || strcmp(c->client_name, client->name) != 0 ||
        client->port != c->client.port || !address_is_same(&client->address, &c->client.address)) {
        char *name = strdup(client->name);
        if (name == NULL)
            return -1;
        milters_forget(c->options.milters, c->whom);
        free(c->client_name);
        c->client_name = name;
        c->client = *client;
        c->client.name = name;
        c->whom = milters_new_whom(c->options.milters);
    }
    if (c->helo == NULL || strcmp(c->helo, helo) != 0) {
        char *copy = strdup(helo);
        if (copy == NULL)
            return -1;
        free(c->helo);
        c->helo = copy;
        c->helo_version++;
    }
    return 0;
}

void milter_chain_mail(struct milter_chain *c, const struct milter_client *client, const char *helo,
                       const char *sender, const char *const *parameters, size_t count,
                       const bool *uses)
{
    struct question q = {.kind = MILTER_MAIL, .address = sender};
    const struct milter_answer failure = {
        .verdict = MILTER_REFUSES, .code = 451, .is_failure = true, .reason = no_memory};
    milter_chain_abort(c);
    set_parameters(&q, parameters, count);
    if (set_client(c, client, helo) < 0) {
        chain_refuse(c, &failure, span_of(""));
        (void)ask(c, &q);
        return;
    }
    for (size_t i = 0; i < c->count; i++) {
        struct member *m = &c->members[i];
        if (!uses[i] || m->accepted_whom == c->whom)
            continue;
        m->state = MEMBER_ENVELOPE;
        m->heard = 0;
        member_take_link(m);
    }
    (void)ask(c, &q);
}

int milter_chain_rcpt(struct milter_chain *c, void *recipient, const char *address,
                      const char *const *parameters, size_t count)
{
    struct question q = {.kind = MILTER_RCPT, .recipient = recipient, .address = address};
    if (make_room(c) < 0)
        return -1;
    set_parameters(&q, parameters, count);
    (void)ask(c, &q);
    return 0;
}

void milter_chain_rcpt_refused(struct milter_chain *c, const char *address, const char *why)
{
    size_t size = strlen(address) + 1;
    char *own = malloc(size + strlen(why) + 1);
    if (own == NULL || make_room(c) < 0) {
        free(own);
        return; /* it is of interest, no more */
    }
    memcpy(own, address, size);
    memcpy(own + size, why, strlen(why) + 1);
    own[size + strcspn(own + size, "\r\n")] = '\0';
    const struct question q = {.kind = MILTER_RCPT,
                               .address = own,
                               .own = own,
                               .parameters = {own + size},
                               .is_refused = true};
    (void)ask(c, &q);
}

void milter_chain_data(struct milter_chain *c)
{
    const struct question q = {.kind = MILTER_DATA, .address = ""};
    (void)ask(c, &q);
}

void milter_chain_text(struct milter_chain *c, struct fields *fields, struct spool *body)
{
    c->fields = fields;
    c->body = body;
    chain_move(c);
}

void milter_chain_more(struct milter_chain *c)
{
    chain_move(c);
}

void milter_chain_end(struct milter_chain *c)
{
    c->is_whole = true;
    chain_move(c);
}

/* ---- what becomes of them ---- */

static char *copy_lines(struct span lines)
{
    char *text = lines.size == 0 ? NULL : malloc(lines.size + 1);
    if (text != NULL)
        (void)span_copy(lines, text, lines.size + 1);
    return text; /* without memory it is said in the gateway's own words */
}

void chain_stop_question(struct milter_chain *c, size_t number, const struct milter_answer *a,
                         struct span lines)
{
    if (number < c->first || number >= c->asked)
        return; /* another one has answered it, for all of the message */
    struct question *q = chain_question(c, number);
    if (q->is_stopped || q->is_refused)
        return;
    q->is_stopped = true;
    q->answer = *a;
    q->answer.text = q->text = copy_lines(lines);
}

/* How many questions the first `count` members have let pass. */
static size_t passed(const struct milter_chain *c, size_t count)
{
    while (count > 0 && c->members[count - 1].state == MEMBER_OUT)
        count--;
    return count == 0 ? c->asked : c->members[count - 1].heard;
}

void chain_refuse(struct milter_chain *c, const struct milter_answer *a, struct span lines)
{
    if (c->refusal.verdict != MILTER_PASSES)
        return;
    c->refusal = *a;
    c->refusal.text = c->refusal_text = copy_lines(lines);
    c->refusal_reason = strdup(a->reason);
    c->refusal.reason = c->refusal_reason == NULL ? no_memory : c->refusal_reason;
    size_t all_passed = passed(c, c->count);
    for (size_t i = all_passed > c->first ? all_passed : c->first; i < c->asked; i++) {
        struct question *q = chain_question(c, i);
        if (!q->is_stopped)
            q->answer = c->refusal;
        q->is_stopped = true;
    }
    chain_move(c);
}

/* Have those before it ended that may change what it sees? */
static bool may_see_text(const struct milter_chain *c, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        const struct member *m = &c->members[i];
        if (m->state != MEMBER_OUT &&
            (m->link == NULL || milter_edits_content(milter_link_terms(m->link))))
            return false;
    }
    return c->fields != NULL && c->first == c->asked && c->refusal.verdict == MILTER_PASSES;
}

/* Have those before it seen all of the message as it is? */
static bool may_pass(const struct milter_chain *c, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (c->members[i].state != MEMBER_OUT && c->members[i].state != MEMBER_END)
            return false;
    return true;
}

static void move_members(struct milter_chain *c)
{
    for (size_t i = 0; i < c->count; i++) {
        struct member *m = &c->members[i];
        if (m->state == MEMBER_OUT)
            continue;
        if (m->link == NULL)
            member_failed(m, m->why == NULL ? no_memory : m->why); /* it could not even begin */
        else if (m->state != MEMBER_PASSING)
            member_tell(m, passed(c, i), may_see_text(c, i));
        else if (may_pass(c, i))
            member_pass(m);
    }
}

/* ---- answers ---- */

/* Returns whether the chain is still there, and with the same message. */
static bool tell_owner(struct milter_chain *c, enum milter_event_kind kind, void *recipient,
                       const struct milter_answer *a)
{
    unsigned message = c->message;
    const struct milter_event event = {.kind = kind, .recipient = recipient, .answer = a};
    c->options.fn(c->options.owner, &event);
    return !c->is_destroyed && message == c->message;
}

/* Those whose turn it is. Returns likewise. */
static bool answer_questions(struct milter_chain *c)
{
    const struct milter_answer passes = {.verdict = MILTER_PASSES};
    bool is_there = true;
    while (is_there && c->first < c->asked) {
        struct question q = *chain_question(c, c->first);
        if (!q.is_stopped && passed(c, c->count) <= c->first)
            return true;
        if (++c->first == c->asked)
            c->base = c->asked;
        if (!q.is_refused)
            is_there = tell_owner(c, q.kind, q.recipient, q.is_stopped ? &q.answer : &passes);
        drop_question(&q);
    }
    return is_there;
}

static bool have_all_passed(const struct milter_chain *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->members[i].state != MEMBER_OUT)
            return false;
    return c->is_whole;
}

static void answer_text(struct milter_chain *c)
{
    const struct milter_answer passes = {.verdict = MILTER_PASSES};
    if (c->fields == NULL || c->is_over)
        return;
    if (c->refusal.verdict != MILTER_PASSES) {
        const struct milter_answer refusal = c->refusal;
        c->is_over = true;
        (void)tell_owner(c, MILTER_TEXT, NULL, &refusal); /* it is the last */
    } else if (have_all_passed(c)) {
        c->is_over = true;
        (void)tell_owner(c, MILTER_END, NULL, &passes); /* likewise */
    }
}

static void move(void *owner)
{
    struct milter_chain *c = owner;
    c->is_moving = true;
    do {
        c->moves_again = false;
        move_members(c);
    } while (c->moves_again);
    c->is_moving = false;
    if (answer_questions(c))
        answer_text(c);
}

const struct milter_edits *milter_chain_edits(const struct milter_chain *c)
{
    return &c->edits;
}

bool milter_chain_may_edit(const struct milter_chain *c)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct member *m = &c->members[i];
        if (m->state != MEMBER_OUT && m->link != NULL &&
            (milter_link_terms(m->link)->actions & ~(unsigned)MILTER_MAY_LIST_MACROS) != 0)
            return true;
    }
    return false;
}
