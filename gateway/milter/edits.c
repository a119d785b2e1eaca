/* What a milter wants changed is kept as it says it, and takes place when its verdict lets the
 * message pass: never half of it. */
#include "base/arena.h"
#include "base/spool.h"
#include "config/config.h"
#include "message/fields.h"
#include "milter/member.h"

enum { EDITS_MAX = 1024 * 1024, TEXTS_MAX = 2 * EDITS_MAX, FIRST_ROOM = 8 };

void edits_drop(struct member *m)
{
    buffer_clear(&m->edits);
    spool_destroy(&m->body);
    m->holds = false;
}

/* ---- as they come ---- */

static int keep_body(struct member *m, struct span piece, struct error *why)
{
    uint64_t most = (uint64_t)m->chain->options.listener->max_message_size;
    if (m->body == NULL)
        m->body = spool_create(m->chain->worker->spools);
    if (m->body == NULL || spool_append(m->body, piece) < 0)
        return error_set(why, "no room for its new body");
    if (spool_size(m->body) > most)
        return error_set(why, "its new body is larger than max_message_size");
    return 0;
}

int edits_keep(struct member *m, const struct milter_frame *f, const struct milter_reply *r,
               struct error *why)
{
    struct milter_writer w = {.out = &m->edits};
    m->holds = m->holds || r->code == MILTER_REPLY_QUARANTINE;
    if (r->code == MILTER_REPLY_BODY)
        return keep_body(m, r->value, why);
    m->edits.limit = EDITS_MAX;
    milter_frame_begin(&w, f->code);
    milter_frame_put(&w, f->data);
    if (milter_frame_end(&w, SIZE_MAX) < 0)
        return error_set(why, "it wants more changed than %d octets say", EDITS_MAX);
    return 0;
}

/* ---- when it lets the message pass ---- */

static const char *copy(struct milter_chain *c, struct span text)
{
    if (c->arena == NULL)
        c->arena = arena_create(TEXTS_MAX);
    return c->arena == NULL ? NULL : arena_copy(c->arena, text);
}

static struct milter_recipient *new_recipient(struct milter_chain *c)
{
    if (c->edits.recipient_count == c->recipient_room) {
        size_t room = c->recipient_room == 0 ? FIRST_ROOM : 2 * c->recipient_room;
        struct milter_recipient *all = arena_alloc(c->arena, room * sizeof *all);
        if (all == NULL)
            return NULL;
        if (c->recipients != NULL)
            memcpy(all, c->recipients, c->recipient_room * sizeof *all);
        c->recipient_room = room;
        c->edits.recipients = c->recipients = all;
    }
    return &c->recipients[c->edits.recipient_count++];
}

static int change_recipient(struct milter_chain *c, const struct milter_reply *r)
{
    const char *address = copy(c, r->name), *parameters = copy(c, r->value);
    struct milter_recipient *new = parameters == NULL ? NULL : new_recipient(c);
    if (address == NULL || new == NULL)
        return -1;
    *new = (struct milter_recipient){address, parameters, r->code == MILTER_REPLY_DELETE_RCPT};
    return 0;
}

static int change_sender(struct milter_chain *c, const struct milter_reply *r)
{
    c->edits.sender = copy(c, r->name);
    c->edits.sender_parameters = copy(c, r->value);
    return c->edits.sender == NULL || c->edits.sender_parameters == NULL ? -1 : 0;
}

static int quarantine(struct member *m, const struct milter_reply *r)
{
    struct milter_edits *edits = &m->chain->edits;
    if (edits->quarantine != NULL)
        return 0;
    edits->quarantine = copy(m->chain, r->value);
    edits->quarantined_by = m->config->name;
    return edits->quarantine == NULL ? -1 : 0;
}

/* Filters count the gateway's own Received line, as Sendmail and Postfix have it, as field 0: what
 * goes behind it is 1, and what goes before it comes right behind it here. */
static size_t insert_at(size_t index)
{
    return index == 0 ? 0 : index - 1;
}

static int apply(struct member *m, const struct milter_reply *r)
{
    struct milter_chain *c = m->chain;
    bool is_spaced = (milter_link_terms(m->link)->protocol & MILTER_LEADING_SPACE) != 0;
    switch (r->code) {
    case MILTER_REPLY_ADD_HEADER: return fields_add(c->fields, r->name, r->value, is_spaced);
    case MILTER_REPLY_INSERT_HEADER:
        return fields_insert(c->fields, insert_at(r->index), r->name, r->value, is_spaced);
    case MILTER_REPLY_CHANGE_HEADER:
        return fields_change(c->fields, r->name, r->index, r->value, is_spaced);
    case MILTER_REPLY_CHANGE_SENDER: return change_sender(c, r);
    case MILTER_REPLY_QUARANTINE: return quarantine(m, r);
    default: return change_recipient(c, r);
    }
}

int edits_apply(struct member *m, struct error *why)
{
    struct milter_reader reader = {.most = EDITS_MAX};
    struct span in = buffer_bytes(&m->edits);
    struct milter_frame f;
    struct milter_reply r;
    int outcome = 0;
    while (outcome == 0 && milter_frame_take(&reader, &in, &f, why) == 1)
        if (milter_reply_parse(&f, MILTER_MAY_ALL, true, &r, why) < 0 || apply(m, &r) < 0)
            outcome = error_set(why, "its change '%c' can't be made: no room, or no field's name",
                                f.code);
    if (outcome == 0 && m->body != NULL) {
        spool_destroy(&m->chain->edits.body);
        m->chain->edits.body = m->body;
        m->body = NULL;
    }
    edits_drop(m);
    return outcome;
}
