#include "policy/rules/sender.h"

#include "policy/ownership.h"
#include "policy/policy.h"

#include <stdio.h>

static const char *const checks[] = {"any", "own", NULL};

#define AT(member) .offset = offsetof(struct sender_rule, member)

const struct setting sender_settings[] = {
    {"envelope", SETTING_CHOICE, AT(envelope), .preset = "any", .choices = checks,
     .help = "MAIL FROM: any, or own (one of the account's addresses, or <>); else 553 5.7.1"},
    {"header", SETTING_CHOICE, AT(header), .preset = "any", .choices = checks,
     .help = "likewise each address in From, Sender and Resent-From; else, and without a From that "
             "can be read, or with two, 550 5.7.1"},
    {"addresses", SETTING_TEXT, AT(addresses), .preset = "", .check = setting_check_path,
     .help =
         "file, watched: ana@example.com: ana.souza@example.com, @shop.example, ana+*@x.example "
         "or *; without a line an account has its name",
     .example = "\"\""},
    {"mode", SETTING_CHOICE, AT(mode), .preset = "enforce",
     .choices = (const char *const[]){"enforce", "monitor", NULL},
     .help = "enforce, or monitor (decides and logs, changes nothing)"},
    {.name = NULL}};

bool sender_is_for(const struct sender_rule *r, const struct policy_facts *f)
{
    return match_holds(&r->when, f) && (match_is_empty(&r->except) || !match_holds(&r->except, f));
}

bool sender_is_own(const struct sender_rule *r, struct span account, struct span address)
{
    bool has_list = r->file != NULL && r->file->list != NULL;
    return ownership_holds(has_list ? r->file->list->bytes : span_make(NULL, 0), account, address);
}

const char *sender_text(const struct sender_finding *f, const char *account,
                        char out[SENDER_TEXT_SIZE])
{
    out[0] = '\0';
    switch (f->fault) { /* cut to fit, as what strangers have written may be long */
    case SENDER_GOOD: break;
    case SENDER_FOREIGN:
        (void)snprintf(out, SENDER_TEXT_SIZE, "%s: %.120s is not an address of %.120s", f->where,
                       f->address[0] == '\0' ? "it" : f->address, account);
        break;
    case SENDER_UNREADABLE:
        (void)snprintf(out, SENDER_TEXT_SIZE, "%s can't be read: %s", f->where, f->wrong);
        break;
    case SENDER_MISSING:
        (void)snprintf(out, SENDER_TEXT_SIZE, "The message has no From, which says who sends it");
        break;
    case SENDER_REPEATED:
        (void)snprintf(out, SENDER_TEXT_SIZE, "The message has more than one From");
        break;
    }
    return out;
}
