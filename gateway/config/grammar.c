#include "config/grammar.h"

#include "base/endpoint.h"
#include "base/log.h"
#include "config/mechanisms.h"

#include <string.h>
#include <strings.h>
#include <syslog.h>

/* Is it for what -T must not print? */
static bool is_for_secret(struct span key)
{
    for (; key.size > 0; span_skip(&key, 1))
        if (span_starts_nocase(key, "passw") || span_starts_nocase(key, "secret"))
            return true;
    return false;
}

/* "KEY=VALUE" of libsasl2 that isn't our own to set. */
static int check_option(const char *text, struct error *why)
{
    static const char *const own[] = {"mech_list=", "pwcheck_method=", "log_level="};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strncmp(text, own[i], strlen(own[i])) == 0)
            return error_set(why, "\"%s\" is the gateway's own to set", text);
    if (text[0] == '=' || strchr(text, '=') == NULL)
        return error_set(why, "\"%s\" is no option; write it as auxprop_plugin=sql", text);
    struct span key = span_make(text, strcspn(text, "="));
    if (is_for_secret(key))
        return error_set(why, "\"%.*s\" belongs into options_file, which nobody else can read",
                         (int)key.size, key.data);
    return 0;
}

/* The name of a file in /etc/pam.d. */
static int check_service(const char *name, struct error *why)
{
    if (name[0] != '\0' && strlen(name) <= 64 && strchr(name, '/') == NULL)
        return 0;
    return error_set(why, "\"%s\" is no name of a service; write one as smtp", name);
}

static int check_log_target(const char *target, struct error *why)
{
    if (strcmp(target, "stderr") == 0 || strcmp(target, "syslog") == 0 || target[0] == '/')
        return 0;
    return error_set(why,
                     "\"%s\" is unknown here; write \"stderr\", \"syslog\" or the absolute path "
                     "of a file",
                     target);
}

/* A label of a host name: letters, digits, hyphens inside. */
static int check_domain(const char *name, struct error *why)
{
    size_t label = 0, size = strlen(name);
    bool is_good = size <= 253;
    for (size_t i = 0; i < size && is_good; i++) {
        bool is_edge = label == 0 || name[i + 1] == '.' || name[i + 1] == '\0';
        label = name[i] == '.' ? 0 : label + 1;
        is_good = name[i] == '.'
                      ? i > 0 && name[i - 1] != '.' && i + 1 < size
                      : (ascii_is_alnum(name[i]) || (name[i] == '-' && !is_edge)) && label <= 63;
    }
    return is_good ? 0
                   : error_set(why, "\"%s\" is no host name; write one as mail.example.com", name);
}

/* SHA-256 in hexadecimal, with colons or without. */
static int check_fingerprint(const char *text, struct error *why)
{
    size_t digits = 0;
    bool is_good = true;
    for (const char *c = text; *c != '\0'; c++) {
        bool is_digit = ascii_is_digit(*c) || (ascii_lower(*c) >= 'a' && ascii_lower(*c) <= 'f');
        digits += is_digit;
        is_good = is_good && (is_digit || (*c == ':' && digits % 2 == 0));
    }
    return is_good && (digits == 64 || digits == 0)
               ? 0
               : error_set(why,
                           "\"%s\" is no SHA-256 of 64 hexadecimal digits; openssl x509 -noout "
                           "-fingerprint -sha256 -in FILE shows it",
                           text);
}

static int check_file(const char *path, struct error *why)
{
    return path[0] == '\0' ? 0 : setting_check_path(path, why);
}

const char header_prefix[] = "header:";

/* It is taken away from the message: not what a message must have. */
static int check_account_from(const char *text, struct error *why)
{
    static const char *const needed[] = {"From", "Date", "Message-ID", "Received"};
    const char *name = strncmp(text, header_prefix, strlen(header_prefix)) == 0
                           ? text + strlen(header_prefix)
                           : "";
    if (text[0] == '\0' || strcmp(text, "mail-auth") == 0)
        return 0;
    if (!limit_is_field_name(name))
        return error_set(why, "must be mail-auth or header:NAME, as \"header:X-Account\"");
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (strcasecmp(name, needed[i]) == 0)
            return error_set(why,
                             "the header is taken away, and no message may lack %s; name one "
                             "of your own, as \"header:X-Account\"",
                             needed[i]);
    return 0;
}

/* What goes into a line of a protocol. */
static int check_word(const char *text, struct error *why)
{
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return error_set(why, "it holds a control character");
    return 0;
}

/* It stands in parentheses behind replies. */
static int check_contact(const char *text, struct error *why)
{
    bool is_good = strlen(text) <= CONTACT_MAX;
    for (const char *c = text; *c != '\0'; c++)
        is_good = is_good && *c >= ' ' && *c < 0x7f && *c != '(' && *c != ')';
    return is_good ? 0
                   : error_set(why, "\"%s\" must be up to %d characters of ASCII, without ( and )",
                               text, CONTACT_MAX);
}

/* Words, the first of which is a program; without a shell, quotes would be a part of them. */
static int check_command(const char *text, struct error *why)
{
    if (text[0] == '\0')
        return 0;
    if (strpbrk(text, "\"'`$|<>;&*?") != NULL)
        return error_set(
            why, "\"%s\" needs a shell, and there is none; write a script and name that", text);
    return check_word(text, why) < 0 ? -1 : setting_check_path(text, why);
}

