/* porteiro.conf as one struct that nobody changes: read once, handed to whoever needs it. A reload
 * makes a new one for new processes. */
#pragma once

#include "base/endpoint.h"
#include "base/error.h"
#include "base/network.h"
#include "base/setting.h"
#include "policy/policy.h"

struct arena;

enum listener_role { ROLE_SUBMISSION, ROLE_POP3, ROLE_REFUSE };
enum bare_newline { BARE_NEWLINE_NORMALIZE, BARE_NEWLINE_REJECT };
enum received_client { RECEIVED_PRIVATE, RECEIVED_FULL };
enum listener_tls { LISTENER_TLS_IMPLICIT, LISTENER_TLS_STARTTLS, LISTENER_TLS_NONE };
enum client_certificate {
    CLIENT_CERTIFICATE_NONE,
    CLIENT_CERTIFICATE_OPTIONAL,
    CLIENT_CERTIFICATE_REQUIRED
};
enum tls_version { TLS_VERSION_1_2, TLS_VERSION_1_3 };
enum upstream_tls_version {
    UPSTREAM_TLS_VERSION_1_0,
    UPSTREAM_TLS_VERSION_1_1,
    UPSTREAM_TLS_VERSION_1_2,
    UPSTREAM_TLS_VERSION_1_3
};
enum upstream_protocol { UPSTREAM_SMTP, UPSTREAM_POP3 };
enum upstream_tls {
    UPSTREAM_TLS_NONE,
    UPSTREAM_TLS_OPPORTUNISTIC,
    UPSTREAM_TLS_REQUIRE,
    UPSTREAM_TLS_VERIFY,
    UPSTREAM_TLS_IMPLICIT
};
enum upstream_identity {
    IDENTITY_NONE,
    IDENTITY_AUTH,
    IDENTITY_XFORWARD,
    IDENTITY_XCLIENT,
    IDENTITY_PROXY,
    IDENTITY_PASSWORD,
    IDENTITY_MASTER
};
enum upstream_mechanism {
    UPSTREAM_MECHANISM_BEST,
    UPSTREAM_MECHANISM_PLAIN,
    UPSTREAM_MECHANISM_LOGIN,
    UPSTREAM_MECHANISM_XOAUTH2
};
enum auth_backend { BACKEND_SASLDB, BACKEND_SASLAUTHD, BACKEND_UPSTREAM, BACKEND_AUXPROP };
enum login_name { LOGIN_NAME_OF_BACKEND, LOGIN_NAME_GIVEN, LOGIN_NAME_ACCOUNT, LOGIN_NAME_LOCAL };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
enum redis_on_failure { REDIS_FAILURE_MEMORY, REDIS_FAILURE_ACCEPT, REDIS_FAILURE_TEMPFAIL };
enum milter_failure { MILTER_FAILURE_TEMPFAIL, MILTER_FAILURE_ACCEPT, MILTER_FAILURE_REJECT };
enum milter_quarantine { MILTER_QUARANTINE_HEADER, MILTER_QUARANTINE_TEMPFAIL };
enum control_role { CONTROL_READ, CONTROL_SUPPORT, CONTROL_ADMIN };

struct log_config {
    struct place place;
    const char *target;          /* "stderr", "syslog" or a file */
    int format, level, facility; /* enum log_format; enum log_level; index into the names */
};

struct tls_config {
    const char *name;
    struct place place;
    struct text_list certificate, key, names; /* of the first two as many */
    int min_version;                          /* enum tls_version */
    const char *ciphers;
};

struct server_config {
    const char *name; /* "UPSTREAM/SERVER", as it is logged */
    struct place place;
    const char *address;
    struct address to;
};

struct upstream_config {
    const char *name;
    struct place place;
    int protocol, tls, identity; /* enums above */
    int tls_min_version;         /* enum upstream_tls_version */
    const char *tls_ciphers, *fingerprint, *ca, *client_certificate, *client_key;
    const char *username, *password_file, *token_command;
    const char *master_user, *master_password_file, *master_separator;
    int mechanism; /* enum upstream_mechanism */
    bool is_asked; /* it checks passwords: auth.backend = upstream */
    int64_t max_connections;
    int64_t wait_timeout_ms, connect_timeout_ms, command_timeout_ms, final_timeout_ms;
    int64_t idle_timeout_ms, health_check_ms;
    struct server_config *servers;
    size_t server_count;
};

/* Who may send without AUTH (`networks`, as `account`), or for others (`logins`, for those whom
 * `account_from` names by message). */
