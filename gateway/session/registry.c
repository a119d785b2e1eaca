#include "session/policy.h"

#include "base/clock.h"
#include "decision/known.h"
#include "session/access.h"
#include "session/ending.h"
#include "session/guard.h"
#include "session/login.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIELDS_MAX = 24, TLS_TIMEOUT_MS = 30000, LOGIN_FAILURES_MAX = 3, LOGIN_DELAY_MS = 250 };

struct registry {
    const struct session_context *context;
    struct session *first;
    struct session *cursor; /* the next to be asked, while all are */
    size_t count;
    bool is_refusing, is_ending;
    uint64_t bans_seen; /* the version that was looked at */
    uint64_t moment;    /* see registry_look_for_hours */
    struct id_source ids;
    struct turns turns;
    loop_fn *on_empty;
    void *empty_owner;
    struct timeout *renewing; /* of what sessions hold */
};

/* Twice while a lease lasts. */
static void renew(void *owner)
{
    struct registry *r = owner;
    for (const struct session *s = r->first; s != NULL; s = s->next)
        session_policy_renew(s);
    timeout_set(r->renewing, loop_now(r->context->loop) + POLICY_LEASE_US * INT64_C(1000) / 2);
}

struct registry *registry_create(const struct session_context *context)
{
    struct registry *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    *r = (struct registry){.context = context,
                           .ids = id_source_create(),
                           .renewing = timeout_create(context->loop, renew, r)};
    if (r->renewing == NULL) {
        free(r);
        return NULL;
    }
    renew(r);
    return r;
}

void registry_destroy(struct registry **registry)
{
    if (*registry == NULL)
        return;
    registry_end_all(*registry);
    timeout_destroy(&(*registry)->renewing);
    free(*registry);
    *registry = NULL;
}

const struct session_context *registry_context(const struct registry *r)
{
    return r->context;
}

void registry_refuse(struct registry *r, bool is_refusing)
{
    r->is_refusing = is_refusing;
}

bool registry_is_refusing(const struct registry *r)
{
    return r->is_refusing;
}

bool registry_is_ending(const struct registry *r)
{
    return r->is_ending;
}

/* Any session may end while one is asked: what that one gives back, another waits for. */
void registry_each(struct registry *r, void (*fn)(void *owner, struct session *s), void *owner)
{
    for (r->cursor = r->first; r->cursor != NULL;) {
        struct session *s = r->cursor;
        r->cursor = s->next;
        fn(owner, s);
    }
}

static void ask_to_end(void *owner, struct session *s)
{
    (void)owner;
    s->kind->ask_to_end(s);
}

static void end_now(void *owner, struct session *s)
{
    (void)owner;
    s->kind->end(s);
}

void registry_ask_to_end(struct registry *r, bool is_ending)
{
    r->is_ending = is_ending;
    if (is_ending)
        registry_each(r, ask_to_end, NULL);
}

static void end_if_banned(void *owner, struct session *s)
{
    enum ending why = guard_session(s);
    (void)owner;
    if (why != ENDING_none)
        session_ask_to_end(s, why, NULL);
    else if (s->ending == ENDING_banned || s->ending == ENDING_suspended)
        s->ending = ENDING_none; /* it was lifted */
}

void registry_look_for_banned(struct registry *r)
{
    uint64_t version = bans_version(r->context->bans);
    if (version == r->bans_seen)
        return;
    r->bans_seen = version;
    registry_each(r, end_if_banned, NULL);
}

bool registry_is_other_moment(struct registry *r, uint64_t moment)
{
    bool is_other = moment != r->moment;
    r->moment = moment;
    return is_other;
}

void registry_end_all(struct registry *r)
{
    registry_each(r, end_now, NULL);
}

size_t registry_count(const struct registry *r)
{
    return r->count;
}

void registry_on_empty(struct registry *r, loop_fn *fn, void *owner)
{
    r->on_empty = fn;
    r->empty_owner = owner;
}

/* ---- sessions ---- */

/* Who the client is from now on. */
static void be_client(struct session *s, const struct address *address)
{
    const struct sealed *countries = s->context->countries;
    s->client_address = *address;
    address_format(address, s->address);
    if (countries != NULL)
        countries_find(countries->bytes, address, s->country);
}

void session_begin(struct session *s, struct registry *r, const struct session_kind *kind,
                   const struct listener_config *listener, int row, const struct address *peer)
{
    s->registry = r;
    s->context = r->context;
    be_client(s, peer);
    s->kind = kind;
    s->listener = listener;
    s->listener_slot = label_slot(r->context->labels, LABEL_LISTENER, listener->name);
    s->row = row;
    s->started_ns = loop_now(r->context->loop);
    s->started_wall_ns = clock_wall_ns();
    id_next(&r->ids, s->started_wall_ns, s->id);
    s->next = r->first;
    s->previous = &r->first;
    if (s->next != NULL)
        s->next->previous = &s->next;
    r->first = s;
    r->count++;
}

