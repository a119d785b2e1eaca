/* Who is not let in, not let log in, or not let send; and what logins tell about it. Addresses of
 * shared_networks are never banned, accounts there may be.
 *
 * Where a rule has banned an address for what strangers may have done, as guesses, accounts that
 * have logged in from its network lately (auth.remember_networks) are let in all the same: whoever
 * is there may then come to the login, and everybody else is refused there. What a person has
 * banned is banned. */
#pragma once

#include "decision/bans.h"
#include "ipc/messages.h"

struct login;
struct session;
struct session_context;
struct verdict;

/* Is a client from there sent away? Hot: see bans_hold. */
bool guard_at_door(const struct session_context *c, const struct address *client,
                   struct ban_verdict *out);

/* Is a login as `account`, by its canonical name, refused there? */
bool guard_at_login(const struct session_context *c, const struct address *client,
                    const char *account, struct ban_verdict *out);

/* Is the account suspended whose the session is, or whose its message is? Hot: a look or two at
 * BAN_WAYS entries. */
bool guard_sending(const struct session *s, char out[SUSPENSION_TEXT_SIZE]);

/* The session's login is right. Where its password is a new one, the suspension that a rule has
 * made is lifted. Is the login refused for a suspension of all? */
bool guard_login(struct session *s, const struct login *l, char out[SUSPENSION_TEXT_SIZE]);

/* A suspended account's password is checked anew, whatever is known of it. */
void guard_before_login(const struct session_context *c, const char *account);

/* Why a session is to end, now that somebody was banned or suspended; or ENDING_none. */
enum ending guard_session(const struct session *s);

/* Has the account logged in from there lately? `account` NULL: has anybody? */
bool guard_knows(const struct session_context *c, const char *account,
                 const struct address *client);

/* The session has logged in: its account is known there from now on. */
void guard_logged_in(const struct session *s);

/* What was said in the login was wrong: a guess, perhaps. */
void guard_failed(const struct session *s, const struct login *l);

/* A rule that bans has refused: so it does, unless the address is many people's or exempt. The
 * session ends as all do that are banned. */
void guard_ban(const struct session *s, const struct verdict *v);

/* A rule that suspends says so of the account whose message or session it is. Returns whether it is
 * suspended now; else it is to wait. */
bool guard_suspend(const struct session *s, const struct verdict *v);
