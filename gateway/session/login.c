#include "session/login.h"

#include "auth/plain.h"
#include "base/base64.h"
#include "session/asked.h"
#include "session/guard.h"
#include "session/registry.h"

enum { CHALLENGE_MAX = (LOGIN_CHALLENGE_SIZE - 1) / 4 * 3 };

void login_init(struct login *l, const struct session *s, enum auth_service service, login_fn *fn,
                void *owner)
{
    *l = (struct login){.session = s, .service = service, .fn = fn, .owner = owner};
    l->plain.limit = LOGIN_RESPONSE_MAX;
    l->name.limit = ACCOUNT_SIZE;
}

/* ---- what is offered ---- */

/* Of what can succeed at the listener, what can with this client. */
static unsigned offered(const struct login *l)
{
    struct channel_binding binding;
    unsigned set = l->session->listener->mechanisms;
    char name[CERTIFICATE_NAME_SIZE], account[ACCOUNT_SIZE];
    if ((set >> MECHANISM_EXTERNAL & 1) != 0 &&
        auth_account(l->session->context->auth,
                     span_of(connection_certificate_name(l->session->client, name)), account) < 0)
        set &= ~(1U << MECHANISM_EXTERNAL);
    if ((set >> MECHANISM_SCRAM_PLUS & 1) != 0 &&
        connection_channel_binding(l->session->client, &binding) < 0)
        set &= ~(1U << MECHANISM_SCRAM_PLUS);
    return set;
}

const char *login_list(const struct login *l, char out[LOGIN_LIST_MAX])
{
    size_t used = 0;
    unsigned set = offered(l);
    out[0] = '\0';
    for (int m = 0; m < MECHANISM_COUNT; m++)
        if ((set >> m & 1) != 0) {
            used += span_copy(span_of(" "), out + used, LOGIN_LIST_MAX - used);
            used += span_copy(span_of(mechanism_names[m]), out + used, LOGIN_LIST_MAX - used);
        }
    return out;
}

bool login_takes_passwords(const struct login *l)
{
    return (l->session->listener->mechanisms & MECHANISMS_PASSWORD) != 0;
}

/* ---- answers ---- */

static void answer(struct login_answer *out, enum login_result result, const char *text)
{
    out->result = result;
    out->text = span_of(text);
}

static void challenge(struct login_answer *out, struct span text)
{
    if (text.size > CHALLENGE_MAX) {
        answer(out, LOGIN_WRONG, ""); /* SCRAM's repeats what the client has sent */
        return;
    }
    (void)base64_encode(text, out->challenge);
    answer(out, LOGIN_CHALLENGE, out->challenge);
}

static const enum login_result results[] = {[AUTH_GOOD] = LOGIN_GOOD,
                                            [AUTH_WRONG] = LOGIN_WRONG,
                                            [AUTH_UNAVAILABLE] = LOGIN_UNAVAILABLE,
                                            [AUTH_MALFORMED] = LOGIN_WRONG};

static void on_answer(void *owner, const struct auth_answer *a)
{
    struct login *l = owner;
    struct login_answer out;
    if (!a->is_done) {
        challenge(&out, a->text);
    } else {
        l->exchange = NULL; /* freed with its answer */
        out = (struct login_answer){.result = results[a->outcome], .text = a->text};
    }
    l->fn(l->owner, &out);
}

/* ---- exchanges ---- */

/* RFC 2195: "NAME DIGEST". */
static struct span cram_name(struct span response)
{
    size_t end = response.size;
    while (end > 0 && response.data[end - 1] != ' ')
        end--;
    return span_make(response.data, end == 0 ? 0 : end - 1);
}

/* The client's first message, RFC 5802 section 5.1: behind two commas "n=NAME". */
static struct span scram_name(struct span response)
{
    (void)span_split(&response, ','); /* of channel binding */
    (void)span_split(&response, ','); /* for whom it is to act */
    struct span name = span_split(&response, ',');
    if (name.size < 2 || memcmp(name.data, "n=", 2) != 0)
        return span_make("", 0);
    span_skip(&name, 2);
    return name;
}

/* Who it is to be, of a response to an auth process: what is malformed names nobody. */
static void note_name(struct login *l, struct span response)
{
    char certificate[CERTIFICATE_NAME_SIZE];
    struct span name;
    switch (l->mechanism) {
    case MECHANISM_CRAM_MD5: name = cram_name(response); break;
    case MECHANISM_EXTERNAL:
        name = span_of(connection_certificate_name(l->session->client, certificate));
        break;
    default: name = scram_name(response); break;
    }
    (void)buffer_append(&l->name, name); /* one that is too long is nobody's */
}

/* Whoever is banned gets no answer about a password, also who is so since he came, or whom a
 * trusted client speaks for. */