int session_start_tls(struct session *s)
{
    const struct tls_context *tls = tls_server_context(s->context->tls, s->listener);
    if (connection_start_tls(s->client, tls) < 0)
        return -1;
    session_state(s, SESSION_TLS);
    session_deadline(s, TLS_TIMEOUT_MS);
    return 0;
}

void session_tls_failed(const struct session *s, const char *reason)
{
    bool is_implicit = s->listener->tls == LISTENER_TLS_IMPLICIT;
    if (reason == NULL)
        reason = is_implicit ? "no handshake in time; a client that is set to STARTTLS would wait "
                               "here for a greeting"
                             : "no handshake in time";
    session_add(s, COUNTER_tls_failures, 1);
    session_event(s, EVENT_tls_failed, field_text(KEY_reason, reason));
}

void session_ask_to_end(struct session *s, enum ending why, const char *text)
{
    if (s->ending == ENDING_none) {
        s->ending = why;
        s->last_word = text == NULL ? NULL : strdup(text); /* without memory less is said */
        session_event(s, EVENT_session_ending, field_text(KEY_reason, ending_text(s)),
                      field_text(KEY_reply, text == NULL ? "" : text));
    }
    s->kind->ask_to_end(s);
}

bool session_is_to_end(const struct session *s)
{
    return s->ending != ENDING_none || s->registry->is_ending;
}

void session_new_id(const struct session *s, char out[ID_SIZE])
{
    id_next(&s->registry->ids, clock_wall_ns(), out);
}

void session_destroy(struct session *s)
{
    struct registry *r = s->registry;
    bool is_mailbox = s->listener->role == ROLE_POP3;
    session_event(s, EVENT_session_ended,
                  field_seconds(KEY_duration, loop_now(s->context->loop) - s->started_ns),
                  field_number(KEY_count, s->messages), field_number(KEY_bytes, (int64_t)s->bytes),
                  field_text(KEY_state, session_state_name(s->state)),
                  is_mailbox ? field_number(KEY_deleted, s->deleted) : field_text(KEY_deleted, ""));
    session_policy_end(s);
    if (r->cursor == s)
        r->cursor = s->next;
    *s->previous = s->next;
    if (s->next != NULL)
        s->next->previous = s->previous;
    if (s->is_polite)
        connection_finish(&s->client);
    connection_close(&s->client);
    session_free(&s->context->table, s->row);
    free(s->account);
    free(s->sends_for);
    free(s->last_word);
    free(s);
    if (--r->count == 0 && r->on_empty != NULL)
        r->on_empty(r->empty_owner);
}

void session_finish(struct session *s)
{
    s->is_polite = true;
    session_destroy(s);
}

void session_state(struct session *s, enum session_state state)
{
    s->state = state;
    session_set_state(&s->context->table, s->row, state);
}

void session_show(const struct session *s)
{
    struct session_row row = {.started_wall_ns = s->started_wall_ns,
                              .listener = (uint32_t)s->listener_slot,
                              .messages = s->messages,
                              .deleted = s->deleted};
    (void)span_copy(span_of(s->id), row.id, sizeof row.id); /* fits, or is cut for display */
    (void)span_copy(span_of(s->account == NULL ? "" : s->account), row.account, sizeof row.account);
    (void)span_copy(span_of(s->address), row.client, sizeof row.client); /* fits */
    row.is_tls = connection_tls_version(s->client)[0] != '\0';
    session_write(&s->context->table, s->row, &row);
}

void session_speaks_for(struct session *s, const struct address *other)
{
    char address[ADDRESS_TEXT_SIZE] = "";
    if (other != NULL)
        address_format(other, address);
    session_event(s, EVENT_speaks_for, field_text(KEY_speaks_for, address));
    if (other == NULL)
        return;
    be_client(s, other);
    session_show(s);
}

int session_take_turn(const struct session *s, struct turn *turn)
{
    bool has_many = networks_hold(&s->context->config->shared, &s->client_address);
    turn_init(turn, has_many ? NULL : &s->client_address);
    return turn_take(&s->registry->turns, turn);
}

void session_logout(struct session *s)
{
    session_policy_give_back(s);
    s->is_let_in = false;
    free(s->account);
    s->account = NULL;
    s->mechanism = NULL;
    session_show(s);
}