struct trusted_config {
    const char *name;
    struct place place;
    struct text_list networks, logins;
    const char *account, *account_from, *fallback;
    struct network_list network_list; /* of `networks` */
    const char *header;               /* NAME of account_from = "header:NAME"; NULL: mail-auth */
};

/* A filter that speaks the milter protocol. */
struct milter_config {
    const char *name;
    struct place place;
    const char *address;
    struct endpoint at; /* `address` */
    int on_failure;     /* enum milter_failure */
    int quarantine;     /* enum milter_quarantine */
    int64_t connect_timeout_ms, reply_timeout_ms, message_timeout_ms;
    struct match when, except;
};

struct listener_config {
    const char *name;
    struct place place;
    struct text_list bind, xclient_from, xclient_login_from, milter_names;
    int role, tls, bare_newline, received, client_certificate; /* enums above */
    bool complete_headers;
    const char *certificate, *upstream, *client_ca, *client_crl, *policy;
    int64_t max_message_size, max_header_size, max_recipients, idle_timeout_ms, min_data_rate;
    struct address *addresses; /* of `bind` */
    size_t address_count;
    struct network_list xclient_networks, xclient_login_networks; /* of the lists above */
    struct trusted_config *trusted;
    size_t trusted_count;
    const struct tls_config *tls_block;            /* `certificate`; NULL for role refuse */
    const struct upstream_config *upstream_config; /* `upstream`; NULL for role refuse */
    const struct policy *policy_rules;             /* `policy`; NULL: there is none */
    const struct milter_config **milters;          /* `milter_names`, in their order */
    size_t milter_count;
    unsigned mechanisms; /* what can succeed of auth.mechanisms: a bit for each enum mechanism */
};

enum guessing_key { GUESSING_IP, GUESSING_NETWORK, GUESSING_IP_ACCOUNT };

struct guessing_config {
    int key;     /* enum guessing_key */
    int64_t max; /* 0: off */
    int64_t window_ms, ban_ms;
    uint16_t slot; /* of its counters: filled in at the start, the same in all processes */
};

struct auth_config {
    struct place place;
    struct text_list mechanisms;
    int backend;    /* enum auth_backend */
    int login_name; /* enum login_name, LOGIN_NAME_OF_BACKEND replaced by what it means */
    const char *sasldb, *saslauthd, *service, *upstream, *realm, *aliases, *options_file;
    struct text_list options; /* "KEY=VALUE" */
    int64_t processes, cache_ms, remember_networks_ms;
    bool lift_on_new_password;
    struct guessing_config guessing;
};

/* Files that are watched: a new version is in force two seconds after its last change. Later ones
 * of a kind stand in their own keys. */
enum watched_kind {
    WATCHED_ALIASES,
    WATCHED_GROUP,
    WATCHED_ZONE,
    WATCHED_OVERRIDES,
    WATCHED_COUNTRIES,
    WATCHED_CONTACTS,
    WATCHED_CLOSED,
    WATCHED_ADDRESSES
};

struct watched_config {
    enum watched_kind kind;
    const char *key, *path;
    struct place place;
    const struct sealed **list; /* is set to what is in force; NULL: who needs it asks for it */
};

/* What a command of notify can be told of. */
enum notice {
#define NOTICE(name, event, verdicts, field, help) NOTICE_##name,
#include "config/notices.def"
#undef NOTICE
    NOTICE_COUNT
};

/* "ban", "limit", ..., then NULL. */
extern const char *const notice_names[];

enum { NOTIFY_MAX = 16 };

struct notify_config {
    const char *name;
    struct place place;
    const char *command; /* words, parted by spaces */
    struct text_list events;
    int64_t every_ms;
    unsigned notices; /* `events`: a bit for each enum notice */
};

struct control_group_config {
    const char *group;
    struct place place;
    int role; /* enum control_role */
};

/* A server of Redis, or a Sentinel. */
struct redis_server {
    const char *text; /* as it stands in the configuration */
    bool is_unix;     /* `text` is "unix:PATH"; else `to` says where */
    struct address to;
};

/* Where counters are kept together with other gateways. */
struct redis_config {
    struct place place;
    struct text_list address, sentinels; /* one of them is empty */
    const char *master, *sentinel_username, *sentinel_password_file;
    const char *username, *password_file, *ca, *prefix;
    bool tls;
    int64_t database, timeout_ms, gateways;
    int on_failure;               /* enum redis_on_failure */
    struct redis_server *servers; /* those that are spoken to first: of `address` or `sentinels` */
    size_t server_count;          /* 0: the block isn't there */
};