static bool is_refused(struct login *l, struct login_answer *out)
{
    const struct session *s = l->session;
    struct ban_verdict verdict;
    char account[ACCOUNT_SIZE] = "";
    (void)login_account(l, account); /* nobody's may be refused as well */
    guard_before_login(s->context, account);
    if (!guard_at_login(s->context, &s->client_address, account, &verdict))
        return false;
    l->refused_until_ns = verdict.until_ns;
    (void)login_is_refused(l, out->challenge); /* it is */
    answer(out, LOGIN_REFUSED, out->challenge);
    return true;
}

static void ask(struct login *l, enum mechanism mechanism, const struct span *response,
                struct login_answer *out)
{
    struct channel_binding binding;
    char name[CERTIFICATE_NAME_SIZE];
    const char *certificate = mechanism == MECHANISM_EXTERNAL
                                  ? connection_certificate_name(l->session->client, name)
                                  : NULL;
    bool is_bound = (offered(l) >> MECHANISM_SCRAM_PLUS & 1) != 0 &&
                    connection_channel_binding(l->session->client, &binding) == 0;
    const struct address *client = &l->session->client_address;
    bool is_shared = networks_hold(&l->session->context->config->shared, client);
    const struct auth_request request = {.service = l->service,
                                         .mechanism = mechanism,
                                         .response = response,
                                         .binding = is_bound ? &binding : NULL,
                                         .certificate = certificate,
                                         .client = is_shared ? NULL : client};
    const char *why;
    l->exchange = auth_begin(l->session->context->auth, &request, on_answer, l, &why);
    if (l->exchange == NULL)
        answer(out, LOGIN_UNAVAILABLE, why);
    else
        answer(out, LOGIN_CHECK, "");
}

/* Adds a NUL and an answer to what PLAIN would say. Returns 0, or -1: no name or password is like
 * that. */
static int add_answer(struct login *l, struct span said)
{
    return (said.size > 0 && memchr(said.data, '\0', said.size) != NULL) ||
                   buffer_append(&l->plain, span_make("", 1)) < 0 ||
                   buffer_append(&l->plain, said) < 0
               ? -1
               : 0;
}

static void on_asked(void *owner, const struct asked_answer *a)
{
    struct login *l = owner;
    char text[ACCOUNT_SIZE]; /* it may go before the owner has heard all of it */
    (void)span_copy(span_of(a->text), text, sizeof text);
    const struct login_answer out = {.result = results[a->outcome], .text = span_of(text)};
    l->fn(l->owner, &out);
}

static void take_plain(struct login *l, struct login_answer *out)
{
    const struct session *s = l->session;
    const struct span said = buffer_bytes(&l->plain);
    if (is_refused(l, out))
        return;
    if (config_asked_upstream(s->context->config, s->listener) == NULL) {
        ask(l, MECHANISM_PLAIN, &said, out);
        return;
    }
    l->asked = asked_begin(s, said, on_asked, l);
    if (l->asked == NULL)
        answer(out, LOGIN_UNAVAILABLE, "out of memory");
    else
        answer(out, LOGIN_CHECK, "");
}

/* LOGIN: the name, then the password. */
static void take_login(struct login *l, struct span said, struct login_answer *out)
{
    if (add_answer(l, said) < 0) {
        answer(out, LOGIN_WRONG, "");
    } else if (l->has_name) {
        take_plain(l, out);
    } else {
        l->has_name = true;
        challenge(out, span_of("Password:"));
    }
}

/* What runs in an auth process. Who it is to be stands in the first response, which may come
 * later. */
static void take_elsewhere(struct login *l, const struct span *response, struct login_answer *out)
{
    const char *why;
    if (response != NULL && l->name.size == 0) {
        note_name(l, *response);
        if (is_refused(l, out))
            return;
    }
    if (l->exchange == NULL)
        ask(l, l->mechanism, response, out);
    else if (auth_step(l->exchange, *response, &why) < 0)
        answer(out, LOGIN_UNAVAILABLE, why);
    else
        answer(out, LOGIN_CHECK, "");
}

/* `response` is decoded, or NULL: none came with AUTH. */
static void take(struct login *l, const struct span *response, struct login_answer *out)
{
    switch (l->mechanism) {
    case MECHANISM_LOGIN:
        if (response == NULL)
            challenge(out, span_of("Username:"));
        else
            take_login(l, *response, out);
        return;
    case MECHANISM_EXTERNAL:
        if (response == NULL)
            challenge(out, span_of(""));
        else
            take_elsewhere(l, response, out);
        return;
    case MECHANISM_PLAIN:
        if (response == NULL)
            challenge(out, span_of(""));
        else if (buffer_append(&l->plain, *response) < 0)
            answer(out, LOGIN_UNAVAILABLE, "out of memory");
        else
            take_plain(l, out);
        return;
    default: take_elsewhere(l, response, out); return;
    }
}

