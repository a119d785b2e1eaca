#include "decision/outside.h"

#include <stdlib.h>

struct question {
    struct outside *outside;
    void *subject;
    struct delegate_query query;
    char *text; /* that its answer points into; NULL: none */
};

struct outside {
    struct outside_options options;
    size_t room, count, unanswered;
    struct question *questions;
    struct delegate_told *told; /* as many */
};

struct outside *outside_create(const struct outside_options *options, size_t room)
{
    struct outside *x = calloc(1, sizeof *x);
    if (x == NULL)
        return NULL;
    x->options = *options;
    x->room = room;
    x->questions = calloc(room + 1, sizeof *x->questions);
    x->told = calloc(room + 1, sizeof *x->told);
    if (x->questions == NULL || x->told == NULL)
        outside_destroy(&x);
    return x;
}

void outside_destroy(struct outside **x)
{
    struct outside *old = *x;
    *x = NULL;
    if (old == NULL)
        return;
    for (size_t i = 0; i < old->count; i++) {
        delegate_cancel(&old->questions[i].query);
        free(old->questions[i].text);
    }
    free(old->questions);
    free(old->told);
    free(old);
}

/* ---- answers ---- */

static int write_request(void *owner, struct buffer *out)
{
    const struct question *q = owner;
    const struct outside_options *o = &q->outside->options;
    return o->write(o->owner, q->subject, out);
}

/* A copy of what was said; without memory "". */
static struct span keep(struct question *q, struct span said)
{
    size_t size = said.size < OUTSIDE_TEXT_MAX ? said.size : OUTSIDE_TEXT_MAX;
    q->text = malloc(size + 1);
    return q->text == NULL ? span_of("") : span_make(q->text, span_copy(said, q->text, size + 1));
}

/* The action is empty where there was no answer at all, and then alone. */
static void take(struct question *q, const struct span *action, const char *why)
{
    struct delegate_answer *a = &q->outside->told[q - q->outside->questions].answer;
    struct span said = keep(q, action != NULL ? *action : span_of(why));
    if (action != NULL && delegate_understand(said, a) == 0)
        return;
    *a = (struct delegate_answer){.says = DELEGATE_FAILED, .action = span_of(""), .text = said};
    if (action == NULL)
        return;
    a->action = said.size == 0 ? span_of("(empty)") : said;
    a->text = span_of("no action of access(5)");
    delegate_count_useless(q->outside->options.delegates);
}

static void on_answer(void *owner, const struct span *action, const char *why)
{
    struct question *q = owner;
    struct outside *x = q->outside;
    take(q, action, why);
    if (--x->unanswered == 0)
        x->options.fn(x->options.owner);
}

const struct delegate_told *outside_told(const struct outside *x, size_t first, size_t *count,
                                         void **subject)
{
    size_t end = first;
    *subject = x->questions[first].subject;
    while (end < x->count && x->questions[end].subject == *subject)
        end++;
    *count = end - first;
    return &x->told[first];
}

/* ---- questions ---- */

void outside_add(struct outside *x, const struct delegate_rule *rule, void *subject)
{
    if (x->count == x->room)
        return;
    struct question *q = &x->questions[x->count];
    x->told[x->count++].rule = rule;
    *q = (struct question){
        .outside = x, .subject = subject, .query = {.write = write_request, .fn = on_answer}};
    q->query.owner = q;
}

size_t outside_count(const struct outside *x)
{
    return x->count;
}

void outside_run(struct outside *x)
{
    x->unanswered = x->count;
    for (size_t i = 0; i < x->count; i++) {
        const struct delegate_rule *r = x->told[i].rule;
        delegate_ask(x->options.delegates, &x->questions[i].query, r->server, r->timeout_ms);
    }
}