/* The engine inside another MTA: porteiro-milter's. */
struct filter_config {
    struct place place;                  /* no file: the block isn't there */
    const char *listen, *policy_service; /* "inet:HOST:PORT", "unix:PATH", or "" */
    const char *group, *policy;
    const struct policy *policy_rules; /* `policy`; NULL: there is none */
};

/* A server that rules delegate to, at whichever stages and by whichever policy. */
struct policy_server {
    const char *text; /* as it stands in the configuration */
    struct endpoint at;
};

enum { CONTACT_MAX = 128 };

struct config {
    struct arena *arena; /* holds all of it */
    const char *file;
    struct place *places; /* of the top level's keys, in the order of their table */
    const char *hostname, *user, *auth_user, *helper_user;
    int64_t workers;
    const char *state_dir, *spool_dir, *control, *secret, *contact, *contacts;
    struct text_list http;
    struct text_list shared_networks;
    struct network_list shared; /* of `shared_networks` */
    int64_t max_connections, max_connections_per_ip, shutdown_grace_ms, reload_grace_ms,
        drain_delay_ms;
    int64_t hold_in_memory, memory_max, spool_max; /* octets of held messages */
    struct log_config log;
    struct auth_config auth;
    struct redis_config redis;
    struct filter_config filter;
    struct watched_config *watched;
    size_t watched_count;
    struct control_group_config *control_groups;
    size_t control_group_count;
    struct notify_config *notify;
    size_t notify_count;
    struct tls_config *tls;
    size_t tls_count;
    struct listener_config *listeners;
    size_t listener_count;
    struct upstream_config *upstreams;
    size_t upstream_count;
    struct milter_config *milters;
    size_t milter_count;
    struct policy *policies;
    size_t policy_count;
    struct policy_server *policy_servers; /* one for each address */
    size_t policy_server_count;
    unsigned policy_counts; /* what any of them counts: bits of enum limit_count */
    struct account_groups groups;
    struct time_zone zone;    /* of hours, where a rule names none */
    struct time_zone **zones; /* those that rules name, each once */
    size_t zone_count;
    const char *geoip;
};

/* Reads and checks `file`, with all that it includes. Everything wrong is added to `errors`, with
 * FILE:LINE. Returns the configuration, which is whole only if no error was added, or NULL when the
 * text could not even be parsed. */
struct config *config_load(const char *file, struct errors *errors);
void config_free(struct config **config);

/* Where a key of the top level stands; the file alone when it is not set. */
struct place config_place(const struct config *c, const char *key);

/* Appends the effective configuration in the syntax of the file, secrets as "***". Returns 0, or -1
 * when `out` is full. */
int config_print(const struct config *config, struct buffer *out);

/* Appends the reference of all keys: as a configuration file of defaults with comments, or as rows
 * for the manual page (roff). Likewise. */
int config_reference_print(bool as_roff, struct buffer *out);

const struct upstream_config *config_find_upstream(const struct config *c, const char *name);
struct policy *config_find_policy(const struct config *c, const char *name);

/* Adds a warning where a message that a listener takes, one with this policy, may be more than
 * `burst` of what the rule counts and lets through as a whole: it never passes. `at` and `path` say
 * where the figure stands. Returns whether it was so. */
bool config_warn_burst(const struct listener_config *l, const struct limit_rule *r, int64_t burst,
                       const struct place *at, const char *path, struct errors *errors);

const struct tls_config *config_find_tls(const struct config *c, const char *name);

/* May this identity stand with that protocol? */
bool upstream_identity_is_for(int identity, int protocol);
const char *upstream_identity_name(int identity);

/* With auth.backend = upstream: who checks the passwords of a listener; else NULL. */
const struct upstream_config *config_asked_upstream(const struct config *c,
                                                    const struct listener_config *l);

/* Is that done by the login that the listener's sessions make there anyway? */
bool config_is_asked_anyway(const struct config *c, const struct listener_config *l);

/* Does a login upstream repeat the user's own password, so that only mechanisms that bring it to us
 * can succeed: PLAIN and LOGIN, neither SCRAM nor EXTERNAL? */
bool upstream_needs_password(const struct upstream_config *u);

/* Is the certificate of its servers looked at: by a CA and their address, or by the fingerprint? */
bool upstream_is_checked(const struct upstream_config *u);

/* Does a password travel to its servers? */
bool upstream_has_password(const struct upstream_config *u);

/* "submission"; "opportunistic"; the syslog facility's number. */
const char *listener_role_name(int role);
const char *upstream_tls_name(int tls);
int log_facility(const struct log_config *log);
