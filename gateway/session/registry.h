/* A worker's sessions: all of them, what they have in common, and how they are brought to an end.
 *
 * Every session has a row in the shared table of sessions, which is also its permit to exist. */
#pragma once

#include "auth/client.h"
#include "auth/turn.h"
#include "base/id.h"
#include "config/config.h"
#include "ipc/messages.h"
#include "net/connection.h"
#include "net/tls.h"
#include "policy/country.h"
#include "policy/policy.h"
#include "telemetry/counters.h"
#include "telemetry/event.h"
#include "telemetry/sessions.h"
#include "upstream/pool.h"

/* What sessions work with; all of it outlives them. */
struct bans;
struct decider;
struct delegates;
struct guessing;
struct login;
struct sealed;
struct senders;
struct milters;
struct spools;

struct session_context {
    struct loop *loop;
    const struct config *config;
    const struct tls_contexts *tls;
    const struct event_log *log;
    struct counters *counters;
    struct session_table table;
    const struct labels *labels;
    const struct bans *bans;
    struct override_store set_limits; /* its owner is a struct set_limits */
    size_t process;                   /* this one's slot */
    struct servers *servers;
    struct pool *pool;
    struct auth_client *auth;
    const struct sealed *aliases;   /* other names of accounts, or NULL */
    const struct sealed *countries; /* see policy/country; NULL: nobody knows */
    struct decider *decider;
    struct delegates *delegates;     /* policy servers */
    const struct guessing *guessing; /* NULL: nobody counts guesses */
    struct senders *senders;         /* NULL: nobody asks later whose a message was */
    struct spools *spools;
    struct milters *milters;
};

struct session;
struct receipt;

/* Policy has decided about the session itself: `refused` is the verdict, or NULL. */
typedef void session_judged_fn(struct session *s, const struct verdict *refused);

/* What it is asked, and has let the session take: see session/policy.h. */
struct session_policy {
    struct decision *decision; /* under way, or NULL */
    enum policy_stage stage;
    int group;                 /* of its questions */
    session_judged_fn *judged; /* NULL: nothing is awaited */
    bool is_late;              /* the session has to wait for it */
    struct arena *arena;       /* of the receipts */
    struct receipt *at_connect, *at_login;
};

/* What a kind of session (SMTP, POP3, refusing) does when it is asked from outside. */
struct session_kind {
    /* Waits for somebody else than the client, `ms` at most, 0: that one has its own time-out. */
    void (*wait)(struct session *s, enum session_state state, int64_t ms);
    /* The client is to be greeted: where TLS comes first, CONNECTION_READY does that. */
    void (*greet)(struct session *s);
    /* It is not, and may be told why. Frees the session. */
    void (*turn_away)(struct session *s, const char *why);
    /* End as soon as nothing is under way, now if possible. May free the session. */
    void (*ask_to_end)(struct session *s);
    /* End now, whatever is under way. Frees the session. */
    void (*end)(struct session *s);
};

/* The part that all sessions begin with. */
struct session {
    struct session *next, **previous;
    struct registry *registry;
    const struct session_context *context;
    const struct session_kind *kind;
    const struct listener_config *listener;
    size_t listener_slot;
    struct connection *client;
    struct address client_address; /* of the connection, or of whom a trusted client speaks for */
    char *account;                 /* canonical; NULL before the login */
    const char *mechanism;         /* with which it has logged in; NULL: without one */
    uint32_t credential;           /* that it has logged in with; see decision/guessing */
    char *sends_for;               /* the account whose message it is, where it is another's */
    char *last_word;               /* what the client is told of its ending; NULL: nothing */
    int64_t started_ns, started_wall_ns;
    uint64_t bytes;    /* to the client in POP3, of messages in SMTP */
    uint32_t messages; /* taken by the upstream; read from a mailbox */
    uint32_t deleted;  /* from a mailbox */
    unsigned login_failures;
    struct session_policy policy;
    int row;
    enum session_state state;
    bool is_let_in;     /* by rules of access: see session/access.h */
    enum ending ending; /* why it is to end between commands; see session/ending.h */
    bool is_polite;     /* the client's last reply is to arrive: session_finish */
    char id[ID_SIZE];
    char address[ADDRESS_TEXT_SIZE]; /* the same, for people */
    char country[COUNTRY_SIZE];      /* where that is; "": not known */
};

struct registry;

/* NULL without memory. */
struct registry *registry_create(const struct session_context *context);
void registry_destroy(struct registry **registry);

const struct session_context *registry_context(const struct registry *r);