/* Where Redis is. */
static int check_redis(const char *text, struct error *why)
{
    return strncmp(text, "unix:", 5) == 0 ? endpoint_check_path(text + 5, why)
                                          : address_check(text, why);
}

/* Where porteiro-milter listens. */
static int check_filter(const char *text, struct error *why)
{
    return text[0] == '\0' ? 0 : endpoint_check(text, why);
}

/* It stands in braces in every key. */
static int check_prefix(const char *text, struct error *why)
{
    bool is_good = text[0] != '\0' && strlen(text) <= 64;
    for (const char *c = text; *c != '\0'; c++)
        is_good = is_good && (ascii_is_alnum(*c) || strchr("-_.", *c) != NULL);
    return is_good ? 0 : error_set(why, "\"%s\" must be 1 to 64 letters, digits, -, _ or .", text);
}

static const char *const redis_on_failure[] = {"memory", "accept", "tempfail", NULL};
static const char *const tls_versions[] = {"TLSv1.2", "TLSv1.3", NULL};
static const char *const roles[] = {"submission", "pop3", "refuse", NULL};
static const char *const listener_tls[] = {"implicit", "starttls", "none", NULL};
static const char *const client_certificates[] = {"none", "optional", "required", NULL};
static const char *const bare_newlines[] = {"normalize", "reject", NULL};
static const char *const received_clients[] = {"private", "full", NULL};
static const char *const protocols[] = {"smtp", "pop3", NULL};
static const char *const upstream_tls[] = {"none",   "opportunistic", "require",
                                           "verify", "implicit",      NULL};