const char *session_reference(const struct session *s, char out[SESSION_REFERENCE_SIZE])
{
    const char *contact = s->context->config->contact;
    if (contact[0] == '\0')
        return s->id;
    (void)snprintf(out, SESSION_REFERENCE_SIZE, "%s; %s", s->id, contact); /* fits */
    return out;
}

const char *session_account(const struct session *s)
{
    return s->sends_for != NULL ? s->sends_for : s->account;
}

int session_name(struct session *s, struct span account)
{
    free(s->account); /* of a login before, by XCLIENT or from a trusted network */
    s->account = malloc(account.size + 1);
    if (s->account == NULL)
        return -1;
    (void)span_copy(account, s->account, account.size + 1); /* fits */
    s->credential = KNOWN_UNSAID;
    session_show(s);
    return 0;
}

void session_logged_in(struct session *s, const char *mechanism)
{
    char certificate[CERTIFICATE_NAME_SIZE];
    s->mechanism = mechanism;
    session_event(s, EVENT_login, field_text(KEY_country, s->country),
                  field_text(KEY_mechanism, mechanism),
                  field_text(KEY_tls_version, connection_tls_version(s->client)),
                  field_text(KEY_cipher, connection_tls_cipher(s->client)),
                  field_text(KEY_certificate, connection_certificate_name(s->client, certificate)));
    session_add(s, COUNTER_logins, 1);
    guard_logged_in(s);
    session_note_access(s);
}

int session_login(struct session *s, struct span account, const char *mechanism)
{
    if (session_name(s, account) < 0)
        return -1;
    session_logged_in(s, mechanism);
    return 0;
}

int64_t session_login_failed(struct session *s, const struct login *l, int code)
{
    const char *mechanism = login_mechanism(l);
    char account[ACCOUNT_SIZE];
    const struct field tried =
        field_text(KEY_account, login_shows_account(l, account) ? account : "");
    session_add(s, COUNTER_login_failures, 1);
    if (code == 0)
        session_event(s, EVENT_login_failed, tried, field_text(KEY_country, s->country),
                      field_text(KEY_mechanism, mechanism));
    else
        session_event(s, EVENT_login_failed, tried, field_text(KEY_country, s->country),
                      field_text(KEY_mechanism, mechanism), field_number(KEY_code, code));
    guard_failed(s, l);
    return (int64_t)LOGIN_DELAY_MS << s->login_failures++; /* three at most */
}

int64_t session_login_refused(struct session *s, const char *mechanism, const char *reason)
{
    session_add(s, COUNTER_logins_refused, 1);
    session_event(s, EVENT_login_refused, field_text(KEY_country, s->country),
                  field_text(KEY_mechanism, mechanism), field_text(KEY_reason, reason));
    return (int64_t)LOGIN_DELAY_MS << s->login_failures++; /* three at most */
}

void session_count_messages(struct session *s, uint32_t messages, uint32_t deleted)
{
    s->messages = messages;
    s->deleted = deleted;
    session_set_messages(&s->context->table, s->row, messages, deleted);
}

void session_login_unavailable(const struct session *s, const char *mechanism, struct span reason)
{
    session_add(s, COUNTER_logins_unavailable, 1);
    session_event(s, EVENT_login_unavailable, field_text(KEY_mechanism, mechanism),
                  field_span(KEY_reason, reason));
}

bool session_is_guessing(const struct session *s)
{
    return s->login_failures >= LOGIN_FAILURES_MAX;
}

void session_deadline(const struct session *s, int64_t ms)
{
    if (s->client != NULL)
        connection_set_deadline(s->client,
                                ms == 0 ? 0 : loop_now(s->context->loop) + ms * CLOCK_MS);
}

void session_event_fields(const struct session *s, enum event event, const struct field *fields)
{
    struct field all[FIELDS_MAX];
    size_t count = 0;
    if (!event_is_logged(s->context->log, event))
        return;
    all[count++] = field_text(KEY_session, s->id);
    all[count++] = field_text(KEY_listener, s->listener->name);
    all[count++] = field_text(KEY_client, s->address);
    if (fields->kind == FIELD_END || fields->key != KEY_account) /* else it is about another */
        all[count++] = field_text(KEY_account, session_account(s));
    if (s->sends_for != NULL)
        all[count++] = field_text(KEY_login, s->account);
    for (; fields->kind != FIELD_END && count < FIELDS_MAX - 1; fields++)
        all[count++] = *fields;
    all[count].kind = FIELD_END;
    log_event_fields(s->context->log, event, all);
}

void session_add(const struct session *s, enum counter counter, int64_t n)
{
    counter_add(s->context->counters, counter, s->listener_slot, n);
}
