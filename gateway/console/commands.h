/* porteiroctl's commands, one file a family. Each asks the running gateway and prints. */
#pragma once

#include <stdbool.h>

struct console {
    const char *socket;
    bool is_json; /* for programs: JSON instead of tables */
    int argc;     /* what stands behind the command */
    char **argv;
};

/* Exit statuses: 0 done, 1 refused or not reachable, 2 wrong options, 3 nothing is known of it. */
enum { CONSOLE_DONE = 0, CONSOLE_FAILED = 1, CONSOLE_USAGE = 2, CONSOLE_UNKNOWN = 3 };

struct command {
    const char *name, *arguments, *help;
    int (*run)(const struct console *c);
};

/* All commands; the last has no name. */
extern const struct command console_commands[];

int command_status(const struct console *c);
int command_sessions(const struct console *c);
int command_reload(const struct console *c);
int command_drain(const struct console *c);
int command_undrain(const struct console *c);
int command_forget(const struct console *c);
int command_kick(const struct console *c);
int command_bans(const struct console *c);
int command_ban(const struct console *c);
int command_unban(const struct console *c);
int command_suspend(const struct console *c);
int command_resume(const struct console *c);
int command_suspended(const struct console *c);
int command_limits(const struct console *c);
int command_limit(const struct console *c);
int command_explain(const struct console *c);
int command_suggest(const struct console *c);
int command_replay(const struct console *c);
int command_top(const struct console *c);
int command_show(const struct console *c);
int command_logins(const struct console *c);
int command_count(const struct console *c);
int command_login_test(const struct console *c);

/* Says on standard error what went wrong. Returns CONSOLE_FAILED. */
int console_fail(const char *why);
int console_wrong(const char *why); /* likewise CONSOLE_USAGE */
