/* Every key that porteiro.conf knows, once: the reader, -T, the reference and the manual are made
 * from these tables. */
#pragma once

#include "config/config.h"

/* A group of the file: the keys of one struct, and the groups inside it. */
struct section {
    const char *name;
    const struct setting *settings; /* ends with a NULL name */
    const char *help;
};

extern const struct section section_top, section_log, section_redis, section_tls, section_listener,
    section_auth, section_guessing, section_upstream, section_server, section_trusted,
    section_milter, section_policy, section_sender, section_limit, section_access, section_delegate,
    section_when, section_except, section_group, section_notify, section_filter;

/* "header:", of account_from. */
extern const char header_prefix[];

/* The values of control_groups. */
extern const char *const control_role_names[];

/* Which roles a listener's key is for: a bit for each enum listener_role. All when it is not
 * listed. */
unsigned listener_key_roles(const char *key);

/* The setting of that name, or NULL. */
const struct setting *section_find(const struct section *s, struct span name);

/* The key that was probably meant by `name`, among the settings and the `extra` names (ends with
 * NULL, or NULL itself), or NULL. */
const char *section_suggest(const struct section *s, const char *const *extra, const char *name);