static const char *const upstream_tls_versions[] = {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", NULL};
static const char *const identities[] = {"none",  "auth",     "xforward", "xclient",
                                         "proxy", "password", "master",   NULL};
static const char *const upstream_mechanisms[] = {"", "PLAIN", "LOGIN", "XOAUTH2", NULL};
static const char *const backends[] = {"sasldb", "saslauthd", "upstream", "auxprop", NULL};
static const char *const login_names[] = {"", "given", "account", "local", NULL};
const char *const notice_names[] = {
#define NOTICE(name, event, verdicts, field, help) #name,
#include "config/notices.def"
#undef NOTICE
    NULL};
static const char *const log_formats[] = {"text", "json", NULL};
static const char *const facilities[] = {"mail",   "daemon", "user",   "local0", "local1", "local2",
                                         "local3", "local4", "local5", "local6", "local7", NULL};
const char *const control_role_names[] = {"read", "support", "admin", NULL};

#define AT(type, member) .offset = offsetof(struct type, member)

static const struct setting top_settings[] = {
    {"hostname", SETTING_TEXT, AT(config, hostname), .preset = "", .check = check_domain,
     .help = "in greetings, EHLO and Received; \"\": the host's FQDN"},
    {"user", SETTING_TEXT, AT(config, user), .preset = "porteiro",
     .help = "workers and control run as this user"},
    {"auth_user", SETTING_TEXT, AT(config, auth_user), .preset = "porteiro-auth",
     .help = "the auth processes run as this user, who can read the password store"},
    {"helper_user", SETTING_TEXT, AT(config, helper_user), .preset = "porteiro-helper",
     .help = "the admin's commands run as this user"},
    {"workers", SETTING_INTEGER, AT(config, workers), .preset = "0", .max = 256,
     .help = "processes that serve clients; 0: one per CPU"},
    {"state_dir", SETTING_TEXT, AT(config, state_dir), .preset = "/var/lib/porteiro",
     .check = setting_check_path,
     .help = "what is kept over restarts: counters in memory, bans, networks where accounts are "
             "known; and the secret where none is given"},
    {"spool_dir", SETTING_TEXT, AT(config, spool_dir), .preset = "/var/lib/porteiro/spool",
     .check = setting_check_path, .help = "unlinked files for large messages"},
    {"hold_in_memory", SETTING_SIZE, AT(config, hold_in_memory), .preset = "64K", .max = 1 << 30,
     .help = "of a message that somebody has to see as a whole; the rest goes to spool_dir"},
    {"memory_max", SETTING_SIZE, AT(config, memory_max), .preset = "256M", .min = 64 * 1024,
     .help = "of messages that are held in memory by all workers; past it 452 4.3.1"},
    {"spool_max", SETTING_SIZE, AT(config, spool_max), .preset = "2G",
     .help = "of messages that are held in spool_dir by all workers; past it 452 4.3.1"},
    {"control", SETTING_TEXT, AT(config, control), .preset = "/run/porteiro/control.sock",
     .check = setting_check_path, .help = "porteiroctl's socket: for root and control_groups"},
    {"secret", SETTING_TEXT, AT(config, secret), .preset = "", .check = check_file,
     .help = "file, the same on all gateways: keys of session tickets; \"\": made in state_dir"},
    {"contact", SETTING_TEXT, AT(config, contact), .preset = "", .check = check_contact,
     .help =
         "appended to refusals, behind the id: where people turn to, as https://help.example.com"},
    {"contacts", SETTING_TEXT, AT(config, contacts), .preset = "", .check = check_file,
     .help = "file, watched: account: address, or @domain: address; whom a command of notify is to "
             "tell"},
    {"http", SETTING_TEXT_LIST, AT(config, http), .preset = "",
     .help = "[] alone: this version serves no HTTP"},
    {"max_connections", SETTING_INTEGER, AT(config, max_connections), .preset = "20000", .min = 1,
     .max = 1000000, .help = "of the whole gateway; past it a new client gets 421 4.3.2"},
    {"max_connections_per_ip", SETTING_INTEGER, AT(config, max_connections_per_ip), .preset = "50",
     .min = 1, .max = 1000000,
     .help = "of an IPv4 address or an IPv6 /64, all ports together; past it 421 4.3.2"},
    {"timezone", SETTING_TEXT, AT(config, zone.name), .preset = "", .check = zone_check_name,
     .help = "of hours, as America/Sao_Paulo (package tzdata); \"\": the host's"},
    {"geoip", SETTING_TEXT, AT(config, geoip), .preset = "", .check = check_file,
     .help = "watched: a file of countries in MaxMind's format, as GeoLite2-Country.mmdb"},
    {"shared_networks", SETTING_TEXT_LIST, AT(config, shared_networks),
     .preset = "127.0.0.0/8 ::1/128", .check = network_check,
     .help =
         "many people behind one address, as of web hosts and webmail: never banned, no "
         "max_connections_per_ip, and as many logins of it as there are may be checked at once, "
         "else four"},
    {"shutdown_grace", SETTING_DURATION, AT(config, shutdown_grace_ms), .preset = "30s",
     .max = 86400000, .help = "SIGTERM: transactions in progress may finish this long"},
    {"reload_grace", SETTING_DURATION, AT(config, reload_grace_ms), .preset = "2h",
     .max = 7 * 86400000,
     .help = "reload: old sessions go on this long; then 421 between "
             "transactions"},
    {"drain_delay", SETTING_DURATION, AT(config, drain_delay_ms), .preset = "10s", .max = 3600000,
     .help = "porteiroctl drain: new clients are still served this long, then get 421 4.3.2"},
    {.name = NULL}};
const struct section section_top = {"", top_settings, ""};

static const struct setting notify_settings[] = {
    {"command", SETTING_TEXT, AT(notify_config, command), .preset = "", .check = check_command,
     .help = "is run as helper_user with JSON on its standard input; words parted by spaces, no "
             "shell",
     .example = "\"/etc/porteiro/notify\"", .is_required = true},
    {"events", SETTING_TEXT_LIST, AT(notify_config, events), .preset =
#define NOTICE(name, event, verdicts, field, help) #name " "
#include "config/notices.def"
#undef NOTICE
                                                                 , .min = 1,
     .choices = notice_names, .help = "what it is told of; by default of all"
#define NOTICE(name, event, verdicts, field, help) "; " #name ": " help
#include "config/notices.def"
#undef NOTICE
    },
    {"every", SETTING_DURATION, AT(notify_config, every_ms), .preset = "1h", .min = 1000,
     .max = INT64_C(366) * 86400000,
     .help = "one message in it for each event, rule and account; what repeats itself meanwhile is "
             "counted, and told of at its end"},
    {.name = NULL}};
const struct section section_notify = {"notify", notify_settings,
                                       "Commands that are told of what happens"};

static const struct setting log_settings[] = {
    {"target", SETTING_TEXT, AT(log_config, target), .preset = "stderr", .check = check_log_target,
     .help = "stderr, syslog, or a file (SIGUSR1 opens it anew)"},
    {"format", SETTING_CHOICE, AT(log_config, format), .preset = "text", .choices = log_formats,
     .help = "text (key=value) or json, the same keys in both"},
    {"level", SETTING_CHOICE, AT(log_config, level), .preset = "info", .choices = log_level_names,
     .help = "debug, info, warning or error"},
    {"facility", SETTING_CHOICE, AT(log_config, facility), .preset = "mail", .choices = facilities,
     .help = "of syslog: mail, daemon, user, local0 to local7"},
    {.name = NULL}};
const struct section section_log = {"log", log_settings, "Where log lines go"};

static const struct setting tls_settings[] = {
    {"certificate", SETTING_TEXT_LIST, AT(tls_config, certificate), .preset = "", .min = 1,
     .max = 4, .check = setting_check_path,
     .help = "files with the full chain, PEM; an ECDSA and an RSA one may stand side by side",
     .example = "[\"/etc/porteiro/tls/fullchain.pem\"]", .is_required = true},
    {"key", SETTING_TEXT_LIST, AT(tls_config, key), .preset = "", .min = 1, .max = 4,
     .check = setting_check_path, .help = "files with the keys, PEM, in the same order",
     .example = "[\"/etc/porteiro/tls/privkey.pem\"]", .is_required = true},
    {"names", SETTING_TEXT_LIST, AT(tls_config, names), .preset = "",
     .help = "SNI names; []: those in the certificates"},
    {"min_version", SETTING_CHOICE, AT(tls_config, min_version), .preset = "TLSv1.2",
     .choices = tls_versions, .help = "TLSv1.2 or TLSv1.3"},
    {"ciphers", SETTING_TEXT, AT(tls_config, ciphers), .preset = "",
     .help = "of TLS 1.2, as OpenSSL writes them; \"\": forward-secret AEAD suites alone"},
    {.name = NULL}};
const struct section section_tls = {
    "tls", tls_settings, "Certificates; default serves a name that no other block lists"};

static const struct setting listener_settings[] = {
    {"bind", SETTING_TEXT_LIST, AT(listener_config, bind), .preset = "", .min = 1, .max = 16,
     .check = address_check_listen, .help = "addresses, as \"*:465\" or \"[2001:db8::1]:465\"",
     .example = "[\"*:465\"]", .is_required = true},
    {"role", SETTING_CHOICE, AT(listener_config, role), .preset = "submission", .choices = roles,
     .help = "submission, pop3, or refuse (greets with 554 and the ports to use)"},
    {"tls", SETTING_CHOICE, AT(listener_config, tls), .preset = "implicit", .choices = listener_tls,
     .help =
         "implicit, starttls, or none (role refuse; role submission for trusted networks alone)"},
    {"certificate", SETTING_TEXT, AT(listener_config, certificate), .preset = "default",
     .help = "the tls block for clients that name no other"},
    {"upstream", SETTING_TEXT, AT(listener_config, upstream), .preset = "",
     .help = "the servers behind: an upstream of the listener's protocol", .example = "\"smtp\""},
    {"policy", SETTING_TEXT, AT(listener_config, policy), .preset = "",
     .help = "which of policies its clients are held to", .example = "\"\""},
    {"milters", SETTING_TEXT_LIST, AT(listener_config, milter_names), .preset = "", .max = 16,
     .help = "which of milters see its messages, each what those before it have made of them",
     .example = "[]"},
    {"client_certificate", SETTING_CHOICE, AT(listener_config, client_certificate),
     .preset = "none", .choices = client_certificates,
     .help = "of the client: none, optional (but a wrong one is refused), or required"},
    {"client_ca", SETTING_TEXT, AT(listener_config, client_ca), .preset = "",
     .check = setting_check_path,
     .help = "file with the authorities, PEM, whose certificates clients may show"},
    {"client_crl", SETTING_TEXT, AT(listener_config, client_crl), .preset = "",
     .check = setting_check_path,
     .help = "file with a revocation list, PEM, of each of them; an expired one refuses all"},
    {"max_message_size", SETTING_SIZE, AT(listener_config, max_message_size), .preset = "50M",
     .min = 65536, .max = INT64_C(1) << 40, .help = "552 5.3.4 past it; announced as SIZE"},
    {"max_header_size", SETTING_SIZE, AT(listener_config, max_header_size), .preset = "256K",
     .min = 4096, .max = 64 * 1024 * 1024, .help = "of a message's headers: 552 5.3.4 past it"},
    {"max_recipients", SETTING_INTEGER, AT(listener_config, max_recipients), .preset = "100",
     .min = 1, .max = 10000, .help = "of a message: 452 4.5.3 past it"},
    {"idle_timeout", SETTING_DURATION, AT(listener_config, idle_timeout_ms), .preset = "5min",
     .min = 1000, .max = 86400000, .help = "of a client; default for pop3: 10min (RFC 1939)"},
    {"min_data_rate", SETTING_INTEGER, AT(listener_config, min_data_rate), .preset = "500",
     .max = 1000000,
     .help = "octets a second of a message, over a minute: 421 4.4.2 below; 0: any"},
    {"xclient_from", SETTING_TEXT_LIST, AT(listener_config, xclient_from), .preset = "",
     .max = 1000, .check = network_check,
     .help = "networks that may give the client's ADDR NAME PORT HELO by XCLIENT, as a webmail"},
    {"xclient_login_from", SETTING_TEXT_LIST, AT(listener_config, xclient_login_from), .preset = "",
     .max = 1000, .check = network_check,
     .help = "networks that may give LOGIN too: who can connect from there needs no password"},
    {"bare_newline", SETTING_CHOICE, AT(listener_config, bare_newline), .preset = "normalize",
     .choices = bare_newlines,
     .help = "a lone CR or LF in a message: normalize (LF to CRLF, CR to space) or reject (550 "
             "5.6.11)"},
    {"received", SETTING_CHOICE, AT(listener_config, received), .preset = "private",
     .choices = received_clients,
     .help = "our Received line: private (tells nothing of the client) or full (its address, and "
             "what it calls itself)"},
    {"complete_headers", SETTING_BOOLEAN, AT(listener_config, complete_headers), .preset = "true",
     .help = "add Date, Message-ID and the empty line behind the headers where they are missing"},
    {.name = NULL}};
const struct section section_listener = {"listeners", listener_settings, "Doors"};

enum { SUBMISSION = 1 << ROLE_SUBMISSION, POP3 = 1 << ROLE_POP3, REFUSE = 1 << ROLE_REFUSE };

unsigned listener_key_roles(const char *key)
{
    static const struct {
        const char *key;
        unsigned roles;
    } narrowed[] = {
        {"certificate", SUBMISSION | POP3},
        {"upstream", SUBMISSION | POP3},
        {"policy", SUBMISSION | POP3},
        {"milters", SUBMISSION},
        {"client_certificate", SUBMISSION | POP3},
        {"client_ca", SUBMISSION | POP3},
        {"client_crl", SUBMISSION | POP3},
        {"max_message_size", SUBMISSION},
        {"max_recipients", SUBMISSION},
        {"idle_timeout", SUBMISSION | POP3},
        {"bare_newline", SUBMISSION},
        {"min_data_rate", SUBMISSION},
        {"max_header_size", SUBMISSION},
        {"received", SUBMISSION},
        {"complete_headers", SUBMISSION},
        {"xclient_from", SUBMISSION},
        {"xclient_login_from", SUBMISSION},
        {"trusted", SUBMISSION},
    };
    for (size_t i = 0; i < sizeof narrowed / sizeof *narrowed; i++)
        if (strcmp(narrowed[i].key, key) == 0)
            return narrowed[i].roles;
    return SUBMISSION | POP3 | REFUSE;
}

static const struct setting trusted_settings[] = {
    {"networks", SETTING_TEXT_LIST, AT(trusted_config, networks), .preset = "", .max = 1000,
     .check = network_check, .help = "who sends from there needs neither TLS nor a login",
     .example = "[\"10.1.9.0/24\"]"},
    {"account", SETTING_TEXT, AT(trusted_config, account), .preset = "", .check = check_word,
     .help = "as which account", .example = "\"printers@example.com\""},
    {"logins", SETTING_TEXT_LIST, AT(trusted_config, logins), .preset = "", .max = 1000,
     .check = check_word,
     .help = "instead of networks: who has logged in as one of these sends for other accounts"},
    {"account_from", SETTING_TEXT, AT(trusted_config, account_from), .preset = "",
     .check = check_account_from,
     .help = "how each message names its account: mail-auth (AUTH= of MAIL; Exim: "
             "authenticated_sender) or header:NAME (taken away from the message)"},
    {"fallback", SETTING_TEXT, AT(trusted_config, fallback), .preset = "", .check = check_word,
     .help = "the account of a message that names none; \"\": 550 5.7.1"},
    {.name = NULL}};
const struct section section_trusted = {"trusted", trusted_settings,
                                        "Who sends without a login, or for others"};

const struct section section_policy = {"policies", policy_settings,
                                       "What clients are held to; a listener names one"};
const struct section section_sender = {"sender", sender_settings, "Who may send as whom"};
const struct section section_limit = {"limits", limit_settings, "How much one key may do"};
const struct section section_access = {"access", access_settings,
                                       "From where and at which hours somebody is let in"};
const struct section section_delegate = {"delegate", delegate_settings,
                                         "Which policy servers are asked, by Postfix's protocol"};
const struct section section_when = {"when", match_settings, "Whom a rule is for"};
const struct section section_except = {"except", match_settings, "Whom a rule is not for"};
const struct section section_group = {"groups", account_group_settings,
                                      "Accounts under a name: group:NAME in accounts"};

static const struct setting auth_settings[] = {
    {"mechanisms", SETTING_TEXT_LIST, AT(auth_config, mechanisms),
     .preset = "PLAIN LOGIN SCRAM-SHA-256 EXTERNAL", .min = 1, .max = MECHANISM_COUNT,
     .choices = mechanism_names,
     .help = "of PLAIN, LOGIN, SCRAM-SHA-256, SCRAM-SHA-256-PLUS, CRAM-MD5 and EXTERNAL; offered "
             "where they can succeed"},
    {"backend", SETTING_CHOICE, AT(auth_config, backend), .preset = "sasldb", .choices = backends,
     .help = "who knows the passwords: sasldb; saslauthd (PAM, LDAP, IMAP) or upstream (a server "
             "behind lets the user in or not), with PLAIN and LOGIN alone; or auxprop, another "
             "plugin of libsasl2 (SQL, LDAP)"},
    {"sasldb", SETTING_TEXT, AT(auth_config, sasldb), .preset = "/etc/porteiro/sasldb2",
     .check = setting_check_path, .help = "file of saslpasswd2, readable by auth_user"},
    {"saslauthd", SETTING_TEXT, AT(auth_config, saslauthd), .preset = "/run/saslauthd/mux",
     .check = endpoint_check_path,
     .help = "its socket, which auth_user must reach: adduser it to group sasl"},
    {"service", SETTING_TEXT, AT(auth_config, service), .preset = "smtp", .check = check_service,
     .help = "what saslauthd is told to be asked for; with PAM: /etc/pam.d/smtp"},
    {"upstream", SETTING_TEXT, AT(auth_config, upstream), .preset = "",
     .help = "backend upstream: which of upstreams is asked; \"\": the listener's own"},
    {"realm", SETTING_TEXT, AT(auth_config, realm), .preset = "", .check = check_domain,
     .help = "appended to a user name that has none; \"\": hostname without its first label"},
    {"options", SETTING_TEXT_LIST, AT(auth_config, options), .preset = "", .max = 64,
     .check = check_option,
     .help = "auxprop: what goes to the plugin, as [\"auxprop_plugin=sql\", \"sql_engine=pgsql\"]"},
    {"options_file", SETTING_TEXT, AT(auth_config, options_file), .preset = "",
     .check = setting_check_path,
     .help =
         "auxprop: a file of more options that auth_user alone can read, as sql_passwd: secret"},
    {"aliases", SETTING_TEXT, AT(auth_config, aliases), .preset = "", .check = setting_check_path,
     .help = "file, watched: other name: account; COMPANY\\*: *@example.com maps a pattern"},
    {"login_name", SETTING_CHOICE, AT(auth_config, login_name), .preset = "",
     .choices = login_names,
     .help = "what the backend and identity = password are told: given (as typed), account "
             "(ana@example.com), local (ana; accounts of another domain than realm are refused); "
             "\"\": sasldb account, saslauthd local, upstream given"},
    {"processes", SETTING_INTEGER, AT(auth_config, processes), .preset = "2", .min = 1, .max = 32,
     .help = "auth processes"},
    {"cache", SETTING_DURATION, AT(auth_config, cache_ms), .preset = "5min", .max = 86400000,
     .help =
         "how long a password that was right needs no second look into the store; 0 turns it off"},
    {"remember_networks", SETTING_DURATION, AT(auth_config, remember_networks_ms), .preset = "30d",
     .max = INT64_C(366) * 86400000,
     .help = "how long an account is known in a network where it logged in: what strangers guess "
             "there never shuts it out; 0: it isn't"},
    {"lift_on_new_password", SETTING_BOOLEAN, AT(auth_config, lift_on_new_password),
     .preset = "true",
     .help =
         "a login with a password that the account has not used within remember_networks lifts a "
         "suspension that a rule made; not where it has also logged in without telling one "
         "(SCRAM, a certificate, through a trusted client)"},
    {.name = NULL}};
const struct section section_auth = {"auth", auth_settings, "Logins, by Cyrus SASL"};

static const char *const guessing_keys[] = {"ip", "network", "ip+account", NULL};

static const struct setting guessing_settings[] = {
    {"key", SETTING_CHOICE, AT(guessing_config, key), .preset = "ip", .choices = guessing_keys,
     .help = "who is banned: ip (an IPv6 /64), network (a /24, an IPv6 /48) or ip+account (the "
             "account alone, there; so it always is in shared_networks)"},
    {"max", SETTING_INTEGER, AT(guessing_config, max), .preset = "10", .max = 10000,
     .help = "how many different wrong credentials there may be; the same again counts no more; 0 "
             "turns it off"},
    {"window", SETTING_DURATION, AT(guessing_config, window_ms), .preset = "10min", .min = 1000,
     .max = 86400000, .help = "within which they count, of all ports and protocols"},
    {"ban", SETTING_DURATION, AT(guessing_config, ban_ms), .preset = "1h", .min = 1000,
     .max = INT64_C(366) * 86400000, .help = "how long one more is a ban"},
    {.name = NULL}};
const struct section section_guessing = {"guessing", guessing_settings,
                                         "Guessing of passwords: who tries too many is banned"};

static const struct setting redis_settings[] = {
    {"address", SETTING_TEXT_LIST, AT(redis_config, address), .preset = "127.0.0.1:6379", .max = 16,
     .check = check_redis,
     .help = "the server, as 127.0.0.1:6379 or unix:/PATH; several: nodes of a Redis Cluster, one "
             "of which is asked where the others are"},
    {"sentinels", SETTING_TEXT_LIST, AT(redis_config, sentinels), .preset = "", .max = 16,
     .check = address_check,
     .help = "instead of address: Sentinels, which are asked one after the other for the master"},
    {"master", SETTING_TEXT, AT(redis_config, master), .preset = "", .check = check_word,
     .help = "the name by which they know it"},
    {"sentinel_username", SETTING_TEXT, AT(redis_config, sentinel_username), .preset = "",
     .check = check_word, .help = "a user of the Sentinels' ACL; \"\": the default user"},
    {"sentinel_password_file", SETTING_TEXT, AT(redis_config, sentinel_password_file), .preset = "",
     .check = check_file, .help = "file with the password for the Sentinels"},
    {"username", SETTING_TEXT, AT(redis_config, username), .preset = "", .check = check_word,
     .help = "a user of its ACL; \"\": the default user"},
    {"password_file", SETTING_TEXT, AT(redis_config, password_file), .preset = "",
     .check = check_file, .help = "file with the password and nothing else"},
    {"database", SETTING_INTEGER, AT(redis_config, database), .preset = "0", .max = 65535,
     .help = "its number"},
    {"tls", SETTING_BOOLEAN, AT(redis_config, tls), .preset = "false",
     .help = "speak TLS; the server's certificate must be for its address and by a CA that is "
             "trusted"},
    {"ca", SETTING_TEXT, AT(redis_config, ca), .preset = "", .check = check_file,
     .help = "file of the CAs that may have issued it; \"\": the system's"},
    {"prefix", SETTING_TEXT, AT(redis_config, prefix), .preset = "porteiro", .check = check_prefix,
     .help = "of all keys, as {porteiro}:...; gateways with the same count together"},
    {"timeout", SETTING_DURATION, AT(redis_config, timeout_ms), .preset = "250ms", .min = 10,
     .max = 10000,
     .help = "for an answer; after one that is late none is awaited until Redis answers again"},
    {"on_failure", SETTING_CHOICE, AT(redis_config, on_failure), .preset = "memory",
     .choices = redis_on_failure,
     .help = "until then: memory (of this machine), accept (without limits) or tempfail"},
    {"gateways", SETTING_INTEGER, AT(redis_config, gateways), .preset = "1", .min = 1, .max = 1000,
     .help = "how many share it: in memory each lets through that part of a limit"},
    {.name = NULL}};
const struct section section_redis = {
    "redis", redis_settings,
    "Redis, where several gateways count together and tell one another of bans; without the block "
    "counters live in memory"};

static const struct setting filter_settings[] = {
    {"listen", SETTING_TEXT, AT(filter_config, listen), .preset = "", .check = check_filter,
     .help = "where the MTA finds the milter, as it writes it itself: unix:/PATH or "
             "inet:127.0.0.1:8891; \"\": nowhere"},
    {"policy_service", SETTING_TEXT, AT(filter_config, policy_service), .preset = "",
     .check = check_filter, .help = "likewise for Postfix' check_policy_service; \"\": nowhere"},
    {"group", SETTING_TEXT, AT(filter_config, group), .preset = "", .check = check_word,
     .help = "its members may connect to a unix socket, as \"postfix\"; \"\": user's own"},
    {"policy", SETTING_TEXT, AT(filter_config, policy), .preset = "",
     .help = "one of policies, which mail there is judged by"},
    {.name = NULL}};
const struct section section_filter = {
    "filter", filter_settings,
    "porteiro-milter: the same policies and counters inside another MTA, as milter and as "
    "Postfix' policy service"};

static const struct setting upstream_settings[] = {
    {"protocol", SETTING_CHOICE, AT(upstream_config, protocol), .preset = "smtp",
     .choices = protocols, .help = "smtp or pop3"},
    {"tls", SETTING_CHOICE, AT(upstream_config, tls), .preset = "opportunistic",
     .choices = upstream_tls,
     .help = "none, opportunistic, require, verify (by a CA and the server's address) or implicit; "
             "default where a password travels: require"},
    {"tls_min_version", SETTING_CHOICE, AT(upstream_config, tls_min_version), .preset = "TLSv1.2",
     .choices = upstream_tls_versions,
     .help = "TLSv1, TLSv1.1 (both with tls_ciphers = \"DEFAULT@SECLEVEL=0\": old servers on a "
             "private network), TLSv1.2 or TLSv1.3"},
    {"tls_ciphers", SETTING_TEXT, AT(upstream_config, tls_ciphers), .preset = "",
     .help = "up to TLS 1.2, as OpenSSL writes them; \"\": its own choice"},
    {"fingerprint", SETTING_TEXT, AT(upstream_config, fingerprint), .preset = "",
     .check = check_fingerprint,
     .help = "SHA-256 of the server's certificate: no other is taken, whoever signed it"},
    {"ca", SETTING_TEXT, AT(upstream_config, ca), .preset = "", .check = check_file,
     .help = "file of CAs, PEM, one of which must have signed the server's certificate; \"\" with "
             "verify: the system's"},
    {"client_certificate", SETTING_TEXT, AT(upstream_config, client_certificate), .preset = "",
     .check = check_file, .help = "file, PEM, shown to a server that asks for one"},
    {"client_key", SETTING_TEXT, AT(upstream_config, client_key), .preset = "", .check = check_file,
     .help = "its key, PEM"},
    {"identity", SETTING_CHOICE, AT(upstream_config, identity), .preset = "none",
     .choices = identities,
     .help =
         "smtp: none, auth (the gateway's own account), xforward (tells Postfix's log; all with "
         "shared connections), xclient, proxy (PROXY v2) or password (the user's own; all one "
         "client a "
         "connection); pop3: password (the default), xclient (it is also told the client's "
         "address) or master (a master user; the user's password stays here)"},
    {"username", SETTING_TEXT, AT(upstream_config, username), .preset = "", .check = check_word,
     .help = "identity auth: the gateway's account"},
    {"password_file", SETTING_TEXT, AT(upstream_config, password_file), .preset = "",
     .check = check_file, .help = "identity auth: file with its password and nothing else"},
    {"mechanism", SETTING_CHOICE, AT(upstream_config, mechanism), .preset = "",
     .choices = upstream_mechanisms,
     .help = "identity auth: PLAIN, LOGIN or XOAUTH2; \"\": the best that the server knows"},
    {"token_command", SETTING_TEXT, AT(upstream_config, token_command), .preset = "",
     .check = check_command,
     .help = "XOAUTH2: prints an access token, by itself or as JSON with access_token and "
             "expires_in; words parted by spaces, no shell"},
    {"master_user", SETTING_TEXT, AT(upstream_config, master_user), .preset = "",
     .check = check_word, .help = "identity master: who may log in as everybody"},
    {"master_password_file", SETTING_TEXT, AT(upstream_config, master_password_file), .preset = "",
     .check = check_file, .help = "identity master: file with his password and nothing else"},
    {"master_separator", SETTING_TEXT, AT(upstream_config, master_separator), .preset = "*",
     .check = check_word,
     .help = "identity master: between account and master_user in the name that is logged in"},
    {"max_connections", SETTING_INTEGER, AT(upstream_config, max_connections), .preset = "20",
     .min = 1, .max = 10000, .help = "to a server, over all workers"},
    {"wait_timeout", SETTING_DURATION, AT(upstream_config, wait_timeout_ms), .preset = "5s",
     .max = 600000, .help = "for a free connection; then 451 4.3.2"},
    {"connect_timeout", SETTING_DURATION, AT(upstream_config, connect_timeout_ms), .preset = "5s",
     .min = 100, .max = 600000, .help = "for TCP and TLS to stand"},
    {"command_timeout", SETTING_DURATION, AT(upstream_config, command_timeout_ms), .preset = "5min",
     .min = 100, .max = 3600000, .help = "for the reply to a command"},
    {"final_timeout", SETTING_DURATION, AT(upstream_config, final_timeout_ms), .preset = "10min",
     .min = 100, .max = 3600000, .help = "for the reply to the final dot (RFC 5321: 10 minutes)"},
    {"idle_timeout", SETTING_DURATION, AT(upstream_config, idle_timeout_ms), .preset = "60s",
     .min = 100, .max = 3600000, .help = "of a pooled connection that nobody uses"},
    {"health_check", SETTING_DURATION, AT(upstream_config, health_check_ms), .preset = "10s",
     .min = 100, .max = 3600000,
     .help = "EHLO or CAPA, then QUIT; a server that fails is taken "
             "out, and back in when it answers"},
    {.name = NULL}};
const struct section section_upstream = {"upstreams", upstream_settings, "The servers behind"};

static const struct setting server_settings[] = {
    {"address", SETTING_TEXT, AT(server_config, address), .preset = "", .check = address_check,
     .help = "numeric, as \"10.0.0.5:25\" or \"[2001:db8::5]:25\"", .example = "\"10.0.0.5:25\"",
     .is_required = true},
    {.name = NULL}};
const struct section section_server = {"servers", server_settings, "The servers of an upstream"};

const struct setting *section_find(const struct section *s, struct span name)
{
    for (const struct setting *key = s->settings; key->name != NULL; key++)
        if (span_equals(name, key->name))
            return key;
    return NULL;
}

enum { SUGGEST_MAX_LENGTH = 40 };

/* How many letters must be changed, added or left out to make `b` of `a`. */
static size_t distance(const char *a, const char *b)
{
    size_t row[SUGGEST_MAX_LENGTH + 1], rows = strlen(a), columns = strlen(b);
    if (rows > SUGGEST_MAX_LENGTH || columns > SUGGEST_MAX_LENGTH)
        return SIZE_MAX;
    for (size_t j = 0; j <= columns; j++)
        row[j] = j;
    for (size_t i = 1; i <= rows; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            size_t above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[columns];
}

const char *section_suggest(const struct section *s, const char *const *extra, const char *name)
{
    const char *best = NULL;
    size_t least = strlen(name) / 3 + 2;
    for (const struct setting *key = s->settings; key->name != NULL; key++)
        if (distance(name, key->name) < least) {
            least = distance(name, key->name);
            best = key->name;
        }
    for (; extra != NULL && *extra != NULL; extra++)
        if (distance(name, *extra) < least) {
            least = distance(name, *extra);
            best = *extra;
        }
    return best;
}

const char *listener_role_name(int role)
{
    return roles[role];
}

bool upstream_is_checked(const struct upstream_config *u)
{
    return u->tls == UPSTREAM_TLS_VERIFY || u->ca[0] != '\0' || u->fingerprint[0] != '\0';
}

bool upstream_identity_is_for(int identity, int protocol)
{
    static const unsigned protocols_of[] = {
        [IDENTITY_NONE] = 1 << UPSTREAM_SMTP,
        [IDENTITY_AUTH] = 1 << UPSTREAM_SMTP,
        [IDENTITY_XFORWARD] = 1 << UPSTREAM_SMTP,
        [IDENTITY_XCLIENT] = 1 << UPSTREAM_SMTP | 1 << UPSTREAM_POP3,
        [IDENTITY_PROXY] = 1 << UPSTREAM_SMTP,
        [IDENTITY_PASSWORD] = 1 << UPSTREAM_SMTP | 1 << UPSTREAM_POP3,
        [IDENTITY_MASTER] = 1 << UPSTREAM_POP3,
    };
    return (protocols_of[identity] >> protocol & 1) != 0;
}

const char *upstream_identity_name(int identity)
{
    return identities[identity];
}

bool upstream_has_password(const struct upstream_config *u)
{
    return u->identity == IDENTITY_PASSWORD || u->identity == IDENTITY_AUTH ||
           u->protocol == UPSTREAM_POP3 || u->is_asked;
}

const char *upstream_tls_name(int tls)
{
    return upstream_tls[tls];
}

int log_facility(const struct log_config *log)
{
    static const int numbers[] = {LOG_MAIL,   LOG_DAEMON, LOG_USER,   LOG_LOCAL0,
                                  LOG_LOCAL1, LOG_LOCAL2, LOG_LOCAL3, LOG_LOCAL4,
                                  LOG_LOCAL5, LOG_LOCAL6, LOG_LOCAL7};
    return numbers[log->facility];
}