/* "=" stands for an empty response where it comes with AUTH. */
static void decode_and_take(struct login *l, struct span response, bool is_initial,
                            struct login_answer *out)
{
    char bytes[LOGIN_RESPONSE_MAX];
    bool is_empty = is_initial && span_equals(response, "=");
    ssize_t size = is_empty ? 0 : base64_decode(response, bytes, sizeof bytes);
    if (size < 0) {
        answer(out, LOGIN_NOT_BASE64, "");
        return;
    }
    const struct span decoded = span_make(bytes, (size_t)size);
    take(l, &decoded, out);
    explicit_bzero(bytes, (size_t)size);
}

void login_begin(struct login *l, struct span mechanism, const struct span *response,
                 struct login_answer *out)
{
    unsigned set = offered(l);
    int m = 0;
    login_end(l);
    while (m < MECHANISM_COUNT && !span_equals_nocase(mechanism, mechanism_names[m]))
        m++;
    if (m == MECHANISM_COUNT || (set >> m & 1) == 0) {
        answer(out, LOGIN_NOT_OFFERED, "");
        return;
    }
    l->mechanism = (enum mechanism)m;
    l->refused_until_ns = 0;
    if (response == NULL)
        take(l, NULL, out);
    else
        decode_and_take(l, *response, true, out);
}

void login_respond(struct login *l, struct span response, struct login_answer *out)
{
    decode_and_take(l, response, false, out);
}

void login_with_password(struct login *l, struct span user, struct span password,
                         struct login_answer *out)
{
    login_end(l);
    l->mechanism = MECHANISM_PLAIN;
    l->refused_until_ns = 0;
    if (add_answer(l, user) < 0 || add_answer(l, password) < 0)
        answer(out, LOGIN_WRONG, "");
    else
        take_plain(l, out);
}

/* What was said with PLAIN, or put together to it; empty where another mechanism ran. */
static struct plain said(const struct login *l)
{
    struct plain plain = {{"", 0}, {"", 0}, {"", 0}};
    (void)plain_parse(buffer_bytes(&l->plain), &plain); /* else it stays empty */
    return plain;
}

static struct span given_name(const struct login *l)
{
    struct span given = login_user(l);
    return given.size > 0 ? given : buffer_bytes(&l->name);
}

/* "ana@example.com"; "P@ssw0rd" is none. */
static bool has_domain(struct span name)
{
    (void)span_split(&name, '@');
    return name.size > 0 && memchr(name.data, '.', name.size) != NULL;
}

bool login_shows_account(const struct login *l, char out[ACCOUNT_SIZE])
{
    const struct session *s = l->session;
    struct span given = given_name(l);
    char itself[ACCOUNT_SIZE];
    if (auth_account(s->context->auth, given, out) < 0)
        return false;
    bool is_alias = account_canonical(given, s->context->config->auth.realm, itself) < 0 ||
                    strcmp(itself, out) != 0;
    return has_domain(given) || is_alias || l->mechanism == MECHANISM_EXTERNAL ||
           guard_knows(s->context, out, &s->client_address);
}

int login_account(const struct login *l, char out[ACCOUNT_SIZE])
{
    struct span given = given_name(l);
    if (auth_account(l->session->context->auth, given, out) < 0)
        (void)span_copy(given, out, ACCOUNT_SIZE); /* cut: it is nobody's anyway */
    return out[0] == '\0' ? -1 : 0;
}

struct span login_user(const struct login *l)
{
    return said(l).name;
}

struct span login_password(const struct login *l)
{
    return said(l).password;
}

int login_name(const struct login *l, const char *account, char out[ACCOUNT_SIZE])
{
    const struct auth_config *a = &l->session->context->config->auth;
    struct span given = login_user(l);
    if (given.size == 0)
        given = span_of(account); /* SCRAM: what was typed has stayed in the auth process */
    return account_login_name((enum login_name)a->login_name, given, account, a->realm, out);
}

bool login_is_unproven(const struct login *l)
{
    return asked_is_unproven(l->asked);
}

bool login_is_refused(const struct login *l, char out[BAN_TEXT_SIZE])
{
    out[0] = '\0';
    if (l->refused_until_ns != 0)
        ban_format(&l->session->client_address, l->refused_until_ns, out);
    return l->refused_until_ns != 0;
}

const char *login_mechanism(const struct login *l)
{
    return mechanism_names[l->mechanism];
}

void login_end(struct login *l)
{
    auth_cancel(&l->exchange);
    asked_end(&l->asked);
    buffer_clear(&l->plain);
    buffer_clear(&l->name);
    l->has_name = false;
}
