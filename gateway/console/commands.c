#include "console/commands.h"

#include <stdio.h>

const struct command console_commands[] = {
    {"status", "", "processes, doors and servers behind, in figures", command_status},
    {"sessions", "", "who is connected, and what each session waits for", command_sessions},
    {"reload", "[--files]", "reads the configuration anew, or watched files alone", command_reload},
    {"drain", "[--wait TIME]", "sends new clients away, and lets sessions end", command_drain},
    {"undrain", "", "serves new clients again", command_undrain},
    {"forget", "ACCOUNT", "its next login asks the backend, whatever was known", command_forget},
    {"login-test", "ACCOUNT", "asks for a password, logs in with it, tells each step",
     command_login_test},
    {"limits", "KEY ...", "how limits stand for an account, an address, @DOMAIN", command_limits},
    {"limit", "set|unset|list [KEY LIMIT RATE --burst --for --permanent --reason]",
     "gives somebody another rate, for a day; takes it back", command_limit},
    {"explain", "--account A [--ip --from --to --header --protocol smtp|pop3 --at ...]",
     "what would happen to it now, rule by rule", command_explain},
    {"suggest", "LOG ... [--per hour|day --count recipients|messages --limit --burst]",
     "what each account sends, and whom a limit would touch", command_suggest},
    {"replay", "LOG ... --config FILE [--all]", "what another configuration would have decided",
     command_replay},
    {"top", "[--by account|login|script|ip|sender_domain] [--last TIME]",
     "who has sent most in the last ten minutes", command_top},
    {"show", "ID|ACCOUNT|ADDRESS", "its sessions, bans and limits, and its last log lines",
     command_show},
    {"logins", "ACCOUNT", "its sessions, and its last logins, right and wrong", command_logins},
    {"count", "ACCOUNT rejected_recipients N | --message ID | -",
     "counts recipients that were nobody's after all", command_count},
    {"kick", "ACCOUNT|ID|ADDRESS [--reason TEXT]", "ends its sessions, each between commands",
     command_kick},
    {"bans", "", "who is banned, by whom or what, and for how long still", command_bans},
    {"ban", "NETWORK [--for TIME] [--reason TEXT]",
     "sends clients of an address or network away, for a day", command_ban},
    {"unban", "ADDRESS", "lifts bans that cover it; none comes for an hour", command_unban},
    {"suspend", "ACCOUNT [--scope sending|all --for TIME --until-resumed --reason TEXT]",
     "takes its mail no more, for a day; all: nor its logins", command_suspend},
    {"resume", "ACCOUNT", "it may send and log in again", command_resume},
    {"suspended", "", "which accounts are, by whom, and for how long still", command_suspended},
    {.name = NULL},
};

int console_fail(const char *why)
{
    fprintf(stderr, "porteiroctl: %s\n", why);
    return CONSOLE_FAILED;
}

int console_wrong(const char *why)
{
    fprintf(stderr, "porteiroctl: %s; see porteiroctl --help\n", why);
    return CONSOLE_USAGE;
}
