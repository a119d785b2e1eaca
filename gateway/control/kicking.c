#include "control/kicking.h"

#include "auth/aliases.h"
#include "base/id.h"
#include "base/network.h"
#include "control/order.h"

_Static_assert((int)ACCOUNT_SIZE <= (int)END_WHO_SIZE &&
                   (int)NETWORK_TEXT_SIZE <= (int)END_WHO_SIZE,
               "whoever is meant can be named");

/* A row's texts may be cut. */
static bool is_meant(const struct message_end_sessions *m, const struct session_row *row)
{
    struct address client;
    struct network network;
    struct error why;
    switch ((enum end_of)m->of) {
    case END_OF_SESSION: return strcmp(row->id, m->who) == 0;
    case END_OF_ACCOUNT: return strncmp(row->account, m->who, sizeof row->account - 1) == 0;
    case END_OF_NETWORK:
        return address_parse(row->client, &client, &why) == 0 &&
               network_parse(m->who, &network, &why) == 0 && network_holds(&network, &client);
    }
    return false;
}

static size_t count(const struct kicking *k, const struct message_end_sessions *m)
{
    struct session_row row;
    enum session_state state;
    size_t owner, found = 0;
    for (size_t i = 0; i < k->board->sessions.capacity; i++)
        found +=
            session_read(&k->board->sessions, i, &row, &state, &owner) == 0 && is_meant(m, &row);
    return found;
}

static bool be_network(const char *word, struct message_end_sessions *m)
{
    struct address address;
    struct network network;
    struct error why;
    if (address_make(word, 1, &address) == 0)
        network = network_of(&address, 32, 64);
    else if (network_parse(word, &network, &why) < 0)
        return false;
    m->of = END_OF_NETWORK;
    network_format(&network, m->who);
    return true;
}

static bool be_session(const struct kicking *k, const char *word, struct message_end_sessions *m)
{
    m->of = END_OF_SESSION;
    for (size_t i = 0; i <= strlen(word) && i < ID_SIZE; i++)
        m->who[i] = ascii_lower(word[i]);
    return strlen(word) == ID_SIZE - 1 && count(k, m) > 0;
}

static bool be_account(const struct kicking *k, const char *word, struct message_end_sessions *m)
{
    m->of = END_OF_ACCOUNT;
    return aliases_account(k->aliases, span_of(word), k->board->config->auth.realm, m->who) == 0;
}

int kicking_kick(const struct kicking *k, const json_t *request, struct error *said)
{
    static const char gentle[] = "please connect again";
    struct message_end_sessions m = {.why = ENDING_kicked};
    const char *who = order_text(request, "who");
    order_reason(request, m.text, sizeof m.text);
    if (m.text[0] == '\0')
        memcpy(m.text, gentle, sizeof gentle);
    if (!be_network(who, &m) && !be_session(k, who, &m) && !be_account(k, who, &m))
        return error_set(said, "that is no session, account or address");
    size_t found = count(k, &m);
    if (channel_send(k->master, MESSAGE_END_SESSIONS, &m, span_make("", 0), -1) < 0)
        return error_set(said, "the master doesn't listen; try again");
    if (found == 0)
        return error_set(said, "%s has no session", m.who);
    return error_set(said, "%s: sessions that end: %zu", m.who, found), 0;
}
