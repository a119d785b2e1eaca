/* A limit: how much of something one key may do. Its keys of porteiro.conf, what they mean, and how
 * it is told to people. Pure. */
#pragma once

#include "base/setting.h"
#include "policy/limit/gcra.h"
#include "policy/limit/store.h"
#include "policy/match.h"

struct override;
struct override_file;

/* What a counter goes by. */
enum limit_key {
    LIMIT_KEY_ACCOUNT,
    LIMIT_KEY_LOGIN,
    LIMIT_KEY_ACCOUNT_DOMAIN,
    LIMIT_KEY_IP,
    LIMIT_KEY_NETWORK,
    LIMIT_KEY_SENDER,
    LIMIT_KEY_SENDER_DOMAIN,
    LIMIT_KEY_RECIPIENT,
    LIMIT_KEY_RECIPIENT_DOMAIN,
    LIMIT_KEY_LISTENER,
    LIMIT_KEY_COUNTRY,
    LIMIT_KEY_GLOBAL,
    LIMIT_KEY_HEADER, /* "header:NAME" */
    LIMIT_KEY_COUNT
};

/* What is counted. */
enum limit_count {
    LIMIT_CONNECTIONS,
    LIMIT_SESSIONS,
    LIMIT_LOGINS,
    LIMIT_MESSAGES,
    LIMIT_RECIPIENTS,
    LIMIT_BYTES,
    LIMIT_REJECTED_RECIPIENTS, /* a ratio of those tried */
    LIMIT_DISTINCT_RECIPIENTS, /* different ones within a window */
    LIMIT_DISTINCT_NETWORKS,
    LIMIT_DISTINCT_COUNTRIES,
    LIMIT_AUTH_FAILURES,
    LIMIT_DISTINCT_CREDENTIALS, /* different wrong ones */
    LIMIT_COUNT_COUNT
};

/* When something is decided: the earliest point at which what is counted, and its key, are known.
 */
enum policy_stage {
    STAGE_CONNECT, /* accepted, before TLS */
    STAGE_LOGIN,   /* credentials were right */
    STAGE_FAILURE, /* or wrong */
    STAGE_MAIL,
    STAGE_RCPT,
    STAGE_DATA, /* all recipients are known */
    STAGE_END,  /* the whole message is */
    STAGE_COUNT
};

/* What a message without the header is to a rule that goes by it. */
enum limit_missing { LIMIT_MISSING_EMPTY, LIMIT_MISSING_SKIP, LIMIT_MISSING_REJECT };

enum limit_at { LIMIT_AT_EARLIEST, LIMIT_AT_RCPT, LIMIT_AT_MESSAGE };
enum limit_action { LIMIT_DELAY, LIMIT_DEFER, LIMIT_REJECT, LIMIT_LOG, LIMIT_BAN, LIMIT_SUSPEND };
enum limit_scope { LIMIT_SENDING, LIMIT_ALL };
enum rule_mode { RULE_ENFORCE, RULE_MONITOR };

enum { LIMIT_KEYS_MAX = 4, LIMIT_HEADER_MAX = 64 };

struct limit_rule {
    const char *name;
    struct place place;
    /* As they stand in the file. */
    struct text_list key;
    const char *rate_text;
    int count, at, action, scope, mode, missing; /* enums above */
    int64_t max, burst, max_delay_ms, window_ms, ratio, min, duration_ms, warn_at;
    bool enabled;
    struct match when, except;
    /* What they mean: filled in by limit_rule_check. */
    enum limit_key keys[LIMIT_KEYS_MAX];
    size_t key_count;
    enum counter_kind kind;
    struct rate rate; /* of that kind */
    enum policy_stage stage;
    uint16_t slot; /* of its counters, by its name: the same in all processes */
    const struct override_file *overrides; /* of its policy; NULL: it has none */
};

/* The keys of the file, for base/setting: ends with a NULL name. */
extern const struct setting limit_settings[];

/* Do the keys go together? Fills in what they mean. Returns 0; or -1: everything that is wrong was
 * added to `errors`, with the rule's place and `path`. */
int limit_rule_check(struct limit_rule *r, const char *path, struct errors *errors);

/* Can it be the name of a field that a message's header has (RFC 5322 section 2.2)? */
bool limit_is_field_name(const char *name);

/* Does it go by the country of a client, which nobody knows without geoip? */
bool limit_needs_country(const struct limit_rule *r);

/* Does a refusal last for `duration`, whatever the counter says meanwhile? */
static inline bool limit_holds(const struct limit_rule *r)
{
    return r->duration_ms > 0 && r->kind != COUNTER_RATE &&
           (r->action == LIMIT_DEFER || r->action == LIMIT_REJECT);
}

/* Is it one of the keys? */
bool limit_has_key(const struct limit_rule *r, enum limit_key key);

/* The name of a header key, as it stands in the file; "": the key is none. */
const char *limit_header(const struct limit_rule *r, size_t key);

/* COUNT/PERIOD, as "600/1h" or "600/h"; octets as "1G/1d". The burst is left as it is. Returns 0,
 * or -1 and why. */
int limit_parse_rate(const char *text, struct rate *out, struct error *why);

/* What it says: its rate; of one by max, that as the count. */
struct rate limit_figure(const struct limit_rule *r);

/* "at most 600 recipients in 1h, 100 at once": into `out`, cut to fit; what is in force in its
 * place is said so, NULL: nothing. Returns `out`. */
const char *limit_rule_text(const struct limit_rule *r, const struct override *o, char *out,
                            size_t room);

/* "40 seconds", "3 minutes", "2 hours": rounded up. Returns `out`. */
const char *limit_wait_text(int64_t us, char *out, size_t room);
