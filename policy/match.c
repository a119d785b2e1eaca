#include "policy/match.h"

#include <string.h>

#define AT(member) .offset = offsetof(struct match, member)

static int check_account(const char *text, struct error *why)
{
    const char *at = strchr(text, '@');
    if (at != NULL && at[1] != '\0' && strchr(at + 1, '@') == NULL && strpbrk(text, " \t*") == NULL)
        return 0;
    return error_set(why,
                     "\"%s\" is no account; write ana@example.com, or @example.com for all of "
                     "a domain",
                     text);
}

const struct setting match_settings[] = {
    {"accounts", SETTING_TEXT_LIST, AT(accounts), .preset = "", .max = 10000,
     .check = check_account, .help = "whose session it is: ana@example.com, or @example.com",
     .example = "[\"@example.com\"]"},
    {"networks", SETTING_TEXT_LIST, AT(networks), .preset = "", .max = 10000,
     .check = network_check, .help = "where the client comes from",
     .example = "[\"192.0.2.0/24\"]"},
    {"listeners", SETTING_TEXT_LIST, AT(listeners), .preset = "", .max = 64,
     .help = "where it comes in", .example = "[\"submission\"]"},
    {.name = NULL}};

int match_prepare(struct match *m, struct arena *a)
{
    struct error why;
    m->network_list = (struct network_list){
        .items = arena_alloc(a, (m->networks.count + 1) * sizeof *m->network_list.items)};
    if (m->network_list.items == NULL)
        return -1;
    for (size_t i = 0; i < m->networks.count; i++)
        if (network_parse(m->networks.items[i], &m->network_list.items[m->network_list.count],
                          &why) == 0)
            m->network_list.count++;
    return 0;
}

bool match_is_empty(const struct match *m)
{
    return m->accounts.count + m->networks.count + m->listeners.count == 0;
}

static bool is_one_of(const struct text_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], text) == 0)
            return true;
    return false;
}

static bool is_account(const struct text_list *list, const char *account)
{
    const char *domain = account == NULL ? NULL : strrchr(account, '@');
    return domain != NULL && (is_one_of(list, account) || is_one_of(list, domain));
}

bool match_holds(const struct match *m, const char *account, const struct address *client,
                 const char *listener)
{
    return (m->accounts.count == 0 || is_account(&m->accounts, account)) &&
           (m->networks.count == 0 || networks_hold(&m->network_list, client)) &&
           (m->listeners.count == 0 || is_one_of(&m->listeners, listener));
}
