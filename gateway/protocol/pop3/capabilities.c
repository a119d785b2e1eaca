#include "protocol/pop3/capabilities.h"

unsigned pop3_capability_of(struct span line)
{
    static const struct {
        const char *tag;
        unsigned capability;
    } known[] = {
        {"TOP", POP3_TOP},
        {"UIDL", POP3_UIDL},
        {"PIPELINING", POP3_PIPELINING},
    };
    struct span tag = span_split(&line, ' ');
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (span_equals_nocase(tag, known[i].tag))
            return known[i].capability;
    return 0;
}