/* New clients are sent away with 421, or are served again. */
void registry_refuse(struct registry *r, bool is_refusing);
bool registry_is_refusing(const struct registry *r);

/* Sessions end when nothing is under way, those that come too; or no longer. */
void registry_ask_to_end(struct registry *r, bool is_ending);
bool registry_is_ending(const struct registry *r);

/* Sessions of whom was banned, or suspended from all, since it was called last end between
 * commands.
 */
void registry_look_for_banned(struct registry *r);

/* Is it another than it was told last? */
bool registry_is_other_moment(struct registry *r, uint64_t moment);

/* Calls `fn` for each session; it may end that one, or any other. */
void registry_each(struct registry *r, void (*fn)(void *owner, struct session *s), void *owner);

/* Every session ends now. */
void registry_end_all(struct registry *r);

size_t registry_count(const struct registry *r);

/* `fn` is called whenever the last session has ended. */
void registry_on_empty(struct registry *r, loop_fn *fn, void *owner);

/* ---- for the sessions themselves ---- */

/* Begins: the row is claimed already. `s` lies at the front of the kind's own struct, which is
 * freed by session_destroy. */
void session_begin(struct session *s, struct registry *r, const struct session_kind *kind,
                   const struct listener_config *listener, int row, const struct address *peer);

/* Begins TLS with the listener's certificates, behind what was written. Returns 0, or -1 without
 * memory. */
int session_start_tls(struct session *s);

/* Counts and logs that there is no TLS with the client; `reason` NULL: it took too long. */
void session_tls_failed(const struct session *s, const char *reason);

/* It is to end as soon as nothing is under way, now if possible; logs why. `text`, which may be
 * NULL, is what its client is told. May free the session. */
void session_ask_to_end(struct session *s, enum ending why, const char *text);

/* Is it to end at the next quiet moment? */
bool session_is_to_end(const struct session *s);

/* An id for a message of this session. */
void session_new_id(const struct session *s, char out[ID_SIZE]);

/* The end of everything: logs it, gives the row back, closes the client at once, and frees the
 * struct. */
void session_destroy(struct session *s);

/* The same, but what was written to the client is to arrive. */
void session_finish(struct session *s);

/* Hot: one store. What the session waits for, for people. */
void session_state(struct session *s, enum session_state state);

/* Writes the row anew: after a login. */
void session_show(const struct session *s);

/* The client speaks for another from now on; NULL: for somebody whose address it doesn't know. Logs
 * it. */
void session_speaks_for(struct session *s, const struct address *other);

/* What is told with a refusal: the id by which it is found in the log, and the contact, if there is
 * one. Valid as long as `out` and the session. */
enum { SESSION_REFERENCE_SIZE = ID_SIZE + CONTACT_MAX + 2 };
const char *session_reference(const struct session *s, char out[SESSION_REFERENCE_SIZE]);

/* Whose the message is that is under way: the account that has logged in, or another that it sends
 * for; NULL before the login. */
const char *session_account(const struct session *s);

/* A turn for a login of its client that a server behind is asked about. Returns 0, or -1: its
 * network has as many as it may. */
int session_take_turn(const struct session *s, struct turn *turn);

/* Nobody is logged in any more. */
void session_logout(struct session *s);

/* Takes the account's name, before the login is proven. Returns 0, or -1 without memory. */
int session_name(struct session *s, struct span account);

/* He is in: counts and logs it. */
void session_logged_in(struct session *s, const char *mechanism);

/* Both. */
int session_login(struct session *s, struct span account, const char *mechanism);

/* Counts and logs another wrong login, with the reply's code (0: it has none). Returns for how many
 * ms its answer is held back: longer each time. */
int64_t session_login_failed(struct session *s, const struct login *l, int code);

/* The same for one that isn't judged: `reason` says why. */
int64_t session_login_refused(struct session *s, const char *mechanism, const char *reason);

/* Counts and logs a login that couldn't be judged. */
void session_login_unavailable(const struct session *s, const char *mechanism, struct span reason);

/* Another message, or one deleted: in the row as well. */
void session_count_messages(struct session *s, uint32_t messages, uint32_t deleted);

/* Has it been wrong so often that the client has to connect anew? */
bool session_is_guessing(const struct session *s);

/* The client's deadline, from now. */
void session_deadline(const struct session *s, int64_t ms);

/* Logs with what is known of the session before the fields. */
#define session_event(s, event, ...) \
    session_event_fields((s), (event), (const struct field[]){__VA_ARGS__, {.kind = FIELD_END}})
void session_event_fields(const struct session *s, enum event event, const struct field *fields);

void session_add(const struct session *s, enum counter counter, int64_t n);
